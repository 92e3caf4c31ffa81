"""Noise whose level and spectrum are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as sps

from earmark.signal import FLOOR_DBFS, RATE_HZ, Signal, gain
from earmark_calibration.measure.noise import LISTEN_S, NOISE_BANDS, Reference, measure_noise

COUNT = round(LISTEN_S * RATE_HZ)


def white(level_dbfs: float, seed: int = 0) -> Signal:
    rng = np.random.default_rng(seed)
    return np.asarray(gain(level_dbfs) * rng.standard_normal(COUNT), np.float32)


@pytest.mark.parametrize("level", [-20.0, -45.0, -79.0])
def test_the_level_of_white_noise_and_of_each_band(level: float) -> None:
    noise = measure_noise(white(level))
    assert noise.level_dbfs == pytest.approx(level, abs=0.1)
    for centre, found in zip(noise.bands_hz, noise.spectrum_dbfs, strict=True):
        low, high = NOISE_BANDS.edges_hz(centre)
        truth = level + 10.0 * np.log10((high - low) / (RATE_HZ / 2))
        # A narrow band holds few independent values in 12 s: 3 standard deviations.
        spread = 3.0 * 4.34 / np.sqrt((high - low) * LISTEN_S)
        assert found == pytest.approx(truth, abs=0.3 + spread)


def test_a_tone_is_in_its_band_alone() -> None:
    time = np.arange(COUNT) / RATE_HZ
    tone = np.asarray(0.1 * np.sin(2.0 * np.pi * 1000.0 * time), np.float32)
    noise = measure_noise(tone)
    at = int(np.argmax(noise.spectrum_dbfs))
    assert noise.bands_hz[at] == pytest.approx(1000.0)
    assert noise.spectrum_dbfs[at] == pytest.approx(-23.01, abs=0.1)
    assert noise.level_dbfs == pytest.approx(-23.01, abs=0.05)
    others = [level for number, level in enumerate(noise.spectrum_dbfs) if number != at]
    assert max(others) < -80.0


def test_an_offset_is_no_sound() -> None:
    noise = measure_noise(white(-60.0) + np.float32(0.1))
    assert noise.level_dbfs == pytest.approx(-60.0, abs=0.1)
    assert noise.offset == pytest.approx(0.1, abs=1e-3)


def test_rumble_counts_from_10_hz_up() -> None:
    """Brown noise, whose power from 10 Hz up is known: it falls from 50 Hz on."""
    pole = np.exp(-2.0 * np.pi * 50.0 / RATE_HZ)
    rumble = sps.lfilter([1.0], [1.0, -pole], white(0.0, seed=4).astype(float))
    hz = np.linspace(0.0, RATE_HZ / 2, 400_001)
    power = 1.0 / np.abs(1.0 - pole * np.exp(-2j * np.pi * hz / RATE_HZ)) ** 2
    truth = 10.0 * np.log10(power[hz >= 10.0].sum() / hz.size)
    noise = measure_noise(np.asarray(1e-3 * rumble, np.float32))
    assert noise.level_dbfs == pytest.approx(truth - 60.0, abs=0.5)


@pytest.mark.parametrize("colour", ["white", "brown"])
def test_steady_noise_swings_little_and_speech_like_noise_much(colour: str) -> None:
    steady = white(-50.0).astype(float)
    if colour == "brown":
        steady = sps.lfilter([1.0], [1.0, -np.exp(-2.0 * np.pi * 50.0 / RATE_HZ)], steady)
    assert measure_noise(np.asarray(steady, np.float32)).swing_db < 3.0
    time = np.arange(COUNT) / RATE_HZ
    spoken = steady * np.where(np.sin(2.0 * np.pi * 0.7 * time) > 0.0, 10.0, 1.0)
    assert measure_noise(np.asarray(spoken, np.float32)).swing_db == pytest.approx(20.0, abs=2.5)


def test_the_course_follows_the_level() -> None:
    loud = white(-50.0)
    loud[COUNT // 2 :] *= np.float32(gain(10.0))
    noise = measure_noise(loud)
    course = np.array(noise.course_dbfs)
    first = np.array(noise.course_s) < LISTEN_S / 2 - 0.3
    last = np.array(noise.course_s) > LISTEN_S / 2
    assert course[first] == pytest.approx(-50.0, abs=0.6)
    assert course[last] == pytest.approx(-40.0, abs=0.6)


def test_silence_has_the_floor_and_too_little_is_refused() -> None:
    assert measure_noise(np.zeros(COUNT, np.float32)).level_dbfs == FLOOR_DBFS
    with pytest.raises(ValueError, match="at least"):
        measure_noise(np.zeros(100, np.float32))


def test_sound_pressure_only_through_a_stated_reference() -> None:
    meter = Reference.by_meter(52.3, -56.7)
    assert meter.dbspl(-56.7) == pytest.approx(52.3)
    assert meter.dbspl(-46.7) == pytest.approx(62.3)
    assert "52.3" in meter.source
    maker = Reference.by_maker(109.0)
    assert maker.dbspl(-69.0) == pytest.approx(40.0)
    assert "maker" in maker.source
