"""Whose nonce is it? The codes that were found, against the payloads that were issued.

The search says which code each slot of the old nonce had. Which slot of its session that was
is not known: the attacker cuts where he likes. So each first slot is tried; the permutation of
the slots then turns codes into symbols, and the symbols that were seen must be those of one
remembered payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earmark.nonce.spread.bank import Bank, symbols_of
from earmark.nonce.spread.shape import CODES

SURE_NATS = 3.0
"""A slot counts as read when its code leads the next one by so much: it is then wrong less
than once in twenty. Others are left open."""

FALSE_NAME = 0.01
"""Accepted probability that some other nonce fits as well by accident. Above it, the recording
is known as a replay, but not from when."""


_TRIES_AT_0 = np.pi**2 / 3.0
"""First slots are likely near 0: whoever records begins with the command. Slot n counts as this
many tries times (n + 1) squared, so that all of them together keep to FALSE_NAME."""

NEAR_SLOTS = 2
"""A stream that lost or repeated blocks moves a nonce by this many slots at most: 0.5 s, the
largest delay that is searched."""

NEAR_SHARE = 0.5
"""Prior probability that a moved nonce lies that near; the other half is for anywhere."""

FALSE_MOVED = 0.05
"""Accepted probability that another nonce of the bank is taken for the current one, moved. That
recording is turned down all the same, as one in which nothing can be told. At 1 in 100, three
slots would have to be read, and a stream that stumbles late leaves two."""


@dataclass(frozen=True, order=True)
class Name:
    """Which nonce it is.

    Parameters
    ----------
    index : of the payload in what was given.
    first_slot : which of its slots is the first of the evidence.
    """

    index: int
    first_slot: int


def name(
    evidence: NDArray[np.float32],
    bank: Bank,
    payloads: Sequence[bytes],
    slots: Sequence[int],
) -> Name | None:
    """Find the nonce that was played, if one stands out.

    Parameters
    ----------
    evidence : log e-value of every code in every slot that stood out, shape (slots, CODES).
    bank : the bank that it was found with.
    payloads : those that were issued from this bank; all of one length.
    slots : how many slots of each were played.
    """
    ranked = np.sort(evidence, axis=1)
    read = np.flatnonzero(ranked[:, -1] - ranked[:, -2] >= SURE_NATS)
    if not payloads or read.size == 0:
        return None
    codes = np.argmax(evidence[read], axis=1)
    issued = symbols_of(b"".join(payloads)).reshape(len(payloads), -1)
    played = np.asarray(slots)
    inverse = np.argsort(bank.permutations, axis=1)
    # Before 0 as well: noise before the nonce may have stood out too.
    firsts = range(1 - len(evidence), int(played.max()))
    fits: list[tuple[float, int, Name]] = []
    for first in firsts:
        slot = first + read
        inside = slot >= 0
        symbols = inverse[slot[inside] % len(inverse), codes[inside]]
        seen = np.zeros((issued.shape[1], CODES), np.int64)
        np.add.at(seen, (slot[inside] % issued.shape[1], symbols), 1)
        # One place after the other: the whole table at once would not fit a cache.
        agree = np.zeros(len(payloads), np.int64)
        for place, column in zip(seen, issued.T, strict=True):
            if place.any():
                agree += place[column]
        agree[played <= first] = 0
        chance = _chances(seen)
        # The best and the next best one, which tells whether the best stands out.
        fits += [
            (
                float(chance[agree[index]]) * _TRIES_AT_0 * (abs(first) + 1) ** 2,
                -int(agree[index]),
                Name(int(index), max(0, first)),
            )
            for index in np.argsort(-agree, kind="stable")[:2]
        ]
    best, _, found = min(fits)
    rival = min((fit for fit, _, other in fits if other.index != found.index), default=np.inf)
    return found if best < rival and best * len(payloads) <= FALSE_NAME else None


def is_moved(evidence: NDArray[np.float32], codes: NDArray[np.int64], expected: int | None) -> bool:
    """Whether it is the current nonce, elsewhere than it was found to be.

    Bayes factor of its codes over codes drawn at random, averaged over the first slots that it may
    have: at most ``FALSE_MOVED`` of other nonces reach one over that (Markov's inequality).

    Parameters
    ----------
    evidence : log e-value of every code in every slot that stood out, shape (slots, CODES).
    codes : the code of each slot of the current nonce, shape (played slots,).
    expected : the slot that was played where the evidence begins, or None if that is not known.
    """
    rows = evidence.astype(np.float64)
    gain = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True) + np.log(CODES)
    firsts = np.arange(1 - len(rows), codes.size)
    odds = np.array([_odds(gain, codes, int(first)) for first in firsts])
    anywhere = float(np.mean(odds)) if odds.size else 0.0
    if expected is None:
        return anywhere >= 1.0 / FALSE_MOVED
    close = odds[np.abs(firsts - expected) <= NEAR_SLOTS].sum() / (2 * NEAR_SLOTS + 1)
    factor = NEAR_SHARE * float(close) + (1.0 - NEAR_SHARE) * anywhere
    return factor >= 1.0 / FALSE_MOVED


def _odds(gain: NDArray[np.float64], codes: NDArray[np.int64], first: int) -> float:
    """Bayes factor if the evidence begins with this slot; unplayed slots say nothing."""
    slot = first + np.arange(len(gain))
    inside = (slot >= 0) & (slot < codes.size)
    return float(np.exp(min(gain[inside, codes[slot[inside]]].sum(), 700.0)))


def _chances(seen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability that at least n slots agree with a random payload, for n = 0 .. all.

    Parameters
    ----------
    seen : how many slots read each symbol of each place of the payload, (places, CODES). All
        slots of a place share its symbol.
    """
    density = np.ones(1)
    for place in seen:
        density = np.convolve(density, np.bincount(place, minlength=1) / CODES)
    return np.asarray(np.cumsum(density[::-1])[::-1])
