"""The codes learnt without the key, and taken out of a recording.

All nonces of an epoch are made of the same sixteen codes. So whoever hears enough of them can
tell the slots apart by their likeness, take the mean of those that are alike, and knows the codes
as they sound where he listened. What a recording holds is then a matter of comparing each slot
with sixteen sounds; a filter brings the right ones from there to the recorder, and they are
subtracted.

Nothing in this hears speech for a nonce: the source of the filter is synthetic, so least squares
cannot cancel any speech with it (:mod:`earmark_host.nonce.attacks.reference` has to take care of
that). Each cell of time and frequency is weighted with the inverse of what is left in it, in the
means as in the filter.

One thing is given to the attacker: when each slot begins. The codes are not: he has neither the
key nor a single payload. He could have the times as well: the onset of a nonce near the device
shows them to some milliseconds, and the correlation between two sessions to a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft
from scipy import signal as sps
from scipy.cluster import hierarchy
from scipy.ndimage import uniform_filter

from earmark.nonce.spread.whitening import whitened
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attacks import reference
from earmark_host.nonce.attacks.loot import Base, Loot, Need

CODES = 16
"""Codes of an epoch: no secret."""

SLOT = 4096
"""Length of a slot at the device's clock, samples: no secret."""

LEAD = 64
"""Samples before a slot's beginning that belong to its code: its filter rings both ways."""

RING = 2400
"""How long a code rings on near the device, samples: 0.15 s, some 40 dB down where the direct
sound prevails."""

LENGTH = LEAD + SLOT + RING
"""Length of a code as it sounds, samples."""

ALIKE = 0.15
"""Slots belong together when their mean likeness is above this. Different codes reach
5 / sqrt(SLOT) = 0.08 by chance; the same code near the device 0.9, under speech 0.2 to 0.6."""

WINDOW = 512
"""Frame in which the means are weighted, samples: 32 ms, as in the device's own whitening."""

SMOOTH = (0, 5, 3)
"""Slots, bands and frames over which the weights are averaged: a cell's own power says little."""

FLOOR = 1e-3
"""Least power of a cell relative to the median: none rules alone."""

PASSES = 4
"""Times that each code's mean is corrected by what all codes together leave of the recordings:
they ring into each other's slots. Twice as many change 0.2 dB."""

SURE = 4.0
"""A code is in a slot when it stands out by so many standard deviations."""

NEAR, FAR = 8, 200
"""Lags at which a slot is compared with a code, samples: 0.5 ms either way, and 12.5 ms either
way for what chance gives."""

HEAD = 4096
"""So much is known of what was played before a recording that begins in the middle, samples: the
slot that it begins in."""

RIDGE = 3e-3
"""Regularisation of the filter relative to the mean diagonal of a band's equations."""

ROUNDS = 5
"""Times that the powers which weight the filter's equations are estimated anew."""

EDGE = 512
"""Added around what is moved by a fraction of a sample: the transform wraps around."""

TINY = float(np.finfo(float).tiny)

Codes = NDArray[np.float64]
Times = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Overheard:
    """A session as the recorder near the device heard it.

    Parameters
    ----------
    recording : 1-D at 16 kHz.
    starts : sample at which each slot begins, evenly spaced, shape (slots,), at least 2.
    """

    recording: Signal
    starts: Times


class LearnedCodes(Base):
    """The codes learnt from sessions near the device, subtracted where they were recognised.

    Parameters
    ----------
    sessions : what he learns from; without speech is better, but not needed.
    recording_starts : sample at which each slot begins in the loot's `recording`, evenly spaced;
        slots may lie outside.
    noise_starts : the same in its `noise_only`, on which the filter is fitted too; None without.
    """

    def __init__(
        self,
        name: str,
        sessions: Sequence[Overheard],
        recording_starts: Times,
        noise_starts: Times | None = None,
    ) -> None:
        super().__init__(
            name,
            f"the codes learnt from {len(sessions)} sessions near the device and subtracted; "
            "the slots' times are given to him",
        )
        self.needs = () if noise_starts is None else (Need.NOISE_ONLY,)
        self._sessions = sessions
        self._recording_starts = recording_starts
        self._noise_starts = noise_starts

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        codes = learn(self._sessions)
        target, played = _spectra(loot.recording, self._recording_starts, codes)
        parts = [(target, played)]
        if loot.noise_only is not None and self._noise_starts is not None:
            parts.append(_spectra(loot.noise_only, self._noise_starts, codes))
        path = _path(parts)
        left = target - _through(played, path)
        _, out = sps.istft(left, RATE_HZ, "hann", reference.FRAME, reference.FRAME - reference.HOP)
        return np.asarray(out[HEAD : HEAD + loot.recording.size], np.float32)


def learn(sessions: Sequence[Overheard]) -> Codes:
    """The codes as they sound at the recorder, shape (at most CODES, LENGTH).

    Their order means nothing. Those that never sounded are missing; with no whole slot at all
    there are none.
    """
    grids: list[NDArray[np.float64]] = []
    places: list[tuple[int, int]] = []
    white: list[Signal] = []
    for one in sessions:
        whole = _whole(one)
        # Cut where the last whole slot ends: what sounds afterwards is not modelled.
        grid = np.pad(_on_grid(one.recording, one.starts)[: LEAD + whole * SLOT], (0, RING))
        flat = whitened(grid.astype(np.float32))
        places += [(len(grids), k * SLOT) for k in range(whole)]
        white += [flat[LEAD + k * SLOT :][:SLOT] for k in range(whole)]
        grids.append(grid)
    if not white:
        return np.zeros((0, LENGTH))
    label = _groups(np.stack(white))
    codes = np.zeros((min(CODES, int(label.max()) + 1), LENGTH))
    for _ in range(PASSES):
        left = [grid.copy() for grid in grids]
        for (session, at), code in zip(places, label, strict=True):
            if code < len(codes):
                left[session][at : at + LENGTH] -= codes[code]
        for code in range(len(codes)):
            mine = [place for place, other in zip(places, label, strict=True) if other == code]
            codes[code] += _common(np.stack([left[j][at : at + LENGTH] for j, at in mine]))
    return codes


def recognised(recording: Signal, starts: Times, codes: Codes) -> NDArray[np.intp]:
    """Which of `codes` each slot holds, shape (slots,); -1 where none stands out."""
    found = np.full(starts.size, -1, np.intp)
    if len(codes) == 0:
        return found
    grid = _on_grid(recording, starts).astype(np.float32)
    white = np.pad(whitened(grid).astype(np.float64), (FAR, FAR + SLOT))
    size = fft.next_fast_len(SLOT + 2 * FAR, real=True)
    known = fft.rfft(codes[:, LEAD : LEAD + SLOT], size, axis=1).conj()
    known /= np.linalg.norm(known, axis=1, keepdims=True) + TINY
    for slot in range(starts.size):
        piece = white[LEAD + slot * SLOT :][: SLOT + 2 * FAR]
        match = np.abs(fft.irfft(fft.rfft(piece, size) * known, size, axis=1)[:, : 2 * FAR + 1])
        best = match[:, FAR - NEAR : FAR + NEAR + 1].max(axis=1)
        # The median magnitude of a normal variable is 0.6745 standard deviations.
        if best.max() > SURE * float(np.median(match)) / 0.6745:
            found[slot] = int(np.argmax(best))
    return found


def _whole(session: Overheard) -> int:
    """How many slots the recording holds to their end."""
    slot = float(np.mean(np.diff(session.starts)))
    return int(np.count_nonzero(session.starts + slot <= session.recording.size))


def _groups(slots: NDArray[np.float32]) -> NDArray[np.intp]:
    """Which slots are alike: a number from 0 for each, the largest groups first."""
    if len(slots) < 2:
        return np.zeros(len(slots), np.intp)
    flat = fft.rfft(slots, axis=1)
    power = np.mean(np.abs(flat) ** 2, axis=0)
    flat = flat / np.sqrt(power + FLOOR * power.mean() + TINY)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + TINY
    likeness = np.real(flat @ flat.conj().T).astype(np.float64)
    tree = hierarchy.linkage(1.0 - likeness[np.triu_indices(len(slots), 1)], "average")
    group = hierarchy.fcluster(tree, 1.0 - ALIKE, "distance")
    sizes = np.bincount(group)
    rank = np.empty_like(sizes)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(sizes.size)
    return np.asarray(rank[group], np.intp)


def _common(pieces: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the pieces have in common: in each cell those count most that are quiet there."""
    spectrum = sps.stft(pieces, RATE_HZ, "hann", WINDOW, WINDOW // 2)[2]
    power = uniform_filter(np.abs(spectrum) ** 2, SMOOTH)
    weight = 1.0 / (power + FLOOR * np.median(power) + TINY)
    mean = np.sum(weight * spectrum, axis=0) / np.sum(weight, axis=0)
    _, out = sps.istft(mean, RATE_HZ, "hann", WINDOW, WINDOW // 2)
    return np.asarray(out[: pieces.shape[1]])


# -- the filter -----------------------------------------------------------------------------


def _path(parts: Sequence[tuple[reference.Spectrum, reference.Spectrum]]) -> reference.Spectrum:
    """Taps (bands, taps) from what was played near the device to the recorder."""
    target = np.hstack([part[0] for part in parts])
    source = np.hstack([part[1] for part in parts])
    path = np.zeros((target.shape[0], reference.TAPS), complex)
    for _ in range(ROUNDS):
        weights = [_weight(heard, heard - _through(played, path)) for heard, played in parts]
        path = reference._solve(target, source, np.hstack(weights), RIDGE)
    return path


def _weight(heard: reference.Spectrum, left: reference.Spectrum) -> reference.Power:
    """Inverse power of what is left; 0 in frames that lie before the recording or half before."""
    floor = reference.FLOOR * np.mean(np.abs(heard) ** 2, axis=1, keepdims=True) + TINY
    weight = 1.0 / (reference._smooth(np.square(np.abs(left))) + floor)
    weight[:, : (HEAD + reference.FRAME // 2) // reference.HOP + 1] = 0.0
    return np.asarray(weight)


def _through(source: reference.Spectrum, path: reference.Spectrum) -> reference.Spectrum:
    return np.asarray(np.einsum("ftk,fk->ft", source, path))


def _spectra(
    recording: Signal, starts: Times, codes: Codes
) -> tuple[reference.Spectrum, reference.Spectrum]:
    """The recording, and what was played for each tap; both begin HEAD samples before it."""
    grid = np.zeros(starts.size * SLOT + LENGTH)
    for slot, code in enumerate(recognised(recording, starts, codes)):
        if code >= 0:
            grid[slot * SLOT : slot * SLOT + LENGTH] += codes[code]
    source = _off_grid(grid, starts + HEAD, HEAD + recording.size)
    target = reference._analyse(np.pad(recording, (HEAD, 0)))
    return target, reference._delayed(reference._analyse(source))


# -- the slots' clock -----------------------------------------------------------------------


def _on_grid(signal: Signal, starts: Times) -> NDArray[np.float64]:
    """`signal` at the device's clock: slot k begins at sample LEAD + k * SLOT."""
    pace = SLOT / float(np.mean(np.diff(starts)))
    stretched = soxr.resample(signal.astype(np.float64), RATE_HZ, RATE_HZ * pace, "VHQ")
    return _moved(stretched, starts[0] * pace - LEAD, starts.size * SLOT + LENGTH)


def _off_grid(grid: NDArray[np.float64], starts: Times, size: int) -> Signal:
    """What :func:`_on_grid` does, undone: `size` samples at the recorder's clock."""
    pace = SLOT / float(np.mean(np.diff(starts)))
    placed = _moved(grid, LEAD - starts[0] * pace, round(size * pace) + 1)
    out = soxr.resample(placed, RATE_HZ * pace, RATE_HZ, "VHQ")
    return np.asarray(np.pad(out, (0, max(0, size - out.size)))[:size], np.float32)


def _moved(signal: NDArray[np.float64], first: float, size: int) -> NDArray[np.float64]:
    """`size` samples of `signal` from sample `first` on, which may lie between two or outside."""
    whole = int(np.floor(first))
    padded = np.zeros(size + 2 * EDGE)
    begin, at = max(0, whole - EDGE), max(0, EDGE - whole)
    count = max(0, min(signal.size - begin, padded.size - at))
    padded[at : at + count] = signal[begin : begin + count]
    turn = np.exp(2j * np.pi * (first - whole) * np.fft.rfftfreq(padded.size))
    return np.asarray(fft.irfft(fft.rfft(padded) * turn, padded.size)[EDGE : EDGE + size])
