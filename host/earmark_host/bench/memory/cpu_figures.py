"""What a query costs: medians with their intervals, beside the rivals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from earmark_host.bench.memory.cpu import (
    REMEMBERED,
    Plan,
    Result,
    RivalSpent,
    SizeSpent,
    Spent,
    Stored,
)
from earmark_host.bench.memory.resident import Started
from earmark_host.bench.report import Metric, Row
from earmark_host.bench.statistics import ratio_interval

MB = 1e6
"""Bytes."""


def figures(
    results: Sequence[Result], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    sizes = [each for each in results if isinstance(each, SizeSpent)]
    rivals = [each for each in results if isinstance(each, RivalSpent)]
    stored = [each for each in results if isinstance(each, Stored)]
    started = [each for each in results if isinstance(each, Started)]
    rng = np.random.default_rng([seed, *b"figures of cpu"])
    metrics = [
        *(
            Metric.quantile(
                f"query_cpu_ms_{n}", [1e3 * each.query for each in _new(sizes, n)], 0.5, "ms"
            )
            for n in REMEMBERED
        ),
        _bytes_per_query([size for each in stored for size in each.sizes], rng),
        *(_resident(each) for each in started),
    ]
    return metrics, {
        "query_cpu": [_size(each) for each in sizes],
        "query_cpu_rivals": [_rival(each, _new(sizes, each.remembered)) for each in rivals],
        "query_disk": [_stored(each) for each in stored],
        "memory_restart": [_start(each) for each in started],
    }


def _new(sizes: Sequence[SizeSpent], remembered: int) -> Sequence[Spent]:
    """Queries like nothing before, to a memory without clusters."""
    for each in sizes:
        size = each.size
        if size.remembered == remembered and not size.attack and not size.full_of_clusters:
            return each.queries
    return ()


def _bytes_per_query(sizes: Sequence[int], rng: np.random.Generator) -> Metric:
    if not sizes:
        return Metric("bytes_per_query", None, "bytes", None, 0)
    ones = [1.0] * len(sizes)
    return Metric(
        "bytes_per_query",
        float(np.mean(sizes)),
        "bytes",
        ratio_interval(sizes, ones, rng),
        len(sizes),
    )


def _resident(started: Started) -> Metric:
    grown = started.grown_bytes
    value = None if grown is None else grown / MB
    return Metric(f"resident_mb_{started.queries}", value, "MB", None, int(value is not None))


def _size(spent: SizeSpent) -> Row:
    def ms(part: Callable[[Spent], float], share: float = 0.5) -> float:
        return 1e3 * float(np.quantile([part(each) for each in spent.queries], share))

    return {
        "remembered": spent.size.remembered,
        "asked": "an attack" if spent.size.attack else "something new",
        "clusters_kept": "full" if spent.size.full_of_clusters else "none before",
        "query_ms": ms(lambda each: each.query),
        "query_ms_p95": ms(lambda each: each.query, 0.95),
        "query_ms_most": ms(lambda each: each.query, 1.0),
        "fingerprint_ms": ms(lambda each: each.fingerprint),
        "carrier_ms": ms(lambda each: each.carrier),
        "detector_ms": ms(lambda each: each.detector),
        "search_ms": ms(lambda each: each.search),
        "other_speeds_ms": ms(lambda each: each.speeds),
        "n": len(spent.queries),
    }


def _rival(spent: RivalSpent, ours: Sequence[Spent]) -> Row:
    marks = 1e3 * np.asarray(spent.fingerprint)
    compare = 1e3 * np.asarray(spent.compare)
    query_ms = float(np.median(marks + compare))
    ours_ms = 1e3 * float(np.median([each.query for each in ours])) if ours else None
    return {
        "rival": spent.name,
        "remembered": spent.remembered,
        "query_ms": query_ms,
        "fingerprint_ms": float(np.median(marks)),
        "compare_ms": float(np.median(compare)),
        "times_ours": None if ours_ms is None else query_ms / ours_ms,
        "n": len(spent.fingerprint),
    }


def _stored(stored: Stored) -> Row:
    return {
        "bytes_mean": float(np.mean(stored.sizes)),
        "bytes_median": float(np.median(stored.sizes)),
        "bytes_most": max(stored.sizes),
        "append_cpu_ms": 1e3 * float(np.median(stored.cpu)),
        "append_clock_ms": 1e3 * float(np.median(stored.clock)),
        "append_clock_ms_p95": 1e3 * float(np.quantile(stored.clock, 0.95)),
        "n": len(stored.sizes),
    }


def _start(started: Started) -> Row:
    grown = started.grown_bytes
    return {
        "remembered": started.queries,
        "resident_mb": None if grown is None else grown / MB,
        "start_cpu_ms": 1e3 * started.start_s,
        "first_query_cpu_ms": 1e3 * started.first_query_s,
    }
