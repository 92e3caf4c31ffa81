"""Alarms in time, wins that were stopped: counted from what was seen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from earmark.memory.neighbours import Sign
from earmark_host.bench.memory.attacks import FLAGS, QUICK, ModelSeen, RunSeen, Seen
from earmark_host.bench.memory.attacks_adaptive import DefendedSeen, EvadedSeen, RestartSeen
from earmark_host.bench.memory.attacks_figures import figures
from earmark_host.bench.memory.attacks_run import Alarm, Trial
from earmark_host.bench.report import Metric, Row
from earmark_host.memory.staging import ChannelName, Scene, VictimName

PLAN = replace(QUICK, fakes=(0, 60, 98))
NEVER = (None,) * len(FLAGS)


def trial(
    channel: ChannelName = "digital", victim: VictimName = "keyword", attack: str = "nes"
) -> Trial:
    return Trial(Scene(victim, "speech", channel), attack, 0, None)


def at(query: int | None, sign: Sign = Sign.COPIES) -> Alarm | None:
    return None if query is None else Alarm(query, sign)


def run(
    alarm: int | None,
    won: int | None = None,
    which: Trial | None = None,
    fakes: dict[int, Alarm | None] | None = None,
    paper: tuple[int | None, ...] = NEVER,
) -> RunSeen:
    return RunSeen(
        trial=which or trial(),
        queries=won or 60,
        won=won,
        snr_db=None if won is None else 10.0,
        alarm=at(alarm),
        sparse=0,
        paper=paper,
        fakes=fakes or {},
        target="go",
        channel="somewhere",
    )


def count(*seen: Seen) -> tuple[dict[str, Metric], dict[str, list[Row]]]:
    metrics, tables = figures(seen, PLAN, 5)
    json.dumps(tables, allow_nan=False)
    return {metric.name: metric for metric in metrics}, tables


def shares(metrics: dict[str, Metric], *names: str) -> list[tuple[float | None, int]]:
    return [(metrics[name].value, metrics[name].n) for name in names]


def test_an_alarm_is_due_by_another_query_where_there_is_more_noise() -> None:
    streams = [
        run(alarm, which=trial(channel))
        for channel in ("digital", "ota20", "ota10")
        for alarm in (12, 13, 20, 21, None)
    ]
    metrics, tables = count(*streams)
    assert shares(metrics, "alarm_by_12_digital", "alarm_by_12_ota20", "alarm_by_20_ota10") == [
        (0.2, 5),
        (0.2, 5),
        (0.6, 5),
    ]
    late = [(row["number"], row["alarm_at"]) for row in tables["attacks_not_caught_in_time"]]
    assert late == [(0, 13), (0, 20), (0, 21), (0, None)] * 2 + [(0, 21), (0, None)]


def test_a_win_is_stopped_by_an_earlier_alarm_only() -> None:
    metrics, tables = count(
        run(6, won=7), run(7, won=7), run(None, won=3), run(6, won=50), run(6), run(None)
    )
    assert shares(metrics, "stopped_before_win", "stopped_before_win_keyword") == [(0.5, 4)] * 2
    assert shares(metrics, "won_within_6", "attacks_that_win") == [
        (0.25, 4),
        (pytest.approx(2 / 3), 6),
    ]
    assert metrics["queries_to_win"].value == 7.0
    assert metrics["queries_to_alarm"].value == 6.0
    [row] = tables["attacks"]
    assert (row["runs"], row["wins"], row["stopped_before_win"], row["won_within_6"]) == (
        6,
        4,
        2,
        1,
    )
    assert [row["won_at"] for row in tables["attacks_not_caught_in_time"]] == [7, 3, None]


def test_recognisers_are_also_counted_apart() -> None:
    metrics, tables = count(run(6, won=9), run(None, won=2, which=trial(victim="sphinx")))
    assert shares(metrics, "stopped_before_win_keyword", "stopped_before_win_sphinx") == [
        (1.0, 1),
        (0.0, 1),
    ]
    assert [row["victim"] for row in tables["attacks"]] == ["keyword", "sphinx"]


def test_streams_among_fakes_are_counted_where_there_were_enough_clips() -> None:
    percent, more, most = PLAN.fakes
    metrics, _ = count(
        run(6, fakes={percent: at(6), more: at(13)}), run(6, fakes={percent: at(12), more: None})
    )
    names = [f"alarm_by_12_fake_{each}" for each in (percent, more, most)]
    assert shares(metrics, *names) == [(1.0, 2), (0.0, 2), (None, 0)]


def test_the_paper_detector_stands_beside_the_default() -> None:
    _, tables = count(
        run(6, won=100, paper=(76, 101, None, None)),
        run(7, won=50, paper=(None, None, None, 49)),
        run(200, paper=(80, None, None, None)),
    )
    rows = {row["detector"]: row for row in tables["attacks_paper"]}
    assert rows["paper, clip"]["alarms"] == 2
    assert rows["paper, clip"]["first_alarm"] == 78.0
    stopped = [row["stopped_before_win_share"] for row in rows.values()]
    assert stopped == [0.5, 0.0, 0.0, 0.5, 1.0]
    # Shown 150 queries, as the paper's are.
    assert rows["neighbours"]["alarms"] == 2


def test_a_changed_attack_may_be_late_or_no_longer_work() -> None:
    _, tables = count(
        EvadedSeen(
            trial(), 60, {"none": at(6), "loud": at(20, Sign.MEAN)}, {"none": True, "loud": False}
        ),
        EvadedSeen(trial(), 60, {"none": at(12), "loud": at(21)}, {"none": True, "loud": True}),
        EvadedSeen(trial(), 60, {"none": None, "loud": None}, {}),
    )
    first, loud = tables["attacks_changed"]
    assert [first[key] for key in ("evasion", "by_12", "by_20", "first_alarm")] == ["none", 2, 2, 9]
    assert (loud["by_12"], loud["by_20"], loud["by_second_ear"]) == (0, 1, 1)
    assert loud["by_60_share"] == pytest.approx(2 / 3)
    assert (first["win_still_heard"], loud["win_still_heard"]) == ("2 of 2", "1 of 2")


def test_who_uses_the_verdicts_may_win_before_any() -> None:
    _, tables = count(
        DefendedSeen(trial(), 100, 60, won=100, alarm=6, snr_db=5.0),
        DefendedSeen(trial(), 4, 0, won=4, alarm=None, snr_db=11.0),
        DefendedSeen(trial(), 300, 250, won=None, alarm=8, snr_db=None),
    )
    [row] = tables["attacks_on_defended"]
    assert (row["wins"], row["wins_before_alarm"]) == (2, 1)
    assert (row["queries_to_win"], row["snr_at_win_db"], row["first_withheld"]) == (52.0, 8.0, 7.0)
    assert row["answered_each"] == pytest.approx((40 + 4 + 50) / 3)
    assert row["win_share"] == pytest.approx(2 / 3)


def test_who_was_never_noticed_does_not_begin_anew() -> None:
    _, tables = count(
        [
            RestartSeen("speech", 6, 1, 1, 2000, 3),
            RestartSeen("speech", 6, 1, 4, 2000, 3),
            RestartSeen("music", 7, 2, None, 2000, 3),
            RestartSeen("music", None, 6, 6, 2000, 3),
        ]
    )
    at_once, later = tables["attacks_begun_anew"]
    assert at_once["at_first_query_share"] == pytest.approx(2 / 3)
    assert (at_once["latest"], at_once["never"], at_once["queries_in_between"]) == (2, 0, 0)
    assert later["at_first_query_share"] == pytest.approx(1 / 3)
    assert (later["latest"], later["never"], later["noticed_before"]) == (4, 1, 3)
    assert (later["queries_in_between"], later["of_them_withheld"]) == (2000, 3)


def test_the_model_is_told_and_nothing_is_nothing() -> None:
    metrics, tables = count(ModelSeen(("go", "stop"), 0.8, 100, 0.9, 50))
    assert tables["attacked_model"][0]["word_right_share"] == 0.8
    assert metrics["stopped_before_win"].value is None
    assert metrics["queries_to_alarm"].value is None
    assert tables["attacks"] == tables["attacks_changed"] == tables["attacks_begun_anew"] == []
