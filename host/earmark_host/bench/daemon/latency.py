"""How long after the end of a command its verdict comes, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from earmark_host.bench.daemon import household
from earmark_host.bench.daemon.held import stream
from earmark_host.bench.daemon.theatre import Held, Pace, Play
from earmark_host.bench.report import Metric, Row


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    sessions : held.
    """

    sessions: int


FULL, QUICK = Plan(220), Plan(8)


def run(
    folder: Path, data: Path, seed: int, plan: Plan, console: Console
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Hold the sessions of `plan`, each in real time where it counts.

    Raises
    ------
    EarmarkError
        The device cannot work.
    """
    household.settle(folder, seed)
    held: list[Held] = []
    for told in stream(Play(folder, data, seed, Pace.VERDICT, plan.sessions)):
        held.append(told.held)
        if len(held) % 20 == 0:
            console.print(f"latency: {len(held)} of {plan.sessions} sessions")
    return figures(held)


def figures(held: Sequence[Held]) -> tuple[list[Metric], dict[str, list[Row]]]:
    """What the sessions tell, ms.

    ``verdict``: from the last sound of the person to the verdict. It is the sum of ``endpoint``,
    the silence that the endpointer must hear to know that this was the end; ``nonce``, what is
    still missing of the nonce then; and ``judging``.
    """
    rows = [_parts_ms(one) for one in held]
    parts = [row for row in rows if row is not None]
    metrics: list[Metric] = []
    for name in ("verdict", "endpoint", "nonce", "judging", "judging_cpu"):
        values = [row[name] for row in parts]
        metrics.append(Metric.quantile(f"{name}_ms_median", values, 0.5, "ms"))
        metrics.append(Metric.quantile(f"{name}_ms_p99", values, 0.99, "ms"))
    late = sum(row["judging"] > WANTED_MS for row in parts)
    metrics.append(Metric.share("judging_over_300_ms", late, len(parts)))
    metrics.append(Metric.share("latency_lost_sessions", sum(not o.whole for o in held), len(held)))
    reasons = Counter(one.reason or one.decision or "none" for one in held)
    return metrics, {"latency": [{"reason": why, "n": n} for why, n in reasons.most_common()]}


WANTED_MS = 300.0
"""A verdict is to come so soon after the command was found to have ended, ms."""


def _parts_ms(one: Held) -> dict[str, float] | None:
    if one.ended_s is None or one.quiet_s is None or one.judging_s is None or one.cpu_s is None:
        return None
    return {
        "verdict": 1e3 * (one.ended_s - one.spoken_s + one.judging_s),
        "endpoint": 1e3 * (one.quiet_s - one.spoken_s),
        "nonce": 1e3 * (one.ended_s - one.quiet_s),
        "judging": 1e3 * one.judging_s,
        "judging_cpu": 1e3 * one.cpu_s,
    }
