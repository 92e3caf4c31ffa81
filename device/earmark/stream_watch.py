"""Measures each audio stream with its first nonce: the round trip, and how the clocks differ.

A nonce that was not found is a reason to measure again: where the machine was too busy for the
card's library, its round trip was seen to grow from 220 ms to 800-1500 ms and to stay there, and
after that no nonce is found until the stream is opened again.

What a sound server reports as its latency was seen to be wrong by 200 ms, and it is another one
each time a stream starts. So the first recording of each stream is compared with what was played,
over more delays than the receiver looks at: it finds out why no nonce is ever recognised, where
the receiver can only say that there was none.
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from earmark.judging import Judgement
from earmark.nonce import NonceSettings
from earmark.session import State
from earmark.signal import RATE_HZ, Signal

_log = logging.getLogger(__name__)

LONGEST_S = 2.0
"""Longest round trip that is looked for, s: what `nonce.max_delay_s` can be set to at most. A
nonce repeats after 2.05 s or, in tones, 1.6 s; there the shorter delay fits more of it."""

COMPARED_S = 4.0
"""How much of the playback is compared, s: two nonces, which stand 40 dB out of as loud speech."""

MIN_CONTRAST = 12.0
"""Least height of the peak over the rms of all delays: noise of so many has 4.5 at most once in
3,000 recordings, speech alone 6."""


@dataclass(frozen=True)
class StreamClocks:
    """What the first nonce of a stream told.

    Parameters
    ----------
    delay_s : from handing a block over to having its sound recorded, s; None where the nonce was
        not in the recording.
    drift_ppm : how much faster the player's clock runs than the recorder's; None where the
        receiver did not find the nonce.
    """

    delay_s: float | None
    drift_ppm: float | None


def round_trip_s(played: Signal, recorded: Signal) -> float | None:
    """Delay after which `played` is in `recorded`, s; None where it is not.

    Both are at ``RATE_HZ`` and begin at the same moment; of `played` the first
    :data:`COMPARED_S` count.
    """
    played = played[: round(COMPARED_S * RATE_HZ)]
    lags = round(LONGEST_S * RATE_HZ)
    recorded = recorded[: played.size + lags]
    if recorded.size < played.size // 2 or not played.any() or not recorded.any():
        return None
    size = 1 << (played.size + lags - 1).bit_length()
    spectrum = np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(played, size))
    heights = np.abs(np.fft.irfft(spectrum, size)[:lags])
    peak = int(np.argmax(heights))
    if heights[peak] < MIN_CONTRAST * float(np.sqrt(np.mean(heights**2))):
        return None
    return peak / RATE_HZ


class StreamWatch:
    """Measures and logs, once for each stream, and again where its nonce was not found.

    Parameters
    ----------
    nonce : its settings, for what the receiver can make up for.
    executor : does the arithmetic, some 10 ms, beside the audio.
    """

    def __init__(self, nonce: NonceSettings, executor: Executor) -> None:
        self._nonce = nonce
        self._executor = executor
        self._waiting = True
        self.latest: StreamClocks | None = None
        """Of the stream that was measured last; None before the first."""
        self.given_up: str | None = None
        """Why the stream should be opened again: no nonce will be found in it, and in a new one it
        may. None otherwise."""
        self._tried = False  # opened again for that, and no round trip was right since
        self._reopened = False

    def restarted(self) -> None:
        """A new stream has begun."""
        self._waiting = self._reopened = True
        self._tried = self._tried or self.given_up is not None
        self.given_up = None

    def observe(self, judgement: Judgement, _: State) -> None:
        """Take a judgement, as the loop's observer.

        The first of a stream is measured, and each whose nonce was not found.
        """
        report = judgement.evidence.nonce
        if self._waiting or report is None or not report.present:
            self._executor.submit(self._measure, judgement, self._waiting)
            self._waiting = False

    def _measure(self, judgement: Judgement, first: bool) -> None:
        recorded = judgement.recorded
        report = judgement.evidence.nonce
        start = round(recorded.played_at_s * RATE_HZ)
        delay_s = round_trip_s(recorded.played, recorded.recording[start:])
        found = report is not None and report.present
        self.latest = StreamClocks(delay_s, report.drift_ppm if report and found else None)
        if first:
            _tell(self.latest, self._nonce)
        if delay_s is not None and delay_s <= self._nonce.max_delay_s:
            self._tried = False
        elif self._tried:
            return  # a card that is as slow each time is not opened over and over
        elif delay_s is not None:
            self.given_up = (
                f"the sound card's round trip takes {1e3 * delay_s:.0f} ms, too long for a nonce to"
                " be found"
            )
        elif first and self._reopened:
            # In a first stream the loudspeaker is off or the room loud. After one that broke,
            # a sound server was seen to play nothing, or later than is looked for.
            self.given_up = "the sound card was opened again and its first nonce was not heard"


def _tell(clocks: StreamClocks, nonce: NonceSettings) -> None:
    """Log what was measured: numbers only, nothing of the nonce."""
    if clocks.delay_s is None:
        _log.warning(
            "audio stream: its first nonce was not heard within %.0f ms: check that the"
            " loudspeaker is on and the microphone hears it",
            1e3 * LONGEST_S,
        )
        return
    delay_ms = 1e3 * clocks.delay_s
    if clocks.delay_s > nonce.max_delay_s:
        _log.warning(
            "audio stream: the round trip takes %.0f ms, more than nonce.max_delay_s allows"
            " (%.0f ms): set that higher, or the sound server's latency lower",
            delay_ms,
            1e3 * nonce.max_delay_s,
        )
    elif clocks.drift_ppm is None:
        _log.info("audio stream: the round trip takes %.0f ms", delay_ms)
    else:
        # The receiver looks no further than max_drift_ppm, so there is none beyond.
        _log.info(
            "audio stream: the round trip takes %.0f ms, the clocks differ by %+.0f ppm",
            delay_ms,
            clocks.drift_ppm,
        )
