"""Trains the byte-level BPE of the shipped model on the world's sentences and writes the tokenizer's files.

    python -m omni.tokens OUT_DIR
"""

import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from omni import sketch
from omni.config import SPECIAL_TOKENS, VOCAB
from omni.layout import SYSTEM, TAIL

# Qwen2's pre-tokeniser.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus(sketches):
    rng = random.Random(0)
    for word in [SYSTEM, TAIL]:
        for name in SPECIAL_TOKENS:
            word = word.replace(name, "\0")
        yield from [part for part in word.split("\0") if part] * 50
    for task in sketch.TASKS:
        for _ in range(sketches):
            yield from sketch.texts(sketch.sample(task, rng))


def train(sketches=1500):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(sketches), trainer)
    return tokenizer


def extended(tokenizer, merges):
    """The same tokenizer with further merges after all others: texts without them keep their tokens, and models their ids."""
    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    for left, right in merges:
        if left + right not in vocabulary:
            vocabulary[left + right] = max(vocabulary.values()) + 1
            state["model"]["merges"].append([left, right])
    assert len(vocabulary) <= VOCAB, len(vocabulary)
    return Tokenizer.from_str(json.dumps(state))


CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content %}<|vision_bos|><|IMAGE|><|vision_eos|>"
    "{% elif content['type'] == 'audio' or 'audio' in content %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% elif content['type'] == 'video' or 'video' in content %}<|vision_bos|><|VIDEO|><|vision_eos|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write(tokenizer, out):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    names = {
        "image_token": "<|IMAGE|>", "audio_token": "<|AUDIO|>", "video_token": "<|VIDEO|>", "vision_bos_token": "<|vision_bos|>",
        "vision_eos_token": "<|vision_eos|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>",
    }
    config = {"tokenizer_class": "Qwen2Tokenizer", "processor_class": "Qwen2_5OmniProcessor", "eos_token": "<|im_end|>",
              "pad_token": "<|endoftext|>", "bos_token": None, "unk_token": None, "add_prefix_space": False,
              "clean_up_tokenization_spaces": False, "model_max_length": 4096, "extra_special_tokens": names, **names,
              "chat_template": CHAT_TEMPLATE}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    (out / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}, indent=1))


if __name__ == "__main__":
    write(train(), sys.argv[1])
