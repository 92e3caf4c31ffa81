"""Old nonces taken out of a recording before it is replayed: what it takes, what it costs.

A victim says a sentence at 1 m while the nonce plays; an attacker records it, treats the recording
with each attack, and replays every result to the same device in the same room a day later. The
same session with the loudspeaker muted gives the recording as it would be without the nonce, which
nobody has: the attacker's success is judged by it.

The attackers are strong on purpose. They have a second recorder near the device on the same clock,
and were in the room before: they know what both recorders hear of a nonce when nobody speaks.
Those that learn the codes are given the slots' times as well
(:mod:`earmark_host.nonce.attacks.learned`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from earmark.audio.room_model import LEAD, LOUDSPEAKER, SOUND_M_S
from earmark.gate import Decision
from earmark.judging import Judgement
from earmark.nonce import SpreadCarrier
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.nonce.remembered import issued, judge, memory
from earmark_host.bench.nonce.setup import NOW_S, Setup
from earmark_host.bench.nonce.take import (
    PRE_ROLL_S,
    REACTION_S,
    RECORDER_CLOCK_PPM,
    Scene,
    Take,
    draw_hardware,
    perform,
    whole_nonce_s,
)
from earmark_host.bench.stage import SPEECH_DBSPL_1M, Environment
from earmark_host.bench.trials import ATTACK_DBSPL_1M, TRIM_S
from earmark_host.nonce.attacks import ATTACKS, Attack, Loot
from earmark_host.nonce.attacks.learned import SLOT, LearnedCodes, Overheard, Times
from earmark_host.nonce.attacks.loot import Base
from earmark_host.nonce.quality import stoi

NEEDS = ("speech",)
"""Roles of the corpus without which this cannot be run."""

NEAR = "r3"
"""The attacker's second recorder: 0.27 m from the device."""

REPLAY_AFTER_S = 86_400.0
"""A recording is replayed a day later, s."""

ALONE_S = 3.0
"""Length of the stretch of nonce without speech that the attacker has, s; the average
interaction of AEOLUS (section 3.2)."""

SILENT_DBSPL_1M = -80.0
"""How loud nobody speaks, dB SPL at 1 m: a session needs something that is said."""

CONTROL = "control"
"""Name of what is no attack: the recording as it would be without any nonce."""


@dataclass(frozen=True)
class Victim:
    """A sentence to be recorded, attacked and replayed.

    Parameters
    ----------
    recorder : where the recording is made.
    index : which sentence; the same one whatever the recorder.
    silent, in_use : numbers of sessions from which the codes are learnt: sessions in which
        nobody speaks, and ordinary ones. Empty: nobody learns.
    """

    recorder: str
    index: int
    silent: tuple[int, ...] = ()
    in_use: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How many victims.

    Parameters
    ----------
    name : goes into the report.
    victims : for each recorder.
    learners : of those of the first recorder, the codes are learnt for so many.
    silent, in_use : see :class:`Victim`.
    """

    name: str
    victims: tuple[tuple[str, int], ...]
    learners: int
    silent: tuple[int, ...]
    in_use: tuple[int, ...]


FULL = Plan("full", (("r1", 30), ("r2", 12)), 8, (1, 3, 10, 30), (3, 10, 30))
"""42 victims, each with some 32 replays; 7 more for each of 8."""

QUICK = Plan("quick", (("r1", 2),), 1, (1, 10), ())
"""2 victims, 66 replays."""


def pieces(plan: Plan) -> list[Victim]:
    """Every victim; those that take longest first."""
    first = plan.victims[0][0]
    return [
        Victim(recorder, index, plan.silent, plan.in_use)
        if recorder == first and index < plan.learners
        else Victim(recorder, index)
        for recorder, count in plan.victims
        for index in range(count)
    ]


@dataclass(frozen=True)
class Replay:
    """What became of one attacked recording.

    Parameters
    ----------
    attack, about : which attack, and what it does.
    found, undetermined : see :class:`earmark.nonce.StaleReport`.
    allowed, reason : the verdict of the checks on the nonce.
    evidence : decimal logarithm of how little chance explains the best fit of an old nonce.
    stoi : of the attacked recording against the one without the nonce; None where there is too
        little speech.
    """

    attack: str
    about: str
    found: bool
    undetermined: bool
    allowed: bool
    reason: str
    evidence: float
    stoi: float | None


@dataclass(frozen=True)
class Attacked:
    """A victim and the replays of its recording."""

    asked: Victim
    replays: tuple[Replay, ...]


def hold(setup: Setup, piece: Victim) -> Attacked:
    """Hold the victim's session, attack its recording, replay the results."""
    scene = _scene(setup, piece)
    rng = setup.rng(f"removal attacker {piece.recorder}", piece.index)
    carrier = setup.source().draw(rng.bytes, NOW_S)
    least_s = whole_nonce_s(carrier, scene.hardware)

    def held(muted: bool) -> Take:
        return perform(
            scene, carrier, setup.corpus, setup.config.audio, muted=muted, least_s=least_s
        )

    take, muted = held(False), held(True)
    attacks = [_Control(), *ATTACKS.values()]
    alone = _alone(setup, scene, rng)
    first_s, last_s = _cut_s(take, scene, piece.recorder, rng)
    loot = _loot(take, muted, alone, scene, piece.recorder, first_s, last_s)
    if isinstance(carrier, SpreadCarrier):
        times = slot_starts(scene, piece.recorder, take.slots) - round(first_s * RATE_HZ)
        attacks += _learners(setup, piece, scene, alone, times, rng)
    replays = []
    for attack in attacks:
        processed = attack.apply(loot, np.random.default_rng(int(rng.integers(2**63))))
        judgement = _replayed(setup, piece, scene, take, processed)
        stale = judgement.evidence.stale
        assert stale is not None  # the judge always searches
        replays.append(
            Replay(
                attack=attack.name,
                about=attack.about,
                found=stale.found,
                undetermined=stale.undetermined,
                allowed=judgement.verdict.decision is Decision.ALLOW,
                reason=judgement.verdict.reason.value,
                evidence=stale.score,
                stoi=_stoi(loot.clean, attack.restore(processed, loot)),
            )
        )
    return Attacked(piece, tuple(replays))


# -- the victim -----------------------------------------------------------------------------


def _scene(setup: Setup, piece: Victim) -> Scene:
    rng = setup.rng("removal victim", piece.index)
    person, _, said = setup.sentence(rng)
    clock_ppm = float(rng.uniform(-RECORDER_CLOCK_PPM, RECORDER_CLOCK_PPM))
    return Scene(
        room=setup.room(rng, "person_1m"),
        said=said,
        source="person_1m",
        level_dbspl_1m=SPEECH_DBSPL_1M,
        begin_s=float(rng.uniform(*REACTION_S)),
        environment=Environment.QUIET,
        person=person,
        hardware=draw_hardware(rng),
        nonce_dbspl_1m=setup.config.nonce.level_dbspl_1m,
        seed=int(rng.integers(2**31)),
        recorders=dict.fromkeys((piece.recorder, NEAR), clock_ppm),
    )


def _cut_s(
    take: Take, scene: Scene, recorder: str, rng: np.random.Generator
) -> tuple[float, float]:
    """From where to where the attacker keeps the recording: around the speech, s."""
    flight_s = scene.room.open().distance_m(scene.source, recorder) / SOUND_M_S
    begin_s, end_s = take.speech[0] + flight_s, take.speech[1] + flight_s
    first_s = min(begin_s + rng.uniform(-TRIM_S, TRIM_S), (begin_s + end_s) / 2.0)
    whole_s = take.recorded[recorder].size / RATE_HZ
    return max(0.0, first_s), min(whole_s, end_s + rng.uniform(0.0, TRIM_S))


def _loot(
    take: Take,
    muted: Take,
    alone: tuple[Scene, Take],
    scene: Scene,
    recorder: str,
    first_s: float,
    last_s: float,
) -> Loot:
    recording = _between(take.recorded[recorder], first_s, last_s)
    clean = _between(muted.recorded[recorder], first_s, last_s)
    from_s = _alone_from_s(scene)
    return Loot(
        recording=recording,
        noise_only=_between(alone[1].recorded[recorder], from_s, from_s + ALONE_S),
        reference=_between(take.recorded[NEAR], first_s, last_s),
        clean=clean,
        wet_nonce=recording - clean,
        noise_reference=_between(alone[1].recorded[NEAR], from_s, from_s + ALONE_S),
    )


# -- what the attacker knows from before ----------------------------------------------------


def slot_starts(scene: Scene, recorder: str, slots: int) -> Times:
    """Sample of a recording at which each slot of the nonce begins: nobody tells an attacker."""
    way_s = scene.hardware.latency_s
    way_s += scene.room.open().distance_m(LOUDSPEAKER, recorder) / SOUND_M_S
    played = PRE_ROLL_S * RATE_HZ + SLOT * np.arange(slots)
    heard = played / (1.0 + scene.hardware.drift_ppm * 1e-6) + way_s * RATE_HZ + LEAD
    return np.asarray(heard * (1.0 + scene.recorders[recorder] * 1e-6))


def _alone(setup: Setup, scene: Scene, rng: np.random.Generator) -> tuple[Scene, Take]:
    """An earlier session in the same place in which nobody speaks."""
    nothing = rng.standard_normal(round((ALONE_S + 0.2) * RATE_HZ)).astype(np.float32)
    silent = replace(
        scene,
        said=nothing,
        level_dbspl_1m=SILENT_DBSPL_1M,
        begin_s=0.0,
        seed=int(rng.integers(2**31)),
    )
    return silent, _earlier(setup, silent, rng)


def _in_use(setup: Setup, scene: Scene, rng: np.random.Generator) -> tuple[Scene, Take]:
    """An earlier session in the same place in which somebody gives another command."""
    person, _, said = setup.sentence(rng)
    used = replace(
        scene,
        said=said,
        person=person,
        begin_s=float(rng.uniform(*REACTION_S)),
        seed=int(rng.integers(2**31)),
    )
    return used, _earlier(setup, used, rng)


def _earlier(setup: Setup, scene: Scene, rng: np.random.Generator) -> Take:
    carrier = setup.source().draw(rng.bytes, NOW_S)
    return perform(
        scene,
        carrier,
        setup.corpus,
        setup.config.audio,
        least_s=whole_nonce_s(carrier, scene.hardware),
    )


def _alone_from_s(scene: Scene) -> float:
    """When the nonce has set in at the recorders, s."""
    return PRE_ROLL_S + scene.hardware.latency_s + 0.05


def _learners(
    setup: Setup,
    piece: Victim,
    scene: Scene,
    alone: tuple[Scene, Take],
    times: Times,
    rng: np.random.Generator,
) -> list[Attack]:
    """Attackers who learn the codes from these numbers of sessions near the device."""
    near = replace(scene, recorders={NEAR: scene.recorders[NEAR]})
    noise_times = slot_starts(alone[0], piece.recorder, alone[1].slots)
    noise_times = noise_times - round(_alone_from_s(scene) * RATE_HZ)
    attacks: list[Attack] = []
    # The first silent one is that of which he has a stretch anyway.
    silent = [alone] if piece.silent else []
    silent += [_alone(setup, near, rng) for _ in range(1, max(piece.silent, default=0))]
    for count in piece.silent:
        sessions = [_overheard(*one) for one in silent[:count]]
        name = f"learned_oracle_timing_{count}"
        attacks.append(LearnedCodes(name, sessions, times, noise_times))
    used = [_in_use(setup, near, rng) for _ in range(max(piece.in_use, default=0))]
    for count in piece.in_use:
        sessions = [_overheard(*one) for one in used[:count]]
        attacks.append(LearnedCodes(f"learned_in_use_oracle_timing_{count}", sessions, times))
    return attacks


def _overheard(scene: Scene, take: Take) -> Overheard:
    return Overheard(take.recorded[NEAR], slot_starts(scene, NEAR, take.slots))


# -- the replay -----------------------------------------------------------------------------


def _replayed(setup: Setup, piece: Victim, then: Scene, take: Take, recording: Signal) -> Judgement:
    """Play a recording to the same device in the same room, and have it judged.

    Everything but the recording is the same for all attacks on a victim.
    """
    rng = setup.rng(f"removal replay {piece.recorder}", piece.index)
    now = NOW_S + REPLAY_AFTER_S
    scene = replace(
        then,
        said=recording,
        source="attacker",
        level_dbspl_1m=float(rng.uniform(*ATTACK_DBSPL_1M)),
        begin_s=float(rng.uniform(*REACTION_S)),
        hardware=draw_hardware(rng),
        seed=int(rng.integers(2**31)),
        enclosure="speaker" if rng.random() < 0.5 else "phone",
        recorders={},
    )
    carrier = setup.source().draw(rng.bytes, now)
    again = perform(
        scene,
        carrier,
        setup.corpus,
        setup.config.audio,
        least_s=whole_nonce_s(carrier, scene.hardware),
    )
    session = rng.bytes(16).hex()
    issues = (
        issued(carrier, session, now),
        issued(take.carrier, rng.bytes(16).hex(), NOW_S, take.slots),
    )
    return judge(setup.config, memory(setup, issues, now)).judge(again.judged(session, now))


class _Control(Base):
    """No attack: what would be replayed had there never been a nonce."""

    def __init__(self) -> None:
        super().__init__(CONTROL, "no attack: the recording as it would be without any nonce")

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return loot.clean.copy()


def _stoi(clean: Signal, processed: Signal) -> float | None:
    try:
        return stoi(clean, processed)
    except ValueError:  # a word or less
        return None


def _between(signal: Signal, first_s: float, last_s: float) -> Signal:
    return signal[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)]
