"""Sessions that start without a wake word: a button, and a script of times."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from earmark.signal import RATE_HZ, Signal


class ButtonWake:
    """Push to talk; a :class:`WakeDetector`.

    :meth:`press` may be called from any thread; the next block then reports it, once however
    often it was pressed meanwhile.
    """

    def __init__(self) -> None:
        self._pressed = threading.Event()

    def press(self) -> None:
        """Ask for a session."""
        self._pressed.set()

    def heard(self, block: Signal) -> bool:
        """Feed one block; True when the button was pressed since the last one."""
        if not self._pressed.is_set():
            return False
        self._pressed.clear()
        return True

    def reset(self) -> None:
        """Forget a press that was not reported yet."""
        self._pressed.clear()


class ScriptedWake:
    """Fires at given times of the stream, for benchmarks; a :class:`WakeDetector`.

    Parameters
    ----------
    times_s : audio time from the first block on, s, in any order. A time is reported in the
        block that contains it; several in one block count once.

    Raises
    ------
    ValueError
        A time is negative or not a number.
    """

    def __init__(self, times_s: Iterable[float]) -> None:
        times = sorted(times_s)
        if any(not time >= 0.0 for time in times):
            raise ValueError(f"times_s must be at least 0 s, got {times}")
        self._due = [round(time * RATE_HZ) for time in reversed(times)]
        self._now = 0

    def heard(self, block: Signal) -> bool:
        """Feed one block; True when a time of the script lies in it."""
        self._now += block.size
        fired = False
        while self._due and self._due[-1] < self._now:
            self._due.pop()
            fired = True
        return fired

    def reset(self) -> None:
        """Nothing to forget: the script follows the stream, which goes on."""
