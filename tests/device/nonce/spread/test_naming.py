"""Whose nonce was found: the right one of many, or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.nonce.spread import Bank
from earmark.nonce.spread.naming import FALSE_MOVED, NEAR_SLOTS, SURE_NATS, Name, is_moved, name
from earmark.nonce.spread.shape import CODES

Evidence = NDArray[np.float32]
SLOTS = 16


def issued(count: int, size: int = 4, seed: int = 1) -> list[bytes]:
    every = np.random.default_rng(seed).bytes(count * size)
    return [every[at : at + size] for at in range(0, count * size, size)]


def evidence_of(codes: Sequence[int] | NDArray[np.int64], lead: float = 20.0) -> Evidence:
    """What the search reports when these codes sounded: each leads the others by `lead`."""
    rng = np.random.default_rng(len(codes))
    out = rng.uniform(-1.4, 0.0, (len(codes), CODES))
    out[np.arange(len(codes)), codes] = lead
    return out.astype(np.float32)


def found(
    bank: Bank, evidence: Evidence, payloads: Sequence[bytes], slots: int = SLOTS
) -> Name | None:
    return name(evidence, bank, payloads, [slots] * len(payloads))


# The right one


@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("slots", [8, 11])
def test_any_cut_of_it_is_named(bank: Bank, first: int, slots: int) -> None:
    payloads = issued(100)
    evidence = evidence_of(bank.codes(payloads[42], first, slots))
    assert found(bank, evidence, payloads) == Name(42, first)


def test_the_right_one_of_ten_thousand(bank: Bank) -> None:
    payloads = issued(10_000)
    for index in (0, 4321, 9_999):
        evidence = evidence_of(bank.codes(payloads[index], 3, 12))
        assert found(bank, evidence, payloads) == Name(index, 3)


def test_with_permutations_that_come_again(bank: Bank) -> None:
    """65 s into a session; the place is then known up to the period of the permutations."""
    payloads = issued(50)
    evidence = evidence_of(bank.codes(payloads[7], 250, 20))
    hit = found(bank, evidence, payloads, 300)
    assert hit is not None
    assert hit.index == 7


@pytest.mark.parametrize(("before", "after"), [(1, 0), (4, 0), (0, 5), (3, 3)])
def test_noise_before_and_after(bank: Bank, before: int, after: int) -> None:
    payloads = issued(1000)
    codes = bank.codes(payloads[5], 0, 12)
    rng = np.random.default_rng(8)
    codes = np.concatenate([rng.integers(0, 16, before), codes, rng.integers(0, 16, after)])
    hit = found(bank, evidence_of(codes), payloads, 12)
    assert hit is not None
    assert hit.index == 5


@pytest.mark.parametrize("wrong", [1, 3])
def test_misread_symbols(bank: Bank, wrong: int) -> None:
    payloads = issued(1000)
    codes = bank.codes(payloads[17], 2, 12)
    for slot in np.random.default_rng(wrong).choice(12, wrong, replace=False):
        codes[slot] = (codes[slot] + 1 + slot) % CODES
    assert found(bank, evidence_of(codes), payloads) == Name(17, 2)


def test_slots_that_are_not_sure_are_left_open(bank: Bank) -> None:
    payloads = issued(1000)
    codes = bank.codes(payloads[3], 0, 14)
    evidence = evidence_of(codes)
    for slot in (1, 5, 6, 11):  # another code leads by a little
        evidence[slot, (codes[slot] + 1) % CODES] = evidence[slot, codes[slot]] + SURE_NATS / 2
    assert found(bank, evidence, payloads) == Name(3, 0)


def test_longer_payloads(bank: Bank) -> None:
    payloads = issued(200, size=32)
    evidence = evidence_of(bank.codes(payloads[150], 30, 10))
    assert found(bank, evidence, payloads, 64) == Name(150, 30)


def test_what_was_never_played_is_not_named(bank: Bank) -> None:
    """Of two sessions with equal numbers, that one which lasted long enough."""
    payload = issued(1)[0]
    evidence = evidence_of(bank.codes(payload, 20, 12))
    assert name(evidence, bank, [payload, payload], [10, 40]) == Name(1, 20)


# None


@pytest.mark.parametrize("slots", [8, 12, 16, 24])
def test_a_payload_that_was_not_issued(bank: Bank, slots: int) -> None:
    """One in 100 may be mistaken for a session's. Its repetitions are no evidence of their own:
    who shares five symbols of eight with it shares all their repetitions too.
    """
    payloads = issued(400)
    hits = [
        found(bank, evidence_of(bank.codes(stranger, 0, slots)), payloads, 24)
        for stranger in issued(25, seed=2)
    ]
    assert sum(hit is not None for hit in hits) <= 3


@pytest.mark.parametrize("slots", [1, 3, 5])
def test_too_few_slots(bank: Bank, slots: int) -> None:
    payloads = issued(10_000)
    assert found(bank, evidence_of(bank.codes(payloads[9], 0, slots)), payloads) is None


def test_too_many_misread(bank: Bank) -> None:
    payloads = issued(1000)
    codes = bank.codes(payloads[17], 0, 12)
    codes[::2] = (codes[::2] + 3) % CODES
    assert found(bank, evidence_of(codes), payloads) is None


def test_codes_at_random_are_nobodys(bank: Bank) -> None:
    """At most one in 100 would be allowed."""
    payloads = issued(300)
    rng = np.random.default_rng(4)
    hits = [
        found(bank, evidence_of(rng.integers(0, CODES, int(slots))), payloads)
        for slots in rng.integers(1, 30, 60)
    ]
    assert sum(hit is not None for hit in hits) <= 2


def test_two_sessions_with_the_same_number_are_not_told_apart(bank: Bank) -> None:
    payloads = issued(20)
    payloads[11] = payloads[4]
    assert found(bank, evidence_of(bank.codes(payloads[4], 0, 12)), payloads) is None


def test_another_bank_names_nobody(bank: Bank) -> None:
    payloads = issued(100)
    shuffled = np.random.default_rng(1).permuted(bank.permutations, axis=1)
    other = Bank("00000000", 1, bank.band_hz, bank.chips, shuffled)
    assert found(other, evidence_of(bank.codes(payloads[4], 0, 12)), payloads) is None


def test_nothing_sure(bank: Bank) -> None:
    payloads = issued(10)
    evidence = evidence_of(bank.codes(payloads[0], 0, 12), lead=SURE_NATS / 2)
    assert found(bank, evidence, payloads) is None


def test_nothing_to_compare(bank: Bank) -> None:
    assert found(bank, evidence_of([1, 2, 3]), []) is None
    assert found(bank, np.zeros((0, CODES), np.float32), issued(3)) is None
    assert name(evidence_of([1] * 12), bank, issued(2), [0, 0]) is None


@pytest.mark.parametrize("slots", [240, 280, 400])
def test_a_very_long_find(bank: Bank, slots: int) -> None:
    """More slots than a float has room for in 16**slots."""
    payloads = issued(20)
    codes = bank.codes(payloads[4], 0, slots)
    assert found(bank, evidence_of(codes), payloads, slots) == Name(4, 0)
    nobody = np.random.default_rng(1).integers(0, CODES, slots)
    assert found(bank, evidence_of(nobody), payloads, slots) is None


# The current one, moved


@pytest.mark.parametrize("moved", [-NEAR_SLOTS, 0, 1, NEAR_SLOTS])
@pytest.mark.parametrize("first", [0, 6, 10])
def test_two_slots_near_where_they_should_be_are_the_current_ones(
    bank: Bank, first: int, moved: int
) -> None:
    codes = bank.codes(issued(1)[0], 0, 12)
    assert is_moved(evidence_of(codes[first : first + 2]), codes, first + moved)


def test_one_slot_is_not_enough(bank: Bank) -> None:
    codes = bank.codes(issued(1)[0], 0, 12)
    assert not is_moved(evidence_of(codes[4:5]), codes, 4)


@pytest.mark.parametrize("expected", [None, 11])
def test_far_away_takes_more_slots(bank: Bank, expected: int | None) -> None:
    codes = bank.codes(issued(1)[0], 0, 12)
    assert is_moved(evidence_of(codes[2:6]), codes, expected)
    assert not is_moved(evidence_of(codes[2:3]), codes, expected)


def test_noise_around_the_moved_one(bank: Bank) -> None:
    codes = bank.codes(issued(1)[0], 0, 12)
    rows = np.concatenate([evidence_of([3], lead=0.5), evidence_of(codes)])
    assert is_moved(rows, codes, 0)


@pytest.mark.parametrize("slots", [2, 3, 8])
@pytest.mark.parametrize("expected", [None, 0, 5])
def test_another_nonce_is_seldom_taken_for_the_current_one(
    bank: Bank, slots: int, expected: int | None
) -> None:
    codes = bank.codes(issued(1)[0], 0, 12)
    others = issued(400, seed=3)
    taken = [is_moved(evidence_of(bank.codes(o, 3, slots)), codes, expected) for o in others]
    assert np.mean(taken) <= FALSE_MOVED + 2 * np.sqrt(FALSE_MOVED / len(others))


def test_nothing_is_not_moved(bank: Bank) -> None:
    codes = bank.codes(issued(1)[0], 0, 12)
    assert not is_moved(np.zeros((0, CODES), np.float32), codes, 0)
    assert not is_moved(evidence_of(codes), codes[:0], 0)
    assert not is_moved(np.zeros((12, CODES), np.float32), codes, 0)
