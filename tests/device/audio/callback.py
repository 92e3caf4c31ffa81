"""What a callback of a sound card costs, seen from inside the interpreter."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

CALLS = 600
"""More than a ring has blocks, so that it wraps."""


def reserved_by(callback: Callable[[], object]) -> int:
    """Most memory that was held at any time during `CALLS` calls beyond that before, bytes.

    It counts numpy's arrays too. What Python takes from its free lists is not seen.
    """
    callback()
    gc.collect()
    tracemalloc.start()
    try:
        callback()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(CALLS):
            callback()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def called_in(callback: Callable[[], object]) -> set[str]:
    """Names of all functions, in Python or in C, that one call of `callback` calls."""
    names: set[str] = set()

    def note(frame: FrameType, event: str, which: object) -> None:
        if event == "call":
            names.add(frame.f_code.co_name)
        elif event == "c_call":
            names.add(getattr(which, "__name__", "?"))

    sys.setprofile(note)
    try:
        callback()
    finally:
        sys.setprofile(None)
    # The lambdas and helpers of the test, and the end of the profile itself.
    return names - {"<lambda>", "setprofile"} - {callback.__name__} - {"call"}
