"""Sizes of the shipped model, in the hub's config layout, and reading of any Thinker config.

The same keys that the Rust engine reads; nothing here is known only to the trainer.
"""

import json
from pathlib import Path

SPECIAL_TOKENS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>",
    "<|vision_bos|>", "<|vision_eos|>", "<|vision_pad|>", "<|IMAGE|>", "<|VIDEO|>",
]
VOCAB = 768


def tiny_config():
    """config.json of the shipped model."""
    ids = {name: i for i, name in enumerate(SPECIAL_TOKENS)}
    layers = 6
    return {
        "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
        "model_type": "qwen2_5_omni_thinker",
        "audio_config": {
            "model_type": "qwen2_5_omni_audio_encoder", "activation_function": "gelu", "activation_dropout": 0.0,
            "attention_dropout": 0.0, "dropout": 0.0, "d_model": 128, "encoder_attention_heads": 4, "encoder_ffn_dim": 512,
            "encoder_layers": 3, "max_source_positions": 1500, "n_window": 100, "num_mel_bins": 128, "output_dim": 256,
            "scale_embedding": False, "initializer_range": 0.02,
        },
        "vision_config": {
            "model_type": "qwen2_5_omni_vision_encoder", "depth": 3, "fullatt_block_indexes": [2], "hidden_act": "silu",
            "hidden_size": 128, "in_channels": 3, "intermediate_size": 384, "num_heads": 4, "out_hidden_size": 256,
            "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112, "initializer_range": 0.02,
        },
        "text_config": {
            "model_type": "qwen2_5_omni_text", "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": layers,
            "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "rms_norm_eps": 1e-6,
            "max_position_embeddings": 4096, "max_window_layers": layers, "vocab_size": VOCAB, "attention_dropout": 0.0,
            "layer_types": ["full_attention"] * layers, "sliding_window": None, "use_sliding_window": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [16, 8, 8]},
            "rope_scaling": {"rope_type": "default", "type": "default", "mrope_section": [16, 8, 8]}, "rope_theta": 10000.0,
            "bos_token_id": None, "eos_token_id": ids["<|im_end|>"], "pad_token_id": ids["<|endoftext|>"],
            "tie_word_embeddings": False, "use_cache": True, "initializer_range": 0.02,
        },
        "audio_token_index": ids["<|AUDIO|>"], "audio_start_token_id": ids["<|audio_bos|>"],
        "audio_end_token_id": ids["<|audio_eos|>"], "image_token_index": ids["<|IMAGE|>"],
        "video_token_index": ids["<|VIDEO|>"], "vision_start_token_id": ids["<|vision_bos|>"],
        "vision_end_token_id": ids["<|vision_eos|>"], "user_token_id": 0, "position_id_per_seconds": 25,
        "seconds_per_chunk": 2, "tie_word_embeddings": False, "initializer_range": 0.02, "dtype": "bfloat16",
    }


def read_config(directory):
    """config.json of a model directory; a whole Omni model's is unwrapped to its thinker's."""
    config = json.loads((Path(directory) / "config.json").read_text())
    config = config.get("thinker_config", config)
    text = config["text_config"]
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    text["mrope_section"] = rope["mrope_section"]
    text["rope_theta"] = rope.get("rope_theta", text.get("rope_theta", 10000.0))
    text["head_dim"] = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    return config


def normalised(config):
    """`tiny_config()` with the derived keys that `read_config` adds."""
    text = config["text_config"]
    text["mrope_section"] = text["rope_parameters"]["mrope_section"]
    text["head_dim"] = text["hidden_size"] // text["num_attention_heads"]
    return config
