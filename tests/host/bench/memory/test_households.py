"""Households through the detectors, and what is made of what they said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from earmark.memory.paper import CARRIERS, PaperFingerprint
from earmark_host.bench.memory import households
from earmark_host.bench.memory.households import (
    CHUNKS,
    FLAGS,
    FULL,
    HEARINGS,
    NOISES_DB,
    QUICK,
    Homes,
    HomeSeen,
    Machine,
    MachineSeen,
    Plan,
    Pool,
    PoolSeen,
    hold,
    pieces,
)
from earmark_host.bench.memory.households_figures import figures
from earmark_host.bench.memory.setup import Setup

TINY = Plan(human=60, repeats=1, pool=90, windows=50)


def test_all_households_of_the_plan_are_held_once(setup: Setup) -> None:
    seen = [home for first in range(CHUNKS) for home in hold(setup, Homes(first, 60))]  # type: ignore[union-attr]
    assert sum(home.queries for home in seen) >= 60
    assert "same_phrase" in {home.kind for home in seen}
    for home in seen:
        assert home.recordings == home.queries  # nobody says the same file twice
        assert len(home.paper) == len(FLAGS)
        assert 0 <= home.withheld <= home.queries
        # The paper's memory has no verdict before it is full.
        assert home.paper[0][1] == max(0, home.queries - 75)


def test_a_machine_is_withheld_until_it_is_approved(setup: Setup) -> None:
    seen = hold(setup, Machine("routine_playback", 0))
    assert isinstance(seen, MachineSeen)
    assert seen.alarm is not None
    assert setup.settings.neighbours.copies < seen.alarm <= HEARINGS
    assert seen.hearings == HEARINGS
    assert seen.passed > 0


def test_a_pool_is_a_stretch_of_all_recordings(setup: Setup) -> None:
    one, two = (hold(setup, Pool("speech", first, 4)) for first in (0, 4))
    assert isinstance(one, PoolSeen)
    assert isinstance(two, PoolSeen)
    assert list(one.paper) == list(NOISES_DB)
    marks = [mark.to_bytes() for pool in (one, two) for mark in pool.paper[None]]
    assert len(set(marks)) == 8
    again = hold(setup, Pool("speech", 0, 4))
    assert isinstance(again, PoolSeen)
    assert [mark.to_bytes() for mark in again.paper[None]] == marks[:4]
    # Past the last recording there is nothing.
    late = hold(setup, Pool("music", 1_000, 4))
    assert isinstance(late, PoolSeen)
    assert late.paper[None] == []


def test_plans_cover_everything_once() -> None:
    for plan in (FULL, QUICK, TINY):
        made = pieces(plan)
        assert len(set(made)) == len(made)
        assert [each.first for each in made if isinstance(each, Homes)] == list(range(CHUNKS))
        for carrier in CARRIERS:
            pools = [each for each in made if isinstance(each, Pool) and each.carrier == carrier]
            assert sum(pool.count for pool in pools) == plan.pool
            assert [pool.first for pool in pools] == list(range(0, plan.pool, households.PIECE))
    assert FULL.human >= 5_000


# -- the figures -----------------------------------------------------------------------------


def home(kind: str, queries: int, withheld: int, alarms: int = 0) -> HomeSeen:
    paper = tuple((alarms, queries - 20) for _ in FLAGS)
    return HomeSeen(kind, queries, queries - 1, withheld, withheld + 2, 0.02, 1, paper)  # type: ignore[arg-type]


def pool(carrier: str, like: bool) -> PoolSeen:
    """Fingerprints with nothing in common, or all the same."""
    draw = np.random.default_rng(1)
    marks = [
        PaperFingerprint(np.arange(100, dtype=np.uint16))
        if like
        else PaperFingerprint(np.sort(draw.choice(60_000, 20, replace=False)).astype(np.uint16))
        for _ in range(80)
    ]
    return PoolSeen(
        carrier, dict.fromkeys(NOISES_DB, marks), [str(i) for i in range(len(marks))], 60
    )  # type: ignore[arg-type]


def test_households_are_summed() -> None:
    results = [
        [home("mixed", 100, 3), home("mixed", 100, 0)],
        [home("same_phrase", 50, 1, alarms=6)],
        MachineSeen("advertisement", 6, 10, 12),
        MachineSeen("advertisement", None, 12, 12),
    ]
    metrics, tables = figures(results, TINY, 1)
    by_name = {metric.name: metric for metric in metrics}
    assert (by_name["neighbours_fpr"].value, by_name["neighbours_fpr"].n) == (4 / 250, 250)
    assert by_name["neighbours_near_copies"].value == 10 / 250
    mixed, phrase = tables["households"]
    assert (mixed["household"], mixed["withheld"], mixed["withheld_share"]) == ("mixed", 3, 0.015)
    assert (phrase["recordings_each"], phrase["highest_mean"]) == (49.0, 0.02)
    at_home = [
        row for row in tables["false_alarms_paper"] if row["queries"].startswith("households")
    ]
    assert (at_home[0]["alarm_share"], at_home[0]["n"]) == (6 / 30, 30)
    (machine,) = tables["exact_repeats"]
    assert (machine["withheld_at_some_time"], machine["first_withheld_hearing"]) == (1, 6.0)
    assert machine["passed_once_approved_share"] == 22 / 24
    json.dumps(tables, allow_nan=False)


@pytest.mark.parametrize(("like", "rate"), [(False, 0.0), (True, 1.0)])
def test_random_streams_alarm_where_recordings_are_alike(like: bool, rate: float) -> None:
    metrics, tables = figures([pool("speech", like), pool("music", like)], TINY, 1)
    by_name = {metric.name: metric for metric in metrics}
    assert by_name["paper_fpr"] == replace(by_name["paper_fpr_speech"], name="paper_fpr")
    assert by_name["paper_fpr"].value == rate
    assert by_name["paper_fpr"].n == TINY.windows
    assert by_name["carrier_right_music"].value == 60 / 80
    streamed = [row for row in tables["false_alarms_paper"] if "random" in row["queries"]]
    assert {row["recordings"] for row in streamed} == {80}


def test_too_few_recordings_for_a_memory_are_left_out() -> None:
    few = replace(pool("speech", like=False), paper={None: [], 50.0: []}, right=0)
    metrics, tables = figures([few], TINY, 1)
    assert "paper_fpr" not in {metric.name for metric in metrics}
    assert not [row for row in tables["false_alarms_paper"] if "random" in row["queries"]]
