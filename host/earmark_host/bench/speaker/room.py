"""Who speaks, heard in a room and with the nonce taken out again, beside the dry clip.

A command is given in a simulated room from several distances, with the nonce and, to the sample the
same, without. The nonce is taken out as the device's judge does it, and the voice is looked at by
the device's own check, so that whatever that does to a command is done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark.gate import Evidence, SpeakerCheck
from earmark.nonce import clean
from earmark.signal import RATE_HZ, Signal
from earmark.speaker.decision import LEAST_COHORT
from earmark.speaker.people import Person as Enrolled
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.nonce.setup import NOW_S
from earmark_host.bench.nonce.setup import Setup as NonceSetup
from earmark_host.bench.nonce.take import (
    REACTION_S,
    Scene,
    draw_hardware,
    perform,
    whole_nonce_s,
)
from earmark_host.bench.speaker import closed
from earmark_host.bench.speaker.cast import Person
from earmark_host.bench.speaker.ears import Ear, Heard, place
from earmark_host.bench.speaker.setup import DEVICE, Setup
from earmark_host.bench.speech import spoken
from earmark_host.bench.stage import SPEECH_DBSPL_1M, Environment
from earmark_host.speaker.clips import Clip, load

DISTANCES_M = (0.5, 1.0, 2.0, 3.0)
"""Of the person from the microphone, m."""

LONGEST_S = 6.0
"""Longest command, s: twice the average interaction of AEOLUS, section 3.2."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    people, tests, enrolled : as in :class:`earmark_host.bench.speaker.closed.Plan`.
    commands : at each of `distances_m`, one of everybody before another of anybody.
    rooms : to choose from.
    """

    people: int | None
    tests: int
    enrolled: int
    commands: int
    rooms: int
    distances_m: tuple[float, ...] = DISTANCES_M

    @property
    def closed(self) -> closed.Plan:
        """The same people and clips as where they are named dry."""
        return closed.Plan(self.people, self.tests, self.enrolled, (), 0, 0, 0, 0, 0, 0)


FULL = Plan(people=None, tests=6, enrolled=12, commands=209, rooms=24)
QUICK = Plan(people=30, tests=2, enrolled=4, commands=6, rooms=2, distances_m=(2.0,))


@dataclass(frozen=True)
class Command:
    """Test clip number `index`, said from a distance."""

    plan: Plan
    distance_m: float
    index: int


@dataclass(frozen=True)
class Seen:
    """What was made of a command.

    Parameters
    ----------
    named : whether the person was named rightly: by the dry clip, by the command in the room
        without any nonce, and by what was forwarded.
    likeness : of the embedding of the last two to that of the dry clip, cosine.
    """

    person: str
    distance_m: float
    named: tuple[bool, bool, bool]
    likeness: tuple[float, float]


Result: TypeAlias = Seen | None


def pieces(plan: Plan) -> list[Command]:
    """Every command at every distance."""
    return [
        Command(plan, distance, index)
        for index in range(plan.commands)
        for distance in plan.distances_m
    ]


def wanted(setup: Setup, plan: Plan) -> Iterator[tuple[str, list[Clip]]]:
    """What has to be heard before: voiceprints, where people are named by them."""
    for cast, way in closed.rows(setup, plan.closed)[:1]:
        if way == "voiceprint":
            people = closed.casts(setup, plan.closed)[cast]
            yield DEVICE, [clip for person in people for clip in person.enrol]


def hold(setup: Setup, piece: Command) -> Result:
    """Give the command."""
    some = closed.takes(setup, piece.plan.closed)
    if piece.index >= len(some):
        return None
    person, clip = some[piece.index]
    names = closed.naming(setup, piece.plan.closed, DEVICE)
    said = spoken(load(clip), LONGEST_S)
    whole = Evidence(said, said, (0.0, said.size / RATE_HZ))
    check = Listening(setup.ear(DEVICE), setup)
    heard = [check.hear(each) for each in (whole, *_given(setup, piece, person, said))]
    right = [place(each, names.voiceprints) == names.labels[person.name] for each in heard]
    dry, *others = (each.embedding for each in heard)
    return Seen(
        person.name,
        piece.distance_m,
        (right[0], right[1], right[2]),
        (float(dry @ others[0]), float(dry @ others[1])),
    )


def _given(setup: Setup, piece: Command, person: Person, said: Signal) -> tuple[Evidence, Evidence]:
    """The evidence of the command without nonce, and with the nonce taken out."""
    nonces = NonceSetup(setup.data, setup.rooms, setup.seed, setup.config)
    rng = setup.rng(f"room {piece.distance_m:g}", piece.index)
    source = f"person_{piece.distance_m:g}m"
    scene = Scene(
        room=nonces.room(rng, source),
        said=said,
        source=source,
        level_dbspl_1m=SPEECH_DBSPL_1M,
        begin_s=float(rng.uniform(*REACTION_S)),
        environment=Environment.QUIET,
        person=person.name,
        hardware=draw_hardware(rng),
        nonce_dbspl_1m=setup.config.nonce.level_dbspl_1m,
        seed=int(rng.integers(2**31)),
    )
    carrier = nonces.source().draw(rng.bytes, NOW_S)
    least_s = whole_nonce_s(carrier, scene.hardware)
    # In a quiet room nothing of the corpus sounds.
    nothing = Corpus(setup.data, (), "")
    muted = perform(
        scene, carrier, nothing, setup.config.audio, muted=True, least_s=least_s
    ).recording
    take = perform(scene, carrier, nothing, setup.config.audio, least_s=least_s)
    report = carrier.verify(take.recording, take.played_at_s, take.slots)
    cleaned = clean(
        take.recording, take.played, take.played_at_s, report, carrier, setup.config.nonce
    )
    return (
        Evidence(muted, muted, take.speech),
        Evidence(take.recording, cleaned.signal, take.speech, nonce=report),
    )


class Listening:
    """The device's check on the voice, asked what it heard instead of what it makes of it."""

    def __init__(self, ear: Ear, setup: Setup) -> None:
        self._ear = ear
        self._heard: Heard | None = None
        size = ear.hear(np.full(RATE_HZ, 0.1, np.float32)).embedding.size
        self.cohort: NDArray[np.float32] = np.eye(LEAST_COHORT, size, dtype=np.float32)
        if size < LEAST_COHORT:
            self.cohort = np.resize(np.eye(size, dtype=np.float32), (LEAST_COHORT, size))
        somebody = (Enrolled("00000000", "somebody", 0.0, 0.0, self.id, self.cohort[:1]),)
        self._check = SpeakerCheck(
            self, lambda: somebody, setup.config.speaker.model_copy(update={"least_speech_s": 0.2})
        )

    id = "listening"
    decision: Mapping[str, Any] = {}

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        """What the check asks of a model."""
        self._heard = self._ear.hear(signal)
        return self._heard.embedding

    def hear(self, evidence: Evidence) -> Heard:
        """What the device makes of the voice in a command."""
        self._heard = None
        self._check.examine(evidence)
        if self._heard is None:
            raise ValueError("a command of so little speech that the device does not look at it")
        return self._heard
