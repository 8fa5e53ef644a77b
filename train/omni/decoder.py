"""The Thinker's decoder: embeddings and [3, B, L] positions -> logits. Parameter names are the hub's.

Written for training on a CPU: right-padded batches need no padding mask under a causal mask, and grouped
query heads fold into the row dimension, so that attention is two batched matrix products in bfloat16.
"""

import torch
import torch.nn.functional as F
from torch import nn

from omni.linear import Linear


class RmsNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return F.rms_norm(x.float(), x.shape[-1:], self.weight, self.eps)


def rope_tables(positions, head_dim, theta, sections):
    """positions [3, B, L] -> cos, sin [B, 1, L, head_dim/2]; section i of the pairs turns with axis i (t, h, w)."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    axis = torch.repeat_interleave(torch.arange(3), torch.tensor(sections))
    angles = positions.double()[axis].permute(1, 2, 0) * frequencies
    return angles.cos().float().unsqueeze(1), angles.sin().float().unsqueeze(1)


def rotate(x, cos, sin):
    """Half-split rotation of x [B, H, L, D]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv, self.dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
        width = c["hidden_size"]
        self.q_proj = Linear(width, self.heads * self.dim)
        self.k_proj = Linear(width, self.kv * self.dim)
        self.v_proj = Linear(width, self.kv * self.dim)
        self.o_proj = Linear(self.heads * self.dim, width, bias=False)

    def forward(self, x, cos, sin, mask, rows, cache):
        """x [B, L, width] -> [B, L or R, width]; `rows` [B, R] picks the query rows that are wanted."""
        B, L, _ = x.shape
        q, cq, sq = self.q_proj(x if rows is None else pick(x, rows)), cos, sin
        if rows is not None:
            cq, sq = pick(cos[:, 0], rows).unsqueeze(1), pick(sin[:, 0], rows).unsqueeze(1)
        Q = q.shape[1]
        q = rotate(q.view(B, Q, self.heads, self.dim).transpose(1, 2), cq.to(q.dtype), sq.to(q.dtype))
        k = rotate(self.k_proj(x).view(B, L, self.kv, self.dim).transpose(1, 2), cos.to(q.dtype), sin.to(q.dtype))
        v = self.v_proj(x).view(B, L, self.kv, self.dim).transpose(1, 2)
        if cache is not None:
            k, v = cache.extend(self, k, v)
        group = self.heads // self.kv
        q = (q * self.dim ** -0.5).reshape(B, self.kv, group * Q, self.dim)
        scores = (q @ k.transpose(2, 3)).view(B, self.kv, group, Q, k.shape[2])
        weights = (scores + mask).softmax(-1)
        out = weights.view(B, self.kv, group * Q, -1) @ v
        return self.o_proj(out.view(B, self.heads, Q, self.dim).transpose(1, 2).reshape(B, Q, -1))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj = Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.up_proj = Linear(c["hidden_size"], c["intermediate_size"], bias=False)
        self.down_proj = Linear(c["intermediate_size"], c["hidden_size"], bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def pick(x, rows):
    """x [B, L, D], rows [B, R] -> [B, R, D]."""
    return x.gather(1, rows.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        self.self_attn = Attention(c)
        self.post_attention_layernorm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])
        self.mlp = Mlp(c)

    def forward(self, x, cos, sin, mask, rows, cache):
        kept = x if rows is None else pick(x, rows)
        x = kept + self.self_attn(self.input_layernorm(x), cos, sin, mask, rows, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Cache:
    """Keys and values of earlier positions, per attention module."""

    def __init__(self):
        self.kept = {}

    def extend(self, module, k, v):
        if module in self.kept:
            k = torch.cat([self.kept[module][0], k], dim=2)
            v = torch.cat([self.kept[module][1], v], dim=2)
        self.kept[module] = (k, v)
        return k, v

    def keep(self, length):
        """Forgets all positions from `length` on."""
        self.kept = {m: (k[:, :, :length], v[:, :, :length]) for m, (k, v) in self.kept.items()}


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RmsNorm(c["hidden_size"], c["rms_norm_eps"])

    def forward(self, x, positions, rows=None, cache=None, mask=None):
        """x [B, L, D], positions [3, B, L] -> [B, L, D], or [B, R, D] at `rows`, after the final norm."""
        c = self.config
        cos, sin = rope_tables(positions, c["head_dim"], c["rope_theta"], c["mrope_section"])
        L = x.shape[1]
        dtype = torch.bfloat16 if Linear.compute is torch.bfloat16 else torch.float32
        if mask is None:
            mask = torch.full((L, L), -1e4).triu(1).to(dtype)[None, None, None]
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            if rows is not None and i == last:
                row_mask = mask[0, 0, 0][rows] if mask.shape[-2] == L else mask
                x = layer(x, cos, sin, row_mask[:, None, None], rows, cache)
            else:
                x = layer(x, cos, sin, mask, None, cache)
        return self.norm(x)
