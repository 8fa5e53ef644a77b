#!/usr/bin/env python3
"""Compares this engine with PyTorch and transformers on the same random checkpoint, same prompt, same threads, f32;
on a GPU (`--device cuda`, both in bf16) too.

    python -m venv venv && venv/bin/pip install -r bench/requirements.txt
    cargo build --release -p server
    venv/bin/python bench/compare.py --omnitrace target/release/omnitrace --shape 200m

Three comparisons, each in processes of its own, in turn, round by round:
  prefill     prompt to first logits; transformers with sdpa and without attentions, ours with all three signals
  attentions  prompt and answer with attmean and attraw; transformers eager with output_attentions, as the package runs it
  attgrads    one step of it in autograd (the package runs one for every token); ours is part of its traced answer
On the CPU the first token must agree, or the comparison is refused; in bf16 it is only told whether it does.
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
WHAT = ["prefill", "plain", "attentions", "attgrads"]


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


def used_device_bytes():
    """Of the first GPU, by everybody: the caller sees to it that nobody else uses it."""
    out = subprocess.run(
        ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True)
    return int(out.stdout.split()[0]) * 2**20 if out.returncode == 0 else 0


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
    on_gpu = args.device == "cuda"
    model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
        args.checkpoint, dtype=torch.bfloat16 if on_gpu else torch.float32, device_map=args.device,
        attn_implementation="eager" if eager else "sdpa",
    ).eval()
    model.generation_config.eos_token_id = None
    ids = torch.tensor([prompt_ids(args.prompt, model.config.text_config.vocab_size)], device=args.device)
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

    def plain():
        """What they take for an answer when nothing is traced."""
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=args.answer, min_new_tokens=args.answer, do_sample=False,
            no_repeat_ngram_size=3, use_cache=True,
        )
        return out[0, args.prompt].item()

    run = {"prefill": prefill, "plain": plain, "attentions": attentions, "attgrads": attgrads}[args.measure]
    secs = []
    for _ in range(args.rounds):
        begin = time.perf_counter()
        first = run()
        if on_gpu:
            torch.cuda.synchronize()
        secs.append(time.perf_counter() - begin)
    print(json.dumps({"secs": secs, "peak_rss_bytes": peak_rss_bytes(), "first_token": first}))


def child(command, threads, on_gpu):
    """Its last line of JSON, and the most memory of the GPU that was in use while it ran, looked at ten times a second."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), RAYON_NUM_THREADS=str(threads))
    before = used_device_bytes() if on_gpu else 0
    most = before
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while True:
        try:
            out, err = process.communicate(timeout=0.1 if on_gpu else None)
            break
        except subprocess.TimeoutExpired:
            most = max(most, used_device_bytes())
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{err[-2000:]}")
    return json.loads(out.strip().splitlines()[-1]), most - before


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
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: `omnitrace` must be built for it")
    parser.add_argument("--only", nargs="+", choices=WHAT, default=["prefill", "attentions", "attgrads"])
    parser.add_argument("--measure", choices=WHAT, help=argparse.SUPPRESS)
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
    answer = {"prefill": 0, "plain": args.answer, "attentions": args.answer, "attgrads": 1}[what]
    on_gpu = args.device == "cuda"
    dtype = "bf16" if on_gpu else "f32"
    same = True
    theirs, ours, memory = [], [], []
    for _ in range(args.rounds):
        # Two readings a process: the first one warms up.
        t, theirs_on_gpu = child(
            [sys.executable, __file__, "--measure", what, "--checkpoint", checkpoint, "--prompt", str(prompt),
             "--answer", str(args.answer), "--rounds", "2", "--threads", str(args.threads), "--device", args.device], args.threads, on_gpu)
        o, ours_on_gpu = child(
            [args.omnitrace, "bench", "--json", "prefill", "--model", checkpoint, "--dtype", dtype, "--tokens", str(prompt),
             "--rounds", "2", "--answer", str(answer)], args.threads, on_gpu)
        o = o["report"]
        same &= t["first_token"] == o["first_token"]
        if not same and not on_gpu:
            sys.exit(f"{what} {prompt}: the first tokens differ: {t['first_token']} and {o['first_token']}")
        theirs.append(min(t["secs"]))
        ours.append(o["secs"]["min"])
        memory.append((theirs_on_gpu, ours_on_gpu) if on_gpu else (t["peak_rss_bytes"], o["peak_rss_bytes"]))
    ratios = [t / o for t, o in zip(theirs, ours)]
    print(f"{what}, prompt {prompt}, answer {answer}, {args.threads} threads, {args.device}, {dtype} (min / median / max of {args.rounds})")
    print(f"  transformers   {spread(theirs)} s, peak {max(t for t, _ in memory) / 1e6:.0f} MB")
    print(f"  omnitrace      {spread(ours)} s, peak {max(o for _, o in memory) / 1e6:.0f} MB")
    print(f"  theirs / ours  {spread(ratios)} in time, {spread([t / max(o, 1) for t, o in memory])} in peak memory")
    print(f"  first tokens   {'the same' if same else 'differ'}", flush=True)


if __name__ == "__main__":
    main()
