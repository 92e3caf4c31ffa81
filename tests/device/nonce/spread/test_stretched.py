"""The search at other speeds keeps its spectra in 16 bits: what that costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft

from earmark.nonce.spread.bank import Bank
from earmark.nonce.spread.stretched import Stretched


@pytest.fixture(scope="module")
def stretched(bank: Bank) -> Stretched:
    return bank.stretched(1.0, 4.0)


def test_rounding_is_80_db_below_the_pieces(stretched: Stretched) -> None:
    """A step is a 32,767th of the largest value of a change; rounding is half of one at most."""
    parts = stretched.pieces_f.astype(np.float64)
    assert np.abs(parts).max(axis=(1, 2)) == pytest.approx(32_767.0)
    power = np.mean(parts**2)
    rounding = 1.0 / 12.0  # of a uniform half step on either side
    assert 10.0 * np.log10(power / rounding) > 80.0


def test_they_are_the_pieces(stretched: Stretched, bank: Bank) -> None:
    """At any speed and pitch a piece has the energy that it has as it is played, within a dB."""
    parts = stretched.pieces_f.astype(np.float32).view(np.complex64)
    pieces = fft.irfft(parts * stretched.steps[:, None, None], stretched.size, axis=2)
    energy = np.sum(pieces.astype(np.float64) ** 2, axis=(1, 2))
    assert energy == pytest.approx(np.full(energy.size, np.median(energy)), rel=0.2)
    assert float(np.median(energy)) > 0.0


def test_it_takes_16_bits_a_number(stretched: Stretched) -> None:
    bins = stretched.size // 2 + 1
    assert stretched.pieces_f.nbytes == len(stretched.changes) * 32 * bins * 2 * 2
