"""The exponential sweep, and what its recording says of loudspeaker, room and microphone.

A sweep whose frequency rises exponentially has a property that Farina found ("Simultaneous
measurement of impulse response and distortion with a swept-sine technique", AES 108, 2000):
its harmonics are the same sweep, only earlier. So one division by its spectrum gives the
impulse response, and ahead of it, each at a place of its own, the response of each harmonic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.signal import RATE_HZ, Signal
from earmark_calibration.measure.bands import THIRDS, Bands

SWEEP_S = 10.0
"""Length, s: the second harmonic then lies 1.4 s ahead of the response, the third 0.8 s ahead of
that, longer than any room that the product can work in rings."""

LOW_HZ, HIGH_HZ = 60.0, 7900.0
"""From below what a small loudspeaker radiates to just below half of 16 kHz."""

FADE_S = (0.1, 0.005)
"""Fades in and out, s: six periods of the lowest frequency, forty of the highest."""

EDGES_HZ = (60.0, 90.0, 7500.0, 7900.0)
"""Where the result fades in and out, Hz: all of it is from inside the sweep."""

TAIL_S = 2.0
"""To be recorded after the sweep, s: the round trip (at most 0.5 s) and the decay of the room."""

RESPONSE_S = 0.5
"""Length of the response that levels are taken from, s: all but the last of the decay."""

BEFORE_S = 0.01
"""Taken ahead of the direct sound, s: what the edges above make it ring before it comes."""

HARMONIC_S = 0.1
"""The same for harmonics and for the response they are compared with, s: short, so that noise
does not count as distortion. Near the loudspeaker nearly all is direct sound."""

HARMONICS = (2, 3)
"""Harmonics that count: higher ones are weaker in small loudspeakers, and closer together."""


@dataclass(frozen=True, slots=True)
class Impulse:
    """What the sweep's recording was divided into.

    Parameters
    ----------
    whole : float64, circular: sample 0 is what comes back at once, negative ones are harmonics.
    """

    whole: NDArray[np.float64]

    @property
    def causal(self) -> NDArray[np.float64]:
        """What came back after it was played: the response with its delay."""
        return self.whole[: round(TAIL_S * RATE_HZ)]

    def around(self, at_s: float, before_s: float, after_s: float) -> NDArray[np.float64]:
        """The stretch around a time, which may be negative; its ends are faded."""
        first = round((at_s - before_s) * RATE_HZ)
        count = round((before_s + after_s) * RATE_HZ)
        part = np.take(self.whole, np.arange(first, first + count), mode="wrap")
        fade = round(min(before_s, 0.2 * after_s) * RATE_HZ)
        ramp = np.sin(np.linspace(0.0, np.pi / 2, fade)) ** 2
        part[:fade] *= ramp
        part[part.size - fade :] *= ramp[::-1]
        return part


@lru_cache(maxsize=1)
def sweep() -> Signal:
    """The sweep, with an amplitude of 1."""
    time = np.arange(round(SWEEP_S * RATE_HZ)) / RATE_HZ
    rate = _rate_s()
    phase = 2.0 * np.pi * LOW_HZ * rate * np.expm1(time / rate)
    signal = np.sin(phase)
    for seconds, part in ((FADE_S[0], slice(None)), (FADE_S[1], slice(None, None, -1))):
        count = round(seconds * RATE_HZ)
        signal[part][:count] *= np.sin(np.linspace(0.0, np.pi / 2, count)) ** 2
    return np.asarray(signal, dtype=np.float32)


def deconvolve(recorded: Signal) -> Impulse:
    """Impulse response from the recording of :func:`sweep`, by division in the spectrum.

    Parameters
    ----------
    recorded : from the sweep's first sample on, on the playback's clock, as if the sweep had
        been played with an amplitude of 1.
    """
    played = sweep()
    size = fft.next_fast_len(recorded.size + played.size, real=True)
    spectrum = fft.rfft(played.astype(np.float64), size)
    heard = fft.rfft(recorded.astype(np.float64), size)
    hz = np.arange(spectrum.size) * (RATE_HZ / size)
    a, b, c, d = EDGES_HZ
    inside = _rise(hz, a, b) * (1.0 - _rise(hz, c, d))
    power = np.abs(spectrum) ** 2
    divided = np.zeros_like(spectrum)
    used = inside > 0.0
    divided[used] = heard[used] * np.conj(spectrum[used]) / power[used] * inside[used]
    return Impulse(fft.irfft(divided, size))


def response_db(impulse: Impulse, delay_s: float, bands: Bands = THIRDS) -> NDArray[np.float64]:
    """Level of the recording over that of the playback in each band, dB.

    The noise's share is taken off, as far as it is known: to 10 dB below it.
    """
    noise = _band_power(_noise(impulse, delay_s), bands)
    heard = _band_power(impulse.around(delay_s, BEFORE_S, RESPONSE_S), bands)
    return _db(np.maximum(heard - noise, 0.1 * noise))


def noise_db(impulse: Impulse, delay_s: float, bands: Bands = THIRDS) -> NDArray[np.float64]:
    """Level of the noise in the response."""
    return _db(_band_power(_noise(impulse, delay_s), bands))


def distortion_percent(
    impulse: Impulse, delay_s: float, bands: Bands = THIRDS
) -> NDArray[np.float64]:
    """Harmonics over the fundamental that made them, by band of the fundamental, in per cent.

    NaN where a harmonic lies above the sweep, or is not above the noise.
    """
    size = fft.next_fast_len(4 * round((BEFORE_S + HARMONIC_S) * RATE_HZ), real=True)
    hz = np.arange(size // 2 + 1) * (RATE_HZ / size)

    def power(at_s: float) -> NDArray[np.float64]:
        part = impulse.around(at_s, BEFORE_S, HARMONIC_S)
        return np.asarray(np.abs(fft.rfft(part, size)) ** 2)

    fundamental = bands.mean(hz, power(delay_s))
    # Between the second and the third harmonic there is only noise.
    quiet = power(delay_s - 0.5 * sum(lead_s(order) for order in HARMONICS))
    total = np.zeros(len(bands.centres_hz))
    for order in HARMONICS:
        moved = Bands(tuple(order * centre for centre in bands.centres_hz), bands.half_width)
        above = moved.mean(hz, power(delay_s - lead_s(order)) - quiet)
        reached = np.array([moved.edges_hz(c)[1] <= EDGES_HZ[2] for c in moved.centres_hz])
        total += np.where(reached, above, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100.0 * np.sqrt(np.where(total > 0.0, total, np.nan) / fundamental))


def lead_s(order: int) -> float:
    """How far ahead of the response a harmonic lies, s."""
    return float(_rate_s() * np.log(order))


def _rate_s() -> float:
    """Time in which the sweep's frequency grows by a factor e, s."""
    return float(SWEEP_S / np.log(HIGH_HZ / LOW_HZ))


def _rise(hz: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return np.asarray(np.sin(np.clip((hz - low) / (high - low), 0.0, 1.0) * np.pi / 2) ** 2)


def _noise(impulse: Impulse, delay_s: float) -> NDArray[np.float64]:
    """A stretch as long as the response, after the second harmonic has decayed and before
    anything has come back."""
    return impulse.around(delay_s - RESPONSE_S - 0.1, BEFORE_S, RESPONSE_S)


def _band_power(part: NDArray[np.float64], bands: Bands) -> NDArray[np.float64]:
    size = fft.next_fast_len(4 * part.size, real=True)  # several lines in the lowest band
    power = np.abs(fft.rfft(part, size)) ** 2
    hz = np.arange(power.size) * (RATE_HZ / size)
    return bands.mean(hz, power)


def _db(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(power + 1e-30))
