"""Pixels -> patch rows, samples -> mel frames, exactly as Qwen2.5-Omni's processor makes them (no resize: the world's sizes fit)."""

import functools

import numpy as np
import torch

IMAGE_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
IMAGE_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def patches(frames, patch=14, merge=2, temporal=2):
    """frames u8 [T, H, W, 3], T even or 1 -> [T/2, h*w, 3*2*14*14] f32 with rows in the order (h/2, w/2, 2, 2)."""
    x = (frames.astype(np.float32) / 255.0 - IMAGE_MEAN) / IMAGE_STD
    if len(x) % temporal:
        x = np.concatenate([x, np.repeat(x[-1:], temporal - len(x) % temporal, 0)])
    t, height, width, _ = x.shape
    h, w = height // patch, width // patch
    x = x.reshape(t // temporal, temporal, h // merge, merge, patch, w // merge, merge, patch, 3)
    x = x.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return torch.from_numpy(np.ascontiguousarray(x).reshape(t // temporal, h * w, -1))


def hz_to_mel(hz):
    hz = np.asarray(hz, np.float64)
    return np.where(hz >= 1000.0, 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * 27.0 / np.log(6.4), 3.0 * hz / 200.0)


def mel_to_hz(mel):
    return np.where(mel >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)), 200.0 * mel / 3.0)


@functools.cache
def mel_filters(bins=201, mels=128, top_hz=8000.0):
    """Slaney-normalised triangles [bins, mels]."""
    edges = mel_to_hz(np.linspace(hz_to_mel(0.0), hz_to_mel(top_hz), mels + 2))
    slopes = edges[None] - np.linspace(0.0, top_hz, bins)[:, None]
    widths = np.diff(edges)
    down, up = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    filters = np.maximum(0.0, np.minimum(down, up)) * (2.0 / (edges[2:] - edges[:-2]))
    return torch.from_numpy(filters.astype(np.float32))


def log_mel(samples):
    """samples f32 [n] at 16 kHz -> [ceil(n/160), 128], the frames of the padded 300 s that hold sound."""
    frames = -(-len(samples) // 160)
    x = torch.as_tensor(samples, dtype=torch.float32)
    x = torch.nn.functional.pad(x, (0, frames * 160 + 400 - len(x)))
    spectrum = torch.stft(x, 400, 160, window=torch.hann_window(400), center=True, pad_mode="reflect", return_complex=True)
    power = spectrum[:, :frames].abs() ** 2
    log = torch.log10((mel_filters().T @ power).clamp(min=1e-10))
    return ((torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0).T.contiguous()


def audio_tokens(frames):
    """Mel frames -> positions the tower gives."""
    return ((frames - 1) // 2 + 1 - 2) // 2 + 1
