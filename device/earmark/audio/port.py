"""The audio port: one full-duplex stream in lock step, whatever is behind it."""

from __future__ import annotations

from typing import Protocol

from earmark.signal import Signal


class AudioPort(Protocol):
    """A loudspeaker and a microphone that run together, block by block.

    Kinds: the simulated room, a sound card, WAV files. The caller drives it: each
    :meth:`exchange` hands over the next 20 ms to play and returns the 20 ms that the
    microphone recorded meanwhile. What is played comes back in the recording after the
    port's round-trip delay, which is constant while the stream runs but not known.
    """

    def exchange(self, play: Signal) -> Signal:
        """Play one block and return one recorded block (both ``BLOCK`` samples at ``RATE_HZ``).

        Raises
        ------
        StreamBroken
            The stream stopped: device unplugged, server gone, blocks lost.
        """
        ...

    def close(self) -> None:
        """Stop the stream. Closing twice is harmless."""
        ...
