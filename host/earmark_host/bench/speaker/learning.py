"""What more people in training would give: errors with strangers, over how many were trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from earmark_host.bench.speaker.cast import Person, by_group, strangers
from earmark_host.bench.speaker.open import compared, cut
from earmark_host.bench.speaker.setup import ArmFile, Setup
from earmark_host.speaker.clips import Clip
from earmark_host.speaker.trials import Trials

PREFIX = "people-"
"""How the names of the checkpoints begin that differ in how many people they were trained on."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    people : of each set of recordings, at most; None: all.
    tests : clips of each that are tested, at most.
    """

    people: int | None
    tests: int


FULL = Plan(people=None, tests=5)
QUICK = Plan(people=8, tests=2)


@dataclass(frozen=True)
class Score:
    """All trials, by all these checkpoints."""

    plan: Plan


@dataclass(frozen=True, eq=False)
class Scored:
    """All trials of a checkpoint."""

    arm: ArmFile
    trials: Trials


Seen: TypeAlias = list[Scored]


def pieces(plan: Plan) -> list[Score]:
    """There is one."""
    return [Score(plan)]


def hold(setup: Setup, piece: Score) -> Seen:
    """The same trials for all: between people whom none of them was trained on."""
    return [
        Scored(
            arm,
            Trials.joined(
                [compared(setup, arm.ear, some, None) for some in _groups(setup, piece.plan)]
            ),
        )
        for arm in setup.learning
    ]


def wanted(setup: Setup, plan: Plan) -> Iterator[tuple[str, list[Clip]]]:
    """What has to be heard before."""
    for arm in setup.learning:
        for some in _groups(setup, plan):
            yield arm.ear, [clip for each in some for clip in (*each.enrol, *each.test)]


@lru_cache(maxsize=4)
def _groups(setup: Setup, plan: Plan) -> list[list[Person]]:
    heard = frozenset().union(*(setup.ear(arm.ear).trained.heard for arm in setup.learning))
    return [
        cut(some, plan.people, plan.tests, setup.rng(f"learning {name}", 0))
        for name, some in by_group(strangers(setup.corpus, setup.data, heard)).items()
    ]
