"""The vision tower: patch rows [N, 1176] and a grid -> merged tokens [N/4, out]. Parameter names are the hub's."""

import torch
import torch.nn.functional as F
from torch import nn

from omni.decoder import RmsNorm, rotate
from omni.linear import Linear


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (Linear(width, width) for _ in range(4))

    def forward(self, x, cos, sin):
        """x [G, N, width]: G groups that attend within themselves; cos, sin [G or 1, 1, N, dim/2]."""
        G, N, width = x.shape
        q, k, v = (m(x).view(G, N, self.heads, -1).transpose(1, 2) for m in (self.q, self.k, self.v))
        q, k = rotate(q, cos.to(q.dtype), sin.to(q.dtype)), rotate(k, cos.to(q.dtype), sin.to(q.dtype))
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(G, N, width))


class Mlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = Linear(width, inner), Linear(width, inner), Linear(inner, width)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(c["hidden_size"]), RmsNorm(c["hidden_size"])
        self.attn = Attention(c["hidden_size"], c["num_heads"])
        self.mlp = Mlp(c["hidden_size"], c["intermediate_size"])


class PatchEmbed(nn.Module):
    def __init__(self, c):
        super().__init__()
        p, t = c["patch_size"], c["temporal_patch_size"]
        self.proj = nn.Conv3d(c["in_channels"], c["hidden_size"], (t, p, p), (t, p, p), bias=False)

    def forward(self, patches):
        weight = self.proj.weight.flatten(1)
        return F.linear(patches.to(Linear.compute), weight.to(Linear.compute))


class Merger(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cells = c["spatial_merge_size"] ** 2
        inner = c["hidden_size"] * self.cells
        self.ln_q = RmsNorm(c["hidden_size"])
        self.mlp = nn.ModuleList([Linear(inner, inner), nn.GELU(), Linear(inner, c["out_hidden_size"])])

    def forward(self, x):
        x = self.ln_q(x)
        return self.mlp[2](self.mlp[1](self.mlp[0](x.reshape(*x.shape[:-2], -1, x.shape[-1] * self.cells))))


def patch_places(h, w, merge):
    """(row, column) of each patch of an h x w grid, in the order (h/m, w/m, m, m): [h*w, 2]."""
    rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    places = torch.stack([rows, columns], -1).view(h // merge, merge, w // merge, merge, 2)
    return places.permute(0, 2, 1, 3, 4).reshape(-1, 2)


def windows(h, w, merge, side):
    """Indices of the patches of each window of `side` merged cells; edge windows are smaller."""
    places = patch_places(h, w, merge) // (merge * side)
    key = places[:, 0] * 10_000 + places[:, 1]
    return [torch.nonzero(key == k).flatten() for k in key.unique()]


class Visual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.patch_embed = PatchEmbed(c)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["depth"]))
        self.merger = Merger(c)

    def rope(self, h, w):
        c = self.config
        dim = c["hidden_size"] // c["num_heads"] // 2
        frequencies = 10000.0 ** (-torch.arange(0, dim, 2).float() / dim)
        angles = (patch_places(h, w, c["spatial_merge_size"]).float()[:, :, None] * frequencies).flatten(1)
        return angles.cos()[None, None], angles.sin()[None, None]

    def forward(self, patches, h, w):
        """patches [S, h*w, 1176] of S temporal slices of one grid size -> [S, h*w/4, out]."""
        c = self.config
        x = self.patch_embed(patches).float()
        cos, sin = self.rope(h, w)
        groups = windows(h, w, c["spatial_merge_size"], c["window_size"] // c["patch_size"] // c["spatial_merge_size"])
        for i, block in enumerate(self.blocks):
            y = block.norm1(x)
            if i in c["fullatt_block_indexes"] or len(groups) == 1:
                x = x + block.attn(y, cos, sin)
            else:
                out = torch.zeros_like(x)
                for g in groups:
                    out = out.index_copy(1, g, block.attn(y[:, g], cos[:, :, g], sin[:, :, g]).float())
                x = x + out
            x = x + block.mlp(block.norm2(x))
        return self.merger(x).float()
