"""The codes as a modem: a payload read by somebody who knows the epoch's bank and nothing else.

A device knows which nonce it played, so it only verifies. To compare the codes with modems
that send unknown bytes, the payload has to be read without that knowledge. Of the search for
stale nonces (:mod:`earmark.nonce.spread.search`) this takes the e-values, but it uses more of
the structure: the permutations of the slots turn codes into symbols, and a symbol comes again
after as many slots as the payload has. So for every place at which a slot may begin, every
difference of the clocks and every first slot, the evidence for each symbol is added up over all
its repetitions before anything is decided.

The mean over all that was tried is again an e-value, so a payload is read out of nothing with
probability ``10**-LEAST_LOG10`` at most, whatever the recording holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import maximum_filter1d
from scipy.special import logsumexp

from earmark.nonce import Bank
from earmark.nonce.spread.correlate import inverse_norms, spectra
from earmark.nonce.spread.shape import CHIPS, CODES, TAIL
from earmark.nonce.spread.whitening import whitened
from earmark.signal import Signal

GRID = 4
"""Grid of places at which slots may begin, samples: a quarter of a millisecond."""

WINDOW = 5
"""Lags that a place stands for, samples: neighbouring places overlap. Wider ones would forgive
slots that do not keep their distance, and let more noise in: 9 read a tenth fewer payloads."""

PRIOR = 15.0
"""Expected square of the z of a slot: at the levels where reading ends, z is 3 to 6. 8 to 60 read
the same."""

GAIN = 0.5 * PRIOR / (1.0 + PRIOR)
COST = 0.5 * float(np.log1p(PRIOR))
"""log e(z) = GAIN z**2 - COST, as in the search."""

PHASES = CHIPS // GRID
"""Places within a slot."""

BLOCK = 16_384
"""Length of the transforms, samples."""

STEP = BLOCK - CHIPS - TAIL
"""New correlation values per transform."""

BEFORE_SLOTS = 2
"""Slots before the nonce in which nothing sounds yet."""

FIRST_SLOTS = 16
"""First slots that are tried: 4 s of recording hold the beginning, or 16 slots of it."""

KEPT = 48
"""Places and clocks that are looked at symbol by symbol: those where any codes stand out most."""

LEAST_LOG10 = 3.0
"""Least evidence that there is a nonce at all: false alarms of 1 in 1,000, as on the device."""

LEAST_SURE = 0.2
"""Least probability of the payload among all payloads and first slots. The weights are cautious:
in rooms no more than one in fifty was wrong at 0.2 or above."""


def receive(
    recording: Signal, bank: Bank, max_drift_ppm: float = 300.0, payload_bytes: int = 4
) -> bytes | None:
    """The payload of a nonce anywhere in `recording`; None when none stands out.

    Parameters
    ----------
    recording : at ``RATE_HZ``, at most 60 s.
    bank : the epoch's codes.
    max_drift_ppm : largest difference of the two clocks (0 to 1000).
    payload_bytes : length of the payload, 1 to 32.
    """
    if not 1 <= payload_bytes <= 32:
        raise ValueError(f"payload_bytes is {payload_bytes}, must be 1 to 32")
    rows = recording.size // CHIPS
    if rows < 2 * payload_bytes:  # not one whole payload
        return None
    evidence = _evidence(recording, bank)
    slots, tried = _likeliest(evidence, rows, max_drift_ppm)
    return _read(slots, bank, 2 * payload_bytes, tried)


def _evidence(recording: Signal, bank: Bank) -> NDArray[np.float32]:
    """Log e-value of every code beginning at every place, shape (CODES, places)."""
    white = whitened(recording)
    inverse = inverse_norms(white, bank.taps, CHIPS)
    blocks = spectra(white, BLOCK, STEP)
    known = np.conj(fft.rfft(bank.sounds, BLOCK, axis=1))
    out = np.empty((CODES, white.size // GRID), np.float32)
    for code in range(CODES):
        z = fft.irfft(blocks * known[code], BLOCK, axis=1)[:, :STEP].reshape(-1)
        z2 = maximum_filter1d(np.square(z[: white.size] * inverse), WINDOW)
        log_e = GAIN * z2[: out.shape[1] * GRID : GRID] - (COST + np.log(WINDOW))
        # Half of the weight stays with "not heard in this slot".
        out[code] = np.logaddexp(0.0, log_e) - np.log(2.0)
    return out


def _likeliest(
    evidence: NDArray[np.float32], rows: int, max_drift_ppm: float
) -> tuple[NDArray[np.float32], int]:
    """The places and clocks at which some codes stand out most.

    Returns
    -------
    Their evidence, shape (KEPT, rows, CODES), and how many were tried.
    """
    places = evidence.shape[1]
    top = evidence.max(axis=0)
    # Any of the codes, each as likely.
    slot = top + np.log(np.mean(np.exp(evidence - top), axis=0))
    index = PHASES * np.arange(rows)[:, None] + np.arange(PHASES)
    scores, moved = [], []
    for shift in _shifts(rows, max_drift_ppm):
        at = index - shift[:, None]
        inside = (at >= 0) & (at < places)
        at = np.clip(at, 0, places - 1)
        scores.append(np.where(inside, slot[at], 0.0).sum(axis=0))
        moved.append(np.where(inside, at, -1))
    score, place = np.concatenate(scores), np.concatenate(moved, axis=1)
    best = place[:, np.argsort(score)[-KEPT:]].T
    padded = np.concatenate([evidence.T, np.zeros((1, CODES), np.float32)])  # outside: nothing
    return padded[best], score.size


def _shifts(rows: int, max_drift_ppm: float) -> Iterator[NDArray[np.int64]]:
    """By how many places each slot is early, for every difference of the clocks; shape (rows,)."""
    middle = (rows - 1) / 2.0
    side = int(np.ceil(middle * CHIPS / GRID * max_drift_ppm * 1e-6))
    for step in range(-side, side + 1):
        yield np.round(step * (np.arange(rows) - middle) / max(1.0, middle)).astype(np.int64)


def _read(slots: NDArray[np.float32], bank: Bank, places: int, tried: int) -> bytes | None:
    """The payload that fits best, if it stands out of everything that was tried.

    Parameters
    ----------
    slots : evidence of consecutive slots, shape (candidates, rows, CODES).
    places : symbols of the payload.
    tried : places and clocks of which the candidates are the likeliest.
    """
    firsts = range(-BEFORE_SLOTS, FIRST_SLOTS)
    # (firsts, candidates, places, CODES)
    fits = np.stack([_by_symbol(slots, bank, first, places) for first in firsts])
    chance = np.log(CODES)  # all symbols are as likely before anything was heard
    logs = np.sum(logsumexp(fits, axis=3) - chance, axis=2)
    total = float(logsumexp(logs))
    if total - np.log(tried * len(firsts)) < LEAST_LOG10 * np.log(10.0):
        return None
    first, candidate = np.unravel_index(int(np.argmax(logs)), logs.shape)
    symbols = np.argmax(fits[first, candidate], axis=1)
    own = np.sum(fits[:, :, np.arange(places), symbols] - chance, axis=2)
    if float(logsumexp(own)) - total < np.log(LEAST_SURE):
        return None
    halves = symbols.astype(np.uint8)
    return bytes((halves[0::2] << 4) | halves[1::2])


def _by_symbol(
    slots: NDArray[np.float32], bank: Bank, first: int, places: int
) -> NDArray[np.float64]:
    """Evidence of each symbol in each place of the payload, shape (candidates, places, CODES).

    Parameters
    ----------
    first : which slot of the nonce the first row is; negative ones are before it.
    """
    slot = first + np.arange(slots.shape[1])
    sounding = slot >= 0
    slot = slot[sounding]
    codes = bank.permutations[slot % len(bank.permutations)].astype(np.int64)
    by_symbol = np.take_along_axis(slots[:, sounding], codes[None], axis=2)
    out = np.zeros((slots.shape[0], places, CODES))
    for row, place in enumerate(slot % places):
        out[:, place] += by_symbol[:, row]
    return out
