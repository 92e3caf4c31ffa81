"""The evening, as data: who speaks where, what an attacker plays, and what should come of it.

A household with three devices that share their ledgers. The wake words and the sentences are
recordings of different people (see ``assets/CREDITS.md``): no set has both by one voice. Voices
are enrolled on the device in the kitchen only; at the others nobody is, so that everybody may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from earmark.errors import EarmarkError
from earmark.gate import Decision, Reason


@dataclass(frozen=True, slots=True)
class Speaks:
    """A person says the wake word and a command.

    Parameters
    ----------
    wake, command : names of clips; without a command the person says no more.
    source : the position in the room.
    level_dbspl_1m : how loud, at 1 m, dB SPL. ISO 9921 gives 54 for a relaxed voice, 60 for a
        normal and 66 for a raised one; to a machine across the room people speak up.
    pause_s : between the two, s. The wake-word network wants a breath after its word.
    """

    wake: str
    command: str | None
    source: str = "person_1m"
    level_dbspl_1m: float = 62.0
    pause_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Replays:
    """An attacker plays what was recorded in an earlier scene, 1 m from the device.

    Parameters
    ----------
    scene : the scene in which it was recorded, from before the wake word on.
    through : the loudspeaker: a small box or a phone's.
    level_dbspl_1m : how loud, at 1 m, dB SPL.
    """

    scene: str
    through: Literal["speaker", "phone"] = "speaker"
    level_dbspl_1m: float = 64.0


@dataclass(frozen=True, slots=True)
class Varies:
    """An attacker plays a crafted command again and again, changing it a little every time.

    A real one changes it to see whether the recogniser takes the bait; here a recorded sentence
    stands for the carrier, and fresh noise for the changes. A session each minute, until one is
    not allowed.

    Parameters
    ----------
    wake, command : names of clips.
    times : most sessions that he tries.
    change_db : how far the changes are below the command, dB.
    level_dbspl_1m : how loud, at 1 m, dB SPL.
    pause_s : between wake word and command, s.
    """

    wake: str
    command: str
    times: int = 8
    change_db: float = 20.0
    level_dbspl_1m: float = 64.0
    pause_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Enrols:
    """A person enrols: says phrases, each in a session of its own, a minute each.

    Parameters
    ----------
    name : of the person.
    wake : name of a clip.
    phrases : names of sentences, as many as the device asks for.
    source : the position in the room.
    level_dbspl_1m : how loud, at 1 m, dB SPL.
    pause_s : between wake word and phrase, s.
    """

    name: str
    wake: str
    phrases: tuple[str, ...]
    source: str = "person_1m"
    level_dbspl_1m: float = 62.0
    pause_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Expected:
    """What a scene should end with.

    Parameters
    ----------
    decision, reason : of the verdict.
    recorded_in : for a replay, the room that must be named as the one of the recording.
    sessions : how many there are; all but the last are allowed.
    person : who must be named as the one who spoke; None: nobody in particular.
    """

    decision: Decision
    reason: Reason
    recorded_in: str | None = None
    sessions: int = 1
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One session, or several of the same kind in a row.

    Parameters
    ----------
    name : one word or more, joined by ``_``; the key in the report.
    title : the same for a person, in a line.
    room : the room, which is also the name of the device in it.
    minute : when, minutes after the evening has begun.
    what : what happens.
    expected : what should come of it.
    ambient_dbspl : noise in the room (pink), dB SPL; 35 is a quiet home.
    television_dbspl : level of a talking television at the device, dB SPL; None: it is off.
    drift_ppm, frequency_shift_hz : between loudspeaker and microphone.
    jammed : the loudspeaker is cut off.
    recorder : where somebody records the session, a receiver of the room; None: nobody does.
    after : the scene that must have been played before; None: any or none.
    """

    name: str
    title: str
    room: str
    minute: int
    what: Speaks | Replays | Varies | Enrols
    expected: Expected
    ambient_dbspl: float = 35.0
    television_dbspl: float | None = None
    drift_ppm: float = 0.0
    frequency_shift_hz: float = 0.0
    jammed: bool = False
    recorder: str | None = None
    after: str | None = None


RESIDENT = "Robin"
"""Who lives here, by name."""

_ALLOWED = Expected(Decision.ALLOW, Reason.FRESH)

EVENING: tuple[Scene, ...] = (
    Scene(
        "enrol",
        f"{RESIDENT} enrols with four phrases",
        "kitchen",
        -8,
        Enrols(RESIDENT, "1", ("resident_1", "resident_3", "resident_4", "reading_1")),
        Expected(Decision.ALLOW, Reason.FRESH, sessions=4, person=RESIDENT),
    ),
    Scene(
        "live",
        f"{RESIDENT}, 1 m away, gives a command",
        "kitchen",
        0,
        Speaks("1", "resident_2"),
        Expected(Decision.ALLOW, Reason.FRESH, person=RESIDENT),
        recorder="r1",
        after="enrol",
    ),
    Scene(
        "replay",
        "A bystander's recording of the command is replayed",
        "kitchen",
        12,
        Replays("live"),
        Expected(Decision.REJECT, Reason.REPLAY, recorded_in="kitchen"),
    ),
    Scene(
        "replay_other_device",
        "The same recording is replayed at another device",
        "bedroom",
        25,
        Replays("live"),
        Expected(Decision.REJECT, Reason.REPLAY, recorded_in="kitchen"),
    ),
    Scene(
        "jammed",
        "The loudspeaker is cut off",
        "kitchen",
        34,
        Speaks("2", "bread"),
        Expected(Decision.RETRY, Reason.NONCE_ABSENT),
        jammed=True,
    ),
    Scene(
        "stranger",
        "Somebody who is not enrolled gives a command",
        "kitchen",
        39,
        Speaks("2", "reading_2"),
        Expected(Decision.RETRY, Reason.STRANGER),
        after="enrol",
    ),
    Scene(
        "television",
        "A television talks while a person speaks",
        "living_room",
        47,
        Speaks("6", "quarter_to_eleven", level_dbspl_1m=66.0),
        _ALLOWED,
        television_dbspl=52.0,
        recorder="r2",
    ),
    Scene(
        "across_the_room",
        "A person 4 m away; a USB microphone 300 ppm off, 8 Hz shift",
        "living_room",
        58,
        Speaks("3", "table", source="person_4m", level_dbspl_1m=66.0),
        _ALLOWED,
        drift_ppm=300.0,
        frequency_shift_hz=8.0,
    ),
    Scene(
        "close_recorder",
        "Recorded 20 cm from the mouth, replayed by a phone",
        "living_room",
        71,
        Replays("television", through="phone"),
        Expected(Decision.REJECT, Reason.REPLAY, recorded_in="living_room"),
    ),
    Scene(
        "nobody_speaks",
        "The wake word, then nobody speaks",
        "bedroom",
        85,
        Speaks("4", None),
        Expected(Decision.RETRY, Reason.NO_SPEECH),
    ),
    Scene(
        "crafted",
        "A crafted command, changed a little every time",
        "bedroom",
        96,
        Varies("7", "lobsters"),
        # The memory withholds what has five near-copies.
        Expected(Decision.REJECT, Reason.QUERY_ATTACK, sessions=6),
    ),
)
"""The whole evening. Rooms repeat, so that sessions meet the state that earlier ones left."""

QUICK = ("enrol", "live", "replay", "jammed")
"""The scenes that show the main thing in a few seconds."""


def chosen(names: tuple[str, ...], scenes: tuple[Scene, ...] = EVENING) -> tuple[Scene, ...]:
    """The scenes of these names and those that they need to have been played before, in order.

    Raises
    ------
    EarmarkError
        There is no such scene; the message lists those there are.
    """
    by_name = {scene.name: scene for scene in scenes}
    wanted: set[str] = set()
    asked = list(names)
    while asked:
        name = asked.pop()
        if name not in by_name:
            raise EarmarkError(f"no scene {name!r}", f"choose from {', '.join(by_name)}")
        wanted.add(name)
        scene = by_name[name]
        recorded = scene.what.scene if isinstance(scene.what, Replays) else None
        asked += [needed for needed in (recorded, scene.after) if needed is not None]
    return tuple(scene for scene in scenes if scene.name in wanted)
