"""What is said to the device: sentences of a corpus, or those that ship with the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from earmark.demo.clips import ClipKind, load_clips
from earmark.signal import Signal
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.speech import spoken

LONGEST_S = 4.0
"""Longest command, s; a longer sentence ends in a pause. AEOLUS 3.2: 3 s on average."""


class Sentences:
    """Commands in random order, each as often as any other.

    The query memory takes a sentence that is given again and again for an attack, so there should
    be more of them than commands.

    Parameters
    ----------
    folder : of a corpus; None takes the sentences of the demo.
    seed : of the order.
    """

    def __init__(self, folder: Path | None, seed: int) -> None:
        self._rng = np.random.default_rng([seed, *b"sentences"])
        self._corpus = None if folder is None else Corpus.open(folder)
        if self._corpus is None:
            self._shipped = [clip.signal for clip in load_clips().all(ClipKind.COMMAND)]
            self._count = len(self._shipped)
        else:
            self._clips = self._corpus.role("speech")
            self._count = len(self._clips)
        self._order: list[int] = []

    def next(self) -> Signal:
        """The next command: 16 kHz, without silence around it."""
        if not self._order:
            self._order = [int(index) for index in self._rng.permutation(self._count)]
        index = self._order.pop()
        if self._corpus is None:
            return spoken(self._shipped[index], LONGEST_S)
        return spoken(self._corpus.load(self._clips[index]), LONGEST_S)
