"""All parts of the Thinker under the hub's names, without the leading `thinker.`."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from omni.audio import AudioTower
from omni.config import read_config
from omni.decoder import Model
from omni.linear import Linear
from omni.vision import Visual


class Thinker(nn.Module):
    def __init__(self, config):
        super().__init__()
        text = config["text_config"]
        self.config = config
        self.audio_tower = AudioTower(config["audio_config"])
        self.visual = Visual(config["vision_config"])
        self.model = Model(text)
        self.lm_head = Linear(text["hidden_size"], text["vocab_size"], bias=False)


def load_thinker(directory):
    """The model of a directory in the hub's layout, in f32."""
    model = Thinker(read_config(directory))
    tensors = {}
    for path in sorted(Path(directory).glob("*.safetensors")):
        for name, tensor in load_file(path).items():
            if name.startswith("thinker."):
                tensors[name.removeprefix("thinker.")] = tensor.float()
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def embed(model, ids, features):
    """ids [L]; features: id of the placeholder -> vectors in prompt order -> [L, D]."""
    x = model.model.embed_tokens(ids)
    for placeholder, vectors in features.items():
        x = x.masked_scatter((ids == placeholder)[:, None], torch.cat(vectors).to(x.dtype))
    return x
