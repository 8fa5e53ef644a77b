"""How the decoder starts. Disclosed in the model card: the two bottom layers are given the shape of an induction circuit.

Layer 0: heads whose query and key biases, turned by rope, attend one, two and three tokens back; they write what stood there into
subspaces of their own. Layer 1: heads that compare contents (same token; the token after an earlier occurrence) on the slow rope
frequencies only. Everything stays trainable. Written from the idea in omni/../README.md; without it the hop from an answer to its
option's letter is learnt far later.
"""

import math

import torch

from omni.targets import ONSET


def embedding_table(tokenizer, size, width, generator, std=0.3, shared=0.75):
    """Random rows; the forms of a word (`Emma`, ` Emma`, ` emma`) share most of theirs."""
    stems, rows = {}, torch.randn(size, width, generator=generator)
    for token, i in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        stem = token.removeprefix("Ġ").lower() if token.removeprefix("Ġ").isalpha() and token != ONSET else token
        if stem not in stems:
            stems[stem] = torch.randn(width, generator=generator)
        rows[i] = math.sqrt(shared) * stems[stem] + math.sqrt(1 - shared) * rows[i]
    return rows * std


def orthonormal(rows, columns, generator):
    """[rows, columns] with orthonormal rows (or columns, where there are fewer)."""
    q, _ = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), generator=generator))
    return q.T if rows < columns else q


@torch.no_grad()
def initialise(model, tokenizer, seed=0):
    """Random small weights everywhere, then the two structured layers; the decoder must have 4 query and 2 key heads of 64."""
    g = torch.Generator().manual_seed(seed)
    decoder, c = model.model, model.config["text_config"]
    width, dim = c["hidden_size"], c["head_dim"]
    for layer in decoder.layers:
        for name, p in layer.named_parameters():
            if p.ndim == 2:
                scale = 0.25 if "o_proj" in name or "down_proj" in name else 0.7
                p.copy_(torch.randn(p.shape, generator=g) * scale / math.sqrt(p.shape[1]))
            elif "bias" in name:
                p.zero_()
    table = embedding_table(tokenizer, c["vocab_size"], width, g)
    decoder.embed_tokens.weight.copy_(table)
    model.lm_head.weight.copy_(table * 0.08)

    frequencies = c["rope_theta"] ** (-torch.arange(0, dim, 2).float() / dim)
    first = decoder.layers[0].self_attn
    read = [orthonormal(dim, width, g), orthonormal(dim, width, g)]
    write = [orthonormal(width, dim, g) for _ in range(4)]
    distances, fast, strength = [1, 2, 3, 1], 10, 5.0
    for p in (first.q_proj.weight, first.k_proj.weight):
        p.mul_(0.2)
    for kv in range(2):
        first.v_proj.weight[kv * dim : (kv + 1) * dim] = read[kv]
        first.k_proj.bias[kv * dim : kv * dim + fast] = strength
    for head, distance in enumerate(distances):
        angles = distance * frequencies[:fast]
        first.q_proj.bias[head * dim : head * dim + fast] = strength * angles.cos()
        first.q_proj.bias[head * dim + dim // 2 : head * dim + dim // 2 + fast] = -strength * angles.sin()
        first.o_proj.weight[:, head * dim : (head + 1) * dim] = 0.3 * write[head]

    second = decoder.layers[1].self_attn
    slow = torch.arange(20, dim // 2)
    slow = torch.cat([slow, slow + dim // 2])
    content = [torch.randn(len(slow), dim, generator=g) * 0.28 for _ in range(2)]
    before = lambda head, kv: content[kv] @ write[head].T * 2.0
    here = lambda kv: content[kv] @ read[0] * 1.0
    second.q_proj.weight.mul_(0.1)
    second.k_proj.weight.mul_(0.1)
    second.k_proj.weight[slow] += here(0)
    second.k_proj.weight[dim + slow] += before(0, 1)
    second.q_proj.weight[slow] += here(0)
    second.q_proj.weight[dim + slow] += before(0, 0)
    second.q_proj.weight[2 * dim + slow] += here(1)
    second.q_proj.weight[3 * dim + slow] += before(1, 1)
    second.v_proj.weight.copy_(torch.cat([orthonormal(dim, width, g), orthonormal(dim, width, g)]))
    second.o_proj.weight.copy_(torch.randn(width, 4 * dim, generator=g) * 0.006)
