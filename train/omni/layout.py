"""A prompt's pieces -> input ids and TMRoPE positions [3, P], as Qwen2.5-Omni lays them out.

Pieces: ("text", str), ("image", (h, w)), ("audio", tokens), ("video", (slices, h, w, seconds per slice, audio tokens or None)).
h, w count merged cells.
"""

import numpy as np

SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
TAIL = "<|im_end|>\n<|im_start|>assistant\n"


class Layout:
    def __init__(self, config, tokenizer):
        self.config, self.tokenizer = config, tokenizer
        self.unit = config["position_id_per_seconds"]
        self.chunk = config["seconds_per_chunk"] * self.unit

    def prompt(self, pieces):
        """-> ids [P], positions [3, P]; neighbouring texts are tokenised as one string."""
        ids, positions, text = [], [], SYSTEM
        for kind, value in pieces:
            if kind == "text":
                text += value
                continue
            self.add_text(ids, positions, text)
            text = ""
            getattr(self, kind)(ids, positions, value)
        self.add_text(ids, positions, text + TAIL)
        return np.array(ids, np.int64), np.array(positions, np.int64).T

    def add_text(self, ids, positions, text):
        new = self.tokenizer.encode(text, add_special_tokens=False).ids
        start = after(positions)
        ids += new
        positions += [(start + i,) * 3 for i in range(len(new))]

    def image(self, ids, positions, size):
        c, (h, w) = self.config, size
        start = after(positions)
        ids += [c["vision_start_token_id"]] + [c["image_token_index"]] * (h * w) + [c["vision_end_token_id"]]
        grid = [(start + 1, start + 1 + y, start + 1 + x) for y in range(h) for x in range(w)]
        positions += [(start,) * 3] + grid + [(start + 1 + max(h, w),) * 3]

    def audio(self, ids, positions, tokens):
        c, start = self.config, after(positions)
        ids += [c["audio_start_token_id"]] + [c["audio_token_index"]] * tokens + [c["audio_end_token_id"]]
        positions += [(start + i,) * 3 for i in range(tokens + 2)]

    def video(self, ids, positions, value):
        c, (slices, h, w, seconds, audio) = self.config, value
        start = after(positions)
        first = start + 1
        frames = [(first + int(s * seconds * self.unit), first + y, first + x)
                  for s in range(slices) for y in range(h) for x in range(w)]
        if audio is None:
            ids += [c["vision_start_token_id"]] + [c["video_token_index"]] * len(frames) + [c["vision_end_token_id"]]
            positions += [(start,) * 3] + frames
            positions.append((after(positions),) * 3)
            return
        sound = [(first + i,) * 3 for i in range(audio)]
        ids += [c["vision_start_token_id"], c["audio_start_token_id"]]
        positions += [(start,) * 3] * 2
        bound = self.chunk
        while frames or sound:
            cut = [next((i for i, p in enumerate(side) if p[0] - first >= bound), len(side)) for side in (frames, sound)]
            for side, count, token in ((frames, cut[0], "video_token_index"), (sound, cut[1], "audio_token_index")):
                ids += [c[token]] * count
                positions += side[:count]
                del side[:count]
            bound += self.chunk
        ids += [c["audio_end_token_id"], c["vision_end_token_id"]]
        positions += [(after(positions),) * 3] * 2


def after(positions):
    """The next free position: one more than every axis has used."""
    return max((max(p) for p in positions[-4096:]), default=-1) + 1
