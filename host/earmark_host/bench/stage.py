"""One session of the device in a simulated room, as a bench sets it up and sees it end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from scipy import signal as sps

from earmark.audio import AudioSettings, RoomConditions, RoomModel, SimulatedRoom
from earmark.audio.room_model import MIC
from earmark.config import Config
from earmark.daemon import InlineExecutor, build
from earmark.forward import Command
from earmark.gate import UNJUDGED, Announcement, CheckName
from earmark.judging import Judgement
from earmark.loop import SILENCE
from earmark.memory import MemorySettings, QueryMemory
from earmark.nonce import Keys, Ledger
from earmark.session import State
from earmark.signal import BLOCK_S, RATE_HZ, Signal, active_level_dbfs, level_dbfs
from earmark.wake import ScriptedWake
from earmark_host.bench.corpus import Corpus, draw
from earmark_host.bench.speech import television

TRIGGER_S = 3.5
"""When the button is pressed, s: a device listens all day, so its endpointer has heard the room
(it needs 1 s of it, and leaves out the last 1.2 s as the wake word)."""

LONGEST_S = 24.0
"""A session that has not ended by itself by then is given up, s: the cap on a command and the
longest waits come before."""

FLOOR_DBSPL = 35.0
"""Noise of the room itself, pink, in every environment, dB SPL: a quiet home by day."""

SPEECH_DBSPL_1M = 60.0
"""Speech at 1 m without noise, dB SPL: conversational (ANSI S3.5: 62.4 dB for normal effort)."""

LOMBARD_DB_PER_DB = 0.5
"""How much louder people speak per dB of noise above LOMBARD_FROM_DBSPL (Lane and Tranel,
Journal of Speech and Hearing Research 14(4), 1971)."""

LOMBARD_FROM_DBSPL = 45.0
"""Noise from which people begin to raise their voice, dB SPL."""

THD_PERCENT = 1.0
"""Distortion of the device's loudspeaker at 60 dB SPL at 1 m, %: worse than most."""

REQUIRED: tuple[CheckName, ...] = ("signal", "nonce", "stale", "memory")
"""Checks of the sessions here: all but the voice, which has a bench of its own."""

TELEVISION_S = TRIGGER_S + 16.5
"""Length of the programme, s: until the longest command and its verdict are over."""


class Environment(Enum):
    """What sounds in the room besides the person, and how loud at the microphone."""

    QUIET = "quiet"
    KITCHEN = "kitchen"
    TV = "tv"

    @property
    def noise_dbspl(self) -> float:
        """Its level at the microphone, dB SPL (rms, unweighted)."""
        return {"quiet": FLOOR_DBSPL, "kitchen": 50.0, "tv": 60.0}[self.value]

    @property
    def speech_dbspl_1m(self) -> float:
        """How loud people speak in it, dB SPL at 1 m."""
        over = max(0.0, self.noise_dbspl - LOMBARD_FROM_DBSPL)
        return SPEECH_DBSPL_1M + LOMBARD_DB_PER_DB * over

    def fill(
        self, sim: SimulatedRoom, corpus: Corpus, person: str, rng: np.random.Generator
    ) -> None:
        """Let it sound in `sim` from now on. `person` is not on television."""
        if self is Environment.KITCHEN:
            sim.noise(corpus.load(draw(corpus.role("noise"), rng)), self.noise_dbspl)
        elif self is Environment.TV:
            programme = television(corpus, TELEVISION_S, person, rng)
            level = television_dbspl_1m(sim.room, programme, self.noise_dbspl)
            sim.play_at("television", programme, 0.0, level)


def television_dbspl_1m(room: RoomModel, programme: Signal, at_mic_dbspl: float) -> float:
    """Active level at 1 m that gives `at_mic_dbspl` (rms over the programme) at the microphone.

    The band limits of the television's loudspeaker are left out of it: some 0.1 dB for speech.
    """
    heard = sps.oaconvolve(programme, room.responses["television", MIC])[: programme.size]
    return at_mic_dbspl + active_level_dbfs(programme) - level_dbfs(heard.astype(np.float32))


@dataclass(frozen=True)
class Hardware:
    """How the device's hardware differs from the ideal in one session."""

    drift_ppm: float
    shift_hz: float
    latency_s: float

    DRIFT_PPM = 300.0
    """Largest drift between a USB microphone and another card's loudspeaker, ppm."""

    SHIFT_HZ = 20.0
    """Largest frequency shift, Hz."""

    LATENCY_S = (0.08, 0.3)
    """Round trips that sound servers were measured at, s."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Hardware:
        """Half of the devices have one codec and no drift, a quarter shifts frequencies."""
        drift, shift = rng.random() < 0.5, rng.random() < 0.25
        return cls(
            float(rng.uniform(-cls.DRIFT_PPM, cls.DRIFT_PPM)) if drift else 0.0,
            float(rng.uniform(-cls.SHIFT_HZ, cls.SHIFT_HZ)) if shift else 0.0,
            float(rng.uniform(*cls.LATENCY_S)),
        )

    def open(
        self, room: RoomModel, settings: AudioSettings, rng: np.random.Generator
    ) -> SimulatedRoom:
        """A device with this hardware in `room`, with the room's own noise."""
        conditions = RoomConditions(
            drift_ppm=self.drift_ppm,
            frequency_shift_hz=self.shift_hz,
            latency_s=self.latency_s,
            thd_percent=THD_PERCENT,
            ambient_dbspl=FLOOR_DBSPL,
            seed=int(rng.integers(2**31)),
        )
        return SimulatedRoom(room, settings, conditions)


@dataclass
class _Taken:
    """A forwarder that counts what leaves the device and keeps nothing."""

    sent: int = 0

    def send(self, command: Command) -> None:
        self.sent += 1

    def close(self) -> None:
        pass


@dataclass
class _Told:
    """What the room was told, for sessions that end without a verdict."""

    announcements: list[Announcement] = field(default_factory=list)

    def announce(self, told: Announcement) -> None:
        self.announcements.append(told)


UNDER_WAY = frozenset({State.ISSUING, State.LISTENING, State.VERIFYING, State.ALLOWED})
"""States of a session that has not ended."""

UNFINISHED = "unfinished"
"""The reason of a session that never ended."""


@dataclass(frozen=True, eq=False)
class Ended:
    """How a session ended.

    Parameters
    ----------
    accepted : the command left the device.
    reason : the verdict's, or that of the time-out that ended it before.
    judgement : None when there was no verdict.
    began_s : audio time of the room at which the judged recording begins, s.
    nonce_s : audio time at which the first block of the nonce was handed to the player, s; None
        when it never came to that.
    """

    accepted: bool
    reason: str
    judgement: Judgement | None
    began_s: float
    nonce_s: float | None


def hold_session(
    sim: SimulatedRoom,
    config: Config,
    ledger: Ledger,
    keys: Keys,
    rng: np.random.Generator,
    *,
    wall_s: float,
    until_s: float = 0.0,
    altered: Callable[[Signal], Signal] | None = None,
) -> Ended:
    """Run one session of a device, from the press of its button to its end.

    The device remembers no earlier queries.

    Parameters
    ----------
    sim : the room, prepared; its time is at 0.
    config : of the device.
    ledger : the device's; it is closed afterwards.
    keys : of its household.
    rng : draws the nonce, in the place of the operating system's generator, so that a run can
        be repeated.
    wall_s : the device's wall clock when the room's time is 0, s since the epoch.
    until_s : the room goes on at least so long, for those who record in it, s.
    altered : takes each block that the device wants to play while it listens, and returns what
        the loudspeaker gets instead.
    """
    judged: list[tuple[Judgement, float]] = []

    def observe(judgement: Judgement, state: State) -> None:
        # The verdict is collected one block after the recording has ended.
        ended_s = sim.now_s - BLOCK_S
        judged.append((judgement, ended_s - judgement.recorded.recording.size / RATE_HZ))

    taken, told = _Taken(), _Told()
    loop = build(
        config.model_copy(update={"gate": config.gate.model_copy(update={"required": REQUIRED})}),
        executor=InlineExecutor(),
        ledger=ledger,
        keys=keys,
        memory=QueryMemory.open(MemorySettings(folder=None), rng.bytes),
        forwarder=taken,
        wake=ScriptedWake([TRIGGER_S]),
        outlets=[told],
        entropy=rng.bytes,
        now=lambda: wall_s + sim.now_s,
        observer=observe,
    )
    play, begun, finished = SILENCE, False, False
    nonce_s: float | None = None
    try:
        while sim.now_s < (until_s if finished else LONGEST_S):
            if loop.state is State.LISTENING:
                nonce_s = sim.now_s if nonce_s is None else nonce_s
                play = play if altered is None else altered(play)
            play = loop.step(sim.exchange(play))
            begun = begun or loop.state is not State.IDLE
            finished = begun and loop.state not in UNDER_WAY
    finally:
        loop.close()
        sim.close()
    judgement, began_s = judged[0] if judged else (None, 0.0)
    if judgement is not None:
        reason = judgement.verdict.reason.value
    else:
        known = [UNJUDGED[each] for each in told.announcements if each in UNJUDGED]
        reason = known[0].value if known else UNFINISHED
    return Ended(taken.sent > 0, reason, judgement, began_s, nonce_s)
