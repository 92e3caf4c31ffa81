"""Clock and shift from the phases of the received tones.

Once the slots are known, each gives one complex amplitude. A residual delay turns its phase
in proportion to the tone's frequency, a frequency shift in proportion to time, a clock drift
in proportion to both. Their joint maximum-likelihood estimate is the peak of a periodogram
over (delay, drift, shift), refined by least squares on the phases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.nonce.bfsk.demodulate import SHIFT_STEP_HZ, STEPS_PER_SLOT
from earmark.nonce.bfsk.waveform import Bfsk
from earmark.signal import RATE_HZ, Signal

MIN_SLOTS = 12
"""Fewer slots than this leave drift and shift undetermined: the grid values stand."""

MAX_COARSE_SLOTS = 160
"""Slots that the grid search looks at, 8 s at 20 bit/s: its cost grows with the third power of
their number, and what it finds is near enough for the climb on all slots."""


@dataclass(frozen=True)
class Clock:
    """Where the nonce starts in the recording and how the two clocks differ."""

    offset_s: float
    drift_ppm: float
    shift_hz: float


def estimate_clock(
    recording: Signal,
    wave: Bfsk,
    tones: NDArray[np.int64],
    offset_s: float,
    shift_hz: float,
    max_drift_ppm: float,
) -> Clock:
    """Refine a coarse synchronisation.

    Parameters
    ----------
    recording : microphone at ``RATE_HZ``.
    tones : tone of each received slot, shape (slots,).
    offset_s, shift_hz : the coarse estimates, right to one step of their grids.
    max_drift_ppm : half the search range of the drift.
    """
    slots = tones.size
    coarse = Clock(offset_s, 0.0, shift_hz)
    if slots < MIN_SLOTS:
        return coarse
    frequency = wave.tone_hz[tones]
    time = np.asarray(np.arange(slots) * wave.slot_s, np.float64)
    amplitude = _amplitudes(recording, wave, frequency, offset_s, shift_hz)
    # Phase is all that counts: a loud slot is not a better clock than a quiet one.
    phase = amplitude / np.maximum(np.abs(amplitude), 1e-30)

    centred = np.asarray(frequency - frequency.mean(), np.float64)
    span_s = max(float(time[:MAX_COARSE_SLOTS][-1]), wave.slot_s)
    width_hz = float(max(np.ptp(frequency), wave.bit_rate_hz))
    # Farther away the tones, evenly spaced, have the same phases once more.
    slack_s = min(1.5 * wave.slot_s / STEPS_PER_SLOT, 0.5 / wave.tone_spacing_hz)
    delays = np.arange(-slack_s, slack_s, 0.25 / width_hz)
    drift_step = 0.25 / (width_hz * span_s)
    side = int(np.ceil(1.2 * max_drift_ppm * 1e-6 / drift_step))
    drifts = np.asarray(np.arange(-side, side + 1) * drift_step, np.float64)
    # In noise the grid's shift is good to a quarter of a tone's width.
    edge_hz = max(SHIFT_STEP_HZ, wave.bit_rate_hz / 4.0)
    edge_hz += max_drift_ppm * 1e-6 * float(frequency.mean())
    edge_hz = min(edge_hz, wave.bit_rate_hz / 2.0)  # beyond, the slots' phases repeat
    turns = np.arange(-edge_hz, edge_hz, 0.25 / span_s)

    part = slice(MAX_COARSE_SLOTS)
    start = _coarse(phase[part], centred[part], time[part], delays, drifts, turns)
    delay, drift, turn = _refine(phase, centred, time, tones, start)
    return Clock(
        offset_s=offset_s + delay,
        drift_ppm=drift * 1e6,
        # The periodogram's "turn" holds the drift at the mean frequency as well.
        shift_hz=shift_hz + turn - drift * float(frequency.mean()),
    )


def _coarse(
    phase: NDArray[np.complex128],
    centred: NDArray[np.float64],
    time: NDArray[np.float64],
    delays: NDArray[np.float64],
    drifts: NDArray[np.float64],
    turns: NDArray[np.float64],
) -> tuple[float, float, float]:
    """The highest point of the periodogram on the grid of delays, drifts and turns.

    score[d, r, t] = |sum_j phase_j exp(2 pi i (f_j d - f_j time_j r - time_j t))|, one delay
    at a time: all together would be some 60 MB after 15 s.
    """
    by_drift = np.exp(-2j * np.pi * drifts[:, None] * (centred * time))
    by_turn = np.exp(-2j * np.pi * turns[:, None] * time).T
    best, start = -1.0, (0.0, 0.0, 0.0)
    for delay in delays:
        score = np.abs((phase * np.exp(2j * np.pi * delay * centred) * by_drift) @ by_turn)
        drift_index, turn_index = divmod(int(np.argmax(score)), turns.size)
        top = float(score[drift_index, turn_index])
        if top > best:
            best = top
            start = (float(delay), float(drifts[drift_index]), float(turns[turn_index]))
    return start


def _amplitudes(
    recording: Signal, wave: Bfsk, frequency: NDArray[np.float64], offset_s: float, shift_hz: float
) -> NDArray[np.complex128]:
    """Complex amplitude of every slot against its expected tone, shape (slots,)."""
    size = round(wave.slot_s * RATE_HZ)
    start_s = offset_s + np.arange(frequency.size) * wave.slot_s
    first = np.round(start_s * RATE_HZ).astype(np.int64)
    padded = np.concatenate([recording, np.zeros(size, np.float32)])
    first = np.clip(first, 0, recording.size)
    index = first[:, None] + np.arange(size)
    # Time of each sample within its slot, and since the nonce began (for the shift).
    within = index / RATE_HZ - start_s[:, None]
    angle = frequency[:, None] * within + shift_hz * (index / RATE_HZ - offset_s)
    window = np.hanning(size)
    return np.asarray((padded[index] * window * np.exp(-2j * np.pi * angle)).sum(axis=1))


def _refine(
    phase: NDArray[np.complex128],
    centred: NDArray[np.float64],
    time: NDArray[np.float64],
    tones: NDArray[np.int64],
    start: tuple[float, float, float],
) -> tuple[float, float, float]:
    """Climb to the top of the periodogram's peak, then free drift and shift of the room.

    The room gives each tone a phase of its own, which a delay models only in part. Drift and
    shift show in how the phase of one and the same tone moves between its slots, so in the
    second step every tone keeps a free phase.
    """
    # Steps of the first simplex: a fraction of the grid that the start comes from.
    step = np.array([1e-4, 2e-5, 0.05])

    def coherent(point: NDArray[np.float64]) -> float:
        delay, drift, turn = point * step
        angle = delay * centred - drift * centred * time - turn * time
        return -float(np.abs(np.sum(phase * np.exp(2j * np.pi * angle))))

    def per_tone(point: NDArray[np.float64]) -> float:
        drift, turn = point * step[1:]
        turned = phase * np.exp(-2j * np.pi * (drift * centred * time + turn * time))
        real = np.bincount(tones, weights=turned.real)
        return -float(np.sum(np.hypot(real, np.bincount(tones, weights=turned.imag))))

    joint = _climb(coherent, np.array(start) / step)
    drift, turn = _climb(per_tone, joint[1:]) * step[1:]
    return float(joint[0] * step[0]), float(drift), float(turn)


def _climb(
    loss: Callable[[NDArray[np.float64]], float], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    # Here and not above: with tones alone it is needed, and loading it takes 12 MB.
    from scipy import optimize  # noqa: PLC0415

    simplex = np.vstack([start, start + np.eye(start.size)])
    found = optimize.minimize(
        loss,
        start,
        method="Nelder-Mead",
        options={"maxiter": 200, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6},
    )
    return np.asarray(found.x)
