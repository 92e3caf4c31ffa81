"""Short chirps, over and over: the round trip, whether it holds still, and who else acts on it.

Each chirp is found on its own. Their delays lie on a line whose slope is the difference of the
clocks; what is left beside the line is jitter, and a step is a block that was lost or repeated.
Their levels tell of an echo canceller in the platform: the first chirp comes through, and the
more it has learnt, the less of the later ones does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft
from scipy import signal as sps
from scipy.ndimage import maximum_filter1d

from earmark.signal import RATE_HZ, Signal
from earmark_calibration.measure.arrival import arrival_s, envelope
from earmark_calibration.measure.clock import Clock

CHIRP_S = 0.1
"""Length of a chirp, s: as short as its level allows, for a frequency shift turns it."""

EVERY_S = 0.5
"""From chirp to chirp, s: its echo has decayed."""

COUNT = 16
"""Chirps: over 8 s from the first to the last, in which 1 ppm is 8 microseconds."""

ALONE_S = 1.2
"""From the first chirp to the second, s: longer than any round trip, so it is clear whose echo
it is."""

PLAYED_AT_S = (0.0, *(ALONE_S + EVERY_S * number for number in range(COUNT - 1)))
"""When each chirp begins, s."""

CHIRP_HZ = (300.0, 7400.0)
"""From where to where it rises, Hz."""

TAIL_S = 1.0
"""To be recorded after the last one, s."""

LONGEST_S = 0.9
"""Longest round trip that is searched, s."""

DIRECT_S = 0.005
"""Length of the direct sound whose energy is a chirp's level, s."""

STEP_S = 0.005
"""A delay that leaves the line by this much is a block that was lost or repeated, s: a quarter
of the shortest block in use, and much more than any clock wanders."""

AROUND = 640
"""Length of the surroundings that an arrival must stand out of, samples: 40 ms, over which even
speech is about as loud."""

LEAST_CONTRAST = 8.0
"""How far it must stand out of their median, in magnitude. Of 14,000 samples of noise the highest
is 3.7 times the median; this leaves 6 dB and more for noise that swells meanwhile."""

WANDER = 16
"""How far apart the first two arrivals may be, samples: 1 ms, 800 ppm in the 1.2 s between."""

WINDOW = 3200
"""How far from the first two the others may be, samples: 0.2 s, ten blocks that were lost. The
next chirp is 0.5 s away."""


FOLLOW_STEP_S = 0.01
"""Frames in which the level is followed, s."""

LEAST_AGREEING = 14
"""Of the 16 chirps so many must change the level the same way: by chance 4 in 1,000."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What the chirps say.

    Parameters
    ----------
    at_s : when each was played, s from the first.
    delays_s : round trip of each, in the recording's clock; NaN where it was not heard.
    levels_db : level of each one's direct sound, recording over playback, dB.
    """

    at_s: tuple[float, ...]
    delays_s: tuple[float, ...]
    levels_db: tuple[float, ...]

    @property
    def heard(self) -> int:
        """Chirps that were heard."""
        return int(np.isfinite(self.delays_s).sum())

    @property
    def delay_s(self) -> float | None:
        """Round trip at the first chirp, s: where the line through all of them begins."""
        line = self._line()
        return None if line is None else float(line[1])

    @property
    def drift_ppm(self) -> float | None:
        """Clock difference by the slope, ppm: a faster playback comes back ever sooner."""
        line = self._line()
        return None if line is None else float(-line[0] / (1.0 + line[0]) * 1e6)

    @property
    def jitter_s(self) -> float | None:
        """Standard deviation of the delays about the line, s; steps are not part of it."""
        line = self._line()
        if line is None:
            return None
        at, delays = self._without_steps()
        return float(np.std(delays - np.polyval(line, at)))

    @property
    def steps(self) -> int:
        """How often the round trip stepped: blocks lost or repeated."""
        delays = np.array(self.delays_s)
        delays = delays[np.isfinite(delays)]
        return int((np.abs(np.diff(delays)) >= STEP_S).sum())

    @property
    def fading_db(self) -> float:
        """How much weaker the last quarter of the chirps is than the first one, dB; at least 0.

        Chirps that are no longer heard count with what there was in their place.
        """
        last = float(np.median(self.levels_db[-(len(self.levels_db) // 4) :]))
        return max(0.0, self.levels_db[0] - last)

    def _line(self) -> NDArray[np.float64] | None:
        """Slope, and delay at time zero."""
        at, delays = self._without_steps()
        return np.asarray(np.polyfit(at, delays, 1)) if at.size >= 3 else None

    def _without_steps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When each chirp that was heard was played, and its delay as if none had been lost."""
        at, delays = np.array(self.at_s), np.array(self.delays_s)
        good = np.isfinite(delays)
        at, delays = at[good], delays[good]
        moves = np.diff(delays, prepend=delays[:1])
        return at, delays - np.cumsum(np.where(np.abs(moves) >= STEP_S, moves, 0.0))


@lru_cache(maxsize=1)
def chirp() -> Signal:
    """One chirp, with an amplitude of 1 in its middle."""
    time = np.arange(round(CHIRP_S * RATE_HZ)) / RATE_HZ
    rising = sps.chirp(time, CHIRP_HZ[0], CHIRP_S, CHIRP_HZ[1], phi=-90)
    return np.asarray(rising * sps.windows.tukey(time.size, 0.2), dtype=np.float32)


def pilots() -> Signal:
    """All chirps, from the first's first sample to the end of the last."""
    out = np.zeros(round((PLAYED_AT_S[-1] + CHIRP_S) * RATE_HZ), np.float32)
    for at_s in PLAYED_AT_S:
        begin = round(at_s * RATE_HZ)
        out[begin : begin + chirp().size] = chirp()
    return out


def trace(recorded: Signal, clock: Clock | None = None) -> Trace:
    """Find every chirp in a recording.

    Parameters
    ----------
    recorded : what the microphone recorded of :func:`pilots`, from their first sample on, with
        :data:`TAIL_S` after them, as if they had been played with an amplitude of 1.
    clock : what is known of the clocks: a chirp that is stretched or shifted seems to come at
        another time.
    """
    played = _as_heard(clock or Clock())
    reach = round((LONGEST_S + CHIRP_S) * RATE_HZ)
    starts = [round(at_s * RATE_HZ) for at_s in PLAYED_AT_S]
    responses = [
        _response(recorded[start : start + reach].astype(np.float64), played) for start in starts
    ]
    contrasts = [_contrast(response) for response in responses]
    # Whatever else sounds, it does not stand out at the same delay twice.
    both = np.minimum(*(maximum_filter1d(c, 2 * WANDER + 1) for c in contrasts[:2]))
    expected = int(np.argmax(both))
    if both[expected] < LEAST_CONTRAST:
        silent = tuple(float("nan") for _ in starts)
        return Trace(PLAYED_AT_S, silent, tuple(_level_db(r, expected) for r in responses))
    delays, levels = [], []
    for response, contrast in zip(responses, contrasts, strict=True):
        first = max(0, expected - WINDOW)
        top = first + int(np.argmax(contrast[first : expected + WINDOW]))
        heard = contrast[top] >= LEAST_CONTRAST
        near = np.zeros_like(response)
        near[first : expected + WINDOW] = response[first : expected + WINDOW]
        delays.append(arrival_s(near) if heard else float("nan"))
        levels.append(_level_db(response, top if heard else expected))
    return Trace(PLAYED_AT_S, tuple(delays), tuple(levels))


def _contrast(response: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each place stands out of its surroundings, in magnitude, up to the longest trip."""
    height = envelope(response)[: round(LONGEST_S * RATE_HZ)]
    frames = height[: height.size // AROUND * AROUND].reshape(-1, AROUND)
    local = np.median(frames, axis=1)
    # Of the frames beside it the stronger counts: what follows an echo is louder than its past.
    local = np.repeat(maximum_filter1d(local, 3, mode="nearest"), AROUND)
    local = np.pad(local, (0, height.size - local.size), mode="edge")
    return np.asarray(height / (local + 1e-12))


def _level_db(response: NDArray[np.float64], top: int) -> float:
    """Energy of the direct sound around `top`, dB."""
    half = round(DIRECT_S * RATE_HZ)
    part = response[max(0, top - half) : top + half]
    return 10.0 * float(np.log10(np.sum(part**2) + 1e-15))


def following_db(recorded: Signal) -> float:
    """How much the recording's level changes while a chirp sounds, dB, whatever becomes of it.

    What a canceller makes of a chirp need not resemble it; but whether it leaves some of it or
    turns the microphone down meanwhile, the level follows the chirps. Other sounds do not.

    Parameters
    ----------
    recorded : as for :func:`trace`.

    Returns
    -------
    The median change over the chirps at the delay where it is greatest; 0 if they do not agree.
    """
    step = round(FOLLOW_STEP_S * RATE_HZ)
    frames = recorded[: recorded.size // step * step].astype(np.float64).reshape(-1, step)
    level = 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    long = round(CHIRP_S / FOLLOW_STEP_S)
    before = np.arange(-2 * long, -long)
    begins = np.round(np.array(PLAYED_AT_S) / FOLLOW_STEP_S).astype(int)
    best = 0.0
    for delay in range(2 * long, round(LONGEST_S / FOLLOW_STEP_S)):
        here = begins[:, None] + delay
        changes = level[here + np.arange(long)].mean(axis=1) - level[here + before].mean(axis=1)
        change = float(np.median(changes))
        agree = int((np.sign(changes) == np.sign(change)).sum())
        if agree >= LEAST_AGREEING and abs(change) > abs(best):
            best = change
    return best


def _as_heard(clock: Clock) -> NDArray[np.float64]:
    """The chirp in the recording's time, so that its delay is that of its first sample."""
    played = chirp().astype(np.float64)
    if clock.drift_ppm:
        # Silence around it, for what the resampler rings ahead.
        played = np.pad(played, (0, AROUND))
        played = soxr.resample(played, RATE_HZ * clock.ratio, RATE_HZ, quality="VHQ")
    if clock.shift_hz:
        turn = np.exp(2j * np.pi * clock.shift_hz * np.arange(played.size) / RATE_HZ)
        played = np.real(sps.hilbert(played) * turn)
    return np.asarray(played, np.float64)


def _response(part: NDArray[np.float64], played: NDArray[np.float64]) -> NDArray[np.float64]:
    """Impulse response: division in the spectrum where the chirp has energy."""
    size = fft.next_fast_len(part.size + played.size, real=True)
    spectrum = fft.rfft(played, size)
    power = np.abs(spectrum) ** 2
    # The chirp is flat within 2 dB over its band; 20 dB below that it counts half.
    floor = 1e-2 * float(np.median(power[power > 0.1 * power.max()]))
    heard = fft.rfft(part, size)
    return np.asarray(fft.irfft(heard * np.conj(spectrum) / (power + floor), size)[: part.size])
