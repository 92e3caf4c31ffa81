"""Light patterns: what a ring, a lamp or a status diode shows for each announcement.

No two patterns differ by colour alone: who sees no colours, or has one white diode, reads the
rhythm. Patterns that go on are for states, the others end by themselves. The colours are those
of Okabe and Ito (2008), which the common kinds of colour blindness keep apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from earmark.gate import Announcement

MAX_FLASHES_HZ = 3.0
"""Flashes a second that no pattern exceeds: WCAG 2.2, success criterion 2.3.1 (seizures)."""


class Colour(Enum):
    """A colour as red, green, blue, 0 to 255."""

    BLUE = (0, 114, 178)
    GREEN = (0, 158, 115)
    YELLOW = (240, 228, 66)
    VERMILION = (213, 94, 0)
    WHITE = (255, 255, 255)


@dataclass(frozen=True)
class LightPattern:
    """One pattern.

    Parameters
    ----------
    name : the announcement's name in lower case.
    colour : its colour.
    blink : times on and off in turn, s, beginning with on; off may be 0 for steady light.
    repeats : how often `blink` is shown; 0 shows it until the next pattern.
    """

    name: str
    colour: Colour
    blink: tuple[float, ...]
    repeats: int

    @property
    def duration_s(self) -> float:
        """How long it is shown, s; infinity when it goes on."""
        return sum(self.blink) * self.repeats if self.repeats else float("inf")


_SHORT, _LONG, _GAP, _PAUSE = 0.2, 0.8, 0.2, 0.8
"""Times in s. A short flash with its gap is 0.4 s, 2.5 flashes a second; long is four times
short, as dash and dot are three times apart in Morse code."""

_AGAIN = (_SHORT, _GAP, _SHORT, _GAP)
_PATTERNS: dict[Announcement, tuple[Colour, tuple[float, ...], int]] = {
    Announcement.WOKEN: (Colour.BLUE, (1.0, 0.0), 0),
    Announcement.ALLOWED: (Colour.GREEN, (1.5, 0.0), 1),
    Announcement.TRY_AGAIN_NOTHING_HEARD: (Colour.YELLOW, _AGAIN, 1),
    Announcement.TRY_AGAIN_QUIET: (Colour.YELLOW, (*_AGAIN, _LONG, _GAP), 1),
    Announcement.TRY_AGAIN_LOUD: (Colour.YELLOW, (*_AGAIN, _SHORT, _GAP), 1),
    Announcement.TRY_AGAIN_TOO_LONG: (Colour.YELLOW, (*_AGAIN, _LONG, _GAP, _LONG, _GAP), 1),
    Announcement.TRY_AGAIN_UNCOVER: (Colour.YELLOW, (*_AGAIN, _LONG, _GAP, _SHORT, _GAP), 1),
    Announcement.COULD_NOT_VERIFY: (Colour.VERMILION, (_LONG, _GAP), 2),
    Announcement.LOCKED: (Colour.VERMILION, (_LONG, _PAUSE), 0),
    Announcement.READY: (Colour.GREEN, (_SHORT, _GAP), 1),
    Announcement.OFFLINE: (Colour.WHITE, (_LONG, _GAP, _SHORT, _GAP), 2),
    Announcement.MUTED: (Colour.VERMILION, (0.1, 2.9), 0),
    Announcement.UNMUTED: (Colour.WHITE, (_LONG, _GAP), 1),
    Announcement.FAULT: (Colour.VERMILION, (_SHORT, _GAP, _SHORT, _GAP, _SHORT, _PAUSE), 0),
}


def light(announcement: Announcement) -> LightPattern:
    """Return the pattern of an announcement."""
    colour, blink, repeats = _PATTERNS[announcement]
    return LightPattern(announcement.value, colour, blink, repeats)
