"""Renders the word bank (world/assets/words.bank): every spoken word of world/src/vocabulary.rs in every voice of the table below.

    apt-get install espeak-ng        # 1.51 made the shipped bank
    pip install numpy
    python3 train/bank/make.py       # from the repository's root

Each word is spoken alone by espeak-ng, resampled to 16 kHz, trimmed to where it is audible, scaled to one loudness, and stored
as IMA ADPCM (4 bits a sample). The layout is described and read in world/src/speech/bank.rs. Needs nothing but the two above.
"""

import pathlib
import re
import struct
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE_HZ = 16_000

# Name in the bank, espeak-ng voice, words per minute, pitch (0-99), held out from training.
VOICES = [
    ("amber", "en-us+f2", 208, 55, False),
    ("basil", "en-us+m1", 188, 40, False),
    ("cedar", "en-us+m3", 203, 50, False),
    ("daisy", "en-us+f3", 203, 60, False),
    ("elder", "en-gb+m7", 193, 35, False),
    ("fern", "en-gb+f4", 193, 50, False),
    ("ginger", "en-gb+f5", 208, 65, False),
    ("hazel", "en-us+m5", 183, 45, False),
    ("iris", "en-us+linda", 213, 50, False),
    ("juniper", "en-gb-scotland+m2", 193, 45, False),
    ("laurel", "en-us+f1", 193, 58, True),
    ("maple", "en-gb+m4", 198, 42, True),
]

# The words between the others are unstressed: spoken faster and softer.
UNSTRESSED = ("a", "the", "at")
# A lone "a" would be read as the letter's name; these are the sounds they have inside a sentence.
PHONEMES = {"a": "[[a#]]", "the": "[[D@2]]", "at": "[[at]]"}

STEPS = [7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107, 118, 130,
         143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166, 1282,
         1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630,
         9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767]
INDEX_MOVES = [-1, -1, -1, -1, 2, 4, 6, 8]


def vocabulary():
    """The words in the order of `spoken_words` in vocabulary.rs."""
    source = (ROOT / "world/src/vocabulary.rs").read_text()
    lists = {
        name: re.findall(r'"([^"]+)"', body)
        for name, body in re.findall(r"pub const (\w+): \[&str; \d+\] = \[(.*?)\];", source, re.S)
    }
    body = re.search(r"pub fn spoken_words\(\).*?\{(.*?)\n\}", source, re.S).group(1)
    return [word for name in re.findall(r"\b[A-Z_]{3,}\b", body) for word in lists[name]]


def speak(word, voice, words_per_minute, pitch):
    """One word as floats at 16 kHz, untrimmed."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "-a", "120", "--stdout",
               PHONEMES.get(word, word)]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    # A plain header of 44 bytes; it lies about the length, since it was written before the sound: read what is there.
    rate = struct.unpack_from("<I", data, 24)[0]
    return resample(np.frombuffer(data[44 : len(data) // 2 * 2], "<i2") / 32768.0, rate)


def resample(sound, rate):
    """To 16 kHz with a Hann-windowed sinc of 64 samples."""
    ratio = rate / RATE_HZ
    cutoff = 0.97 * min(1.0, 1.0 / ratio)
    at = np.arange(int(len(sound) / ratio)) * ratio
    taps = np.arange(-32, 32)
    near = np.floor(at).astype(int)[:, None] + taps[None, :] + 1
    distance = at[:, None] - near
    kernel = cutoff * np.sinc(cutoff * distance) * (0.5 + 0.5 * np.cos(np.pi * np.clip(distance / 32, -1, 1)))
    padded = np.pad(sound, (40, 40))
    return (padded[np.clip(near + 40, 0, len(padded) - 1)] * kernel).sum(axis=1)


def trim(sound):
    """From the first to the last audible moment: 38 dB below the loudest 5 ms, and 5 ms of margin for the fades."""
    block = RATE_HZ // 200
    count = len(sound) // block
    power = (sound[: count * block].reshape(count, block) ** 2).mean(axis=1)
    heard = np.nonzero(power > power.max() * 10 ** -3.8)[0]
    sound = sound[max(0, heard[0] - 1) * block : (heard[-1] + 2) * block].copy()
    ramp = np.linspace(0, 1, block)
    sound[:block] *= ramp
    sound[-block:] *= ramp[::-1]
    return sound


def level(sound, loudness):
    """Scaled to a root mean square over its louder half, peak at most 0.8; short words would else be far too loud or soft."""
    block = RATE_HZ // 100
    count = max(1, len(sound) // block)
    power = np.sort((sound[: count * block].reshape(count, -1) ** 2).mean(axis=1))
    rms = np.sqrt(power[count // 2 :].mean())
    return sound * min(loudness / rms, 0.8 / np.abs(sound).max())


def adpcm(sound):
    """IMA ADPCM: first the starting step index, then two samples a byte, the earlier one in the low half."""
    samples = np.clip(np.round(sound * 32767), -32768, 32767).astype(int).tolist()
    # The step index that suits the first samples, else the attack of a word would be blurred.
    first = max(abs(b - a) for a, b in zip([0] + samples[:32], samples[:32]))
    start = next((i for i, step in enumerate(STEPS) if step * 1.5 >= first), 88)
    value, index, codes = 0, start, []
    for sample in samples:
        step = STEPS[index]
        gap = sample - value
        code = min(7, abs(gap) * 4 // step)
        move = (2 * code + 1) * step // 8
        value = max(-32768, min(32767, value - move if gap < 0 else value + move))
        codes.append(code | (8 if gap < 0 else 0))
        index = max(0, min(88, index + INDEX_MOVES[code]))
    if len(codes) % 2:
        codes.append(0)
    return bytes([start]) + bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2]))


def text(string):
    """A string with its length in one byte before it."""
    return bytes([len(string)]) + string.encode("ascii")


def main():
    words = vocabulary()
    entries, clips, longest = b"", b"", 0.0
    for name, voice, speed, pitch, held_out in VOICES:
        seconds = 0.0
        for word in words:
            light = word in UNSTRESSED
            sound = trim(speak(word, voice, speed * 3 // 2 if light else speed, pitch))
            sound = level(sound, 0.09 if light else 0.14)
            clip = adpcm(sound)
            entries += struct.pack("<II", len(clips), len(sound))
            clips += clip
            seconds += len(sound) / RATE_HZ
            longest = max(longest, len(sound) / RATE_HZ)
        print(f"{name:8} {voice:18} {seconds:5.1f} s")
    head = b"WORDBANK" + struct.pack("<III", 1, len(words), len(VOICES))
    head += b"".join(text(word) for word in words)
    head += b"".join(text(name) + bytes([held_out]) for name, *_, held_out in VOICES)
    path = ROOT / "world/assets/words.bank"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(head + entries + clips)
    print(f"{len(words)} words x {len(VOICES)} voices, longest {longest:.2f} s, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
