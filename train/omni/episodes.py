"""Samples -> padded training batches: ids, positions, media vectors, targets with weights, and who may see whom."""

import numpy as np
import torch

from omni.preprocess import audio_tokens

CONCLUSION, LETTER, WORD = 3.0, 6.0, 2.0


class Episode:
    """One sample, laid out: a prompt, then one or more answers (each with its question) that see the prompt and themselves."""

    __slots__ = ("task", "ids", "positions", "vectors", "targets", "weights", "branch")


def answer_weights(sentences, letter, encoding, only_letters):
    """One weight per token of the answer: the final sentences count more, since little else teaches the question's hop."""
    weights = np.ones(len(encoding.ids), np.float32)
    text = " ".join(sentences)
    if only_letters:
        weights[:] = 0.02
        for k, (a, b) in enumerate(encoding.offsets):
            if b - a == 1 and text[a - 1 : a] == "(":
                weights[k] = LETTER
    elif letter:
        last = len(text) - len(sentences[-1])
        middle = last - 1 - len(sentences[-2])
        for k, (a, _) in enumerate(encoding.offsets):
            if a >= last:
                weights[k] = LETTER if text[a - 1 : a] == "(" else WORD
            elif a >= middle:
                weights[k] = CONCLUSION
    return weights


class Builder:
    def __init__(self, layout, targets):
        self.layout, self.targets = layout, targets
        self.end = layout.tokenizer.token_to_id("<|im_end|>")

    def pieces(self, sample, noise=None):
        """Pieces for the layout, and the media vectors in the decoder's order (ideal, with `noise`)."""
        pieces, vectors = [], []
        for kind, value in sample["pieces"]:
            if kind == "text":
                pieces.append((kind, value))
            elif kind == "image":
                w, h = (n // 28 for n in value["size"])
                pieces.append((kind, (h, w)))
                vectors.append(("image", self.targets.picture(value["objects"], h, w)))
            elif kind == "audio":
                tokens = audio_tokens(round(value["secs"] * 100))
                pieces.append((kind, tokens))
                vectors.append(("audio", self.targets.sound(value["segments"], tokens)))
            else:
                tokens, slices = audio_tokens(round(value["secs"] * 100)), len(value["frames"]) // 2
                pieces.append((kind, (slices, 4, 4, 1.0, tokens)))
                vectors.append(("video", self.targets.film(value["frames"], 4, 4).reshape(slices * 16, -1)))
                vectors.append(("audio", self.targets.sound(value["segments"], tokens)))
        if noise is not None:
            vectors = [(k, blurred(v, noise)) for k, v in vectors]
        return pieces, vectors

    def episode(self, sample, pieces, vectors):
        """vectors: [(kind, [n, D])] in prompt order; film and its sound are interleaved by the ids."""
        config, tokenizer = self.layout.config, self.layout.tokenizer
        made = Episode()
        made.task = sample["task"]
        questions = sample["branches"]
        ids, positions, branch, targets, weights = [], [], [], [], []
        shared = pieces if len(questions) > 1 else pieces + [("text", questions[0][0])]
        base, place = self.layout.prompt(shared)
        if len(questions) > 1:  # the tail belongs to the branches
            tail = len(tokenizer.encode(TAIL_TEXT, add_special_tokens=False).ids)
            base, place = base[:-tail], place[:, :-tail]
        ids.append(base)
        positions.append(place)
        branch.append(np.zeros(len(base), np.int64))
        start = place.max() + 1
        for k, (question, sentences, letter) in enumerate(questions):
            head = tokenizer.encode(question + TAIL_TEXT, add_special_tokens=False).ids if len(questions) > 1 else []
            encoding = tokenizer.encode(" ".join(sentences), add_special_tokens=False)
            answer = encoding.ids + [self.end]
            weight = np.append(answer_weights(sentences, letter, encoding, sample["task"] == "matching"), 1.0)
            row = np.array(head + answer[:-1], np.int64)
            ids.append(row)
            positions.append(np.tile(start + np.arange(len(row)), (3, 1)))
            branch.append(np.full(len(row), k + 1))
            first = sum(map(len, ids)) - len(answer)
            targets.append((first, answer))
            weights.append(weight)
        made.ids = np.concatenate(ids)
        made.positions = np.concatenate(positions, 1)
        made.branch = np.concatenate(branch) if len(questions) > 1 else None
        made.vectors = {}
        names = {"image": "image_token_index", "video": "video_token_index", "audio": "audio_token_index"}
        for kind, value in vectors:
            made.vectors.setdefault(config[names[kind]], []).append(value)
        made.vectors = {k: np.concatenate(v).astype(np.float32) for k, v in made.vectors.items()}
        made.targets, made.weights = targets, weights
        return made


TAIL_TEXT = "<|im_end|>\n<|im_start|>assistant\n"


def blurred(vectors, rng, spread=0.35, dropped=0.04):
    """Ideal vectors made as uncertain as an encoder's: noise, and now and then a neighbour's vector."""
    scale = vectors.std()
    out = vectors + rng.normal(0, spread * scale, vectors.shape)
    lost = rng.random(len(out)) < dropped
    out[lost] = vectors[rng.integers(0, len(out), lost.sum())]
    return out


def collate(episodes, table):
    """-> x [B, L, D], positions [3, B, L], rows [B, R], wanted [B, R], weights [B, R], mask [B, 1, 1, L, L] or None."""
    B, L = len(episodes), max(len(e.ids) for e in episodes)
    R = max(sum(len(a) for _, a in e.targets) for e in episodes)
    ids = torch.zeros(B, L, dtype=torch.long)
    positions = torch.zeros(3, B, L, dtype=torch.long)
    rows, wanted = torch.zeros(B, R, dtype=torch.long), torch.zeros(B, R, dtype=torch.long)
    weights = torch.zeros(B, R)
    branches = torch.zeros(B, L, dtype=torch.long) if any(e.branch is not None for e in episodes) else None
    for b, e in enumerate(episodes):
        n = len(e.ids)
        ids[b, :n] = torch.from_numpy(e.ids)
        positions[:, b, :n] = torch.from_numpy(e.positions)
        if e.branch is not None:
            branches[b, :n] = torch.from_numpy(e.branch)
        at = 0
        for (first, answer), weight in zip(e.targets, e.weights):
            span = slice(at, at + len(answer))
            rows[b, span] = torch.arange(first, first + len(answer))
            wanted[b, span] = torch.tensor(answer)
            weights[b, span] = torch.from_numpy(weight).float()
            at += len(answer)
    x = table[ids]
    for b, e in enumerate(episodes):
        for token, vectors in e.vectors.items():
            x[b, ids[b] == token] = torch.from_numpy(vectors)
    mask = None
    if branches is not None:
        seen = (branches[:, None, :] == 0) | (branches[:, None, :] == branches[:, :, None])
        seen &= torch.ones(L, L, dtype=torch.bool).tril()
        mask = torch.where(seen, 0.0, -1e4).to(torch.bfloat16)[:, None, None]
    return x, positions, rows, wanted, weights, mask
