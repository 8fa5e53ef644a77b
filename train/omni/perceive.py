"""Stage 1: an encoder alone, taught by perception labels (omni/targets.py) by mean squared error.

    python -m omni.perceive vision|audio --cache DIR --minutes M [--resume]

Reads CACHE/shards/p-*.jsonl (dense samples) and t-*.jsonl (the tasks' own media); writes CACHE/vision.pt or CACHE/audio.pt.
"""

import argparse
import glob
import os
import random
import time

import numpy as np
import torch
from tokenizers import Tokenizer

from omni import shards, words
from omni.config import normalised, tiny_config
from omni.linear import Linear
from omni.optimise import Optimiser
from omni.preprocess import audio_tokens, log_mel, patches
from omni.start import initialise
from omni.targets import Targets
from omni.thinker import Thinker


def pictures(prefixes, targets):
    """size -> [(u8 [2 or 1, H, W, 3], wanted [cells, D])]."""
    found = {}
    for prefix in prefixes:
        for sample, media in shards.samples(prefix):
            images, films = iter(sample["labels"]["images"]), iter(sample["labels"]["videos"])
            for kind, value in media:
                if kind == "image":
                    h, w = value.shape[0] // 28, value.shape[1] // 28
                    found.setdefault((h, w), []).append((value[None], ("image", shards.objects(next(images)))))
                elif kind == "video":
                    frames = [shards.objects(f) for f in next(films)["frames"]]
                    for k in range(0, len(frames), 2):
                        found.setdefault((4, 4), []).append((value[0][k : k + 2], ("film", frames[k : k + 2])))
    return found


def wanted_picture(targets, label, h, w):
    kind, value = label
    return targets.picture(value, h, w) if kind == "image" else targets.film(value, h, w)[0]


def sounds(prefixes):
    """[(mel f16 [frames, 128], segments)]."""
    found = []
    for prefix in prefixes:
        for sample, media in shards.samples(prefix):
            heard, films = iter(sample["labels"]["audios"]), iter(sample["labels"]["videos"])
            for kind, value in media:
                if kind == "audio":
                    found.append((log_mel(value).half(), next(heard)))
                elif kind == "video":
                    found.append((log_mel(value[1]).half(), next(films)["events"]))
    return found


class Vision:
    def __init__(self, model, targets, prefixes, checks):
        self.model, self.targets, self.data, self.checks = model, targets, pictures(prefixes, targets), pictures(checks, targets)
        self.sizes = list(self.data)
        self.counts = [len(self.data[s]) for s in self.sizes]

    def batch(self, rng, data=None, size=None, count=48):
        size = size or rng.choices(self.sizes, self.counts)[0]
        some = rng.sample((data or self.data)[size], min(count, len((data or self.data)[size])))
        rows = torch.cat([patches(frames) for frames, _ in some])
        wanted = np.stack([wanted_picture(self.targets, label, *size) for _, label in some])
        return rows, size, torch.from_numpy(wanted).float()

    def outputs(self, batch):
        rows, (h, w), wanted = batch
        return self.model.visual(rows, 2 * h, 2 * w).flatten(0, 1), wanted.flatten(0, 1)

    def check(self):
        rng, right, total = random.Random(0), np.zeros(4), 0
        for size in self.checks:
            out, wanted = self.outputs(self.batch(rng, self.checks, size, 10**6))
            groups = [words.SHAPES, words.COLOURS, ["top", "bottom"], ["left", "right"]]
            there = (wanted - torch.from_numpy(self.targets.unseen)).abs().amax(-1) > 1e-3
            for k, names in enumerate(groups):
                table = torch.from_numpy(np.stack([self.targets.word(n) for n in names]))
                right[k] += int(((out @ table.T).argmax(-1) == (wanted @ table.T).argmax(-1))[there].sum())
            total += int(there.sum())
        return "shape {:.3f} colour {:.3f} vertical {:.3f} horizontal {:.3f}".format(*(right / total))


class Audio:
    def __init__(self, model, targets, prefixes, checks):
        self.model, self.targets, self.data, self.checks = model, targets, sounds(prefixes), sounds(checks)

    def batch(self, rng, data=None, count=12):
        some = rng.sample(data or self.data, min(count, len(data or self.data)))
        mels = [mel.float() for mel, _ in some]
        wanted = np.concatenate([self.targets.sound(s, audio_tokens(len(m))) for m, s in some])
        return mels, torch.from_numpy(wanted).float()

    def outputs(self, batch):
        return torch.cat(self.model.audio_tower(batch[0])), batch[1]

    def check(self):
        out, wanted = self.outputs(self.batch(random.Random(0), self.checks, 10**6))
        names = [*words.EVENTS, *words.NAMES, *words.VERBS, *words.OBJECTS, *words.PLACES, "a", "at", "the"]
        table = np.stack([self.targets.unheard] + [self.targets.word(n) for n in names])
        table = torch.from_numpy(table)
        best, meant = ((x @ table.T - 0.5 * (table**2).sum(-1)).argmax(-1) for x in (out, wanted))
        parts = [("nothing", meant == 0), ("events", (meant > 0) & (meant <= 12)), ("words", meant > 12)]
        return " ".join(f"{n} {float((best == meant)[m].float().mean()):.3f}" for n, m in parts)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["vision", "audio"])
    p.add_argument("--cache", required=True)
    p.add_argument("--minutes", type=float, default=10)
    p.add_argument("--resume", action="store_true")
    p.add_argument("--lr", type=float, default=3e-3)
    p.add_argument("--first-letters", default="pt", help="p: dense samples only; pt: the tasks' media as well")
    args = p.parse_args()
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(f"{args.cache}/tok/tokenizer.json")
    model = Thinker(normalised(tiny_config()))
    initialise(model, tokenizer)
    targets = Targets(model.model.embed_tokens.weight.detach().numpy(), tokenizer)
    Linear.compute = torch.bfloat16
    kinds = ("image", "video") if args.what == "vision" else ("event", "speech", "audio", "video")
    names = [f[: -len(".jsonl")] for f in sorted(glob.glob(f"{args.cache}/shards/*.jsonl"))]
    fitting = [n for n in names if any(k in os.path.basename(n) for k in kinds)]
    prefixes = [n for n in fitting if os.path.basename(n)[0] in args.first_letters]
    checks = [n for n in fitting if os.path.basename(n)[0] == "e"]
    trainer = (Vision if args.what == "vision" else Audio)(model, targets, prefixes, checks)
    part = model.visual if args.what == "vision" else model.audio_tower
    optimiser = Optimiser([(n, q) for n, q in part.named_parameters() if "bos_eos" not in n], args.lr, args.lr)
    if args.resume:
        part.load_state_dict(torch.load(f"{args.cache}/{args.what}.pt"))
    rng, begun, step, kept = random.Random(time.time()), time.time(), 0, 0.0
    print(f"{time.strftime('%H:%M:%S')} data {prefixes} {checks}", flush=True)
    spread = float(np.mean(targets.table**2))
    while (spent := (time.time() - begun) / 60 / args.minutes) < 1:
        out, wanted = trainer.outputs(trainer.batch(rng))
        loss = ((out - wanted) ** 2).mean() / spread
        loss.backward()
        optimiser.step(min(1, (step + 1) / 30) * min(1.0, (1 - spent) / 0.5))
        step += 1
        kept = 0.95 * kept + 0.05 * float(loss.detach()) if step > 1 else float(loss.detach())
        if step % 50 == 0:
            with torch.no_grad():
                print(f"{time.strftime('%H:%M:%S')} step {step} loss {kept:.4f} {trainer.check() if step % 100 == 0 else ''}", flush=True)
        if step % 200 == 0:
            torch.save(part.state_dict(), f"{args.cache}/{args.what}.pt")
    torch.save(part.state_dict(), f"{args.cache}/{args.what}.pt")
    with torch.no_grad():
        print("final", trainer.check(), flush=True)


if __name__ == "__main__":
    main()
