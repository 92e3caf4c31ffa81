"""The sessions of ``bench nonce``: with their nonce, without it, and replayed a day later.

Each is judged by the device's own judge, with the checks on the nonce alone. A trial draws from
a generator made of the run's seed, the name of its cell and its number in it, so that it is the
same whatever else is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

import numpy as np

from earmark.audio import loudspeaker_dbfs, loudspeaker_rms
from earmark.audio.room_model import LOUDSPEAKER, SOUND_M_S
from earmark.gate import Decision, Outcome
from earmark.judging import Judgement
from earmark.nonce import Carrier, Issue, NoncePlayer
from earmark.signal import BLOCK, RATE_HZ, Signal, active_level_dbfs, gain
from earmark_host.bench.corpus import draw
from earmark_host.bench.nonce.remembered import (
    EARLIER,
    earlier,
    foreign_memory,
    found_with,
    issued,
    judge,
    memory,
)
from earmark_host.bench.nonce.setup import LONGEST_S, NOW_S, Setup
from earmark_host.bench.nonce.take import (
    REACTION_S,
    Scene,
    Take,
    draw_hardware,
    draw_recorders,
    perform,
    whole_nonce_s,
)
from earmark_host.bench.room_pool import Room
from earmark_host.bench.speech import spoken
from earmark_host.bench.stage import Environment, Hardware
from earmark_host.bench.trials import ATTACK_DBSPL_1M, JAM_DBSPL_1M, RECORDERS, TRIM_S

NEEDS = ("noise", "command")
"""Roles of the corpus without which these sessions cannot be held."""

DISTANCES_M = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Where people stand, m from the microphone."""

LEVELS_DBSPL_1M = (50.0, 40.0)
"""Loudness of the nonces that are replayed, for the headline figures, dB SPL at 1 m."""

FAINT_DBSPL_1M = (35.0, 30.0)
"""Lower ones, which show where recognition ends."""

DISTURBED_DBSPL_1M = 40.0
"""Loudness at which replays are held beside noise and a television, too."""

REPLAY_AFTER_S = 86_400.0
"""A recording is replayed a day later, s."""

NEAR_M = (0.5, 1.0, 2.0)
"""Where people stand in sessions without the nonce, m: nobody else could refuse them."""


class Missing(Enum):
    """What sounds in the place of this session's nonce."""

    SILENCE = "silence"
    """Nothing: the loudspeaker is dead."""
    JAMMED = "jammed"
    """Noise or music."""
    OTHER_HOUSEHOLD = "other_household"
    """A nonce of another household, begun at the same time."""
    OLDER = "older"
    """A nonce of an earlier session of this device, made of the same codes."""


@dataclass(frozen=True)
class Live:
    """A live session to hold. Every second one is on a device with two clocks.

    `foreign` is how often its recording is searched with a foreign key as well.
    """

    environment: Environment
    distance_m: float
    index: int
    foreign: int = 1


@dataclass(frozen=True)
class Without:
    """A session without its own nonce to hold. Every second one is on a device with two clocks."""

    missing: Missing
    index: int


@dataclass(frozen=True)
class Victim:
    """A session to be recorded at all recorders, and its recordings to be replayed.

    Parameters
    ----------
    level_dbspl_1m : of both nonces, the recorded and the current one.
    word : a single word is said, not a sentence.
    environments : beside what each recording is replayed.
    ledgers : how many other nonces the ledger holds; with the first, everything is judged.
    """

    level_dbspl_1m: float
    word: bool
    index: int
    environments: tuple[Environment, ...] = (Environment.QUIET,)
    ledgers: tuple[int, ...] = (EARLIER,)


Piece: TypeAlias = Live | Without | Victim


@dataclass(frozen=True)
class Plan:
    """How many sessions of which kind.

    Parameters
    ----------
    name : goes into the report.
    live : live sessions for each environment and distance.
    foreign : searches of each live recording with the key of a household of its own.
    without : sessions of each kind without their nonce.
    victims : sentences recorded at each of the `levels_dbspl_1m`; each gives three replays.
    words : single words recorded at each of them.
    faint : sentences recorded at each of the `faint_dbspl_1m`.
    disturbed : of the sentences at `DISTURBED_DBSPL_1M`, so many are replayed beside noise and
        beside a television as well.
    counted : so many are judged with each size of the ledger.
    ledgers : these sizes: nonces issued beside the victim's.
    """

    name: str
    live: int
    foreign: int
    without: int
    victims: int
    words: int
    faint: int
    disturbed: int
    counted: int
    ledgers: tuple[int, ...]
    environments: tuple[Environment, ...] = tuple(Environment)
    distances_m: tuple[float, ...] = DISTANCES_M
    levels_dbspl_1m: tuple[float, ...] = LEVELS_DBSPL_1M
    faint_dbspl_1m: tuple[float, ...] = FAINT_DBSPL_1M


FULL = Plan(
    "full",
    live=60,
    foreign=2,
    without=500,
    victims=300,
    words=100,
    faint=60,
    disturbed=60,
    counted=14,
    ledgers=(10, 1000, 100_000),
)
"""900 live sessions, 2,000 without their nonce, 920 recorded ones and 3,120 replays."""

QUICK = Plan(
    "quick",
    live=2,
    foreign=1,
    without=5,
    victims=6,
    words=1,
    faint=1,
    disturbed=1,
    counted=1,
    ledgers=(10, 1000, 10_000),
)
"""30 live sessions, 20 without their nonce, 16 recorded ones and 54 replays."""


def pieces(plan: Plan) -> list[Piece]:
    """Every session to hold; those that take longest first."""
    asked: list[Piece] = []
    for level in plan.levels_dbspl_1m:
        for index in range(plan.victims):
            asked.append(_victim(plan, level, index))
    asked += [
        Victim(level, False, index) for level in plan.faint_dbspl_1m for index in range(plan.faint)
    ]
    asked += [
        Victim(level, True, index) for level in plan.levels_dbspl_1m for index in range(plan.words)
    ]
    asked += [
        Live(environment, distance, index, plan.foreign)
        for environment in plan.environments
        for distance in plan.distances_m
        for index in range(plan.live)
    ]
    asked += [Without(missing, index) for missing in Missing for index in range(plan.without)]
    return asked


def _victim(plan: Plan, level: float, index: int) -> Victim:
    if level != DISTURBED_DBSPL_1M:
        return Victim(level, False, index)
    return Victim(
        level,
        False,
        index,
        tuple(Environment) if index < plan.disturbed else (Environment.QUIET,),
        (EARLIER, *(each for each in plan.ledgers if each != EARLIER))
        if index < plan.counted
        else (EARLIER,),
    )


# -- what is kept of them -------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What is kept of a judged session.

    Parameters
    ----------
    allowed, reason : the verdict of the checks on the nonce.
    nonce_passed : this session's nonce was found, whole and current.
    found, undetermined : see :class:`earmark.nonce.StaleReport`.
    evidence : decimal logarithm of how little chance explains the best fit of an old nonce.
    self_noise_db : by how much the rest of the current nonce raises the noise.
    suppression_db : how far the current nonce fell.
    cpu_s : CPU time of the decision.
    """

    allowed: bool
    reason: str
    nonce_passed: bool
    found: bool
    undetermined: bool
    evidence: float
    self_noise_db: float
    suppression_db: float
    cpu_s: float


@dataclass(frozen=True)
class LiveResult:
    """A live session held.

    Parameters
    ----------
    own_clocks : loudspeaker and microphone differed.
    clip : what was said, by its path in the corpus.
    command_s : how long.
    foreign_finds : searches with a foreign key that found something.
    foreign : how many there were.
    """

    asked: Live
    own_clocks: bool
    clip: str
    role: str
    command_s: float
    judged: Judged
    foreign_finds: int
    foreign: int


@dataclass(frozen=True)
class WithoutResult:
    """A session without its nonce held."""

    asked: Without
    own_clocks: bool
    judged: Judged


@dataclass(frozen=True)
class Counted:
    """A replay judged with another number of nonces in the ledger."""

    issued: int
    found: bool
    session_named: bool
    cpu_s: float


@dataclass(frozen=True)
class Replay:
    """A replay held.

    Parameters
    ----------
    asked : what it is a recording of.
    recorder : where it was recorded.
    environment : what else sounded when it was replayed.
    enclosure : what played it.
    own_clocks : of the device, at the replay.
    old_nonce_s : how much of the old nonce is in the recording, s.
    session_named : the right session was named.
    time_error_s : how far the named time of recording is from the true one, s; None where no
        time was named.
    counted : the same with each size of the ledger.
    """

    asked: Victim
    recorder: str
    environment: Environment
    enclosure: str
    own_clocks: bool
    old_nonce_s: float
    judged: Judged
    session_named: bool
    time_error_s: float | None
    counted: tuple[Counted, ...]


@dataclass(frozen=True)
class VictimResult:
    """A session that was recorded, and its replays."""

    asked: Victim
    judged: Judged
    replays: tuple[Replay, ...]


Result: TypeAlias = LiveResult | WithoutResult | VictimResult


def hold(setup: Setup, piece: Piece) -> Result:
    """Hold a session and, where it is a victim, its replays."""
    if isinstance(piece, Live):
        return hold_live(setup, piece)
    if isinstance(piece, Without):
        return hold_without(setup, piece)
    return hold_victim(setup, piece)


# -- the kinds of sessions ------------------------------------------------------------------


def hold_live(setup: Setup, live: Live) -> LiveResult:
    """Somebody says a word or a sentence while the nonce plays."""
    rng = setup.rng(f"current {live.environment.value} {live.distance_m:g}", live.index)
    source = f"person_{live.distance_m:g}m"
    room = setup.room(rng, source)
    person, clip, said = setup.command(rng)
    hardware = draw_hardware(rng, own_clocks=live.index % 2 == 1)
    scene = _scene(setup, room, said, source, live.environment, person, hardware, rng)
    take, session = _held(setup, scene, rng)
    judgement = _judge(setup, take, session, earlier(setup))
    finds = [
        found_with(foreign_memory(setup, rng), judgement, setup.config) for _ in range(live.foreign)
    ]
    return LiveResult(
        asked=live,
        own_clocks=hardware.drift_ppm != 0.0,
        clip=clip.path,
        role=clip.role,
        command_s=said.size / RATE_HZ,
        judged=_seen(judgement),
        foreign_finds=sum(finds),
        foreign=len(finds),
    )


def hold_without(setup: Setup, asked: Without) -> WithoutResult:
    """Somebody gives a command while something else than this session's nonce sounds."""
    rng = setup.rng(f"without {asked.missing.value}", asked.index)
    environment = (Environment.QUIET, Environment.KITCHEN)[asked.index // 2 % 2]
    source = f"person_{NEAR_M[int(rng.integers(len(NEAR_M)))]:g}m"
    room = setup.room(rng, source)
    person, _, said = setup.command(rng)
    hardware = draw_hardware(rng, own_clocks=asked.index % 2 == 1)
    scene = _scene(setup, room, said, source, environment, person, hardware, rng)
    issues = earlier(setup)
    if asked.missing is Missing.SILENCE:
        take, session = _held(setup, scene, rng, muted=True)
    elif asked.missing is Missing.JAMMED:
        take, session = _held(setup, scene, rng, altered=_jam(setup, rng))
    elif asked.missing is Missing.OTHER_HOUSEHOLD:
        other = setup.source("another").draw(rng.bytes, NOW_S)
        take, session = _held(setup, scene, rng, altered=_instead(setup, other))
    else:
        older = setup.source().draw(rng.bytes, NOW_S)
        issues = (issued(older, rng.bytes(16).hex(), NOW_S - REPLAY_AFTER_S), *issues)
        take, session = _held(setup, scene, rng, altered=_instead(setup, older))
    return WithoutResult(
        asked, hardware.drift_ppm != 0.0, _seen(_judge(setup, take, session, issues))
    )


def hold_victim(setup: Setup, victim: Victim) -> VictimResult:
    """A session is recorded at three places, and each recording is played to the device."""
    cell = f"victim {'word' if victim.word else 'sentence'} {victim.level_dbspl_1m:g}"
    rng = setup.rng(cell, victim.index)
    room = setup.room(rng)
    person, said = _word(setup, rng) if victim.word else _sentence(setup, rng)
    scene = replace(
        _scene(setup, room, said, "person_1m", Environment.QUIET, person, draw_hardware(rng), rng),
        nonce_dbspl_1m=victim.level_dbspl_1m,
        recorders=draw_recorders(RECORDERS, rng),
    )
    take, session = _held(setup, scene, rng)
    judgement = _judge(setup, take, session, earlier(setup))
    own = issued(take.carrier, session, NOW_S, take.slots)
    replays = []
    for recorder in RECORDERS:
        cut = _cut(take, scene, recorder, setup.rng(f"{cell} {recorder}", victim.index))
        for environment in victim.environments:
            again = setup.rng(f"{cell} {recorder} {environment.value}", victim.index)
            replays.append(_replay(setup, victim, scene, own, recorder, cut, environment, again))
    return VictimResult(victim, _seen(judgement), tuple(replays))


@dataclass(frozen=True, eq=False)
class _Cut:
    """What an attacker keeps of a recording.

    Parameters
    ----------
    signal : from a little before the speech or a little into it, to a little after its end.
    nonce_s : how much of the old nonce is in it, s.
    recorded_at : the device's wall clock when the first sound of the nonce in it was played.
    """

    signal: Signal
    nonce_s: float
    recorded_at: float


def _cut(take: Take, scene: Scene, recorder: str, rng: np.random.Generator) -> _Cut:
    model = scene.room.open()
    flight_s = model.distance_m(scene.source, recorder) / SOUND_M_S
    begin_s, end_s = take.speech[0] + flight_s, take.speech[1] + flight_s
    # A word of 0.2 s is not cut away altogether.
    first_s = min(begin_s + rng.uniform(-TRIM_S, TRIM_S), (begin_s + end_s) / 2.0)
    first_s, last_s = max(0.0, first_s), end_s + rng.uniform(0.0, TRIM_S)
    way_s = scene.hardware.latency_s + model.distance_m(LOUDSPEAKER, recorder) / SOUND_M_S
    nonce_s = take.played_at_s + way_s
    return _Cut(
        take.recorded[recorder][round(first_s * RATE_HZ) : round(last_s * RATE_HZ)],
        max(0.0, last_s - max(first_s, nonce_s)),
        NOW_S + max(0.0, first_s - nonce_s),
    )


def _replay(
    setup: Setup,
    victim: Victim,
    then: Scene,
    own: Issue,
    recorder: str,
    cut: _Cut,
    environment: Environment,
    rng: np.random.Generator,
) -> Replay:
    """Play a recording to the same device in the same room, a day later."""
    hardware = draw_hardware(rng)
    enclosure = "speaker" if rng.random() < 0.5 else "phone"
    scene = replace(
        _scene(setup, then.room, cut.signal, "attacker", environment, then.person, hardware, rng),
        level_dbspl_1m=float(rng.uniform(*ATTACK_DBSPL_1M)),
        nonce_dbspl_1m=victim.level_dbspl_1m,
        enclosure=enclosure,
    )
    take, session = _held(setup, scene, rng)
    now = NOW_S + REPLAY_AFTER_S
    by_count = {
        count: _judge(setup, take, session, (own, *earlier(setup, count)), now)
        for count in victim.ledgers
    }
    judgement = by_count[victim.ledgers[0]]
    stale = judgement.evidence.stale
    assert stale is not None  # the judge always searches
    return Replay(
        asked=victim,
        recorder=recorder,
        environment=environment,
        enclosure=enclosure,
        own_clocks=hardware.drift_ppm != 0.0,
        old_nonce_s=cut.nonce_s,
        judged=_seen(judgement),
        session_named=_named(judgement) == own.session,
        time_error_s=None if stale.recorded_at is None else stale.recorded_at - cut.recorded_at,
        counted=tuple(
            Counted(count, _seen(each).found, _named(each) == own.session, each.cpu_s)
            for count, each in sorted(by_count.items())
        )
        if len(by_count) > 1
        else (),
    )


# -- what they have in common ---------------------------------------------------------------


def _scene(
    setup: Setup,
    room: Room,
    said: Signal,
    source: str,
    environment: Environment,
    person: str,
    hardware: Hardware,
    rng: np.random.Generator,
) -> Scene:
    return Scene(
        room=room,
        said=said,
        source=source,
        level_dbspl_1m=environment.speech_dbspl_1m,
        begin_s=float(rng.uniform(*REACTION_S)),
        environment=environment,
        person=person,
        hardware=hardware,
        nonce_dbspl_1m=setup.config.nonce.level_dbspl_1m,
        seed=int(rng.integers(2**31)),
    )


def _held(
    setup: Setup,
    scene: Scene,
    rng: np.random.Generator,
    *,
    muted: bool = False,
    altered: Callable[[Signal], Signal] | None = None,
) -> tuple[Take, str]:
    """A session with a fresh nonce, as long as the device would listen; and its identifier."""
    carrier = setup.source().draw(rng.bytes, NOW_S)
    take = perform(
        scene,
        carrier,
        setup.corpus,
        setup.config.audio,
        muted=muted,
        altered=altered,
        least_s=whole_nonce_s(carrier, scene.hardware),
    )
    return take, rng.bytes(16).hex()


def _judge(
    setup: Setup, take: Take, session: str, issues: tuple[Issue, ...], now: float = NOW_S
) -> Judgement:
    """The device's verdict, with these earlier nonces in its ledger."""
    # The device enters the current one, too, before it plays it.
    all_issues = (issued(take.carrier, session, now), *issues)
    remembered = memory(setup, all_issues, now)
    return judge(setup.config, remembered).judge(take.judged(session, now))


def _seen(judgement: Judgement) -> Judged:
    stale, findings = judgement.evidence.stale, judgement.verdict.findings
    assert stale is not None  # the judge always searches
    passed = {each.check: each.outcome is Outcome.PASSED for each in findings}
    return Judged(
        allowed=judgement.verdict.decision is Decision.ALLOW,
        reason=judgement.verdict.reason.value,
        nonce_passed=passed["nonce"],
        found=stale.found,
        undetermined=stale.undetermined,
        evidence=stale.score,
        self_noise_db=stale.self_noise_db,
        suppression_db=judgement.evidence.suppression_db,
        cpu_s=judgement.cpu_s,
    )


def _named(judgement: Judgement) -> str | None:
    stale = judgement.evidence.stale
    return None if stale is None else stale.session


def _sentence(setup: Setup, rng: np.random.Generator) -> tuple[str, Signal]:
    person, _, said = setup.sentence(rng)
    return person, said


def _word(setup: Setup, rng: np.random.Generator) -> tuple[str, Signal]:
    """A single word, and who says it."""
    clip = draw(setup.corpus.role("command"), rng)
    return clip.speaker, spoken(setup.corpus.load(clip), LONGEST_S)


def _jam(setup: Setup, rng: np.random.Generator) -> Callable[[Signal], Signal]:
    """Noise or music in the place of what the device wants to play."""
    if rng.random() < 0.5 or not setup.corpus.has("music"):
        sound = rng.standard_normal(4 * RATE_HZ).astype(np.float32)
    else:
        sound = setup.corpus.load(draw(setup.corpus.role("music"), rng))
    level = loudspeaker_dbfs(float(rng.uniform(*JAM_DBSPL_1M)), setup.config.audio)
    sound = np.clip(sound * np.float32(gain(level - active_level_dbfs(sound))), -1.0, 1.0)
    at = int(rng.integers(sound.size))

    def altered(_: Signal) -> Signal:
        nonlocal at
        block = sound[np.arange(at, at + BLOCK) % sound.size]
        at += BLOCK
        return np.asarray(block, np.float32)

    return altered


def _instead(setup: Setup, carrier: Carrier) -> Callable[[Signal], Signal]:
    """Another nonce, at the loudness of the device's own."""
    level = setup.config.nonce.level_dbspl_1m
    player = NoncePlayer(carrier, loudspeaker_rms(level, setup.config.audio))
    return lambda _: player.block()
