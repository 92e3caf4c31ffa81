"""The session as a pure state machine: events in, actions out. Start at `machine.py`."""

from earmark.session.actions import Action, Cue, Task
from earmark.session.events import (
    CommandEnded,
    Decision,
    Event,
    FeedbackDone,
    Forwarded,
    ForwardFailed,
    Heard,
    Judged,
    JudgingFailed,
    Muted,
    NonceIssued,
    SessionEvent,
    SpeechStarted,
    StorageFailed,
    StreamFailed,
    StreamRestored,
    Unmuted,
    Woken,
)
from earmark.session.machine import IllegalMove, SessionMachine, State
from earmark.session.settings import SessionSettings

__all__ = [
    "Action",
    "CommandEnded",
    "Cue",
    "Decision",
    "Event",
    "FeedbackDone",
    "ForwardFailed",
    "Forwarded",
    "Heard",
    "IllegalMove",
    "Judged",
    "JudgingFailed",
    "Muted",
    "NonceIssued",
    "SessionEvent",
    "SessionMachine",
    "SessionSettings",
    "SpeechStarted",
    "State",
    "StorageFailed",
    "StreamFailed",
    "StreamRestored",
    "Task",
    "Unmuted",
    "Woken",
]
