"""Frequency bands: octaves and thirds of octaves by IEC 61260-1, base ten."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bands:
    """Bands side by side.

    Parameters
    ----------
    centres_hz : exact midband frequencies, ascending.
    half_width : exponent of ten from a midband frequency to its upper edge.
    """

    centres_hz: tuple[float, ...]
    half_width: float

    def edges_hz(self, centre_hz: float) -> tuple[float, float]:
        """Lower and upper edge of the band around `centre_hz`."""
        return centre_hz * 10.0**-self.half_width, centre_hz * 10.0**self.half_width

    def mean(self, hz: FloatArray, values: FloatArray) -> FloatArray:
        """Mean of `values` (a power at each frequency of `hz`, ascending) over each band.

        NaN where no frequency lies in a band.
        """
        return self._over(hz, values, np.mean)

    def sum(self, hz: FloatArray, values: FloatArray) -> FloatArray:
        """Sum of `values` over each band."""
        return self._over(hz, values, np.sum)

    def _over(self, hz: FloatArray, values: FloatArray, what: object) -> FloatArray:
        out = np.full(len(self.centres_hz), np.nan)
        for number, centre in enumerate(self.centres_hz):
            low, high = self.edges_hz(centre)
            inside = values[np.searchsorted(hz, low) : np.searchsorted(hz, high)]
            if inside.size:
                out[number] = what(inside)  # type: ignore[operator]
        return out


def thirds(low: int, high: int) -> Bands:
    """Thirds of octaves, numbered so that 0 is 1 kHz: ``thirds(-7, 8)`` is 200 Hz to 6.3 kHz."""
    return Bands(tuple(10.0 ** (3.0 + n / 10.0) for n in range(low, high + 1)), 0.05)


def octaves(low: int, high: int) -> Bands:
    """Octaves, numbered so that 0 is 1 kHz: ``octaves(-2, 2)`` is 250 Hz to 4 kHz."""
    return Bands(tuple(10.0 ** (3.0 + 0.3 * n) for n in range(low, high + 1)), 0.15)


THIRDS = thirds(-7, 8)
"""200 Hz to 6.3 kHz, whose upper edge is 7.1 kHz: what lies safely below half of 16 kHz."""

OCTAVES = octaves(-2, 2)
"""250 Hz to 4 kHz: the octaves that a small loudspeaker fills."""
