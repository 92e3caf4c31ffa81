"""Memory that the C library keeps for later: kept together, and given back.

A verdict takes some 40 MB for half a second, in many pieces. The C library (glibc) keeps what is
freed in the hope of the next one, which may be hours away, and each thread keeps its own. A device
has other uses for it meanwhile. Elsewhere than on glibc nothing happens here.
"""

from __future__ import annotations

import ctypes

M_ARENA_MAX = -8
"""The option of mallopt(3) for the number of arenas: places that threads take memory from."""

ARENAS = 1
"""One: of the others malloc_trim(3) never gives the end back, which is most of it, and the
interpreter's lock keeps threads from waiting for each other here."""


def share() -> bool:
    """Have all threads that are still to come take memory from one place; whether that worked."""
    try:
        return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS))
    except (OSError, AttributeError):
        return False


def give_back() -> bool:
    """Give freed memory back to the system, in some ms; whether there was any."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0)))
    except (OSError, AttributeError):
        return False
