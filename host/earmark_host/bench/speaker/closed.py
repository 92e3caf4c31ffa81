"""Who of people that are known speaks: clean, and in the worst case over all attacks.

People whom the model was trained to name are named by its logits, by clips that it was not trained
on; everybody else by the nearest voiceprint, as on the device. Where a corpus has both kinds, each
has its row. What is attacked first of all is the model that ships: as the device runs it, and as
the float network that it was made from. Every example is replayed to both, in 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np

from earmark.signal import Signal
from earmark_host.bench.speaker.cast import Person, acquaintances, chosen, strangers
from earmark_host.bench.speaker.ears import Ear, Naming, Vector, place, sixteen_bit
from earmark_host.bench.speaker.setup import DEVICE, PARENT, PEERS, ArmFile, Setup
from earmark_host.bench.speaker.store import prints
from earmark_host.speaker.attacks import Attack, Pgd, Raise, Square, craft_one
from earmark_host.speaker.clips import Clip, load
from earmark_host.speaker.schedule import EPS
from earmark_host.speaker.victim import Victim

CastName: TypeAlias = Literal["known", "others"]
"""People whom the model was trained to name, and those whom it never met."""

Way: TypeAlias = Literal["head", "voiceprint"]
"""How somebody is named: by the model's own logits, or by the nearest voiceprint."""

WAYS: tuple[tuple[CastName, Way], ...] = (
    ("known", "head"),
    ("known", "voiceprint"),
    ("others", "voiceprint"),
)
"""The rows; the first of them that has people is the one of the metrics, and is attacked."""

STEPS = 40
"""Of each white-box attack: PGD40 and CW40 of the paper."""

STANDARD = "standard"
"""The arm that attacks are transferred from."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    people : at most so many, drawn; None: all.
    tests : clips of each that are tested, at most.
    enrolled : clips of each that their voiceprint is made of, at most.
    peers : encoders of others that are tried.
    attacked : clips that the shipped model is attacked with, one of a person before the next.
    restarts : of each white-box attack.
    queries : of the black-box attack.
    arms_attacked : clips that each checkpoint is attacked with.
    peer_attacked, peer_steps : clips and steps of the attack on the first of `peers`.
    """

    people: int | None
    tests: int
    enrolled: int
    peers: tuple[str, ...]
    attacked: int
    restarts: int
    queries: int
    arms_attacked: int
    peer_attacked: int
    peer_steps: int


FULL = Plan(
    people=None,
    tests=6,
    enrolled=12,
    peers=PEERS,
    attacked=209,
    restarts=5,
    queries=2_000,
    arms_attacked=209,
    peer_attacked=60,
    peer_steps=40,
)
QUICK = Plan(
    people=30,
    tests=2,
    enrolled=4,
    peers=PEERS[:1],
    attacked=6,
    restarts=1,
    queries=60,
    arms_attacked=4,
    peer_attacked=2,
    peer_steps=10,
)


@dataclass(frozen=True)
class Clean:
    """All test clips, by everything that hears."""

    plan: Plan


@dataclass(frozen=True)
class Worst:
    """The shipped model, attacked with test clip number `index`."""

    plan: Plan
    index: int


@dataclass(frozen=True)
class Arms:
    """All checkpoints, attacked with test clip number `index`."""

    plan: Plan
    index: int


@dataclass(frozen=True)
class PeerAttacked:
    """The first of the peers, attacked with test clip number `index`."""

    plan: Plan
    index: int


Piece: TypeAlias = Clean | Worst | Arms | PeerAttacked


@dataclass(frozen=True)
class CleanSeen:
    """By person, how many of their clips an ear named rightly.

    Parameters
    ----------
    among : how many people there were to be named.
    """

    ear: str
    cast: CastName
    way: Way
    among: int
    right: tuple[int, ...]
    clips: tuple[int, ...]


@dataclass(frozen=True)
class WorstSeen:
    """One clip under every attack.

    Parameters
    ----------
    cast, way, person : who spoke, and how they were to be named.
    clean : by ear, whether it named them before.
    robust : by ear and attack, whether it still did.
    """

    cast: CastName
    way: Way
    person: str
    clean: dict[str, bool]
    robust: dict[str, dict[str, bool]]


@dataclass(frozen=True)
class ArmSeen:
    """One clip and one checkpoint: named rightly before and after the attack.

    Parameters
    ----------
    arm : which checkpoint.
    """

    arm: ArmFile
    person: str
    clean: bool
    robust: bool


@dataclass(frozen=True)
class PeerSeen:
    """One clip and a peer: named rightly before and after the attack."""

    ear: str
    person: str
    clean: bool
    robust: bool


Seen: TypeAlias = list[CleanSeen] | WorstSeen | list[ArmSeen] | PeerSeen | None


def pieces(plan: Plan) -> list[Piece]:
    """The longest first."""
    return [
        *(Worst(plan, index) for index in range(plan.attacked)),
        *(PeerAttacked(plan, index) for index in range(plan.peer_attacked)),
        *(Arms(plan, index) for index in range(plan.arms_attacked)),
        Clean(plan),
    ]


def hold(setup: Setup, piece: Piece) -> Seen:
    """One piece; a function of its arguments alone."""
    match piece:
        case Clean():
            return list(_clean(setup, piece.plan))
        case Worst():
            return _worst(setup, piece)
        case Arms():
            return list(_arms(setup, piece))
        case PeerAttacked():
            return _peer(setup, piece)


def wanted(setup: Setup, plan: Plan) -> Iterator[tuple[str, list[Clip]]]:
    """What has to be heard before."""
    found = rows(setup, plan)
    for cast, way in found:
        people = casts(setup, plan)[cast]
        for ear in _ears(setup, plan, way):
            yield ear, [clip for person in people for clip in _heard(person, way)]
    for cast, way in found[:1]:
        for arm in setup.arms if way == "voiceprint" else ():
            yield arm.ear, [clip for person in casts(setup, plan)[cast] for clip in person.enrol]


def _heard(person: Person, way: Way) -> tuple[Clip, ...]:
    return (*person.test, *(person.enrol if way == "voiceprint" else ()))


def _ears(setup: Setup, plan: Plan, way: Way) -> list[str]:
    """Who names people in that way."""
    peers = plan.peers if way == "voiceprint" else ()
    return [ear for ear in (DEVICE, PARENT, *peers) if setup.has(ear)]


# -- who, and how ---------------------------------------------------------------------------


@lru_cache(maxsize=4)
def casts(setup: Setup, plan: Plan) -> dict[CastName, tuple[Person, ...]]:
    """The people of each kind, with as many clips as the plan has them."""
    trained = setup.ear(DEVICE).trained
    found: dict[CastName, tuple[Person, ...]] = {
        "known": acquaintances(setup.corpus, setup.data, trained),
        "others": strangers(setup.corpus, setup.data, trained.heard),
    }
    return {
        name: tuple(
            Person(each.name, each.group, each.enrol[: plan.enrolled], each.test[: plan.tests])
            for each in chosen(people, plan.people, setup.rng(f"closed {name}", 0))
        )
        for name, people in found.items()
    }


def rows(setup: Setup, plan: Plan) -> list[tuple[CastName, Way]]:
    """Of :data:`WAYS` those that have people to be told apart."""
    people = casts(setup, plan)
    return [(cast, way) for cast, way in WAYS if len(people[cast]) > 1]


def takes(setup: Setup, plan: Plan) -> list[tuple[Person, Clip]]:
    """Test clips of the first row: one of everybody, then another of everybody."""
    found = rows(setup, plan)
    if not found:
        return []
    people = casts(setup, plan)[found[0][0]]
    order = setup.rng("closed takes", 0).permutation(len(people))
    return [
        (people[place], people[place].test[turn])
        for turn in range(plan.tests)
        for place in order
        if turn < len(people[place].test)
    ]


def naming(setup: Setup, plan: Plan, ear: str) -> Names:
    """How an ear names the people of the first row."""
    cast, way = rows(setup, plan)[0]
    return _names(setup, plan, ear, cast, way)


@dataclass(frozen=True, eq=False)
class Names:
    """How an ear names the people of a cast: its voiceprints, or None, and everyone's class."""

    voiceprints: Vector | None
    labels: dict[str, int]


@lru_cache(maxsize=64)
def _names(setup: Setup, plan: Plan, ear: str, cast: CastName, way: Way) -> Names:
    if way == "head":
        names = setup.ear(ear).trained.people
        return Names(None, {name: label for label, name in enumerate(names)})
    people = casts(setup, plan)[cast]
    return Names(
        prints(setup, ear, [person.enrol for person in people]),
        {person.name: label for label, person in enumerate(people)},
    )


# -- clean ----------------------------------------------------------------------------------


def _clean(setup: Setup, plan: Plan) -> Iterator[CleanSeen]:
    for cast, way in rows(setup, plan):
        people = casts(setup, plan)[cast]
        for ear in _ears(setup, plan, way):
            names = _names(setup, plan, ear, cast, way)
            right = [
                sum(
                    place(setup.heard(ear, clip), names.voiceprints) == names.labels[person.name]
                    for clip in person.test
                )
                for person in people
            ]
            clips = tuple(len(person.test) for person in people)
            yield CleanSeen(ear, cast, way, len(names.labels), tuple(right), clips)


# -- attacked -------------------------------------------------------------------------------


def _worst(setup: Setup, piece: Worst) -> WorstSeen | None:
    some = takes(setup, piece.plan)
    if piece.index >= len(some):
        return None
    plan, (person, clip) = piece.plan, some[piece.index]
    cast, way = rows(setup, plan)[0]
    ears = [ear for ear in (DEVICE, PARENT) if setup.has(ear)]
    names = {ear: _names(setup, plan, ear, cast, way) for ear in ears}
    victims = {ear: Naming(setup.ear(ear), names[ear].voiceprints) for ear in ears}
    label = names[DEVICE].labels[person.name]
    signal = sixteen_bit(load(clip))
    rng = setup.rng("closed worst", piece.index)
    examples: dict[str, Signal] = {}
    for ear in ears:
        for attack, victim in _attacks(plan, setup.ear(ear), names[ear].voiceprints):
            example = craft_one(attack, victim, signal, label, EPS, rng)
            examples[f"{attack.name} on {ear}"] = example
    for arm in setup.arms:
        if arm.arm == STANDARD and person.name in setup.ear(arm.ear).trained.people:
            example = _transferred(setup.ear(arm.ear), person, signal, rng)
            examples[f"transfer from {arm.ear}"] = example
    return WorstSeen(
        cast,
        way,
        person.name,
        {ear: victims[ear].named(signal) == label for ear in ears},
        {
            ear: {
                attack: victims[ear].named(example) == label for attack, example in examples.items()
            }
            for ear in ears
        },
    )


def _attacks(plan: Plan, ear: Ear, voiceprints: Vector | None) -> Iterator[tuple[Attack, Victim]]:
    """What is tried on an ear: with its gradients, and with nothing but its scores."""
    for goal in (Raise.CROSS_ENTROPY, Raise.MARGIN):
        attack = Pgd(STEPS, goal, restarts=plan.restarts, best=True)
        yield attack, Naming(ear, voiceprints)
    yield Square(plan.queries), Naming(ear, voiceprints, exact=True)


def _transferred(ear: Ear, person: Person, signal: Signal, rng: np.random.Generator) -> Signal:
    """An example that an undefended network takes for another person."""
    label = ear.trained.people.index(person.name)
    return craft_one(Pgd(STEPS, best=True), Naming(ear), signal, label, EPS, rng)


def _arms(setup: Setup, piece: Arms) -> Iterator[ArmSeen]:
    some = takes(setup, piece.plan)
    if piece.index >= len(some):
        return
    person, clip = some[piece.index]
    cast, way = rows(setup, piece.plan)[0]
    signal = sixteen_bit(load(clip))
    for arm in setup.arms:
        ear = setup.ear(arm.ear)
        known = person.name in ear.trained.people and clip.key in ear.trained.test_clips
        if not known if way == "head" else person.name in ear.trained.heard:
            continue  # it has heard this clip, or cannot name the person
        names = _names(setup, piece.plan, arm.ear, cast, way)
        victim, label = Naming(ear, names.voiceprints), names.labels[person.name]
        # The same start for all arms.
        rng = setup.rng("closed arms", piece.index)
        example = craft_one(Pgd(STEPS), victim, signal, label, EPS, rng)
        yield ArmSeen(
            arm,
            person.name,
            victim.named(signal) == label,
            victim.named(example) == label,
        )


def _peer(setup: Setup, piece: PeerAttacked) -> PeerSeen | None:
    plan = piece.plan
    some, peers = takes(setup, plan), [ear for ear in plan.peers if setup.has(ear)]
    if piece.index >= len(some) or not peers:
        return None
    person, clip = some[piece.index]
    cast, _ = rows(setup, plan)[0]
    names = _names(setup, plan, peers[0], cast, "voiceprint")
    victim, label = Naming(setup.ear(peers[0]), names.voiceprints), names.labels[person.name]
    signal = sixteen_bit(load(clip))
    rng = setup.rng("closed peer", piece.index)
    example = craft_one(Pgd(plan.peer_steps), victim, signal, label, EPS, rng)
    return PeerSeen(
        peers[0], person.name, victim.named(signal) == label, victim.named(example) == label
    )
