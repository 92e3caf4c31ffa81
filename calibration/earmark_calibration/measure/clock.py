"""The clocks of playback and recording: their difference, and a shift of all frequencies.

Steady tones are played over the band. A clock difference moves each in proportion to its
frequency, a shift moves all by the same number of Hz, and a room moves none: so the line
through (frequency, deviation) has the one as its slope and the other at 0 Hz.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal

TONES_HZ = (
    307.0,
    521.0,
    733.0,
    1009.0,
    1427.0,
    2003.0,
    2803.0,
    3607.0,
    4409.0,
    5209.0,
    6007.0,
    6703.0,
)
"""Primes, so that no harmonic or difference tone of the loudspeaker falls on another tone."""

TONES_S = 6.0
"""Length, s. The frequency of a tone is then known to some mHz, 5 ppm of 6 kHz are 30."""

SETTLE_S = 0.5
"""Left out at both ends, s: the room builds up and decays, the round trip is not known yet."""

SEGMENT_S = 1.5
"""Length of a stretch in which each tone's frequency is read, s; the median over the stretches,
which overlap by half, does not mind a block that was lost in one of them."""

SEARCH_HZ = 90.0
"""Deviation that is searched, Hz: half of the distance to the next tone, less the window."""

LEAST_SNR_DB = 15.0
"""A tone must stand so far above the noise beside it, dB, to be used."""

LEAST_TONES = 4
"""Fewer tones say nothing certain about two unknowns."""

OUTLIER_HZ = 0.5
"""A tone this far off the line is left out, Hz: it lies on a null of the room, or hums along."""

MOST_PPM = 5000.0
"""Clock difference that is searched, ppm: fifty times that of a bad crystal."""

CARD_RATES_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
"""Rates that devices take for one another."""

OTHER_RATE_HZ = 30.0
"""Half the width of a tone at a wrong rate, Hz. A server then has too many samples or too few and
cuts the sound at its blocks; 20 ms give a line 50 Hz of width."""

OTHER_RATE_TONE = 0.01
"""Share of it on a tone that counts as there; of twelve equal ones each has 0.08."""

OTHER_RATE_SHARE = 0.5
"""Share of the recorded power that must lie on the tones as a wrong rate would move them."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How the playback's clock differs from the recording's.

    Parameters
    ----------
    drift_ppm : how much faster the playback runs.
    shift_hz : shift of all frequencies.
    """

    drift_ppm: float = 0.0
    shift_hz: float = 0.0

    @property
    def ratio(self) -> float:
        """Playback rate over recording rate."""
        return 1.0 + self.drift_ppm * 1e-6


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What the tones say.

    Parameters
    ----------
    clock : None when too few tones were heard.
    tones_hz : the tones as played.
    shifts_hz : shift of each beyond what the clock difference explains; NaN if not heard.
    snr_db : how far each stands above the noise beside it.
    rate_ratio : 1.0, or the ratio of two rates that were taken for one another.
    """

    clock: Clock | None
    tones_hz: tuple[float, ...]
    shifts_hz: tuple[float, ...]
    snr_db: tuple[float, ...]
    rate_ratio: float = 1.0


@lru_cache(maxsize=1)
def tones() -> Signal:
    """The tones, all equally strong, with an rms of 1, faded in and out."""
    time = np.arange(round(TONES_S * RATE_HZ)) / RATE_HZ
    count = len(TONES_HZ)
    # Phases of their own, or all would begin together. The peak is 3.7 times the rms.
    total = sum(
        np.sin(2.0 * np.pi * hz * time + np.pi * number**2 / count)
        for number, hz in enumerate(TONES_HZ)
    )
    faded = np.asarray(total) * sps.windows.tukey(time.size, 0.02)
    return np.asarray(faded * np.sqrt(2.0 / count), dtype=np.float32)


def read_clock(recorded: Signal) -> ClockReading:
    """Find the tones in a recording.

    Parameters
    ----------
    recorded : what the microphone recorded of :func:`tones`, at least their length.
    """
    begin = round(SETTLE_S * RATE_HZ)
    steady = recorded[begin : round((TONES_S - SETTLE_S) * RATE_HZ)].astype(np.float64)
    size = round(SEGMENT_S * RATE_HZ)
    starts = range(0, steady.size - size + 1, size // 2)
    hz = np.array(TONES_HZ)
    found, snr_db = np.array([_peaks(steady[s : s + size]) for s in starts]).transpose(1, 2, 0)
    snr = np.median(snr_db, axis=1)
    deviation = np.median(found, axis=1) - hz
    good = _agreeing(hz, deviation, snr >= LEAST_SNR_DB)
    if good.sum() < LEAST_TONES:
        nothing = tuple(float("nan") for _ in hz)
        return ClockReading(None, TONES_HZ, nothing, _floats(snr), _other_rate(steady))
    slope, shift = np.polyfit(hz[good], deviation[good], 1)
    shifts = np.where(good, deviation - slope * hz, np.nan)
    clock = Clock(float(slope * 1e6), float(shift))
    return ClockReading(clock, TONES_HZ, _floats(shifts), _floats(snr))


def undo(recorded: Signal, clock: Clock) -> Signal:
    """Bring a recording to the playback's clock and frequencies.

    A sound that began at time t of the recording begins at ``t * clock.ratio`` of the result.
    """
    signal = recorded.astype(np.float64)
    if clock.shift_hz:
        turn = np.exp(-2j * np.pi * clock.shift_hz * np.arange(signal.size) / RATE_HZ)
        signal = np.real(sps.hilbert(signal) * turn)
    if clock.drift_ppm:
        signal = soxr.resample(signal, RATE_HZ, RATE_HZ * clock.ratio, quality="VHQ")
    return np.asarray(signal, dtype=np.float32)


def _agreeing(
    hz: NDArray[np.float64], deviation: NDArray[np.float64], good: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The most tones that lie on one line: every pair of them proposes one.

    A tone that was not transmitted has a peak too, of noise or of a difference of others.
    """
    best = np.zeros(hz.size, bool)
    for first, second in combinations(np.flatnonzero(good), 2):
        slope = (deviation[second] - deviation[first]) / (hz[second] - hz[first])
        if abs(slope) > MOST_PPM * 1e-6:
            continue
        line = deviation[first] + slope * (hz - hz[first])
        on_line = good & (np.abs(deviation - line) <= OUTLIER_HZ)
        if on_line.sum() > best.sum():
            best = on_line
    return best


def _floats(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _peaks(segment: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Frequency of each tone, Hz, and its power over that of the noise beside it, dB."""
    size = 4 * fft.next_fast_len(segment.size, real=True)
    power = np.abs(fft.rfft(segment * np.hanning(segment.size), size)) ** 2
    step = RATE_HZ / size
    found, snr_db = [], []
    for hz in TONES_HZ:
        first = round((hz - SEARCH_HZ) / step)
        part = power[first : round((hz + SEARCH_HZ) / step) + 1]
        top = min(max(int(np.argmax(part)), 1), part.size - 2)
        # The logarithm of a Hann window's main lobe is close to a parabola.
        below, at, above = np.log(part[top - 1 : top + 2] + 1e-300)
        bend = below - 2.0 * at + above
        offset = 0.5 * (below - above) / bend if bend < 0.0 else 0.0
        found.append((first + top + offset) * step)
        snr_db.append(10.0 * float(np.log10(part[top] / (np.median(part) + 1e-300) + 1e-30)))
    return found, snr_db


def _other_rate(steady: NDArray[np.float64]) -> float:
    """The ratio of two common rates that explains where the tones went; 1.0 if none does."""
    power = np.abs(fft.rfft(steady * np.hanning(steady.size))) ** 2
    hz = np.arange(power.size) * RATE_HZ / steady.size
    total = float(power.sum())
    if total <= 0.0:
        return 1.0
    found, found_share = 1.0, OTHER_RATE_SHARE
    for ratio in sorted({a / b for a in CARD_RATES_HZ for b in CARD_RATES_HZ if a != b}):
        moved = [tone * ratio for tone in TONES_HZ if tone * ratio < 0.49 * RATE_HZ]
        near = np.zeros(power.size, bool)
        strong = 0
        for tone in moved:
            first, last = np.searchsorted(hz, (tone - OTHER_RATE_HZ, tone + OTHER_RATE_HZ))
            near[first:last] = True
            strong += bool(power[first:last].sum() >= OTHER_RATE_TONE * total)
        # A comb that covers more of the band catches more by chance.
        share = float(power[near].sum()) / total - float(near.mean())
        if share > found_share and strong >= max(LEAST_TONES, len(moved) // 2):
            found, found_share = ratio, share
    return found
