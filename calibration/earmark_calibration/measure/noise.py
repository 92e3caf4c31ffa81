"""The noise of the room as the microphone hears it: its level, its spectrum, its course.

All levels are of the root mean square, unweighted; 0 dBFS is an rms of 1.0. dB SPL are known
only through a reference that somebody states, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.signal import FLOOR_DBFS, RATE_HZ, Signal
from earmark_calibration.measure.bands import Bands, thirds

LISTEN_S = 12.0
"""How long is listened, s. The level of noise that has 80 Hz of width is then known to 0.14 dB."""

NOISE_BANDS = thirds(-13, 8)
"""50 Hz, the hum of the mains, to 6.3 kHz."""

LOWEST_HZ = 10.0
"""The level counts from here, as that of a sound-level meter does (IEC 61672-1, weighting Z):
below lie offsets and drifts of converters."""

COURSE_S = 0.25
"""Step of the course over time, s: a syllable."""

FRAME = 8192
"""Length of a frame of the spectrum, samples: 2 Hz a line, 5 lines in the lowest band."""


MOMENT = 160
"""Length of a moment, samples: 10 ms, the step in which echo cancellers work."""

HOLE_DBFS = -105.0
"""A moment below this is a hole, dBFS: a converter of 16 bits that is on has -98."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What ties dBFS to dB SPL at the microphone.

    Parameters
    ----------
    dbspl_at_0dbfs : sound pressure level that records as 0 dBFS rms.
    source : where that comes from, as it stands in the report.
    """

    dbspl_at_0dbfs: float
    source: str

    @classmethod
    def by_meter(cls, reading_dbspl: float, recorded_dbfs: float) -> Reference:
        """From a sound-level meter beside the microphone, unweighted (Z), in the same noise."""
        return cls(
            reading_dbspl - recorded_dbfs,
            f"sound-level meter: {reading_dbspl:.1f} dB SPL read as {recorded_dbfs:.1f} dBFS",
        )

    @classmethod
    def by_maker(cls, dbspl_at_0dbfs: float) -> Reference:
        """From the device maker's table."""
        return cls(dbspl_at_0dbfs, f"maker's table: 0 dBFS is {dbspl_at_0dbfs:.1f} dB SPL")

    def dbspl(self, level_dbfs: float) -> float:
        """The sound pressure level of a recorded level."""
        return level_dbfs + self.dbspl_at_0dbfs


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise as it was measured.

    Parameters
    ----------
    level_dbfs : from 10 Hz to half of the rate.
    bands_hz, spectrum_dbfs : level in each third of an octave.
    course_s, course_dbfs : level over time.
    offset : mean of the samples, which no sound has.
    holes : share of moments that are digitally silent: lost, or turned off by somebody.
    """

    level_dbfs: float
    bands_hz: tuple[float, ...]
    spectrum_dbfs: tuple[float, ...]
    course_s: tuple[float, ...]
    course_dbfs: tuple[float, ...]
    offset: float
    holes: float

    @property
    def swing_db(self) -> float:
        """From the level that is exceeded 90 % of the time to the one exceeded 10 %, dB."""
        quiet, loud = np.percentile(self.course_dbfs, [10.0, 90.0])
        return float(loud - quiet)


def measure_noise(recorded: Signal, bands: Bands = NOISE_BANDS) -> Noise:
    """Level, spectrum and course of a recording in which nothing was played.

    Parameters
    ----------
    recorded : at ``RATE_HZ``, at least 1 s.
    """
    if recorded.size < RATE_HZ:
        raise ValueError(f"{recorded.size} samples: noise needs at least {RATE_HZ}")
    offset = float(np.mean(recorded, dtype=np.float64))
    sound = recorded.astype(np.float64) - offset
    hz, density = sps.welch(sound, RATE_HZ, nperseg=min(FRAME, sound.size), detrend=False)
    power = density * (hz[1] - hz[0])
    high_passed = sps.sosfilt(sps.butter(2, LOWEST_HZ, "highpass", fs=RATE_HZ, output="sos"), sound)
    step = round(COURSE_S * RATE_HZ)
    count = high_passed.size // step
    course = np.mean(high_passed[: count * step].reshape(count, step) ** 2, axis=1)
    return Noise(
        level_dbfs=_db(float(power[hz >= LOWEST_HZ].sum())),
        bands_hz=bands.centres_hz,
        spectrum_dbfs=tuple(_db(float(value)) for value in bands.sum(hz, power)),
        course_s=tuple((np.arange(count) * COURSE_S).tolist()),
        course_dbfs=tuple(_db(float(value)) for value in course),
        offset=offset,
        holes=float(np.mean(moments_dbfs(recorded) < HOLE_DBFS)),
    )


def moments_dbfs(signal: Signal) -> NDArray[np.float64]:
    """Level of each moment of 10 ms, dBFS."""
    frames = signal[: signal.size // MOMENT * MOMENT].astype(np.float64).reshape(-1, MOMENT)
    return np.asarray(10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-12))


def _db(power: float) -> float:
    return max(FLOOR_DBFS, 10.0 * float(np.log10(power))) if power > 0.0 else FLOOR_DBFS
