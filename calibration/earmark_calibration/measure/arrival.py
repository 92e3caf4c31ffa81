"""When the direct sound arrives, to a fraction of a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.signal import RATE_HZ

BAND_HZ = (400.0, 1000.0, 6000.0, 7200.0)
"""The band that the arrival is read in, with its smooth edges, Hz: what small loudspeakers
radiate and the hop to 16 kHz passes unchanged."""

FINER = 24
"""Places per sample at 16 kHz: 8 per sample at 48 kHz; a parabola finds what lies between."""

FIRST = 0.5
"""The direct sound is the first peak of at least this share of the highest: a reflection may be
stronger, but hardly by more than 6 dB."""

REACH_S = 0.02
"""How long before the highest peak the direct sound may come, s: 7 m of detour."""


def envelope(response: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnitude of the analytic response within the band; it has one top where a sine has many.

    Nothing moves it if all phases turn by the same angle, as they do in a frequency shift.
    """
    size = fft.next_fast_len(response.size, real=True)
    return np.asarray(np.abs(fft.ifft(_analytic(response, size)))[: response.size])


def arrival_s(response: NDArray[np.float64]) -> float:
    """Time of the direct sound in an impulse response at ``RATE_HZ``, s.

    The resolution is limited by noise alone, not by the rate: the band ends below 8 kHz, so
    the samples hold all of the response.
    """
    coarse = envelope(response)
    highest = int(np.argmax(coarse))
    reach = round(REACH_S * RATE_HZ)
    first, last = highest - 2 * reach, highest + reach
    part = np.take(response, np.arange(first, last), mode="wrap")
    fine = np.abs(fft.ifft(_analytic(part, part.size, FINER)))
    fine = fine[reach * FINER : (2 * reach + 2) * FINER]
    tops = np.flatnonzero((fine[1:-1] >= fine[:-2]) & (fine[1:-1] > fine[2:])) + 1
    high = tops[fine[tops] >= FIRST * fine.max()]
    top = int(high[0]) if high.size else int(np.clip(np.argmax(fine), 1, fine.size - 2))
    below, at, above = fine[top - 1 : top + 2]
    bend = below - 2.0 * at + above
    offset = 0.5 * (below - above) / bend if bend < 0.0 else 0.0
    return float((first + reach) / RATE_HZ + (top + offset) / (RATE_HZ * FINER))


def _analytic(response: NDArray[np.float64], size: int, finer: int = 1) -> NDArray[np.complex128]:
    """Spectrum of the analytic signal within the band, padded for `finer` places per sample."""
    spectrum = fft.rfft(response, size)
    hz = np.arange(spectrum.size) * (RATE_HZ / size)
    a, b, c, d = BAND_HZ
    rise = np.sin(np.clip((hz - a) / (b - a), 0.0, 1.0) * np.pi / 2) ** 2
    fall = np.cos(np.clip((hz - c) / (d - c), 0.0, 1.0) * np.pi / 2) ** 2
    out = np.zeros(size * finer, np.complex128)
    out[: spectrum.size] = 2.0 * finer * spectrum * rise * fall
    return out
