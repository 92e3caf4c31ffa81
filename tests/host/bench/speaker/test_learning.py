"""The learning curve: the same trials for networks that know more and more people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.host.bench.speaker.toys import Toy

from earmark_host.bench.speaker.learning import Plan, Score, hold, pieces, wanted
from earmark_host.bench.speaker.learning_figures import figures
from earmark_host.bench.speaker.setup import ArmFile, Setup

TINY = Plan(people=None, tests=2)


def test_trials_are_between_people_whom_none_of_them_has_heard(setup: Setup) -> None:
    arms = tuple(ArmFile(f"people-{n}", "standard", 1, "device", n) for n in (3, 2))
    ears = tuple((arm.ear, Toy(arm.people)) for arm in arms)
    setup = replace(setup, ears=(*setup.ears, *ears), learning=arms)
    (piece,) = pieces(TINY)
    scored = hold(setup, piece)
    assert [each.arm.people for each in scored] == [3, 2]
    for each in scored:
        assert each.trials.people == 3
        np.testing.assert_array_equal(each.trials.target, scored[0].trials.target)
    assert [ear for ear, _ in wanted(setup, TINY)] == ["people-3", "people-2"]
    metrics, tables = figures([scored], TINY, 1)
    assert metrics == []
    assert [row["trained_on"] for row in tables["open_learning"]] == [2, 3]
    assert [row["eer_share"] for row in tables["open_learning"]] == [0.0, 0.0]


def test_without_such_networks_there_is_no_table(setup: Setup) -> None:
    assert hold(setup, Score(TINY)) == []
    assert figures([[]], TINY, 1) == ([], {})
