"""Long pauses in a command are shortened before it is sent on.

Home Assistant looks for the end of a command by itself and stops listening after 0.7 s without
speech (0.25 s when it is set to `aggressive`). It adds the pauses up: only a whole second of
speech in one go clears the account, so that three pauses for breath end a sentence early. A
command that Earmark forwards is complete already, so its pauses are worth nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from earmark.signal import BLOCK, FLOOR_DBFS, RATE_HZ, Signal, active_level_dbfs

PAUSE_S = 0.2
"""Longest pause that is kept, s, also before and after the command: a word still stands alone."""

ALL_PAUSES_S = 0.6
"""Most of all pauses within the command, s: below Home Assistant's 0.7."""

LEAST_PAUSE_S = 0.08
"""Shortest that a pause is made for the sake of :data:`ALL_PAUSES_S`, s: two fades and their
blocks. It gives way only from the eighth pause on, which takes a command of ten seconds."""

SHORT_S = 0.12
"""What is shorter is no pause but a part of a word, s: a stop consonant closes for 0.1 s."""

DROP_DB = 25.0
"""A block this far below the speech is silent, dB; P.56 takes the active level likewise."""

OVER_NOISE_DB = 6.0
"""In noise a block less than this over the quietest tenth is silent as well, dB..."""

LEAST_DROP_DB = 10.0
"""...as long as it is this far below the speech, dB: without any pause the quietest tenth is
speech."""

FADE_S = 0.01
"""Length of the cross-fade where a pause was cut, s: no click, and shorter than any sound."""


def shorten_pauses(audio: Signal) -> Signal:
    """Return a command with its long pauses cut short.

    What is louder than a pause, and at least ``LEAST_PAUSE_S / 2`` on each side of it, is
    kept as it is.

    Parameters
    ----------
    audio : shape (n,), at ``RATE_HZ``.

    Returns
    -------
    Signal
        Shape (m,), m <= n; `audio` itself where there is nothing to cut.
    """
    loud = _loud(audio)
    if not loud.any():
        return audio
    edges = np.flatnonzero(np.diff(loud.astype(np.int8), prepend=1, append=1))
    # Stretches of silence [start, end) in blocks.
    silent = edges.reshape(-1, 2)
    silent = silent[silent[:, 1] - silent[:, 0] >= SHORT_S * RATE_HZ / BLOCK]
    within = [p for p in silent if p[0] > 0 and p[1] < loud.size]
    pauses_s = sum(min(PAUSE_S, float(b - a) * BLOCK / RATE_HZ) for a, b in within)
    inner_s = PAUSE_S * min(1.0, ALL_PAUSES_S / pauses_s) if pauses_s else PAUSE_S
    kept: list[Signal] = []
    done = 0
    for start, end in silent:
        outer = start == 0 or end == loud.size
        keep = round((PAUSE_S if outer else max(LEAST_PAUSE_S, inner_s)) * RATE_HZ)
        first, last = int(start) * BLOCK, min(int(end) * BLOCK, audio.size)
        if end == loud.size:
            last = audio.size  # the rest that fills no block
        if last - first <= keep:
            continue
        before = 0 if start == 0 else keep if end == loud.size else keep // 2
        kept.append(audio[done : first + before])
        done = last - (keep - before)
    return _joined([*kept, audio[done:]]) if kept else audio


def _loud(audio: Signal) -> NDArray[np.bool_]:
    """For each whole block whether it is louder than a pause."""
    blocks = audio[: audio.size // BLOCK * BLOCK].reshape(-1, BLOCK).astype(np.float64)
    power = np.mean(blocks**2, axis=1)
    level = 10.0 * np.log10(np.maximum(power, 10.0 ** (FLOOR_DBFS / 10.0)))
    if level.size == 0:
        return np.zeros(0, np.bool_)
    speech = active_level_dbfs(audio)
    floor = float(np.quantile(level, 0.1))
    limit = min(max(speech - DROP_DB, floor + OVER_NOISE_DB), speech - LEAST_DROP_DB)
    return np.asarray(level > limit)


def _joined(parts: list[Signal]) -> Signal:
    """The parts after one another, each faded into the next."""
    fade = round(FADE_S * RATE_HZ)
    rise = (np.arange(fade, dtype=np.float32) + 0.5) / fade
    out = [parts[0]]
    for part in parts[1:]:
        before = out[-1]
        n = min(fade, before.size, part.size)
        mixed = before[before.size - n :] * (1.0 - rise[:n]) + part[:n] * rise[:n]
        out[-1] = before[: before.size - n]
        out += [mixed.astype(np.float32), part[n:]]
    return np.concatenate(out)
