"""Clocks and frequency shifts from tones whose clock is exact."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal
from earmark_calibration.measure.clock import (
    LEAST_TONES,
    TONES_HZ,
    TONES_S,
    Clock,
    read_clock,
    tones,
    undo,
)

COUNT = round(TONES_S * RATE_HZ)


def heard(drift_ppm: float, shift_hz: float, noise: float = 0.0, seed: int = 0) -> Signal:
    """Tones computed at the frequencies that they must be heard at; no resampler is in between."""
    time = np.arange(COUNT) / RATE_HZ
    rng = np.random.default_rng(seed)
    total = sum(
        np.sin(2.0 * np.pi * (hz * (1.0 + drift_ppm * 1e-6) + shift_hz) * time + rng.uniform(0, 6))
        for hz in TONES_HZ
    )
    scaled = 0.02 * np.asarray(total) + noise * rng.standard_normal(COUNT)
    return np.asarray(scaled, np.float32)


@pytest.mark.parametrize("drift", [0.0, 50.0, -50.0, 300.0, -300.0, 1000.0])
@pytest.mark.parametrize("shift", [0.0, 0.7, -20.0])
def test_drift_and_shift_are_told_apart(drift: float, shift: float) -> None:
    reading = read_clock(heard(drift, shift, noise=0.01))
    assert reading.clock is not None
    assert reading.clock.drift_ppm == pytest.approx(drift, abs=1.0)
    assert reading.clock.shift_hz == pytest.approx(shift, abs=0.01)
    assert reading.rate_ratio == 1.0
    assert reading.clock.ratio == pytest.approx(1.0 + drift * 1e-6, abs=1e-6)


def test_5_ppm_hold_in_noise_as_loud_as_the_tones() -> None:
    for seed in range(5):
        reading = read_clock(heard(50.0, 3.0, noise=0.05, seed=seed))
        assert reading.clock is not None
        assert reading.clock.drift_ppm == pytest.approx(50.0, abs=5.0)
        assert reading.clock.shift_hz == pytest.approx(3.0, abs=0.5)


def test_a_tone_that_goes_its_own_way_is_left_out_and_named() -> None:
    time = np.arange(COUNT) / RATE_HZ
    hum = 0.5 * np.sin(2.0 * np.pi * 1015.0 * time)
    reading = read_clock(np.asarray(heard(50.0, 0.0) + hum, np.float32))
    assert reading.clock is not None
    assert reading.clock.drift_ppm == pytest.approx(50.0, abs=1.0)
    assert np.isnan(reading.shifts_hz[TONES_HZ.index(1009.0)])
    assert np.isfinite(reading.shifts_hz).sum() == len(TONES_HZ) - 1


def test_tones_that_are_cut_off_do_not_spoil_the_others() -> None:
    sections = sps.butter(12, 3800.0, "lowpass", fs=RATE_HZ, output="sos")
    low = sps.sosfilt(sections, heard(-120.0, 0.0))
    noise = np.random.default_rng(1).standard_normal(COUNT) * 1e-3
    reading = read_clock(np.asarray(low + noise, np.float32))
    assert reading.clock is not None
    assert reading.clock.drift_ppm == pytest.approx(-120.0, abs=2.0)


def test_a_block_that_was_lost_does_not_spoil_it() -> None:
    whole = heard(50.0, 0.0)
    cut = np.concatenate([whole[:30_000], whole[30_320:], whole[:320]])
    reading = read_clock(cut)
    assert reading.clock is not None
    assert reading.clock.drift_ppm == pytest.approx(50.0, abs=5.0)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_without_tones_there_is_no_clock(noise: float) -> None:
    rng = np.random.default_rng(3)
    reading = read_clock(np.asarray(noise * rng.standard_normal(COUNT), np.float32))
    assert reading.clock is None
    assert reading.rate_ratio == 1.0
    assert np.isnan(reading.shifts_hz).all()


def test_too_few_tones_are_none() -> None:
    time = np.arange(COUNT) / RATE_HZ
    few = sum(np.sin(2.0 * np.pi * hz * time) for hz in TONES_HZ[: LEAST_TONES - 1])
    noise = 1e-4 * np.random.default_rng(0).standard_normal(COUNT)
    reading = read_clock(np.asarray(0.05 * np.asarray(few) + noise, np.float32))
    assert (reading.clock, reading.rate_ratio) == (None, 1.0)


@pytest.mark.parametrize(
    ("card", "believed"), [(44_100, 48_000), (48_000, 44_100), (8_000, 16_000)]
)
def test_a_wrong_rate_is_named_by_its_ratio(card: int, believed: int) -> None:
    moved = soxr.resample(np.tile(tones(), 3) * 0.1, card, believed)[:COUNT]
    reading = read_clock(np.asarray(moved, np.float32))
    assert reading.clock is None
    assert reading.rate_ratio == pytest.approx(card / believed)


@pytest.mark.parametrize(
    ("drift", "shift"), [(300.0, 0.0), (-300.0, 0.0), (0.0, 15.0), (-50.0, 5.0)]
)
def test_what_is_undone_is_as_it_was_played(drift: float, shift: float) -> None:
    back = read_clock(undo(heard(drift, shift), Clock(drift, shift)))
    assert back.clock is not None
    assert back.clock.drift_ppm == pytest.approx(0.0, abs=0.5)
    assert back.clock.shift_hz == pytest.approx(0.0, abs=0.005)


def test_the_tones_are_of_rms_1_and_of_low_crest() -> None:
    steady = tones()[round(RATE_HZ) : -round(RATE_HZ)]
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(1.0, abs=0.01)
    assert np.abs(tones()).max() < 4.0
