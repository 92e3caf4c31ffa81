"""What a corpus gives is made into what somebody says, and into what a television plays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earmark.signal import BLOCK, RATE_HZ, Signal, active_level_dbfs, gain
from earmark_host.bench.corpus import Corpus, draw

EDGE_DB = 30.0
"""Before and after the speech is what stays this far below the loudest 20 ms, dB."""

MARGIN_BLOCKS = 2
"""Blocks kept on both sides of the speech: 40 ms, the closure of a plosive."""

PAUSE_DB = 25.0
"""A pause is this far below the active level, dB."""

PAUSE_BLOCKS = 8
"""Least length of a pause, 0.16 s: the closure of a plosive is shorter."""

EARLIEST_S = 1.5
"""A long clip is not cut before this, s."""

FADE_S = 0.02
"""Fade at a cut, s: no click."""

MUSIC_DB = (-20.0, -3.0)
"""Level of a television's music against its speech, dB: from a bed to a song."""

GAP_S = (0.1, 0.5)
"""Pause between two people on television, s."""

OTHERS_SHARE = 0.3
"""Share of a television's speech that is taken from the household's own role, by others."""


def spoken(signal: Signal, longest_s: float) -> Signal:
    """What is said in a clip, without the silence around it, at most `longest_s`.

    A longer clip is cut in its last pause, or at its quietest moment in the last second.
    """
    power = _power(signal)
    if power.size == 0:
        return signal
    loud = np.flatnonzero(power >= power.max() * 10.0 ** (-EDGE_DB / 10.0))
    first = max(0, int(loud[0]) - MARGIN_BLOCKS)
    last = min(power.size, int(loud[-1]) + 1 + MARGIN_BLOCKS)
    inner = signal[first * BLOCK : last * BLOCK]
    if inner.size <= longest_s * RATE_HZ:
        return inner
    end = _cut_at(inner, round(longest_s * RATE_HZ / BLOCK))
    out = inner[: end * BLOCK].copy()
    fade = round(FADE_S * RATE_HZ)
    out[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return out


def television(corpus: Corpus, seconds: float, without: str, rng: np.random.Generator) -> Signal:
    """A television programme: people one after the other, with music where the corpus has any.

    Parameters
    ----------
    seconds : its length.
    without : a person who is not on it.
    """
    length = round(seconds * RATE_HZ)
    background = corpus.role("background") if corpus.has("background") else None
    talk = np.zeros(length, np.float32)
    at = 0
    while at < length:
        if background is None or rng.random() < OTHERS_SHARE:
            other = corpus.person(rng)
            if other == without:
                continue
            clip = corpus.spoken_by(other, rng)
        else:
            clip = draw(background, rng)
        part = _at_level(spoken(corpus.load(clip), seconds))[: length - at]
        talk[at : at + part.size] = part
        at += part.size + round(rng.uniform(*GAP_S) * RATE_HZ)
    if not corpus.has("music"):
        return talk
    music = corpus.load(draw(corpus.role("music"), rng))
    music = np.resize(np.roll(music, int(rng.integers(music.size))), length)
    bed = _at_level(music) * np.float32(gain(rng.uniform(*MUSIC_DB)))
    return np.asarray(talk + bed, np.float32)


def _at_level(signal: Signal) -> Signal:
    """`signal` at an active level of -26 dBFS: people on television are equally loud."""
    return np.asarray(signal * np.float32(gain(-26.0 - active_level_dbfs(signal))), np.float32)


def _power(signal: Signal) -> NDArray[np.float64]:
    blocks = signal[: signal.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    return np.asarray(np.mean(np.square(blocks, dtype=np.float64), axis=1))


def _cut_at(signal: Signal, most: int) -> int:
    """After how many blocks to cut, at most `most`."""
    power = _power(signal)
    limit = 10.0 ** ((active_level_dbfs(signal) - PAUSE_DB) / 10.0)
    quiet = np.concatenate([[0], (power[:most] < limit).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(quiet))
    earliest = round(EARLIEST_S * RATE_HZ / BLOCK)
    for start, end in reversed(list(zip(edges[0::2], edges[1::2], strict=True))):
        if end - start >= PAUSE_BLOCKS and start >= earliest:
            return int(start) + MARGIN_BLOCKS
    last_second = max(earliest, most - round(RATE_HZ / BLOCK))
    return last_second + int(np.argmin(power[last_second:most])) + 1
