"""Means and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from earmark_host.bench.nonce.averages import mean_interval, mean_metric


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        low, high = mean_interval(rng.normal(2.0, 1.0, 40).tolist(), rng)
        covered += low <= 2.0 <= high
    assert 85 <= covered <= 100
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.4)


def test_a_metric_says_what_it_rests_on() -> None:
    metric = mean_metric("m", [1.0, 3.0], "dB", np.random.default_rng(1))
    assert (metric.value, metric.unit, metric.n) == (2.0, "dB", 2)
    assert metric.ci95 is not None
    assert 1.0 <= metric.ci95[0] <= 2.0 <= metric.ci95[1] <= 3.0


def test_of_nothing_there_is_no_mean() -> None:
    assert mean_metric("m", [], "", np.random.default_rng(1)).value is None
    with pytest.raises(ValueError, match="sample"):
        mean_interval([], np.random.default_rng(1))
