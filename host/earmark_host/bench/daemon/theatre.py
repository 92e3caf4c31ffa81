"""Sessions held one after the other, by a whole device in a simulated room.

The device is the daemon's own (:func:`earmark.daemon.assemble` and :func:`earmark.daemon.drive`):
its threads, its files, its wake word that listens to all. A button starts a session, because the
people of a corpus share no wake word.

How time passes
    ``FAST``: as fast as the processor can, and time stands still while work is done beside the
    audio, so that nothing depends on the machine. ``REAL``: as on a wall. ``VERDICT``: real from
    the button until the nonce plays and from shortly before the command ends until its verdict,
    fast in between: a verdict is as late as on a device, and hundreds are a matter of minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from earmark import forward
from earmark.audio import RoomConditions, SimulatedRoom, load_room
from earmark.config import Config
from earmark.daemon import assemble, drive
from earmark.forward import Command, Forwarder
from earmark.gate import Announcement
from earmark.judging import Judgement
from earmark.loop import SessionLoop
from earmark.memory import QueryMemory
from earmark.nonce import Ledger
from earmark.session import State
from earmark.signal import BLOCK_S, Signal
from earmark.wake import ButtonWake, MicroEndpointer, MicroWake, SpeechSpan
from earmark.worker import Worker
from earmark_host.bench.daemon.speech import Sentences

ROOM = "living_room"
"""The room, which ships with Earmark."""

POSITION = "person_1m"
"""Where people stand."""

AMBIENT_DBSPL = 35.0
"""Noise of the room, dB SPL: a quiet home by day."""

SPEECH_DBSPL_1M = 60.0
"""Speech at 1 m, dB SPL: conversational (ANSI S3.5: 62.4 dB for normal effort)."""

REST_S = 3.5
"""Silence before the button is pressed, s: the endpointer gets to know the room again (1 s of it,
and the last 1.2 s are left out as the wake word)."""

REACTION_S = (0.2, 0.8)
"""From the button to the first word, s."""

SETTLE_S = 0.3
"""From so long before the command ends on, time is real for a verdict, s."""

BEGUN_S = 1.0
"""A press that has begun no session by then is lost, s: it takes a block."""

ENDED_S = 30.0
"""A session that has not ended by then is lost, s: all its time-outs are over."""

_OUTSIDE = (State.IDLE, State.LOCKED)
"""Where a session has ended. A lock is waited out."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Pace(Enum):
    """How time passes; see the top of this file."""

    FAST = "fast"
    REAL = "real"
    VERDICT = "verdict"


@dataclass(frozen=True)
class Play:
    """What is held.

    Parameters
    ----------
    folder : of the household; see :mod:`earmark_host.bench.daemon.household`.
    data : the corpus; None for the demo's sentences.
    seed : of all that is random here.
    pace : how time passes.
    sessions : after so many it ends.
    longest_s : and after so long, s; None for no limit.
    """

    folder: Path
    data: Path | None
    seed: int
    pace: Pace
    sessions: int
    longest_s: float | None = None


@dataclass
class Held:
    """One session, as it was seen from outside; times are those of the room's audio, s.

    Parameters
    ----------
    number : counted from 0.
    spoken_s : when the person ended; the sound's way to the microphone, 3 ms, is not in it.
    begun : the device began a session.
    quiet_s : when the endpointer took the person to have ended, for the last time.
    ended_s : when the recording was over: by then the whole nonce had been heard, too.
    judging_s : from there to the verdict, by the wall clock, s.
    cpu_s : CPU time of the verdict, s.
    reason : of the verdict; None where there was none.
    decision : what became of it.
    sent : a command left the device.
    lost : no session began, or it never ended.
    """

    number: int
    spoken_s: float
    begun: bool = False
    quiet_s: float | None = None
    ended_s: float | None = None
    judging_s: float | None = None
    cpu_s: float | None = None
    reason: str | None = None
    decision: str | None = None
    sent: bool = False
    lost: bool = False

    @property
    def whole(self) -> bool:
        """Begun and ended; an allowed command was handed over, and no other one."""
        return self.begun and not self.lost and self.sent is (self.decision == "allow")


class Standing(Executor):
    """Works in a thread as the daemon does, but its caller's time stands still meanwhile."""

    def __init__(self) -> None:
        self._worker = Worker()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have `fn` called, wait for it, and return its finished future."""
        future = self._worker.submit(fn, *args, **kwargs)
        wait([future])
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work."""
        self._worker.shutdown(wait, cancel_futures=cancel_futures)


class _Ears:
    """The device's endpointer, watched."""

    def __init__(self, config: Config, now_s: Callable[[], float]) -> None:
        self._inner = MicroEndpointer(config.wake.endpoint)
        self._now_s = now_s
        self._speaking = False
        self.quiet_s: float | None = None

    @property
    def span(self) -> SpeechSpan | None:
        return self._inner.span

    def overhear(self, block: Signal) -> None:
        self._inner.overhear(block)

    def reset(self) -> None:
        self._speaking = False
        self._inner.reset()

    def feed(self, block: Signal) -> bool:
        speaking = self._inner.feed(block)
        if self._speaking and not speaking:
            self.quiet_s = self._now_s()
        self._speaking = speaking
        return speaking


class _Button(ButtonWake):
    """A button beside a wake word that hears everything too, and costs what it costs."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._word = MicroWake(config.wake)

    def heard(self, block: Signal) -> bool:
        self._word.heard(block)
        return super().heard(block)


class Theatre:
    """The room, the person in it, and the clock; an audio port.

    Parameters
    ----------
    play : what is held.
    config : of the device.
    tell : gets each session when it is over; the next begins when it returns.
    ledger, memory, forwarder : of the device, instead of those that it would open.
    """

    def __init__(
        self,
        play: Play,
        config: Config,
        tell: Callable[[Held], object],
        *,
        ledger: Ledger | None = None,
        memory: QueryMemory | None = None,
        forwarder: Forwarder | None = None,
    ) -> None:
        self._play = play
        self._tell = tell
        self._rng = np.random.default_rng([play.seed, *b"theatre"])
        self._sentences = Sentences(play.data, play.seed)
        conditions = RoomConditions(ambient_dbspl=AMBIENT_DBSPL, seed=play.seed)
        self._room = SimulatedRoom(load_room(ROOM), config.audio, conditions)
        self._button = _Button(config)
        self._ears = _Ears(config, lambda: self._room.now_s)
        self._executor: Executor = Standing() if play.pace is Pace.FAST else Worker()
        known_as = forward.Device(config.device.name, config.device.room, config.wake.model)
        forwarder = forwarder or forward.open_forwarder(config.forward, known_as, _unheard)
        self._loop: SessionLoop = assemble(
            config,
            executor=self._executor,
            ledger=ledger,
            memory=memory,
            forwarder=_Handed(forwarder, self._sent),
            wake=self._button,
            endpointer=self._ears,
            outlets=[self],
            observer=self._judged,
        ).loop
        self._held: Held | None = None
        self._count = 0
        self._pressed_s = 0.0
        self._idle_from_s = 0.0
        self._judging_from: float | None = None
        self._due_s: float | None = None
        self._began = time.monotonic()

    def run(self) -> None:
        """Hold all sessions."""
        try:
            drive(self._loop, self, self._over, self._look)
        finally:
            self._executor.shutdown()
            self._loop.close()
            self._room.close()

    def announce(self, told: Announcement) -> None:
        """What the room is told: not every session ends in a verdict."""
        if self._held is not None and self._held.reason is None and told is not Announcement.WOKEN:
            self._held.decision = told.value

    # -- the audio port ---------------------------------------------------------------------

    def exchange(self, play: Signal) -> Signal:
        """One block of the room, no sooner than its time where time is real."""
        recorded = self._room.exchange(play)
        if not self._real:
            self._due_s = None
            return recorded
        if self._due_s is None:
            self._due_s = time.monotonic()
        self._due_s += BLOCK_S
        late_s = self._due_s - time.monotonic()
        if late_s > 0.0:
            time.sleep(late_s)
        return recorded

    def close(self) -> None:
        """Nothing is left open."""

    @property
    def _real(self) -> bool:
        if self._play.pace is not Pace.VERDICT:
            return self._play.pace is Pace.REAL
        held = self._held
        if held is None:
            return False
        starts = self._loop.state in (State.IDLE, State.ISSUING)
        return starts or self._room.now_s >= held.spoken_s - SETTLE_S

    # -- one session after the other ------------------------------------------------------------

    def _over(self) -> bool:
        done = self._count >= self._play.sessions
        most_s = self._play.longest_s
        late = most_s is not None and time.monotonic() - self._began > most_s
        return self._held is None and (done or late)

    def _look(self) -> None:
        """After each block."""
        now_s = self._room.now_s
        held = self._held
        if held is None:
            if now_s - self._idle_from_s >= REST_S and self._loop.state is State.IDLE:
                self._begin(now_s)
            return
        held.begun = held.begun or self._loop.state is not State.IDLE
        if self._loop.state is State.VERIFYING and held.ended_s is None:
            held.ended_s = now_s
            held.quiet_s = self._ears.quiet_s
            self._judging_from = time.perf_counter()
        if held.begun and self._loop.state in _OUTSIDE and self._loop.quiet:
            self._end(held, now_s)
        elif now_s - self._pressed_s > (ENDED_S if held.begun else BEGUN_S):
            held.lost = True
            self._end(held, now_s)

    def _begin(self, now_s: float) -> None:
        start_s = now_s + float(self._rng.uniform(*REACTION_S))
        clip = self._sentences.next()
        end_s = self._room.play_at(POSITION, clip, start_s, SPEECH_DBSPL_1M)
        self._held = Held(self._count, end_s)
        self._count += 1
        self._pressed_s = now_s
        self._ears.quiet_s = None
        self._button.press()

    def _end(self, held: Held, now_s: float) -> None:
        self._held = None
        self._judging_from = None
        self._idle_from_s = now_s
        self._tell(held)

    def _judged(self, judgement: Judgement, state: State) -> None:
        held = self._held
        if held is None:
            return
        if self._judging_from is not None:
            held.judging_s = time.perf_counter() - self._judging_from
        held.cpu_s = judgement.cpu_s
        held.reason = judgement.verdict.reason.value
        held.decision = {State.ALLOWED: "allow", State.REJECTED: "reject"}.get(state, "retry")

    def _sent(self) -> None:
        if self._held is not None:
            self._held.sent = True


def _unheard(_: Signal) -> None:
    """No answers are spoken here."""


class _Handed:
    """A forwarder that is watched."""

    def __init__(self, inner: Forwarder, sent: Callable[[], Any]) -> None:
        self._inner = inner
        self._sent = sent

    def send(self, command: Command) -> None:
        self._inner.send(command)
        self._sent()

    def close(self) -> None:
        self._inner.close()
