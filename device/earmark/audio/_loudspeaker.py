"""A small loudspeaker: soft distortion and band limits, at 48 kHz.

The distortion is a polynomial of second and third order whose argument saturates, so that it
stays one-to-one at any level (a bare cubic folds over). For a sine of amplitude A the second
harmonic has a2 A**2 / 2 and the third a3 A**3 / 4; both get an equal share of the power. Below
the stated drive level the distortion falls by 1 dB and 2 dB per dB. With 1 % at the drive level
it reaches about 2.3 % 10 dB above and 1.2 % 20 dB above, where the saturation holds it.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal, gain

FloatArray: TypeAlias = NDArray[np.floating[Any]]

Enclosure: TypeAlias = Literal["speaker", "phone"]

OVERSAMPLING = 3
"""48 kHz: the third harmonic of 8 kHz is at 24 kHz and does not alias."""

HIGH_PASS_HZ: dict[Enclosure, float] = {"speaker": 200.0, "phone": 400.0}
"""Lower band limit: a 5 cm driver in a small box; a phone's receiver-sized driver."""

LOW_PASS_HZ = 7000.0
"""Upper band limit, Hz: where a full-range driver begins to fall."""

ORDER = 2
"""Order of both limits (Butterworth, 12 dB/octave): a closed box, a gentle roll-off."""

SATURATION = 3.0
"""Argument at which the distortion saturates, relative to the drive level's amplitude."""


class Loudspeaker:
    """Distorts and band-limits a stream at 48 kHz, keeping the state between blocks.

    Parameters
    ----------
    thd_percent : total harmonic distortion of a sine at the drive level, %.
    drive_dbfs : level of that sine, dBFS.
    enclosure : a smart speaker or a phone.
    """

    def __init__(self, thd_percent: float, drive_dbfs: float, enclosure: Enclosure) -> None:
        amplitude = math.sqrt(2.0) * gain(drive_dbfs)
        share = thd_percent / 100.0 / math.sqrt(2.0)
        self._second = 2.0 * share / amplitude
        self._third = 4.0 * share / amplitude**2
        self._ceiling = SATURATION * amplitude
        if thd_percent > 0.0:
            # The saturation takes some 10 % off the formula: put it back.
            correction = thd_percent / self._thd_percent(amplitude)
            self._second *= correction
            self._third *= correction
        rate_hz = OVERSAMPLING * RATE_HZ
        self._limits = np.vstack(
            [
                sps.butter(ORDER, HIGH_PASS_HZ[enclosure], "highpass", fs=rate_hz, output="sos"),
                sps.butter(ORDER, LOW_PASS_HZ, "lowpass", fs=rate_hz, output="sos"),
            ]
        )
        self._state: NDArray[np.float64] = np.zeros((self._limits.shape[0], 2))

    def radiate(self, drive: Signal) -> Signal:
        """Return what is radiated for `drive`, both at 48 kHz."""
        if drive.size == 0:
            return drive
        limited, self._state = sps.sosfilt(self._limits, self._bend(drive), zi=self._state)
        return np.asarray(limited, dtype=np.float32)

    def _bend(self, drive: FloatArray) -> FloatArray:
        soft = drive / np.sqrt(1.0 + np.square(drive / self._ceiling))
        return np.asarray(drive + self._second * np.square(soft) - self._third * soft * soft * soft)

    def _thd_percent(self, amplitude: float) -> float:
        """THD of a sine of `amplitude` before the band limits, %."""
        period = amplitude * np.sin(2.0 * np.pi * np.arange(64) / 64)
        harmonics = np.abs(np.fft.rfft(self._bend(period)))[1:]
        return float(100.0 * np.sqrt(np.sum(harmonics[1:] ** 2)) / harmonics[0])


def play_clip(speaker: Loudspeaker, clip: Signal) -> Signal:
    """Return `clip` (16 kHz) as `speaker` radiates it."""
    high_hz = OVERSAMPLING * RATE_HZ
    radiated = speaker.radiate(soxr.resample(clip, RATE_HZ, high_hz))
    return np.asarray(soxr.resample(radiated, high_hz, RATE_HZ), dtype=np.float32)
