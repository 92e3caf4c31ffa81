"""What a command costs: medians with their intervals, beside the encoders of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark_host.bench.report import Metric, Row
from earmark_host.bench.speaker.cpu import Plan, Spent
from earmark_host.bench.speaker.setup import DEVICE

FRONT_END = "int8, front-end alone"


def figures(
    results: Sequence[Spent], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    del plan, seed
    spent = results[0]
    own = [1e3 * each for each in spent.by_ear[DEVICE]]
    size = spent.model_bytes or None
    metrics = [
        Metric.quantile("command_cpu_ms", own, 0.5, "ms"),
        Metric(
            "model_bytes", size, "bytes", None if size is None else (size, size), int(bool(size))
        ),
    ]
    rows = [_row(name, times, spent.by_ear[DEVICE]) for name, times in spent.by_ear.items()]
    if spent.front_end:
        rows.append(_row(FRONT_END, spent.front_end, spent.by_ear[DEVICE]))
    return metrics, {"command_cpu": rows}


def _row(name: str, times: Sequence[float], own: Sequence[float]) -> Row:
    metric = Metric.quantile(name, [1e3 * each for each in times], 0.5, "ms")
    return {
        "heard_by": name,
        "cpu_ms": metric.value,
        "ci95_ms": None if metric.ci95 is None else [round(end, 2) for end in metric.ci95],
        "slowest_20th_ms": 1e3 * float(np.quantile(times, 0.95)),
        "times_ours": float(np.median(times) / np.median(own)),
        "n": metric.n,
    }
