"""Attacks that are noticed, and that have won, by the number of queries."""

from __future__ import annotations

from earmark.memory.neighbours import Sign
from earmark_host.bench.memory.attacks import RunSeen
from earmark_host.bench.memory.attacks_run import Alarm, Trial
from earmark_host.bench.memory.attacks_steps import steps
from earmark_host.memory.staging import ChannelName, Scene


def run(channel: ChannelName, alarm: int | None, won: int | None, queries: int) -> RunSeen:
    return RunSeen(
        trial=Trial(Scene("keyword", "speech", channel), "nes", 0, None),
        queries=queries,
        won=won,
        snr_db=None,
        alarm=None if alarm is None else Alarm(alarm, Sign.COPIES),
        sparse=0,
        paper=(),
        fakes={},
        target="go",
        channel="somewhere",
    )


def test_both_shares_rise_where_something_happens() -> None:
    rows = steps(
        [
            run("ota10", None, None, 9),
            run("digital", 6, 30, 30),
            run("digital", 6, None, 100),
            run("digital", 8, 6, 6),
            run("digital", None, None, 100),
        ]
    )
    assert [tuple(row.values()) for row in rows] == [
        ("ota10", 9, 0.0, 0.0, 1),
        ("digital", 6, 0.5, 0.25, 4),
        ("digital", 8, 0.75, 0.25, 4),
        ("digital", 30, 0.75, 0.5, 4),
        ("digital", 100, 0.75, 0.5, 4),
    ]


def test_no_runs_no_rows() -> None:
    assert steps([]) == []
