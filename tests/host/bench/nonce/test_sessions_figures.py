"""What is counted, from results made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from earmark_host.bench.nonce.sessions import (
    QUICK,
    Counted,
    Judged,
    Live,
    LiveResult,
    Missing,
    Replay,
    Result,
    Victim,
    VictimResult,
    Without,
    WithoutResult,
)
from earmark_host.bench.nonce.sessions_figures import figures
from earmark_host.bench.report import Metric, Row
from earmark_host.bench.stage import Environment

FRESH = Judged(True, "fresh", True, False, False, 0.0, 0.1, 20.0, 0.1)
ALARM = replace(FRESH, allowed=False, reason="replay", found=True, evidence=9.0)
VAGUE = replace(FRESH, allowed=False, reason="stale_undetermined", undetermined=True)
ABSENT = replace(FRESH, allowed=False, reason="nonce_absent", nonce_passed=False)


def live(index: int, judged: Judged = FRESH, finds: int = 0) -> LiveResult:
    asked = Live(Environment.TV, 2.0, index, 2)
    return LiveResult(asked, index % 2 == 1, "a.wav", "speech", 2.0, judged, finds, 2)


def replay(victim: Victim, recorder: str, judged: Judged, error_s: float | None) -> Replay:
    return Replay(
        asked=victim,
        recorder=recorder,
        environment=Environment.QUIET,
        enclosure="phone",
        own_clocks=False,
        old_nonce_s=2.2,
        judged=judged,
        session_named=error_s is not None,
        time_error_s=error_s,
        counted=(Counted(10, judged.found, True, 0.1), Counted(1000, judged.found, True, 0.2)),
    )


def counted(results: list[Result]) -> tuple[dict[str, Metric], dict[str, list[Row]]]:
    metrics, tables = figures(results, QUICK, seed=1)
    return {metric.name: metric for metric in metrics}, tables


def test_false_rejects_have_all_their_causes() -> None:
    metrics, tables = counted([live(0), live(1, ALARM), live(2, VAGUE), live(3, ABSENT)])
    assert metrics["current_frr"].value == 0.75
    assert metrics["stale_false_alarm"].value == 0.25
    row = tables["current_by_environment"][0]
    assert (row["nonce_failed"], row["undetermined"], row["false_alarms"]) == (1, 1, 1)
    assert [each["frr"] for each in tables["current_by_clock"]] == [0.5, 1.0]
    assert [each["reason"] for each in tables["current_refused"]] == [
        "replay",
        "stale_undetermined",
        "nonce_absent",
    ]


def test_a_recorded_session_is_a_live_one() -> None:
    asked = Victim(50.0, False, 0)
    metrics, _ = counted([live(0), VictimResult(asked, ALARM, ())])
    assert metrics["stale_false_alarm"].value == 0.5
    assert metrics["current_frr"].n == 1


def test_foreign_finds_are_counted_by_search() -> None:
    _, tables = counted([live(0), live(1, finds=1)])
    assert tables["wrong_bank_finds"][0] == tables["wrong_bank_finds"][0] | {
        "finds": 1,
        "find_share": 0.25,
        "n": 4,
    }


def test_accepts_without_the_nonce() -> None:
    metrics, tables = counted(
        [
            WithoutResult(Without(Missing.SILENCE, 0), False, ABSENT),
            WithoutResult(Without(Missing.OLDER, 0), False, FRESH),
        ]
    )
    assert metrics["current_accepts_without"].value == 0.5
    assert [row["accepts"] for row in tables["current_accepts_without_by_kind"]] == [0, 1]


def test_detection_and_naming() -> None:
    loud, faint, word = Victim(50.0, False, 0), Victim(40.0, False, 0), Victim(50.0, True, 0)
    metrics, tables = counted(
        [
            VictimResult(
                loud,
                FRESH,
                (
                    replay(loud, "r1", ALARM, 0.3),
                    replay(loud, "r2", ALARM, 1.5),
                    replay(loud, "r3", ALARM, None),
                ),
            ),
            VictimResult(faint, FRESH, (replay(faint, "r1", FRESH, None),)),
            VictimResult(word, FRESH, (replay(word, "r1", FRESH, None),)),
        ]
    )
    assert metrics["stale_detect_r1_50"].value == 1.0
    assert metrics["stale_detect_r1_50"].n == 1  # the word is not among them
    assert metrics["stale_detect_r1_40"].value == 0.0
    assert metrics["stale_detect_r2_40"].value is None
    assert metrics["stale_time_named_50"].value == pytest.approx(1 / 3)
    assert tables["stale_words"][0]["found_share"] == 0.0
    lengths = {row["nonce_dbspl_1m"]: row for row in tables["stale_by_old_nonce_s"]}
    assert lengths[50.0]["old_nonce_s"] == "2 to 3"
    assert lengths[50.0]["n"] == 4
    issued = {row["issued"]: row for row in tables["stale_by_issued"]}
    assert issued[10]["found_share"] == issued[1000]["found_share"] == 0.6
    assert issued[1000]["cpu_ms_median"] == pytest.approx(200.0)


def test_nothing_held_gives_no_figures() -> None:
    metrics, tables = counted([])
    assert {metric.value for metric in metrics.values()} == {None}
    assert tables == {}
