"""Stage 2: the decoder learns to answer, by next-token loss on the answers alone; the encoders stay as they are.

    python -m omni.learn --cache DIR --until HH:MM [--processes 2] [--features DIR] [--mix task=share,...] [--resume NAME]

Without --features the media are ideal perception (omni/sketch.py), fresh for every step; with it they are the encoders' own vectors of
exported shards (omni/features.py), mixed in at --real. Writes CACHE/NAME.pt now and then; --resume goes on from there.
"""

import argparse
import datetime
import os
import random
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer

from omni import sketch
from omni.config import normalised, tiny_config
from omni.episodes import Builder, collate
from omni.layout import Layout
from omni.linear import Linear
from omni.optimise import Optimiser
from omni.start import initialise
from omni.targets import Targets
from omni.thinker import Thinker

MIX = "dialogue=.07,speech=.09,audio-qa=.11,visual-qa=.17,video-qa=.22,mixed=.02,matching=.18,lookup=.14"


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--cache", required=True)
    p.add_argument("--until", default="", help="local time HH:MM at which the learning rate has reached its end")
    p.add_argument("--for-minutes", type=float, default=60, help="in place of --until")
    p.add_argument("--processes", type=int, default=1)
    p.add_argument("--features", default="")
    p.add_argument("--real", type=float, default=0.8)
    p.add_argument("--mix", default=MIX)
    p.add_argument("--questions", type=int, default=4, help="asked about the same media, side by side")
    p.add_argument("--lookups", type=float, default=0.15, help="share of the exported samples asked with their description given")
    p.add_argument("--tokens", type=int, default=2400, help="per process and step")
    p.add_argument("--micro", type=int, default=2000)
    p.add_argument("--matrix-lr", type=float, default=1e-3)
    p.add_argument("--other-lr", type=float, default=1e-3)
    p.add_argument("--decay-from", type=float, default=0.6, help="share of the time after which the rate falls")
    p.add_argument("--steps", type=int, default=10**9)
    p.add_argument("--port", default="29533", help="for the processes to meet")
    p.add_argument("--name", default="decoder")
    p.add_argument("--resume", default="", help="name of the checkpoint to go on from")
    return p.parse_args()


def seconds_until(clock, now=None):
    """Up to twelve hours ahead, on the next day too; below 0 where that time has just been."""
    hour, minute = map(int, clock.split(":"))
    now = now or datetime.datetime.now()
    seconds = (now.replace(hour=hour, minute=minute, second=0, microsecond=0) - now).total_seconds()
    return (seconds + 43200) % 86400 - 43200


class Source:
    """Draws episodes by the mix."""

    def __init__(self, args, builder, seed):
        self.rng, self.noise = random.Random(seed), np.random.default_rng(seed)
        shares = dict(part.split("=") for part in args.mix.split(","))
        self.tasks, self.shares = list(shares), [float(s) for s in shares.values()]
        self.args, self.builder = args, builder
        self.real = {}
        if args.features:
            from omni.features import Store
            self.real = {t: Store(args.features, t) for t in self.tasks if Store.exists(args.features, t)}

    def episode(self):
        task = self.rng.choices(self.tasks, self.shares)[0]
        if task in self.real and self.rng.random() < self.args.real:
            lookups = 3 * self.args.questions if self.rng.random() < self.args.lookups else 0
            return self.builder.episode(*self.real[task].draw(self.rng, self.args.questions, lookups))
        found = sketch.sample(task, self.rng, self.args.questions)
        pieces, vectors = self.builder.pieces(found, self.noise)
        return self.builder.episode(found, pieces, vectors)

    def batches(self, tokens, micro):
        """Episodes of about `tokens` in all, by length, in parts of at most `micro` padded tokens."""
        drawn, total = [], 0
        while total < tokens:
            drawn.append(self.episode())
            total += len(drawn[-1].ids)
        drawn.sort(key=lambda e: len(e.ids))
        parts = [[]]
        for e in drawn:
            if parts[-1] and (len(parts[-1]) + 1) * len(e.ids) > micro:
                parts.append([])
            parts[-1].append(e)
        return parts


def losses(model, table, part):
    """Sum of weighted losses, sum of weights, and (right, all) per kind of token."""
    x, positions, rows, wanted, weights, mask = collate(part, table)
    hidden = model.model(x, positions, rows=rows, mask=mask)
    logits = model.lm_head(hidden).float()
    each = F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="none") * weights.flatten()
    with torch.no_grad():
        right = (logits.argmax(-1) == wanted) & (weights > 0.1)
    return each.sum(), right, weights


def worker(rank, args):
    torch.set_num_threads(1)
    if args.processes > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", args.port)
        dist.init_process_group("gloo", rank=rank, world_size=args.processes)
    config = normalised(tiny_config())
    tokenizer = Tokenizer.from_file(f"{args.cache}/tok/tokenizer.json")
    model = Thinker(config)
    initialise(model, tokenizer)
    Linear.compute = torch.bfloat16
    table = model.model.embed_tokens.weight.detach()
    builder = Builder(Layout(config, tokenizer), Targets(table.numpy(), tokenizer))
    trained = [(n, p) for n, p in model.named_parameters() if n.startswith(("model.layers", "model.norm", "lm_head"))]
    # The structured layers change slowly: at the full rate what they are for is lost again (LOG.md).
    optimiser = Optimiser(trained, args.matrix_lr, args.other_lr, slow=("layers.0.self_attn", "layers.1.self_attn"))
    if args.resume:
        state = torch.load(f"{args.cache}/{args.resume}.pt")
        model.load_state_dict(state["model"], strict=False)
        optimiser.restore(state["optimiser"])
    average = {n: p.detach().clone() for n, p in trained}
    source = Source(args, builder, seed=int(time.time()) % 10**6 * 7 + rank)
    begun, planned = time.time(), max(60.0, seconds_until(args.until) if args.until else 60 * args.for_minutes)
    counts, tokens, shown, step = {}, 0, time.time(), 0
    while step < args.steps:
        spent = (time.time() - begun) / planned
        if args.processes > 1:  # all processes stop at the same step
            clock = torch.tensor([spent])
            dist.broadcast(clock, 0)
            spent = float(clock)
        if spent >= 1:
            break
        warm = min(1.0, (step + 1) / (5 if args.resume else 60))
        rate = warm * min(1.0, max(0.02, (1 - spent) / (1 - args.decay_from)))
        parts = source.batches(args.tokens, args.micro)
        whole = sum(float(w.sum()) for part in parts for e in part for w in e.weights)
        for part in parts:
            loss, right, weights = losses(model, table, part)
            (loss / whole).backward()
            tokens += sum(len(e.ids) for e in part)
            for b, e in enumerate(part):
                c = counts.setdefault(e.task, np.zeros(6))
                some = weights[b] > 0.1
                c += [int(right[b].sum()), int(some.sum()), int((right[b] & (weights[b] == 6)).sum()),
                      int((weights[b] == 6).sum()), int((right[b] & (weights[b] == 3)).sum()), int((weights[b] == 3).sum())]
        norm = optimiser.step(rate)
        step += 1
        with torch.no_grad():
            keep = min(0.99, 1 - 1 / (step + 3))
            for n, p in trained:
                average[n].lerp_(p, 1 - keep)
        if rank == 0 and (step % 25 == 0):
            parts = [f"{t} {c[0] / max(1, c[1]):.3f}" + (f" letter {c[2] / c[3]:.2f}" if c[3] else "")
                     + (f" concl {c[4] / c[5]:.2f}" if c[5] else "") for t, c in sorted(counts.items())]
            pace = tokens * args.processes / (time.time() - shown)
            print(f"{time.strftime('%H:%M:%S')} step {optimiser.steps} rate {rate:.2f} norm {norm:.2f} {pace:.0f} tok/s | "
                  + " | ".join(parts), flush=True)
            counts, tokens, shown = {}, 0, time.time()
        if rank == 0 and step % 40 == 0:
            save(args, model, average, optimiser)
    if rank == 0:
        save(args, model, average, optimiser)


def save(args, model, average, optimiser):
    kept = {n: p for n, p in model.state_dict().items() if not n.startswith(("visual", "audio_tower"))}
    path = f"{args.cache}/{args.name}.pt"
    torch.save({"model": kept, "average": average, "optimiser": optimiser.state()}, path + ".new")
    os.replace(path + ".new", path)


def main():
    args = parse()
    if args.processes > 1:
        torch.multiprocessing.spawn(worker, (args,), nprocs=args.processes)
    else:
        worker(0, args)


if __name__ == "__main__":
    main()
