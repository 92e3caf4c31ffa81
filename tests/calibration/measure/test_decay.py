"""Decays whose RT60 is exact, beside a loudspeaker and in noise."""

from __future__ import annotations

import numpy as np
import pytest
from pyroomacoustics.experimental import measure_rt60

from earmark.signal import RATE_HZ
from earmark_calibration.measure.bands import OCTAVES
from earmark_calibration.measure.decay import decay, reverberation

DIRECT_S = 0.1


def response(
    rt60_s: float, noise: float = 0.0, direct_over_room_db: float = 18.0, seed: int = 0
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = noise * rng.standard_normal(round(2.0 * RATE_HZ))
    time = np.arange(round(1.8 * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(time.size) * 10.0 ** (-3.0 * time / rt60_s)
    tail *= 10.0 ** (-direct_over_room_db / 20.0) / np.sqrt(np.sum(tail**2))
    begin = round(DIRECT_S * RATE_HZ)
    out[begin : begin + time.size] += tail
    out[begin] += 1.0
    return out


@pytest.mark.parametrize("rt60", [0.2, 0.35, 0.6, 1.0])
@pytest.mark.parametrize("over", [0.0, 10.0, 20.0])
def test_rt60_whatever_the_direct_sound(rt60: float, over: float) -> None:
    found = reverberation(response(rt60, 1e-6, over), DIRECT_S)
    assert found.broadband.rt60_s == pytest.approx(rt60, rel=0.1)
    assert found.broadband.range_db == 30.0
    octaves = [octave.rt60_s for octave in found.octaves]
    assert octaves == pytest.approx([rt60] * len(octaves), rel=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_rt60_in_noise_with_less_range(seed: int) -> None:
    # 32 dB between the beginning of the room's decay and the noise.
    found = reverberation(response(0.5, noise=8e-5, seed=seed), DIRECT_S).broadband
    assert found.range_db == 20.0
    assert found.rt60_s == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_loud_noise_leaves_ten_db_of_it_broadband(seed: int) -> None:
    found = reverberation(response(0.5, noise=2.5e-4, seed=seed), DIRECT_S)
    assert found.broadband.range_db == 10.0
    assert found.broadband.rt60_s == pytest.approx(0.5, rel=0.15)
    assert all(octave.range_db != 10.0 for octave in found.octaves)


def test_too_much_noise_says_so() -> None:
    found = reverberation(response(0.5, noise=1e-3), DIRECT_S).broadband
    assert (found.rt60_s, found.range_db) == (None, 0.0)


def test_nothing_but_noise_has_no_decay() -> None:
    rng = np.random.default_rng(0)
    assert decay(rng.standard_normal(30_000), 1000).rt60_s is None
    assert decay(np.zeros(30_000), 1000).rt60_s is None


def test_octaves_that_decay_differently_are_told_apart() -> None:
    """Each octave has its own decay; sharp filters in the spectrum keep them apart."""
    truth = {centre: 0.9 - 0.15 * number for number, centre in enumerate(OCTAVES.centres_hz)}
    rng = np.random.default_rng(3)
    size = round(2.0 * RATE_HZ)
    hz = np.fft.rfftfreq(size, 1.0 / RATE_HZ)
    time = np.arange(size) / RATE_HZ
    total = np.zeros(size)
    for centre, rt60 in truth.items():
        low, high = OCTAVES.edges_hz(centre)
        spectrum = np.fft.rfft(rng.standard_normal(size)) * ((hz >= low) & (hz < high))
        total += np.fft.irfft(spectrum, size) * 10.0 ** (-3.0 * time / rt60)
    total *= 0.1 / np.sqrt(np.sum(total**2))
    total = np.roll(total, round(DIRECT_S * RATE_HZ))
    total[: round(DIRECT_S * RATE_HZ)] = 0.0
    total[round(DIRECT_S * RATE_HZ)] += 1.0
    found = reverberation(total, DIRECT_S)
    assert [octave.rt60_s for octave in found.octaves] == pytest.approx(
        list(truth.values()), rel=0.15
    )


def test_it_agrees_with_pyroomacoustics_where_that_applies() -> None:
    """Without noise and with little direct sound, a maintained library reads the same."""
    plain = response(0.5, 0.0, direct_over_room_db=-10.0)
    theirs = measure_rt60(plain[round(DIRECT_S * RATE_HZ) :], RATE_HZ, decay_db=30)
    ours = reverberation(plain, DIRECT_S).broadband.rt60_s
    assert ours == pytest.approx(theirs, rel=0.05)


def test_the_curve_falls() -> None:
    found = reverberation(response(0.5, 1e-5), DIRECT_S).broadband
    assert found.curve_db[0] == 0.0
    every_10_ms = found.curve_db[: round(0.25 * RATE_HZ) : 160]
    assert (np.diff(every_10_ms) < 0.0).all()
    assert found.curve_s.size == found.curve_db.size
