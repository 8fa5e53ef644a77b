"""Linear layers that compute in bfloat16 while training: several times faster on CPUs with AVX512-BF16."""

import torch
import torch.nn.functional as F
from torch import nn


class Linear(nn.Linear):
    """Parameters stay f32. `Linear.compute` chooses the arithmetic of all of them."""

    compute = torch.float32

    def forward(self, x):
        dtype = Linear.compute
        bias = None if self.bias is None else self.bias.to(dtype)
        return F.linear(x.to(dtype), self.weight.to(dtype), bias)
