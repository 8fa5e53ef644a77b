#!/usr/bin/env python3
"""Compares this engine with PyTorch and transformers on the same random checkpoint, same prompt, same threads, f32.

    python -m venv venv && venv/bin/pip install -r bench/requirements.txt
    cargo build --release -p server
    venv/bin/python bench/compare.py --omnitrace target/release/omnitrace --shape 200m

Three comparisons, each in processes of its own, in turn, round by round:
  prefill     prompt to first logits; transformers with sdpa and without attentions, ours with all three signals
  attentions  prompt and answer with attmean and attraw; transformers eager with output_attentions, as the package runs it
  attgrads    one step of it in autograd (the package runs one for every token); ours is part of its traced answer
The first token must agree, or the comparison is refused.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

MASK = (1 << 64) - 1


def prompt_ids(count, vocabulary):
    """The ids of `omnitrace bench`: SplitMix64 from 7."""
    state, ids = 7, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        ids.append((z ^ (z >> 31)) % vocabulary)
    return ids


def peak_rss_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def measure(args):
    """One measurement of the Python side; prints one JSON line."""
    import torch
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration

    torch.set_num_threads(args.threads)
    eager = args.measure != "prefill"
    model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
        args.checkpoint, dtype=torch.float32, attn_implementation="eager" if eager else "sdpa"
    ).eval()
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt_ids(args.prompt, model.config.text_config.vocab_size)])
    mask = torch.ones_like(ids)

    def prefill():
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=mask, use_cache=True, logits_to_keep=1).logits[0, -1].argmax().item()

    def attentions():
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=args.answer, min_new_tokens=args.answer, do_sample=False,
            no_repeat_ngram_size=3, use_cache=True, output_attentions=True, return_dict_in_generate=True,
        )
        attmean, attraw = [], []
        for step in out.attentions:
            rows = torch.stack([layer[0, :, -1, : args.prompt] for layer in step])
            attmean.append(rows.mean(dim=(0, 1)))
            attraw.append(rows[-1].mean(dim=0))
        assert len(attmean) == args.answer
        return out.sequences[0, args.prompt].item()

    def attgrads():
        out = model(input_ids=ids, attention_mask=mask, use_cache=False, output_attentions=True)
        logits = out.logits[0, -1]
        chosen = logits.argmax()
        last = out.attentions[-1]
        (gradient,) = torch.autograd.grad(logits[chosen], last)
        (gradient[0, :, -1] * last[0, :, -1]).mean(dim=0).clamp(min=0)
        return chosen.item()

    run = {"prefill": prefill, "attentions": attentions, "attgrads": attgrads}[args.measure]
    secs = []
    for _ in range(args.rounds):
        begin = time.perf_counter()
        first = run()
        secs.append(time.perf_counter() - begin)
    print(json.dumps({"secs": secs, "peak_rss_bytes": peak_rss_bytes(), "first_token": first}))


def child(command, threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def spread(values):
    return f"{min(values):.3f} / {statistics.median(values):.3f} / {max(values):.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--omnitrace", default="target/release/omnitrace")
    parser.add_argument("--shape", default="200m")
    parser.add_argument("--checkpoint", help="made there if it is missing; a temporary one otherwise")
    parser.add_argument("--prompts", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--answer", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", default=["prefill", "attentions", "attgrads"])
    parser.add_argument("--measure", choices=["prefill", "attentions", "attgrads"], help=argparse.SUPPRESS)
    parser.add_argument("--prompt", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(args)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = args.checkpoint or temporary
        if not os.path.exists(os.path.join(checkpoint, "config.json")):
            subprocess.run([args.omnitrace, "bench", "checkpoint", "--shape", args.shape, "--out", checkpoint], check=True)
        for what in args.only:
            for prompt in args.prompts:
                compare(args, checkpoint, what, prompt)


def compare(args, checkpoint, what, prompt):
    answer = 0 if what == "prefill" else args.answer if what == "attentions" else 1
    theirs, ours, memory = [], [], []
    for _ in range(args.rounds):
        # Two readings a process: the first one warms up.
        t = child(
            [sys.executable, __file__, "--measure", what, "--checkpoint", checkpoint, "--prompt", str(prompt),
             "--answer", str(args.answer), "--rounds", "2", "--threads", str(args.threads)], args.threads)
        o = child(
            [args.omnitrace, "bench", "--json", "prefill", "--model", checkpoint, "--dtype", "f32", "--tokens", str(prompt),
             "--rounds", "2", "--answer", str(answer)], args.threads)["report"]
        if t["first_token"] != o["first_token"]:
            sys.exit(f"{what} {prompt}: the first tokens differ: {t['first_token']} and {o['first_token']}")
        theirs.append(min(t["secs"]))
        ours.append(o["secs"]["min"])
        memory.append((t["peak_rss_bytes"], o["peak_rss_bytes"]))
    ratios = [t / o for t, o in zip(theirs, ours)]
    print(f"{what}, prompt {prompt}, answer {answer}, {args.threads} threads, f32 (min / median / max of {args.rounds})")
    print(f"  transformers   {spread(theirs)} s, peak {max(t for t, _ in memory) / 1e6:.0f} MB")
    print(f"  omnitrace      {spread(ours)} s, peak {max(o for _, o in memory) / 1e6:.0f} MB")
    print(f"  theirs / ours  {spread(ratios)} in time, {spread([t / o for t, o in memory])} in peak memory", flush=True)


if __name__ == "__main__":
    main()
