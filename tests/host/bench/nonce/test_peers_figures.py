"""Levels, gains and tables out of made-up trials."""

from __future__ import annotations

import json

import numpy as np
import pytest

from earmark_host.bench.nonce.peers import (
    ACCEPTED,
    BLIND,
    VERIFIED,
    Answer,
    Cell,
    Family,
    Piece,
    Plan,
    Reading,
    Trial,
)
from earmark_host.bench.nonce.peers_figures import (
    figures,
    isotonic,
    level_of,
    logistic_level,
)
from earmark_host.bench.stage import Environment

LEVELS = (6.0, 0.0, -6.0, -12.0, -18.0, -24.0)
CELL = Cell(1.0, Environment.QUIET, 20, ((Family.OURS, LEVELS), (Family.GGWAVE, LEVELS)))
PLAN = Plan((CELL,))


def trials(lowest: dict[str, float], cell: Cell = CELL) -> list[Trial]:
    """Trials in which each receiver succeeds from its lowest level on."""
    return [
        Trial(
            Piece(cell, index),
            4.0,
            tuple(
                Reading(
                    name, level, Answer.RIGHT if level >= limit else Answer.WRONG, 0.001 * index
                )
                for name, limit in lowest.items()
                for level in LEVELS
            ),
        )
        for index in range(cell.trials)
    ]


def successes(shares: list[float], n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Levels 0, 1, 2 ... dB with these shares of `n`."""
    levels = np.arange(float(len(shares)))
    right = np.array([np.arange(n) < round(share * n) for share in shares]).T
    return levels, right


def test_isotonic_pools_what_falls() -> None:
    assert isotonic(np.array([0.1, 0.5, 0.3, 0.9])) == pytest.approx([0.1, 0.4, 0.4, 0.9])
    assert isotonic(np.array([0.0, 0.2, 1.0])) == pytest.approx([0.0, 0.2, 1.0])
    assert isotonic(np.array([1.0, 0.5, 0.0])) == pytest.approx([0.5, 0.5, 0.5])


def test_a_level_lies_between_those_that_were_tried() -> None:
    levels, right = successes([0.0, 0.5, 1.0, 1.0])
    assert level_of(levels, right, 0.75) == pytest.approx(1.5)
    assert level_of(levels, right, 0.5) == pytest.approx(1.0)
    assert level_of(levels, right, 0.99) == pytest.approx(1.98)


def test_a_dip_higher_up_raises_the_level() -> None:
    levels, right = successes([0.0, 1.0, 0.9, 1.0])
    assert level_of(levels, right, 0.99) == pytest.approx(2.8)


def test_a_share_that_is_never_reached_has_no_level() -> None:
    assert level_of(*successes([0.0, 0.5, 0.98]), 0.99) is None


def test_a_share_that_is_always_reached_has_the_lowest_level() -> None:
    assert level_of(*successes([1.0, 1.0]), 0.99) == 0.0


def test_the_logistic_curve_goes_on_above_the_levels() -> None:
    levels = np.arange(-10.0, 1.0)
    right = np.random.default_rng(0).random((2000, 11)) < 1.0 / (1.0 + np.exp(-levels / 2.0))
    assert logistic_level(levels, right, 0.5) == pytest.approx(0.0, abs=0.3)
    assert logistic_level(levels, right, 0.99) == pytest.approx(2.0 * np.log(99.0), abs=0.6)
    assert logistic_level(*successes([0.0, 0.0]), 0.5) is None
    assert logistic_level(*successes([1.0, 1.0]), 0.5) is None


def test_the_gain_is_over_the_best_mode() -> None:
    held = trials({BLIND: -18.0, VERIFIED: -24.0, "ggwave normal": 0.0, "ggwave fast": -6.0})
    metrics, tables = figures(held, PLAN, 1)
    values = {metric.name: metric for metric in metrics}
    # From 0 to 100 % within 6 dB: at 99 % each is 0.06 dB below the level tried.
    assert values["gain_over_ggwave_tuned_db"].value == pytest.approx(12.0)
    assert values["gain_over_ggwave_tuned_db"].ci95 == pytest.approx((12.0, 12.0))
    assert values["gain_over_ggwave_tuned_db"].n == 20
    assert values["gain_over_ggwave_tuned_verified_db"].value == pytest.approx(17.94)
    assert {row["ggwave_best"] for row in tables["peers_gain"]} == {"ggwave fast"}
    assert values["gain_over_ggwave_db"].value is None  # nothing as it was shipped was tried


def test_modes_as_shipped_are_compared_apart() -> None:
    held = trials({BLIND: -18.0, VERIFIED: -18.0, "ggwave": -12.0, "ggwave, as shipped": 0.0})
    metrics, tables = figures(held, PLAN, 1)
    values = {metric.name: metric.value for metric in metrics}
    assert values["gain_over_ggwave_db"] == pytest.approx(18.0)
    assert values["gain_over_ggwave_tuned_db"] == pytest.approx(6.0)
    assert values["gain_over_ggwave_verified_db"] == pytest.approx(18.0)
    gains = {row["over"]: row["gain_db"] for row in tables["peers_gain"]}
    assert gains == pytest.approx({"any mode": 6.0, "as shipped": 18.0})


def test_a_goal_that_ggwave_never_reaches_is_said_to_be_so() -> None:
    held = trials({BLIND: -18.0, VERIFIED: -24.0, "ggwave normal": 60.0})
    metrics, tables = figures(held, PLAN, 1)
    assert [(metric.value, metric.ci95, metric.n) for metric in metrics] == [(None, None, 0)] * 4
    assert {row["ggwave_best"] for row in tables["peers_gain"]} == {"none reaches it"}
    assert tables["peers_levels"][-1]["nsr_99_db"] is None


def test_the_tables_count_right_and_wrong_payloads() -> None:
    _, tables = figures(trials({BLIND: -18.0, VERIFIED: -24.0, "ggwave": 0.0}), PLAN, 1)
    rows = {(row["receiver"], row["nsr_db"]): row for row in tables["peers_success"]}
    assert rows[BLIND, -18.0]["success_share"] == 1.0
    assert rows[BLIND, -24.0]["success_share"] == 0.0
    assert rows[BLIND, -24.0]["wrong_share"] == 1.0
    assert rows[BLIND, -18.0]["n"] == 20


def test_cells_are_kept_apart() -> None:
    far = Cell(4.0, Environment.KITCHEN, 20, CELL.levels_db)
    held = [*trials({BLIND: -18.0, VERIFIED: 0.0}), *trials({BLIND: 0.0, VERIFIED: 0.0}, far)]
    _, tables = figures(held, Plan((CELL, far)), 1)
    levels = {
        (row["distance_m"], row["environment"]): row["nsr_50_db"]
        for row in tables["peers_levels"]
        if row["receiver"] == BLIND
    }
    assert levels == {(1.0, "quiet"): -21.0, (4.0, "kitchen"): -3.0}


def test_cpu_time_is_per_second_of_recording() -> None:
    _, tables = figures(trials({BLIND: 0.0, VERIFIED: 0.0}), PLAN, 1)
    assert tables["peers_cpu"][0]["cpu_ms_per_s_median"] == pytest.approx(9.5 / 4.0)


def test_theory_rises_from_nothing_to_everything() -> None:
    _, tables = figures(trials({BLIND: 0.0, VERIFIED: 0.0}), PLAN, 1)
    for name in {row["curve"] for row in tables["peers_theory"]}:
        curve = [row["success"] for row in tables["peers_theory"] if row["curve"] == name]
        assert curve == sorted(curve)
        assert curve[0] < 0.6
        assert curve[-1] > 0.99


def test_all_of_it_is_json() -> None:
    metrics, tables = figures(
        trials({BLIND: 0.0, VERIFIED: 0.0, ACCEPTED: 60.0, "ggwave": 0.0}), PLAN, 1
    )
    json.dumps([[metric.to_json() for metric in metrics], tables], allow_nan=False)


# -- failures -------------------------------------------------------------------------------


def test_a_run_without_trials_has_no_gain() -> None:
    metrics, tables = figures([], PLAN, 1)
    assert [metric.value for metric in metrics] == [None] * 4
    assert tables["peers_success"] == []
