"""The codes: secret, random, in their band; and what a payload makes of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from scipy import fft
from scipy import signal as sps

from earmark.nonce.keys import EpochKey, epoch_key
from earmark.nonce.spread import CHIPS, Bank, Banks
from earmark.nonce.spread.bank import (
    BLOCK,
    MAX_CACHED,
    PERMUTATIONS,
    band_filter,
    symbols_of,
)
from earmark.nonce.spread.shape import CODES, PIECE, PIECES, TAIL, TAPS
from earmark.signal import RATE_HZ

SECRET = bytes(range(32))
BANDS_HZ = [(500.0, 7000.0), (200.0, 7500.0), (2000.0, 3000.0)]


def of(epoch: int = 40, secret: bytes = SECRET) -> Bank:
    return Bank.of(epoch_key(secret, epoch), 500.0, 7000.0)


def alike(a: Bank, b: Bank) -> float:
    """The highest correlation of a code of one with a code of the other."""
    return float(np.abs(a.chips.astype(np.float64) @ b.chips.T).max() / CHIPS)


# Secrets


def test_a_key_always_gives_the_same_bank() -> None:
    assert of().chips.tobytes() == of().chips.tobytes()
    assert of().permutations.tobytes() == of().permutations.tobytes()


@pytest.mark.parametrize("other", [of(41), of(secret=bytes(31) + b"\1"), of(0)])
def test_another_epoch_or_secret_gives_other_codes(other: Bank) -> None:
    # 256 pairs of 4,096 random signs: 6 standard deviations come once in 2 million.
    assert alike(of(), other) < 6.0 / np.sqrt(CHIPS)
    same = np.count_nonzero(of().permutations == other.permutations)
    expected = PERMUTATIONS  # one in sixteen
    assert abs(same - expected) < 6.0 * np.sqrt(expected)


def test_the_key_is_all_that_counts() -> None:
    """Two secrets with equal names, 32 bits, are no reason for equal codes."""
    a, b = (EpochKey("00000000", 1, bytes([fill]) * 32) for fill in (1, 2))
    assert alike(Bank.of(a, 500.0, 7000.0), Bank.of(b, 500.0, 7000.0)) < 0.1


def test_a_bank_does_not_show_its_codes() -> None:
    assert "chips" not in repr(of())
    assert "permutations" not in repr(of())
    assert "array" not in repr(of())


# Randomness


def test_the_chips_are_signs_before_the_filter(bank: Bank) -> None:
    assert bank.chips.shape == (CODES, CHIPS)
    assert bank.chips.dtype == np.float32
    assert set(np.unique(bank.chips)) == {-1.0, 1.0}
    assert abs(bank.chips.mean()) < 5.0 / np.sqrt(bank.chips.size)


def test_the_codes_of_a_bank_have_nothing_in_common(bank: Bank) -> None:
    for a, b in combinations(bank.chips, 2):
        every = sps.correlate(a, b, method="fft") / np.sqrt(CHIPS)
        assert np.abs(every).max() < 6.5  # 8,191 lags


def test_a_code_is_not_like_itself_a_little_later(bank: Bank) -> None:
    for code in bank.chips:
        own = sps.correlate(code, code, method="fft") / np.sqrt(CHIPS)
        own[CHIPS - 1] = 0.0
        assert np.abs(own).max() < 6.5


def test_every_permutation_is_one(bank: Bank) -> None:
    assert bank.permutations.shape == (PERMUTATIONS, CODES)
    assert (np.sort(bank.permutations, axis=1) == np.arange(CODES)).all()
    assert len({row.tobytes() for row in bank.permutations}) == PERMUTATIONS


def test_a_permutation_prefers_no_code(bank: Bank) -> None:
    for symbol in range(CODES):
        often = np.bincount(bank.permutations[:, symbol], minlength=CODES)
        # 16 of 256 each; chi-squared of 15 degrees exceeds 50 once in 80,000.
        assert np.sum((often - 16.0) ** 2 / 16.0) < 50.0


def test_equal_words_still_make_a_permutation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EpochKey, "stream", lambda self, label, index, size: bytes(size))
    assert (np.sort(of().permutations, axis=1) == np.arange(CODES)).all()


# Sound


def test_the_codes_have_unit_power(bank: Bank) -> None:
    assert bank.sounds.shape == (CODES, CHIPS + TAIL)
    power = np.sum(bank.sounds.astype(np.float64) ** 2, axis=1) / CHIPS
    assert np.sqrt(power.mean()) == pytest.approx(1.0, abs=0.02)
    assert np.abs(np.sqrt(power) - 1.0).max() < 0.1


@pytest.mark.parametrize("band_hz", BANDS_HZ)
def test_the_energy_lies_in_the_band(band_hz: tuple[float, float]) -> None:
    sounds = Bank.of(epoch_key(SECRET, 1), *band_hz).sounds
    power = np.mean(np.abs(fft.rfft(sounds, 2 * CHIPS, axis=1)) ** 2, axis=0)
    hz = fft.rfftfreq(2 * CHIPS, 1.0 / RATE_HZ)
    inside = (hz >= band_hz[0] - 200.0) & (hz <= band_hz[1] + 200.0)
    assert power[~inside].sum() < 1e-4 * power.sum()
    # No single line stands out there either.
    assert power[~inside].max() < 1e-3 * power[inside].mean()


def test_it_falls_by_3_db_an_octave() -> None:
    _, gain = sps.freqz(band_filter(500.0, 7000.0), worN=[1000.0, 2000.0, 4000.0], fs=RATE_HZ)
    fall_db = np.diff(20.0 * np.log10(np.abs(gain)))
    assert fall_db == pytest.approx([-3.01, -3.01], abs=0.2)


@pytest.mark.parametrize("band_hz", BANDS_HZ)
def test_the_filter_has_linear_phase_and_unit_energy(band_hz: tuple[float, float]) -> None:
    taps = band_filter(*band_hz)
    assert taps.shape == (TAPS,)
    assert taps == pytest.approx(taps[::-1], abs=1e-7)
    assert float(np.sum(taps.astype(np.float64) ** 2)) == pytest.approx(1.0, abs=1e-5)


def test_a_code_is_the_sum_of_its_pieces(bank: Bank) -> None:
    pieces = fft.irfft(np.conj(bank.pieces_f), BLOCK, axis=2)
    assert pieces.shape == (CODES, PIECES, BLOCK)
    whole = np.zeros((CODES, CHIPS + TAIL))
    for piece in range(PIECES):
        whole[:, piece * PIECE :][:, : PIECE + TAIL] += pieces[:, piece, : PIECE + TAIL]
    assert np.allclose(whole, bank.sounds, rtol=0.0, atol=1e-5)
    assert np.abs(pieces[:, :, PIECE + TAIL :]).max() < 1e-5


# Payloads


def test_symbols_are_the_halves_of_the_bytes() -> None:
    assert symbols_of(b"\x12\xf0").tolist() == [1, 2, 15, 0]
    assert symbols_of(b"").tolist() == []


def test_the_codes_give_the_payload_back(bank: Bank) -> None:
    payload = np.random.default_rng(3).bytes(4)
    codes = bank.codes(payload, 0, 600)
    inverse = np.argsort(bank.permutations, axis=1)
    symbols = inverse[np.arange(600) % PERMUTATIONS, codes]
    assert symbols.tolist() == np.resize(symbols_of(payload), 600).tolist()


def test_part_of_the_codes_is_part_of_all(bank: Bank) -> None:
    payload = np.random.default_rng(4).bytes(5)
    every = bank.codes(payload, 0, 300)
    for first, slots in ((0, 8), (3, 9), (250, 20), (17, 0)):
        assert bank.codes(payload, first, slots).tolist() == every[first : first + slots].tolist()


def test_later_cycles_have_other_codes(bank: Bank) -> None:
    codes = bank.codes(bytes(4), 0, 256).reshape(-1, 8)
    assert len({row.tobytes() for row in codes}) == len(codes)
    often = np.bincount(codes.reshape(-1), minlength=CODES)  # one and the same symbol throughout
    assert np.sum((often - 16.0) ** 2 / 16.0) < 50.0


# Kept banks


def test_a_bank_is_made_once() -> None:
    banks = Banks(500.0, 7000.0)
    key = epoch_key(SECRET, 7)
    assert banks.of(key) is banks.of(epoch_key(SECRET, 7))
    assert banks.of(key).band_hz == (500.0, 7000.0)
    assert banks.of(key).chips.tobytes() == of(7).chips.tobytes()


def test_only_the_latest_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real: Callable[..., Bank] = Bank.of

    def counted(key: EpochKey, low_hz: float, high_hz: float) -> Bank:
        made.append(key.epoch)
        return real(key, low_hz, high_hz)

    monkeypatch.setattr(Bank, "of", counted)
    banks = Banks(500.0, 7000.0)
    for epoch in range(MAX_CACHED):
        banks.of(epoch_key(SECRET, epoch))
    banks.of(epoch_key(SECRET, 0))  # asked for again, so not the oldest any more
    banks.of(epoch_key(SECRET, 99))
    assert made == [*range(MAX_CACHED), 99]
    banks.of(epoch_key(SECRET, 0))
    assert made[-1] == 99
    banks.of(epoch_key(SECRET, 1))
    assert made[-1] == 1
