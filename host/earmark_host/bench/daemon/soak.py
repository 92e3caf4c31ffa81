"""Thousands of sessions by one device: is any lost, does it grow?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from earmark_host.bench.daemon import household
from earmark_host.bench.daemon.held import Told, stream
from earmark_host.bench.daemon.theatre import Pace, Play
from earmark_host.bench.report import Metric, Row
from earmark_host.bench.statistics import Interval

SETTLED = 0.5
"""The share of the sessions from which on memory should stay: by then the query memory is full
(1,000 commands), and so is whatever else has a bound."""

BOXES = 10
"""Lines of the table."""

RESAMPLES = 1000
"""Bootstrap samples for the slope."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    sessions : as fast as the processor can.
    """

    sessions: int


FULL, QUICK = Plan(2000), Plan(20)


def run(
    folder: Path,
    data: Path,
    seed: int,
    plan: Plan,
    minutes: float | None,
    console: Console,
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Hold the sessions of `plan`, or as many as `minutes` of real time allow.

    Raises
    ------
    EarmarkError
        The device cannot work.
    """
    household.settle(folder, seed)
    if minutes is None:
        play = Play(folder, data, seed, Pace.FAST, plan.sessions)
    else:
        play = Play(folder, data, seed, Pace.REAL, 10**9, 60.0 * minutes)
    told: list[Told] = []
    for one in stream(play):
        told.append(one)
        if len(told) % 50 == 0:
            console.print(f"soak: {len(told)} sessions, {one.memory_mb:.0f} MB")
    return figures(told, seed)


def figures(told: Sequence[Told], seed: int) -> tuple[list[Metric], dict[str, list[Row]]]:
    """What the sessions tell."""
    count = len(told)
    lost = sum(not one.held.whole for one in told)
    allowed = sum(one.held.decision == "allow" for one in told)
    late = [one.memory_mb for one in told[round(SETTLED * count) :]]
    metrics = [
        Metric.share("soak_lost_sessions", lost, count),
        Metric.share("soak_allowed", allowed, count),
        _slope(late, np.random.default_rng([seed, *b"slope"])),
    ]
    if told:
        metrics.append(Metric("soak_memory_mb_most", max(t.memory_mb for t in told), "MB", None, 1))
    return metrics, {"soak": _boxes(told)}


def _slope(memory_mb: Sequence[float], rng: np.random.Generator) -> Metric:
    """Growth by a straight line; its interval by a bootstrap over tenths of the run.

    Memory after one session is nearly that after the one before, so single sessions are not drawn.
    """
    name, unit = "soak_growth_mb_per_1000_sessions", "MB"
    count = len(memory_mb)
    if count < 2 * BOXES:
        return Metric(name, None, unit, None, count)
    y, x = np.asarray(memory_mb), np.arange(count)
    boxes = np.array_split(x, BOXES)
    slopes = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(BOXES, size=BOXES)
        at = np.concatenate([boxes[index] for index in drawn])
        if np.unique(drawn).size > 1:
            slopes.append(1000.0 * float(np.polyfit(at, y[at], 1)[0]))
    low, high = np.quantile(slopes, [0.025, 0.975])
    interval: Interval = (float(low), float(high))
    return Metric(name, 1000.0 * float(np.polyfit(x, y, 1)[0]), unit, interval, count)


def _boxes(told: Sequence[Told]) -> list[Row]:
    rows: list[Row] = []
    for part in np.array_split(np.arange(len(told)), min(BOXES, len(told)) or 1):
        some = [told[int(index)] for index in part]
        if some:
            rows.append(
                {
                    "sessions": f"{some[0].held.number + 1} to {some[-1].held.number + 1}",
                    "memory_mb": float(np.median([one.memory_mb for one in some])),
                    "allowed": sum(one.held.decision == "allow" for one in some),
                    "rejected": sum(one.held.decision == "reject" for one in some),
                    "lost": sum(not one.held.whole for one in some),
                }
            )
    return rows
