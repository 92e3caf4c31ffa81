"""The pre-roll gives back exactly what was pushed last."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.signal import BLOCK, RATE_HZ
from earmark.wake import PreRoll


@pytest.mark.parametrize("length", [1, 319, 320, 321, 1000, 1600])
@pytest.mark.parametrize("block", [1, 160, BLOCK, 700])
def test_the_last_samples_come_back_bit_for_bit(length: int, block: int) -> None:
    stream = np.random.default_rng(0).standard_normal(6 * 700).astype(np.float32)
    ring = PreRoll(length / RATE_HZ)
    for end in range(block, stream.size + 1, block):
        ring.push(stream[end - block : end])
        expected = stream[max(0, end - length) : end]
        assert len(ring) == expected.size
        assert ring.take().tobytes() == expected.tobytes()


def test_what_was_taken_does_not_change() -> None:
    ring = PreRoll(0.04)
    ring.push(np.ones(BLOCK, dtype=np.float32))
    before = ring.take()
    ring.push(np.zeros(3 * BLOCK, dtype=np.float32))
    assert before.tolist() == [1.0] * BLOCK


def test_clear_forgets() -> None:
    ring = PreRoll(0.1)
    ring.push(np.ones(BLOCK, dtype=np.float32))
    ring.clear()
    assert ring.take().size == 0
    ring.push(np.full(5, 2.0, dtype=np.float32))
    assert ring.take().tolist() == [2.0] * 5


def test_no_length_keeps_nothing() -> None:
    ring = PreRoll(0.0)
    ring.push(np.ones(BLOCK, dtype=np.float32))
    assert ring.take().size == 0


@pytest.mark.parametrize("length_s", [-1.0, float("nan")])
def test_an_impossible_length_is_refused(length_s: float) -> None:
    with pytest.raises(ValueError, match="length_s"):
        PreRoll(length_s)
