"""A few hundred directions in which a sound can be changed: cells of time and frequency.

A second of sound has 16,000 samples, and a search that learns one number a query cannot look
in so many directions. Here a perturbation is a weight for each of some cells of time and mel
frequency, smooth between their centres. Recognisers look at magnitudes. So a cell may change
what the carrier has there, louder for a positive weight and softer for a negative one, and
nothing of the perturbation is lost on phases; or it adds noise, which owes nothing to the carrier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.attacks.probe import Perturbation

Weights: TypeAlias = NDArray[np.float64]
"""One weight a cell, shape (times, bands). Those with an rms of 1 use what the terms allow."""

LOWEST_HZ = 60.0
"""Centre of the lowest band, Hz: speech has little below."""

DITHER = 1e-4
"""Noise where the carrier has nothing to change, rms as a share of its peak: -80 dB."""

SHORTEST = 512
"""Shortest carrier, samples: 32 ms, a single frame of most recognisers."""


@dataclass(frozen=True)
class Cells:
    """How time and frequency are divided.

    Parameters
    ----------
    times : centres along the carrier, >= 2, at equal distances from its begin to its end.
    bands : centres on the mel scale, >= 2.
    kind : whether a cell changes what the carrier has there, or adds noise.

    Raises
    ------
    ValueError
        There are fewer than two times or bands.
    """

    times: int = 16
    bands: int = 16
    kind: Literal["carrier", "noise"] = "carrier"

    def __post_init__(self) -> None:
        if min(self.shape) < 2:
            raise ValueError(f"at least 2 x 2 cells, got {self.times} x {self.bands}")

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of :data:`Weights`."""
        return self.times, self.bands


DEFAULT_CELLS = Cells()
"""Cells of an attack that is given none."""


class Basis:
    """The cells of one carrier, each with the same power at the same weight.

    Parameters
    ----------
    cells : the division.
    carrier : shape (n,), float32 at 16 kHz, n >= :data:`SHORTEST`.
    level : rms of a perturbation of random weights with an rms of 1.
    rng : draws the noise.

    Raises
    ------
    ValueError
        The carrier is too short.
    """

    def __init__(
        self, cells: Cells, carrier: Signal, level: float, rng: np.random.Generator
    ) -> None:
        size = carrier.size
        if size < SHORTEST:
            raise ValueError(f"a carrier has at least {SHORTEST} samples, got {size}")
        source = rng.standard_normal(size)
        if cells.kind == "carrier":
            source = carrier + DITHER * float(np.abs(carrier).max()) * source
        bins_mel = _mel(np.linspace(0.0, RATE_HZ / 2, size // 2 + 1))
        centres = np.linspace(_mel(np.array(LOWEST_HZ)), bins_mel[-1], cells.bands)
        spectra = fft.rfft(source) * _hats(bins_mel, centres)
        self._bands = fft.irfft(spectra, size, axis=1)
        self._times = _hats(
            np.arange(size, dtype=np.float64), np.linspace(0, size - 1, cells.times)
        )
        power = np.square(self._times) @ np.square(self._bands).T
        # Cells overlap, but those of random sign add up in power.
        self._amplitudes = level * np.sqrt(size / power.size / power)

    def __call__(self, weights: Weights) -> Perturbation:
        """The perturbation that `weights` stand for, shape (n,)."""
        gains = (weights * self._amplitudes).T @ self._times
        delta: Perturbation = np.einsum("bn,bn->n", gains, self._bands)
        return delta


def within(weights: Weights) -> Weights:
    """`weights` with an rms of 1 at most, so that a search does not run away from the terms."""
    return weights / max(1.0, float(np.sqrt(np.mean(weights**2))))


def _mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """O'Shaughnessy's mel scale."""
    mel: NDArray[np.float64] = 2595.0 * np.log10(1.0 + hz / 700.0)
    return mel


def _hats(at: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation between `centres`, one row a centre, one column a place in `at`."""
    return np.stack([np.interp(at, centres, row) for row in np.eye(centres.size)])
