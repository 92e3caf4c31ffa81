"""The session machine.

Rule 1: everything that decides what a session does next lives in this file, and as much of
it as possible in the tables.

Rule 2: nothing here does anything. Events go in, actions come out; the daemon carries them
out. No files, no sound, no threads and no clock: time is the audio that was heard.

How it works
============

One event makes one move: :data:`TRANSITIONS` gives, for the present state and the event, the
next state, the actions, and what it counts as. A pair that the table does not have is an
:class:`IllegalMove`: a mistake in the daemon, which must stop and start afresh rather than
guess. Events that may arrive late through nobody's fault have a row that ignores them.

Six things do not fit into a plain table of states and events. Each is a small table of its
own, or one line in :meth:`SessionMachine.handle`.

1) *The verdict* is one event with three meanings, so its rows are keyed by the
   :class:`Decision` and not by the type ``Judged``. Before the look-up, a RETRY is turned into
   a REJECT when ``max_retries`` have been given in a row.

2) *Time.* ``Heard`` advances three clocks (:class:`Clock`): since the state was entered, since
   the wake word, since the lock was set. :data:`TIMERS` says for each state which clock may
   reach which setting and which event the machine then gives itself. Callers cannot send these.

3) *Old news.* An event that carries the number of a session which is over is dropped before
   the table sees it. A verdict can thus be obeyed only in the session it was reached for. A
   number that was never given out is an illegal move.

4) *The tally.* A verdict counts: ALLOW clears everything, RETRY adds to the retries, REJECT
   clears the retries and adds to the rejections. From the ``lock_after``-th rejection on, each
   sets a lock: ``lock_first_s``, doubled every further time up to ``lock_max_s``. Only verdicts
   count. A session without speech, one that is cut off as too long, or a fault of our own
   forwards nothing and tells an attacker nothing; if they counted, a television that keeps
   waking the device would lock its household out. They do not clear the tally either.

5) *Holds.* IDLE is entered only when nothing holds the device back: every move to IDLE first
   asks :data:`HOLDS` whether the device is muted or its lock still runs, and goes there instead.
   So neither mute nor a broken stream shortens a lock: it runs on by audio time (only while
   audio is heard), and whatever is left of it is served afterwards. The lock begins with the
   verdict, so the rejection's own cue is part of it. A restart of the process forgets it.

6) *Switches.* Muting a device whose stream is broken must be remembered until the stream is
   back; the rows of BROKEN say so and :data:`SWITCHES` names the two events that turn it.

What the tables promise (and tests/device/session checks): FORWARD is given only for an ALLOW
of the open session; the nonce plays in LISTENING and nowhere else, and never before the
ledger has recorded it; each recording that is started is discarded exactly once; every state
ends by itself as audio passes, except MUTED and BROKEN, which end with their own event.

A command that reaches the cap is not verified: it is cut off, and half a command must not be
carried out. A command that ended before its nonce could be issued was never protected: retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from earmark.session.actions import Action, Cue, Task
from earmark.session.events import (
    CommandEnded,
    CommandTooLong,
    Decision,
    Event,
    FeedbackDone,
    Forwarded,
    ForwardFailed,
    Heard,
    Judged,
    JudgingFailed,
    Muted,
    NobodySpoke,
    NonceIssued,
    SessionEvent,
    SpeechStarted,
    StorageFailed,
    StreamFailed,
    StreamRestored,
    TimedOut,
    Timeout,
    Unmuted,
    Woken,
)
from earmark.session.settings import SessionSettings

_EPSILON_S = 1e-6
"""Slack of a time-out, s: the rounding of a sum of blocks, far below one sample (62 us)."""

_MAX_DOUBLINGS = 32
"""Bound on the exponent of the back-off, so that it cannot overflow; the cap is reached long
before (86,400 s is 17 doublings of 1 s)."""


class State(Enum):
    """Where the session is."""

    IDLE = "idle"
    """Waiting for the wake word."""
    ISSUING = "issuing"
    """Recording; a nonce is being drawn and recorded in the ledger. Nothing plays yet."""
    LISTENING = "listening"
    """Recording the command while the nonce plays."""
    VERIFYING = "verifying"
    """The gate judges the recording."""
    ALLOWED = "allowed"
    """The command is being handed over."""
    RETRY = "retry"
    """The person is asked to say it again, or told what went wrong."""
    REJECTED = "rejected"
    """The person is told that the command could not be verified."""
    LOCKED = "locked"
    """Too many rejections: the wake word is answered, but starts nothing."""
    MUTED = "muted"
    """The microphone is switched off."""
    BROKEN = "broken"
    """The audio stream does not run."""


IN_SESSION = frozenset(
    {
        State.ISSUING,
        State.LISTENING,
        State.VERIFYING,
        State.ALLOWED,
        State.RETRY,
        State.REJECTED,
    }
)
"""States with an open session; in the others every session's event is old news."""

Key: TypeAlias = type[Event] | Decision
"""What a row is looked up by: the event's type, or for a verdict its decision."""


class Tally(Enum):
    """What a move counts as."""

    ALLOWED = "allowed"
    RETRIED = "retried"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Transition:
    """One row: the next state, the actions in their order, and what it counts as."""

    to: State
    actions: tuple[Action, ...] = ()
    tally: Tally | None = None


_ANSWERS: tuple[Key, ...] = (
    NonceIssued,
    StorageFailed,
    SpeechStarted,
    CommandEnded,
    Decision.ALLOW,
    Decision.RETRY,
    Decision.REJECT,
    JudgingFailed,
)
"""What RETRY may still get from its own session, after a time-out cut the wait for it short."""


def _ignored(state: State, *keys: Key) -> dict[Key, Transition]:
    """Rows for events that may come in `state` and mean nothing there."""
    return {key: Transition(state) for key in keys}


TRANSITIONS: dict[State, dict[Key, Transition]] = {
    State.IDLE: {
        Woken: Transition(State.ISSUING, (Task.START_RECORDING, Cue.WOKEN, Task.ISSUE_NONCE)),
        Muted: Transition(State.MUTED, (Cue.MUTED,)),
        StreamFailed: Transition(State.BROKEN, (Cue.FAULT,)),
        **_ignored(State.IDLE, Heard, Unmuted),
    },
    State.ISSUING: {
        NonceIssued: Transition(State.LISTENING, (Task.START_NONCE,)),
        StorageFailed: Transition(State.RETRY, (Task.DISCARD, Cue.FAULT)),
        CommandEnded: Transition(State.RETRY, (Task.DISCARD, Cue.FAULT)),
        TimedOut: Transition(State.RETRY, (Task.DISCARD, Cue.FAULT)),
        Muted: Transition(State.MUTED, (Task.DISCARD, Cue.MUTED)),
        StreamFailed: Transition(State.BROKEN, (Task.DISCARD, Cue.FAULT)),
        **_ignored(State.ISSUING, Heard, Woken, SpeechStarted, FeedbackDone, Unmuted),
    },
    State.LISTENING: {
        CommandEnded: Transition(State.VERIFYING, (Task.STOP_NONCE, Task.VERIFY)),
        NobodySpoke: Transition(State.RETRY, (Task.STOP_NONCE, Task.DISCARD, Cue.NO_SPEECH)),
        CommandTooLong: Transition(State.RETRY, (Task.STOP_NONCE, Task.DISCARD, Cue.TOO_LONG)),
        Muted: Transition(State.MUTED, (Task.STOP_NONCE, Task.DISCARD, Cue.MUTED)),
        StreamFailed: Transition(State.BROKEN, (Task.STOP_NONCE, Task.DISCARD, Cue.FAULT)),
        **_ignored(State.LISTENING, Heard, Woken, SpeechStarted, FeedbackDone, Unmuted),
    },
    State.VERIFYING: {
        Decision.ALLOW: Transition(State.ALLOWED, (Task.FORWARD, Cue.ALLOWED), Tally.ALLOWED),
        Decision.RETRY: Transition(State.RETRY, (Task.DISCARD, Cue.RETRY), Tally.RETRIED),
        Decision.REJECT: Transition(State.REJECTED, (Task.DISCARD, Cue.REJECTED), Tally.REJECTED),
        JudgingFailed: Transition(State.RETRY, (Task.DISCARD, Cue.FAULT)),
        TimedOut: Transition(State.RETRY, (Task.DISCARD, Cue.FAULT)),
        Muted: Transition(State.MUTED, (Task.DISCARD, Cue.MUTED)),
        StreamFailed: Transition(State.BROKEN, (Task.DISCARD, Cue.FAULT)),
        **_ignored(State.VERIFYING, Heard, Woken, FeedbackDone, Unmuted),
    },
    State.ALLOWED: {
        Forwarded: Transition(State.IDLE, (Task.DISCARD,)),
        ForwardFailed: Transition(State.IDLE, (Task.DISCARD, Cue.FAULT)),
        TimedOut: Transition(State.IDLE, (Task.DISCARD, Cue.FAULT)),
        Muted: Transition(State.MUTED, (Task.DISCARD, Cue.MUTED)),
        StreamFailed: Transition(State.BROKEN, (Task.DISCARD, Cue.FAULT)),
        **_ignored(State.ALLOWED, Heard, Woken, FeedbackDone, Unmuted),
    },
    State.RETRY: {
        FeedbackDone: Transition(State.IDLE),
        TimedOut: Transition(State.IDLE),
        Muted: Transition(State.MUTED, (Cue.MUTED,)),
        StreamFailed: Transition(State.BROKEN, (Cue.FAULT,)),
        **_ignored(State.RETRY, Heard, Woken, Unmuted, *_ANSWERS),
    },
    State.REJECTED: {
        FeedbackDone: Transition(State.IDLE),
        TimedOut: Transition(State.IDLE),
        Muted: Transition(State.MUTED, (Cue.MUTED,)),
        StreamFailed: Transition(State.BROKEN, (Cue.FAULT,)),
        **_ignored(State.REJECTED, Heard, Woken, Unmuted),
    },
    State.LOCKED: {
        Woken: Transition(State.LOCKED, (Cue.LOCKED,)),
        TimedOut: Transition(State.IDLE, (Cue.UNLOCKED,)),
        Muted: Transition(State.MUTED, (Cue.MUTED,)),
        StreamFailed: Transition(State.BROKEN, (Cue.FAULT,)),
        **_ignored(State.LOCKED, Heard, Unmuted),
    },
    State.MUTED: {
        Unmuted: Transition(State.IDLE, (Cue.UNMUTED,)),
        StreamFailed: Transition(State.BROKEN, (Cue.FAULT,)),
        **_ignored(State.MUTED, Heard, Woken, Muted),
    },
    State.BROKEN: {
        StreamRestored: Transition(State.IDLE, (Cue.RESTORED,)),
        Muted: Transition(State.BROKEN, (Cue.MUTED,)),
        Unmuted: Transition(State.BROKEN, (Cue.UNMUTED,)),
        **_ignored(State.BROKEN, StreamFailed, Woken),
    },
}
"""The machine: for each state, what each event does. Anything else is illegal."""


class Clock(Enum):
    """What a timer counts from, in audio seconds."""

    STATE = "since the state was entered"
    WOKEN = "since the wake word"
    LOCK = "since the lock was set"


@dataclass(frozen=True)
class Timer:
    """Gives the machine `fires` when `clock` reaches `limit`, unless `until` came before.

    `limit` names a field of the settings, or for :attr:`Clock.LOCK` the length of the lock.
    """

    clock: Clock
    limit: str
    fires: type[Timeout]
    until: type[SessionEvent] | None = None


LOCK_LENGTH = "lock_s"
"""Name of the one limit that is no setting: the length of the present lock."""

TIMERS: dict[State, tuple[Timer, ...]] = {
    State.ISSUING: (Timer(Clock.STATE, "issue_s", TimedOut),),
    State.LISTENING: (
        Timer(Clock.WOKEN, "no_speech_s", NobodySpoke, until=SpeechStarted),
        Timer(Clock.WOKEN, "max_command_s", CommandTooLong),
    ),
    State.VERIFYING: (Timer(Clock.STATE, "verify_s", TimedOut),),
    State.ALLOWED: (Timer(Clock.STATE, "forward_s", TimedOut),),
    State.RETRY: (Timer(Clock.STATE, "feedback_s", TimedOut),),
    State.REJECTED: (Timer(Clock.STATE, "feedback_s", TimedOut),),
    State.LOCKED: (Timer(Clock.LOCK, LOCK_LENGTH, TimedOut),),
}
"""Which timers run in which state; the first that is due fires, one a state and step."""

HOLDS: dict[State, tuple[Action, ...]] = {
    State.MUTED: (Cue.MUTED,),
    State.LOCKED: (Cue.LOCKED,),
}
"""Where a move to IDLE ends instead, in this order, and what the person is then told."""

SWITCHES: dict[type[Event], bool] = {Muted: True, Unmuted: False}
"""Whether the microphone is switched off after the event."""


class IllegalMove(RuntimeError):
    """An event came that the present state has no row for.

    Parameters
    ----------
    state : the state, which is unchanged.
    event : the event.
    why : a further explanation, or "".
    """

    def __init__(self, state: State, event: Event, why: str = "") -> None:
        self.state = state
        self.event = event
        super().__init__(f"illegal in state {state.name}: {event!r}{': ' if why else ''}{why}")


class SessionMachine:
    """One device's session: hand it every event, carry out the actions it returns, in order.

    Parameters
    ----------
    settings : time-outs, retries and back-off.

    Examples
    --------
    >>> machine = SessionMachine(SessionSettings())
    >>> [action.name for action in machine.handle(Woken())]
    ['START_RECORDING', 'WOKEN', 'ISSUE_NONCE']
    >>> machine.handle(NonceIssued(machine.session)), machine.state.name
    ((<Task.START_NONCE: 'start nonce'>,), 'LISTENING')
    """

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._state = State.IDLE
        self._session = 0
        self._clocks = dict.fromkeys(Clock, 0.0)
        self._seen: set[type[Event]] = set()
        self._muted = False
        self._retries = 0
        self._rejections = 0
        self._lock_s = 0.0

    @property
    def state(self) -> State:
        """The present state."""
        return self._state

    @property
    def session(self) -> int:
        """Number of the last session that was begun, from 1; 0 before the first."""
        return self._session

    @property
    def in_session(self) -> bool:
        """Whether session number :attr:`session` is open."""
        return self._state in IN_SESSION

    @property
    def muted(self) -> bool:
        """Whether the microphone is switched off, also while the stream is broken."""
        return self._muted

    @property
    def retries(self) -> int:
        """Retries given in a row."""
        return self._retries

    @property
    def rejections(self) -> int:
        """Rejections since the last allowed command."""
        return self._rejections

    @property
    def lock_left_s(self) -> float:
        """What is left of the lock, audio seconds; 0.0 when there is none."""
        return max(0.0, self._lock_s - self._clocks[Clock.LOCK])

    def adopt(self, settings: SessionSettings) -> None:
        """Go on with other settings. A lock that is set keeps its length.

        Raises
        ------
        RuntimeError
            A session is open: its time-outs must not change under it.
        """
        if self.in_session:
            raise RuntimeError("a session is open")
        self._settings = settings

    def handle(self, event: Event) -> tuple[Action, ...]:
        """Make the move that `event` calls for.

        Returns
        -------
        The actions to carry out, in order; empty for an event that changes nothing.

        Raises
        ------
        IllegalMove
            The state has no row for the event, or its session was never begun. The state is
            unchanged.
        """
        if isinstance(event, Timeout):
            raise IllegalMove(self._state, event, "time-outs are the machine's own")
        if isinstance(event, SessionEvent):
            if event.session > self._session:
                raise IllegalMove(self._state, event, f"the last session is {self._session}")
            if event.session < self._session or not self.in_session:
                return ()
        actions = self._move(event)
        if isinstance(event, Heard):
            for clock in Clock:
                self._clocks[clock] += event.seconds
            actions += self._time_out()
        return actions

    def _move(self, event: Event) -> tuple[Action, ...]:
        """Take the table's row for `event`."""
        row = TRANSITIONS[self._state].get(self._key(event))
        if row is None:
            raise IllegalMove(self._state, event)
        self._count(row.tally)
        self._muted = SWITCHES.get(type(event), self._muted)
        self._seen.add(type(event))
        if row.to in IN_SESSION and not self.in_session:
            self._session += 1
            self._clocks[Clock.WOKEN] = 0.0
            self._seen.clear()
        to, actions = self._held(row.to), row.actions
        if to is not row.to:
            actions += HOLDS[to]
        if to is not self._state:
            self._state = to
            self._clocks[Clock.STATE] = 0.0
        return actions

    def _key(self, event: Event) -> Key:
        """What `event` is looked up by."""
        if not isinstance(event, Judged):
            return type(event)
        if event.decision is Decision.RETRY and self._retries >= self._settings.max_retries:
            return Decision.REJECT
        return event.decision

    def _count(self, tally: Tally | None) -> None:
        """Keep the tally of verdicts, and set the lock that it calls for."""
        if tally is Tally.ALLOWED:
            self._retries = self._rejections = 0
        elif tally is Tally.RETRIED:
            self._retries += 1
        elif tally is Tally.REJECTED:
            self._retries = 0
            self._rejections += 1
            doublings = self._rejections - self._settings.lock_after
            if doublings >= 0:
                back_off_s = self._settings.lock_first_s * 2.0 ** min(doublings, _MAX_DOUBLINGS)
                self._lock_s = min(back_off_s, self._settings.lock_max_s)
                self._clocks[Clock.LOCK] = 0.0

    def _held(self, to: State) -> State:
        """Where a move to `to` ends."""
        if to is not State.IDLE:
            return to
        holds = {State.MUTED: self._muted, State.LOCKED: self.lock_left_s > _EPSILON_S}
        return next((state for state in HOLDS if holds[state]), to)

    def _time_out(self) -> tuple[Action, ...]:
        """Fire the first timer of the state that is due."""
        for timer in TIMERS.get(self._state, ()):
            limit_s = self._lock_s if timer.limit == LOCK_LENGTH else self._limit_s(timer.limit)
            due = self._clocks[timer.clock] >= limit_s - _EPSILON_S
            if due and timer.until not in self._seen:
                return self._move(timer.fires())
        return ()

    def _limit_s(self, name: str) -> float:
        return float(getattr(self._settings, name))
