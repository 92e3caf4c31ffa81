"""Filters, noise and a loudspeaker between the recording and the replay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.audio._loudspeaker import Loudspeaker, play_clip
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, gain
from earmark_host.nonce.attacks.loot import Base, Loot

TRANSITION_HZ = 100.0
"""Width of a filter's edge, Hz: nothing beside the band is lost."""

STOP_DB = 70.0
"""Attenuation of a filter, dB: what is left is under the noise of any recorder."""

OCTAVES_HZ = (62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
"""Sliders of a graphic equaliser, Hz: the octaves of IEC 61260 up to half the rate."""

EQUALISER_DB = 6.0
"""Most that a slider is moved, dB: more sounds wrong."""

EQUALISER_TAPS = 1025
"""Length of the equaliser, samples: 16 Hz of resolution, enough for the lowest slider."""

PHONE_THD_PERCENT = 3.0
"""Distortion of a phone's loudspeaker at the level of the speech, %: they are driven hard."""

PHONE_LEVEL_DBFS = -20.0
"""Active level at which the phone plays, dBFS: peaks of speech are 15 to 18 dB above it."""


class LinearPhase(Base):
    """A symmetric filter, its delay taken out."""

    def __init__(self, name: str, about: str, taps: NDArray[np.float64]) -> None:
        super().__init__(name, about)
        self._taps = taps

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return _filtered(loot.recording, self._taps)


def stop_taps(low_hz: float, high_hz: float | None) -> NDArray[np.float64]:
    """Taps that stop `low_hz` to `high_hz` (None: to half the rate), edges outside the band."""
    half = TRANSITION_HZ / 2.0
    count, beta = sps.kaiserord(STOP_DB, TRANSITION_HZ / (RATE_HZ / 2.0))
    edges = [low_hz - half] if high_hz is None else [low_hz - half, high_hz + half]
    kind = "lowpass" if high_hz is None else "bandstop"
    taps = sps.firwin(count | 1, edges, window=("kaiser", beta), pass_zero=kind, fs=RATE_HZ)
    return np.asarray(taps, np.float64)


class Equaliser(Base):
    """A graphic equaliser whose sliders are set at random."""

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        sliders_db = rng.uniform(-EQUALISER_DB, EQUALISER_DB, len(OCTAVES_HZ))
        at_hz = np.linspace(0.0, RATE_HZ / 2.0, 513)
        octave = np.log2(np.maximum(at_hz, OCTAVES_HZ[0] / 2.0))
        curve_db = np.interp(octave, np.log2(OCTAVES_HZ), sliders_db)
        taps = sps.firwin2(EQUALISER_TAPS, at_hz, 10.0 ** (curve_db / 20.0), fs=RATE_HZ)
        return _filtered(loot.recording, taps)


class AddNoise(Base):
    """Pink noise at a stated distance below the speech: it hides what lies under it."""

    def __init__(self, below_db: float) -> None:
        super().__init__(
            f"noise_{below_db:g}db", f"pink noise {below_db:g} dB below the active speech level"
        )
        self._below_db = below_db

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        size = loot.recording.size
        spectrum = np.fft.rfft(rng.standard_normal(size))
        spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size))
        spectrum[0] = 0.0
        noise = np.fft.irfft(spectrum, size)
        power = float(np.mean(noise**2))
        if power <= 0.0:  # a single sample has no noise without its mean
            return loot.recording.copy()
        wanted = gain(active_level_dbfs(loot.recording) - self._below_db)
        return np.asarray(loot.recording + noise * (wanted / np.sqrt(power)), np.float32)


class PhoneLoudspeaker(Base):
    """Played by a phone: band limits and distortion, at the level of speech on a phone."""

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        level_dbfs = active_level_dbfs(loot.recording)
        if level_dbfs <= -119.0:  # silence has no level to set
            return loot.recording.copy()
        factor = gain(PHONE_LEVEL_DBFS - level_dbfs)
        driven = np.clip(loot.recording * factor, -1.0, 1.0).astype(np.float32)
        phone = Loudspeaker(PHONE_THD_PERCENT, PHONE_LEVEL_DBFS, "phone")
        return np.asarray(play_clip(phone, driven) / factor, np.float32)


def _filtered(signal: Signal, taps: NDArray[np.float64]) -> Signal:
    full = sps.oaconvolve(signal.astype(np.float64), taps)
    start = taps.size // 2
    return np.asarray(full[start : start + signal.size], np.float32)
