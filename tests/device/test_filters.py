"""The replacements of what scipy.signal does, against the originals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.filters import analytic, band_pass, convolved, decimated, filter_of, hann

RNG = np.random.default_rng(5)


def noise(*shape: int, kind: type[np.floating[Any]] = np.float64) -> NDArray[Any]:
    return RNG.standard_normal(shape).astype(kind)


@pytest.mark.parametrize("size", [2, 255, 512])
def test_hann(size: int) -> None:
    assert hann(size) == pytest.approx(sps.get_window("hann", size), abs=1e-15)


@pytest.mark.parametrize("shape", [(1,), (2,), (999,), (1000,), (3, 512), (2, 333)])
def test_the_analytic_signal(shape: tuple[int, ...]) -> None:
    signals = noise(*shape)
    assert np.abs(analytic(signals) - sps.hilbert(signals)).max() < 1e-12


@pytest.mark.parametrize("taps", [1, 2, 31, 513])
@pytest.mark.parametrize(
    "shape", [(1,), (7,), (320,), (5000,), (100_003,), (16, 4096), (4, 3, 256)]
)
def test_convolution(taps: int, shape: tuple[int, ...]) -> None:
    signals, by = noise(*shape), noise(taps)
    ours = convolved(signals, by)
    theirs = sps.oaconvolve(signals, by.reshape((1,) * (len(shape) - 1) + (taps,)), axes=-1)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-9


@pytest.mark.parametrize(
    ("kinds", "result"),
    [
        ((np.float32, np.float32), np.float32),
        ((np.float32, np.float64), np.float64),
        ((np.float64, np.float32), np.float64),
    ],
)
def test_types_stay(kinds: tuple[Any, Any], result: Any) -> None:
    out = convolved(noise(900, kind=kinds[0]), noise(31, kind=kinds[1]))
    assert out.dtype == result


def test_rounding_after_a_loud_moment_is_that_of_what_is_there() -> None:
    signal = noise(50_000, kind=np.float32)
    signal[:1000] *= 1e5
    taps = noise(101, kind=np.float32)
    exact = np.convolve(signal.astype(np.float64), taps.astype(np.float64))
    wrong = np.abs(convolved(signal, taps) - exact)
    assert wrong[:1000].max() > 1e-1
    assert wrong[10_000:].max() < 1e-4


@pytest.mark.parametrize("taps", [65, 129, 257])
def test_a_filter_of_given_gains(taps: int) -> None:
    hz = np.linspace(0.0, 8000.0, 513)
    gain = np.where((hz > 500.0) & (hz < 7000.0), np.sqrt(500.0 / np.maximum(hz, 500.0)), 0.0)
    theirs = sps.firwin2(taps, hz, gain, fs=16_000)
    assert filter_of(taps, hz, gain, 16_000) == pytest.approx(theirs, abs=1e-14)


@pytest.mark.parametrize("band_hz", [(450.0, 1850.0), (3000.0, 7900.0)])
def test_a_band_pass(band_hz: tuple[float, float]) -> None:
    theirs = sps.firwin(129, band_hz, pass_zero=False, fs=16_000)
    assert band_pass(129, band_hz, 16_000) == pytest.approx(theirs, abs=1e-14)


@pytest.mark.parametrize("size", [1, 5, 4000, 4001, 4002, 4003])
@pytest.mark.parametrize("factor", [2, 4, 5])
def test_a_lower_rate(size: int, factor: int) -> None:
    signal = noise(size)
    theirs = sps.resample_poly(signal, 1, factor)
    ours = decimated(signal, factor)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-12
    assert decimated(signal.astype(np.float32), factor).dtype == np.float32
