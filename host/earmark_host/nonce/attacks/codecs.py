"""The recording through a lossy codec, by libsndfile (LAME and libopus inside).

libsndfile takes no bit rate but a compression level from 0 to 1, which it maps linearly onto
the rates of the codec. MP3 snaps to the nearest constant rate of MPEG-2 layer III; Opus runs
at a variable rate, so the level is moved until the bytes fit.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import soundfile

from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attacks.loot import Base, Loot

Codec: TypeAlias = Literal["mp3", "opus"]

RANGES_KBIT_S: dict[Codec, tuple[float, float]] = {"mp3": (8.0, 160.0), "opus": (6.0, 256.0)}
"""Rates of one channel at 16 kHz for the levels 1 and 0, kbit/s: libsndfile 1.2.2,
``mpeg_l3_encode.c`` and ``ogg_opus.c``."""

SETTINGS: dict[Codec, dict[str, str]] = {
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
"""What soundfile is asked for. Opus has a variable rate only."""

LEVEL_LIMITS = (0.0, 0.999)
"""Compression levels that both encoders accept: LAME refuses 1.0."""

TOLERANCE = 0.05
"""A rate is good enough within this share of what was asked for."""

TRIES = 6
"""Most encodings in search of the level: three do on speech."""

LATEST = 2048
"""Most samples by which a decoder may be late: LAME's 1105 and a frame. At 24 kbit/s and less
its frames have no room for the tag that tells the decoder."""


@dataclass(frozen=True, eq=False)
class Coded:
    """What came out of a codec.

    Parameters
    ----------
    signal : as long as what went in and aligned with it.
    kbit_s : measured: bytes of the file, container included, over the duration.
    """

    signal: Signal
    kbit_s: float


def code(signal: Signal, codec: Codec, kbit_s: float) -> Coded:
    """Encode and decode `signal` at a measured rate within 5 % of `kbit_s`, where it can be had.

    A short or quiet signal can need less than Opus is given; the rate is then the nearest of
    :data:`TRIES` encodings.
    """
    lowest, highest = RANGES_KBIT_S[codec]
    seconds = signal.size / RATE_HZ
    asked = kbit_s
    best: tuple[float, bytes] | None = None
    for _ in range(TRIES):
        level = float(np.clip((highest - asked) / (highest - lowest), *LEVEL_LIMITS))
        data = _encode(signal, codec, level)
        measured = len(data) * 8.0 / 1000.0 / seconds
        if best is None or abs(measured - kbit_s) < abs(best[0] - kbit_s):
            best = (measured, data)
        if codec == "mp3" or abs(measured / kbit_s - 1.0) <= TOLERANCE:
            break
        asked = max(lowest, asked * kbit_s / measured)
    assert best is not None  # TRIES is at least 1
    decoded, rate_hz = soundfile.read(io.BytesIO(best[1]), dtype="float32")
    if rate_hz != RATE_HZ:
        raise RuntimeError(f"{codec} came back at {rate_hz} Hz")
    return Coded(_aligned(np.asarray(decoded, np.float32), signal), best[0])


def _encode(signal: Signal, codec: Codec, level: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, signal, RATE_HZ, compression_level=level, **SETTINGS[codec])
    return file.getvalue()


def _aligned(decoded: Signal, signal: Signal) -> Signal:
    """`decoded` without the delay of its decoder, as long as `signal`."""
    surplus = min(max(0, decoded.size - signal.size), LATEST)
    if surplus > 0:
        window = min(signal.size, decoded.size - surplus)
        match = np.correlate(decoded[: window + surplus], signal[:window], "valid")
        decoded = decoded[int(np.argmax(match)) :]
    out = np.zeros_like(signal)
    size = min(out.size, decoded.size)
    out[:size] = decoded[:size]
    return out


class Transcode(Base):
    """A lossy codec at a stated rate."""

    def __init__(self, codec: Codec, kbit_s: int) -> None:
        super().__init__(f"{codec}_{kbit_s}", f"{codec.upper()} at {kbit_s} kbit/s, mono, 16 kHz")
        self.codec: Codec = codec
        self.kbit_s = kbit_s

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return code(loot.recording, self.codec, self.kbit_s).signal
