"""What the machine asks for: tasks for the daemon, and cues that a person hears and sees."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias


class Task(Enum):
    """Something the daemon does for the open session."""

    START_RECORDING = "start recording"
    """Keep the microphone's signal from the end of the wake word on (with pre-roll)."""
    ISSUE_NONCE = "issue nonce"
    """Draw a nonce and record it in the ledger; answer NonceIssued or StorageFailed."""
    START_NONCE = "start nonce"
    """Play the issued nonce, over and over."""
    STOP_NONCE = "stop nonce"
    """Stop playing it (and tell the ledger how many slots were played)."""
    VERIFY = "verify"
    """Close the recording and have the gate judge it; answer Judged."""
    FORWARD = "forward"
    """Hand the command over; answer Forwarded or ForwardFailed."""
    DISCARD = "discard"
    """Drop the recording, and cancel what still works on it (verifying, forwarding)."""


class Cue(Enum):
    """Something the person in the room is told. Reasons of a retry come from the verdict."""

    WOKEN = "woken"
    ALLOWED = "allowed"
    RETRY = "retry"
    NO_SPEECH = "no speech"
    TOO_LONG = "too long"
    REJECTED = "rejected"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    MUTED = "muted"
    UNMUTED = "unmuted"
    FAULT = "fault"
    RESTORED = "restored"


Action: TypeAlias = Task | Cue
