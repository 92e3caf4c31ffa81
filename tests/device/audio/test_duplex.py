"""What all sound cards share: the rings, and a library that does not come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from earmark.audio import StreamHealth, duplex
from earmark.audio.duplex import CARD_BLOCK, PREFILL, RING_BLOCKS, DuplexPort, Rings
from earmark.errors import AudioError, StreamBroken
from earmark.signal import BLOCK, Signal

SILENCE = np.zeros(BLOCK, dtype=np.float32)


def turn(rings: Rings, value: float = 0.0, flags: int = 0) -> Signal:
    return rings.turn(np.full(CARD_BLOCK, value, dtype=np.float32), flags).copy()


def test_playback_follows_the_prefill_in_order() -> None:
    rings = Rings()
    rings.put_playback(np.arange(CARD_BLOCK, dtype=np.float32))
    heard = np.concatenate([turn(rings) for _ in range(PREFILL // CARD_BLOCK + 1)])
    np.testing.assert_array_equal(heard[:PREFILL], 0.0)
    np.testing.assert_array_equal(heard[PREFILL:], np.arange(CARD_BLOCK))


def test_playback_in_pieces_of_any_size_comes_out_whole_when_the_ring_wraps() -> None:
    """The resampler gives no whole blocks."""
    dice = np.random.default_rng(1)
    sent = dice.standard_normal(3 * RING_BLOCKS * CARD_BLOCK // 2).astype(np.float32)
    rings, heard, at = Rings(), [], 0
    while at < sent.size:
        size = int(dice.integers(CARD_BLOCK - 40, CARD_BLOCK + 40))
        rings.put_playback(sent[at : at + size])
        at += size
        if at > (len(heard) - 3) * CARD_BLOCK:
            heard.append(turn(rings))
    whole = np.concatenate(heard)[PREFILL:]
    assert rings.late_blocks == 0
    np.testing.assert_array_equal(whole, sent[: whole.size])
    assert whole.size > RING_BLOCKS * CARD_BLOCK


def test_late_playback_is_lost_and_later_playback_is_still_in_its_place() -> None:
    rings = Rings()
    heard = [turn(rings) for _ in range(PREFILL // CARD_BLOCK + 2)]
    assert rings.late_blocks == 2
    for value in (1.0, 2.0, 3.0):
        rings.put_playback(np.full(CARD_BLOCK, value, dtype=np.float32))
    heard.append(turn(rings))
    assert [block[0] for block in heard[-3:]] == [0.0, 0.0, 3.0]
    assert not rings.lost


def test_half_a_block_in_time_is_played_and_the_rest_is_silence() -> None:
    rings = Rings()
    rings.put_playback(np.full(CARD_BLOCK // 2, 1.0, dtype=np.float32))
    for _ in range(PREFILL // CARD_BLOCK):
        turn(rings)
    block = turn(rings)
    np.testing.assert_array_equal(block[: CARD_BLOCK // 2], 1.0)
    np.testing.assert_array_equal(block[CARD_BLOCK // 2 :], 0.0)
    assert rings.late_blocks == 1


def test_the_recording_waits_for_a_late_caller_until_the_ring_is_full() -> None:
    rings = Rings()
    for value in range(RING_BLOCKS):
        turn(rings, float(value))
    assert not rings.lost
    first = rings.take_recording()
    assert first is not None
    assert first[0] == 0.0
    turn(rings, 1.0)
    assert not rings.lost
    turn(rings, 2.0)
    assert rings.lost


def test_a_recorded_block_taken_is_not_overwritten_later() -> None:
    rings = Rings()
    turn(rings, 5.0)
    taken = rings.take_recording()
    for _ in range(RING_BLOCKS):
        turn(rings, 6.0)
    assert taken is not None
    assert taken[0] == 5.0


def test_a_block_of_another_length_counts_as_lost() -> None:
    rings = Rings()
    rings.turn(np.zeros(CARD_BLOCK - 1, np.float32), 0)
    assert rings.lost


# A library that does not come back


class StuckCard:
    """Calls back once at its start; its library waits until it is let go of."""

    def __init__(self, rings: Rings, held: threading.Event) -> None:
        self.rings, self.held = rings, held
        self.closed = threading.Event()
        self.abandoned = 0

    def start(self) -> None:
        turn(self.rings)

    def close(self) -> None:
        self.held.wait(10.0)
        self.closed.set()

    def abandon(self) -> None:
        self.abandoned += 1


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    monkeypatch.setattr(duplex, "OPEN_S", 0.05)
    monkeypatch.setattr(duplex, "START_S", 0.05)
    monkeypatch.setattr(duplex, "CLOSE_S", 0.05)
    event = threading.Event()
    yield event
    event.set()
    for thread in list(duplex._hung):
        thread.join(5.0)


def test_a_card_that_does_not_close_is_left_and_none_opens_before_it_has(
    held: threading.Event,
) -> None:
    cards: list[StuckCard] = []

    def opened(rings: Rings) -> StuckCard:
        cards.append(StuckCard(rings, held))
        return cards[-1]

    port = DuplexPort("hat", opened, 0.05)
    port.exchange(SILENCE)
    with pytest.raises(StreamBroken, match="gave nothing"):
        port.exchange(SILENCE)
    assert cards[0].abandoned == 1
    with pytest.raises(AudioError, match="hat has not let go of the last stream yet"):
        DuplexPort("hat", opened, 0.05)
    assert len(cards) == 1
    assert 0.0 < duplex.stuck_s() < 60.0
    held.set()
    assert cards[0].closed.wait(5.0)
    next(iter(duplex._hung)).join(5.0)
    assert duplex.stuck_s() == 0.0
    DuplexPort("hat", opened, 0.05).close()
    assert len(cards) == 2


def test_a_card_that_opens_too_late_is_closed_again(held: threading.Event) -> None:
    let_open = threading.Event()
    card = StuckCard(Rings(), held)
    held.set()

    def opened(_: Rings) -> StuckCard:
        let_open.wait(10.0)
        return card

    with pytest.raises(AudioError, match=r"did not open within 0\.05 s"):
        DuplexPort("hat", opened, 0.05)
    let_open.set()
    assert card.closed.wait(5.0)


def test_a_card_that_does_not_start_is_closed_when_it_comes_back(held: threading.Event) -> None:
    class NoStart(StuckCard):
        def start(self) -> None:
            held.wait(10.0)

    card = NoStart(Rings(), held)
    port = DuplexPort("hat", lambda _: card, 0.05)
    with pytest.raises(StreamBroken, match=r"hat did not start within 0\.05 s"):
        port.exchange(SILENCE)
    assert (card.abandoned, card.closed.is_set()) == (1, False)
    port.close()
    held.set()
    assert card.closed.wait(5.0)


def test_an_error_at_closing_is_no_reason_to_stop(held: threading.Event) -> None:
    class Broken(StuckCard):
        def close(self) -> None:
            raise AudioError("host error", "check it")

    DuplexPort("hat", lambda rings: Broken(rings, held), 0.05).close()


def test_an_error_at_opening_is_the_callers(held: threading.Event) -> None:
    def opened(_: Rings) -> StuckCard:
        raise AudioError("no such card", "plug one in")

    with pytest.raises(AudioError, match="no such card: plug one in"):
        DuplexPort("hat", opened, 0.05)


def test_the_first_block_may_take_longer_than_the_others(held: threading.Event) -> None:
    """A sound server connects the stream first."""
    held.set()

    class Slow(StuckCard):
        def start(self) -> None:
            threading.Timer(0.2, turn, (self.rings,)).start()

    port = DuplexPort("hat", lambda rings: Slow(rings, held), 0.1)
    port.exchange(SILENCE)
    with pytest.raises(StreamBroken, match=r"nothing for 0\.1 s"):
        port.exchange(SILENCE)


def test_what_comes_late_stalls_or_starts_is_counted_over_all_streams(
    held: threading.Event,
) -> None:
    held.set()
    health = StreamHealth()
    for _ in range(2):

        class Late(StuckCard):
            def start(self) -> None:
                for _ in range(PREFILL // CARD_BLOCK + 3):
                    turn(self.rings)

        port = DuplexPort("hat", lambda rings: Late(rings, held), 0.05, health)
        for _ in range(PREFILL // CARD_BLOCK + 3):
            port.exchange(SILENCE)
        with pytest.raises(StreamBroken, match="gave nothing"):
            port.exchange(SILENCE)
    counted = health.overload
    assert (counted.streams, counted.stalls, counted.lost_samples) == (2, 2, 0)
    assert counted.late_blocks == 2 * port.late_blocks > 0
