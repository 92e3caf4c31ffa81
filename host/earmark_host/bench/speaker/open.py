"""People whom nobody trained on: enrolled with a few phrases, then told from others.

Trials are the same for all encoders: each person's voiceprint against test clips of everybody in
the same recordings, as people from other recordings would be told apart by the microphone. Scores
are cosines; for the device also its own, normalised by the cohort that ships, and its own limits.
Then both sides are attacked: a stranger is pushed towards a person, and a person away from
themselves, as far as the ball allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.signal import Signal
from earmark.speaker.decision import Cohort, Criterion, Roster
from earmark.speaker.people import Person as Enrolled
from earmark_host.bench.speaker.cast import Corpus, Person, by_group, chosen, strangers
from earmark_host.bench.speaker.ears import (
    Device,
    Ear,
    Heard,
    Vector,
    Verifying,
    mean_print,
    sixteen_bit,
)
from earmark_host.bench.speaker.setup import DEVICE, PARENT, PEERS, Setup
from earmark_host.bench.speaker.store import prints
from earmark_host.speaker.attacks import Pgd, Raise, craft_one
from earmark_host.speaker.clips import Clip, load
from earmark_host.speaker.schedule import EPS
from earmark_host.speaker.trials import Trials

Scoring: TypeAlias = Literal["cosine", "device"]
"""How a clip is compared with a voiceprint: by the cosine, or as the device does."""

Kind: TypeAlias = Literal["sentences", "words"]
"""What people say."""

Side: TypeAlias = Literal["impostor", "own"]
"""Who attacks: a stranger who wants to be taken for somebody, or one who makes somebody unheard."""

OUT_OF_REACH = 2.0
"""A cosine that no clip has: a push towards it, or away from its opposite, never ends early."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    people : of each set of recordings, at most; None: all.
    tests : clips of each that are tested, at most.
    peers : encoders of others that are compared.
    attacked : trials of either side that the device is attacked in.
    peer_attacked : the same of the first of `peers`.
    steps : of the attack.
    """

    people: int | None
    tests: int
    peers: tuple[str, ...]
    attacked: int
    peer_attacked: int
    steps: int


FULL = Plan(people=None, tests=5, peers=PEERS, attacked=100, peer_attacked=20, steps=40)
QUICK = Plan(people=8, tests=1, peers=PEERS, attacked=3, peer_attacked=1, steps=10)


@dataclass(frozen=True)
class Score:
    """All trials, by everything that hears."""

    plan: Plan


@dataclass(frozen=True)
class Pushed:
    """Trial number `index` of a side, attacked, with the device or a peer."""

    plan: Plan
    side: Side
    ear: str
    index: int


Piece: TypeAlias = Score | Pushed


@dataclass(frozen=True, eq=False)
class Scored:
    """The trials of one set of recordings.

    Parameters
    ----------
    group, kind : which recordings, and what is said in them.
    sittings : everyone is tested in sittings that they were not enrolled in.
    """

    ear: str
    scoring: Scoring
    group: str
    kind: Kind
    sittings: bool
    trials: Trials


@dataclass(frozen=True)
class Decided:
    """What the device decided with its own limits, each person alone at home.

    Parameters
    ----------
    refused, own : of that many clips of its own people.
    let_in, strangers : of that many clips of others.
    people : by each of these: (refused, own, let_in, strangers).
    """

    group: str
    kind: Kind
    people: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class PushedSeen:
    """A trial before and after the attack.

    Parameters
    ----------
    person : whose voiceprint it is.
    before, after : its score, by how it is scored.
    """

    ear: str
    side: Side
    person: str
    before: dict[str, float]
    after: dict[str, float]


Seen: TypeAlias = list[Scored | Decided] | PushedSeen | None


def pieces(plan: Plan) -> list[Piece]:
    """The longest first."""
    sides: tuple[Side, ...] = ("impostor", "own")
    return [
        *(
            Pushed(plan, side, ear, index)
            for ear in plan.peers[:1]
            for index in range(plan.peer_attacked)
            for side in sides
        ),
        *(Pushed(plan, side, DEVICE, index) for index in range(plan.attacked) for side in sides),
        Score(plan),
    ]


def hold(setup: Setup, piece: Piece) -> Seen:
    """One piece; a function of its arguments alone."""
    match piece:
        case Score():
            return [*_scored(setup, piece.plan), *_decided(setup, piece.plan)]
        case Pushed():
            return _pushed(setup, piece)


def wanted(setup: Setup, plan: Plan) -> Iterator[tuple[str, list[Clip]]]:
    """What has to be heard before."""
    for some in groups(setup, plan).values():
        for ear in _ears(setup, plan):
            yield ear, [clip for person in some for clip in (*person.enrol, *person.test)]


# -- who ------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def groups(setup: Setup, plan: Plan) -> dict[tuple[Kind, str], list[Person]]:
    """The strangers of each set of recordings."""
    heard = setup.ear(DEVICE).trained.heard
    said: tuple[tuple[Kind, Corpus], ...] = (("sentences", setup.corpus), ("words", setup.words))
    return {
        (kind, name): cut(some, plan.people, plan.tests, setup.rng(f"open {name}", 0))
        for kind, corpus in said
        for name, some in by_group(strangers(corpus, setup.data, heard)).items()
    }


def cut(
    some: Sequence[Person], people: int | None, tests: int, rng: np.random.Generator
) -> list[Person]:
    """At most so many people, with at most so many clips to be tested by."""
    return [
        Person(each.name, each.group, each.enrol, each.test[:tests])
        for each in chosen(some, people, rng)
    ]


def _ears(setup: Setup, plan: Plan) -> list[str]:
    return [ear for ear in (DEVICE, PARENT, *plan.peers) if setup.has(ear)]


# -- clean ----------------------------------------------------------------------------------


def compared(setup: Setup, ear: str, people: Sequence[Person], cohort: Cohort | None) -> Trials:
    """Everyone's voiceprint against everyone's test clips.

    Parameters
    ----------
    cohort : of the device, whose scores are wanted; None: cosines.
    """
    voiceprints = prints(setup, ear, [person.enrol for person in people])
    said = [(place, clip) for place, person in enumerate(people) for clip in person.test]
    embeddings = np.stack([setup.heard(ear, clip).embedding for _, clip in said])
    scores = _scores(embeddings, voiceprints, cohort)
    speaker = np.repeat(np.asarray([place for place, _ in said], np.int64), len(people))
    target = np.tile(np.arange(len(people), dtype=np.int64), len(said))
    return Trials(scores.ravel(), target, speaker)


def _scores(embeddings: Vector, voiceprints: Vector, cohort: Cohort | None) -> NDArray[np.float64]:
    rows, columns = embeddings.astype(np.float64), voiceprints.astype(np.float64)
    return rows @ columns.T if cohort is None else cohort.score(rows, columns)


def _scored(setup: Setup, plan: Plan) -> Iterator[Scored]:
    for (kind, name), people in groups(setup, plan).items():
        sittings = all(
            {clip.session for clip in each.enrol}.isdisjoint(clip.session for clip in each.test)
            for each in people
        )
        for ear in _ears(setup, plan):
            cohorts: dict[Scoring, Cohort | None] = {"cosine": None}
            if ear == DEVICE and (own := cohort_of(setup.ear(ear))) is not None:
                cohorts["device"] = own
            for scoring, cohort in cohorts.items():
                trials = compared(setup, ear, people, cohort)
                yield Scored(ear, scoring, name, kind, sittings, trials)


def cohort_of(ear: Ear) -> Cohort | None:
    """The cohort that ships with a model; None for what has none."""
    return Cohort(ear.model.cohort) if isinstance(ear, Device) else None


def _decided(setup: Setup, plan: Plan) -> Iterator[Decided]:
    ear = setup.ear(DEVICE)
    cohort = cohort_of(ear)
    if cohort is None or not isinstance(ear, Device):
        return
    settings = setup.config.speaker
    criterion = Criterion(settings.far_target, float(ear.model.decision.get("margin", 0.0)))
    for (kind, name), people in groups(setup, plan).items():
        counts = []
        for person in people:
            phrases = np.stack([setup.heard(DEVICE, clip).embedding for clip in person.enrol])
            at_home = Enrolled("00000000", "somebody", 0.0, 0.0, ear.model.id, phrases)
            roster = Roster([at_home], cohort, ear.model.id, criterion)
            let_in = {
                other.name: sum(
                    roster.identify(setup.heard(DEVICE, clip).embedding).person is not None
                    for clip in other.test
                )
                for other in people
            }
            own = let_in.pop(person.name)
            others = sum(len(other.test) for other in people) - len(person.test)
            counts.append((len(person.test) - own, len(person.test), sum(let_in.values()), others))
        yield Decided(name, kind, tuple(counts))


# -- attacked -------------------------------------------------------------------------------


def _pushed(setup: Setup, piece: Pushed) -> PushedSeen | None:
    """The stranger and the person are from the same recordings, and say sentences."""
    sentences = [some for (kind, _), some in groups(setup, piece.plan).items() if kind != "words"]
    people = [(person, some) for some in sentences for person in some]
    if not people or not setup.has(piece.ear):
        return None
    rng = setup.rng(f"open {piece.side}", piece.index)
    person, others = people[piece.index % len(people)]
    speaker = person
    while piece.side == "impostor" and speaker == person:
        speaker = others[int(rng.integers(len(others)))]
    clip = speaker.test[int(rng.integers(len(speaker.test)))]
    ear = setup.ear(piece.ear)
    voiceprint = mean_print([setup.heard(piece.ear, each).embedding for each in person.enrol])
    toward = piece.side == "impostor"
    limit = OUT_OF_REACH if toward else -OUT_OF_REACH
    victim = Verifying(ear, voiceprint, limit)
    signal = sixteen_bit(load(clip))
    # The margin is linear in the cosine; cross-entropy has no slope so far from its limit.
    attack = Pgd(piece.plan.steps, Raise.MARGIN, best=True)
    example = craft_one(attack, victim, signal, 0 if toward else 1, EPS, rng)
    cohort = cohort_of(ear)

    def scored(said: Signal) -> dict[str, float]:
        heard: Heard = ear.hear(said)
        found = {"cosine": _scores(heard.embedding[None], voiceprint[None], None)}
        if cohort is not None:
            found["device"] = _scores(heard.embedding[None], voiceprint[None], cohort)
        return {name: float(value[0, 0]) for name, value in found.items()}

    return PushedSeen(piece.ear, piece.side, person.name, scored(signal), scored(example))
