"""Near-copies of a query among fingerprints, at its own speed and at others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.memory.neighbours.fingerprint import Fingerprint
from earmark.memory.neighbours.index import CANDIDATES, PeakIndex
from earmark.memory.neighbours.limits import NeighboursLimits

THIN = 3
"""At other speeds every third peak looks for candidates: six speeds then cost 6 ms instead of 12
at 1,000 fingerprints."""

MISSES = 2
"""Candidates at another speed that may turn out unlike before the rest is left out. At the right
speed a copy comes first."""


@dataclass(frozen=True)
class Copy:
    """A fingerprint that the query is a near-copy of.

    Parameters
    ----------
    number : of the other one, in the index.
    likeness : aligned cosine, 0 to 1.
    speed_percent : how much faster the query is played, %; 0 for the same speed.
    """

    number: int
    likeness: float
    speed_percent: float


def near_copies(
    index: PeakIndex,
    fingerprint: Fingerprint,
    limits: NeighboursLimits,
    speeds_percent: Sequence[float],
    enough: int = CANDIDATES,
) -> list[Copy]:
    """Return what in `index` is over the limit, the most alike first, each once.

    Parameters
    ----------
    index : where to look.
    fingerprint : of the query, with at least one peak.
    limits : over which likeness it is a copy.
    speeds_percent : other speeds than its own to look at, %.
    enough : with so many copies, no further speed is looked at.
    """
    least = limits.likeness(len(fingerprint))
    found: dict[int, Copy] = {}
    for speed_percent in (0.0, *speeds_percent):
        if len(found) >= enough:
            break
        if speed_percent:
            # Brought back to the speed of the one that it is a copy of.
            back = fingerprint.at_speed(1.0 / (1.0 + speed_percent / 100.0))
            matches = index.like(back, least, THIN, MISSES)
        else:
            matches = index.like(fingerprint, least)
        for match in matches:
            best = found.get(match.number)
            over = match.likeness > limits.likeness(match.peaks)
            if over and (best is None or match.likeness > best.likeness):
                found[match.number] = Copy(match.number, match.likeness, speed_percent)
    # Of two that are as alike the later one, so that a restart changes nothing.
    return sorted(found.values(), key=lambda copy: (-copy.likeness, -copy.number))
