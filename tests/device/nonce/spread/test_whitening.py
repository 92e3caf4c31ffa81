"""The recording as a matched filter wants it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal as sps

from earmark.nonce.spread.whitening import FAIRNESS, FRAME, HOP, whitened
from earmark.signal import RATE_HZ, Signal

RecordingOf = Callable[..., Signal]


def power_db(x: Signal) -> float:
    return float(10.0 * np.log10(np.mean(np.asarray(x, np.float64) ** 2) + 1e-300))


@pytest.mark.parametrize("size", [0, 1, HOP - 1, HOP, HOP + 1, FRAME, 5000])
def test_it_keeps_the_length(size: int) -> None:
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    out = whitened(x)
    assert out.shape == x.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()


def test_white_noise_stays_much_as_it_is_and_where_it_is(recording_of: RecordingOf) -> None:
    x = recording_of("white", RATE_HZ)
    every = sps.correlate(whitened(x), x, method="fft")
    assert int(np.argmax(every)) == x.size - 1
    assert np.corrcoef(whitened(x), x)[0, 1] > 0.9


def test_the_usual_spectrum_is_flattened(recording_of: RecordingOf) -> None:
    """Divided by its power, and its usual spectrum bent back: no band that is quiet rules."""
    x = recording_of("coloured", 4 * RATE_HZ)
    hz, before = sps.welch(x, RATE_HZ, nperseg=512)
    after = sps.welch(whitened(x), RATE_HZ, nperseg=512)[1]
    for low, high in ((1000.0, 2000.0), (2000.0, 4000.0), (4000.0, 7000.0)):
        octave = (hz > low) & (hz < high)
        slope_before = np.polyfit(np.log(hz[octave]), np.log(before[octave]), 1)[0]
        slope_after = np.polyfit(np.log(hz[octave]), np.log(after[octave]), 1)[0]
        assert slope_after == pytest.approx((FAIRNESS - 1.0) * slope_before, abs=0.35)


def test_loud_moments_count_less(recording_of: RecordingOf) -> None:
    x = recording_of("white", 2 * RATE_HZ)
    x[RATE_HZ:] *= 10.0
    out = whitened(x)
    quiet, loud = out[FRAME : RATE_HZ - FRAME], out[RATE_HZ + FRAME : -FRAME]
    # 20 dB above became below; the floor keeps the quiet ones from ruling alone.
    assert -21.0 < power_db(loud) - power_db(quiet) < -13.0


def test_a_tone_is_taken_back(recording_of: RecordingOf) -> None:
    tone = np.sin(2.0 * np.pi * 1000.0 * np.arange(2 * RATE_HZ) / RATE_HZ)
    x = (10.0 * tone + recording_of("white", tone.size)).astype(np.float32)
    assert abs(np.corrcoef(whitened(x), tone)[0, 1]) < 0.2


@pytest.mark.parametrize("level", [1e-4, 1e3])
def test_the_level_does_not_matter(recording_of: RecordingOf, level: float) -> None:
    x = recording_of("modulated", RATE_HZ)
    at_one = whitened(x)
    scaled = whitened((level * x).astype(np.float32)) / level
    assert np.max(np.abs(scaled - at_one)) < 1e-3 * np.max(np.abs(at_one))


def test_silence_stays_silence() -> None:
    assert not whitened(np.zeros(RATE_HZ, np.float32)).any()


@pytest.mark.parametrize("kind", ["clicks", "burst", "third", "tone"])
def test_digital_silence_is_no_perfect_channel(recording_of: RecordingOf, kind: str) -> None:
    x = recording_of(kind, RATE_HZ)
    out = whitened(x)
    assert np.isfinite(out).all()
    silent = np.convolve(np.abs(x), np.ones(4 * FRAME), "same") == 0.0
    assert not out[silent].any()


def test_it_is_local(recording_of: RecordingOf) -> None:
    """What comes later changes what was before by one common factor at most."""
    x = recording_of("white", 2 * RATE_HZ)
    later = x.copy()
    later[RATE_HZ:] *= 3.0
    a, b = (whitened(each)[: RATE_HZ - 4 * FRAME] for each in (x, later))
    assert np.corrcoef(a, b)[0, 1] > 0.999
