"""Recordings that a corpus holds more than once, told by their waveforms.

A wake word corpus may have one recording under several names: cut again, at another level, coded
again. For a query memory that is no human repetition but the very same sound. They are found
without any fingerprint, so that what is left out does not depend on what is calibrated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip
from earmark_host.bench.speech import spoken
from earmark_host.memory.material import Material

SAME = 0.55
"""Least correlation of two recordings that are one. Among 517 wake words (133,386 pairs) copies
have .67 and more, all others at most .29; among 1,046 commands (546,535 pairs, 1,335 of them takes
of one word by one person) there is no copy, and none has more than .45."""

STEP = 2
"""One sample in so many is compared: 8 kHz."""

BAND_HZ = (200.0, 3_600.0)
"""What is compared, Hz: above hum and rumble, below half the lower rate."""

LONGEST_S = 2.0
"""How much of a recording is compared, s from where it is no longer silent: a wake word."""

FILTER_ORDER = 8
"""Of the low-pass before the lower rate: 22 dB at 4.4 kHz, the first frequency that would fold into
the band, 39 dB at 5 kHz."""


def distinct(material: Material) -> tuple[Material, int]:
    """Leave out all but the first of the wake words that are one recording.

    Only wake words are looked at: what people with a name say is sorted by who said it.

    Returns
    -------
    tuple[Material, int]
        The material with each recording once, phrases with fewer than two takes left out; and
        how many recordings went.
    """
    takes = {clip: None for clips in material.phrases.values() for clip in clips}
    words = [clip for clip in takes if clip.role == "wakeword"]
    found = groups(words, [material.load(word) for word in words])
    gone = {clip for group in found for clip in group[1:]}
    phrases = {
        label: [clip for clip in clips if clip not in gone]
        for label, clips in material.phrases.items()
    }
    kept = {label: clips for label, clips in phrases.items() if len(clips) > 1}
    return replace(material, phrases=kept), len(gone)


def groups(clips: Sequence[Clip], signals: Sequence[Signal]) -> list[list[Clip]]:
    """Which clips are the same recording: groups of two or more, each in the order of `clips`.

    Parameters
    ----------
    clips : what the signals belong to.
    signals : 1-D float32 at 16 kHz, none of them silent.
    """
    group_of = list(range(len(clips)))
    for first, second, _ in pairs(signals):
        # Whoever is the same as a member is in the group, also where other members differ.
        old, new = group_of[second], group_of[first]
        group_of = [new if each == old else each for each in group_of]
    found: dict[int, list[Clip]] = {}
    for clip, group in zip(clips, group_of, strict=True):
        found.setdefault(group, []).append(clip)
    return [group for group in found.values() if len(group) > 1]


def pairs(signals: Sequence[Signal], least: float = SAME) -> Iterator[tuple[int, int, float]]:
    """The pairs of signals, first < second, whose correlation is at least `least`."""
    if len(signals) < 2:
        return
    reduced = [_reduced(signal) for signal in signals]
    # Twice the longest: no lag wraps around.
    size = fft.next_fast_len(2 * max(each.size for each in reduced), real=True)
    spectra: NDArray[np.complex64] = np.stack([_whitened(each, size) for each in reduced])
    for first in range(len(signals) - 1):
        lags = fft.irfft(spectra[first].conj() * spectra[first + 1 :], size, axis=1)
        highest = np.abs(lags).max(axis=1)  # one of them may be upside down
        for offset in np.flatnonzero(highest >= least):
            yield first, first + 1 + int(offset), float(highest[offset])


def _reduced(signal: Signal) -> Signal:
    """What is said, at the lower rate."""
    low = sps.butter(FILTER_ORDER, BAND_HZ[1], fs=RATE_HZ, output="sos")
    inner = spoken(signal, LONGEST_S)[: round(LONGEST_S * RATE_HZ)]
    return np.asarray(sps.sosfilt(low, inner)[::STEP], np.float32)


def _whitened(signal: Signal, size: int) -> NDArray[np.complex64]:
    """The phases of the band alone, with the energy 1.

    Two takes of a steady vowel have much in common where the strongest harmonics are, but not in
    all of the band (Knapp and Carter, IEEE Trans. ASSP 24(4), 1976: the phase transform).
    """
    spectrum = fft.rfft(signal, size)
    at_hz = fft.rfftfreq(size, STEP / RATE_HZ)
    band = (at_hz >= BAND_HZ[0]) & (at_hz <= BAND_HZ[1])
    power = np.abs(spectrum)
    flat = np.where(band, spectrum / np.maximum(power, np.finfo(np.float32).tiny), 0.0)
    # Each of the bins stands for two, the other at the negative frequency.
    return np.asarray(flat * np.sqrt(size / (2.0 * np.count_nonzero(band))), np.complex64)
