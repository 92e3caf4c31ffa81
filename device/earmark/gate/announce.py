"""What the person in the room is told.

It is all that the room ever learns: sounds and lights are made from an :class:`Announcement`
alone, never from the verdict. The reason in full goes to the journal.

- A reason that the person can mend is named.
- Every suspected attack is the same ``COULD_NOT_VERIFY``, so that an attacker cannot learn
  which of his tricks was noticed.
- A damaged or incomplete nonce, or one that could not be taken out, is ``COULD_NOT_VERIFY`` as
  well, though it leads to a retry: there may be an old nonce that spoils the current one without
  being recognised, and telling the two apart would let somebody improve a removal step by step.
- A command with too little sound for the query memory is ``COULD_NOT_VERIFY`` too: what the
  memory can make of a sound is nobody's business.
- A voice that nobody has enrolled, or too little of one, is ``COULD_NOT_VERIFY`` as well: whoever
  imitates a person must not learn that only the voice was wrong.
- An absent nonce is named (uncover the loudspeaker). A cushion on the device is the common
  cause, and only its owner can take it away; somebody who jams the loudspeaker on purpose
  learns nothing that he did not bring about himself.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from earmark.gate.finding import Reason, Verdict


class Announcement(Enum):
    """One thing that the device can tell the room."""

    WOKEN = "woken"
    ALLOWED = "allowed"
    TRY_AGAIN_NOTHING_HEARD = "try_again_nothing_heard"
    TRY_AGAIN_QUIET = "try_again_quiet"
    TRY_AGAIN_LOUD = "try_again_loud"
    TRY_AGAIN_TOO_LONG = "try_again_too_long"
    TRY_AGAIN_UNCOVER = "try_again_uncover"
    COULD_NOT_VERIFY = "could_not_verify"
    LOCKED = "locked"
    READY = "ready"
    OFFLINE = "offline"
    MUTED = "muted"
    UNMUTED = "unmuted"
    FAULT = "fault"

    @property
    def text(self) -> str:
        """One sentence for a display, a table or a voice."""
        return _TEXT[self]


_TEXT = {
    Announcement.WOKEN: "Listening.",
    Announcement.ALLOWED: "Done.",
    Announcement.TRY_AGAIN_NOTHING_HEARD: "I heard nothing. Please try again.",
    Announcement.TRY_AGAIN_QUIET: "Please come closer or speak up, and try again.",
    Announcement.TRY_AGAIN_LOUD: "Please speak less loudly or step back, and try again.",
    Announcement.TRY_AGAIN_TOO_LONG: "That was too long. Please try again in fewer words.",
    Announcement.TRY_AGAIN_UNCOVER: "Please uncover the loudspeaker and try again.",
    Announcement.COULD_NOT_VERIFY: "I could not verify that. Please try again.",
    Announcement.LOCKED: "Please wait a moment before the next try.",
    Announcement.READY: "Ready again.",
    Announcement.OFFLINE: "The assistant cannot be reached.",
    Announcement.MUTED: "The microphone is off.",
    Announcement.UNMUTED: "The microphone is on.",
    Announcement.FAULT: "Something is wrong with me. Please look at my journal.",
}

_OF_REASON = {
    Reason.FRESH: Announcement.ALLOWED,
    Reason.NO_SPEECH: Announcement.TRY_AGAIN_NOTHING_HEARD,
    Reason.TOO_QUIET: Announcement.TRY_AGAIN_QUIET,
    Reason.CLIPPED: Announcement.TRY_AGAIN_LOUD,
    Reason.TOO_LONG: Announcement.TRY_AGAIN_TOO_LONG,
    Reason.NONCE_ABSENT: Announcement.TRY_AGAIN_UNCOVER,
    Reason.NONCE_DAMAGED: Announcement.COULD_NOT_VERIFY,
    Reason.NONCE_INCOMPLETE: Announcement.COULD_NOT_VERIFY,
    Reason.STALE_UNDETERMINED: Announcement.COULD_NOT_VERIFY,
    Reason.REPLAY: Announcement.COULD_NOT_VERIFY,
    Reason.INTERFERENCE: Announcement.COULD_NOT_VERIFY,
    Reason.QUERY_ATTACK: Announcement.COULD_NOT_VERIFY,
    Reason.MEMORY_UNDETERMINED: Announcement.COULD_NOT_VERIFY,
    Reason.STRANGER: Announcement.COULD_NOT_VERIFY,
    Reason.SPEAKER_UNDETERMINED: Announcement.COULD_NOT_VERIFY,
    Reason.FAULT: Announcement.FAULT,
}


UNJUDGED: Mapping[Announcement, Reason] = MappingProxyType(
    {
        Announcement.TRY_AGAIN_NOTHING_HEARD: Reason.NO_SPEECH,
        Announcement.TRY_AGAIN_TOO_LONG: Reason.TOO_LONG,
        Announcement.FAULT: Reason.FAULT,
    }
)
"""Why a session ended that the gate never judged, by what the room was told."""


def announcement(verdict: Verdict) -> Announcement:
    """Return what the room is told of `verdict`; it depends on the reason alone."""
    return _OF_REASON[verdict.reason]
