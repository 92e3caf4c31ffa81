"""How much of a command an attack, or a canceller, leaves to a listener."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pystoi import stoi as _pystoi
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal

MAX_LAG_S = 0.5
"""Most by which the two may be apart, s: the delays of codecs and denoisers are under 0.1."""

ENVELOPE = 512
"""Window of an envelope, samples: 32 ms, 16 at half height."""

SHORTEST_S = 0.4
"""Least speech that STOI can judge, s: 30 frames of 12.8 ms (Taal et al., section II)."""


def aligned(clean: Signal, processed: Signal) -> tuple[Signal, Signal]:
    """`processed` moved to where its waveform, and to where its envelope, matches `clean`.

    The waveform is exact where the phases were left alone; the envelope still holds after a
    phase vocoder or a low-rate codec.

    Parameters
    ----------
    clean, processed : 1-D at 16 kHz, of any length, at most :data:`MAX_LAG_S` apart.

    Returns
    -------
    Both as long as `clean`, with zeros where there is nothing.
    """
    wave = _lag(clean, processed)
    shape = _lag(_envelope(clean), _envelope(processed))
    return _moved(processed, wave, clean.size), _moved(processed, shape, clean.size)


def _lag(clean: NDArray[Any], processed: NDArray[Any]) -> int:
    """By how many samples `processed` is late."""
    most = round(MAX_LAG_S * RATE_HZ)
    match = sps.correlate(processed.astype(np.float64), clean.astype(np.float64), method="fft")
    middle = clean.size - 1
    first = max(0, middle - most)
    # By its magnitude: a loudspeaker with the wires swapped is no worse.
    return first + int(np.argmax(np.abs(match[first : middle + most + 1]))) - middle


def _envelope(signal: Signal) -> NDArray[np.float64]:
    """Loudness over some 16 ms, less its mean."""
    window = np.hanning(ENVELOPE)
    power = np.maximum(sps.oaconvolve(signal.astype(np.float64) ** 2, window, "same"), 0.0)
    loudness = power**0.25
    return np.asarray(loudness - loudness.mean())


def _moved(signal: Signal, late: int, size: int) -> Signal:
    out = np.zeros(size, np.float32)
    start, at = max(0, late), max(0, -late)
    count = max(0, min(signal.size - start, size - at))
    out[at : at + count] = signal[start : start + count]
    return out


def stoi(clean: Signal, processed: Signal) -> float:
    """Short-time objective intelligibility of `processed`, 0 to 1, against `clean`.

    Taal, Hendriks, Heusdens and Jensen, IEEE TASLP 19(7), 2011, by the package pystoi; the two
    are aligned first, in two ways of which the better counts. It looks at 150 Hz to 4.3 kHz
    only: what is above costs nothing here.

    Parameters
    ----------
    clean, processed : 1-D at 16 kHz; timing that was changed has to be restored before
        (:meth:`earmark_host.nonce.attacks.Attack.restore`).

    Raises
    ------
    ValueError
        `clean` has less than 0.4 s of speech.
    """
    if clean.ndim != 1 or processed.ndim != 1 or processed.size == 0:
        raise ValueError("clean and processed: 1-D signals that are not empty")
    if clean.size < SHORTEST_S * RATE_HZ or not np.any(clean):
        raise ValueError(f"clean: at least {SHORTEST_S} s of speech")
    with warnings.catch_warnings():
        # Too few frames is a warning there, with 1e-5 for an answer.
        warnings.filterwarnings("error", category=RuntimeWarning, module="pystoi")
        try:
            value = max(float(_pystoi(clean, one, RATE_HZ)) for one in aligned(clean, processed))
        except RuntimeWarning as warning:
            raise ValueError(f"clean: at least {SHORTEST_S} s of speech") from warning
    return min(1.0, max(0.0, value))
