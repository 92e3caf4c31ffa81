"""STOI aligns what it compares, and says when there is nothing to judge."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attacks import ATTACKS, Loot
from earmark_host.nonce.quality import MAX_LAG_S, aligned, stoi


def test_the_same_is_fully_intelligible(loot: Loot) -> None:
    assert stoi(loot.clean, loot.clean) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("late_s", [-0.3, -0.01, 0.0, 0.02, 0.45])
def test_a_delay_is_taken_out(late_s: float, loot: Loot) -> None:
    late = round(late_s * RATE_HZ)
    pad = np.zeros(abs(late), np.float32)
    moved = np.concatenate([pad, loot.clean]) if late > 0 else loot.clean[-late:]
    by_wave, by_shape = aligned(loot.clean, moved)
    whole = slice(max(0, -late), loot.clean.size)
    np.testing.assert_array_equal(by_wave[whole], loot.clean[whole])
    assert by_shape.size == loot.clean.size
    if late >= 0:
        assert stoi(loot.clean, moved) == pytest.approx(1.0, abs=1e-6)


def test_a_longer_delay_than_allowed_is_not(loot: Loot) -> None:
    pad = np.zeros(round(2 * MAX_LAG_S * RATE_HZ), np.float32)
    assert stoi(loot.clean, np.concatenate([pad, loot.clean])) < 0.7


def test_level_and_polarity_do_not_count(loot: Loot) -> None:
    assert stoi(loot.clean, np.float32(-0.1) * loot.clean) == pytest.approx(1.0, abs=1e-4)


def test_noise_costs_intelligibility_in_order(loot: Loot) -> None:
    noise = np.random.default_rng(0).standard_normal(loot.clean.size).astype(np.float32)
    left = [stoi(loot.clean, loot.clean + np.float32(g) * noise) for g in (0.001, 0.03, 0.3)]
    assert left[0] > 0.97
    assert left[0] > left[1] > left[2]
    assert left[2] < 0.6


@pytest.mark.parametrize("name", ["speed_-3", "speed_+3", "shift_10hz"])
def test_a_restored_speed_or_pitch_costs_nothing(name: str, loot: Loot) -> None:
    attack = ATTACKS[name]
    out = attack.apply(loot, np.random.default_rng(1))
    untouched = stoi(loot.clean, loot.recording)
    assert stoi(loot.clean, attack.restore(out, loot)) == pytest.approx(untouched, abs=0.01)
    if name != "shift_10hz":
        assert stoi(loot.clean, out) < untouched - 0.1


@pytest.mark.parametrize(
    ("clean", "processed"),
    [
        (np.zeros(RATE_HZ, np.float32), np.zeros(RATE_HZ, np.float32)),
        (np.ones(100, np.float32), np.ones(100, np.float32)),
        (np.ones(RATE_HZ, np.float32), np.zeros(0, np.float32)),
        (np.r_[np.hanning(1600), np.zeros(RATE_HZ)].astype(np.float32), np.ones(RATE_HZ, "f4")),
    ],
    ids=["silence", "short", "empty", "a tenth of a second of sound"],
)
def test_nothing_to_judge_is_an_error(clean: Signal, processed: Signal) -> None:
    with pytest.raises(ValueError, match="clean"):
        stoi(clean, processed)
