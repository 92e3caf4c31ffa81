"""The session loop: one recorded block in, one block to play out, every 20 ms.

It owns the session machine, hands it what happens and carries out what it asks for. Heavy
work (ledger, verdict, forwarding) goes to an executor and is collected in a later step, so a
step stays short; with the inline executor everything happens at once and a run is
deterministic, as the simulated room wants it.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import ClassVar

import numpy as np

from earmark import session as s
from earmark.errors import EarmarkError
from earmark.feedback import Entry, FeedbackHub
from earmark.forward import Command, Forwarder
from earmark.gate import Announcement, Decision, Reason, Verdict, speaker_of
from earmark.judging import Judge, Judgement, Recorded
from earmark.nonce import (
    Carrier,
    Issue,
    Ledger,
    LiveCanceller,
    NoncePlayer,
    NonceSettings,
    Source,
)
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal
from earmark.wake import Endpointer, PreRoll, WakeDetector

_log = logging.getLogger(__name__)

SILENCE: Signal = np.zeros(BLOCK, np.float32)
"""One block of nothing: what is played before the first block was heard."""

MAX_QUEUED_SOUND_S = 5.0
"""Most feedback sound that waits to be played, s: ten of the longest sounds."""

MAX_SPOKEN_PIECES = 64
"""Most pieces of a spoken answer between two threads: they come some 0.4 s ahead, in pieces of
0.02 s and longer, and are taken every 20 ms."""

WAKE_TAIL_S = 0.2
"""Speech that ends sooner than this after the wake word was recognised is the wake word, s: it
is at times recognised before its end, which was seen up to 0.10 s later."""

ECHO_S = 0.5
"""Time after our own sound that its reverberation may still be heard, s: 60 dB in a room of
RT60 0.5 s."""

TAIL_S = 0.02
"""What of the nonce's last slot rings on after it and is needed to read it, s: 16 ms in codes."""

EARLY_S = 0.2
"""Speech that is on this soon after the wake word, s, is taken to have begun in the pre-roll: of
commands that followed at once the endpointer put the start 0.1 to 0.16 s after it."""

_ANNOUNCED = {
    s.Cue.WOKEN: Announcement.WOKEN,
    s.Cue.NO_SPEECH: Announcement.TRY_AGAIN_NOTHING_HEARD,
    s.Cue.TOO_LONG: Announcement.TRY_AGAIN_TOO_LONG,
    s.Cue.LOCKED: Announcement.LOCKED,
    s.Cue.UNLOCKED: Announcement.READY,
    s.Cue.MUTED: Announcement.MUTED,
    s.Cue.UNMUTED: Announcement.UNMUTED,
    s.Cue.FAULT: Announcement.FAULT,
    s.Cue.RESTORED: Announcement.READY,
}
"""What the room is told for a cue that follows from no verdict."""

_FAULT = Verdict(Decision.RETRY, Reason.FAULT, ())
"""The verdict when no verdict could be reached."""


class SoundQueue:
    """Sounds on their way to the loudspeaker, one after the other: feedback, spoken answers."""

    def __init__(self) -> None:
        self._waiting: deque[Signal] = deque()
        self._left = 0
        self._spoken: SimpleQueue[Signal] = SimpleQueue()

    def __len__(self) -> int:
        """Samples that wait."""
        return self._left

    def speak(self, piece: Signal) -> None:
        """Queue a piece of a spoken answer, from any thread; dropped when too many wait already."""
        if self._spoken.qsize() < MAX_SPOKEN_PIECES:
            self._spoken.put(piece)

    def fetch(self, wanted: bool) -> None:
        """Take the pieces that were spoken meanwhile; they are thrown away if not `wanted`."""
        with suppress(Empty):
            while True:
                piece = self._spoken.get_nowait()
                if wanted:
                    self.add(piece)

    def add(self, sound: Signal) -> None:
        """Queue a sound; dropped when too much waits already."""
        if self._left + sound.size <= MAX_QUEUED_SOUND_S * RATE_HZ:
            self._waiting.append(sound)
            self._left += sound.size

    def block(self) -> Signal:
        """The next block, filled up with silence."""
        out = np.zeros(BLOCK, np.float32)
        filled = 0
        while self._waiting and filled < BLOCK:
            sound = self._waiting.popleft()
            part = sound[: BLOCK - filled]
            out[filled : filled + part.size] = part
            filled += part.size
            if part.size < sound.size:
                self._waiting.appendleft(sound[part.size :])
        self._left -= filled
        return out


@dataclass(frozen=True)
class Identity:
    """Which device this is and where it stands: the ledger's "where"."""

    name: str
    place: str


@dataclass
class Parts:
    """What the loop is made of; all I/O comes in through here.

    Parameters
    ----------
    entropy : gives so many fresh random bytes (the operating system's generator).
    now : the wall clock, UTC, s.
    nonce_rms : level of the nonce in the loudspeaker's samples.
    source : draws the nonces.
    observer : told every judgement with the decision that the machine made of it.
    named : gives the name of an enrolled person by the id, None when there is none; None where
        nobody is known.
    closers : called when the loop is closed: they close what only the checks work with.
    """

    machine: s.SessionMachine
    wake: WakeDetector
    endpointer: Endpointer
    pre_roll: PreRoll
    nonce: NonceSettings
    nonce_rms: float
    source: Source
    ledger: Ledger
    judge: Judge
    forwarder: Forwarder
    feedback: FeedbackHub
    sounds: SoundQueue
    executor: Executor
    entropy: Callable[[int], bytes]
    now: Callable[[], float]
    identity: Identity
    observer: Callable[[Judgement, s.State], None] | None = None
    named: Callable[[str], str | None] | None = None
    closers: tuple[Callable[[], None], ...] = ()


@dataclass(frozen=True)
class Manner:
    """What of a device may change while it runs: see :class:`Parts` for each.

    Parameters
    ----------
    session : time-outs and patience of the machine.
    """

    session: s.SessionSettings
    judge: Judge
    feedback: FeedbackHub
    identity: Identity
    named: Callable[[str], str | None] | None


class _Session:
    """What is kept while one session is open."""

    def __init__(self, number: int, pre_roll: Signal, woken_unix_s: float) -> None:
        self.number = number
        self.id = uuid.uuid4().hex
        self.woken_unix_s = woken_unix_s
        self.blocks = [pre_roll]
        self.pre_roll_s = pre_roll.size / RATE_HZ
        self.samples = pre_roll.size
        self.recording = True
        self.carrier: Carrier | None = None
        self.player: NoncePlayer | None = None
        self.canceller: LiveCanceller | None = None
        self.played_at = 0
        self.speaking = False
        self.spoke = False
        self.finish: Callable[[], None] | None = None
        self.judgement: Judgement | None = None


class SessionLoop:
    """Runs sessions on a stream of blocks.

    Parameters
    ----------
    parts : everything it works with.
    """

    def __init__(self, parts: Parts) -> None:
        self._p = parts
        self._session: _Session | None = None
        self._players: list[NoncePlayer] = []
        self._work: list[tuple[Future[s.Event], int]] = []
        self._answer: s.Event | None = None
        self._own_sound_s = 0.0
        self._verdict: tuple[str, Verdict] = ("none", _FAULT)

    @property
    def state(self) -> s.State:
        """Where the session machine is."""
        return self._p.machine.state

    @property
    def sessions(self) -> int:
        """Sessions that were begun."""
        return self._p.machine.session

    @property
    def muted(self) -> bool:
        """Whether the microphone is switched off, also while the stream is broken."""
        return self._p.machine.muted

    @property
    def lock_left_s(self) -> float:
        """What is left of the lock, audio seconds; 0.0 when there is none."""
        return self._p.machine.lock_left_s

    @property
    def quiet(self) -> bool:
        """Whether no session is open and nothing is left to do for one."""
        return not self._p.machine.in_session and not self._work

    # -- what the daemon calls ------------------------------------------------------------

    def step(self, recorded: Signal) -> Signal:
        """Take one recorded block (``BLOCK`` samples) and return the next one to play."""
        self._collect()
        self._handle(s.Heard(BLOCK_S))
        if self.state is not s.State.MUTED:
            self._listen(recorded)
        self._end_feedback()
        return self._play()

    def mute(self) -> None:
        """Switch the microphone off: nothing is listened to, a session in progress ends."""
        self._p.pre_roll.clear()
        self._handle(s.Muted())

    def unmute(self) -> None:
        """Switch the microphone on again."""
        self._p.wake.reset()
        self._handle(s.Unmuted())

    def stream_failed(self) -> None:
        """The audio stream broke."""
        self._p.pre_roll.clear()
        self._players.clear()
        self._handle(s.StreamFailed())

    def stream_restored(self) -> None:
        """The audio stream runs again."""
        self._p.wake.reset()
        self._handle(s.StreamRestored())

    def renew(self, manner: Manner) -> None:
        """Go on in another manner: with other limits, sounds, names.

        Raises
        ------
        RuntimeError
            The loop is not quiet.
        """
        if not self.quiet:
            raise RuntimeError("a session is open")
        self._p.machine.adopt(manner.session)
        self._p = replace(
            self._p,
            judge=manner.judge,
            feedback=manner.feedback,
            identity=manner.identity,
            named=manner.named,
        )

    def close(self) -> None:
        """Close what the loop works with. Closing twice is harmless."""
        if self.state is s.State.ALLOWED and any(not future.done() for future, _ in self._work):
            _log.error("stopped while a command was handed over: it may not have arrived")
        self._p.forwarder.close()
        self._p.ledger.close()
        for close in self._p.closers:
            close()

    # -- the microphone's side ------------------------------------------------------------

    def _listen(self, block: Signal) -> None:
        session = self._session
        if session is not None and session.recording:
            session.blocks.append(block)
            session.samples += block.size
            self._endpoint(session, block)
        else:
            self._p.pre_roll.push(block)
            self._overhear(block)
        if self._p.wake.heard(block) and self.state in (s.State.IDLE, s.State.LOCKED):
            self._handle(s.Woken())

    def _overhear(self, block: Signal) -> None:
        """Let the endpointer know the room, but not by our own sounds and their echoes."""
        if self._players or len(self._p.sounds):
            self._own_sound_s = self._p.nonce.max_delay_s + ECHO_S
        elif self._own_sound_s > 0.0:
            self._own_sound_s -= BLOCK_S
        else:
            self._p.endpointer.overhear(block)

    def _endpoint(self, session: _Session, block: Signal) -> None:
        clean = block if session.canceller is None else session.canceller.feed(block)
        for start in range(0, clean.size, BLOCK):
            self._hear(session, clean[start : start + BLOCK])
        quiet = session.spoke and not session.speaking
        if quiet and self.state is s.State.LISTENING and self._whole_nonce(session):
            self._handle(s.CommandEnded(session.number))

    def _hear(self, session: _Session, block: Signal) -> None:
        """Let the endpointer hear one block without the nonce."""
        session.speaking = self._p.endpointer.feed(block)
        span = self._p.endpointer.span
        beyond = span is not None and span.end_s > WAKE_TAIL_S
        if session.speaking and beyond and not session.spoke:
            session.spoke = True
            self._handle(s.SpeechStarted(session.number))

    def _whole_nonce(self, session: _Session) -> bool:
        """Whether every bit of the nonce has reached the microphone by now."""
        if session.canceller is None or session.carrier is None:
            return False
        delay_s = session.canceller.delay_s
        if delay_s is None:
            delay_s = self._p.nonce.max_delay_s
        heard_s = (session.samples - session.played_at) / RATE_HZ
        return heard_s >= session.carrier.cycle_s + delay_s + BLOCK_S + TAIL_S

    # -- the loudspeaker's side -----------------------------------------------------------

    def _play(self) -> Signal:
        # Nobody answers while somebody speaks: it would be in the recording.
        self._p.sounds.fetch(wanted=self._session is None or not self._session.recording)
        out = self._p.sounds.block()
        for player in self._players:
            out = out + player.block()
        self._players = [player for player in self._players if not player.done]
        return out

    def _end_feedback(self) -> None:
        waiting = self.state in (s.State.RETRY, s.State.REJECTED)
        if waiting and not len(self._p.sounds):
            self._handle(s.FeedbackDone(self._p.machine.session))

    # -- the machine ----------------------------------------------------------------------

    def _handle(self, event: s.Event) -> None:
        for action in self._p.machine.handle(event):
            if isinstance(action, s.Cue):
                self._cue(action)
            else:
                self._TASKS[action](self)

    def _cue(self, cue: s.Cue) -> None:
        judging_failed = cue is s.Cue.FAULT and isinstance(self._answer, s.JudgingFailed)
        if cue in _ANNOUNCED and not judging_failed:
            offline = cue is s.Cue.FAULT and isinstance(self._answer, s.ForwardFailed)
            self._p.feedback.announce(Announcement.OFFLINE if offline else _ANNOUNCED[cue])
            return
        identifier, verdict = self._verdict
        # A retry that the machine turned into a rejection is told like any rejection.
        out_of_tries = cue is s.Cue.REJECTED and verdict.decision is Decision.RETRY
        self._p.feedback.verdict(
            identifier, verdict, Announcement.COULD_NOT_VERIFY if out_of_tries else None
        )

    def _start_recording(self) -> None:
        self._p.endpointer.reset()
        self._session = _Session(self._p.machine.session, self._p.pre_roll.take(), self._p.now())
        self._p.pre_roll.clear()

    def _issue_nonce(self) -> None:
        session = self._open()

        def record() -> s.Event:
            try:
                now = self._p.now()
                carrier = self._p.source.draw(self._p.entropy, now)
                self._p.ledger.record(
                    Issue.of(
                        carrier,
                        session=session.id,
                        device=self._p.identity.name,
                        place=self._p.identity.place,
                        issued_at=now,
                    )
                )
            except EarmarkError as error:
                _log.error("%s", error)
                return s.StorageFailed(session.number)
            except Exception as error:
                _log.error("the nonce was not recorded: %s", type(error).__name__)
                return s.StorageFailed(session.number)
            # Read only after the loop has collected the event.
            session.carrier = carrier
            return s.NonceIssued(session.number)

        self._submit(record, session.number)

    def _start_nonce(self) -> None:
        session = self._open()
        assert session.carrier is not None  # issued before, by the table
        session.player = NoncePlayer(session.carrier, self._p.nonce_rms)
        session.canceller = LiveCanceller(session.carrier, session.player, self._p.nonce)
        session.played_at = session.samples
        self._players.append(session.player)

    def _stop_nonce(self) -> None:
        session = self._open()
        assert session.player is not None  # started before, by the table
        session.player.stop()
        slots = session.player.slots

        def finish() -> None:
            try:
                self._p.ledger.finish(session.id, slots)
            except EarmarkError as error:
                # The nonce stays in the ledger with an unknown end, which the search allows for.
                _log.error("%s", error)

        session.finish = finish

    def _note_end(self, session: _Session) -> None:
        """Have the ledger note how long the nonce was, once nobody waits for a verdict any more.

        A flush takes a card up to some 100 ms, and until then the search allows for any length.
        """
        finish, session.finish = session.finish, None
        if finish is not None:
            self._p.executor.submit(finish)

    def _verify(self) -> None:
        session = self._open()
        session.recording = False
        assert session.carrier is not None
        assert session.player is not None
        recorded = Recorded(
            session=session.id,
            recording=np.concatenate(session.blocks),
            carrier=session.carrier,
            played=session.player.whole(),
            played_at_s=session.played_at / RATE_HZ,
            slots=session.player.slots,
            speech=self._speech(session),
            woken_unix_s=session.woken_unix_s,
        )
        session.blocks.clear()

        def judge() -> s.Event:
            try:
                session.judgement = self._p.judge.judge(recorded)
            except EarmarkError as error:
                _log.error("%s", error)
                return s.JudgingFailed(session.number)
            except Exception as error:
                # The type only: a message might quote audio or bits. No verdict is a fault.
                _log.error("no verdict: %s", type(error).__name__)
                return s.JudgingFailed(session.number)
            verdict = session.judgement.verdict
            if verdict.reason is Reason.FAULT:
                return s.JudgingFailed(session.number)
            return s.Judged(session.number, s.Decision(verdict.decision.value))

        self._submit(judge, session.number)
        self._note_end(session)

    def _speech(self, session: _Session) -> tuple[float, float] | None:
        """Where in the recording the command lies; the endpointer heard it from the pre-roll on."""
        span = self._p.endpointer.span
        if span is None:
            return None
        heard_from_s = session.pre_roll_s
        start_s = 0.0 if span.start_s < EARLY_S else heard_from_s + span.start_s
        return start_s, heard_from_s + span.end_s

    def _forward(self) -> None:
        session = self._open()
        judgement = session.judgement
        if judgement is None:
            raise RuntimeError("nothing was judged, so nothing may leave")
        person = speaker_of(judgement.verdict)
        command = Command(
            audio=judgement.evidence.cleaned,
            session=session.id,
            device=self._p.identity.name,
            place=self._p.identity.place,
            woken_unix_s=session.woken_unix_s,
            uncovered_s=judgement.uncovered,
            verdict=judgement.verdict,
            person=self._p.named(person) if person and self._p.named else None,
        )

        def send() -> s.Event:
            fields = {
                "MESSAGE_ID": Entry.FORWARD_FAILED.message_id,
                "EARMARK_SESSION": session.id,
            }
            try:
                self._p.forwarder.send(command)
            except EarmarkError as error:
                _log.error("%s", error, extra=fields)
                return s.ForwardFailed(session.number)
            except Exception as error:
                # The type only: a message might quote the command.
                name = type(error).__name__
                _log.error("the command was not forwarded: %s", name, extra=fields)
                return s.ForwardFailed(session.number)
            return s.Forwarded(session.number)

        self._submit(send, session.number)

    def _discard(self) -> None:
        session = self._open()
        number = session.number
        self._note_end(session)
        # What has not begun yet never will: a command must not leave after its session.
        self._work = [item for item in self._work if not (item[1] == number and item[0].cancel())]
        self._session = None

    _TASKS: ClassVar[dict[s.Task, Callable[[SessionLoop], None]]] = {
        s.Task.START_RECORDING: _start_recording,
        s.Task.ISSUE_NONCE: _issue_nonce,
        s.Task.START_NONCE: _start_nonce,
        s.Task.STOP_NONCE: _stop_nonce,
        s.Task.VERIFY: _verify,
        s.Task.FORWARD: _forward,
        s.Task.DISCARD: _discard,
    }

    def _open(self) -> _Session:
        if self._session is None:
            raise RuntimeError("the machine asked for a session's work without a session")
        return self._session

    # -- work beside the loop -------------------------------------------------------------

    def _submit(self, work: Callable[[], s.Event], number: int) -> None:
        self._work.append((self._p.executor.submit(work), number))

    def _collect(self) -> None:
        """Hand the machine what the executor has finished."""
        while done := next((item for item in self._work if item[0].done()), None):
            self._work.remove(done)
            future, number = done
            self._finished(future.result(), number)

    def _finished(self, event: s.Event, number: int) -> None:
        session = self._session
        judgement = None
        judged = isinstance(event, s.Judged | s.JudgingFailed)
        if judged and session is not None and session.number == number:
            judgement = session.judgement
            self._verdict = (session.id, judgement.verdict if judgement else _FAULT)
        # For the cues of this very event: any later fault is another one.
        self._answer = event
        self._handle(event)
        self._answer = None
        if judgement is not None and self._p.observer is not None:
            self._p.observer(judgement, self.state)
