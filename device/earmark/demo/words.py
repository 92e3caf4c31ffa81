"""What the demo says about a result, in words: for the table and the pictures alike."""

from __future__ import annotations

from datetime import datetime

from earmark.demo.evening import SceneResult
from earmark.gate import GUEST, Decision, Reason

REASONS = {
    Reason.FRESH: "spoken here and now",
    Reason.NO_SPEECH: "nobody spoke after the wake word",
    Reason.TOO_QUIET: "hardly above the noise",
    Reason.CLIPPED: "the microphone was overdriven",
    Reason.TOO_LONG: "the command was too long",
    Reason.NONCE_ABSENT: "the nonce is not in the recording",
    Reason.NONCE_DAMAGED: "the nonce is damaged",
    Reason.NONCE_INCOMPLETE: "the nonce covers too little of the command",
    Reason.STALE_UNDETERMINED: "too much of the nonce was left to look under it",
    Reason.REPLAY: "a replay of an earlier session",
    Reason.INTERFERENCE: "an earlier nonce spoils the current one",
    Reason.QUERY_ATTACK: "one of many near-copies, as of a crafted command",
    Reason.MEMORY_UNDETERMINED: "too little sound to compare with earlier commands",
    Reason.STRANGER: "a voice that nobody has enrolled",
    Reason.SPEAKER_UNDETERMINED: "too little speech to say whose it is",
    Reason.FAULT: "a part of Earmark failed",
}
"""A clause for each reason."""

NO_SESSION = "the wake word was not recognised"
"""The clause when no session began, or none ended in time."""

_DONE = {
    Decision.ALLOW: "Allowed and forwarded",
    Decision.RETRY: "Asked to try again",
    Decision.REJECT: "Rejected",
    None: "No session",
}


def clock(unix_s: float) -> str:
    """The time of day at this device, hours and minutes."""
    return datetime.fromtimestamp(unix_s).astimezone().strftime("%H:%M")


def place(room: str) -> str:
    """A room's name as people write it."""
    return room.replace("_", " ")


def reason(result: SceneResult) -> str:
    """Why, in a clause; of what is allowed, with who spoke."""
    if result.reason is None:
        return NO_SESSION
    if result.decision is not Decision.ALLOW or result.person is None:
        return REASONS[result.reason]
    return f"{REASONS[result.reason]} by {'a guest' if result.person == GUEST else result.person}"


def done(result: SceneResult) -> str:
    """What became of the command."""
    if result.enrols and result.decision is Decision.ALLOW:
        return "Taken as a phrase"
    return _DONE[result.decision]


def recorded(result: SceneResult) -> str | None:
    """When and where a replay was recorded; None when it was no replay."""
    if result.recorded_at is None or result.recorded_in is None:
        return None
    return f"recorded {clock(result.recorded_at)} in the {place(result.recorded_in)}"


def crafted(result: SceneResult) -> str | None:
    """How many near-copies there were, and since when; None when that was not the reason."""
    if result.reason is not Reason.QUERY_ATTACK:
        return None
    detail = next(one.detail for one in result.findings if one.reason is Reason.QUERY_ATTACK)
    since = datetime.fromisoformat(str(detail["first_utc"])).timestamp()
    return f"copy {detail['count']} of a {detail['carrier']} clip first heard {clock(since)}"


def detail(result: SceneResult) -> str:
    """What else there is to know, in a line."""
    if made := recorded(result) or crafted(result):
        return made
    if result.enrols and result.person is not None:
        return f"enrolled from {result.sessions} phrases; nothing is forwarded"
    if result.decision is Decision.ALLOW:
        bare_s = result.uncovered_s or 0.0
        cover = f"all but {bare_s:.1f} s of it" if bare_s >= 0.05 else "all of it"
        return f"nonce over {cover}, then lowered by {result.suppression_db or 0.0:.0f} dB"
    return f"the room is told: {result.told.text}" if result.told else "the room is told nothing"
