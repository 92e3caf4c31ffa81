"""How loud the device may get before its own microphone clips.

The same chirp is played in steps, each 10 dB louder. What clips at one step is known from the
steps below it, which did not: so the excess is a number and not a guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from earmark.signal import RATE_HZ, Signal, gain
from earmark_calibration.measure.pilots import chirp
from earmark_calibration.measure.rig import CLIPPED

STEPS_DBSPL_1M = (40.0, 50.0, 60.0, 70.0)
"""Levels at 1 m, dB SPL: from the nonce to the loudest that a speaker answers at in a room."""

EVERY_S = 0.6
"""From step to step, s."""

TAIL_S = 0.9
"""To be recorded after the last, s."""

CLIPPED_SAMPLES = 2
"""So many clipped samples are clipping: one alone is a click."""


@dataclass(frozen=True, slots=True)
class Headroom:
    """What the steps say.

    Parameters
    ----------
    peaks_dbfs : highest sample of the recording at each step.
    clipped : whether the microphone clipped at each.
    headroom_db : how far the peak of the loudest step is below full scale; negative by how much
        it would be above, seen from the loudest step that did not clip.
    at_least : every step clipped: it is above by more than that.
    """

    peaks_dbfs: tuple[float, ...]
    clipped: tuple[bool, ...]
    headroom_db: float
    at_least: bool = False


def steps(levels_dbfs: tuple[float, ...]) -> Signal:
    """The chirps, each with the rms of its level while it sounds."""
    out = np.zeros(round(EVERY_S * len(levels_dbfs) * RATE_HZ), np.float32)
    for number, level in enumerate(levels_dbfs):
        begin = round(number * EVERY_S * RATE_HZ)
        out[begin : begin + chirp().size] = chirp() * math.sqrt(2.0) * gain(level)
    return np.clip(out, -1.0, 1.0)


def read_headroom(recorded: Signal, levels_dbfs: tuple[float, ...], delay_s: float) -> Headroom:
    """Read the steps from a recording of :func:`steps` with its tail."""
    peaks, clipped = [], []
    for number in range(len(levels_dbfs)):
        begin = round((number * EVERY_S + delay_s) * RATE_HZ)
        part = np.abs(recorded[begin : begin + round(EVERY_S * RATE_HZ)])
        peaks.append(20.0 * float(np.log10(max(float(part.max(initial=0.0)), 1e-6))))
        clipped.append(int((part >= CLIPPED).sum()) >= CLIPPED_SAMPLES)
    loudest = levels_dbfs[-1]
    whole = [number for number, cut in enumerate(clipped) if not cut]
    if not whole:
        return Headroom(tuple(peaks), tuple(clipped), levels_dbfs[0] - loudest, at_least=True)
    best = whole[-1]
    headroom = -(peaks[best] + loudest - levels_dbfs[best])
    return Headroom(tuple(peaks), tuple(clipped), headroom)
