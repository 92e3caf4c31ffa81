"""A port that has no clock of its own, driven as fast as time passes."""

from __future__ import annotations

from collections.abc import Callable

from earmark.audio.port import AudioPort
from earmark.signal import BLOCK_S, Signal


class Paced:
    """Drives another port in real time: each exchange returns no sooner than its time.

    Parameters
    ----------
    port : the port to pace.
    clock : seconds, monotonic.
    sleep : waits for the given seconds.
    """

    def __init__(
        self,
        port: AudioPort,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._port = port
        self._clock = clock
        self._sleep = sleep
        self._due_s: float | None = None

    def exchange(self, play: Signal) -> Signal:
        """Exchange a block, then wait until its 20 ms are over."""
        if self._due_s is None:
            self._due_s = self._clock()
        recorded = self._port.exchange(play)
        # Late blocks are caught up with, as by a card's buffer.
        self._due_s += BLOCK_S
        wait_s = self._due_s - self._clock()
        if wait_s > 0.0:
            self._sleep(wait_s)
        return recorded

    def close(self) -> None:
        """Close the paced port."""
        self._port.close()
