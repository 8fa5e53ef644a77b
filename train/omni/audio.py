"""The audio tower: mel spectrograms -> one vector per 40 ms. Parameter names are the hub's."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from omni.linear import Linear


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.v_proj, self.out_proj = Linear(width, width), Linear(width, width), Linear(width, width)
        self.k_proj = Linear(width, width, bias=False)

    def forward(self, x, mask):
        B, N, width = x.shape
        q, k, v = (m(x).view(B, N, self.heads, -1).transpose(1, 2) for m in (self.q_proj, self.k_proj, self.v_proj))
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(2, 3) + mask.to(q.dtype)).softmax(-1)
        return self.out_proj((weights @ v).transpose(1, 2).reshape(B, N, width))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn = Attention(c["d_model"], c["encoder_attention_heads"])
        self.self_attn_layer_norm = nn.LayerNorm(c["d_model"])
        self.final_layer_norm = nn.LayerNorm(c["d_model"])
        self.fc1 = Linear(c["d_model"], c["encoder_ffn_dim"])
        self.fc2 = Linear(c["encoder_ffn_dim"], c["d_model"])

    def forward(self, x, mask):
        x = x + self.self_attn(self.self_attn_layer_norm(x), mask)
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


def sinusoids(length, width):
    step = math.log(10000.0) / (width // 2 - 1)
    angles = torch.arange(length).float()[:, None] * torch.exp(-step * torch.arange(width // 2).float())
    return torch.cat([angles.sin(), angles.cos()], 1)


def conv3(conv, x, stride):
    """x [B, N, C] -> [B, N/stride, D]: a padded convolution of width 3 as one matrix product."""
    dtype = Linear.compute
    x = F.pad(x, (0, 0, 1, 1)).to(dtype)
    taps = x.unfold(1, 3, stride).flatten(2)
    return F.linear(taps, conv.weight.flatten(1).to(dtype), conv.bias.to(dtype))


class AudioTower(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.conv1 = nn.Conv1d(c["num_mel_bins"], c["d_model"], 3, padding=1)
        self.conv2 = nn.Conv1d(c["d_model"], c["d_model"], 3, stride=2, padding=1)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["encoder_layers"]))
        self.ln_post = nn.LayerNorm(c["d_model"])
        self.proj = Linear(c["d_model"], c["output_dim"])
        # Part of the hub's layout; the Thinker embeds the tokens around a sound by its own table.
        self.audio_bos_eos_token = nn.Embedding(2, c["output_dim"])

    def forward(self, mels):
        """mels: list of [frames, 128] -> list of [tokens, out]."""
        size = 2 * self.config["n_window"]
        chunks = [m[i : i + size] for m in mels for i in range(0, len(m), size)]
        lengths = torch.tensor([len(c) for c in chunks])
        x = nn.utils.rnn.pad_sequence(chunks, batch_first=True)
        inside = torch.arange(x.shape[1])[None] < lengths[:, None]
        x = F.gelu(conv3(self.conv1, x, 1)) * inside[:, :, None]
        x = F.gelu(conv3(self.conv2, x, 2)).float()
        x = x + sinusoids(x.shape[1], x.shape[2])
        after = (lengths - 1) // 2 + 1
        mask = torch.where(torch.arange(x.shape[1])[None] < after[:, None], 0.0, -1e4)[:, None, None]
        for layer in self.layers:
            x = layer(x, mask)
        out, first = [], 0
        for m in mels:
            count = -(-len(m) // size)
            whole = torch.cat([x[i, : after[i]] for i in range(first, first + count)])
            first += count
            whole = whole[: len(whole) // 2 * 2].view(-1, 2, x.shape[2]).mean(1)
            out.append(whole)
        joined = self.proj(self.ln_post(torch.cat(out))).float()
        return list(joined.split([len(o) for o in out]))
