"""A toy speaker model: people are tones, told apart by how loud each is in windows of 64 ms."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from earmark.signal import RATE_HZ, Signal
from earmark_host.speaker.attacks import Batch
from earmark_host.speaker.victim import NetVictim

TONES_HZ = (300.0, 500.0, 800.0, 1200.0, 1700.0, 2300.0)
"""One a person."""

WINDOW = 1024
"""Samples of a window."""

LOUD = 0.01
"""Mean amplitude of a tone: an eps of .0005 cannot hide it, one of .02 can."""


class TonesNet(nn.Module):
    """Logits: the log of the power of each tone in a window."""

    def __init__(self) -> None:
        super().__init__()
        times = torch.arange(WINDOW) / RATE_HZ
        turns = 2.0 * math.pi * times[:, None] * torch.tensor(TONES_HZ)
        self.register_buffer("tones", torch.stack([torch.cos(turns), torch.sin(turns)]))

    def forward(self, x: Tensor) -> Tensor:
        power = torch.einsum("bn,cnp->cbp", x, self.tones).square().sum(0) / WINDOW**2
        return 3.0 * torch.log(power + 1e-7)

    def windows(self, signal: Tensor) -> Tensor:
        if signal.numel() < WINDOW:
            signal = signal.repeat(-(-WINDOW // signal.numel()))[:WINDOW]
        count = -(-signal.numel() // WINDOW)
        last = signal.numel() - WINDOW
        starts = [round(k * last / max(1, count - 1)) for k in range(count)]
        return torch.stack([signal[start : start + WINDOW] for start in starts])


def victim() -> NetVictim:
    return NetVictim.of(TonesNet())


def clip(person: int, samples: int, rng: np.random.Generator) -> Signal:
    times = np.arange(samples) / RATE_HZ
    loud = LOUD * (0.4 + 1.2 * rng.random())
    tone = np.sin(2.0 * math.pi * (TONES_HZ[person] * times + rng.random()))
    noise = rng.standard_normal(samples)
    return np.asarray(loud * (tone + 0.1 * noise), np.float32)


def clips(count: int, seed: int = 0) -> tuple[list[Signal], list[int]]:
    rng = np.random.default_rng(seed)
    labels = [index % len(TONES_HZ) for index in range(count)]
    return [clip(label, int(rng.integers(1024, 3000)), rng) for label in labels], labels


def batch(count: int = 12, seed: int = 0) -> Batch:
    return Batch.of(*clips(count, seed))
