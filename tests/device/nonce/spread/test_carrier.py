"""A session's nonce in codes, as it is played."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from earmark.nonce import Carrier, NoncePlayer, NonceSettings, SpreadCarrier
from earmark.nonce.spread import CHIPS, KIND, Bank, waveform
from earmark.nonce.spread.shape import TAIL
from earmark.signal import BLOCK, RATE_HZ

InCodes = Callable[..., SpreadCarrier]
SLOTS = 11


@pytest.fixture(scope="module")
def carrier(in_codes: InCodes) -> SpreadCarrier:
    return in_codes(1)


def test_it_says_what_it_is(carrier: SpreadCarrier) -> None:
    seen: Carrier = carrier
    assert seen.slot_s == 0.256
    assert seen.cycle_s == pytest.approx(2.048)
    assert seen.cycle_s == pytest.approx(NonceSettings().cycle_s)
    assert seen.tail == TAIL
    assert seen.band_hz == (500.0, 7000.0)
    assert seen.hop_key == b""


def test_longer_payloads_take_longer(bank: Bank) -> None:
    assert SpreadCarrier(bytes(32), bank, NonceSettings()).cycle_s == pytest.approx(16.384)


def test_the_ledger_learns_the_bank_and_no_secret(bank: Bank, carrier: SpreadCarrier) -> None:
    kept = json.loads(carrier.waveform)
    assert kept == {
        "kind": KIND,
        "secret": bank.secret_id,
        "epoch": bank.epoch,
        "low_hz": 500.0,
        "high_hz": 7000.0,
    }
    assert carrier.waveform == waveform(bank)


def test_it_does_not_show_its_payload(carrier: SpreadCarrier) -> None:
    assert repr(carrier.payload) not in repr(carrier)
    assert "payload=" not in repr(carrier)


def test_unit_root_mean_square(carrier: SpreadCarrier) -> None:
    assert np.sqrt(np.mean(carrier.render(0, 40 * CHIPS) ** 2)) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("block", [BLOCK, 1, 4095, 5000])
@pytest.mark.parametrize("slots", [SLOTS, None])
def test_in_blocks_it_is_the_same_as_at_once(
    carrier: SpreadCarrier, block: int, slots: int | None
) -> None:
    first, last = (3 * CHIPS - 300, 3 * CHIPS + 300) if block == 1 else (0, 13 * CHIPS)
    whole = carrier.render(first, last - first, slots)
    parts = [carrier.render(at, min(block, last - at), slots) for at in range(first, last, block)]
    assert np.allclose(np.concatenate(parts), whole, rtol=0.0, atol=1e-5)
    assert whole.dtype == np.float32


def test_from_anywhere_it_is_part_of_the_whole(carrier: SpreadCarrier) -> None:
    whole = carrier.render(0, 12 * CHIPS, SLOTS)
    rng = np.random.default_rng(1)
    for _ in range(40):
        start, end = np.sort(rng.integers(0, whole.size, 2))
        part = carrier.render(int(start), int(end - start), SLOTS)
        assert np.allclose(part, whole[start:end], rtol=0.0, atol=1e-5)


def test_it_is_the_codes_one_after_the_other(bank: Bank, carrier: SpreadCarrier) -> None:
    expected = np.zeros(SLOTS * CHIPS + TAIL)
    for slot, code in enumerate(bank.codes(carrier.payload, 0, SLOTS)):
        expected[slot * CHIPS : (slot + 1) * CHIPS + TAIL] += bank.sounds[code]
    out = carrier.render(0, expected.size, SLOTS)
    assert np.allclose(out, expected, rtol=0.0, atol=1e-4)


def test_it_rings_out_and_then_is_silent(carrier: SpreadCarrier) -> None:
    end = SLOTS * CHIPS
    out = carrier.render(end, 2 * CHIPS, SLOTS)
    assert out[: TAIL // 2].any()
    assert not out[TAIL:].any()
    assert not carrier.render(end + TAIL, BLOCK, SLOTS).any()
    # Up to its end it is the same as if it went on.
    going_on = carrier.render(end - CHIPS, CHIPS)
    assert carrier.render(end - CHIPS, CHIPS, SLOTS) == pytest.approx(going_on, abs=1e-6)


def test_no_slots_and_no_samples(carrier: SpreadCarrier) -> None:
    assert not carrier.render(0, CHIPS, 0).any()
    assert carrier.render(100, 0).shape == (0,)


def test_the_payload_comes_again_in_other_codes(carrier: SpreadCarrier) -> None:
    cycles = carrier.render(0, 32 * CHIPS).reshape(4, -1)
    alike = np.corrcoef(cycles) - np.eye(4)
    # Two slots of 32,768 samples may have a code in common here and there.
    assert np.abs(alike).max() < 0.5
    for one in range(4):
        for other in range(one):
            assert not np.array_equal(cycles[one], cycles[other])


def test_another_bank_makes_another_sound(
    carrier: SpreadCarrier, bank_of: Callable[[int], Bank]
) -> None:
    other = SpreadCarrier(carrier.payload, bank_of(1), NonceSettings())
    a, b = (each.render(0, 8 * CHIPS) for each in (carrier, other))
    assert abs(np.corrcoef(a, b)[0, 1]) < 6.0 / np.sqrt(8 * CHIPS / 2)


def test_a_player_hands_out_whole_slots(carrier: SpreadCarrier) -> None:
    player = NoncePlayer(carrier, 0.1)
    for _ in range(RATE_HZ // BLOCK):
        player.block()
    player.stop()
    whole = player.whole()
    assert player.slots == 4  # 1 s is 3.9 slots
    assert whole.size == 4 * CHIPS + TAIL
    assert whole == pytest.approx(0.1 * carrier.render(0, whole.size, 4), abs=1e-7)
