"""Any nonce of an epoch, at any lag, at a cost that does not depend on how many were issued.

A replayed command carries the nonce that played when it was recorded. All nonces of an epoch
are made of the same sixteen codes, so looking for the codes finds every one of them.

How sure a find is needs no model of the noise. Each correlation z with a piece of a code, were
the codes drawn independently of the recording, satisfies E exp(s z**2 / 2) <= 1 / sqrt(1 - s)
for any recording, because the codes are random signs. So

    e(z) = sqrt(1 - s) exp(s z**2 / 2)

has an expectation of at most 1: an e-value (Vovk and Wang, Annals of Statistics 49(3), 2021).
Means of e-values are e-values, and so are products of independent ones. For every place of the
grid of slots: product over the two pieces of a code, mean over neighbouring lags, mean over the
slots in which the code may have been, product over the sixteen codes; then the mean over all
places, clocks, epochs. Codes are independent of each other, so this holds for any recording,
periodic ones too. What is left is one number per recording, and by Markov's inequality it
exceeds 1 / alpha with probability alpha at most. (The current nonce is made of the same codes:
what is left of it is not independent, and is left out, see :class:`Trace`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft

from earmark.nonce.shift import shifted
from earmark.nonce.spread.bank import BLOCK, STEP, Bank
from earmark.nonce.spread.correlate import inverse_norms, spectra
from earmark.nonce.spread.evidence import all_codes
from earmark.nonce.spread.shape import CHIPS, CODES, PIECE, PIECES
from earmark.nonce.spread.stretched import Change, OwnSlot
from earmark.nonce.spread.whitening import whitened
from earmark.signal import RATE_HZ, Signal

PRIOR = 15.0
"""Expected square of the z of an old nonce's piece: at 40 dB SPL at 1 m, z is 2 to 15. Too high
costs weak ones half the logarithm, too low loses a sixteenth of strong ones."""

GAIN = 0.5 * PRIOR / (1.0 + PRIOR)
COST = 0.5 * float(np.log1p(PRIOR))
"""log e(z) = GAIN z**2 - COST: s of the text above is PRIOR / (1 + PRIOR)."""

BIN = 8
"""Grid of lags, samples: half a millisecond."""

PHASES = CHIPS // BIN
"""Places on the grid at which slots may begin."""

WINDOW = 2 * BIN
"""Lags that a place on the grid stands for, samples: neighbours overlap, so that slots need not
keep their distance to better than 0.25 ms."""

EXTRA_DRIFT_PPM = 100.0
"""Clock error of an attacker's recorder and player together, ppm: two consumer crystals."""

BEFORE = 192
"""Samples before a current slot's arrival that count as its own, 12 ms. The canceller's path begins
4 ms before the direct sound and ends there abruptly, which leaves a trace at its first tap."""

SURE_STRETCH = 7.0
"""Log e-value from which a recording at another speed is looked at more closely: 1 in 1,000."""

FINE_SHIFTS_HZ = np.linspace(-2.0, 2.0, 5)
"""Frequency shifts around one of the coarse grid."""

FINE_SPEEDS = np.linspace(-0.0015, 0.0015, 7)
"""Speeds around one of the coarse grid, 0.05 % apart: a piece of 128 ms fits on the whole band."""

NOTHING = -50.0
"""Least log e-value that is handed on: what is left out has none."""

SELF_S = 0.25
"""Echoes over which what is left of the current nonce is added up, s: a living room's."""

SELF_MOST = 0.77
"""Share of a piece's energy that all its lags together can show: 6.5 of 8 kHz, less the edges. A
recording that holds nothing else reaches it (measured)."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The current nonce in the recording: what must not be taken for an old one.

    Parameters
    ----------
    bank : whose codes were played.
    codes : the code of each slot, shape (slots,).
    starts : sample at which each slot's direct sound begins in the recording, shape (slots,).
    """

    bank: Bank
    codes: NDArray[np.int64]
    starts: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Find:
    """The best fit of an old nonce.

    Parameters
    ----------
    log10_evidence : of all that was tried together; 3 or more comes by chance once in 1,000.
    bank : the bank that fits best.
    starts_at_s : where in the recording the first slot begins that stands out.
    evidence : log e-value of every code in every slot that stands out, (slots, CODES).
    self_noise_db : by how much what the canceller left of the current nonce raises the noise.
    """

    log10_evidence: float
    bank: Bank | None
    starts_at_s: float
    evidence: NDArray[np.float32]
    self_noise_db: float


def search(
    cleaned: Signal,
    banks: Sequence[Bank],
    trace: Trace | None,
    max_drift_ppm: float,
    self_echo_s: float,
    max_speed_percent: float = 0.0,
    max_shift_hz: float = 0.0,
) -> Find:
    """Look for any nonce made of the codes of `banks`.

    Parameters
    ----------
    cleaned : the recording at ``RATE_HZ`` after the current nonce was taken out.
    banks : of the epochs that are remembered, all in the same band.
    trace : the current nonce; its codes do not count while they or their echoes sound.
    max_drift_ppm : largest clock difference between the device's loudspeaker and microphone.
    self_echo_s : length of the echoes, s.
    max_speed_percent, max_shift_hz : how much too fast or too slowly a recording may be played,
        or how far it may be shifted; looked for with the first of the banks, the current one. A
        speed of 0 leaves both out.
    """
    nothing = Find(0.0, None, 0.0, np.zeros((0, CODES), np.float32), 0.0)
    if not np.isfinite(cleaned).all():
        raise ValueError("the recording is not finite")
    if not banks or cleaned.size < CHIPS + WINDOW:
        return nothing
    white = whitened(cleaned)
    inverse = inverse_norms(white, banks[0].taps, PIECE)
    blocks = spectra(white, BLOCK, STEP)
    best, logs, self_noise_db = nothing, [], 0.0
    for bank in banks:
        current = trace if trace is not None and trace.bank.name == bank.name else None
        evidence, left = _evidence(blocks, inverse, bank, current)
        if current is not None:
            self_noise_db = _noise_raise_db(left)
            _leave_out(evidence, _own_slots(current, self_echo_s))
        log_e, starts_at, rows = _fit(evidence, max_drift_ppm + EXTRA_DRIFT_PPM)
        logs.append(log_e)
        if best.bank is None or log_e > max(logs[:-1]):
            best = Find(0.0, bank, starts_at / RATE_HZ, rows, 0.0)
    mean = float(np.logaddexp.reduce(logs)) - float(np.log(len(banks)))
    if max_speed_percent > 0.0:
        current = trace if trace is not None and trace.bank.name == banks[0].name else None
        own = [] if current is None else _own_slots(current, self_echo_s)
        changed = banks[0].stretched(max_speed_percent, max_shift_hz)
        stretched, change = changed.log_e(white, own)
        if stretched > mean and stretched > SURE_STRETCH:
            best = _undone(cleaned, banks[0], change, max_drift_ppm)
        mean = float(np.logaddexp(mean, stretched) - np.log(2.0))
    log10 = mean / float(np.log(10.0))
    return replace(best, log10_evidence=log10, self_noise_db=self_noise_db)


def _undone(cleaned: Signal, bank: Bank, change: Change, max_drift_ppm: float) -> Find:
    """The best find near a change: whose nonce it is shows on the whole band only."""
    if change.speed:
        tries = [
            soxr.resample(cleaned, RATE_HZ, RATE_HZ * (1.0 + change.speed + fine))
            for fine in FINE_SPEEDS
        ]
    else:
        tries = [shifted(cleaned, -(change.shift_hz + fine)) for fine in FINE_SHIFTS_HZ]
    finds = [search(each.astype(np.float32), [bank], None, max_drift_ppm, 0.0) for each in tries]
    return max(finds, key=lambda find: find.log10_evidence)


def _evidence(
    blocks: NDArray[np.complex64],
    inverse: NDArray[np.float32],
    bank: Bank,
    current: Trace | None,
) -> tuple[NDArray[np.float32], float]:
    """Log e-value of every code beginning at every place, (CODES, places), and what is left.

    That is the share of the recording's energy that the current nonce still has; 0 without one.
    """
    size = inverse.size
    places = size // BIN
    out = np.zeros((CODES, places), np.float32)
    left: list[float] = []
    for code in range(CODES):
        product = fft.irfft(blocks * bank.pieces_f[code, :, None], BLOCK, axis=2)[..., :STEP]
        square = np.zeros(size, np.float32)
        for piece in range(PIECES):
            z = product[piece].reshape(-1)[:size] * inverse
            np.square(z, out=z)
            if current is not None:
                left += _shares_left(z, current, code, piece)
            square[: size - piece * PIECE] += z[piece * PIECE :]
        # Highest of eight by halves: numpy is slow at short axes.
        top = square[: places * BIN]
        while top.size > places:
            top = np.maximum(top[::2], top[1::2])
        top[:-1] = np.maximum(top[:-1], top[1:])
        # The mean over the window's lags is at least the highest over their number.
        np.multiply(top, np.float32(GAIN), out=out[code])
        out[code] -= np.float32(PIECES * COST + np.log(WINDOW))
    return out, float(np.mean(left)) if left else 0.0


def _shares_left(square: NDArray[np.float32], current: Trace, code: int, piece: int) -> list[float]:
    """Share of the recording's energy that every current slot of this code and its echoes have."""
    shares = []
    for start in current.starts[current.codes == code] + piece * PIECE:
        first = int(start) - BEFORE
        last = first + round(SELF_S * RATE_HZ)
        if first >= 0 and last <= square.size:
            # By chance a square is 1.
            shares.append(float(np.sum(square[first:last]) - (last - first)) / PIECE)
    return shares


def _noise_raise_db(share: float) -> float:
    """By how much a residual with this share of the energy raises the noise, dB."""
    share = min(max(share, 0.0), 0.99 * SELF_MOST)
    return 10.0 * float(np.log10(1.0 + share / (SELF_MOST - share)))


def _own_slots(current: Trace, echo_s: float) -> list[OwnSlot]:
    """Where the current nonce's own codes or their echoes may sound."""
    return [
        OwnSlot(int(code), start - BEFORE - WINDOW, start + echo_s * RATE_HZ)
        for code, start in zip(current.codes, current.starts, strict=True)
    ]


def _leave_out(evidence: NDArray[np.float32], own: Sequence[OwnSlot]) -> None:
    """Let the current nonce's own codes say nothing while they or their echoes may sound."""
    for code, first, last in own:
        evidence[code, max(0, int(first // BIN)) : max(0, int(last // BIN) + 1)] = -np.inf


def _fit(
    evidence: NDArray[np.float32], max_drift_ppm: float
) -> tuple[float, int, NDArray[np.float32]]:
    """Log e-value over all placements of an old nonce, and the best one.

    Returns
    -------
    The log e-value; the sample at which the first slot that stands out begins; the evidence of
    the slots that stand out, shape (slots, CODES).
    """
    places = evidence.shape[1]
    rows = max(1, places // PHASES)
    step_ppm = 1e6 * BIN / (rows * CHIPS)
    side = int(np.ceil(max_drift_ppm / step_ppm))
    # Outside of the recording a code says nothing.
    padded = np.concatenate([evidence, np.full((CODES, 1), -np.inf, np.float32)], axis=1)
    row = np.arange(rows)[:, None]
    logs, best, line = [], -np.inf, row[:, 0]
    for drift in range(-side, side + 1):
        # A nonce that comes too fast has its slots earlier, the later the more.
        late = np.round(drift * (row - rows / 2) / rows).astype(np.int64)
        place = PHASES * row + np.arange(PHASES) - late
        place = np.where((place >= 0) & (place < places), place, places)
        total = all_codes(padded[:, place].max(axis=1) - np.float32(np.log(rows)))
        logs.append(total)
        if total.max() > best:
            best = float(total.max())
            line = place[:, int(np.argmax(total))]
    every = np.concatenate(logs)
    log_e = float(np.logaddexp.reduce(every)) - float(np.log(every.size))
    first, last = _best_stretch(_any_code(padded[:, line]))
    chosen = np.maximum(padded[:, line[first:last]], np.float32(NOTHING))
    return log_e, int(min(line[first], places - 1)) * BIN, np.ascontiguousarray(chosen.T)


def _any_code(by_slot: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log e-value of each slot, whichever of the codes it has; (CODES, slots) -> (slots,)."""
    total = np.logaddexp.reduce(by_slot.astype(np.float64), axis=0)
    return np.asarray(np.maximum(total - np.log(CODES), np.log(0.5)))


def _best_stretch(row: NDArray[np.float64]) -> tuple[int, int]:
    """First row and one past the last of the stretch with the greatest sum."""
    best, start, total = (-np.inf, 0, 1), 0, 0.0
    for index, value in enumerate(row):
        if total <= 0.0:
            start, total = index, 0.0
        total += float(value)
        if total > best[0]:
            best = (total, start, index + 1)
    return best[1], best[2]
