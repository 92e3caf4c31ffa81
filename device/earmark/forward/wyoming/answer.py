"""A spoken answer on its way from Home Assistant to the loudspeaker."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import numpy as np
from wyoming.event import Event

from earmark.forward.wyoming.sound import Form, Resampler
from earmark.signal import RATE_HZ, Signal

_log = logging.getLogger(__name__)

PIECE = RATE_HZ // 5
"""Most samples that are handed over at once: 0.2 s."""

AHEAD_S = 0.4
"""How far ahead of the loudspeaker pieces are handed over, s: a slow moment is not heard, and
the loudspeaker's queue (5 s) never fills up, though an answer comes faster than it is spoken."""

MAX_ANSWER_S = 60.0
"""Most of an answer that waits to be spoken, s: 4 MB. The rest is not spoken; that is logged."""


class Answer:
    """One answer. Its audio comes as fast as the network gives it, and goes out as it is spoken.

    Parameters
    ----------
    form : of the peer's audio.
    speak : takes a piece of at most ``PIECE`` samples; None throws the answer away.
    """

    def __init__(self, form: Form, speak: Callable[[Signal], None] | None) -> None:
        self._resampler = Resampler(form)
        self._speak = speak
        self._pieces: deque[Signal] = deque()
        self._waiting = 0
        self._ended = False
        self._full = False
        self._more = asyncio.Event()

    def feed(self, event: Event) -> None:
        """Take an ``audio-chunk``.

        Raises
        ------
        ProtocolError
            It does not fit the form of the answer.
        """
        self._add(self._resampler.feed(event))

    def end(self) -> None:
        """All has come."""
        self._add(self._resampler.finish())
        self._ended = True
        self._more.set()

    async def play(self) -> None:
        """Hand all of it over, at the pace of the sound; returns when it has been spoken."""
        now = asyncio.get_running_loop().time
        over = now()  # when what was handed over has been heard
        while True:
            piece = self._take()
            if piece is None:
                break
            if piece.size == 0:
                self._more.clear()
                await self._more.wait()
                continue
            await asyncio.sleep(max(0.0, over - AHEAD_S - now()))
            if self._speak is not None:
                self._speak(piece)
                over = max(over, now()) + piece.size / RATE_HZ
        await asyncio.sleep(max(0.0, over - now()))

    def _add(self, sound: Signal) -> None:
        if self._waiting + sound.size > MAX_ANSWER_S * RATE_HZ:
            if not self._full:
                _log.warning("an answer of more than %g s is cut short", MAX_ANSWER_S)
            self._full = True
        elif sound.size and not self._full:
            self._pieces.append(sound)
            self._waiting += sound.size
            self._more.set()

    def _take(self) -> Signal | None:
        """The next piece; empty while there is not enough for one, None at the end."""
        if self._waiting < PIECE and not self._ended:
            return np.zeros(0, np.float32)
        if not self._pieces:
            return None
        parts: list[Signal] = []
        wanted = PIECE
        while self._pieces and wanted:
            sound = self._pieces.popleft()
            if sound.size > wanted:
                self._pieces.appendleft(sound[wanted:])
                sound = sound[:wanted]
            parts.append(sound)
            wanted -= sound.size
        piece = np.concatenate(parts)
        self._waiting -= piece.size
        return piece
