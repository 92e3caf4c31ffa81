"""An ear that tells hums by their pitch, and a village of people who hum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.host.speaker.corpora import librispeech
from torch import Tensor
from torch.nn import functional

from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.speaker.cast import Trained
from earmark_host.bench.speaker.ears import Heard
from earmark_host.bench.speaker.setup import DEVICE, PARENT, ArmFile, Setup
from earmark_host.speaker.clips import people

PEOPLE = 6

NAMES = tuple(str(10 + person) for person in range(PEOPLE))

PITCHES_HZ = tuple(150.0 * 1.5**person for person in range(PEOPLE))

WINDOW = 1024


@dataclass(frozen=True)
class Toy:
    """Opens a :class:`ToyEar`.

    Parameters
    ----------
    knows : whom it names, the first so many of the village.
    test_clips : of them.
    deaf : it names the next person instead.
    """

    knows: int = 0
    test_clips: frozenset[str] = frozenset()
    deaf: bool = False

    def open(self) -> ToyEar:
        return ToyEar(self)


class ToyEar:
    """An embedding of six values: how loud each pitch of the village is, in dB less the mean."""

    def __init__(self, toy: Toy) -> None:
        self._toy = toy
        known = NAMES[: toy.knows]
        self.trained = Trained(known, toy.test_clips, frozenset(known))
        turns = 2.0 * np.pi * np.outer(np.arange(WINDOW) / RATE_HZ, PITCHES_HZ)
        waves = np.stack([np.cos(turns), np.sin(turns)]) * np.hanning(WINDOW)[:, None]
        self._waves = torch.tensor(waves, dtype=torch.float32)

    def hear(self, signal: Signal) -> Heard:
        x = torch.from_numpy(signal)[None]
        with torch.no_grad():
            logits = self.logits(x)[0].numpy() if self._toy.knows else None
            return Heard(self.embeddings(x)[0].numpy(), logits)

    def embeddings(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        return functional.normalize(self._levels(x, samples))

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        levels = self._levels(x, samples)[:, : self._toy.knows]
        return torch.roll(levels, 1, 1) if self._toy.deaf else levels

    def _levels(self, x: Tensor, samples: Sequence[int] | None) -> Tensor:
        lengths = [x.shape[1]] * len(x) if samples is None else samples
        rows = []
        for row, length in zip(x, lengths, strict=True):
            frames = row[:length].unfold(0, WINDOW, WINDOW)
            power = torch.einsum("fn,cnp->cfp", frames, self._waves).square().sum(0).mean(0)
            rows.append(torch.log(power + 1e-4))
        levels = torch.stack(rows)
        return levels - levels.mean(1, keepdim=True)


class Pool:
    """Workers that are this process."""

    def __init__(self, *_: Any) -> None:
        self.done: list[object] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(
        self, title: str, function: Callable[[Any], Any], pieces: Sequence[Any], *_: Any
    ) -> list[Any]:
        del title
        self.done += pieces
        return [function(piece) for piece in pieces]


def village(folder: Path) -> Path:
    """Six people, two chapters each, four utterances of .3 s in each."""
    return librispeech(folder, PEOPLE, 2, 4)


def held_back(folder: Path, knows: int) -> frozenset[str]:
    """The second chapters of the first people."""
    return frozenset(
        clip.key
        for name, own in people(folder).items()
        for clip in own
        if name in NAMES[:knows] and clip.session == "101"
    )


def setup_of(folder: Path, scratch: Path, knows: int) -> Setup:
    """A device that knows the first people, its parent, two arms, and a peer."""
    kept = held_back(folder, knows)
    toy = Toy(knows, kept)
    return Setup(
        folder,
        5,
        scratch,
        (
            (DEVICE, toy),
            (PARENT, toy),
            ("resemblyzer", Toy()),
            ("hat", toy),
            ("bad", Toy(knows, kept, deaf=True)),
        ),
        (ArmFile("hat", "hat10", 1, "device", knows), ArmFile("bad", "pgd10", 1, "device", knows)),
    )
