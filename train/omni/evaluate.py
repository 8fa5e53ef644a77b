"""Greedy answers on exported shards: sentences and whole answers exactly right, final letters right.

    python -m omni.evaluate MODEL_DIR SHARD_PREFIX... [--limit N] [--show N] [--json OUT]

MODEL_DIR is in the hub's layout (omni/export.py). No n-gram block: the world's answers repeat words of the prompt by nature.
"""

import argparse
import json
import re

import torch
from tokenizers import Tokenizer

from omni import shards
from omni.config import read_config
from omni.decoder import Cache
from omni.features import laid_out
from omni.layout import Layout
from omni.linear import Linear
from omni.thinker import embed, load_thinker


@torch.no_grad()
def answer(model, layout, pieces, vectors, limit=160):
    """The greedy answer's text."""
    names = {"image": "image_token_index", "video": "video_token_index", "audio": "audio_token_index"}
    ids, positions = layout.prompt(pieces)
    features = {}
    for kind, value in vectors:
        features.setdefault(model.config[names[kind]], []).append(torch.from_numpy(value).float())
    x = embed(model, torch.from_numpy(ids), features)[None]
    at, cache, made = int(positions.max()) + 1, Cache(), []
    hidden = model.model(x, torch.from_numpy(positions)[:, None], cache=cache)
    end = layout.tokenizer.token_to_id("<|im_end|>")
    while len(made) < limit:
        token = int(model.lm_head(hidden[0, -1]).argmax())
        if token == end:
            break
        made.append(token)
        x = model.model.embed_tokens(torch.tensor([[token]]))
        nothing = torch.zeros(1, 1, 1, 1, 1, dtype=x.dtype)
        hidden = model.model(x, torch.full((3, 1, 1), at), cache=cache, mask=nothing)
        at += 1
    return layout.tokenizer.decode(made)


def sentences(text):
    return [s for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s]


def letter(text):
    found = re.findall(r"\(([A-C])\)\.$", text)
    return found[-1] if found else None


def score(model, layout, prefix, limit, show):
    """Counts over one shard. A sentence is right when it stands at its place, word for word."""
    c = dict(samples=0, whole=0, sentences=0, right=0, told=0, told_right=0, letters=0, letters_right=0)
    for k, (sample, media) in enumerate(shards.samples(prefix)):
        if k >= limit:
            break
        _, pieces, vectors = laid_out(model, sample, media)
        text = answer(model, layout, pieces, vectors)
        got, meant = sentences(text), sample["answer"]
        hits = [i < len(got) and got[i] == m for i, m in enumerate(meant)]
        c["samples"] += 1
        c["whole"] += text == sample["answer_text"]
        c["sentences"] += len(meant)
        c["right"] += sum(hits)
        if sample["option_letter"]:
            hits = hits[:-2]
            c["letters"] += 1
            c["letters_right"] += letter(text) == sample["option_letter"]
        c["told"] += len(hits)
        c["told_right"] += sum(hits)
        if k < show:
            print(f"  wanted {sample['answer_text']}\n  got    {text}", flush=True)
    rate = lambda a, b: round(c[a] / c[b], 3) if c[b] else None
    return {"task": sample["task"], "split": sample["split"], "samples": c["samples"], "sentences_right": rate("right", "sentences"),
            "described_right": rate("told_right", "told"), "letter_right": rate("letters_right", "letters"),
            "whole_right": rate("whole", "samples")}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("prefixes", nargs="+")
    p.add_argument("--limit", type=int, default=100)
    p.add_argument("--show", type=int, default=0)
    p.add_argument("--json", default="")
    args = p.parse_args()
    torch.set_num_threads(1)
    Linear.compute = torch.float32
    model = load_thinker(args.model)
    layout = Layout(read_config(args.model), Tokenizer.from_file(f"{args.model}/tokenizer.json"))
    rows = []
    for prefix in args.prefixes:
        rows.append(score(model, layout, prefix, args.limit, args.show))
        print(json.dumps(rows[-1]), flush=True)
    if args.json:
        with open(args.json, "w") as out:
            json.dump(rows, out, indent=1)


if __name__ == "__main__":
    main()
