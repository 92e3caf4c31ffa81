"""How many of the attacks are noticed, and how many have won, after so many queries."""

from __future__ import annotations

from collections.abc import Sequence

from earmark_host.bench.memory.attacks import RunSeen
from earmark_host.bench.report import Row


def steps(runs: Sequence[RunSeen]) -> list[Row]:
    """For each channel the queries at which one of both shares rises, and the end.

    An attack that has ended counts on as what it was.
    """
    return [
        row
        for channel in dict.fromkeys(run.trial.scene.channel for run in runs)
        for row in _of_channel(channel, [run for run in runs if run.trial.scene.channel == channel])
    ]


def _of_channel(channel: str, runs: Sequence[RunSeen]) -> list[Row]:
    alarms = [run.alarm.query for run in runs if run.alarm is not None]
    wins = [run.won for run in runs if run.won is not None]
    return [
        {
            "channel": channel,
            "query": query,
            "alarmed_share": sum(each <= query for each in alarms) / len(runs),
            "won_share": sum(each <= query for each in wins) / len(runs),
            "runs": len(runs),
        }
        for query in sorted({*alarms, *wins, max(run.queries for run in runs)})
    ]
