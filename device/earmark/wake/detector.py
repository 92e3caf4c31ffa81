"""What the loop asks of a wake-word detector and of an endpointer; kinds live beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from earmark.signal import Signal


class WakeDetector(Protocol):
    """Hears the wake word in a stream of blocks."""

    def heard(self, block: Signal) -> bool:
        """Feed one block; True in the block in which the wake word was recognised."""
        ...

    def reset(self) -> None:
        """Forget what was heard, before listening starts anew."""
        ...


@dataclass(frozen=True)
class SpeechSpan:
    """Where the speech lay, in s of audio fed since the reset (estimates, +-0.2 s)."""

    start_s: float
    end_s: float


class Endpointer(Protocol):
    """Tells when somebody speaks and when they have stopped.

    It hears the microphone after the nonce was taken out.
    """

    def overhear(self, block: Signal) -> None:
        """Learn what the room sounds like from a block outside of a command."""
        ...

    def feed(self, block: Signal) -> bool:
        """Feed one block; True while the person is taken to be speaking (hangover included)."""
        ...

    @property
    def span(self) -> SpeechSpan | None:
        """First start and last end of speech since the reset; None before any."""
        ...

    def reset(self) -> None:
        """Forget the past, before a command starts."""
        ...
