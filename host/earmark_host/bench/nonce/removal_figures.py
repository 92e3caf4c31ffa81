"""The metrics and the table of the removal attacks, counted from their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from earmark_host.bench.nonce.averages import mean_interval, mean_metric
from earmark_host.bench.nonce.removal import Attacked, Plan, Replay
from earmark_host.bench.report import Metric, Row, share_columns


def figures(
    results: Sequence[Attacked], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Detection and intelligibility for each attack; the metrics at the plan's first recorder."""
    rng = np.random.default_rng([seed, *b"removal"])
    by_cell: dict[tuple[str, str], list[Replay]] = {}
    for result in results:
        for replay in result.replays:
            by_cell.setdefault((result.asked.recorder, replay.attack), []).append(replay)
    first = plan.victims[0][0]
    metrics = []
    for (recorder, attack), some in by_cell.items():
        if recorder != first:
            continue
        found = sum(each.found for each in some)
        metrics.append(Metric.share(f"removal_{attack}_detect", found, len(some)))
        metrics.append(mean_metric(f"removal_{attack}_stoi", _stoi(some), "", rng))
    rows = [
        {"recorder": recorder, "attack": attack, **_row(some, rng)}
        for (recorder, attack), some in by_cell.items()
    ]
    return metrics, {"removal": rows} if rows else {}


def _row(some: Sequence[Replay], rng: np.random.Generator) -> Row:
    values = _stoi(some)
    reasons = Counter(each.reason for each in some)
    return {
        **share_columns(sum(each.found for each in some), len(some), "detect_share"),
        "undetermined": sum(each.undetermined for each in some),
        "not_allowed_share": sum(not each.allowed for each in some) / len(some),
        "stoi": float(np.mean(values)) if values else None,
        "stoi_ci95": list(mean_interval(values, rng)) if values else None,
        "evidence_median": float(np.median([each.evidence for each in some])),
        "reasons": ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items())),
        "about": some[0].about,
    }


def _stoi(some: Sequence[Replay]) -> list[float]:
    return [each.stoi for each in some if each.stoi is not None]
