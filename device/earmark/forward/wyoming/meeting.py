"""Which request to transcribe an allowed command belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

MATCH_S = 3.0
"""Most between the wake word here and the start of the request, s: two wake words notice the same
word within 0.5 s of each other, and Home Assistant passes the request on within 1 s. A person's
next command comes later than that."""


class Started(Protocol):
    """Something that began at some time, s since 1970 UTC."""

    @property
    def started_unix_s(self) -> float:
        """When."""
        ...


_S = TypeVar("_S", bound=Started)


def nearest(woken_unix_s: float, requests: Iterable[_S]) -> _S | None:
    """The request that is about the command of one session; None when none is.

    Nothing secret depends on it: what a request gets is the text of an allowed command or
    nothing at all. But the text should end up in the pipeline that heard the same words.

    Parameters
    ----------
    woken_unix_s : when the wake word was heard here, s.
    requests : those that have no command yet, dated by the same clock.
    """
    near = [r for r in requests if abs(r.started_unix_s - woken_unix_s) <= MATCH_S]
    return min(near, key=lambda r: abs(r.started_unix_s - woken_unix_s), default=None)
