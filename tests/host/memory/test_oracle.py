"""The way from an attacker to a recogniser, with recognisers that are told what to hear."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.signal import Signal
from earmark_host.memory.channel import digital
from earmark_host.memory.oracle import BudgetSpent, DeviceOracle
from earmark_host.memory.victims import OTHER


class Hears:
    """Its scores for `stop` are the first sample of what it hears."""

    name = "toy"
    labels = ("go", "stop", OTHER)

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        return np.array([0.25, float(signal[0]), 0.1])


def sound(first: float) -> Signal:
    return np.full(100, first, np.float32)


def device(**changed: object) -> DeviceOracle:
    asked: dict[str, object] = {
        "target": "stop",
        "budget": 5,
        "seconds_per_query": 10.0,
        "rng": np.random.default_rng(1),
    }
    gate = changed.pop("gate", None)
    return DeviceOracle(Hears(), digital(), gate, **(asked | changed))  # type: ignore[arg-type]


def test_the_first_query_heard_as_the_target_wins() -> None:
    oracle = device()
    for first in (0.0, 0.25, 0.5, 0.75):  # a tie is no win
        answer = oracle.ask(sound(first), snr_db=20.0)
        assert not answer.withheld
        assert answer.scores is not None
        assert answer.scores[1] == pytest.approx(first)
    assert oracle.won_at == 2
    stream = oracle.stream("nes", "speech", {"seed": 1})
    assert stream.won_at == 2
    assert [query.at_s for query in stream.queries] == [0.0, 10.0, 20.0, 30.0]
    assert stream.queries[0].snr_db == 20.0
    assert stream.facts["victim"] == "toy"
    assert stream.facts["seed"] == 1


def test_a_margin_makes_a_win_harder_and_a_fake_never_wins() -> None:
    oracle = device(margin=0.5)
    oracle.ask(sound(0.6))
    oracle.ask(sound(0.9), fake=True)
    assert oracle.won_at is None
    oracle.ask(sound(0.8))
    assert oracle.won_at == 2


def test_what_is_withheld_is_recorded_and_tells_nothing() -> None:
    oracle = device(gate=lambda heard, at_s: at_s >= 10.0)
    assert oracle.ask(sound(0.0)).scores is not None
    answer = oracle.ask(sound(0.9))
    assert answer.withheld
    assert answer.scores is None
    assert oracle.won_at is None
    assert oracle.asked == 2


def test_no_query_beyond_the_budget() -> None:
    oracle = device(budget=1)
    oracle.ask(sound(0.0))
    with pytest.raises(BudgetSpent):
        oracle.ask(sound(0.9))
    assert oracle.asked == 1
    assert oracle.won_at is None


def test_waiting_moves_the_clock_forward_only() -> None:
    oracle = device()
    oracle.wait(86_400.0)
    oracle.ask(sound(0.0))
    assert oracle.stream("x", "music").queries[0].at_s == 86_400.0
    with pytest.raises(ValueError, match="backwards"):
        oracle.wait(-1.0)


@pytest.mark.parametrize(
    "wrong", [{"target": "left"}, {"target": OTHER}, {"budget": -1}, {"margin": -0.1}]
)
def test_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"hear|negative"):
        device(**wrong)
