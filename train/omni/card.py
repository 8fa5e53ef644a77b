"""Writes the model card: MODEL_DIR/README.md from measured scores and one fixed greedy sample.

    python -m omni.card MODEL_DIR SCORES.json SAMPLE_SHARD_PREFIX
"""

import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from tokenizers import Tokenizer

from omni import shards
from omni.config import read_config
from omni.evaluate import answer
from omni.features import laid_out
from omni.layout import Layout
from omni.thinker import load_thinker

CARD = """# tiny-omni

A Qwen2.5-Omni Thinker ({parameters:.2f} M parameters, bfloat16, {megabytes:.1f} MB) that reads text, pictures, sound and film of a small synthetic
world and answers about them. It was trained from nothing, on two CPU cores, by the recipe in `train/README.md`; it contains no weights of
any other model. It is loaded by the same code as Qwen2.5-Omni-7B: same architecture, file layout and prompt template.

## What it understands

The sentences of `world/` and nothing else: dialogue summaries, summaries of spoken facts (35 words, ten voices in training), rows of
twelve kinds of sound events, pictures of coloured shapes, films of one shape at a time with sounds, and questions with options about them.
Anything outside this world is answered all the same, in the world's words, and the answer then means nothing.

## Data

`train/make_data.sh`: the world's training split (exported media for the encoders and about 1,000-2,500 samples per task), and endless sketches of
the same tasks with ideal perception for the decoder (`train/omni/sketch.py`). Certain shape x colour, person x thing and sound x sound
combinations and two voices never occur in training; the `heldout` split is made of them.

## Measured

Greedy, no n-gram block, on seeds that training never saw. A sentence counts when it stands at its place, word for word. `described`
leaves out the conclusion and the final answer of questions; chance for a letter is one in three.

{table}

## Disclosed

- **Structured start.** The two bottom decoder layers are not started at random but in the shape of an induction circuit (heads that look one,
  two and three tokens back; heads that compare contents), and all their weights stay trainable (`train/omni/start.py`).
- **Shared vocabulary of the encoders.** The encoders are taught, from perception labels (what is where, what sounds when), to give sums of
  the decoder's word embeddings. The embedding table is random, with the forms of a word alike, and frozen.
- **Rotary sections.** `mrope_section` is [16, 8, 8] (time, height, width): with the 7B model's proportions the time axis of so small a head
  repeats every two seconds.
- **Mean of two ends.** The weights are .3 of those after 4,560 steps of the decoder and .7 of those after 5,680 (`train/omni/blend.py`).
- **Next-token loss alone.** Neither attention nor provenance was ever trained on: no loss sees which source a sentence rests on. The loss
  weighs conclusions x3, the answer's word x2 and its letter x6. New questions over known media are made from perception labels.

## Limits

English of this world only, in the wordings of `world/src/tasks`; sounds of 2-30 s, films of 4-16 s, prompts of up to about 800 tokens in
training. Weak: films of four and five scenes (one is skipped or told twice), finding the fact that a question asks for among what was described (a right description and a wrong
conclusion), which sound goes with which scene, options that share a word. Pictures should be 112-168 pixels a side; larger ones are scaled down.

## A fixed sample

{sample}
"""


def table(rows):
    lines = ["| task | split | samples | sentences | described | final letter | whole answer |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for r in rows:
        letter = "" if r["letter_right"] is None else f"{r['letter_right']:.2f}"
        lines.append(f"| {r['task']} | {r['split']} | {r['samples']} | {r['sentences_right']:.3f} | {r['described_right']:.3f} | {letter} "
                     f"| {r['whole_right']:.2f} |")
    return "\n".join(lines)


def main():
    model_dir, scores, prefix = sys.argv[1:4]
    model = load_thinker(model_dir)
    layout = Layout(read_config(model_dir), Tokenizer.from_file(f"{model_dir}/tokenizer.json"))
    sample, media = next(shards.samples(prefix))
    _, pieces, vectors = laid_out(model, sample, media)
    with torch.no_grad():
        got = answer(model, layout, pieces, vectors)
    shown = (f"`omnitrace world --task {sample['task']} --seed {sample['seed']}` (split {sample['split']}), greedy:\n\n> {got}\n\n"
             f"Truth: {sample['answer_text']}")
    weights = Path(model_dir) / "model.safetensors"
    with safe_open(weights, "pt") as f:
        parameters = sum(f.get_tensor(k).numel() for k in f.keys())
    text = CARD.format(parameters=parameters / 1e6, megabytes=weights.stat().st_size / 1e6, table=table(json.loads(Path(scores).read_text())),
                       sample=shown)
    (Path(model_dir) / "README.md").write_text(text)


if __name__ == "__main__":
    main()
