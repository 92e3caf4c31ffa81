"""Is the current nonce in the recording: all of it, where, and from when to when?

The device knows what it played, so it looks for exactly that. The timing is found with the
codes themselves; that so good a fit is no accident is then shown against all other nonces:
the evidence of each slot is compared among the sixteen codes, and the Chernoff bound over a
randomly drawn payload, times the number of places tried, bounds the chance of so high a
score. It needs no model of noise or room.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import maximum_filter1d

from earmark.filters import analytic
from earmark.nonce.report import Report
from earmark.nonce.settings import NonceSettings
from earmark.nonce.shift import shifted
from earmark.nonce.spread.bank import Bank, symbols_of
from earmark.nonce.spread.correlate import inverse_norms
from earmark.nonce.spread.shape import CHIPS, CODES, TAIL
from earmark.nonce.spread.whitening import whitened
from earmark.signal import RATE_HZ, Signal

PRESENT_CHANCE = 5e-3
"""The nonce counts as present when the bound on the chance that a random one would fit as well is
at most this, over all delays, clocks and shifts tried. The bound is loose: with all 8 symbols it
is 2e-5, with one of them wrong 4e-3, where the chance itself is under 2.8e-8 for each try."""

DRIFT_STEP_PPM = 50.0
"""Grid of clock differences: after 15 s the slots are within 6 samples."""

SLACK = 6
"""Samples by which a slot may be off its place on the grids of delays and clocks."""

LOUD = 400.0
"""Most that one slot's squared z counts for in the synchronisation: none rules alone."""

SURE = 6.0
"""A slot says where it is when its z is at least this high: by chance once in 10**9."""

MIN_SLOTS = 3
"""Fewer sure slots than this do not tell one clock from another: they are taken as the same."""

SAME_CLOCK_ERRORS = 4.0
"""A slope within so many standard errors of none is taken for none: most devices have one clock,
and the canceller finds what little is missing."""

SETTLED_SLOTS = 12
"""Slots after which the clock is known to a few ppm."""

MIN_SHIFT_SLOTS = 2
"""Fewer slots than this do not show a frequency shift well enough."""

AROUND = 4
"""Lags on both sides of a slot's place whose squares are its evidence, samples: 0.25 ms."""

PART = 256
"""Samples over which a slot is correlated to see its phase turn: 16 ms, so that shifts up to
31 Hz are told apart."""

SHIFT_STEP_HZ = 2.0
"""Grid of frequency shifts, looked for only when there is no nonce without one: half the width
of a slot's spectral line."""

NO_SHIFT_HZ = 0.25
"""Shifts below this are none: a clock that is off by 80 ppm looks like one."""

SHIFT_ROUNDS = 3
"""Most times that a shift is estimated, each from the places that the last one gave."""

LAMBDAS = np.geomspace(0.05, 60.0, 60)
"""Where the Chernoff bound is evaluated."""


def verify(
    recording: Signal,
    payload: bytes,
    bank: Bank,
    played_at_s: float,
    played_slots: int,
    settings: NonceSettings,
    quick: bool = False,
) -> Report:
    """Look for a nonce in a recording; see :meth:`earmark.nonce.carrier.Carrier.verify`."""
    bits = 8 * len(payload)
    first = max(0, round(played_at_s * RATE_HZ))
    slots = min(played_slots, (recording.size - first - TAIL) // CHIPS)
    if slots < 1:
        return Report.nothing(bits, played_at_s)
    codes = bank.codes(payload, 0, slots)
    white = whitened(recording)
    place = _synchronise(white, bank, codes, first, settings)
    report = _report(white, payload, bank, codes, first, place, 0.0, settings)
    if settings.max_shift_hz == 0.0:
        return report
    shift_hz = 0.0
    if not report.present and not quick:
        shift_hz, place = _search_shift(white, bank, codes, first, place, settings)
    # A strong nonce is seen past a shift, in a side lobe. There the places are rough, and so is
    # what they say of the shift: once more from where that leads.
    turned = shifted(white, -shift_hz)
    for _ in range(SHIFT_ROUNDS):
        step_hz = _shift_hz(turned, bank, codes, place, settings.max_shift_hz)
        shift_hz += step_hz
        if not step_hz:
            break
        turned = shifted(white, -shift_hz)
        place = _synchronise(turned, bank, codes, first, settings)
    if not shift_hz or abs(shift_hz) > settings.max_shift_hz + SHIFT_STEP_HZ:
        return report
    moved = _report(turned, payload, bank, codes, first, place, shift_hz, settings)
    return moved if moved.present or not report.present else report


def _search_shift(
    white: Signal,
    bank: Bank,
    codes: NDArray[np.int64],
    first: int,
    best: _Place,
    settings: NonceSettings,
) -> tuple[float, _Place]:
    """Frequency shift on a coarse grid at which the codes fit best, and where."""
    shift_hz = 0.0
    side = int(settings.max_shift_hz / SHIFT_STEP_HZ)
    for step in range(-side, side + 1):
        turned = shifted(white, -step * SHIFT_STEP_HZ)
        place = _synchronise(turned, bank, codes, first, settings)
        if step and place.score > best.score:
            best, shift_hz = place, step * SHIFT_STEP_HZ
    return shift_hz, best


class _Place:
    """Where the slots are.

    Parameters
    ----------
    score : how well they fit.
    starts : sample at which each slot begins, shape (slots,), fractional.
    offset_s, drift_ppm : the straight line that they lie on.
    """

    def __init__(
        self,
        score: float,
        starts: NDArray[np.float64],
        offset_s: float,
        drift_ppm: float,
    ) -> None:
        self.score = score
        self.starts = starts
        self.offset_s = offset_s
        self.drift_ppm = drift_ppm


def _synchronise(
    white: Signal,
    bank: Bank,
    codes: NDArray[np.int64],
    first: int,
    settings: NonceSettings,
) -> _Place:
    """Delay and clock at which the played codes fit best."""
    slots = codes.size
    reach = round(slots * CHIPS * settings.max_drift_ppm * 1e-6) + 2 * SLACK
    lags = round(settings.max_delay_s * RATE_HZ) + 1
    z = _correlations(white, bank, codes, first - reach, lags + 2 * reach)
    near = maximum_filter1d(np.minimum(z**2, LOUD), 2 * SLACK + 1, axis=1)
    steps = math.ceil(settings.max_drift_ppm / DRIFT_STEP_PPM)
    best_score, lag, drift = -1.0, 0, 0.0
    for step in range(-steps, steps + 1):
        ppm = step * DRIFT_STEP_PPM
        moved = reach - np.round(np.arange(slots) * CHIPS * ppm * 1e-6).astype(int)
        score = np.sum([near[k, m : m + lags] for k, m in enumerate(moved)], axis=0)
        top = int(np.argmax(score))
        if score[top] > best_score:
            best_score, lag, drift = float(score[top]), top, ppm
    index = lag + reach - np.arange(slots) * CHIPS * drift * 1e-6
    at, height = _peaks(z, index)
    place = np.arange(slots) * CHIPS + first - reach
    sure = height >= SURE
    if np.count_nonzero(sure) >= MIN_SLOTS:
        x, y, weight = np.arange(slots)[sure] * CHIPS, at[sure], height[sure]
        for _ in range(2):  # once more without those that were caught by an echo
            slope, base = np.polyfit(x, y, 1, w=weight)
            near_line = np.abs(y - base - slope * x) < SLACK / 2
            if np.count_nonzero(near_line) >= MIN_SLOTS:
                x, y, weight = x[near_line], y[near_line], weight[near_line]
        if abs(slope) < SAME_CLOCK_ERRORS * _slope_error(x, y, weight):
            slope, base = 0.0, float(np.average(y, weights=weight**2))
    else:
        slope, base = 0.0, float(np.median(at))
    line = base + slope * CHIPS * np.arange(slots)
    return _Place(
        score=best_score,
        starts=place + line,
        offset_s=(first - reach + base) / RATE_HZ,
        drift_ppm=(1.0 / (1.0 + float(slope)) - 1.0) * 1e6,
    )


def _correlations(
    white: Signal, bank: Bank, codes: NDArray[np.int64], first: int, lags: int
) -> NDArray[np.float32]:
    """z of every slot at `lags` lags from its place if the nonce began at `first`."""
    span = CHIPS + TAIL + lags
    size = fft.next_fast_len(span, real=True)
    inverse = inverse_norms(white, bank.taps, CHIPS)
    before = max(0, -first)
    padded = np.concatenate([np.zeros(before, np.float32), white, np.zeros(span, np.float32)])
    padded_inverse = np.concatenate([np.zeros(before), inverse, np.zeros(span)])
    at = first + before + np.arange(codes.size) * CHIPS
    pieces = np.stack([padded[a : a + span] for a in at])
    known = np.conj(fft.rfft(bank.sounds, size, axis=1))[codes]
    product = fft.irfft(fft.rfft(pieces, size, axis=1) * known, size, axis=1)[:, :lags]
    scale = np.stack([padded_inverse[a : a + lags] for a in at])
    return np.asarray(product * scale, np.float32)


def _peaks(
    z: NDArray[np.float32], index: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each slot's magnitude peaks near `index`, finer than a sample, and how high.

    A parabola is off by up to a tenth of a sample: the clock then by up to 5 ppm, which the
    canceller corrects.
    """
    middle = np.round(index).astype(int)
    window = middle[:, None] + np.arange(-SLACK - 1, SLACK + 2)
    near = np.abs(np.take_along_axis(z, np.clip(window, 0, z.shape[1] - 1), axis=1))
    top = 1 + np.argmax(near[:, 1:-1], axis=1)
    rows = np.arange(z.shape[0])
    low, mid, high = near[rows, top - 1], near[rows, top], near[rows, top + 1]
    bend = low - 2.0 * mid + high
    off = np.where(bend < 0.0, 0.5 * (low - high) / np.minimum(bend, -1e-9), 0.0)
    at = middle + (top - SLACK - 1) + np.clip(off, -0.5, 0.5)
    return at.astype(np.float64), mid.astype(np.float64)


def _slope_error(
    x: NDArray[np.int64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> float:
    """Standard error of the slope of the straight line through (x, y)."""
    slope, base = np.polyfit(x, y, 1, w=weight)
    share = weight**2 / np.sum(weight**2)
    scatter = np.sum(share * (y - base - slope * x) ** 2) / max(1, x.size - 2) * x.size
    spread = np.sum(share * (x - np.sum(share * x)) ** 2)
    return float(np.sqrt(scatter / (x.size * spread)))


def _shift_hz(
    white: Signal, bank: Bank, codes: NDArray[np.int64], place: _Place, most_hz: float
) -> float:
    """Frequency shift from how the phase turns within the slots and from slot to slot.

    Each slot is correlated with its code in parts of 16 ms, too short for a shift to harm; a
    shift makes their phases a straight line over the whole nonce, found by its spectrum.
    """
    starts = np.round(place.starts).astype(int)
    inside = (starts >= 0) & (starts + CHIPS <= white.size)
    if np.count_nonzero(inside) < MIN_SHIFT_SLOTS:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(white, CHIPS)[starts[inside]]
    known = np.conj(analytic(bank.sounds))[codes[inside], :CHIPS]
    parts = (frames * known).reshape(-1, PART).sum(axis=1)
    size = 8 * fft.next_fast_len(parts.size)
    power = np.abs(fft.fft(parts, size))
    hz = fft.fftfreq(size, PART / RATE_HZ)
    power[np.abs(hz) > most_hz + 1.0] = 0.0
    top = int(np.argmax(power))
    low, mid, high = power[top - 1], power[top], power[(top + 1) % size]
    bend = low - 2.0 * mid + high
    found = float(hz[top] + (0.5 * (low - high) / bend * hz[1] if bend < 0.0 else 0.0))
    # A short nonce leaves its clock open by 100 ppm and more, which looks like a shift.
    least_hz = NO_SHIFT_HZ * max(1.0, SETTLED_SLOTS / np.count_nonzero(inside))
    return found if abs(found) > least_hz else 0.0


def _report(
    white: Signal,
    payload: bytes,
    bank: Bank,
    codes: NDArray[np.int64],
    first: int,
    place: _Place,
    shift_hz: float,
    settings: NonceSettings,
) -> Report:
    symbols = symbols_of(payload)
    starts = np.round(place.starts).astype(int)
    # Only slots that lie in the recording whole.
    slots = int(np.count_nonzero((starts >= 0) & (starts + CHIPS + TAIL + AROUND <= white.size)))
    if slots < 1:
        return Report.nothing(8 * len(payload), place.offset_s)
    energy = _energies(white, bank, starts[:slots])
    share = energy / np.maximum(energy.sum(axis=1, keepdims=True), 1e-30)
    own = share[np.arange(slots), codes[:slots]]
    wrong = np.argmax(energy, axis=1) != codes[:slots]

    spots = np.arange(slots) % symbols.size
    # by_symbol[slot, symbol]: the share of the code that would have been played for it.
    by_symbol = np.take_along_axis(
        share, bank.permutations[np.arange(slots) % len(bank.permutations)].astype(np.int64), 1
    )
    combined = np.zeros((symbols.size, CODES))
    np.add.at(combined, spots, by_symbol)
    received = min(slots, symbols.size)
    errors = int(np.count_nonzero(np.argmax(combined, axis=1)[:received] != symbols[:received]))
    errors += symbols.size - received

    lags = round(settings.max_delay_s * RATE_HZ)
    clocks = 2 * math.ceil(settings.max_drift_ppm / DRIFT_STEP_PPM) + 1
    shifts = 2 * int(settings.max_shift_hz / SHIFT_STEP_HZ) + 1 if shift_hz else 1
    tries = lags * clocks * shifts
    chance = min(1.0, tries * _chance(by_symbol, spots, float(own.sum())))
    # The squares of z at all lags add up to the slot's length where nothing but the nonce
    # sounds, or rather to the share of it that the band has.
    most = (bank.band_hz[1] - bank.band_hz[0]) / (RATE_HZ / 2)
    excess = energy[np.arange(slots), codes[:slots]] - (2 * AROUND + 1)
    part = float(np.clip(np.mean(excess) / CHIPS, 1e-9, 0.999 * most))
    snr = part / (most - part)
    slot_s = CHIPS / RATE_HZ / (1.0 + place.drift_ppm * 1e-6)
    offset_s = place.offset_s
    return Report(
        bits=8 * len(payload),
        bits_received=4 * received,
        bit_errors=4 * errors,
        slots=slots,
        slot_errors=int(np.count_nonzero(wrong)),
        present=chance <= PRESENT_CHANCE,
        contrast=float(np.mean(own)) * CODES,
        offset_s=offset_s,
        drift_ppm=place.drift_ppm,
        shift_hz=shift_hz,
        snr_db=10.0 * math.log10(snr),
        gaps=_gaps(wrong, offset_s, slot_s),
        covered=(offset_s, offset_s + slots * slot_s),
        wrong_slots=tuple(np.flatnonzero(wrong).tolist()),
        chance=chance,
    )


def _energies(white: Signal, bank: Bank, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squares of z around each slot's place, added up, for all codes; shape (slots, CODES)."""
    frames = np.lib.stride_tricks.sliding_window_view(
        np.concatenate([np.zeros(AROUND, np.float32), white]), CHIPS + TAIL
    )
    at = starts[:, None] + np.arange(2 * AROUND + 1)
    product = frames[at] @ bank.sounds.T
    inverse = inverse_norms(white, bank.taps, CHIPS)[np.clip(starts, 0, white.size - 1)]
    energy = np.sum(np.square(product, dtype=np.float64), axis=1)
    return np.asarray(energy * inverse[:, None] ** 2, np.float64)


def _chance(by_symbol: NDArray[np.float64], spots: NDArray[np.int64], total: float) -> float:
    """Chernoff bound on the chance that a random payload scores `total` or more.

    The draw: one symbol for each place in the payload, which all its repetitions share.
    min over x of exp(-x total) E[exp(x score)].
    """
    places = int(spots.max()) + 1
    score = np.zeros((places, CODES))
    np.add.at(score, spots, by_symbol)
    exponent = LAMBDAS[:, None, None] * score
    top = exponent.max(axis=2, keepdims=True)
    moment = (top[..., 0] + np.log(np.mean(np.exp(exponent - top), axis=2))).sum(axis=1)
    return float(np.exp(min(0.0, np.min(moment - LAMBDAS * total))))


def _gaps(
    wrong: NDArray[np.bool_], offset_s: float, slot_s: float
) -> tuple[tuple[float, float], ...]:
    """Stretches of slots in which another code than the one played stands out."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], wrong.astype(np.int8), [0]])))
    return tuple(
        (offset_s + float(a) * slot_s, offset_s + float(b) * slot_s)
        for a, b in zip(edges[0::2], edges[1::2], strict=True)
    )
