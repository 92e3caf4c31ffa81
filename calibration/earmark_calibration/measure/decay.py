"""How long the room rings: RT60 from an impulse response, by backward integration.

After ISO 3382-2, with one difference. The loudspeaker is a hand's breadth from the microphone,
so the direct sound is some 20 dB above all that follows, and a decay read from there would be
that of the loudspeaker. It is left out: the integration ends a little after it, and from there
on the curve is the room's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.signal import RATE_HZ
from earmark_calibration.measure.bands import OCTAVES

SKIP_S = 0.025
"""Left out after the direct sound, s: the loudspeaker's own ringing and the first reflections,
from the table and the wall behind."""

LENGTH_S = 1.6
"""Length of the response that is looked at, s."""

BLOCK_S = 0.01
"""Blocks that power is averaged in, to find where the noise begins, s."""

QUIET_SHARE = 0.15
"""Last share of the response, taken for noise."""

LEAST_NOISE = 1e-9
"""Least noise, relative to the power at the start: a response that was computed has none."""

ABOVE_NOISE_DB = 5.0
"""The decay is used down to so far above the noise, dB; below that its slope is the noise's."""

FROM_DB = -5.0
"""Where the slope is read from, dB below the start (ISO 3382)."""

RANGES_DB = (30.0, 20.0)
"""Ranges of the slope, dB, the widest that the noise allows: T30, else T20."""

BROADBAND_RANGES_DB = (*RANGES_DB, 10.0)
"""Broadband also T10: over so many modes it errs by 10 % at most, in an octave by 40."""

LEAST_LINE = 0.98
"""Least correlation of the curve with its line: a curve that bends is no decay."""

FILTER_ORDER = 6
"""Order of the filters of the bands (Butterworth): a neighbour that rings longer stays out."""

BROADBAND_HZ = (200.0, 7000.0)
"""What is broadband here, Hz: what the loudspeaker radiates."""


@dataclass(frozen=True, slots=True)
class Decay:
    """How a band decays.

    Parameters
    ----------
    rt60_s : time in which it falls by 60 dB, s; None where the noise leaves too little.
    range_db : range that it was read over, dB; 0 without.
    curve_s, curve_db : the backward integral, from the start of the integration.
    """

    rt60_s: float | None
    range_db: float
    curve_s: NDArray[np.float64]
    curve_db: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reverberation:
    """RT60 of a room, broadband and by octave."""

    broadband: Decay
    octaves_hz: tuple[float, ...]
    octaves: tuple[Decay, ...]


def reverberation(response: NDArray[np.float64], direct_s: float) -> Reverberation:
    """RT60 of an impulse response at ``RATE_HZ`` whose direct sound is at `direct_s`."""
    first = max(0, round((direct_s - 0.05) * RATE_HZ))
    last = round((direct_s + LENGTH_S) * RATE_HZ)
    part = response[first:last]
    start = round((direct_s + SKIP_S) * RATE_HZ) - first
    centres = OCTAVES.centres_hz
    return Reverberation(
        decay(_filtered(part, BROADBAND_HZ), start, BROADBAND_RANGES_DB),
        centres,
        tuple(decay(_filtered(part, OCTAVES.edges_hz(centre)), start) for centre in centres),
    )


def decay(
    response: NDArray[np.float64], start: int, ranges_db: tuple[float, ...] = RANGES_DB
) -> Decay:
    """Decay of a response, filtered already, from sample `start` on."""
    power = response[start:] ** 2
    block = round(BLOCK_S * RATE_HZ)
    blocks = power[: power.size // block * block].reshape(-1, block).mean(axis=1)
    nothing = Decay(None, 0.0, np.zeros(0), np.zeros(0))
    if blocks.size < 10 or blocks[0] <= 0.0:
        return nothing
    noise = float(blocks[-max(3, round(QUIET_SHARE * blocks.size)) :].mean())
    noise = max(noise, LEAST_NOISE * float(blocks[0]))
    # The first block that is no more than a little above the noise ends the decay.
    low = np.flatnonzero(blocks < noise * 10.0 ** (ABOVE_NOISE_DB / 10.0))
    end = (int(low[0]) if low.size else blocks.size) * block
    if end < 4 * block:
        return nothing
    # What was cut off would have gone on as it did before: its energy, by the slope so far.
    kept = np.maximum(blocks[: end // block] - noise, 1e-3 * noise + 1e-300)
    times = (np.arange(kept.size) + 0.5) * BLOCK_S
    slope = float(np.polyfit(times, np.log(kept), 1)[0])
    at_end = float(np.exp(np.polyval(np.polyfit(times, np.log(kept), 1), end / RATE_HZ)))
    beyond = at_end * RATE_HZ / -slope if slope < 0.0 else 0.0
    integral = np.cumsum((power[:end] - noise)[::-1])[::-1] + beyond
    curve = 10.0 * np.log10(np.maximum(integral, 1e-300) / max(integral[0], 1e-300))
    seconds = np.arange(end) / RATE_HZ
    for range_db in ranges_db:
        if curve[-1] > FROM_DB - range_db:
            continue
        inside = (curve <= FROM_DB) & (curve >= FROM_DB - range_db)
        line = np.polyfit(seconds[inside], curve[inside], 1)
        straight = abs(float(np.corrcoef(seconds[inside], curve[inside])[0, 1]))
        if line[0] < 0.0 and straight >= LEAST_LINE:
            return Decay(float(-60.0 / line[0]), range_db, seconds, curve)
    return Decay(None, 0.0, seconds, curve)


def _filtered(part: NDArray[np.float64], edges_hz: tuple[float, float]) -> NDArray[np.float64]:
    sections = sps.butter(FILTER_ORDER, edges_hz, "bandpass", fs=RATE_HZ, output="sos")
    # Backwards: so the filter rings ahead of the direct sound and not into the decay.
    return np.asarray(sps.sosfilt(sections, part[::-1])[::-1])
