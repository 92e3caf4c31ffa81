"""Means with their intervals, for figures that are neither shares nor quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark_host.bench.report import Metric
from earmark_host.bench.statistics import RESAMPLES, Interval


def mean_interval(values: Sequence[float], rng: np.random.Generator) -> Interval:
    """Bootstrap interval of a mean at 95 % (percentiles).

    Parameters
    ----------
    values : the sample, not empty; a single value gives itself twice and says nothing.
    rng : draws the resamples.
    """
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        raise ValueError("a mean needs a sample")
    means = sample[rng.integers(0, sample.size, (RESAMPLES, sample.size))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def mean_metric(name: str, values: Sequence[float], unit: str, rng: np.random.Generator) -> Metric:
    """The mean of a sample as a metric; without a value for an empty one."""
    if len(values) == 0:
        return Metric(name, None, unit, None, 0)
    return Metric(name, float(np.mean(values)), unit, mean_interval(values, rng), len(values))
