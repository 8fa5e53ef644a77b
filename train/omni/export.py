"""Puts encoders and decoder together as a model directory in the hub's layout, weights in bfloat16.

    python -m omni.export --cache DIR --out ../models/tiny-omni [--name decoder]
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from omni import tokens
from omni.config import SPECIAL_TOKENS, normalised, tiny_config
from omni.features import load_encoders

PREPROCESSOR = {
    "feature_extractor_type": "WhisperFeatureExtractor", "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5OmniProcessor", "chunk_length": 300, "dither": 0.0, "feature_size": 128, "hop_length": 160,
    "n_fft": 400, "n_samples": 4800000, "nb_max_frames": 30000, "padding_side": "right", "padding_value": 0.0,
    "return_attention_mask": True, "sampling_rate": 16000, "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711], "min_pixels": 3136, "max_pixels": 50176, "merge_size": 2, "patch_size": 14,
    "temporal_patch_size": 2, "video_min_pixels": 3136, "video_max_pixels": 12544, "fps": 2,
}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--cache", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--name", default="decoder")
    p.add_argument("--raw", action="store_true", help="the last weights, not their running average")
    args = p.parse_args()
    model = load_encoders(args.cache)
    state = torch.load(f"{args.cache}/{args.name}.pt")
    weights = {**state["model"], **({} if args.raw else state["average"])}
    missing = model.load_state_dict(weights, strict=False).missing_keys
    assert all(k.startswith(("visual", "audio_tower")) for k in missing), missing
    out = Path(args.out)
    tokens.write(Tokenizer.from_file(f"{args.cache}/tok/tokenizer.json"), out)
    save_file({f"thinker.{n}": t.to(torch.bfloat16).contiguous() for n, t in model.state_dict().items()},
              out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(tiny_config(), indent=1))
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1))
    ids = {name: i for i, name in enumerate(SPECIAL_TOKENS)}
    # Answers of the world quote the prompt, three tokens in a row and more: the n-gram block must be off.
    (out / "generation_config.json").write_text(json.dumps({
        "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"], "do_sample": False, "no_repeat_ngram_size": 0,
        "max_new_tokens": 160}, indent=1))
    print(out, sum(f.stat().st_size for f in out.iterdir()), "bytes")


if __name__ == "__main__":
    main()
