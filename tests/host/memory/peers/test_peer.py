"""The rule that all are measured by: the threshold, and the count of near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.signal import Signal
from earmark_host.memory.peers import Counting, all_pairs, calibrate_tau


class Numbers:
    """A fingerprint is a number in [0, 1]; near ones are alike."""

    name = "numbers"

    def fingerprint(self, signal: Signal) -> float:
        return float(signal[0])

    def similarity(self, a: float, b: float) -> float:
        return 1.0 - abs(a - b)

    def similarities(self, a: float, many: Sequence[float]) -> NDArray[np.float64]:
        return np.array([self.similarity(a, b) for b in many])


def counting(m: int, last: int, tau: float = 0.9) -> Counting[float]:
    return Counting(Numbers(), tau, m, last)


def test_every_pair_is_compared_once() -> None:
    found = all_pairs(Numbers(), [0.0, 0.1, 0.3, 0.7])
    assert sorted(found) == pytest.approx([0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    assert all_pairs(Numbers(), [0.5]).size == 0


@pytest.mark.parametrize(("rate", "above"), [(0.0, 0), (0.009, 0), (0.01, 1), (0.05, 5)])
def test_the_threshold_lets_through_as_many_as_it_may(rate: float, above: int) -> None:
    values = np.random.default_rng(1).permutation(np.arange(100.0)) / 100.0
    tau = calibrate_tau(values, rate)
    assert np.count_nonzero(values > tau) == above


def test_equal_similarities_are_all_kept_below_the_threshold() -> None:
    values = np.array([0.1, 0.8, 0.8, 0.8])
    assert calibrate_tau(values, 0.5) == 0.8


def test_a_threshold_on_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="benign pair"):
        calibrate_tau(np.empty(0))
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match="rate"):
            calibrate_tau(np.array([0.1]), rate)


def test_the_alarm_is_the_query_with_m_neighbours_before_it() -> None:
    queries = [0.5, 0.0, 0.51, 1.0, 0.52, 0.53]
    assert list(counting(3, 10).counts(queries)) == [0, 0, 1, 0, 2, 3]
    assert counting(3, 10).first_alarm(queries) == 5
    assert counting(1, 10).first_alarm(queries) == 2
    assert counting(4, 10).first_alarm(queries) is None
    assert counting(1, 10).first_alarm([]) is None


def test_only_the_last_queries_count() -> None:
    queries = [0.5, 0.0, 1.0, 0.5]
    assert list(counting(1, 3).counts(queries)) == [0, 0, 0, 1]
    assert list(counting(1, 2).counts(queries)) == [0, 0, 0, 0]


def test_a_neighbour_is_above_the_threshold_not_at_it() -> None:
    assert counting(1, 5, tau=0.5).first_alarm([0.0, 0.5]) is None
    assert counting(1, 5, tau=0.5).first_alarm([0.0, 0.25]) == 1


@pytest.mark.parametrize(("m", "last"), [(0, 5), (6, 5)])
def test_a_count_that_can_never_be_or_always_is_reached_is_refused(m: int, last: int) -> None:
    with pytest.raises(ValueError, match="must be in"):
        counting(m, last)
