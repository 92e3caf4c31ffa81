"""A probe keeps the terms, counts, and knows a win."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.signal import Signal, rms
from earmark_host.memory.attacks.probe import Probe, Terms, Won, run, snr_db
from earmark_host.memory.oracle import Answer, BudgetSpent


class Says:
    """An oracle that always says the same."""

    def __init__(self, *scores: float) -> None:
        self.answer = Answer(withheld=not scores, scores=np.array(scores) if scores else None)
        self.asked: list[tuple[Signal, float | None]] = []

    def ask(self, signal: Signal, fake: bool = False, snr_db: float | None = None) -> Answer:
        if len(self.asked) == 3:
            raise BudgetSpent
        self.asked.append((signal, snr_db))
        return self.answer


def noise(size: int = 4000, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size) * level


def score_once(probe: Probe, _: np.random.Generator) -> None:
    probe.score(noise())


@pytest.fixture
def sound() -> Signal:
    return noise(seed=1).astype(np.float32)


@pytest.mark.parametrize("least_snr_db", [0.0, 10.0, 30.0])
def test_a_loud_perturbation_is_turned_down_to_the_snr(sound: Signal, least_snr_db: float) -> None:
    device = Says(0.0, -1.0)
    Probe(sound, 1, device, Terms(least_snr_db)).score(noise(level=0.3))
    asked, told_db = device.asked[0]
    assert told_db == pytest.approx(least_snr_db, abs=0.01)
    assert snr_db(sound, asked) == told_db
    assert np.corrcoef(asked - sound, noise())[0, 1] > 0.999


def test_a_soft_perturbation_is_left_alone(sound: Signal) -> None:
    device = Says(0.0, -1.0)
    delta = noise(level=0.001)
    Probe(sound, 1, device, Terms(10.0)).score(delta)
    np.testing.assert_allclose(device.asked[0][0] - sound, delta, atol=1e-7)


def test_the_peak_bound_holds_for_every_sample(sound: Signal) -> None:
    device = Says(0.0, -1.0)
    Probe(sound, 1, device, Terms(None, peak_share=0.05)).score(noise())
    largest = float(np.abs(device.asked[0][0] - sound).max())
    assert largest == pytest.approx(0.05 * float(np.abs(sound).max()), rel=1e-4)


def test_both_bounds_hold_together(sound: Signal) -> None:
    both = Terms(20.0, peak_share=0.01)
    peak = 0.01 * float(np.abs(sound).max())
    assert np.abs(both.bounded(noise(), sound)).max() == pytest.approx(peak)
    assert both.level(sound) == pytest.approx(peak / 2.0)
    loose = Terms(20.0, peak_share=1.0)
    assert rms(loose.bounded(noise(), sound).astype(np.float32)) == pytest.approx(
        rms(sound) / 10.0, rel=1e-4
    )
    assert loose.level(sound) == pytest.approx(rms(sound) / 10.0)


def test_nothing_leaves_the_range_of_a_signal() -> None:
    device = Says(0.0, -1.0)
    loud = np.ones(1000, np.float32)
    Probe(loud, 1, device, Terms(0.0)).score(np.full(1000, 0.5))
    assert device.asked[0][0].dtype == np.float32
    assert device.asked[0][0].max() == 1.0


def test_the_carrier_alone_has_no_snr(sound: Signal) -> None:
    device = Says(0.0, -1.0)
    Probe(sound, 1, device, Terms()).score(np.zeros(sound.size))
    assert device.asked[0][1] is None
    np.testing.assert_array_equal(device.asked[0][0], sound)


def test_the_score_is_the_lead_over_the_likeliest_other(sound: Signal) -> None:
    assert Probe(sound, 1, Says(-1.0, -3.0, -5.0), Terms()).score(noise()) == -2.0


def test_an_excluded_label_is_far_off_and_not_infinite(sound: Signal) -> None:
    lead = Probe(sound, 1, Says(-0.5, -np.inf, -np.inf), Terms()).score(noise())
    assert lead == -999.5


def test_a_win_ends_it_and_is_kept(sound: Signal) -> None:
    device = Says(-2.0, -1.0)
    probe = Probe(sound, 1, device, Terms())
    with pytest.raises(Won):
        probe.score(noise())
    outcome = probe.outcome()
    assert (outcome.won, outcome.queries, outcome.withheld) == (True, 1, 0)
    assert outcome.signal is device.asked[0][0]
    assert outcome.snr_db == device.asked[0][1]


def test_a_tie_is_no_win(sound: Signal) -> None:
    assert Probe(sound, 1, Says(-1.0, -1.0), Terms()).score(noise()) == 0.0


@pytest.mark.parametrize(("margin", "won"), [(1.0, True), (1.1, False)])
def test_a_win_must_lead_by_the_margin(sound: Signal, margin: float, won: bool) -> None:
    probe = Probe(sound, 1, Says(-2.0, -1.0), Terms(margin=margin))
    assert run(probe, score_once, np.random.default_rng(0)).won is won


def test_withheld_is_told_apart_and_counted(sound: Signal) -> None:
    probe = Probe(sound, 1, Says(), Terms())
    assert probe.score(noise()) is None
    assert (probe.outcome().queries, probe.outcome().withheld) == (1, 1)


def test_the_end_of_the_budget_is_the_end(sound: Signal) -> None:
    device = Says(0.0, -1.0)

    def search(probe: Probe, _: np.random.Generator) -> None:
        while True:
            probe.score(noise())

    outcome = run(Probe(sound, 1, device, Terms()), search, np.random.default_rng(0))
    assert (outcome.won, outcome.queries, outcome.signal, outcome.snr_db) == (False, 3, None, None)


@pytest.mark.parametrize(
    "bad",
    [
        {"least_snr_db": None},
        {"peak_share": 0.0},
        {"margin": -0.1},
    ],
)
def test_terms_without_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"peak_share|margin"):
        Terms(**bad)


@pytest.mark.parametrize("carrier", [np.zeros(100), np.zeros(0), np.ones((2, 100))])
def test_a_carrier_without_sound_is_refused(carrier: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not silent"):
        Probe(carrier.astype(np.float32), 0, Says(), Terms())
