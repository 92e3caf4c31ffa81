"""Evasions in the sound of each query: noise, cuts, speed, filters, rooms, music."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.memory.evasion.base import each
from earmark_host.memory.stream import Stream

Colour: TypeAlias = Literal["white", "pink"]
"""Spectrum of noise: flat, or falling by 3 dB an octave."""

MAX_PAD_S = 0.5
"""Longest silence put before a trimmed query, s: about what people leave after a wake word."""

SHORTEST_S = 0.5
"""What a trim leaves at least, s: a short command."""

OCTAVES_HZ = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Sliders of the equaliser, Hz: octaves up to half the rate."""

LOW_HZ = (50.0, 500.0)
"""Range of a random band's lower edge, Hz: a telephone's is 300."""

HIGH_HZ = (2500.0, 7500.0)
"""Range of a random band's upper edge, Hz: speech is understood down to the least of it."""


def with_own_noise(
    stream: Stream, snr_db: float, colour: Colour, rng: np.random.Generator
) -> Stream:
    """Fresh noise in each query, `snr_db` below it (30 to -5 dB; Guo et al. 2023, A1)."""

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        return signal + _scaled(_noise(signal.size, colour, rng), rms(signal) * gain(-snr_db))

    return each(stream, f"own {colour} noise at {snr_db:g} dB", change, rng)


def with_trims(
    stream: Stream, max_s: float, rng: np.random.Generator, pad_s: float = MAX_PAD_S
) -> Stream:
    """Up to `max_s` cut off each end, then up to `pad_s` of silence put before.

    At least :data:`SHORTEST_S` of a query stays; a shorter one is not cut.
    """

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        start, end, pad = (round(s * RATE_HZ) for s in rng.uniform(0, [max_s, max_s, pad_s]))
        spare = max(0, signal.size - round(SHORTEST_S * RATE_HZ))
        start = min(start, spare)
        end = min(end, spare - start)
        return np.pad(signal[start : signal.size - end], (pad, 0))

    return each(stream, f"trims up to {max_s:g} s, silence up to {pad_s:g} s", change, rng)


def with_speed(
    stream: Stream, percent: float, rng: np.random.Generator, step: float | None = None
) -> Stream:
    """Each query played at another speed within +-`percent`; pitch moves too.

    Parameters
    ----------
    percent : largest change, 0 to 50.
    step : None: drawn anew for each query, all alike. Else the speeds go round a ladder with
        this distance, percent: from -`percent` up to `percent` and again.
    """
    if not 0.0 <= percent <= 50.0:
        raise ValueError(f"a speed of +-{percent} %: 0 to 50")
    ladder = None if step is None else np.arange(-percent, percent + step / 2.0, step)

    def change(index: int, signal: Signal, rng: np.random.Generator) -> Signal:
        by = rng.uniform(-percent, percent) if ladder is None else ladder[index % ladder.size]
        return np.asarray(soxr.resample(signal, RATE_HZ * (1.0 + by / 100.0), RATE_HZ))

    how = "drawn" if step is None else f"in steps of {step:g} %"
    return each(stream, f"speed +-{percent:g} %, {how}", change, rng)


def with_equaliser(stream: Stream, db: float, rng: np.random.Generator) -> Stream:
    """A graphic equaliser set at random for each query, each octave within +-`db`."""

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        sliders_db = rng.uniform(-db, db, len(OCTAVES_HZ))
        # Twice as long: the transform wraps around.
        size = 2 * signal.size
        at_hz = np.maximum(np.fft.rfftfreq(size, 1.0 / RATE_HZ), OCTAVES_HZ[0])
        curve_db = np.interp(np.log2(at_hz), np.log2(OCTAVES_HZ), sliders_db)
        spectrum = np.fft.rfft(signal, size) * 10.0 ** (curve_db / 20.0)
        return np.asarray(np.fft.irfft(spectrum, size)[: signal.size], np.float32)

    return each(stream, f"equaliser +-{db:g} dB", change, rng)


def with_gain(stream: Stream, db: float, rng: np.random.Generator) -> Stream:
    """Each query quieter by 0 to `db` dB."""

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        return signal * np.float32(gain(-rng.uniform(0.0, db)))

    return each(stream, f"gain 0 to -{db:g} dB", change, rng, keeps_snr=True)


def with_band_limit(stream: Stream, rng: np.random.Generator) -> Stream:
    """Each query through another band: edges within :data:`LOW_HZ` and :data:`HIGH_HZ`."""

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        band = (rng.uniform(*LOW_HZ), rng.uniform(*HIGH_HZ))
        sections = sps.butter(4, band, "bandpass", fs=RATE_HZ, output="sos")
        return np.asarray(sps.sosfilt(sections, signal), np.float32)

    return each(stream, "a random band", change, rng)


def with_reverb(
    stream: Stream, rt60_s: float, direct_db: float, rng: np.random.Generator
) -> Stream:
    """Each query in another room: the sound, and noise that decays by 60 dB in `rt60_s`.

    Moorer's model of late reverberation (1979): no room was measured. As long as before.

    Parameters
    ----------
    rt60_s : reverberation time, s, > 0; .3 to .6 at home.
    direct_db : energy of the direct sound over that of the reverberation, dB; 0 at a room's
        critical distance.
    """
    if rt60_s <= 0.0:
        raise ValueError(f"a reverberation time of {rt60_s} s")

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        time = np.arange(1, round(rt60_s * RATE_HZ) + 1) / RATE_HZ
        tail = rng.standard_normal(time.size) * 10.0 ** (-3.0 * time / rt60_s)
        tail *= gain(-direct_db) / math.sqrt(float(np.sum(tail**2)))
        wet = sps.oaconvolve(signal.astype(np.float64), np.concatenate([[1.0], tail]))
        return np.asarray(wet[: signal.size], np.float32)

    return each(
        stream, f"a random room of {rt60_s:g} s, direct sound at {direct_db:g} dB", change, rng
    )


def with_music_bed(
    stream: Stream, snr_db: float, music: Sequence[Signal], rng: np.random.Generator
) -> Stream:
    """Another piece of music under each query, `snr_db` below it.

    Parameters
    ----------
    music : pieces, none silent; drawn for each query, from a random place, repeated where
        they end.

    Raises
    ------
    EarmarkError
        There is no music.
    """
    if not music:
        raise EarmarkError("there is no music to mix under the queries", "give some pieces")

    def change(_: int, signal: Signal, rng: np.random.Generator) -> Signal:
        piece = music[int(rng.integers(len(music)))]
        start = int(rng.integers(piece.size))
        bed = np.take(piece, np.arange(start, start + signal.size), mode="wrap")
        return signal + _scaled(bed, rms(signal) * gain(-snr_db))

    return each(stream, f"music {snr_db:g} dB below", change, rng)


def _noise(size: int, colour: Colour, rng: np.random.Generator) -> NDArray[np.float32]:
    white = rng.standard_normal(size)
    if colour == "pink":
        spectrum = np.fft.rfft(white)
        spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size))
        spectrum[0] = 0.0
        white = np.fft.irfft(spectrum, size)
    return np.asarray(white, np.float32)


def _scaled(signal: Signal, to_rms: float) -> Signal:
    now = rms(signal)
    return signal * np.float32(to_rms / now) if now > 0.0 else signal
