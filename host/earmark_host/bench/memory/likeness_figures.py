"""What the pairs come to: how alike they are over the limit, as quantiles and as histograms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from earmark_host.bench.memory.likeness import Plan, Ratios, Seen
from earmark_host.bench.report import Metric, Row
from earmark_host.bench.statistics import proportion_interval

BENIGN = ("different_sentences", "same_phrase_others", "same_person")
"""Pairs that should stay below the limit; all others should be over it."""

BIN = 0.1
"""Width of a bar of the histogram, in units of the limit."""


def figures(
    results: Sequence[Sequence[Seen]], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    del plan
    rng = np.random.default_rng([seed, *b"figures of likeness"])
    found: dict[str, list[Ratios]] = {name: [] for name in BENIGN}
    for seen in chain.from_iterable(results):
        found.setdefault(seen.pairs, []).extend(group for group in seen.groups if group.size)
    there = {name: groups for name, groups in found.items() if groups}
    return [], {
        "likeness": [_row(name, groups, rng) for name, groups in there.items()],
        "likeness_histogram": [
            row for name, groups in there.items() for row in _histogram(name, groups)
        ],
    }


def _row(name: str, groups: Sequence[Ratios], rng: np.random.Generator) -> Row:
    ratios = np.concatenate(groups)
    benign = name in BENIGN
    hits = [np.count_nonzero(each > 1.0) for each in groups]
    over = Metric.ratio(name, hits, [each.size for each in groups], rng)
    # Out of a few hits no resample makes more than a few: not narrower than the exact interval.
    low, high = proportion_interval(sum(hits), ratios.size)
    ends = over.ci95 or (low, high)
    return {
        "pairs": name,
        "groups": len(groups),
        "median": float(np.median(ratios)),
        "p5": None if benign else float(np.quantile(ratios, 0.05)),
        "p99_9": float(np.quantile(ratios, 0.999)) if benign else None,
        "over_limit_share": over.value,
        "ci95": [min(low, ends[0]), max(high, ends[1])],
        "n": over.n,
    }


def _histogram(name: str, groups: Sequence[Ratios]) -> list[Row]:
    """Bars that have a pair."""
    ratios = np.concatenate(groups)
    bars, counts = np.unique(np.floor(ratios / BIN + 1e-9).astype(int), return_counts=True)
    return [
        {
            "pairs": name,
            "from": round(bar * BIN, 6),
            "to": round((bar + 1) * BIN, 6),
            "share": count / ratios.size,
        }
        for bar, count in zip(bars.tolist(), counts.tolist(), strict=True)
    ]
