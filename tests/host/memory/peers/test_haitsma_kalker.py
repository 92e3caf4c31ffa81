"""The bits against the paper's equation, the comparison against counting bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.peers import HaitsmaKalker
from earmark_host.memory.peers.haitsma_kalker import BITS, BLOCK_FRAMES, Signs

PEER = HaitsmaKalker()
HOP_S = 62 * 3 / RATE_HZ


def noise(seconds: float, seed: int) -> Signal:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def bits(frames: int, seed: int) -> Signs:
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (frames, BITS))


def by_hand(a: NDArray[np.int8], b: NDArray[np.int8], furthest: int) -> float:
    """The definition: the scaled share of equal bits at the best shift."""
    best = 0.0
    for shift in range(-furthest, furthest + 1):
        pairs = [(i, i + shift) for i in range(len(a)) if 0 <= i + shift < len(b)]
        if not pairs:
            continue
        equal = np.mean([a[i] == b[j] for i, j in pairs])
        trust = min(1.0, (len(pairs) / BLOCK_FRAMES) ** 0.5)
        best = max(best, 0.5 + trust * (equal - 0.5))
    return best


def test_a_bit_is_the_sign_of_equation_1() -> None:
    # A tone that gets louder, in band 10 of 33: the energy of that band alone rises.
    edges = np.geomspace(300.0, 2000.0, 34)
    tone_hz = np.sqrt(edges[10] * edges[11])
    time = np.arange(RATE_HZ) / RATE_HZ
    found = PEER.fingerprint((0.3 * time * np.sin(2 * np.pi * tone_hz * time)).astype(np.float32))
    # Bit 10 compares bands 10 and 11, bit 9 compares 9 and 10.
    assert (found[:, 10] == 1).all()
    assert (found[:, 9] == -1).all()


def test_a_frame_every_11_6_ms_of_windows_of_0_37_s() -> None:
    assert len(PEER.fingerprint(noise(4.0, 1))) == int((4.0 - 0.372) / HOP_S)
    assert PEER.fingerprint(noise(0.3, 1)).shape == (0, BITS)
    assert pytest.approx(0.0116, rel=0.01) == HOP_S


@pytest.mark.parametrize(("one", "other"), [(40, 40), (30, 70), (70, 30), (300, 300), (1, 5)])
def test_the_similarity_is_the_best_share_of_equal_bits(one: int, other: int) -> None:
    a, b = bits(one, 1), bits(other, 2)
    size = min(one, other) // 2
    b[other - size :] = a[:size]  # something to find off the diagonal
    assert PEER.similarity(a, b) == pytest.approx(by_hand(a, b, 43), abs=1e-6)


def test_all_at_once_is_one_by_one_and_the_same_both_ways() -> None:
    many = [bits(frames, frames) for frames in (20, 1, 300, 0, 64)]
    for a in many:
        found = PEER.similarities(a, many)
        assert found == pytest.approx([PEER.similarity(a, b) for b in many])
        assert found == pytest.approx([PEER.similarity(b, a) for b in many])
    assert PEER.similarities(many[0], []).shape == (0,)


def test_a_long_recording_is_fully_like_itself_and_a_short_one_less() -> None:
    whole = bits(BLOCK_FRAMES, 3)
    assert PEER.similarity(whole, whole) == pytest.approx(1.0)
    assert PEER.similarity(whole[:64], whole[:64]) == pytest.approx(0.75)
    assert PEER.similarity(whole[:0], whole) == 0.0


def test_a_shift_is_found_up_to_half_a_second() -> None:
    sound = noise(5.0, 4)
    heard = PEER.fingerprint(sound)
    assert PEER.similarity(heard, PEER.fingerprint(sound[RATE_HZ // 4 :])) > 0.9
    assert PEER.similarity(heard, PEER.fingerprint(sound[RATE_HZ * 8 // 10 :])) < 0.65


def test_noise_over_it_is_still_it_and_other_noise_is_not() -> None:
    sound = noise(4.0, 5)
    heard = PEER.fingerprint(sound)
    assert PEER.similarity(heard, PEER.fingerprint(sound + 0.3 * noise(4.0, 6))) > 0.8
    assert 0.5 < PEER.similarity(heard, PEER.fingerprint(noise(4.0, 7))) < 0.6
