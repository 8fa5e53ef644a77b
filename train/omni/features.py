"""The encoders' own vectors of exported shards, computed once.

    python -m omni.features --cache DIR --model DIR_OR_CACHE --prefix t-   ->  CACHE/features/TASK.*.pt
"""

import argparse
import glob
import os
import random

import numpy as np
import torch

from omni import shards, sketch
from omni.config import normalised, tiny_config
from omni.linear import Linear
from omni.preprocess import audio_tokens, log_mel, patches
from omni.thinker import Thinker


@torch.no_grad()
def encode(model, kind, value):
    """-> pieces of the layout's form, and [(kind, vectors f32 [n, D])]."""
    if kind == "image":
        h, w = value.shape[0] // 14, value.shape[1] // 14
        return (kind, (h // 2, w // 2)), [(kind, model.visual(patches(value[None]), h, w)[0].numpy())]
    if kind == "audio":
        return (kind, audio_tokens(-(-len(value) // 160))), [(kind, model.audio_tower([log_mel(value)])[0].numpy())]
    frames, sound = value
    h, w = frames.shape[1] // 14, frames.shape[2] // 14
    film = model.visual(patches(frames), h, w)
    heard = model.audio_tower([log_mel(sound)])[0].numpy()
    vectors = [(kind, film.flatten(0, 1).numpy()), ("audio", heard)]
    return (kind, (len(film), h // 2, w // 2, 1.0, len(heard))), vectors


def laid_out(model, sample, media):
    """A shard's sample -> (sketch form with the text pieces only, pieces, vectors)."""
    pieces, vectors, shown = [("text", sample["prompt"])], [], iter(media)
    for block in sample["blocks"]:
        if block["kind"] == "text":
            pieces.append(("text", block["text"]))
        else:
            piece, made = encode(model, *next(shown))
            pieces.append(piece)
            vectors += made
    form = {"task": sample["task"], "branches": [("", sample["answer"], sample["option_letter"])]}
    return form, pieces, vectors


class Store:
    """Samples of one task with the encoders' vectors; questions are asked anew over the same media."""

    def __init__(self, folder, task):
        self.task, self.kept = task, []
        for path in sorted(glob.glob(f"{folder}/{task}.*.pt")):
            self.kept += torch.load(path, weights_only=False)

    @staticmethod
    def exists(folder, task):
        return bool(glob.glob(f"{folder}/{task}.*.pt"))

    def draw(self, rng, questions=1, lookups=0):
        """One sample; where it asks a question, `questions` new ones over the same media, or `lookups` with the description given."""
        form, pieces, vectors, labels = rng.choice(self.kept)
        if labels:
            form, pieces = asked_anew(rng, form, pieces, labels, lookups or questions)
            if lookups:
                pieces = pieces + [sketch.told(form["branches"][0][1][:-2])]
                form["branches"] = [(question, answer[-2:], letter) for question, answer, letter in form["branches"]]
        return form, pieces, [(k, v.astype(np.float32)) for k, v in vectors]


def question_parts(sample):
    """What a new question needs to know of a QA sample: labels only."""
    labels, task = sample["labels"], sample["task"]
    if task == "audio-qa":
        return {"events": [s[2] for s in labels["audios"][0]]}
    if task == "visual-qa":
        seen = []
        for image, found in enumerate(labels["images"]):
            for shape, colour, (x0, y0, x1, y1) in shards.objects(found):
                seen.append((image, 2 * (y0 + y1 > 1) + (x0 + x1 > 1), (shape, colour)))
        return {"images": len(labels["images"]), "seen": seen}
    if task == "video-qa":
        film = labels["videos"][0]
        heard = [next((e[2] for e in film["events"] if s[0] <= e[0] < s[1]), None) for s in film["scenes"]]
        return {"scenes": [((s[2], s[3]), 0) for s in film["scenes"]], "heard": heard}
    return None


def asked_anew(rng, form, pieces, labels, questions):
    (_, answer, _), task = form["branches"][0], form["task"]
    told, branches = answer[:-2], []
    for _ in range(questions):
        if task == "audio-qa":
            branches.append(sketch.audio_question(rng, labels["events"], told))
        elif task == "visual-qa":
            branches.append(sketch.visual_question(rng, labels["images"], labels["seen"], told))
        else:
            branches.append(sketch.video_question(rng, labels["scenes"], labels["heard"], told))
    # The instruction is the first text, the old question the last.
    return {"task": task, "branches": branches}, [("text", rng.choice(sketch.PROMPTS[task])), *pieces[1:-1]]


def load_encoders(cache):
    model = Thinker(normalised(tiny_config()))
    for name, part in (("vision", model.visual), ("audio", model.audio_tower)):
        part.load_state_dict(torch.load(f"{cache}/{name}.pt"))
    return model.eval()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--cache", required=True)
    p.add_argument("--prefix", default="t-")
    p.add_argument("--only", default="", help="only shards whose name holds this")
    args = p.parse_args()
    torch.set_num_threads(1)
    Linear.compute = torch.bfloat16
    model = load_encoders(args.cache)
    os.makedirs(f"{args.cache}/features", exist_ok=True)
    for path in sorted(glob.glob(f"{args.cache}/shards/{args.prefix}*{args.only}*.jsonl")):
        kept = []
        for sample, media in shards.samples(path[: -len(".jsonl")]):
            form, pieces, vectors = laid_out(model, sample, media)
            kept.append((form, pieces, [(k, v.astype(np.float16)) for k, v in vectors], question_parts(sample)))
        name = os.path.basename(path)[: -len(".jsonl")]
        out = f"{args.cache}/features/{sample['task']}.{name}.pt"
        torch.save(kept, out + ".new")
        os.replace(out + ".new", out)
        print(out, len(kept), flush=True)


if __name__ == "__main__":
    main()
