"""Every attack gets its word out of a smooth recogniser, within its terms and its budget."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.signal import Signal
from earmark_host.memory.attacks import ATTACKS, Outcome
from earmark_host.memory.attacks.probe import snr_db

from .conftest import Device, Toy

BUDGET = 300
"""Queries within which each attack wins against the toy, by far."""

SEEDS = range(5)

PLAIN = ["nes", "nes_noise", "simba", "square", "genetic"]
"""Those that look at scores alone."""

EVASIVE = ["oars_nes", "oars_simba", "oars_square"]
"""Those that look at verdicts too."""


def attack(name: str, carrier: Signal, device: Device, seed: int = 0) -> Outcome:
    return ATTACKS[name].run(carrier, 3, device, np.random.default_rng(seed))


def test_the_registry_is_complete() -> None:
    assert list(ATTACKS) == PLAIN + EVASIVE
    assert all(name == attack.name and attack.about for name, attack in ATTACKS.items())


@pytest.mark.parametrize("name", [*PLAIN, *EVASIVE])
def test_it_wins_in_most_runs(name: str, carrier: Signal, toy: Toy) -> None:
    wins = 0
    for seed in SEEDS:
        device = Device(toy, BUDGET)
        outcome = attack(name, carrier, device, seed)
        wins += outcome.won
        if outcome.won:
            assert outcome.signal is device.asked[-1]
            assert outcome.queries == len(device.asked) > 1
            assert np.argmax(device.leads[-1]) == 3
            assert all(np.argmax(scores) != 3 for scores in device.leads[:-1])
            assert outcome.snr_db == device.snrs_db[-1]
    assert wins >= 4


@pytest.mark.parametrize("name", PLAIN)
def test_it_raises_the_score_before_it_wins(name: str, carrier: Signal, toy: Toy) -> None:
    hard = Toy(carrier)
    hard.offset[3] -= 100.0
    device = Device(hard, BUDGET)
    assert not attack(name, carrier, device).won
    leads = [scores[3] - np.delete(scores, 3).max() for scores in device.leads]
    assert np.mean(leads[-50:]) > np.mean(leads[:20]) + 0.5


@pytest.mark.parametrize("name", [*PLAIN, *EVASIVE])
def test_it_keeps_to_budget_and_snr(name: str, carrier: Signal, toy: Toy) -> None:
    hard = Toy(carrier)
    hard.offset[3] -= 100.0
    device = Device(hard, 61)
    outcome = attack(name, carrier, device)
    assert (outcome.won, outcome.queries, len(device.asked)) == (False, 61, 61)
    assert outcome.signal is None
    told = [snr for snr in device.snrs_db if snr is not None]
    real = [snr_db(carrier, signal) for signal in device.asked]
    assert min(told) >= 9.99
    assert len(told) >= 60
    assert real == device.snrs_db
    assert all(np.abs(signal).max() <= 1.0 for signal in device.asked)


@pytest.mark.parametrize("name", [*PLAIN, *EVASIVE])
def test_the_seed_decides_everything(name: str, carrier: Signal, toy: Toy) -> None:
    gates = [Every(3) for _ in range(3)]
    one, again, other = (Device(toy, 40, gate) for gate in gates)
    attack(name, carrier, one, 7)
    attack(name, carrier, again, 7)
    attack(name, carrier, other, 8)
    assert len(one.asked) == len(again.asked)
    assert all(map(np.array_equal, one.asked, again.asked))
    assert not all(map(np.array_equal, one.asked[1:], other.asked[1:]))


@pytest.mark.parametrize("name", [*PLAIN, *EVASIVE])
def test_withheld_queries_cost_and_count(name: str, carrier: Signal, toy: Toy) -> None:
    device = Device(toy, BUDGET, Every(3))
    outcome = attack(name, carrier, device)
    assert outcome.queries == len(device.asked)
    assert outcome.withheld == sum(device.withheld) > 0


@pytest.mark.parametrize("name", PLAIN)
def test_it_wins_although_every_third_answer_is_withheld(
    name: str, carrier: Signal, toy: Toy
) -> None:
    devices = [Device(toy, 2 * BUDGET, Every(3)) for _ in range(3)]
    outcomes = [attack(name, carrier, device, seed) for seed, device in enumerate(devices)]
    assert sum(outcome.won for outcome in outcomes) >= 2


@pytest.mark.parametrize("name", [*PLAIN, *EVASIVE])
def test_nothing_is_won_where_all_is_withheld(name: str, carrier: Signal, toy: Toy) -> None:
    device = Device(toy, 50, lambda _: True)
    outcome = attack(name, carrier, device)
    assert (outcome.won, outcome.queries, outcome.withheld) == (False, 50, 50)


class Every:
    """Withholds one query in `count`."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, 0

    def __call__(self, _: Signal) -> bool:
        self.asked += 1
        return self.asked % self.count == 0
