"""Reads the shards of the Rust exporter (FORMAT.md): PREFIX.jsonl and PREFIX.bin."""

import json
from pathlib import Path

import numpy as np


def samples(prefix):
    """Yields (sample, media): media in block order, ("image", u8 [H, W, 3]), ("audio", f32 [n]) or ("video", (u8 [T, H, W, 3], f32 [n]))."""
    raw = np.memmap(f"{prefix}.bin", np.uint8, "r") if Path(f"{prefix}.bin").stat().st_size else np.zeros(0, np.uint8)
    with open(f"{prefix}.jsonl", encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            yield sample, [m for b in sample["blocks"] for m in media(raw, b)]


def media(raw, block):
    kind = block["kind"]
    if kind == "image":
        yield kind, pixels(raw, block["offset"], 1, block)[0]
    elif kind == "audio":
        yield kind, sound(raw, block["offset"], block["n"])
    elif kind == "video":
        frames = pixels(raw, block["offset"], block["frames"], block)
        yield kind, (frames, sound(raw, block["audio_offset"], block["audio_n"]))


def pixels(raw, offset, frames, block):
    shape = frames, block["h"], block["w"], 3
    return np.asarray(raw[offset : offset + int(np.prod(shape))]).reshape(shape)


def sound(raw, offset, n):
    return np.asarray(raw[offset : offset + 2 * n]).view("<i2").astype(np.float32) / 32768.0


def objects(found):
    """A label list as (shape, colour, rect) tuples."""
    return [(o["shape"], o["colour"], o["rect"]) for o in found]


def as_sketch(sample):
    """The sample in the form of omni/sketch.py, labels in place of media."""
    pieces, labels = [("text", sample["prompt"])], sample["labels"]
    images, sounds, films = (iter(labels[k]) for k in ("images", "audios", "videos"))
    for block in sample["blocks"]:
        if block["kind"] == "text":
            pieces.append(("text", block["text"]))
        elif block["kind"] == "image":
            pieces.append(("image", {"size": (block["w"], block["h"]), "objects": objects(next(images))}))
        elif block["kind"] == "audio":
            pieces.append(("audio", {"secs": block["n"] / 16000, "segments": next(sounds)}))
        else:
            film = next(films)
            pieces.append(("video", {"secs": block["audio_n"] / 16000, "segments": film["events"],
                                     "frames": [objects(f) for f in film["frames"]]}))
    return {"task": sample["task"], "pieces": pieces, "branches": [("", sample["answer"], sample["option_letter"])]}
