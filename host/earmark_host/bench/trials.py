"""The sessions of ``bench session``, one function a kind; what each draws is its own.

A trial draws from a generator made of the run's seed, the name of its cell and its number in
it. So it is the same whatever else is run, in whatever order and on however many processes.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

import numpy as np

from earmark.audio import SimulatedRoom, loudspeaker_dbfs, loudspeaker_rms
from earmark.audio.room_model import LOUDSPEAKER, MIC, SOUND_M_S
from earmark.config import Config
from earmark.gate import Finding, Outcome
from earmark.nonce import Carrier, FixedKeys, Issue, Ledger, NoncePlayer, Source
from earmark.signal import BLOCK, RATE_HZ, Signal, active_level_dbfs, gain
from earmark_host.bench.corpus import Clip, Corpus, draw
from earmark_host.bench.room_pool import Room, with_position
from earmark_host.bench.speech import spoken
from earmark_host.bench.stage import TRIGGER_S, Ended, Environment, Hardware, hold_session

LONGEST_COMMAND_S = 6.0
"""Longest command, s: twice the average interaction of AEOLUS, section 3.2."""

REACTION_S = (0.0, 0.5)
"""From the press of the button to the first sound of the command, s."""

REMEMBERED = 1000
"""Nonces of earlier sessions in the ledger: as many as it keeps by default."""

REMEMBERED_S = (2.0, 8.0)
"""How long each was played, s."""

CLOCK_S = 1_700_000_000.0
"""The device's wall clock in every session (UTC, s); a replay follows a day later."""

RECORDERS = ("r1", "r2", "r3")
"""Where an attacker's recorder stands, see earmark_host.rooms."""

RECORDER_CLOCK_PPM = 50.0
"""Largest error of a recorder's clock: a consumer crystal, ppm."""

ATTACK_DBSPL_1M = (60.0, 66.0)
"""Loudness of a replay at 1 m, dB SPL: that of speech, and twice that pressure."""

TRIM_S = 0.3
"""How far an attacker's cuts are from the speech's ends, s."""

JAM_DBSPL_1M = (50.0, 70.0)
"""Loudness of what a jammed loudspeaker plays instead of the nonce, dB SPL at 1 m."""


class NoNonce(Enum):
    """Why this session's nonce does not sound."""

    SILENCE = "silence"
    """The loudspeaker is dead."""
    JAMMED = "jammed"
    """It plays noise or music instead."""
    OTHER_DEVICE = "other_device"
    """It plays a nonce, of another device."""


@dataclass(frozen=True)
class Setup:
    """What all trials share.

    Parameters
    ----------
    data : folder of the corpus.
    scratch : folder for the ledgers; deleted after the run.
    ledger : a ledger with the remembered nonces, copied for each session.
    rooms : to choose from.
    seed : of the run.
    config : the device's settings.
    """

    data: Path
    scratch: Path
    ledger: Path
    rooms: tuple[Room, ...]
    seed: int
    config: Config

    def rng(self, cell: str, index: int) -> np.random.Generator:
        """The generator of one trial."""
        return np.random.default_rng([self.seed, *cell.encode(), index])

    def keys(self, household: str = "own") -> FixedKeys:
        """The keys of a household: the device's own, or another one's."""
        keys = self.config.keys
        return FixedKeys(
            self.rng(f"secret of {household}", 0).bytes(32), keys.epoch_days, keys.epochs_kept
        )

    def at_nonce_level(self, level_dbspl_1m: float) -> Config:
        """The device's settings with another loudness of the nonce."""
        nonce = self.config.nonce.model_copy(update={"level_dbspl_1m": level_dbspl_1m})
        return self.config.model_copy(update={"nonce": nonce})


@dataclass(frozen=True)
class Seen:
    """What is kept of a session that was judged.

    Parameters
    ----------
    slots, slot_errors : of the nonce, before repetitions are combined.
    bits, bit_errors : after.
    nonce_passed, stale_passed : the two checks.
    named : the session that the stale check named.
    suppression_db : how far the nonce fell in the cleaned recording.
    cpu_s : CPU time of the decision.
    early_s : how long before the true end of the speech the endpointer saw its last speech;
        None where that is not known.
    """

    slots: int
    slot_errors: int
    bits: int
    bit_errors: int
    nonce_passed: bool
    stale_passed: bool
    named: str | None
    suppression_db: float
    cpu_s: float
    early_s: float | None


@dataclass(frozen=True)
class Trial:
    """One session and its end.

    Parameters
    ----------
    hardware : of the device.
    accepted, reason : see :class:`~earmark_host.bench.stage.Ended`.
    seen : None when there was no verdict.
    """

    hardware: Hardware
    accepted: bool
    reason: str
    seen: Seen | None


@dataclass(frozen=True)
class Live:
    """A live session to hold: one person, one command."""

    environment: Environment
    distance_m: float
    index: int


@dataclass(frozen=True)
class LiveTrial(Trial):
    """A live session held: which clip was said, and how long the speech in it is."""

    asked: Live
    clip: Clip
    command_s: float


@dataclass(frozen=True)
class Unprotected:
    """A session without its own nonce to hold."""

    kind: NoNonce
    index: int


@dataclass(frozen=True)
class UnprotectedTrial(Trial):
    """A session without its own nonce held."""

    asked: Unprotected


@dataclass(frozen=True)
class Attack:
    """A session to be recorded at all recorders, and its recordings to be replayed."""

    level_dbspl_1m: float
    index: int


@dataclass(frozen=True)
class ReplayTrial(Trial):
    """A replay held.

    Parameters
    ----------
    asked : which session it is a recording of.
    recorder : where it was recorded.
    role : of the clip that was said in it.
    nonce_s : how much of that session's nonce is in the recording, s.
    victim_allowed : whether that session itself was allowed.
    named_rightly : the stale check named that session.
    """

    asked: Attack
    recorder: str
    role: str
    nonce_s: float
    victim_allowed: bool
    named_rightly: bool


# -- the kinds of sessions ------------------------------------------------------------------


def hold_live(setup: Setup, live: Live) -> LiveTrial:
    """Somebody presses the button and gives a command."""
    rng = setup.rng(f"live {live.environment.value} {live.distance_m:g}", live.index)
    corpus = _corpus(setup.data)
    source = f"person_{live.distance_m:g}m"
    room = _pick(with_position(setup.rooms, source), rng)
    hardware = Hardware.draw(rng)
    sim = hardware.open(room.open(), setup.config.audio, rng)
    person = corpus.person(rng)
    live.environment.fill(sim, corpus, person, rng)
    clip, begin_s, end_s = _speak(sim, corpus, person, source, live.environment, rng)
    with _ledger(setup) as path:
        ended = _hold(setup, sim, setup.config, path, rng)
    heard_s = end_s + _flight_s(sim, source)
    return LiveTrial(
        hardware=hardware,
        accepted=ended.accepted,
        reason=ended.reason,
        seen=_seen(ended, heard_s),
        asked=live,
        clip=clip,
        command_s=end_s - begin_s,
    )


def hold_unprotected(setup: Setup, asked: Unprotected) -> UnprotectedTrial:
    """Somebody gives a command while something else than this session's nonce sounds."""
    rng = setup.rng(f"no_nonce {asked.kind.value}", asked.index)
    corpus = _corpus(setup.data)
    # Near and without a television, where the nonce alone stands between command and ALLOW.
    environment = (Environment.QUIET, Environment.KITCHEN)[asked.index % 2]
    source = f"person_{(0.5, 1.0, 2.0)[int(rng.integers(3))]:g}m"
    room = _pick(with_position(setup.rooms, source), rng)
    hardware = Hardware.draw(rng)
    sim = hardware.open(room.open(), setup.config.audio, rng)
    person = corpus.person(rng)
    environment.fill(sim, corpus, person, rng)
    *_, end_s = _speak(sim, corpus, person, source, environment, rng)
    altered = None
    if asked.kind is NoNonce.SILENCE:
        sim.jam_loudspeaker()
    elif asked.kind is NoNonce.JAMMED:
        altered = _jam(setup.config, corpus, rng)
    else:
        altered = _other_nonce(setup, rng)
    with _ledger(setup) as path:
        ended = _hold(setup, sim, setup.config, path, rng, altered=altered)
    seen = _seen(ended, end_s + _flight_s(sim, source))
    return UnprotectedTrial(hardware, ended.accepted, ended.reason, seen, asked)


def hold_attack(setup: Setup, attack: Attack) -> tuple[ReplayTrial, ...]:
    """A session is recorded at three places, and each recording is played to the device."""
    cell = f"replay {attack.level_dbspl_1m:g}"
    rng = setup.rng(cell, attack.index)
    corpus = _corpus(setup.data)
    config = setup.at_nonce_level(attack.level_dbspl_1m)
    room = _pick(setup.rooms, rng)
    hardware = Hardware.draw(rng)
    sim = hardware.open(room.open(), config.audio, rng)
    for recorder in RECORDERS:
        sim.record(recorder, float(rng.uniform(-RECORDER_CLOCK_PPM, RECORDER_CLOCK_PPM)))
    person = corpus.person(rng)
    clip, begin_s, end_s = _speak(sim, corpus, person, "person_1m", Environment.QUIET, rng)
    trials = []
    with _ledger(setup) as path:
        victim = _hold(setup, sim, config, path, rng, until_s=end_s + 2 * TRIM_S)
        with Ledger.open(path, config.ledger) as ledger:
            session = ledger.recent(1)[0].session
        for recorder in RECORDERS:
            again = setup.rng(f"{cell} {recorder}", attack.index)
            flight_s = _flight_s(sim, "person_1m", recorder)
            first_s, last_s = _cut(begin_s + flight_s, end_s + flight_s, again)
            recording = sim.recording(recorder)
            cut = recording[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)]
            ended, hardware_then = _replay(setup, config, room, path, cut, again)
            nonce_begins_s = math.inf
            if victim.nonce_s is not None:
                way_s = hardware.latency_s + _flight_s(sim, LOUDSPEAKER, recorder)
                nonce_begins_s = victim.nonce_s + way_s
            seen = _seen(ended, None)
            trials.append(
                ReplayTrial(
                    hardware=hardware_then,
                    accepted=ended.accepted,
                    reason=ended.reason,
                    seen=seen,
                    asked=attack,
                    recorder=recorder,
                    role=clip.role,
                    nonce_s=max(0.0, last_s - max(first_s, nonce_begins_s)),
                    victim_allowed=victim.accepted,
                    named_rightly=seen is not None and seen.named == session,
                )
            )
    return tuple(trials)


def _replay(
    setup: Setup,
    config: Config,
    room: Room,
    ledger: Path,
    recording: Signal,
    rng: np.random.Generator,
) -> tuple[Ended, Hardware]:
    """Play a recording to the same device in the same room, a day later."""
    hardware = Hardware.draw(rng)
    sim = hardware.open(room.open(), config.audio, rng)
    sim.play_at(
        "attacker",
        recording,
        TRIGGER_S + rng.uniform(*REACTION_S),
        float(rng.uniform(*ATTACK_DBSPL_1M)),
        "speaker" if rng.random() < 0.5 else "phone",
    )
    with _copy(ledger, setup.scratch) as path:
        return _hold(setup, sim, config, path, rng, wall_s=CLOCK_S + 86_400.0), hardware


# -- what they have in common ---------------------------------------------------------------


def _speak(
    sim: SimulatedRoom,
    corpus: Corpus,
    person: str,
    source: str,
    environment: Environment,
    rng: np.random.Generator,
) -> tuple[Clip, float, float]:
    """Let `person` give a command; its clip, and when it begins and ends, s."""
    clip = corpus.spoken_by(person, rng)
    command = spoken(corpus.load(clip), LONGEST_COMMAND_S)
    begin_s = TRIGGER_S + float(rng.uniform(*REACTION_S))
    end_s = sim.play_at(source, command, begin_s, environment.speech_dbspl_1m)
    return clip, begin_s, end_s


def _flight_s(sim: SimulatedRoom, source: str, receiver: str = MIC) -> float:
    return sim.room.distance_m(source, receiver) / SOUND_M_S


def _hold(
    setup: Setup,
    sim: SimulatedRoom,
    config: Config,
    path: Path,
    rng: np.random.Generator,
    *,
    wall_s: float = CLOCK_S,
    until_s: float = 0.0,
    altered: Callable[[Signal], Signal] | None = None,
) -> Ended:
    ledger = Ledger.open(path, config.ledger)
    return hold_session(
        sim,
        config,
        ledger,
        setup.keys(),
        rng,
        wall_s=wall_s,
        until_s=until_s,
        altered=altered,
    )


def _seen(ended: Ended, speech_ends_s: float | None) -> Seen | None:
    judgement = ended.judgement
    if judgement is None or judgement.evidence.nonce is None:
        return None
    report = judgement.evidence.nonce
    findings = {finding.check: finding for finding in judgement.verdict.findings}
    speech = judgement.evidence.speech
    named = findings["stale"].detail.get("recorded_session")
    return Seen(
        slots=report.slots,
        slot_errors=report.slot_errors,
        bits=report.bits_received,
        bit_errors=report.bit_errors - (report.bits - report.bits_received),
        nonce_passed=_passed(findings["nonce"]),
        stale_passed=_passed(findings["stale"]),
        named=None if named is None else str(named),
        suppression_db=judgement.evidence.suppression_db,
        cpu_s=judgement.cpu_s,
        early_s=None
        if speech is None or speech_ends_s is None
        else speech_ends_s - ended.began_s - speech[1],
    )


def _passed(finding: Finding) -> bool:
    return finding.outcome is Outcome.PASSED


def _cut(begin_s: float, end_s: float, rng: np.random.Generator) -> tuple[float, float]:
    """Where an attacker cuts: around the speech, or a little into its beginning, s."""
    first_s = begin_s + rng.uniform(-TRIM_S, TRIM_S)
    # A word of 0.2 s is not cut away altogether.
    first_s = min(first_s, (begin_s + end_s) / 2.0)
    return max(0.0, first_s), end_s + rng.uniform(0.0, TRIM_S)


def _jam(config: Config, corpus: Corpus, rng: np.random.Generator) -> Callable[[Signal], Signal]:
    """Noise or music in the place of what the device wants to play."""
    if rng.random() < 0.5 or not corpus.has("music"):
        sound = rng.standard_normal(4 * RATE_HZ).astype(np.float32)
    else:
        sound = corpus.load(draw(corpus.role("music"), rng))
    level = loudspeaker_dbfs(float(rng.uniform(*JAM_DBSPL_1M)), config.audio)
    sound = np.clip(sound * np.float32(gain(level - active_level_dbfs(sound))), -1.0, 1.0)
    at = int(rng.integers(sound.size))

    def altered(_: Signal) -> Signal:
        nonlocal at
        block = sound[np.arange(at, at + BLOCK) % sound.size]
        at += BLOCK
        return np.asarray(block, np.float32)

    return altered


def _other_nonce(setup: Setup, rng: np.random.Generator) -> Callable[[Signal], Signal]:
    """Another household's nonce, of the same kind and loudness, from the same loudspeaker."""
    config = setup.config
    player = NoncePlayer(
        Source(config.nonce, setup.keys("another")).draw(rng.bytes, CLOCK_S),
        loudspeaker_rms(config.nonce.level_dbspl_1m, config.audio),
    )
    return lambda _: player.block()


def _pick(rooms: Sequence[Room], rng: np.random.Generator) -> Room:
    return rooms[int(rng.integers(len(rooms)))]


# -- ledgers --------------------------------------------------------------------------------


def write_remembered(setup: Setup, path: Path, count: int = REMEMBERED) -> None:
    """Make a ledger with `count` nonces of earlier sessions.

    They come in as another device's export, in one transaction.
    """
    rng = setup.rng("ledger", 0)
    source = Source(setup.config.nonce, setup.keys())
    lines = [json.dumps({"earmark_ledger": 1})]
    for age in range(count):
        issued_at = CLOCK_S - 3600.0 * (age + 1)
        issue = _remembered(source.draw(rng.bytes, issued_at), rng, issued_at)
        row = {
            key: value.hex() if isinstance(value, bytes) else value
            for key, value in asdict(issue).items()
        }
        lines.append(json.dumps(row | {"age_s": CLOCK_S - issued_at}))
    with Ledger.open(path, setup.config.ledger) as ledger:
        ledger.import_(io.BytesIO("\n".join(lines).encode() + b"\n"))


def _remembered(carrier: Carrier, rng: np.random.Generator, issued_at: float) -> Issue:
    return Issue.of(
        carrier,
        session=rng.bytes(16).hex(),
        device="earlier",
        place="household",
        issued_at=issued_at,
        slots=round(float(rng.uniform(*REMEMBERED_S)) / carrier.slot_s),
    )


@contextmanager
def _ledger(setup: Setup) -> Iterator[Path]:
    """A ledger with the remembered nonces for one session: none knows of another's."""
    with _copy(setup.ledger, setup.scratch) as path:
        yield path


@contextmanager
def _copy(ledger: Path, scratch: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "ledger.sqlite"
        shutil.copy(ledger, path)
        yield path


@lru_cache(maxsize=2)
def _corpus(folder: Path) -> Corpus:
    return Corpus.open(folder)
