"""ggwave: the usual library for data over sound (https://github.com/ggerganov/ggwave).

Each byte is two of 96 tones from 1.9 to 6.3 kHz, three bytes at a time, with Reed-Solomon
codes behind it. A symbol lasts 192 ms ("normal") or 128 ms ("fast").

Its settings are the ones that measured best in speech and rooms at 16 kHz:

- It works at its own 48 kHz; soxr brings its sound to 16 kHz and the recording back. Its band
  ends at 6.4 kHz, so nothing is lost. Its own resampler decodes no better and takes
  twenty times as long.
- Only the wanted protocol is listened for, as its header advises: fewer false starts.
- Each recording is read `passes` times, each a part of a frame later, since ggwave analyses
  frames where they happen to begin.
- With ``fixed`` both ends know the length (four bytes), and the two sound markers of 0.34 s
  each and the coded length are left out: 0.58 s in place of 1.45 s. One message alone comes
  through a little better with markers, because they make it longer. In the same time and at
  the same level, repeated messages without markers are far ahead, so that is its best mode.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import ggwave
import numpy as np
import soxr

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.peers.modem import (
    PAYLOAD_BYTES,
    at_most_full_scale,
    checked_payload,
    checked_recording,
)

NATIVE_HZ = 48_000
"""ggwave's default rate, Hz: its tones are multiples of 46.875 Hz there."""

FRAME = 1024
"""Samples of one of its frames at 48 kHz."""

AVERAGED_FRAMES = 4
"""With markers, it looks for one in the mean of this many frames."""

MARKER_FRAMES = 16
"""Length of each of the two sound markers, frames."""

LENGTH_BYTES = 3
"""With markers, the length is sent first: one byte and two of error correction."""

ECC_BYTES = 4
"""Error correction of a payload of four bytes."""

BYTES_A_SYMBOL = 3

PROTOCOLS = 12
"""Number of protocols that it knows, all of which it listens for unless told otherwise."""

MARKER_THRESHOLD = 1.3
"""Ratio of neighbouring tones in a marker. Its default, 3, misses markers under speech: 1.3
decodes some 0.1 more of the messages 12 to 24 dB below it; a lower one gains nothing more."""

PASSES = 4
"""Readings of a recording: eight in place of four gain 0.01 of the messages."""

VOLUME = 100
"""Full scale; the bench sets the level."""

_PROCESS_WIDE = threading.Lock()
"""Protocols are switched on and off for the whole process, and there are four instances."""

ggwave.disableLog()  # it prints what it received


class Protocol(Enum):
    """ggwave's audible protocols: its number, and how many frames a symbol lasts."""

    NORMAL = (0, 9)
    FAST = (1, 6)


@dataclass(frozen=True)
class Ggwave:
    """A :class:`Modem` of ggwave.

    Parameters
    ----------
    name : what tables call it.
    protocol : duration of a symbol.
    fixed : no sound markers, the length is known to both ends.
    passes : how often a recording is read, at different offsets (1 to 16).
    marker_threshold : see :data:`MARKER_THRESHOLD` (1 to 10); without effect when `fixed`.
    """

    name: str
    protocol: Protocol
    fixed: bool
    passes: int = PASSES
    marker_threshold: float = MARKER_THRESHOLD

    def __post_init__(self) -> None:
        if not 1 <= self.passes <= 16:
            raise ValueError(f"passes is {self.passes}, must be 1 to 16")
        if not 1.0 <= self.marker_threshold <= 10.0:
            raise ValueError(f"marker_threshold is {self.marker_threshold}, must be 1 to 10")

    @property
    def payload_bytes(self) -> int:
        """Length of the payload, bytes."""
        return PAYLOAD_BYTES

    @property
    def seconds(self) -> float:
        """Duration of one message, s."""
        sent = PAYLOAD_BYTES + ECC_BYTES + (0 if self.fixed else LENGTH_BYTES)
        frames = -(-sent // BYTES_A_SYMBOL) * self.protocol.value[1]
        return (frames + (0 if self.fixed else 2 * MARKER_FRAMES)) * FRAME / NATIVE_HZ

    def encode(self, payload: bytes) -> Signal:
        """See :meth:`Modem.encode`."""
        checked_payload(payload)
        with self._instance() as instance:
            sound = ggwave.encode(payload, self.protocol.value[0], VOLUME, instance)
        native = np.frombuffer(sound, np.float32)
        return at_most_full_scale(soxr.resample(native, NATIVE_HZ, RATE_HZ))

    def decode(self, recording: Signal) -> bytes | None:
        """See :meth:`Modem.decode`."""
        native = soxr.resample(
            np.asarray(checked_recording(recording), np.float32), RATE_HZ, NATIVE_HZ
        )
        # Silence behind it, so that frames at the very end are complete in every pass.
        native = np.concatenate([native, np.zeros(2 * AVERAGED_FRAMES * FRAME, np.float32)])
        period = FRAME if self.fixed else AVERAGED_FRAMES * FRAME
        for part in range(self.passes):
            found = self._read(native[part * period // self.passes :])
            if found is not None:
                return found
        return None

    def _read(self, native: Signal) -> bytes | None:
        with self._instance() as instance:
            for start in range(0, native.size, FRAME):
                # Frame by frame: from a longer piece only its last message would come back.
                found = ggwave.decode(instance, native[start : start + FRAME].tobytes())
                if found is not None and len(found) == PAYLOAD_BYTES:
                    return bytes(found)
        return None

    @contextmanager
    def _instance(self) -> Iterator[int]:
        """An instance that knows only this protocol, for one thread at a time."""
        parameters = ggwave.getDefaultParameters()
        parameters["payloadLength"] = PAYLOAD_BYTES if self.fixed else -1
        parameters["soundMarkerThreshold"] = self.marker_threshold
        with _PROCESS_WIDE:
            try:
                _listen_for([self.protocol.value[0]])
                instance = ggwave.init(parameters)
            finally:
                _listen_for(range(PROTOCOLS))
            if instance < 0:
                raise EarmarkError(
                    "ggwave has no free instance",
                    "free those that other code of this process holds",
                )
            try:
                yield instance
            finally:
                ggwave.free(instance)


def _listen_for(protocols: range | list[int]) -> None:
    """Switch protocols on, and all others off, for instances made from now on."""
    for number in range(PROTOCOLS):
        ggwave.rxToggleProtocol(number, int(number in protocols))
        ggwave.txToggleProtocol(number, int(number in protocols))


GGWAVE_NORMAL = Ggwave("ggwave normal", Protocol.NORMAL, fixed=False)
GGWAVE_FAST = Ggwave("ggwave fast", Protocol.FAST, fixed=False)
GGWAVE_NORMAL_FIXED = Ggwave("ggwave normal, fixed length", Protocol.NORMAL, fixed=True)
GGWAVE_FAST_FIXED = Ggwave("ggwave fast, fixed length", Protocol.FAST, fixed=True)
