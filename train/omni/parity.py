"""Compares this implementation with recorded runs of Hugging Face transformers.

    python -m omni.parity CHECKPOINT_DIR RECORDED_DIR

RECORDED_DIR holds CASE.json and CASE.safetensors (input ids, positions, mels, embeddings, logits) and the resized frames as PNG.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer

from omni.layout import Layout
from omni.preprocess import audio_tokens, log_mel, patches
from omni.thinker import embed, load_thinker


def worst(a, b):
    return float((a.float() - b.float()).abs().max() / b.float().abs().max())


@torch.no_grad()
def compare(model, layout, recorded, name):
    seen, wanted = {}, load_file(recorded / f"{name}.safetensors")
    config, features, pieces = model.config, {}, []
    content = [c for m in json.loads((recorded / f"{name}.json").read_text())["messages"] for c in m["content"]]
    mels = [log_mel(wanted[k].numpy()) for k in sorted(wanted) if k.startswith("audio_16k")]
    for i, mel in enumerate(mels):
        seen["mel"] = worst(mel.T, wanted[f"mel_{i}"])
    if mels:
        features[config["audio_token_index"]] = model.audio_tower(mels)
        seen["audio"] = worst(torch.cat(features[config["audio_token_index"]]), wanted["audio_embeds"])
    images, sounds = 0, iter(mels)
    for item in content:
        if item["type"] == "text":
            pieces.append(("text", item["text"]))
        elif item["type"] == "image":
            pixels = np.array(Image.open(recorded / f"{name}_resized_img{images}.png").convert("RGB"))[None]
            h, w = pixels.shape[1] // 14, pixels.shape[2] // 14
            features.setdefault(config["image_token_index"], []).append(model.visual(patches(pixels), h, w)[0])
            pieces.append(("image", (h // 2, w // 2)))
            images += 1
        elif item["type"] == "audio":
            pieces.append(("audio", audio_tokens(len(next(sounds)))))
        else:
            files = sorted(recorded.glob(f"{name}_resized_frame*.png"))
            film = patches(np.stack([np.array(Image.open(f).convert("RGB")) for f in files]))
            h, w = (int(n) for n in wanted["video_grid_thw"][0, 1:])
            features[config["video_token_index"]] = list(model.visual(film, h, w))
            pieces.append(("video", (len(film), h // 2, w // 2, 1.0, audio_tokens(len(next(sounds))))))
    for kind, key in (("image_token_index", "image_embeds"), ("video_token_index", "video_embeds")):
        if config[kind] in features:
            seen[key] = worst(torch.cat(features[config[kind]]), wanted[key])
    ids, positions = layout.prompt(pieces)
    seen["ids"] = bool(len(ids) == len(wanted["input_ids"]) and (torch.from_numpy(ids) == wanted["input_ids"]).all())
    seen["positions"] = seen["ids"] and bool((torch.from_numpy(positions) == wanted["position_ids"]).all())
    if not seen["positions"]:
        return seen
    answer = wanted["generated_ids"]
    ids = torch.cat([torch.from_numpy(ids), answer[:-1]])
    first = int(positions.max()) + 1
    positions = np.concatenate([positions, np.tile(np.arange(first, first + len(answer) - 1), (3, 1))], 1)
    x = embed(model, ids, features)
    hidden = model.model(x[None], torch.from_numpy(positions)[:, None])[0, -len(answer) :]
    seen["logits"] = worst(model.lm_head(hidden), wanted["logits"])
    return seen


def main():
    checkpoint, recorded = sys.argv[1], Path(sys.argv[2])
    model = load_thinker(checkpoint)
    layout = Layout(model.config, Tokenizer.from_file(f"{checkpoint}/tokenizer.json"))
    for name in ("text", "image_text", "audio", "video"):
        if (recorded / f"{name}.json").exists() and (name != "text"):
            print(name, compare(model, layout, recorded, name))


if __name__ == "__main__":
    main()
