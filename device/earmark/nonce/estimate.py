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
from scipy import optimize

from earmark.nonce.demodulate import SHIFT_STEP_HZ, STEPS_PER_SLOT
from earmark.nonce.waveform import Bfsk
from earmark.signal import RATE_HZ, Signal

MIN_SLOTS = 12
"""Fewer slots than this leave drift and shift undetermined: the grid values stand."""


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
    time = np.arange(slots) * wave.slot_s
    amplitude = _amplitudes(recording, wave, frequency, offset_s, shift_hz)
    # Phase is all that counts: a loud slot is not a better clock than a quiet one.
    phase = amplitude / np.maximum(np.abs(amplitude), 1e-30)

    centred = frequency - frequency.mean()
    span_s = max(time[-1], wave.slot_s)
    width_hz = max(float(np.ptp(frequency)), wave.bit_rate_hz)
    slack_s = 1.5 * wave.slot_s / STEPS_PER_SLOT
    delays = np.arange(-slack_s, slack_s, 0.25 / width_hz)
    drift_step = 0.25 / (width_hz * span_s)
    side = int(np.ceil(1.2 * max_drift_ppm * 1e-6 / drift_step))
    drifts = np.arange(-side, side + 1) * drift_step
    edge_hz = SHIFT_STEP_HZ + max_drift_ppm * 1e-6 * frequency.mean()
    turns = np.arange(-edge_hz, edge_hz, 0.25 / span_s)

    # score[d, r, t] = |sum_j phase_j exp(2 pi i (f d - f time r - time t))|
    by_delay = phase * np.exp(2j * np.pi * delays[:, None] * centred)
    by_drift = np.exp(-2j * np.pi * drifts[:, None] * (centred * time))
    by_turn = np.exp(-2j * np.pi * turns[:, None] * time)
    both = (by_delay[:, None, :] * by_drift[None]).reshape(-1, slots)
    score = np.abs(both @ by_turn.T)
    best, turn_index = np.unravel_index(int(np.argmax(score)), score.shape)
    delay_index, drift_index = divmod(int(best), drifts.size)
    start = (
        float(delays[delay_index]),
        float(drifts[drift_index]),
        float(turns[int(turn_index)]),
    )
    delay, drift, turn = _refine(phase, centred, time, tones, start)
    return Clock(
        offset_s=offset_s + delay,
        drift_ppm=drift * 1e6,
        # The periodogram's "turn" holds the drift at the mean frequency as well.
        shift_hz=shift_hz + turn - drift * float(frequency.mean()),
    )


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
    simplex = np.vstack([start, start + np.eye(start.size)])
    found = optimize.minimize(
        loss,
        start,
        method="Nelder-Mead",
        options={"maxiter": 200, "initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6},
    )
    return np.asarray(found.x)
