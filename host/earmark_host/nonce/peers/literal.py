"""AEOLUS to the letter: each bit a cosine, one after the other, no more.

Zhang et al., "Practical Speech Re-use Prevention in Voice-driven Services", RAID 2021,
section 3.2 (1 kHz is "0", 5 kHz is "1"; :data:`LITERAL`) and figures 5 and 6 (4 to 5 kHz, two
hops; :data:`LITERAL_HOPS`), both at 30 bit/s. The text gives neither preamble, error correction
nor a limit for acceptance. So the receiver looks for the delay at which the tones of all bits
contrast most, without knowing the payload, and decides each bit by the stronger tone. Where the
start is known, as to a device that plays the nonce itself, it looks only half a bit around it.

The text does not say what two hops are: here two channels of two tones, taken at random bit by
bit in an order that both ends know.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.peers.modem import PAYLOAD_BYTES, checked_payload, checked_recording

BITS = 8 * PAYLOAD_BYTES

STEPS_PER_SLOT = 16
"""Grid of the delays, steps per bit: at 30 bit/s 2.1 ms, so a slot is met to within 1 ms."""

DELAYS_AT_ONCE = 2048
"""Delays whose tones are held at a time: some 4 s of recording, 2 MB."""

MIN_CONTRAST = 0.68
"""Least mean contrast of the tones, 0 to 1, for a message to be there. At its best
delay noise alone had 0.61 (the median of 56 recordings of 4 s; at most 0.70), and a message that
was read without an error at least 0.69 in rooms."""

HOP_KEY = b"AEOLUS figure 5: frequency hopping = 2"
"""Both ends draw the order of the channels from this."""


@dataclass(frozen=True)
class LiteralBfsk:
    """A :class:`Modem` of bare BFSK.

    Parameters
    ----------
    name : what tables call it.
    tones_hz : for each channel the tone of 0 and the tone of 1, Hz (100 to 7900).
    bit_rate_hz : bits per second (1 to 200).
    """

    name: str
    tones_hz: tuple[tuple[float, float], ...]
    bit_rate_hz: float = 30.0

    def __post_init__(self) -> None:
        if not self.tones_hz or not all(100 <= f <= 7900 for pair in self.tones_hz for f in pair):
            raise ValueError("one or more pairs of tones, 100 to 7900 Hz")
        if not 1.0 <= self.bit_rate_hz <= 200.0:
            raise ValueError(f"bit_rate_hz is {self.bit_rate_hz}, must be 1 to 200")

    @property
    def payload_bytes(self) -> int:
        """Length of the payload, bytes."""
        return PAYLOAD_BYTES

    @property
    def seconds(self) -> float:
        """Duration of one message, s."""
        return BITS / self.bit_rate_hz

    def encode(self, payload: bytes) -> Signal:
        """See :meth:`Modem.encode`."""
        edges, channels = self._edges(), self._channels()
        parts = []
        for slot, bit in enumerate(_bits(checked_payload(payload))):
            time = np.arange(edges[slot + 1] - edges[slot]) / RATE_HZ
            frequency = self.tones_hz[channels[slot]][bit]
            parts.append(np.cos(2.0 * np.pi * frequency * time))
        return np.asarray(np.concatenate(parts), np.float32)

    def decode(self, recording: Signal, start_s: float | None = None) -> bytes | None:
        """See :meth:`Modem.decode`. Speech alone looks like a message: there is no check.

        Parameters
        ----------
        start_s : where the message begins, to half a bit, s; None: anywhere. Anywhere, it may
            be read a bit early or late, and of a repeated message any rotation is as good.
        """
        found = self._find(recording, start_s)
        if found is None or found.contrast < MIN_CONTRAST:
            return None
        return found.payload

    def bit_errors(self, payload: bytes, recording: Signal, start_s: float | None = None) -> int:
        """How many of the 32 bits are read wrongly at the delay with the most contrast.

        All bits are read, however weak: the figure for a curve of the bit error rate. Where no
        whole message fits into the recording there are 16 errors, those of a guess.

        Parameters
        ----------
        payload : what was sent.
        start_s : as for :meth:`decode`; known for the paper's curves.
        """
        sent = _bits(checked_payload(payload))
        found = self._find(recording, start_s)
        if found is None:
            return BITS // 2
        return int(np.count_nonzero(_bits(found.payload) != sent))

    def _find(self, recording: Signal, start_s: float | None = None) -> _Found | None:
        """Read the bits at the delay with the most contrast; None: no message fits."""
        edges, channels = self._edges(), self._channels()
        sums = self._sums(checked_recording(recording))
        low, last = 0, recording.size - int(edges[-1])
        if start_s is not None:
            half = RATE_HZ / self.bit_rate_hz / 2.0
            low = max(low, round(start_s * RATE_HZ - half))
            last = min(last, round(start_s * RATE_HZ + half))
        step = max(1, round(RATE_HZ / self.bit_rate_hz / STEPS_PER_SLOT))
        best: _Found | None = None
        for first in range(low, last + 1, DELAYS_AT_ONCE * step):
            delays = np.arange(first, min(last + 1, first + DELAYS_AT_ONCE * step), step)
            begin, end = delays[:, None] + edges[:-1], delays[:, None] + edges[1:]
            zero, one = (
                np.abs(sums[channels, bit, end] - sums[channels, bit, begin]) ** 2 for bit in (0, 1)
            )
            difference, total = np.abs(one - zero), np.maximum(one + zero, 1e-12)
            # Their product, as the sum of logarithms: a few loud syllables do not decide.
            score = np.sum(np.log(np.maximum(difference, 1e-12)), axis=1)
            at = int(np.argmax(score))
            if best is None or score[at] > best.score:
                best = _Found(
                    float(score[at]),
                    float(np.mean(difference[at] / total[at])),
                    np.packbits(one[at] > zero[at]).tobytes(),
                )
        return best

    def _sums(self, recording: Signal) -> NDArray[np.complex128]:
        """Running sums of the recording mixed with every tone: shape (channels, 2, n + 1)."""
        time = np.arange(recording.size) / RATE_HZ
        sums = np.zeros((len(self.tones_hz), 2, recording.size + 1), np.complex128)
        for channel, pair in enumerate(self.tones_hz):
            for bit, frequency in enumerate(pair):
                mixed = recording * np.exp(-2j * np.pi * frequency * time)
                np.cumsum(mixed, out=sums[channel, bit, 1:])
        return sums

    def _edges(self) -> NDArray[np.int64]:
        """First sample of each bit, and the end: shape (33,)."""
        return np.asarray(np.round(np.arange(BITS + 1) * RATE_HZ / self.bit_rate_hz), np.int64)

    def _channels(self) -> NDArray[np.int64]:
        """Channel of each bit, shape (32,)."""
        words = np.frombuffer(hashlib.shake_256(HOP_KEY).digest(4 * BITS), "<u4")
        return np.asarray(words % len(self.tones_hz), np.int64)


@dataclass(frozen=True)
class _Found:
    """What was read at one delay: log score, mean contrast (0 to 1), the bits."""

    score: float
    contrast: float
    payload: bytes


def _bits(payload: bytes) -> NDArray[np.uint8]:
    """Most significant bit first, shape (32,)."""
    return np.unpackbits(np.frombuffer(payload, np.uint8))


LITERAL = LiteralBfsk("AEOLUS BFSK 1/5 kHz", ((1000.0, 5000.0),))
LITERAL_HOPS = LiteralBfsk("AEOLUS BFSK 4-5 kHz, 2 hops", ((4125.0, 4375.0), (4625.0, 4875.0)))
