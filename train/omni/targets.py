"""What the encoders are taught to say: perception labels -> one vector per merged token, sums of the text embeddings of the label's words.

Perception only: colour, shape and corner of what covers a cell; the event or word heard in 40 ms and whether it just began.
Saying it in the decoder's own embeddings lets one copying mechanism serve text, pictures and sound.
"""

import numpy as np

NOTHING_SEEN, NOTHING_HEARD, ONSET = "<|vision_pad|>", "<|endoftext|>", "\u00ff"
TOKENS_PER_SEC = 25


class Targets:
    def __init__(self, table, tokenizer):
        """table [V, D]: the (frozen) embedding table."""
        self.table = table
        self.known = {}
        self.tokenizer = tokenizer
        self.onset = table[tokenizer.token_to_id(ONSET)]
        self.unseen = table[tokenizer.token_to_id(NOTHING_SEEN)]
        self.unheard = table[tokenizer.token_to_id(NOTHING_HEARD)]

    def word(self, text):
        """The sum over the words of `text` as they stand inside a sentence."""
        if text not in self.known:
            ids = [i for w in text.split() for i in self.tokenizer.encode(" " + w).ids]
            self.known[text] = self.table[ids].sum(0)
        return self.known[text]

    def picture(self, objects, h, w):
        """objects [(shape, colour, rect)] -> [h*w, D] for an h x w grid of merged cells."""
        out = np.tile(self.unseen, (h, w, 1))
        best = np.full((h, w), 0.2)
        for shape, colour, (x0, y0, x1, y1) in objects:
            rows = np.clip(np.minimum(np.arange(h) + 1, y1 * h) - np.maximum(np.arange(h), y0 * h), 0, 1)
            columns = np.clip(np.minimum(np.arange(w) + 1, x1 * w) - np.maximum(np.arange(w), x0 * w), 0, 1)
            cover = rows[:, None] * columns[None]
            place = ("top" if y0 + y1 < 1 else "bottom") + (" left" if x0 + x1 < 1 else " right")
            out[cover > best] = self.word(f"{colour} {shape} {place}")
            best = np.maximum(best, cover)
        return out.reshape(h * w, -1)

    def film(self, frames, h, w):
        """frames: objects per sampled frame, two to a temporal slice -> [slices, h*w, D]."""
        pairs = zip(frames[::2], frames[1::2])
        return np.stack([(self.picture(a, h, w) + self.picture(b, h, w)) / 2 for a, b in pairs])

    def sound(self, segments, tokens):
        """segments [(start, end, word)] -> [tokens, D]."""
        out = np.tile(self.unheard, (tokens, 1))
        middles = (np.arange(tokens) + 0.5) / TOKENS_PER_SEC
        for start, end, word in segments:
            inside = (middles >= start) & (middles < end)
            if not inside.any():
                inside[min(tokens - 1, int((start + end) / 2 * TOKENS_PER_SEC))] = True
            out[inside] = self.word(word)
            out[inside & (middles < start + 0.08)] += self.onset
            first = np.flatnonzero(inside)[0]
            if middles[first] >= start + 0.08:
                out[first] += self.onset
        return out
