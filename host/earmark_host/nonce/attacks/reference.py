"""A second recorder near the device, used to cancel the nonce in the recording.

Both recorders hear both sounds, so this is no clean reference as in an echo canceller: plain
least squares would rather cancel the speech. The filter is therefore fitted where the nonce lies
open, of which there is much: speech leaves most of the plane of time and frequency empty. Each
cell of the short-time spectrum counts with the inverse of the power that the filter leaves there,
again and again: the maximum-likelihood filter for a residual that is Gaussian with a power of its
own in every cell (Nakatani et al., IEEE TASLP 18(7), 2010, section III, there for
dereverberation). Each band has some taps of its own, which together span the room's response.

An attacker who also has both recorders on a stretch of nonce without speech fits the filter
there, undisturbed. That is the stronger attack, and the end of each session gives him such a
stretch when nothing prevents it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attacks.loot import Base, Loot, Need

FRAME = 1024
"""Frame, samples: 64 ms; shorter ones need more taps a band for the same response."""

HOP = FRAME // 4
"""Hop, samples: a Hann window sums to a constant."""

TAPS = 10
"""Taps a band: they span 0.22 s with the frame, the loud half of a living room's decay."""

EARLY = 1
"""Of which ahead, frames: the recorder may be nearer to something than the reference."""

ROUNDS = 5
"""Times that the powers are estimated anew; twice as many cancel 0.5 dB more."""

FLOOR = 1e-4
"""Least power of a cell relative to its band's mean in the recording."""

RIDGE = 0.05
"""Regularisation relative to the mean diagonal of a band's equations. 0.01 cancels 1 dB
more and takes 0.05 more off the STOI, 0.2 leaves 3 dB more of the nonce."""

RIDGE_TRAINED = 1e-3
"""The same where the filter is fitted without speech: nothing to spare."""

Spectrum = NDArray[np.complexfloating[Any, Any]]
Power = NDArray[np.floating[Any]]


class ReferenceMic(Base):
    """The nonce at a second recorder near the device, filtered and taken away.

    Parameters
    ----------
    trained : whether the filter is fitted on a stretch without speech.
    """

    def __init__(self, name: str, about: str, trained: bool) -> None:
        super().__init__(name, about)
        self._trained = trained
        extra = (Need.NOISE_ONLY, Need.NOISE_REFERENCE) if trained else ()
        self.needs = (Need.REFERENCE, *extra)

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        if loot.reference is None:  # apply() has looked: for the type checker
            return loot.recording
        target, source = _analyse(loot.recording), _delayed(_analyse(loot.reference))
        if self._trained and loot.noise_only is not None and loot.noise_reference is not None:
            noise, heard = _analyse(loot.noise_only), _delayed(_analyse(loot.noise_reference))
            taps = _solve(noise, heard, np.ones(noise.shape), RIDGE_TRAINED)
        else:
            taps = _fit(target, source)
        left = target - np.einsum("ftk,fk->ft", source, taps)
        _, out = sps.istft(left, RATE_HZ, "hann", FRAME, FRAME - HOP)
        return np.asarray(out[: loot.recording.size], np.float32)


def _fit(target: Spectrum, source: Spectrum) -> Spectrum:
    """Taps (bands, taps) that leave the sparsest residual."""
    floor = FLOOR * np.mean(np.abs(target) ** 2, axis=1, keepdims=True) + np.finfo(float).tiny
    left = target
    taps = np.zeros((target.shape[0], TAPS), complex)
    for _ in range(ROUNDS):
        taps = _solve(target, source, 1.0 / (_smooth(np.square(np.abs(left))) + floor), RIDGE)
        left = target - np.einsum("ftk,fk->ft", source, taps)
    return taps


def _solve(target: Spectrum, source: Spectrum, weight: Power, ridge: float) -> Spectrum:
    """Weighted least squares in each band."""
    weighted = source.conj() * weight[..., None]
    normal = np.matmul(weighted.transpose(0, 2, 1), source)
    wanted = np.einsum("ftk,ft->fk", weighted, target)
    mean = np.real(np.trace(normal, axis1=1, axis2=2)) / TAPS
    # A silent band has no equations: the tiny share keeps it solvable, with taps of zero.
    damping = ridge * mean + np.finfo(float).tiny
    normal = normal + damping[:, None, None] * np.eye(TAPS)
    return np.asarray(np.linalg.solve(normal, wanted[..., None])[..., 0])


def _analyse(signal: Signal) -> Spectrum:
    padded = np.pad(signal.astype(np.float64), (0, FRAME))
    return np.asarray(sps.stft(padded, RATE_HZ, "hann", FRAME, FRAME - HOP)[2])


def _delayed(spectrum: Spectrum) -> Spectrum:
    """(bands, frames) -> (bands, frames, taps): earlier and later frames side by side."""
    count = spectrum.shape[1]
    padded = np.pad(spectrum, ((0, 0), (TAPS, EARLY)))
    starts = [TAPS + EARLY - tap for tap in range(TAPS)]
    return np.stack([padded[:, start : start + count] for start in starts], axis=2)


def _smooth(power: Power) -> Power:
    """Mean over the neighbours of a cell: a single cell's power says little."""
    padded = np.pad(power, 1, "edge")
    rows = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return np.asarray(0.25 * rows[:, :-2] + 0.5 * rows[:, 1:-1] + 0.25 * rows[:, 2:])
