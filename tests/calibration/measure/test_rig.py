"""The rig: what it plays, what it gives back, what it refuses, and how it comes through breaks."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.errors import StreamBroken
from earmark.signal import BLOCK, RATE_HZ, Signal
from earmark_calibration.measure import Progress, Rig, SoundSpent
from earmark_calibration.measure.rig import ATTEMPTS, WARM_UP_S

WARM_UP = round(WARM_UP_S * RATE_HZ / BLOCK)


class Wire:
    """Gives back what it was given, a block later; breaks at the blocks that it is told."""

    def __init__(self, breaks_at: int | None = None) -> None:
        self.last = np.zeros(BLOCK, np.float32)
        self.blocks = 0
        self.breaks_at = breaks_at
        self.closed = 0

    def exchange(self, play: Signal) -> Signal:
        if self.blocks == self.breaks_at:
            raise StreamBroken("the wire broke", "mend it")
        self.blocks += 1
        out, self.last = self.last, play
        return out

    def close(self) -> None:
        self.closed += 1


def ramp(blocks: int) -> Signal:
    return np.linspace(-0.5, 0.5, blocks * BLOCK, dtype=np.float32)


def test_what_is_played_comes_back_with_its_tail() -> None:
    wire = Wire()
    with Rig(lambda: wire) as rig:
        got = rig.play(ramp(3)[:-7], tail_s=0.04)
        assert got.size == 5 * BLOCK
        assert got[BLOCK : 4 * BLOCK - 7] == pytest.approx(ramp(3)[:-7])
        assert not got[4 * BLOCK - 7 :].any()
        assert rig.sound_s == pytest.approx(WARM_UP_S + 0.1)
        assert rig.listen(0.1).size == 5 * BLOCK
        assert rig.streams == 1
    assert wire.closed == 1


def test_a_stream_is_opened_at_the_first_sound_and_not_before() -> None:
    opened: list[Wire] = []

    def open_port() -> Wire:
        opened.append(Wire())
        return opened[-1]

    with Rig(open_port) as rig:
        assert opened == []
        rig.listen(0.1)
    assert len(opened) == 1


def test_a_broken_stream_is_opened_again_and_the_sound_repeated_whole() -> None:
    wires = [Wire(breaks_at=WARM_UP + 2), Wire(), Wire()]
    left = iter(wires)
    with Rig(lambda: next(left)) as rig:
        got = rig.play(ramp(4), tail_s=0.02)
        assert got[BLOCK:] == pytest.approx(ramp(4))
        assert (rig.streams, rig.broken) == (2, 1)
        # What was played before the break was sound too.
        assert rig.sound_s == pytest.approx(2 * WARM_UP_S + 0.02 * (2 + 5))
    assert wires[0].closed == 1


def test_a_stream_that_always_breaks_is_given_up() -> None:
    wires: list[Wire] = []

    def open_port() -> Wire:
        wires.append(Wire(breaks_at=3))
        return wires[-1]

    with Rig(open_port) as rig, pytest.raises(StreamBroken):
        rig.listen(1.0)
    assert len(wires) == ATTEMPTS
    assert all(wire.closed for wire in wires)


def test_more_sound_than_promised_is_refused_before_it_is_played() -> None:
    wire = Wire()
    with Rig(lambda: wire, limit_s=2.0) as rig:
        rig.listen(1.0)
        blocks = wire.blocks
        with pytest.raises(SoundSpent, match="2 s"):
            rig.listen(1.0)
        assert wire.blocks == blocks
        rig.listen(rig.left_s)
        assert rig.left_s == pytest.approx(0.0, abs=1e-9)


def test_progress_shows_level_peak_and_clipping() -> None:
    told: list[Progress] = []
    with Rig(Wire, tell=told.append) as rig:
        rig.play(np.full(10 * BLOCK, 0.5, np.float32), "half")
        rig.play(np.full(10 * BLOCK, 1.0, np.float32), "full")
        rig.listen(1.0)  # has no name and is not shown
    assert [p.what for p in told] == ["half"] * 2 + ["full"] * 2
    assert told[1].done_s == pytest.approx(0.2)
    assert told[1].of_s == pytest.approx(0.2)
    assert told[1].level_dbfs == pytest.approx(-6.02, abs=0.01)
    assert told[1].peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert [p.clipped for p in told] == [False, False, True, True]


class Card(Wire):
    """A sound card: it runs by the clock, keeps what it recorded, and loses what comes late."""

    def __init__(self, stumbles: int = 0) -> None:
        super().__init__()
        self.now_s = 0.0
        self.late_blocks = 0
        self.stumbles = stumbles
        self.heard: list[Signal] = []
        """What left the loudspeaker, a block at a time."""

    def clock(self) -> float:
        return self.now_s

    def exchange(self, play: Signal) -> Signal:
        self.now_s += 1e-4
        ready = self.now_s // 0.02
        if self.blocks < ready - 4:  # the card has gone on without us: nobody hears this
            self.late_blocks += 1
            play = np.zeros(BLOCK, np.float32)
        elif self.blocks >= ready:
            self.now_s = (self.blocks + 1) * 0.02
        if self.stumbles and self.blocks > WARM_UP and play.any():
            self.stumbles -= 1
            self.now_s += 0.2
        self.heard.append(play)
        return super().exchange(play)


def test_a_card_is_caught_up_with_before_the_next_sound() -> None:
    card = Card()
    with Rig(lambda: card, clock=card.clock) as rig:
        rig.listen(0.2)
        card.now_s += 3.0  # the sound is looked at
        before_s = rig.sound_s
        got = rig.play(ramp(10), tail_s=0.02)
        assert got[BLOCK:] == pytest.approx(ramp(10))
        assert card.late_blocks > 100  # all of them silence
        assert rig.sound_s - before_s == pytest.approx(0.22)  # catching up is no sound
        assert rig.gaps == 0


def test_a_card_that_was_left_alone_for_long_is_opened_anew() -> None:
    now_s = 0.0
    cards: list[Card] = []

    def open_port() -> Card:
        cards.append(Card())
        cards[-1].now_s = 0.0
        return cards[-1]

    with Rig(open_port, clock=lambda: now_s + sum(card.now_s for card in cards)) as rig:
        rig.listen(0.2)
        now_s = 5.0
        rig.listen(0.2)
        assert rig.streams == 1
        now_s = 30.0
        got = rig.play(ramp(10), tail_s=0.02)
        assert got[BLOCK:] == pytest.approx(ramp(10))
        assert (rig.streams, rig.broken) == (2, 0)
    assert [card.closed for card in cards] == [1, 1]


@pytest.mark.parametrize(("stumbles", "gaps"), [(1, 0), (99, 1)])
def test_a_sound_with_gaps_is_repeated(stumbles: int, gaps: int) -> None:
    card = Card(stumbles)
    with Rig(lambda: card, clock=card.clock) as rig:
        got = rig.play(ramp(10), tail_s=0.02)
        assert rig.gaps == gaps
        assert (got[BLOCK:] == pytest.approx(ramp(10))) is (gaps == 0)


def test_a_port_without_a_clock_of_its_own_is_not_waited_for() -> None:
    def clock() -> float:
        raise AssertionError("nobody asks for the time")

    with Rig(Wire, clock=clock) as rig:
        rig.listen(0.1)
        rig.listen(0.1)
