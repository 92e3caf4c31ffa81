"""An attacker who uses the verdicts goes as far as he must, and no further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earmark.signal import RATE_HZ, Signal, rms
from earmark_host.memory.attacks import ATTACKS
from earmark_host.memory.attacks.oars import CLOSE, DEFAULT, Distance, disguised, oars
from earmark_host.memory.attacks.probe import Probe, snr_db

from .conftest import Device, Toy

NOISE_ONLY = replace(DEFAULT, speed_percent=0.0, trim_s=0.0, gain_db=0.0, equaliser_db=0.0)
"""An attacker with nothing but noise."""

SIZE = 4_000
"""How much of a query the defence below compares, samples: 0.25 s."""


class Near:
    """A defence that withholds what is nearer than `least` to anything that it has heard.

    The distance is that of the waveforms over their level, at the same place: 0 for the same
    signal, 1.4 for strangers. The detector of nobody; simple enough to know what evades it.
    """

    def __init__(self, least: float, *known: Signal) -> None:
        self.least = least
        self.heard = [shape(signal) for signal in known]

    def __call__(self, signal: Signal) -> bool:
        new = shape(signal)
        likeness = max((float(past @ new) for past in self.heard), default=-1.0)
        self.heard.append(new)
        return likeness > 1.0 - self.least**2 / 2.0


def shape(signal: Signal) -> Signal:
    """The first :data:`SIZE` samples with a norm of 1."""
    cut = np.pad(signal[:SIZE], (0, max(0, SIZE - signal.size)))
    return np.asarray(cut / np.linalg.norm(cut), np.float32)


def apart(one: Signal, other: Signal) -> float:
    """Distance of two signals as :class:`Near` sees it."""
    return float(np.linalg.norm(shape(one) - shape(other)))


def follow(least: float, tries: int = 60) -> list[float]:
    """Distances tried where everything below `least` is withheld."""
    distance = Distance()
    tried = []
    for _ in range(tries):
        tried.append(distance.value)
        if distance.value < least:
            distance.withheld()
        else:
            distance.answered()
    return tried


def test_nothing_withheld_nothing_moved() -> None:
    assert set(follow(0.0)) == {0.0}


@pytest.mark.parametrize("least", [0.02, 0.13, 0.5, 0.77, 1.0])
def test_the_bisection_ends_just_beyond_the_limit(least: float) -> None:
    tried = follow(least)
    assert least <= tried[-1] <= min(1.0, least + 1.01 * CLOSE)
    assert len(set(tried[15:])) == 1


def test_where_everything_is_withheld_he_ends_as_far_as_he_can() -> None:
    tried = follow(2.0)
    assert tried[-1] == 1.0
    assert tried == sorted(tried)


def test_what_was_far_enough_once_is_left_again() -> None:
    distance = Distance()
    for _ in range(20):
        distance.withheld() if distance.value < 0.2 else distance.answered()
    settled = distance.value
    for _ in range(20):
        distance.withheld() if distance.value < 0.6 else distance.answered()
    assert settled < 0.3
    assert 0.6 <= distance.value <= 0.66


def test_a_disguise_grows_with_the_distance(carrier: Signal) -> None:
    settings = replace(NOISE_ONLY, softest_noise_db=40.0, loudest_noise_db=0.0)
    for distance, noise_db in ((0.25, 30.0), (0.5, 20.0), (1.0, 0.0)):
        signal, told_db = disguised(carrier, distance, settings, np.random.default_rng(0))
        assert told_db == noise_db
        scale = float(signal @ carrier) / float(carrier @ carrier)
        rest = rms((signal / scale - carrier).astype(np.float32))
        assert 20 * np.log10(rms(carrier) / rest) == pytest.approx(noise_db, abs=1.0)


def test_a_disguise_changes_length_spectrum_and_level(carrier: Signal) -> None:
    nothing = replace(NOISE_ONLY, softest_noise_db=100.0, loudest_noise_db=100.0)

    def changed(**change: float) -> Signal:
        settings = replace(nothing, **change)
        return disguised(carrier, 0.5, settings, np.random.default_rng(0))[0]

    assert apart(changed(), carrier) < 1e-3
    assert changed().size == carrier.size
    assert 1 <= abs(changed(speed_percent=10.0).size - carrier.size) <= 0.06 * carrier.size
    assert 1 <= abs(changed(trim_s=0.1).size - carrier.size) <= 0.1 * RATE_HZ
    assert apart(changed(equaliser_db=6.0), carrier) > 0.02
    softer = changed(gain_db=12.0)
    assert apart(softer, carrier) < 1e-3
    assert 0.5 * rms(carrier) < rms(softer) < 0.99 * rms(carrier)


def test_a_disguise_is_another_each_time(carrier: Signal) -> None:
    rng = np.random.default_rng(0)
    one, _ = disguised(carrier, 0.3, DEFAULT, rng)
    other, _ = disguised(carrier, 0.3, DEFAULT, rng)
    assert apart(one, other) > 0.3


@pytest.mark.parametrize("name", ["oars_nes", "oars_simba", "oars_square"])
def test_without_a_defence_he_is_the_search_that_he_wraps(
    name: str, carrier: Signal, toy: Toy
) -> None:
    plain, evasive = Device(toy, 60), Device(toy, 60)
    ATTACKS[name.removeprefix("oars_")].run(carrier, 3, plain, np.random.default_rng(0))
    ATTACKS[name].run(carrier, 3, evasive, np.random.default_rng(0))
    assert len(plain.asked) == len(evasive.asked)
    assert all(map(np.array_equal, plain.asked, evasive.asked))


def test_the_search_widens_with_the_distance(carrier: Signal, toy: Toy) -> None:
    """Where everything is withheld he is soon as far as he goes, and so are his proposals."""
    reached: list[float] = []

    def search(probe: Probe, _: np.random.Generator) -> None:
        while True:
            reached.append(probe.reach)
            probe.score(0.01 * carrier.astype(np.float64))

    settings = replace(DEFAULT, search=search, reach=3.0)
    oars(carrier, 3, Device(toy, 20, lambda _: True), np.random.default_rng(0), settings)
    assert reached[0] == 1.0
    assert reached == sorted(reached)
    assert reached[-1] == pytest.approx(3.0)


def test_he_backs_off_where_all_that_is_near_is_withheld(carrier: Signal, toy: Toy) -> None:
    hard = Toy(carrier)
    hard.offset[3] -= 100.0
    device = Device(hard, 40, lambda signal: apart(signal, carrier) < 1.0)
    outcome = oars(carrier, 3, device, np.random.default_rng(0))
    away = [apart(signal, carrier) for signal in device.asked]
    assert away[0] < 0.5
    assert outcome.withheld < 0.5 * outcome.queries
    assert np.median(away[20:]) > 1.0


@pytest.mark.parametrize("name", ["nes", "simba", "square"])
def test_he_wins_where_only_what_is_near_is_withheld(name: str, carrier: Signal, toy: Toy) -> None:
    """And who does not look at the verdicts wins less often against the same defence."""
    wins = {"plain": 0, "oars": 0}
    for seed in range(3):
        for who, attack in (("plain", name), ("oars", f"oars_{name}")):
            device = Device(toy, 150, Near(0.4))
            wins[who] += ATTACKS[attack].run(carrier, 3, device, np.random.default_rng(seed)).won
    assert wins["oars"] >= 2
    assert wins["oars"] > wins["plain"]


def test_the_snr_counts_the_own_noise(carrier: Signal, toy: Toy) -> None:
    hard = Toy(carrier)
    hard.offset[3] -= 100.0
    device = Device(hard, 60, lambda signal: apart(signal, carrier) < 0.9)
    settings = replace(NOISE_ONLY, loudest_noise_db=0.0)
    oars(carrier, 3, device, np.random.default_rng(0), settings)
    real = [snr_db(carrier, signal) for signal in device.asked]
    assert min(snr for snr in device.snrs_db if snr is not None) < 3.0
    assert device.snrs_db == pytest.approx(real, abs=1.5)
