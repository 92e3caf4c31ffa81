"""A device to attack: a smooth recogniser, a budget, and perhaps a defence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from earmark.demo.clips import ClipKind, load_clips
from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.oracle import Answer, BudgetSpent

LABELS = 5
"""What the toy recogniser tells apart; 0 is what every carrier is heard as at first."""

LEAD = 0.3
"""By how much that leads all others: every attack has to work, none for long."""


class Toy:
    """Log-softmax of a random linear map on log energies of 8 bands in 4 stretches of time.

    Energies count from 20 dB below the carrier's mean: a room is not quieter.
    """

    def __init__(self, carrier: Signal, seed: int = 0) -> None:
        self.floor = 0.01 * float(np.mean(self.energies(carrier)))
        features = self.features(carrier)
        rng = np.random.default_rng(seed)
        self.map = rng.standard_normal((LABELS, features.size)) / np.sqrt(features.size)
        self.offset = -self.map @ features
        self.offset[0] += LEAD

    @staticmethod
    def energies(signal: Signal) -> NDArray[np.float64]:
        frames = sliding_window_view(signal, 512)[::256] * np.hanning(512)
        power = np.abs(np.fft.rfft(frames)).T ** 2
        edges = np.unique(np.geomspace(3, power.shape[0], 9).astype(int))
        bands = np.add.reduceat(power, edges[:-1], axis=0)
        parts = [part.mean(axis=1) for part in np.array_split(bands, 4, axis=1)]
        return np.concatenate(parts)

    def features(self, signal: Signal) -> NDArray[np.float64]:
        return np.asarray(np.log(self.energies(signal) + self.floor))

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        scores = self.map @ self.features(signal) + self.offset
        return np.asarray(scores - np.logaddexp.reduce(scores))


class Device:
    """An oracle that notes what it is asked; `gate` withholds where it is True."""

    def __init__(
        self,
        toy: Toy,
        budget: int = 1000,
        gate: Callable[[Signal], bool] | None = None,
    ) -> None:
        self.toy, self.budget, self.gate = toy, budget, gate
        self.asked: list[Signal] = []
        self.snrs_db: list[float | None] = []
        self.leads: list[NDArray[np.float64]] = []
        self.withheld: list[bool] = []

    def ask(self, signal: Signal, fake: bool = False, snr_db: float | None = None) -> Answer:
        assert not fake
        if len(self.asked) >= self.budget:
            raise BudgetSpent
        self.asked.append(signal)
        self.snrs_db.append(snr_db)
        self.withheld.append(self.gate is not None and self.gate(signal))
        if self.withheld[-1]:
            return Answer(withheld=True, scores=None)
        self.leads.append(self.toy.scores(signal))
        return Answer(withheld=False, scores=self.leads[-1])


@pytest.fixture(scope="session")
def carrier() -> Signal:
    """Half a second of a sentence that ships with the product."""
    clip = load_clips().all(ClipKind.COMMAND)[0].signal
    return clip[round(0.5 * RATE_HZ) : RATE_HZ]


@pytest.fixture(scope="session")
def toy(carrier: Signal) -> Toy:
    return Toy(carrier)
