"""A payload is read by somebody who knows the codes, and made out of nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from earmark.nonce import Bank, FixedKeys, NonceSettings, SpreadCarrier
from earmark.nonce.spread import CHIPS
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.blind import _read, receive

NOW = 1_800_000_000.0
PAYLOAD = b"\x5e\x01\xfa\x77"
SLOTS = 14


@pytest.fixture(scope="module")
def banks() -> tuple[Bank, Bank]:
    """Those of two households."""
    keys = [FixedKeys(bytes([household]) * 32).current(NOW) for household in (1, 2)]
    return Bank.of(keys[0], 500.0, 7000.0), Bank.of(keys[1], 500.0, 7000.0)


def noise(seed: int, size: int = 4 * RATE_HZ) -> Signal:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32) * np.float32(0.1)


def under_noise(bank: Bank, level_db: float, delay: int, clock_ppm: float = 0.0) -> Signal:
    """A nonce, `level_db` over white noise, that begins at sample `delay`."""
    carrier = SpreadCarrier(PAYLOAD, bank, NonceSettings())
    sound = carrier.render(0, SLOTS * CHIPS, SLOTS)
    sound = soxr.resample(sound, RATE_HZ * (1.0 + clock_ppm * 1e-6), RATE_HZ)
    out = noise(abs(delay))
    part = sound[: out.size - max(0, delay)][max(0, -delay) :]
    begin = max(0, delay)
    out[begin : begin + part.size] += part * np.float32(0.1 * 10 ** (level_db / 20))
    return out


@pytest.mark.parametrize("delay", [0, 3217, -3 * CHIPS - 900])
def test_it_is_read_wherever_the_recording_begins(banks: tuple[Bank, Bank], delay: int) -> None:
    assert receive(under_noise(banks[0], -12.0, delay), banks[0]) == PAYLOAD


def test_two_clocks_may_differ(banks: tuple[Bank, Bank]) -> None:
    recording = under_noise(banks[0], -12.0, 1000, clock_ppm=90.0)
    assert receive(recording, banks[0]) == PAYLOAD


def test_nothing_is_read_with_the_codes_of_another_household(banks: tuple[Bank, Bank]) -> None:
    assert receive(under_noise(banks[0], -12.0, 1000), banks[1]) is None


def test_noise_holds_no_payload(banks: tuple[Bank, Bank]) -> None:
    assert all(receive(noise(seed), banks[0]) is None for seed in range(5))


def test_far_below_the_noise_nothing_is_better_than_a_guess(banks: tuple[Bank, Bank]) -> None:
    read_ones = [receive(under_noise(banks[0], -45.0, at), banks[0]) for at in (0, 500, 900)]
    assert read_ones == [None] * 3


def evidence(bank: Bank, first: int, rows: int, strength: float = 20.0) -> NDArray[np.float32]:
    """What one candidate has heard of the slots from `first` on, shape (1, rows, codes)."""
    table = np.zeros((1, rows, 16), np.float32)
    table[0, np.arange(rows), bank.codes(PAYLOAD, first, rows)] = strength
    return table


@pytest.mark.parametrize("first", [0, 3, 15])
def test_the_first_slot_follows_from_the_repetition(banks: tuple[Bank, Bank], first: int) -> None:
    assert _read(evidence(banks[0], first, 14), banks[0], 8, 1000) == PAYLOAD


def test_a_row_before_the_nonce_does_no_harm(banks: tuple[Bank, Bank]) -> None:
    before = np.full((1, 1, 16), 0.5, np.float32)
    rows = np.concatenate([before, evidence(banks[0], 0, 14)], axis=1)
    assert _read(rows, banks[0], 8, 1000) == PAYLOAD


def test_without_a_repetition_nobody_knows_which_slot_is_the_first(
    banks: tuple[Bank, Bank],
) -> None:
    assert _read(evidence(banks[0], 4, 8), banks[0], 8, 1000) is None


def test_a_place_that_was_never_heard_is_not_guessed(banks: tuple[Bank, Bank]) -> None:
    rows = evidence(banks[0], 0, 16)
    rows[0, [5, 13]] = 0.0
    assert _read(rows, banks[0], 8, 1000) is None


def test_little_evidence_among_many_tries_is_none(banks: tuple[Bank, Bank]) -> None:
    rows = evidence(banks[0], 0, 14, strength=4.0)
    assert _read(rows, banks[0], 8, 1) == PAYLOAD
    assert _read(rows, banks[0], 8, 10**12) is None


# -- failures -------------------------------------------------------------------------------


def test_less_than_a_payload_is_none(banks: tuple[Bank, Bank]) -> None:
    assert receive(noise(1, 8 * CHIPS - 1), banks[0]) is None
    assert receive(np.zeros(0, np.float32), banks[0]) is None


def test_silence_holds_no_payload(banks: tuple[Bank, Bank]) -> None:
    assert receive(np.zeros(4 * RATE_HZ, np.float32), banks[0]) is None


@pytest.mark.parametrize("size", [0, 33])
def test_the_length_of_a_payload_is_checked(banks: tuple[Bank, Bank], size: int) -> None:
    with pytest.raises(ValueError, match=f"payload_bytes is {size}"):
        receive(noise(1), banks[0], payload_bytes=size)
