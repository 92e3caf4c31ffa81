"""Is there a nonce of an earlier session in the recording?

A replayed command carries the nonce that was played when it was recorded (AEOLUS, section
3.2). It lies under the replayed speech, so its bits cannot be read one by one, and 32 bits
read with errors could not be told from those of a thousand other nonces. What can be done is
to look for each remembered nonce as a whole: its hop sequence says on which of the tones
every slot must have been.

How sure a find is needs no model of the noise. Had the recording nothing to do with a
remembered nonce, that nonce's hops and bits would be random to it: every slot's evidence
would be drawn evenly from that slot's tones. The Chernoff bound over exactly that draw gives
the probability of so high a score by chance, and the number of nonces, lags and shifts tried
multiplies it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from earmark.nonce.bfsk.demodulate import (
    SHIFT_STEP_HZ,
    STEPS_PER_SLOT,
    to_baseband,
    tone_grid,
    whitened,
)
from earmark.nonce.bfsk.waveform import Bfsk, Nonce
from earmark.signal import RATE_HZ, Signal

PHASE_STRIDE = 2
"""Every second time step is tried: 4 lags a slot, so that a slot is met to an eighth (0.6 dB)."""

SHIFTS_A_TONE = 2
"""Frequency shifts that are tried within the width of a tone (the bit rate): 10 Hz apart at 20
bit/s, where a tone loses 0.4 dB half-way between."""

MIN_OVERLAP_SLOTS = 8
"""A remembered nonce must overlap the recording by this many slots. 8 slots of 32 tones give
at best (1/32)**8 = 1e-12: with fewer, the millions of tries leave no sure find."""

WHOLE = 0.9
"""A span of this share of the recording is not searched beside the whole of it."""

CHUNK = 64
"""Nonces scored at a time: bounds memory at about 40 MB for a command of 15 s."""

FINALISTS = 8
"""Nonces whose chance is computed exactly; the others scored lower."""

LAMBDAS = np.geomspace(0.05, 40.0, 40)
"""Where the Chernoff bound is evaluated: evidence lies in [0, 1], so that an exponent of 40
already counts full marks only."""


@dataclass(frozen=True)
class Candidate:
    """A remembered nonce: what was played, in which waveform, and for how many slots."""

    session: str
    nonce: Nonce
    wave: Bfsk
    slots: int

    @cached_property
    def tones(self) -> NDArray[np.int64]:
        """Tone of each of its slots; drawn once, however many pieces are searched."""
        return self.wave.tones(self.nonce, self.slots)


@dataclass(frozen=True)
class Hit:
    """The remembered nonce that fits best.

    Parameters
    ----------
    session : whose nonce it is.
    chance : bound on the probability of so good a fit by chance, over everything tried; in
        (0, 1].
    score : standard deviations above the mean of a random nonce.
    starts_at_s : where in the recording that nonce begins (before 0 when its start is cut off).
    shift_hz : its frequency shift.
    slots : how many of its slots lie in the recording.
    """

    session: str
    chance: float
    score: float
    starts_at_s: float
    shift_hz: float
    slots: int


def search(
    cleaned: Signal,
    candidates: Sequence[Candidate],
    max_shift_hz: float,
    spans: Sequence[tuple[float, float]] = (),
) -> Hit | None:
    """Find the remembered nonce that fits `cleaned` best.

    Parameters
    ----------
    cleaned : the recording at ``RATE_HZ`` after the current nonce was taken out.
    candidates : the remembered nonces; they may differ in waveform.
    max_shift_hz : half the range of frequency shifts tried.
    spans : parts (from, to) in s that are searched on their own beside the whole, such as the
        command: a short replay is not diluted by what the attacker left silent.

    Returns
    -------
    The best fit with the chance that it is none, or None when nothing could be compared.
    """
    pieces = [(0.0, cleaned)]
    for start_s, end_s in spans:
        piece = cleaned[max(0, round(start_s * RATE_HZ)) : max(0, round(end_s * RATE_HZ))]
        if piece.size < WHOLE * cleaned.size:
            pieces.append((max(0.0, start_s), piece))
    hits: list[Hit] = []
    tried = 0
    for start_s, piece in pieces:
        found, tests = _search_piece(piece, candidates, max_shift_hz)
        hits += [replace(hit, starts_at_s=hit.starts_at_s + start_s) for hit in found]
        tried += tests
    if not hits:
        return None
    best = min(hits, key=lambda hit: hit.chance)
    return replace(best, chance=min(1.0, best.chance * tried))


def _search_piece(
    piece: Signal, candidates: Sequence[Candidate], max_shift_hz: float
) -> tuple[list[Hit], int]:
    """The best hits, each with its own chance, and how much was tried."""
    hits: list[Hit] = []
    tried = 0
    for wave, group in _by_wave(candidates):
        grid = tone_grid(to_baseband(piece, wave), wave, max_shift_hz)
        if grid.total.size < STEPS_PER_SLOT * MIN_OVERLAP_SLOTS:
            continue
        # The middle one, no shift at all, is always among them.
        stride = max(1, int(wave.bit_rate_hz / SHIFTS_A_TONE / SHIFT_STEP_HZ))
        every = slice(grid.shifts_hz.size // 2 % stride, None, stride)
        found, tests = _search_wave(
            _evidence(grid.power[every]), wave, group, grid.shifts_hz[every]
        )
        hits += found
        tried += tests
    return hits, tried


def _by_wave(candidates: Sequence[Candidate]) -> Iterator[tuple[Bfsk, list[Candidate]]]:
    groups: dict[Bfsk, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.slots >= MIN_OVERLAP_SLOTS:
            groups.setdefault(candidate.wave, []).append(candidate)
    yield from groups.items()


def _evidence(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of each tone in its moment's power, after each tone's usual power is divided out.

    Shape (shifts, steps, tones), in [0, 1]: a loud moment counts no more than a quiet one.
    """
    white = whitened(power)
    return np.asarray(white / np.maximum(white.sum(axis=2, keepdims=True), 1e-30))


def _search_wave(
    evidence: NDArray[np.float32],
    wave: Bfsk,
    candidates: list[Candidate],
    shifts_hz: NDArray[np.float64],
) -> tuple[list[Hit], int]:
    shifts, steps, tones = evidence.shape
    rows = steps // STEPS_PER_SLOT
    phases = np.arange(0, STEPS_PER_SLOT, PHASE_STRIDE)
    # by_phase[s, p, row, tone]: the slots seen if the grid of slots starts at phase p.
    by_phase = np.stack(
        [evidence[:, p : p + (rows - 1) * STEPS_PER_SLOT + 1 : STEPS_PER_SLOT] for p in phases],
        axis=1,
    )
    variants = shifts * phases.size
    # centred[row, tone, v]: what each variant (shift and phase) saw.
    centred = by_phase - by_phase.mean(axis=3, keepdims=True)
    centred = centred.reshape(variants, rows, tones).transpose(1, 2, 0)
    variance = np.concatenate([np.zeros((1, variants)), np.cumsum(centred.var(axis=1), axis=0)])

    ranked: list[tuple[float, Candidate, int, int, int]] = []
    tests = 0
    # By length, so that a chunk of short ones is not padded to the longest of all.
    candidates = sorted(candidates, key=lambda candidate: candidate.slots)
    for start in range(0, len(candidates), CHUNK):
        chunk = candidates[start : start + CHUNK]
        lags, standard = _standard_scores(centred, variance, chunk)
        tests += int(np.count_nonzero(np.isfinite(standard)))
        for candidate, scores in zip(chunk, standard, strict=True):
            lag_index, variant = divmod(int(np.argmax(scores)), variants)
            top = float(scores[lag_index, variant])
            if np.isfinite(top):
                shift_index, phase_index = divmod(variant, phases.size)
                ranked.append((top, candidate, int(lags[lag_index]), shift_index, phase_index))
    ranked.sort(key=lambda row: -row[0])
    return [
        Hit(
            session=candidate.session,
            chance=_chance(by_phase[shift, phase], candidate, lag),
            score=standard_score,
            starts_at_s=(lag + float(phases[phase]) / STEPS_PER_SLOT) * wave.slot_s,
            shift_hz=float(shifts_hz[shift]),
            slots=min(lag + candidate.slots, rows) - max(lag, 0),
        )
        for standard_score, candidate, lag, shift, phase in ranked[:FINALISTS]
    ], tests


def _standard_scores(
    centred: NDArray[np.float32],
    variance: NDArray[np.float64],
    chunk: Sequence[Candidate],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Score of every nonce at every lag and variant, in its standard deviations.

    Parameters
    ----------
    centred : shape (rows, tones, variants).
    variance : its variance over the tones, added up over the rows before, (rows + 1, variants).

    Returns
    -------
    The lags in slots, shape (lags,), and the scores, shape (len(chunk), lags, variants); minus
    infinity where too little overlaps.
    """
    rows, tones, _ = centred.shape
    counts = np.array([candidate.slots for candidate in chunk])
    longest = int(counts.max())
    size = fft.next_fast_len(rows + longest, real=True)
    marks = np.zeros((size, len(chunk), tones), np.float32)
    for index, candidate in enumerate(chunk):
        marks[np.arange(candidate.slots), index, candidate.tones] = 1.0
    # A product of matrices for every frequency: (nonces x tones) times (tones x variants).
    product = np.matmul(np.conj(fft.rfft(marks, axis=0)), fft.rfft(centred, size, axis=0))
    lags = np.arange(MIN_OVERLAP_SLOTS - longest, rows - MIN_OVERLAP_SLOTS + 1)
    score = fft.irfft(product, size, axis=0)[lags % size]
    first = np.clip(lags[:, None], 0, rows)
    last = np.clip(lags[:, None] + counts, 0, rows)
    standard = score / np.sqrt(np.maximum(variance[last] - variance[first], 1e-12))
    standard[last - first < MIN_OVERLAP_SLOTS] = -np.inf
    return lags, np.asarray(standard.transpose(1, 0, 2), np.float64)


def _chance(rows: NDArray[np.float32], candidate: Candidate, lag: int) -> float:
    """Chernoff bound on the probability that a random nonce scores as high at this lag.

    The draw: an independent channel for every slot, an independent bit for every place in the
    payload, which all its repetitions share. min over x of exp(-x S) E[exp(x S)].
    """
    first, last = max(lag, 0), min(lag + candidate.slots, rows.shape[0])
    slots = np.arange(first - lag, last - lag)
    seen = rows[first:last].astype(np.float64)
    total = seen[np.arange(slots.size), candidate.tones[slots]].sum()
    pairs = seen.reshape(slots.size, candidate.wave.channels, 2)
    place = slots % candidate.nonce.bits
    best = 0.0
    for x in LAMBDAS:
        by_bit = np.log(np.mean(np.exp(x * pairs), axis=1))
        by_place = np.stack(
            [
                np.bincount(place, weights=by_bit[:, bit], minlength=candidate.nonce.bits)
                for bit in (0, 1)
            ]
        )
        moment = float(np.sum(np.logaddexp(by_place[0], by_place[1]) - np.log(2.0)))
        best = min(best, moment - float(x) * float(total))
    return float(np.exp(best))
