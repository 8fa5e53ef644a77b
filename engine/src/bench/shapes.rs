//! The shapes that are measured: the shipped model's, and larger ones of the same family.
//! Out: a Thinker's `config.json`, a byte-level tokenizer, and preprocessing settings, as files of a checkpoint.

use serde_json::{Value, json};

/// A model shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchShape {
    /// The shipped model's: 4.6 million weights a step.
    Tiny,
    /// 0.2 billion weights.
    Small,
    /// 1.1 billion weights.
    Medium,
    /// Qwen2.5-Omni-7B's Thinker.
    Large,
}

struct Sizes {
    hidden: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    vocabulary: usize,
    sections: [usize; 3],
    tower: usize,
}

impl BenchShape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::Medium, Self::Large];

    /// `tiny`, `200m`, `1b`, `7b`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "200m",
            Self::Medium => "1b",
            Self::Large => "7b",
        }
    }

    fn sizes(self) -> Sizes {
        match self {
            Self::Tiny => Sizes {
                hidden: 256,
                inner: 704,
                layers: 6,
                heads: 4,
                kv_heads: 2,
                vocabulary: 768,
                sections: [8, 12, 12],
                tower: 128,
            },
            Self::Small => Sizes {
                hidden: 768,
                inner: 3072,
                layers: 18,
                heads: 12,
                kv_heads: 2,
                vocabulary: 32_768,
                sections: [8, 12, 12],
                tower: 128,
            },
            Self::Medium => Sizes {
                hidden: 1536,
                inner: 6144,
                layers: 26,
                heads: 12,
                kv_heads: 2,
                vocabulary: 65_536,
                sections: [16, 24, 24],
                tower: 128,
            },
            Self::Large => Sizes {
                hidden: 3584,
                inner: 18_944,
                layers: 28,
                heads: 28,
                kv_heads: 4,
                vocabulary: 152_064,
                sections: [16, 24, 24],
                tower: 128,
            },
        }
    }

    /// The Thinker's config. The towers are the tiny model's: what is measured is the language model.
    pub fn config(self) -> Value {
        let s = self.sizes();
        let rope = json!({ "rope_type": "default", "type": "default", "mrope_section": s.sections, "rope_theta": 1e6 });
        json!({
            "architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"],
            "model_type": "qwen2_5_omni_thinker",
            "audio_config": {
                "model_type": "qwen2_5_omni_audio_encoder",
                "d_model": s.tower, "encoder_attention_heads": 4, "encoder_ffn_dim": 4 * s.tower,
                "encoder_layers": 3, "n_window": 100, "num_mel_bins": 128, "output_dim": s.hidden,
                "max_source_positions": 1500
            },
            "vision_config": {
                "model_type": "qwen2_5_omni_vision_encoder",
                "depth": 3, "hidden_size": s.tower, "intermediate_size": 3 * s.tower, "num_heads": 4,
                "out_hidden_size": s.hidden, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
                "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [2], "hidden_act": "silu"
            },
            "text_config": {
                "model_type": "qwen2_5_omni_text",
                "hidden_size": s.hidden, "intermediate_size": s.inner, "num_hidden_layers": s.layers,
                "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads, "vocab_size": s.vocabulary,
                "hidden_act": "silu", "rms_norm_eps": 1e-6, "max_position_embeddings": 65_536,
                "rope_theta": 1e6, "rope_scaling": rope, "rope_parameters": rope,
                "tie_word_embeddings": false, "use_sliding_window": false
            },
            "audio_token_index": 260, "audio_start_token_id": 261, "audio_end_token_id": 262,
            "image_token_index": 263, "video_token_index": 264,
            "vision_start_token_id": 265, "vision_end_token_id": 266,
            "eos_token_id": 258, "position_id_per_seconds": 25, "seconds_per_chunk": 2,
            "tie_word_embeddings": false
        })
    }

    /// A tokenizer of single bytes with the special tokens of the config.
    pub fn tokenizer(self) -> Value {
        let vocabulary: serde_json::Map<String, Value> = (0..=255u8)
            .map(|byte| (byte_char(byte).to_string(), Value::from(byte)))
            .collect();
        let special = |(index, name): (usize, &str)| {
            json!({ "id": 256 + index, "content": name, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": true })
        };
        let names = [
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|unused|>",
            "<|AUDIO|>",
            "<|audio_bos|>",
            "<|audio_eos|>",
            "<|IMAGE|>",
            "<|VIDEO|>",
            "<|vision_bos|>",
            "<|vision_eos|>",
        ];
        let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
        json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
            "added_tokens": names.into_iter().enumerate().map(special).collect::<Vec<_>>(),
            "pre_tokenizer": byte_level, "decoder": byte_level,
            "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                       "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                       "ignore_merges": false, "vocab": vocabulary, "merges": [] }
        })
    }
}

/// The printable character that stands for a byte in byte-level vocabularies.
fn byte_char(byte: u8) -> char {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&b| !printable(b)).count() as u32;
    char::from_u32(256 + before).unwrap_or(' ')
}
