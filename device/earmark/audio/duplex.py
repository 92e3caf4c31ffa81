"""What all sound cards share: one full-duplex stream, 48 kHz, 20 ms blocks.

The callback, which the card's library calls in a thread of its own, only copies between the
library's buffers and two rings, cut beforehand into arrays of one block each. It takes no lock,
does no input or output and reserves no memory for audio. What is left is what Python cannot do
without, some small numbers that it takes from and returns to its own free lists, and the
interpreter's lock, which the main thread gives up within 5 ms (`sys.getswitchinterval`).

Both rings are addressed by absolute sample number, so a caller that comes late loses playback
instead of delaying it: the round trip stays constant, and the recording waits in its ring until
the caller has caught up. Resampling to 16 kHz is done on the caller's side.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Protocol, TypeVar

import numpy as np
import soxr

from earmark.audio.health import StreamHealth
from earmark.audio.settings import AudioSettings
from earmark.errors import AudioError, StreamBroken, one_line
from earmark.signal import BLOCK, RATE_HZ, Signal

_log = logging.getLogger(__name__)

CARD_RATE_HZ = 48_000
"""Rate of the card, Hz: the one that every card and sound server runs at without resampling."""

CARD_BLOCK = BLOCK * CARD_RATE_HZ // RATE_HZ
"""Block of the card, samples: 20 ms; a fixed size gives no over- or underruns at the start."""

PREFILL = 4 * CARD_BLOCK
"""Silence played first, samples: 80 ms, of which the resampler takes 15, the block in
progress 20; the caller may come 45 ms late before playback is lost."""

HELD = 2 * BLOCK
"""Recorded silence put before the stream, samples at 16 kHz: 40 ms, more than the resampler
holds back (13 ms), so that a block is always ready."""

RING_BLOCKS = 500
"""Length of each ring, blocks: 10 s, the longest that a caller may be late."""

RING = RING_BLOCKS * CARD_BLOCK
"""The same in samples."""

POLL_S = 0.004
"""Wait between looks for a recorded block, s. An event would take a lock in the callback."""

DOZE_S = 0.014
"""First wait for a block that is not there yet, s: blocks come every 20 ms, and each look at the
ring costs as much as a tenth of the wake word. One that comes early waits a third of the time
that the caller may be late."""

FIRST_FACTOR = 4.0
"""How much longer than any other the first block of a stream may take: a sound server connects
the stream first."""

OPEN_S = 10.0
"""Longest wait for a card to open, s: 0.1 to 0.4 measured, 2 on a loaded machine."""

START_S = 5.0
"""Longest wait for a card to start, s: 0.05 measured. One that is pulled just then hangs."""

CLOSE_S = 1.0
"""Longest wait for a card to close, s: 0.03 measured. While its server hangs a library may not
come back, and the daemon has 2 s to end."""

UNDERFLOW_IN, OVERFLOW_IN, UNDERFLOW_OUT, OVERFLOW_OUT = 1, 2, 4, 8
"""PortAudio's flags (PaStreamCallbackFlags) for samples that were lost."""

_T = TypeVar("_T")

_hung: dict[threading.Thread, float] = {}
"""Calls into the library that have not come back yet, and since when nobody waits for them
(monotonic, s). PortAudio's state belongs to the process, and so does this: a second call meanwhile
was seen to crash it."""

LOST = UNDERFLOW_IN | OVERFLOW_IN | UNDERFLOW_OUT | OVERFLOW_OUT


class Card(Protocol):
    """An open stream of a card's library. Any call may take for ever."""

    def start(self) -> None:
        """Begin to call back (AudioError)."""
        ...

    def close(self) -> None:
        """Stop calling back and release the card (AudioError)."""
        ...

    def abandon(self) -> None:
        """Closing takes for ever: let the process end without it."""
        ...


class Rings:
    """What the callback and the caller share: two rings with one writer and one reader each.

    Counters only grow, each is written by one side, and assignment of an int is atomic, so no
    lock is needed.
    """

    def __init__(self) -> None:
        self._playback = np.zeros(RING, dtype=np.float32)
        self._recording = np.zeros(RING, dtype=np.float32)
        # Views made once, so that none is made in the callback.
        self._to_card: list[Signal] = list(self._playback.reshape(RING_BLOCKS, CARD_BLOCK))
        self._from_card: list[Signal] = list(self._recording.reshape(RING_BLOCKS, CARD_BLOCK))
        self._partly = np.zeros(CARD_BLOCK, dtype=np.float32)
        self._blocks = 0
        self._to_play = PREFILL
        self._taken = 0
        self.lost = False
        self.late_blocks = 0

    def turn(self, recorded: Signal, flags: int) -> Signal:
        """Callback: take a recorded block and return the one to play (``CARD_BLOCK`` each).

        The block returned is not changed before the next call. `flags` are PortAudio's. A block
        of another length counts as lost samples.
        """
        block = self._blocks
        if flags & LOST or recorded.size != CARD_BLOCK:
            self.lost = True
        else:
            self._from_card[block % RING_BLOCKS][:] = recorded
        self._blocks = block + 1
        if (block + 1) * CARD_BLOCK - self._taken > RING:
            self.lost = True
        ready = self._to_play - block * CARD_BLOCK
        if ready >= CARD_BLOCK:
            return self._to_card[block % RING_BLOCKS]
        self.late_blocks += 1
        self._partly.fill(0.0)
        if ready > 0:
            self._partly[:ready] = self._to_card[block % RING_BLOCKS][:ready]
        return self._partly

    def put_playback(self, samples: Signal) -> None:
        """Caller: add to what will be played."""
        begin = self._to_play % RING
        first = min(samples.size, RING - begin)
        self._playback[begin : begin + first] = samples[:first]
        self._playback[: samples.size - first] = samples[first:]
        self._to_play += samples.size

    def take_recording(self) -> Signal | None:
        """Caller: take one recorded block, None while there is none."""
        if self._blocks * CARD_BLOCK == self._taken:
            return None
        block = self._from_card[self._taken // CARD_BLOCK % RING_BLOCKS].copy()
        self._taken += CARD_BLOCK
        return block


class DuplexPort:
    """An audio port on a card, whichever library reaches it.

    The stream runs from the first exchange on. Playback comes back after the card's own
    round trip and 135 ms of ours.

    Parameters
    ----------
    name : of the card, for messages.
    opened : opens the card, which will call :meth:`Rings.turn` for each block once started.
    stall_timeout_s : how long no block may come before the stream counts as broken, s.
    health : told of every stream that starts, and what it lost.

    Raises
    ------
    AudioError
        From `opened`, or the card's library is stuck.
    """

    def __init__(
        self,
        name: str,
        opened: Callable[[Rings], Card],
        stall_timeout_s: float,
        health: StreamHealth | None = None,
    ) -> None:
        self._name = name
        self._stall_timeout_s = stall_timeout_s
        self._health = health or StreamHealth()
        self._rings = Rings()
        # Variable-rate mode: 15 ms behind at most, where the other one takes up to 40.
        self._up = soxr.ResampleStream(RATE_HZ, CARD_RATE_HZ, 1, dtype="float32", vr=True)
        self._down = soxr.ResampleStream(CARD_RATE_HZ, RATE_HZ, 1, dtype="float32", vr=True)
        self._recorded = np.zeros(HELD, dtype=np.float32)
        self._running = False
        self._card: Card | None = self._open(opened)

    @property
    def late_blocks(self) -> int:
        """Blocks of silence that were played because the caller came late."""
        return self._rings.late_blocks

    def exchange(self, play: Signal) -> Signal:
        """Hand over a block to play, wait for a recorded one and return it.

        Raises
        ------
        StreamBroken
            The port is closed, the card stalled, or samples were lost.
        ValueError
            `play` is not one block.
        """
        if play.shape != (BLOCK,):
            raise ValueError(f"play: {BLOCK} samples, got shape {play.shape}")
        if self._card is None:
            raise StreamBroken("the sound card is closed", "open the port again")
        self._rings.put_playback(self._up.resample_chunk(np.clip(play, -1.0, 1.0)))
        first = not self._running
        if first:
            self._start(self._card)
        wait_s = self._stall_timeout_s * (FIRST_FACTOR if first else 1.0)
        taken = self._down.resample_chunk(self._await_block(wait_s))
        self._health.late(self._rings.late_blocks)
        self._recorded = np.concatenate([self._recorded, taken])
        block, self._recorded = self._recorded[:BLOCK], self._recorded[BLOCK:]
        return block

    def close(self) -> None:
        """Stop the stream and release the card. Closing twice is harmless.

        A card that does not let go within :data:`CLOSE_S`, as when its server hangs, is left to
        a thread beside; no port opens before that has come back.
        """
        card, self._card = self._card, None
        if card is None:
            return
        try:
            _within(CLOSE_S, card.close)
        except _TooLate:
            card.abandon()
            _log.warning("the sound card %s does not let go of its stream", self._name)
        except AudioError as error:
            _log.debug("%s", error)

    def _open(self, opened: Callable[[Rings], Card]) -> Card:
        if stuck_s() > 0.0:
            raise self._stuck("has not let go of the last stream yet")
        try:
            return _within(OPEN_S, lambda: opened(self._rings), late=_close_opened)
        except _TooLate:
            raise self._stuck(f"did not open within {OPEN_S:g} s") from None

    def _stuck(self, what: str) -> AudioError:
        return AudioError(
            f"the sound card {self._name} {what}",
            "check the sound server; if this stays, restart it and Earmark",
        )

    def _start(self, card: Card) -> None:
        try:
            _within(START_S, card.start, late=lambda _: _close_late(card))
        except _TooLate:
            self._card = None  # closed when it comes back, and not before
            card.abandon()
            raise self._broken(f"did not start within {START_S:g} s") from None
        except AudioError as error:
            raise self._broken(f"did not start ({error.what})") from error
        self._running = True
        self._health.started()

    def _await_block(self, wait_s: float) -> Signal:
        waited_from = time.monotonic()
        pause_s = DOZE_S
        while True:
            if self._rings.lost:
                self._health.lost()
                raise self._broken("lost samples (over- or underrun)")
            block = self._rings.take_recording()
            if block is not None:
                return block
            if time.monotonic() - waited_from > wait_s:
                self._health.stalled()
                raise self._broken(f"gave nothing for {wait_s:g} s")
            time.sleep(pause_s)
            pause_s = POLL_S

    def _broken(self, what: str) -> StreamBroken:
        self.close()
        return StreamBroken(
            f"the sound card {self._name} {what}",
            "it is opened again; if this repeats, check the cable, the load and the sound"
            " server's log",
        )


def stuck_s() -> float:
    """For how long a call into a card's library has not come back, s; 0.0 when all have.

    No port opens before it has, and it may never: then only a new process helps.
    """
    for thread in list(_hung):
        if not thread.is_alive():
            _hung.pop(thread, None)
    since_s = min(_hung.values(), default=None)
    return 0.0 if since_s is None else max(1e-3, time.monotonic() - since_s)


class _TooLate(Exception):
    """A call into the library has not come back in time."""


def _within(
    longest_s: float, work: Callable[[], _T], late: Callable[[Future[_T]], object] | None = None
) -> _T:
    """Call the library in a thread: with its server hanging it may not come back.

    Then :class:`_TooLate` is raised, and `late` is called when it does, in that thread.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="earmark-card", daemon=True)
    thread.start()
    if not wait([future], longest_s).done:
        _hung[thread] = time.monotonic()
        if late is not None:
            future.add_done_callback(late)
        raise _TooLate
    return future.result()


def _close_opened(opened: Future[Card]) -> None:
    """Close a card that opened after nobody waited for it any more."""
    if opened.exception() is None:
        _close_late(opened.result())


def _close_late(card: Card) -> None:
    """Close a card that nobody waits for any more."""
    try:
        card.close()
    except AudioError as error:
        _log.debug("%s", error)


def not_opened(settings: AudioSettings, error: Exception, there: str) -> AudioError:
    """The error of a card that a library does not open; `there` names the cards that it sees."""
    recording = settings.device or "(default)"
    return AudioError(
        f"sound card {recording} / {settings.playback_device or recording} "
        f"does not open ({one_line(error)}); there are: {there}",
        "set audio.device (and audio.playback_device) to one of these",
    )
