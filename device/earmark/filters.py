"""Windows, linear-phase filters and convolution: what `scipy.signal` does, without loading it.

That package loads all of scipy.stats, scipy.optimize and scipy.interpolate on its way: 37 MB and a
second of a Raspberry Pi's start, in a process that is to stay below 150 MB, for seven functions
that are a few lines each on scipy.fft. The simulated room, which no device in service has, uses
the originals; the tests compare.

Arrays are float32 or float64 and stay what they are; times are samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft, irfft, next_fast_len, rfft

_BLOCK_TAPS = 8
"""Length of a transform in lengths of the filter: as fast as twice that, and it fits a cache."""

_KAISER_BETA = 5.0
"""Shape of the window of :func:`decimated`: 50 dB of what would fold back is gone."""

_PERIODS = 10
"""Half length of its filter in samples of the lower rate."""


def hann(size: int) -> NDArray[np.float64]:
    """The periodic Hann window, shape (size,), size at least 2."""
    return np.asarray(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size))


def analytic(signals: NDArray[Any]) -> NDArray[np.complexfloating[Any, Any]]:
    """The signals along the last axis without their negative frequencies."""
    size = signals.shape[-1]
    weight = np.zeros(size, signals.dtype)
    weight[0] = 1.0
    weight[1 : (size + 1) // 2] = 2.0
    if size % 2 == 0:
        weight[size // 2] = 1.0
    return np.asarray(ifft(fft(signals) * weight))


def convolved(signals: NDArray[Any], taps: NDArray[Any]) -> NDArray[Any]:
    """The whole convolution of signals along the last axis with one filter, by overlap-add.

    In short blocks, so that rounding after a loud moment is as small as what is there.

    Parameters
    ----------
    signals : shape (..., n).
    taps : shape (m,), m at least 1.

    Returns
    -------
    Shape (..., n + m - 1), of the wider of the two types.
    """
    size, overlap = signals.shape[-1], taps.size - 1
    needed = max(2 * taps.size, min(size + overlap, _BLOCK_TAPS * taps.size))
    block = next_fast_len(needed, real=True)
    step = block - overlap
    count = -(-size // step)
    shape = signals.shape[:-1]
    padded = np.zeros((*shape, count * step), np.result_type(signals, taps))
    padded[..., :size] = signals
    spectra = rfft(padded.reshape(*shape, count, step), block)
    pieces = irfft(spectra * rfft(taps.astype(padded.dtype), block), block)
    out = np.zeros((*shape, count + 1, step), padded.dtype)
    out[..., :count, :] = pieces[..., :step]
    out[..., 1:, :overlap] += pieces[..., step:]
    return out.reshape(*shape, (count + 1) * step)[..., : size + overlap]


def filter_of(
    taps: int, hz: NDArray[np.float64], gain: NDArray[np.float64], rate_hz: float
) -> NDArray[np.float64]:
    """Linear-phase filter with the gains `gain` at the frequencies `hz`, straight in between.

    By frequency sampling and a Hamming window, as `scipy.signal.firwin2`.

    Parameters
    ----------
    taps : its length, odd.
    hz : rising from 0 to half of `rate_hz`.
    """
    points = 1 + (1 << (taps - 1).bit_length())
    at_hz = np.linspace(0.0, rate_hz / 2.0, points)
    delay = np.exp(-0.5j * (taps - 1) * 2.0 * np.pi * at_hz / rate_hz)
    whole = irfft(np.interp(at_hz, hz, gain) * delay)
    return np.asarray(whole[:taps] * np.hamming(taps))


def band_pass(taps: int, band_hz: tuple[float, float], rate_hz: float) -> NDArray[np.float64]:
    """Linear-phase filter for a band, of gain 1 at its middle, as `scipy.signal.firwin`.

    Parameters
    ----------
    taps : its length, odd.
    band_hz : where it has a half of its gain.
    """
    low, high = (2.0 * hz / rate_hz for hz in band_hz)
    at = np.arange(taps) - 0.5 * (taps - 1)
    ideal = high * np.sinc(high * at) - low * np.sinc(low * at)
    out = ideal * np.hamming(taps)
    return np.asarray(out / np.sum(out * np.cos(0.5 * np.pi * (low + high) * at)))


def decimated(signal: NDArray[Any], factor: int) -> NDArray[Any]:
    """Every `factor`-th sample of a signal, of shape (n,), without what would fold back.

    As `scipy.signal.resample_poly`; shape (ceil(n / factor),), nothing is delayed.
    """
    half = _PERIODS * factor
    at = np.arange(-half, half + 1)
    taps = np.sinc(at / factor) * np.kaiser(at.size, _KAISER_BETA)
    taps = (taps / taps.sum()).astype(signal.dtype)
    return convolved(signal, taps)[half : half + signal.size : factor]
