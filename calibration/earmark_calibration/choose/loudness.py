"""How loud the nonce is to people: third-octave levels, ISO 226, and Stevens' summation.

ISO 226:2003 says how loud a tone of some frequency and level is, in phon. What a third octave of
noise holds is heard about as such a tone. The bands are added as S. S. Stevens found (J. Acoust.
Soc. Am. 51, 575, 1972, and ISO 532:1975, method A): the loudest counts whole, of the others a
share, as they mask each other. It is the loudness of a steady sound in front of a listener.

Zwicker's method (ISO 532-1:2017, as in MoSQITo 1.2.1, which needs matplotlib and so is not used
on a device) says 9 to 13 phon more for a nonce of 30 to 46 dB SPL. Differences between options,
which the choice rests on, agree within 2 phon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy import signal as sps

from earmark.audio import AudioSettings, microphone_dbspl
from earmark.signal import FLOOR_DBFS, RATE_HZ, Signal

Levels = NDArray[np.float64]
"""One level for each of :data:`BANDS_HZ`, dB."""

BANDS_HZ = (
    100.0, 125.0, 160.0, 200.0, 250.0, 315.0, 400.0, 500.0, 630.0, 800.0,
    1000.0, 1250.0, 1600.0, 2000.0, 2500.0, 3150.0, 4000.0, 5000.0, 6300.0,
)  # fmt: skip
"""Nominal midband frequencies, Hz (IEC 61260-1), of what a small loudspeaker radiates and 16 kHz
can hold; the edge of the last is 7.1 kHz."""

_EXPONENT = np.array(
    [
        0.367, 0.349, 0.330, 0.315, 0.301, 0.288, 0.276, 0.267, 0.259, 0.253,
        0.250, 0.246, 0.244, 0.243, 0.243, 0.243, 0.242, 0.242, 0.245,
    ]
)  # fmt: skip
_TRANSFER_DB = np.array(
    [
        -8.1, -6.2, -4.5, -3.1, -2.0, -1.1, -0.4, 0.0, 0.3, 0.5,
        0.0, -2.7, -4.1, -1.0, 1.7, 2.5, 1.2, -2.1, -7.1,
    ]
)  # fmt: skip
_THRESHOLD_DB = np.array(
    [
        26.5, 22.1, 17.9, 14.4, 11.4, 8.6, 6.2, 4.4, 3.0, 2.2,
        2.4, 3.5, 1.7, -1.3, -4.2, -6.0, -5.4, -1.5, 6.0,
    ]
)  # fmt: skip
"""ISO 226:2003, table 1: exponent of loudness perception, transfer to the ear, and threshold of
hearing at :data:`BANDS_HZ`."""

SHARE_OF_OTHERS = 0.15
"""Of the loudness of all bands but the loudest, so much adds to it (Stevens; third octaves)."""

_LEAST_PHON = 0.0
"""Bands below are not heard; ISO 226 itself begins at 20 phon and is continued down from there."""


def third_octaves(psd: NDArray[np.float64]) -> Levels:
    """Level of each third octave, dB of the power that `psd` adds up to.

    Parameters
    ----------
    psd : power of each bin of a real spectrum of 0 .. RATE_HZ / 2, shape (bins,).
    """
    hz = np.linspace(0.0, RATE_HZ / 2, psd.size)
    sixth = 10.0 ** (0.05)  # IEC 61260-1, base ten: half a third octave
    powers = [
        float(psd[(hz >= centre / sixth) & (hz < centre * sixth)].sum()) for centre in BANDS_HZ
    ]
    return np.asarray(10.0 * np.log10(np.maximum(powers, 10.0 ** (FLOOR_DBFS / 10.0))))


def power_spectrum(signal: Signal, bins: int = 2049) -> NDArray[np.float64]:
    """Mean power of each bin, shape (bins,); they add up to the mean square (Welch, Hann)."""
    size = 2 * (bins - 1)
    if signal.size < size:
        signal = np.pad(signal, (0, size - signal.size))
    _, psd = sps.welch(signal, RATE_HZ, nperseg=size, scaling="density")
    return np.asarray(psd * RATE_HZ / size, np.float64)


def response_power(response: Signal, bins: int = 2049) -> NDArray[np.float64]:
    """Power gain of a response at each bin, shape (bins,)."""
    size = 2 * (bins - 1)
    padded = fft.rfft(response, max(size, fft.next_fast_len(response.size, real=True)))
    power = np.square(np.abs(padded))
    if power.size == bins:
        return np.asarray(power, np.float64)
    # Mean over the finer bins about each: the energy stays.
    edges = np.linspace(0, power.size, bins + 1).round().astype(int)
    sums = np.add.reduceat(power, edges[:-1])
    return np.asarray(sums / np.maximum(np.diff(edges), 1), np.float64)


def in_dbspl(levels_dbfs: Levels, settings: AudioSettings) -> Levels:
    """Levels of a recording as sound pressure levels at the microphone."""
    return levels_dbfs + microphone_dbspl(0.0, settings)


def tone_phon(levels_dbspl: Levels) -> Levels:
    """Loudness level of a tone of each level at each of :data:`BANDS_HZ`, phon (ISO 226, 4.2)."""
    over_threshold = np.power(
        0.4 * 10.0 ** ((levels_dbspl + _TRANSFER_DB) / 10.0 - 9.0), _EXPONENT
    ) - np.power(0.4 * 10.0 ** ((_THRESHOLD_DB + _TRANSFER_DB) / 10.0 - 9.0), _EXPONENT)
    heard = np.maximum(over_threshold + 0.005135, 1e-12)
    return np.asarray(np.maximum(40.0 * np.log10(heard) + 94.0, _LEAST_PHON))


def sone_of(phon: float) -> float:
    """Loudness of a loudness level (ISO 532-1, 5.7): it halves every 10 phon, faster below 40."""
    return float(2.0 ** ((phon - 40.0) / 10.0) if phon >= 40.0 else (phon / 40.0) ** (1.0 / 0.35))


def phon_of(sone: float) -> float:
    """Loudness level of a loudness: the inverse of :func:`sone_of`."""
    return float(40.0 + 10.0 * np.log2(sone) if sone >= 1.0 else 40.0 * sone**0.35)


def loudness_sone(levels_dbspl: Levels) -> float:
    """Loudness of a steady sound with these third-octave levels, sone."""
    by_band = np.array([sone_of(float(each)) for each in tone_phon(levels_dbspl)])
    loudest = float(by_band.max())
    return loudest + SHARE_OF_OTHERS * float(by_band.sum() - loudest)
