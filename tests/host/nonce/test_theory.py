"""The textbook curves against published values and against what they are the solution of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ive

from earmark_host.nonce.theory import (
    all_right,
    coherent_bpsk_ber,
    ebn0_db,
    noncoherent_bfsk_ber,
    noncoherent_orthogonal_ser,
)


def test_noncoherent_bfsk_needs_10_9_db_for_one_error_in_a_thousand() -> None:
    assert noncoherent_bfsk_ber(10.94) == pytest.approx(1e-3, rel=0.01)


def test_thirty_two_right_bits_in_99_percent_take_11_7_db() -> None:
    assert all_right(noncoherent_bfsk_ber(11.69), 32) == pytest.approx(0.99, abs=2e-4)


@pytest.mark.parametrize(("db", "ber"), [(6.79, 1e-3), (9.59, 1e-5)])
def test_coherent_bpsk_takes_the_published_ratios(db: float, ber: float) -> None:
    assert coherent_bpsk_ber(db) == pytest.approx(ber, rel=0.02)


def test_without_signal_it_is_a_guess() -> None:
    assert coherent_bpsk_ber(-200.0) == pytest.approx(0.5)
    assert noncoherent_bfsk_ber(-200.0) == pytest.approx(0.5)
    assert noncoherent_orthogonal_ser(-200.0) == pytest.approx(15 / 16)


def test_two_orthogonal_signals_are_bfsk() -> None:
    db = np.linspace(-10.0, 14.0, 25)
    np.testing.assert_allclose(noncoherent_orthogonal_ser(db, 2), noncoherent_bfsk_ber(db))


@pytest.mark.parametrize("order", [4, 16, 32])
@pytest.mark.parametrize("db", [-3.0, 2.0, 5.0])
def test_orthogonal_signals_err_as_often_as_the_integral_says(order: int, db: float) -> None:
    """Right when the envelope with the signal (Rice) is above all the others (Rayleigh)."""
    energy = np.log2(order) * 10.0 ** (db / 10.0)

    def right(power: float) -> float:
        root = np.sqrt(power * energy)
        rice = ive(0, 2.0 * root) * np.exp(2.0 * root - power - energy)
        return float((1.0 - np.exp(-power)) ** (order - 1) * rice)

    chance, _ = quad(right, 0.0, 30.0 * energy + 60.0, points=[energy], limit=200)
    assert noncoherent_orthogonal_ser(db, order) == pytest.approx(1.0 - chance, rel=1e-5)


def test_more_signals_need_less_energy_a_bit() -> None:
    rates = [float(noncoherent_orthogonal_ser(8.0, order)) for order in (2, 4, 8, 16, 32)]
    assert rates == sorted(rates, reverse=True)


def test_ratio_of_powers_becomes_ratio_a_bit() -> None:
    # 6.5 kHz for 4 bits in 256 ms: a gain of 26.2 dB.
    assert ebn0_db(-20.0, 6500.0, 4 / 0.256) == pytest.approx(6.191, abs=1e-3)
    np.testing.assert_allclose(ebn0_db(np.array([0.0, 10.0]), 100.0, 100.0), [0.0, 10.0])


def test_all_right_multiplies() -> None:
    np.testing.assert_allclose(all_right(np.array([0.0, 0.5, 1.0]), 3), [1.0, 0.125, 0.0])


@pytest.mark.parametrize("order", [0, 1, 3, 64])
def test_an_order_that_cannot_be_computed_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match=f"order is {order}"):
        noncoherent_orthogonal_ser(5.0, order)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        all_right(rate, 32)


def test_no_bits_no_bandwidth_and_no_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="count is 0"):
        all_right(0.1, 0)
    with pytest.raises(ValueError, match="above 0"):
        ebn0_db(0.0, 0.0, 30.0)
    with pytest.raises(ValueError, match="above 0"):
        ebn0_db(0.0, 4000.0, 0.0)
