"""What was measured of a place, as the prediction needs it: numbers, no sound.

The device hears its own loudspeaker only. What else the prediction needs follows from that: in a
room the energy of the reverberation is about the same everywhere, and so is its decay. A path
from one place to another is then its direct sound, which falls with the distance, and the room's
own late sound, drawn anew for every path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.audio import AudioSettings, loudspeaker_dbfs, microphone_dbfs
from earmark.signal import RATE_HZ, Signal, gain
from earmark_calibration.choose.loudness import power_spectrum

LATE_S = 0.01
"""Sound this long after the direct one counts as the room's, s: 3.4 m of detour. Before, the table
under the device and its own case ring, which other paths do not share."""

FIRST_S = 0.002
"""A path's late sound begins this long after its direct one, s: the nearest surface."""

LONGEST_S = 0.5
"""What of a path is used, s: at the longest RT60 of a furnished room, 0.8 s, it is 38 dB down."""

LEAST_RT60_S = 0.1
MOST_RT60_S = 2.0
"""Reverberation times of places to live in, s. Outside, the decay was not the room's."""

SOUND_M_S = 343.0
"""Speed of sound, m/s, at 20 degrees C."""


LEAD_S = 0.008
"""Taken ahead of the strongest sample, s: what band limits make it ring before it comes."""

NOISE_STEP_S = 0.125
"""Step of the noise's level over time, s: syllables, and the clatter of dishes."""

MOST_STEPS = 512
"""Most steps that are kept: 64 s."""

BLOCK_S = 0.02
"""The decay is read in blocks of so much, s: its level in one scatters by 0.5 dB."""

LEAST_BLOCKS = 3
"""Fewest of them that a decay is read from; a shorter response counts as one of a dead room."""

OVER_NOISE_DB = 3.0
"""The response ends where a block is less than so much over the division's noise, dB."""

MOST_RISE_DB = 3.0
"""It also ends where a block is so much above one before, dB: a decay falls."""


@dataclass(frozen=True, eq=False)
class Place:
    """A device where it stands.

    Parameters
    ----------
    response : float32, shape (n,): what the microphone gets of an impulse that is played, both in
        full scale; it begins with the direct sound or a little before.
    delay_s : from handing a sample to the player until the first of `response`, s.
    noise_psd : mean power of the noise in each bin of a spectrum of 0 .. RATE_HZ / 2, shape
        (bins,); the sum is its mean square.
    audio : the sensitivities of microphone and loudspeaker.
    drift_ppm : how much faster the playback's clock runs.
    noise_db : level of the noise over time against its mean, dB, in steps of `noise_step_s`; may
        be empty: steady.
    noise_step_s : see there.
    """

    response: Signal = field(repr=False)
    delay_s: float
    noise_psd: NDArray[np.float64] = field(repr=False)
    audio: AudioSettings
    drift_ppm: float = 0.0
    noise_db: tuple[float, ...] = ()
    noise_step_s: float = 0.125

    def __post_init__(self) -> None:
        if self.response.ndim != 1 or self.response.size < round(0.02 * RATE_HZ):
            raise ValueError("the response must have 20 ms or more")
        if not np.isfinite(self.response).all() or not self.response.any():
            raise ValueError("the response must be finite and not silent")
        if self.noise_psd.ndim != 1 or self.noise_psd.size < 65:
            raise ValueError("the noise's spectrum must have 65 bins or more")
        if not np.isfinite(self.noise_psd).all() or (self.noise_psd < 0.0).any():
            raise ValueError("the noise's powers must be finite and not negative")

    @cached_property
    def at_1m(self) -> Signal:
        """`response` in the scale of paths: gain 1 is a direct sound over 1 m."""
        emission = gain(loudspeaker_dbfs(0.0, self.audio) - microphone_dbfs(0.0, self.audio))
        # Full scale of the loudspeaker is so loud at 1 m; of the microphone, so loud there.
        return np.asarray(self.response * np.float32(emission), np.float32)

    @cached_property
    def direct(self) -> int:
        """Sample of `response` at which the direct sound is strongest."""
        return int(np.argmax(np.abs(self.response)))

    @cached_property
    def rt60_s(self) -> float:
        """Reverberation time, s: the slope of the late part's level, block by block.

        No backward integral: the response may end where it sank into noise, which would bend it.
        """
        levels = _levels_db(self.at_1m[self.direct + round(LATE_S * RATE_HZ) :])
        if levels.size < LEAST_BLOCKS or not np.isfinite(levels).all():
            return LEAST_RT60_S
        slope = float(np.polyfit(np.arange(levels.size) * BLOCK_S, levels, 1)[0])
        return float(np.clip(-60.0 / min(slope, -1e-6), LEAST_RT60_S, MOST_RT60_S))

    @cached_property
    def late_energy(self) -> float:
        """Energy of a path's late sound, where the direct one over 1 m has 1."""
        late = self.at_1m[self.direct + round(LATE_S * RATE_HZ) :].astype(np.float64)
        # What lies between its beginning and where it can be told from the case.
        earlier = 10.0 ** (6.0 * (LATE_S - FIRST_S) / self.rt60_s)
        return float(np.sum(np.square(late)) * earlier)

    def path(self, distance_m: float, rng: np.random.Generator) -> Signal:
        """A response over `distance_m`, from the moment of emission; the late sound is drawn."""
        if distance_m <= 0.0:
            raise ValueError("a distance must be positive")
        at = round(distance_m / SOUND_M_S * RATE_HZ)
        length = min(round(1.2 * self.rt60_s * RATE_HZ), round(LONGEST_S * RATE_HZ))
        out = np.zeros(at + 1 + max(length, round(0.05 * RATE_HZ)), np.float32)
        begin = at + round(FIRST_S * RATE_HZ)
        time = np.arange(out.size - begin) / RATE_HZ
        tail = rng.standard_normal(time.size) * 10.0 ** (-3.0 * time / self.rt60_s)
        tail *= np.sqrt(self.late_energy / np.sum(np.square(tail)))
        out[begin:] = tail
        out[at] += 1.0 / distance_m
        return out

    def noise(self, samples: int, rng: np.random.Generator) -> Signal:
        """Noise as it was measured: its spectrum, and its level over time from a random moment."""
        size = fft.next_fast_len(samples, real=True)
        bins = size // 2 + 1
        hz = np.linspace(0.0, 1.0, bins)
        density = np.interp(hz, np.linspace(0.0, 1.0, self.noise_psd.size), self.noise_psd)
        density *= self.noise_psd.sum() / max(float(density.sum()), 1e-30)
        draws = rng.standard_normal(bins) + 1j * rng.standard_normal(bins)
        # A bin of power p is a sine of mean square p: half of it is in each of two lines.
        out = fft.irfft(draws * np.sqrt(density) * (size / 2.0), size)[:samples]
        if self.noise_db:
            steps = np.asarray(self.noise_db)
            at = (np.arange(samples) / RATE_HZ / self.noise_step_s) + rng.uniform(0, steps.size)
            out *= 10.0 ** (np.interp(at % steps.size, np.arange(steps.size), steps) / 20.0)
        return np.asarray(out, np.float32)

    def heard(self, played: Signal) -> Signal:
        """What the microphone gets of `played` without noise, same length; clocks apart."""
        out = fast_convolve(played, self.response)
        shift = round(self.delay_s * RATE_HZ)
        late = np.zeros(played.size, np.float32)
        if shift < played.size:
            late[shift:] = out[: played.size - shift]
        return late


def place_of(
    impulse: NDArray[np.float64],
    listened: Signal,
    audio: AudioSettings,
    drift_ppm: float = 0.0,
) -> Place:
    """A place from its impulse response and a recording of its noise.

    Parameters
    ----------
    impulse : recording over playback at ``RATE_HZ``, from the moment of playing on, 1 s or more
        and longer than what can be told from noise.
    listened : the microphone while nothing was played, 1 s or more.

    Raises
    ------
    ValueError
        One is too short or silent.
    """
    if impulse.size < RATE_HZ or listened.size < RATE_HZ:
        raise ValueError("an impulse response and a recording of noise have 1 s or more")
    first = max(0, int(np.argmax(np.abs(impulse))) - round(LEAD_S * RATE_HZ))
    heard = impulse[first : first + round(LONGEST_S * RATE_HZ)]
    step = round(NOISE_STEP_S * RATE_HZ)
    steps = listened[: listened.size // step * step].reshape(-1, step).astype(np.float64)
    powers = np.mean(np.square(steps), axis=1)
    mean = max(float(powers.mean()), 1e-20)
    course = 10.0 * np.log10(np.maximum(powers / mean, 1e-3))
    return Place(
        response=np.asarray(heard[: _audible(heard, impulse)], np.float32),
        delay_s=first / RATE_HZ,
        noise_psd=power_spectrum(listened - np.float32(listened.mean())),
        audio=audio,
        drift_ppm=drift_ppm,
        noise_db=tuple(round(float(each), 2) for each in course[:MOST_STEPS]),
        noise_step_s=NOISE_STEP_S,
    )


def _audible(heard: NDArray[np.float64], impulse: NDArray[np.float64]) -> int:
    """Samples of a response until it sinks into the noise that the division left.

    That noise is not steady where something clatters, so the response also ends where it begins
    to rise again.
    """
    late = int(np.argmax(np.abs(heard))) + round(LATE_S * RATE_HZ)
    noise_db = 10.0 * np.log10(np.mean(np.square(impulse[round(0.85 * impulse.size) :])) + 1e-30)
    levels = _levels_db(heard[late:])
    last = 0
    for number, level in enumerate(levels):
        if level < noise_db + OVER_NOISE_DB or level > levels[: number + 1].min() + MOST_RISE_DB:
            break
        last = number + 1
    return late + max(last, LEAST_BLOCKS) * round(BLOCK_S * RATE_HZ)


def _levels_db(late: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Mean power of each whole block, dB."""
    block = round(BLOCK_S * RATE_HZ)
    whole = late[: late.size // block * block].astype(np.float64).reshape(-1, block)
    return np.asarray(10.0 * np.log10(np.mean(np.square(whole), axis=1) + 1e-30))


def fast_convolve(signal: Signal, response: Signal) -> Signal:
    """The beginning of their convolution, as long as `signal`."""
    size = fft.next_fast_len(signal.size + response.size, real=True)
    product = fft.rfft(signal, size) * fft.rfft(response, size)
    return np.asarray(fft.irfft(product, size)[: signal.size], np.float32)
