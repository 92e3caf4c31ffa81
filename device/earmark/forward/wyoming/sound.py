"""Audio as Wyoming carries it: a command on its way out, an answer on its way in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import soxr
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event

from earmark.forward.wyoming.framing import Fault, ProtocolError, encode, number_of
from earmark.forward.wyoming.pauses import shorten_pauses
from earmark.signal import RATE_HZ, Signal

CHUNK = 1600
"""Samples of a command in one event: 0.1 s, 3.2 kB, so that a ping is answered in between."""

_WIDTH = 2
"""Bytes of a sample: 16 bits, which every peer speaks."""

_FULL_SCALE = 32768.0


def spoken(audio: Signal) -> Iterator[bytes]:
    """A command as the bytes of its events, one event each: start, chunks, stop.

    Long pauses are shortened; what exceeds [-1, 1] is clipped.
    """
    audio = shorten_pauses(audio)
    scaled = np.rint(np.clip(audio, -1.0, 1.0) * _FULL_SCALE)
    pcm = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1.0).astype("<i2")
    form = {"rate": RATE_HZ, "width": _WIDTH, "channels": 1}
    yield encode([AudioStart(**form, timestamp=0)])
    for start in range(0, pcm.size, CHUNK):
        chunk = pcm[start : start + CHUNK].tobytes()
        yield encode([AudioChunk(**form, audio=chunk, timestamp=_ms(start))])
    yield encode([AudioStop(timestamp=_ms(pcm.size))])


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ


@dataclass(frozen=True)
class Form:
    """The form of a peer's audio. Only 16 bits are taken: all speech synthesis sends that.

    Parameters
    ----------
    rate_hz : 8000 to 48000.
    channels : 1 or 2.
    """

    rate_hz: int
    channels: int

    @classmethod
    def of(cls, event: Event) -> Self:
        """The form that an ``audio-start`` or ``audio-chunk`` states.

        Raises
        ------
        ProtocolError
            It states none, or one that is not taken.
        """
        number_of(event, "width", _WIDTH, _WIDTH)
        return cls(number_of(event, "rate", 8_000, 48_000), number_of(event, "channels", 1, 2))


class Resampler:
    """Makes a stream of a peer's audio into a stream of ours. Holds some milliseconds of it.

    Parameters
    ----------
    form : the form of the peer's audio.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self._soxr = soxr.ResampleStream(form.rate_hz, RATE_HZ, 1, dtype="float32")

    def feed(self, event: Event) -> Signal:
        """The audio of one ``audio-chunk``: shape (n,), n may be 0.

        Raises
        ------
        ProtocolError
            It is of another form, or cut within a sample.
        """
        payload = event.payload or b""
        if Form.of(event) != self._form or len(payload) % (_WIDTH * self._form.channels):
            raise ProtocolError(Fault.BAD_FIELD)
        samples = np.frombuffer(payload, "<i2").reshape(-1, self._form.channels)
        return self._resampled(samples.mean(axis=1, dtype=np.float32) / np.float32(_FULL_SCALE))

    def finish(self) -> Signal:
        """What is still held; nothing can be fed afterwards."""
        return self._resampled(np.zeros(0, np.float32), last=True)

    def _resampled(self, samples: Signal, last: bool = False) -> Signal:
        out: Signal = np.asarray(self._soxr.resample_chunk(samples, last=last), np.float32)
        return out
