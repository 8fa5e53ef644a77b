"""Muon for matrices, Adam for the rest, over one flat gradient that processes average.

Muon (Jordan et al. 2024; scaled as in Liu et al. 2025) learns this decoder in about half the steps of AdamW; the processes
share the orthogonalisation of the matrices.
"""

import torch
import torch.distributed as dist


def orthogonalised(g, steps=5):
    """Newton-Schulz in bfloat16: g's singular values to about 1."""
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).float()


class Optimiser:
    def __init__(self, named, matrix_lr, other_lr, decay=0.01, slow=()):
        """named: [(name, parameter)]; matrices go to Muon except tables and heads. Names that hold one of `slow` learn at 0.4 of the rate."""
        self.named = list(named)
        self.pace = [0.4 if any(part in n for part in slow) else 1.0 for n, _ in self.named]
        self.matrix_lr, self.other_lr, self.decay = matrix_lr, other_lr, decay
        self.is_matrix = [p.ndim == 2 and "lm_head" not in n and "embed" not in n and min(p.shape) > 8 for n, p in self.named]
        size = sum(p.numel() for _, p in self.named)
        self.gradient, self.first, self.second = torch.zeros(size), torch.zeros(size), torch.zeros(size)
        at = 0
        for _, p in self.named:
            p.grad = self.gradient[at : at + p.numel()].view_as(p)
            at += p.numel()
        self.steps = 0

    def state(self):
        return {"first": self.first, "second": self.second, "steps": self.steps}

    def restore(self, state):
        self.first, self.second, self.steps = state["first"], state["second"], state["steps"]

    @torch.no_grad()
    def step(self, rate):
        """One update at `rate` times the learning rates; the gradient is cleared. Returns its norm."""
        many = dist.is_initialized()
        rank, world = (dist.get_rank(), dist.get_world_size()) if many else (0, 1)
        if many:
            dist.all_reduce(self.gradient)
            self.gradient /= world
        norm = float(self.gradient.norm())
        self.gradient *= min(1.0, 1.0 / (norm + 1e-6))
        self.steps += 1
        at, update = 0, torch.zeros_like(self.gradient)
        for k, ((_, p), matrix, pace) in enumerate(zip(self.named, self.is_matrix, self.pace)):
            span = slice(at, at + p.numel())
            at += p.numel()
            g, m, v = self.gradient[span], self.first[span], self.second[span]
            if matrix:
                m.mul_(0.95).add_(g)
                if k % world == rank:
                    direction = orthogonalised((g + 0.95 * m).view_as(p))
                    update[span] = (direction * (pace * self.matrix_lr * rate * 0.2 * max(p.shape) ** 0.5)).flatten()
            else:
                m.lerp_(g, 0.1)
                v.lerp_(g * g, 0.02)
                if rank == 0:
                    scale = (1 - 0.98 ** self.steps) ** 0.5 / (1 - 0.9 ** self.steps)
                    update[span] = m * (pace * self.other_lr * rate * scale) / (v.sqrt() + 1e-8)
        if many:
            dist.all_reduce(update)
        at = 0
        for (_, p), matrix in zip(self.named, self.is_matrix):
            if matrix:
                p.mul_(1 - self.matrix_lr * rate * self.decay)
            p.sub_(update[at : at + p.numel()].view_as(p))
            at += p.numel()
        self.gradient.zero_()
        return norm
