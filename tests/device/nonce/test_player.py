"""The player: the nonce in blocks, to the end of a slot, and a copy of what was handed out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from earmark.nonce import Bfsk, BfskCarrier, Carrier, Nonce, NoncePlayer, SpreadCarrier
from earmark.signal import BLOCK, RATE_HZ, Signal

RMS = 0.05
NonceOf = Callable[..., Nonce]
FORMS = {
    f"{rate:g} bit/s": Bfsk(rate, 3000.0, 6000.0, 8, 0.005) for rate in (20.0, 30.0, 23.0, 40.0)
}
"""Slots of 2.5 blocks, of no whole number of samples (30 and 23 bit/s), and shorter ones."""

CODES = "codes"
"""Slots of 12.8 blocks, which ring on for 256 samples after their end."""


@pytest.fixture(params=[*FORMS, CODES])
def carrier(
    request: pytest.FixtureRequest,
    nonce_of: NonceOf,
    in_tones: Callable[..., BfskCarrier],
    in_codes: Callable[..., SpreadCarrier],
) -> Carrier:
    if request.param == CODES:
        return in_codes(1)
    return in_tones(nonce_of(1), FORMS[request.param])


@pytest.fixture
def tones(in_tones: Callable[..., BfskCarrier], nonce_of: NonceOf) -> BfskCarrier:
    """Slots of 50 ms."""
    return in_tones(nonce_of(2))


def blocks(player: NoncePlayer, count: int) -> Signal:
    return np.concatenate([player.block() for _ in range(count)])


@pytest.mark.parametrize("stop_after", [1, 7, 25, 50, 101])
def test_blocks_are_one_render_up_to_the_end_of_a_slot(carrier: Carrier, stop_after: int) -> None:
    player = NoncePlayer(carrier, RMS)
    before = blocks(player, stop_after)
    player.stop()
    after = blocks(player, 15)  # a slot with what rings on has at most 13.6 blocks
    assert player.done
    whole = np.concatenate([before, after])

    slot = RATE_HZ * carrier.slot_s
    played = np.flatnonzero(np.abs(whole) > 1e-6)[-1] + 1
    assert before.size - slot * 0.01 < player.slots * slot < before.size + slot * 1.01
    assert abs(player.slots * slot + carrier.tail - played) < 0.001 * RATE_HZ  # it is whole
    render = carrier.render(0, whole.size)
    end = round(player.slots * slot)
    assert whole[:end] == pytest.approx(RMS * render[:end], abs=1e-6)
    assert not whole[end + carrier.tail :].any()


def test_its_level_is_the_one_asked_for(carrier: Carrier) -> None:
    sound = blocks(NoncePlayer(carrier, RMS), 100)
    assert np.sqrt(np.mean(sound.astype(float) ** 2)) == pytest.approx(RMS, rel=0.015)


def test_slots_counts_those_begun(tones: BfskCarrier) -> None:
    player = NoncePlayer(tones, RMS)
    begun = [player.slots]
    for _ in range(10):
        player.block()
        begun.append(player.slots)
    # Blocks of 20 ms, slots of 50 ms.
    assert begun == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4]


def test_a_slot_that_ends_with_a_block_begins_no_new_one(
    in_codes: Callable[..., SpreadCarrier],
) -> None:
    player = NoncePlayer(in_codes(2), RMS)
    begun = []
    for _ in range(65):  # 5 slots of 4,096 samples are 64 blocks
        player.block()
        begun.append(player.slots)
    assert begun[11:14] == [1, 2, 2]
    assert begun[63:] == [5, 6]


def test_stopped_before_it_began_it_plays_nothing(carrier: Carrier) -> None:
    player = NoncePlayer(carrier, RMS)
    player.stop()
    assert player.slots == 0
    assert not player.whole().any()
    assert not player.block().any()
    assert player.done


def test_stopping_twice_changes_nothing(tones: BfskCarrier) -> None:
    player = NoncePlayer(tones, RMS)
    player.block()
    player.stop()
    player.block()
    player.stop()
    assert player.slots == 1
    assert not player.done
    blocks(player, 1)
    assert player.done


def test_without_a_stop_it_goes_on(carrier: Carrier) -> None:
    player = NoncePlayer(carrier, RMS)
    sound = blocks(player, 3 * RATE_HZ // BLOCK)
    assert not player.done
    assert np.sqrt(np.mean(sound[-BLOCK:] ** 2)) > 0.5 * RMS


# What it keeps


def test_it_keeps_what_it_handed_out(carrier: Carrier) -> None:
    """Sample for sample, whenever it is asked: the canceller takes out just that."""
    player = NoncePlayer(carrier, RMS)
    assert player.played.size == 0
    handed: list[Signal] = []
    for count in (1, 3, 20, 1, 40):
        handed += [player.block() for _ in range(count)]
        assert player.played.tobytes() == np.concatenate(handed).tobytes()
        assert player.played.dtype == np.float32
    player.stop()
    handed += [player.block() for _ in range(15)]
    assert player.played.tobytes() == np.concatenate(handed).tobytes()


@pytest.mark.parametrize("stop_after", [1, 13, 32, 64])
def test_the_whole_is_what_will_have_been_played(carrier: Carrier, stop_after: int) -> None:
    """Asked at the stop, while the last slot still plays; and the same ever after."""
    player = NoncePlayer(carrier, RMS)
    blocks(player, stop_after)
    player.stop()
    whole = player.whole()
    end = round(player.slots * carrier.slot_s * RATE_HZ) + carrier.tail
    assert whole.size == max(end, stop_after * BLOCK)
    while not player.done:
        player.block()
        assert player.whole()[: whole.size] == pytest.approx(whole, abs=1e-7)
    assert player.played[: whole.size] == pytest.approx(whole, abs=1e-7)
    assert not player.played[whole.size :].any()


def test_while_it_plays_there_is_no_whole(carrier: Carrier) -> None:
    player = NoncePlayer(carrier, RMS)
    player.block()
    with pytest.raises(ValueError, match="still plays"):
        player.whole()
