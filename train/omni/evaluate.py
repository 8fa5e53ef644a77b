"""Greedy answers on exported shards: sentences and whole answers exactly right, final letters right.

    python -m omni.evaluate MODEL_DIR SHARD_PREFIX... [--limit N] [--show N] [--seconds S] [--json OUT] [--vectors DIR [--only-vectors]]

MODEL_DIR is in the hub's layout (omni/export.py). No n-gram block: the world's answers repeat words of the prompt by nature.
"""

import argparse
import json
import re
import time
from pathlib import Path

import numpy as np
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
def answer(model, layout, pieces, vectors, guess="", limit=160):
    """The greedy answer's text. A `guess` only saves time: as far as it is what greedy decoding says, one pass replaces many."""
    names = {"image": "image_token_index", "video": "video_token_index", "audio": "audio_token_index"}
    ids, positions = layout.prompt(pieces)
    made = layout.tokenizer.encode(guess, add_special_tokens=False).ids
    features = {}
    for kind, value in vectors:
        features.setdefault(model.config[names[kind]], []).append(torch.from_numpy(value).float())
    prompt, start, cache = len(ids), int(positions.max()) + 1, Cache()
    places = np.concatenate([positions, np.tile(start + np.arange(len(made)), (3, 1))], 1)
    x = embed(model, torch.from_numpy(np.append(ids, made).astype(np.int64)), features)[None]
    hidden = model.model(x, torch.from_numpy(places)[:, None], cache=cache)[0, prompt - 1 :]
    said = model.lm_head(hidden).argmax(-1).tolist()
    agreed = next((k for k, token in enumerate(made) if said[k] != token), len(made))
    made, token = made[:agreed], said[agreed]
    cache.keep(prompt + agreed)
    end = layout.tokenizer.token_to_id("<|im_end|>")
    while token != end and len(made) < limit:
        made.append(token)
        x = model.model.embed_tokens(torch.tensor([[token]]))
        nothing = torch.zeros(1, 1, 1, 1, 1, dtype=x.dtype)
        hidden = model.model(x, torch.full((3, 1, 1), start + len(made) - 1), cache=cache, mask=nothing)
        token = int(model.lm_head(hidden[0, -1]).argmax())
    return layout.tokenizer.decode(made)


def sentences(text):
    return [s for s in re.split(r"(?<=[.!?])\s+", text.strip()) if s]


def letter(text):
    found = re.findall(r"\(([A-C])\)\.$", text)
    return found[-1] if found else None


def encoded(model, prefix, limit, folder):
    """Yields (sample, pieces, vectors); with a `folder` the encoders' vectors of a shard are kept there for the next decoder."""
    kept = Path(folder) / f"{Path(prefix).name}.{limit}.pt" if folder else None
    if kept and kept.exists():
        yield from torch.load(kept, weights_only=False)
        return
    made = []
    for k, (sample, media) in enumerate(shards.samples(prefix)):
        if k >= limit:
            break
        _, pieces, vectors = laid_out(model, sample, media)
        made += [(sample, pieces, vectors)] if kept else []
        yield sample, pieces, vectors
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        torch.save(made, kept)


def score(model, layout, prefix, limit, show, seconds, folder):
    """Counts over one shard. A sentence is right when it stands at its place, word for word."""
    c = dict(samples=0, whole=0, sentences=0, right=0, told=0, told_right=0, letters=0, letters_right=0)
    begun = time.time()
    for k, (sample, pieces, vectors) in enumerate(encoded(model, prefix, limit, folder)):
        if time.time() - begun > seconds:
            break
        text = answer(model, layout, pieces, vectors, guess=sample["answer_text"])
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
    p.add_argument("--seconds", type=float, default=1e9, help="per shard; the line says how many samples were reached")
    p.add_argument("--json", default="")
    p.add_argument("--vectors", default="", help="keep the encoders' vectors here: only the decoder runs the next time")
    p.add_argument("--only-vectors", action="store_true")
    args = p.parse_args()
    # A glob names both files of a shard.
    args.prefixes = list(dict.fromkeys(str(Path(n).with_suffix("")) if n.endswith((".jsonl", ".bin")) else n for n in args.prefixes))
    torch.set_num_threads(1)
    Linear.compute = torch.float32
    model = load_thinker(args.model)
    layout = Layout(read_config(args.model), Tokenizer.from_file(f"{args.model}/tokenizer.json"))
    rows = []
    for prefix in args.prefixes:
        if args.only_vectors:
            print(prefix, sum(1 for _ in encoded(model, prefix, args.limit, args.vectors)), flush=True)
            continue
        rows.append(score(model, layout, prefix, args.limit, args.show, args.seconds, args.vectors))
        print(json.dumps(rows[-1]), flush=True)
    if args.json:
        with open(args.json, "w") as out:
            json.dump(rows, out, indent=1)


if __name__ == "__main__":
    main()
