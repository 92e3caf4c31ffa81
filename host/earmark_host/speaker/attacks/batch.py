"""Clips under attack, the ball around them, and the 16 bits that an attacker's file has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from earmark.signal import Signal

STEP = 1.0 / 32768.0
"""One step of 16-bit sound."""

LONGEST = 2_200_000
"""Most samples in a batch, padding included: 32 clips of 4.3 s; 9 MB, and some 40 times that
with all that a gradient keeps."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Clips that are attacked together.

    Parameters
    ----------
    x : float32 (clips, n) in [-1, 1], in whole steps of 16 bits; zeros behind each clip.
    samples : length of each clip.
    labels : who speaks, int64 (clips,).
    """

    x: Tensor
    samples: tuple[int, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def inside(self) -> Tensor:
        """Where the clips are, bool (clips, n)."""
        ends = torch.tensor(self.samples, device=self.x.device)
        return torch.arange(self.x.shape[1], device=self.x.device) < ends[:, None]

    def rows(self, chosen: Sequence[int]) -> Batch:
        """Some of the clips, with the same padding."""
        index = torch.tensor(list(chosen), dtype=torch.long, device=self.x.device)
        samples = tuple(self.samples[row] for row in chosen)
        return Batch(self.x[index], samples, self.labels[index])

    @classmethod
    def of(cls, signals: Sequence[Signal], labels: Sequence[int], device: str = "cpu") -> Batch:
        """Put clips side by side and round them to 16 bits: what is attacked is a file."""
        x = torch.zeros(len(signals), max(len(signal) for signal in signals))
        for row, signal in enumerate(signals):
            x[row, : len(signal)] = torch.from_numpy(np.asarray(signal, np.float32))
        return cls(
            as_pcm16(x).to(device),
            tuple(len(signal) for signal in signals),
            torch.tensor(list(labels), dtype=torch.long, device=device),
        )


def batches(
    signals: Sequence[Signal], labels: Sequence[int], device: str = "cpu", longest: int = LONGEST
) -> Iterator[tuple[list[int], Batch]]:
    """Clips of similar lengths together, so that little is padded; with their numbers.

    Parameters
    ----------
    longest : most samples in a batch, padding included; a longer clip comes alone.
    """
    order = sorted(range(len(signals)), key=lambda index: (len(signals[index]), index))
    chosen: list[int] = []
    for index in order:
        if chosen and (len(chosen) + 1) * len(signals[index]) > longest:
            yield chosen, _batch(signals, labels, chosen, device)
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen, _batch(signals, labels, chosen, device)


def filled(signal: Signal, least: int) -> Signal:
    """`signal`, repeated from its beginning until it has `least` samples if it is shorter.

    So the device hears a short command. Whoever attacks the repeated one may change each
    repetition by itself, which is more than can be done to the short one.
    """
    if signal.size >= least:
        return signal
    return np.ascontiguousarray(np.resize(signal, least), np.float32)


def as_pcm16(x: Tensor, clean: Tensor | None = None, eps: float | None = None) -> Tensor:
    """Round to 16 bits; with `clean` and `eps` never out of the ball around it.

    Parameters
    ----------
    x : float32; clamped to [-1, 1 - 2^-15].
    clean : of the same shape, in whole steps.
    eps : radius; the ball ends at the last whole step within it (65 of 65.5 at .002).
    """
    steps = torch.round(x / STEP)
    if clean is not None and eps is not None:
        centre = torch.round(clean / STEP)
        reach = math.floor(eps / STEP + 1e-6)
        steps = centre + (steps - centre).clamp(-reach, reach)
    return steps.clamp(-32768, 32767) * STEP


def within(x: Tensor, clean: Tensor, eps: float) -> Tensor:
    """The nearest point of the ball of radius `eps` around `clean`, within [-1, 1]."""
    return torch.minimum(torch.maximum(x, clean - eps), clean + eps).clamp(-1.0, 1.0)


def uniform(batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
    """A point drawn from the ball around each clip."""
    noise = torch.from_numpy(rng.random(tuple(batch.x.shape), dtype=np.float32) * 2.0 - 1.0)
    return within(batch.x + eps * noise.to(batch.x.device) * batch.inside, batch.x, eps)


def _batch(
    signals: Sequence[Signal], labels: Sequence[int], chosen: list[int], device: str
) -> Batch:
    return Batch.of([signals[i] for i in chosen], [labels[i] for i in chosen], device)
