"""The player: the nonce in blocks, to the end of a slot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from earmark.nonce import Bfsk, Nonce, NoncePlayer
from earmark.signal import BLOCK, RATE_HZ, Signal

RMS = 0.05
NonceOf = Callable[..., Nonce]


def waves() -> list[Bfsk]:
    """Slots of 2.5 blocks, of no whole number of samples (30 and 23 bit/s), and shorter ones."""
    return [Bfsk(rate, 3000.0, 6000.0, 8, 0.005) for rate in (20.0, 30.0, 23.0, 40.0, 5.0)]


def blocks(player: NoncePlayer, count: int) -> Signal:
    return np.concatenate([player.block() for _ in range(count)])


@pytest.mark.parametrize("wave", waves(), ids=lambda w: f"{w.bit_rate_hz:g} bit/s")
@pytest.mark.parametrize("stop_after", [1, 7, 25, 50, 101])
def test_blocks_are_one_render_up_to_the_end_of_a_slot(
    wave: Bfsk, nonce_of: NonceOf, stop_after: int
) -> None:
    nonce = nonce_of(1)
    player = NoncePlayer(nonce, wave, RMS)
    before = blocks(player, stop_after)
    player.stop()
    after = blocks(player, 12)  # a slot has at most 10 blocks
    assert player.done
    whole = np.concatenate([before, after])

    slot = RATE_HZ / wave.bit_rate_hz
    played = np.flatnonzero(np.abs(whole) > 1e-6)[-1] + 1
    assert before.size - slot * 0.01 < player.slots * slot < before.size + slot * 1.01
    assert abs(player.slots * slot - played) < 0.001 * RATE_HZ  # the last slot is whole
    render = wave.render(nonce, whole.size)
    scale = np.abs(whole).max() / np.abs(render).max()
    end = round(player.slots * slot)
    assert whole[:end] == pytest.approx(scale * render[:end], abs=1e-6)
    assert not whole[end:].any()


def test_its_level_is_the_one_asked_for(wave: Bfsk, nonce_of: NonceOf) -> None:
    sound = blocks(NoncePlayer(nonce_of(2), wave, RMS), 100)
    assert np.sqrt(np.mean(sound.astype(float) ** 2)) == pytest.approx(RMS, rel=0.01)


def test_slots_counts_those_begun(wave: Bfsk, nonce_of: NonceOf) -> None:
    player = NoncePlayer(nonce_of(3), wave, RMS)
    begun = [player.slots]
    for _ in range(10):
        player.block()
        begun.append(player.slots)
    # Blocks of 20 ms, slots of 50 ms.
    assert begun == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]


def test_stopped_before_it_began_it_plays_nothing(wave: Bfsk, nonce_of: NonceOf) -> None:
    player = NoncePlayer(nonce_of(4), wave, RMS)
    player.stop()
    assert player.done
    assert player.slots == 0
    assert not player.block().any()


def test_stopping_twice_changes_nothing(wave: Bfsk, nonce_of: NonceOf) -> None:
    player = NoncePlayer(nonce_of(5), wave, RMS)
    player.block()
    player.stop()
    player.block()
    player.stop()
    assert player.slots == 1
    assert not player.done
    blocks(player, 1)
    assert player.done


def test_without_a_stop_it_goes_on(wave: Bfsk, nonce_of: NonceOf) -> None:
    player = NoncePlayer(nonce_of(6), wave, RMS)
    sound = blocks(player, 3 * RATE_HZ // BLOCK)
    assert not player.done
    assert np.sqrt(np.mean(sound[-BLOCK:] ** 2)) > 0.5 * RMS
