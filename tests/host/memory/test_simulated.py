"""Simulated attacks have the paper's statistics, and say that they are simulated."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from earmark.signal import RATE_HZ, Signal, rms
from earmark_host.memory.simulated import (
    ATTACK_PROFILES,
    Growth,
    Profile,
    Shape,
    simulate,
)

EACH = pytest.mark.parametrize("profile", ATTACK_PROFILES.values(), ids=lambda p: p.name)


def carrier(level: float = 0.1, seconds: float = 5.0) -> Signal:
    """Pulses of two tones with gaps."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = np.sin(2 * np.pi * 440.0 * time) + 0.3 * np.sin(2 * np.pi * 1500.0 * time)
    return np.asarray(level * tones * (np.sin(2 * np.pi * 2.0 * time) > 0), np.float32)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def delta(profile: Profile, index: int, seed: int = 1) -> Signal:
    """The perturbation of one query."""
    made = simulate(profile, carrier(), rng(seed)).queries
    return made[index].signal - made[0].signal


@pytest.mark.parametrize(
    ("name", "queries", "kind", "at", "fsnr_db"),
    [
        ("cs", 300, "music", 75, 7.38),
        ("dw", 150, "music", 79, 18.41),
        ("irta", 1000, "speech", 75, 40.97),
        ("ds", 1000, "speech", 75, (18.41 + 40.97) / 2),
    ],
)
def test_the_numbers_of_the_paper(
    name: str, queries: int, kind: str, at: int, fsnr_db: float
) -> None:
    profile = ATTACK_PROFILES[name]
    made = simulate(profile, carrier(), rng())
    assert (made.name, made.carrier, len(made.queries)) == (name, kind, queries)
    assert made.queries[at].snr_db == pytest.approx(fsnr_db, abs=0.1)


def test_all_four_are_there_in_the_order_of_the_paper() -> None:
    assert list(ATTACK_PROFILES) == ["cs", "dw", "irta", "ds"]


@EACH
def test_it_says_that_it_is_simulated(profile: Profile) -> None:
    made = simulate(profile, carrier(), rng())
    assert made.facts["simulated"] is True
    assert made.won_at is None
    json.dumps(made.facts, allow_nan=False)


@EACH
def test_the_first_query_is_the_carrier(profile: Profile) -> None:
    first = simulate(profile, carrier(), rng()).queries[0]
    np.testing.assert_array_equal(first.signal, carrier()[: first.signal.size])
    assert first.signal.size == round(profile.length_s * RATE_HZ)
    assert first.snr_db is None


@EACH
def test_the_level_is_the_one_stated_and_rises(profile: Profile) -> None:
    made = simulate(profile, carrier(), rng())
    levels = []
    for index in (1, 2, 20, 75, profile.queries - 1):
        query = made.queries[index]
        assert query.snr_db is not None
        measured = rms(made.queries[0].signal) / rms(query.signal - made.queries[0].signal)
        assert 20.0 * math.log10(measured) == pytest.approx(query.snr_db, abs=0.05)
        levels.append(query.snr_db)
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(profile.first_db)
    assert levels[-1] == pytest.approx(profile.last_db, abs=0.01)


def test_the_growth_laws() -> None:
    power = replace(
        ATTACK_PROFILES["dw"], queries=101, first_db=40.0, last_db=0.0, growth=Growth.POWER
    )
    assert power.snr_db(10) == pytest.approx(20.0)  # amplitude as the number of the query
    assert power.snr_db(500) == power.snr_db(100) == pytest.approx(0.0)
    bounded = replace(power, growth=Growth.BOUNDED, queries=1001)
    at_25 = bounded.snr_db(26)
    assert at_25 is not None
    assert 10 ** (-at_25 / 20) == pytest.approx(1.0 - 0.99 / math.e, rel=1e-3)
    assert bounded.snr_db(5000) == bounded.snr_db(1000)


@EACH
def test_how_much_of_a_perturbation_stays(profile: Profile) -> None:
    for one, other in ((75, 76), (20, 140)):
        a, b = (delta(profile, i).astype(np.float64) for i in (one, other))
        likeness = float(a @ b / np.sqrt((a @ a) * (b @ b)))
        assert likeness == pytest.approx(profile.persistent, abs=0.03)


def test_other_streams_have_other_perturbations() -> None:
    profile = ATTACK_PROFILES["cs"]
    a, b = delta(profile, 75, seed=1), delta(profile, 75, seed=2)
    assert abs(float(a @ b) / (rms(a) * rms(b) * a.size)) < 0.03


def band_db(signal: Signal, low_hz: float, high_hz: float) -> float:
    power = np.abs(np.fft.rfft(signal)) ** 2
    at_hz = np.fft.rfftfreq(signal.size, 1.0 / RATE_HZ)
    return 10.0 * math.log10(float(power[(at_hz >= low_hz) & (at_hz < high_hz)].mean()))


@pytest.mark.parametrize(("shape", "slope_db"), [("white", 0.0), ("speech", -9.0)])
def test_the_spectrum_of_a_perturbation(shape: Shape, slope_db: float) -> None:
    loud = delta(replace(ATTACK_PROFILES["cs"], shape=shape), 75)
    octave = band_db(loud, 4000.0, 4200.0) - band_db(loud, 2000.0, 2100.0)
    assert octave == pytest.approx(slope_db, abs=1.5)
    assert band_db(loud, 100.0, 250.0) - band_db(loud, 250.0, 500.0) == pytest.approx(0, abs=1.5)


def test_a_masked_perturbation_lies_under_the_carrier() -> None:
    hidden = delta(replace(ATTACK_PROFILES["cs"], shape="masked"), 75)
    assert band_db(hidden, 400.0, 500.0) - band_db(hidden, 3000.0, 4000.0) > 30.0
    gap = slice(round(0.3 * RATE_HZ), round(0.45 * RATE_HZ))  # the carrier pauses here
    tone = slice(round(0.05 * RATE_HZ), round(0.2 * RATE_HZ))
    assert rms(hidden[gap]) < 0.05 * rms(hidden[tone])


def test_the_same_seed_gives_the_same_stream_in_any_order() -> None:
    profile = ATTACK_PROFILES["ds"]
    one, other = (simulate(profile, carrier(), rng()).queries for _ in range(2))
    late = one[80].signal
    other[3]
    np.testing.assert_array_equal(late, other[80].signal)
    np.testing.assert_array_equal(one[3].signal, other[3].signal)


def test_a_cut_stream_is_the_beginning_of_the_whole_attack() -> None:
    profile = ATTACK_PROFILES["cs"]
    cut = simulate(profile, carrier(), rng(), queries=5)
    assert len(cut.queries) == 5
    assert [query.snr_db for query in cut.queries] == [profile.snr_db(i) for i in range(5)]
    assert cut.facts["whole_attack_queries"] == 300


def test_times_rise() -> None:
    times = [q.at_s for q in simulate(ATTACK_PROFILES["cs"], carrier(), rng(), 4).queries]
    assert times == [0.0, 10.0, 20.0, 30.0]


def test_a_loud_carrier_is_scaled_and_not_clipped() -> None:
    made = simulate(ATTACK_PROFILES["cs"], carrier(0.75), rng()).queries
    loud, quiet = made[75].signal, simulate(ATTACK_PROFILES["cs"], carrier(0.075), rng()).queries
    assert np.abs(loud).max() == pytest.approx(1.0)
    assert np.count_nonzero(np.abs(loud) > 0.999) == 1
    other = quiet[75].signal
    np.testing.assert_allclose(loud / rms(loud), other / rms(other), atol=1e-4)


def test_a_short_carrier_stays_short() -> None:
    made = simulate(ATTACK_PROFILES["irta"], carrier(seconds=0.02), rng())
    assert made.queries[75].signal.size == round(0.02 * RATE_HZ)
    assert np.isfinite(made.queries[75].signal).all()


@pytest.mark.parametrize("wrong", [np.zeros(RATE_HZ, np.float32), np.zeros(0, np.float32)])
def test_a_silent_carrier_is_refused(wrong: Signal) -> None:
    with pytest.raises(ValueError, match="silent"):
        simulate(ATTACK_PROFILES["cs"], wrong, rng())


def test_a_stream_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        simulate(ATTACK_PROFILES["cs"], carrier(), rng(), queries=0)
