"""Shares, means and intervals out of made-up streams."""

from __future__ import annotations

import json

import pytest

from earmark_host.bench.memory.hidden import VARIANTS, CauseSeen
from earmark_host.bench.memory.simulated import (
    DEFAULT,
    FULL,
    READINGS,
    AttackSeen,
    HiddenSeen,
    ShareSeen,
    Verdicts,
)
from earmark_host.bench.memory.simulated_figures import figures

NEIGHBOURS = Verdicts(50, 45, 50, 6, 20.0)


def seen(attack: str, alarms: int, queries: int = 300, first: int | None = 76) -> AttackSeen:
    """The default reading alarms so often, the others say nothing."""
    verdicts = Verdicts(queries, alarms, 10, first, 7.0)
    paper = tuple(verdicts if reading == DEFAULT else None for reading in READINGS)
    return AttackSeen(attack, queries, paper, NEIGHBOURS, queries - 3)


def test_dsr_is_the_mean_over_the_streams_with_their_interval() -> None:
    metrics, tables = figures([seen("cs", 3), seen("cs", 1), seen("dw", 0, 150, None)], FULL, 1)
    by_name = {metric.name: metric for metric in metrics}
    assert list(by_name) == ["paper_dsr_cs", "paper_dsr_dw", "paper_dsr_irta", "paper_dsr_ds"]
    cs = by_name["paper_dsr_cs"]
    assert cs.value == pytest.approx((0.75 + 0.25) / 2)
    assert cs.ci95 == pytest.approx((0.25, 0.75))
    assert cs.n == 2
    assert by_name["paper_dsr_dw"].value == 0.0
    assert by_name["paper_dsr_irta"].value is None
    row = tables["simulated_attacks"][0]
    assert (row["dsr_ceiling"], row["dsr_claimed"]) == (0.75, 0.98)
    assert (row["first_alarm"], row["fsnr_db"], row["fsnr_claimed_db"]) == (76.0, 7.0, 7.38)
    assert (row["neighbours_first_alarm"], row["neighbours_by_12_share"]) == (6.0, 1.0)
    assert row["carrier_right_share"] == pytest.approx(0.99)
    json.dumps([metrics[2].to_json(), tables], allow_nan=False)


def test_a_reading_without_threshold_is_a_row_without_figures() -> None:
    _, tables = figures([seen("cs", 3)], FULL, 1)
    rows = [row for row in tables["paper_readings"] if row["attack"] == "cs"]
    assert len(rows) == 12
    assert [row["streams"] for row in rows].count(1) == 1
    assert all(row["dsr"] is None for row in rows if row["streams"] == 0)
    assert all(row["dsr_mean"] is None for row in tables["paper_input_noise"])


def test_the_flag_rate_is_that_of_a_memory_that_is_not_cleared() -> None:
    kept = next(
        index
        for index, reading in enumerate(READINGS)
        if reading.known and not reading.flags.clear_on_alarm
    )
    stream = seen("cs", 3)
    paper = list(stream.paper)
    paper[kept] = Verdicts(300, 180, 225, 76, 7.0)
    stream = AttackSeen("cs", 300, tuple(paper), NEIGHBOURS, 300)
    _, tables = figures([stream], FULL, 1)
    row = tables["paper_readings"][0]
    assert (row["flagged_share"], row["dsr"]) == (180 / 225, 0.75)


def test_the_robust_mode_stands_beside_none_on_the_same_streams() -> None:
    robust = [
        AttackSeen(
            name,
            300,
            tuple(
                None
                if reading.flags.weights != "clip"
                else Verdicts(300, 3 if reading.flags.input_noise_snr_db == 50.0 else 1, 9, 76, 7.0)
                for reading in READINGS
            ),
            NEIGHBOURS,
            300,
        )
        for name in ("cs", "dw", "irta", "ds")
    ]
    _, tables = figures([*robust, seen("cs", 4)], FULL, 1)
    by_noise = {
        row["input_noise_db"]: row
        for row in tables["paper_input_noise"]
        if row["weights"] == "clip"
    }
    assert by_noise[None]["dsr_cs"] == pytest.approx(0.25)  # the plain stream is not in it
    assert by_noise[50.0]["dsr_mean"] == pytest.approx(0.75)
    assert by_noise[50.0]["dsr_mean_claimed"] == 0.9369
    assert by_noise[25.0]["dsr_mean_claimed"] is None


def test_shares_and_causes_are_pooled_over_streams() -> None:
    def share(flagged: int, verdicts: int) -> ShareSeen:
        cleared = Verdicts(300, 2, 10, 5, None)
        return ShareSeen("cs", 0.6, "clip", cleared, Verdicts(300, flagged, verdicts, 5, None))

    def cause(queries: int, score: float, fake_likeness: float | None) -> CauseSeen:
        return CauseSeen(
            0.6, VARIANTS[0], 0.2, queries, queries // 2, score, 0.1, -0.5, fake_likeness, 0.9
        )

    _, tables = figures(
        [
            HiddenSeen((share(10, 10),), (cause(10, 0.1, 0.02),)),
            HiddenSeen((share(0, 30),), (cause(30, 0.5, None),)),
        ],
        FULL,
        1,
    )
    (row,) = tables["fake_share"]
    assert (row["flagged_share"], row["attack_queries"], row["dsr"]) == (0.25, 40, 0.5)
    first, *others = tables["collapse_cause"]
    assert first["score"] == pytest.approx((10 * 0.1 + 30 * 0.5) / 40)
    assert (first["fake_likeness"], first["flagged_share"]) == (0.02, 0.5)
    assert all(row["score"] is None for row in others)
