"""What happens to a session: frozen values, checked when they are built.

An event that answers an action carries the number of the session it belongs to
(:attr:`SessionMachine.session` when the action was given). So an answer that comes after
its session was aborted is recognised and dropped, never obeyed for the next one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

STEP_MAX_S = 1.0
"""Longest step of time in one event, s. A block is 0.02 s; a step coarser than a second
would overrun the shortest time-outs by more than their own length."""


class Decision(Enum):
    """What the gate decided. The session knows no reasons; the daemon maps the verdict."""

    ALLOW = "allow"
    RETRY = "retry"
    REJECT = "reject"


@dataclass(frozen=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True)
class Heard(Event):
    """Audio time passed, in every state in which the stream runs.

    Parameters
    ----------
    seconds : length of the audio received since the last such event, in (0, STEP_MAX_S].
    """

    seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and 0.0 < self.seconds <= STEP_MAX_S):
            raise ValueError(f"Heard: {self.seconds!r} s is outside (0, {STEP_MAX_S:g}]")


@dataclass(frozen=True)
class Woken(Event):
    """The wake word was recognised."""


@dataclass(frozen=True)
class Muted(Event):
    """The microphone was switched off by the person or over the control channel."""


@dataclass(frozen=True)
class Unmuted(Event):
    """The microphone was switched on again."""


@dataclass(frozen=True)
class StreamFailed(Event):
    """The audio stream stopped."""


@dataclass(frozen=True)
class StreamRestored(Event):
    """The audio stream runs again."""


@dataclass(frozen=True)
class SessionEvent(Event):
    """Base of the events that belong to one session.

    Parameters
    ----------
    session : the session's number, from 1.
    """

    session: int

    def __post_init__(self) -> None:
        if isinstance(self.session, bool) or not isinstance(self.session, int) or self.session < 1:
            raise ValueError(f"{type(self).__name__}: {self.session!r} is no session number")


@dataclass(frozen=True)
class NonceIssued(SessionEvent):
    """A fresh nonce was drawn and the ledger has recorded it durably."""


@dataclass(frozen=True)
class StorageFailed(SessionEvent):
    """The ledger could not record the nonce."""


@dataclass(frozen=True)
class SpeechStarted(SessionEvent):
    """Somebody began to speak after the wake word; may come again after a pause."""


@dataclass(frozen=True)
class CommandEnded(SessionEvent):
    """The endpointer found the end of the command."""


@dataclass(frozen=True)
class Judged(SessionEvent):
    """The gate reached its verdict."""

    decision: Decision

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.decision, Decision):
            raise ValueError(f"Judged: {self.decision!r} is no Decision")


@dataclass(frozen=True)
class JudgingFailed(SessionEvent):
    """No verdict could be reached, through a fault of our own."""


@dataclass(frozen=True)
class Forwarded(SessionEvent):
    """The allowed command was handed over."""


@dataclass(frozen=True)
class ForwardFailed(SessionEvent):
    """The allowed command could not be handed over."""


@dataclass(frozen=True)
class FeedbackDone(SessionEvent):
    """The sound of the last cue is over."""


@dataclass(frozen=True)
class Timeout(Event):
    """Base of the events that the machine gives itself when a timer runs out."""


@dataclass(frozen=True)
class TimedOut(Timeout):
    """What the state waits for did not come in time, or the lock is over."""


@dataclass(frozen=True)
class NobodySpoke(Timeout):
    """No speech within ``no_speech_s`` of the wake word."""


@dataclass(frozen=True)
class CommandTooLong(Timeout):
    """The command has not ended within ``max_command_s`` of the wake word."""
