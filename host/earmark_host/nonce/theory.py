"""Textbook error rates in white Gaussian noise: the curves beside the measured points.

Sources: J. G. Proakis, "Digital Communications"; for the first, AEOLUS (Zhang et al., RAID
2021), Eq. 1. Rooms and speech are neither white nor Gaussian: the curves are bounds to compare
with, not predictions.
"""

from __future__ import annotations

from math import comb
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

Values: TypeAlias = float | NDArray[np.float64]
"""A number or an array of them; a function returns the same shape."""

MAX_ORDER = 32
"""Largest alphabet: the alternating sum of binomials loses its digits beyond it."""


def coherent_bpsk_ber(ebn0_db: Values) -> NDArray[np.float64]:
    """Bit error rate of coherent BPSK, ``erfc(sqrt(Eb/N0)) / 2``: the paper's Eq. 1.

    Parameters
    ----------
    ebn0_db : energy per bit over noise density, dB.
    """
    return np.asarray(0.5 * erfc(np.sqrt(_ratio(ebn0_db))), np.float64)


def noncoherent_bfsk_ber(ebn0_db: Values) -> NDArray[np.float64]:
    """Bit error rate of orthogonal BFSK without phase, ``exp(-Eb / 2 N0) / 2``.

    What AEOLUS sends, and what its Eq. 1 should have been: 1e-3 takes 10.9 dB, not 6.8.

    Parameters
    ----------
    ebn0_db : energy per bit over noise density, dB.
    """
    return np.asarray(0.5 * np.exp(-0.5 * _ratio(ebn0_db)), np.float64)


def noncoherent_orthogonal_ser(ebn0_db: Values, order: int = 16) -> NDArray[np.float64]:
    """Symbol error rate of `order` orthogonal signals without phase.

    ``sum_{k=1}^{M-1} (-1)^{k+1} C(M-1, k) / (k+1) exp(-k log2(M) Eb / ((k+1) N0))``

    Parameters
    ----------
    ebn0_db : energy per bit over noise density, dB; a symbol has log2(order) bits.
    order : size of the alphabet M, a power of 2 from 2 to :data:`MAX_ORDER`.
    """
    if order not in {2, 4, 8, 16, MAX_ORDER}:
        raise ValueError(f"order is {order}, must be a power of 2 from 2 to {MAX_ORDER}")
    symbol = np.log2(order) * _ratio(ebn0_db)
    terms = [
        (-1) ** (k + 1) * comb(order - 1, k) / (k + 1) * np.exp(-symbol * k / (k + 1))
        for k in range(1, order)
    ]
    # The terms nearly cancel at low ratios; what rounding leaves must stay a probability.
    return np.asarray(np.clip(np.sum(terms, axis=0), 0.0, 1.0), np.float64)


def all_right(error_rate: Values, count: int) -> NDArray[np.float64]:
    """Probability that all of `count` independent bits (or symbols) are right.

    Parameters
    ----------
    error_rate : of one of them, 0 to 1.
    count : at least 1.
    """
    rate = np.asarray(error_rate, np.float64)
    if count < 1:
        raise ValueError(f"count is {count}, must be at least 1")
    if not ((rate >= 0.0) & (rate <= 1.0)).all():
        raise ValueError("an error rate is 0 to 1")
    return np.asarray((1.0 - rate) ** count, np.float64)


def ebn0_db(
    nonce_to_noise_db: Values, bandwidth_hz: float, bit_rate_hz: float
) -> NDArray[np.float64]:
    """Energy per bit over noise density, dB, from the ratio of the powers.

    Parameters
    ----------
    nonce_to_noise_db : power of the nonce over that of the noise within `bandwidth_hz`, dB.
    bandwidth_hz : in which the noise was measured, with an even density; above 0.
    bit_rate_hz : payload bits per second; above 0.
    """
    if bandwidth_hz <= 0.0 or bit_rate_hz <= 0.0:
        raise ValueError("bandwidth and bit rate are above 0 Hz")
    gain_db = 10.0 * np.log10(bandwidth_hz / bit_rate_hz)
    return np.asarray(np.asarray(nonce_to_noise_db, np.float64) + gain_db, np.float64)


def _ratio(db: Values) -> NDArray[np.float64]:
    return np.asarray(10.0 ** (np.asarray(db, np.float64) / 10.0), np.float64)
