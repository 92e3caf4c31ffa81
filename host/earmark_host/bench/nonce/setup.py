"""What all parts of ``bench nonce`` share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from earmark.config import Config
from earmark.nonce import FixedKeys, NonceSettings, Source
from earmark.signal import Signal
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.bench.room_pool import Room, with_position
from earmark_host.bench.speech import spoken

NOW_S = 1_700_000_000.0
"""The device's wall clock in every session (UTC, s)."""

LONGEST_S = 6.0
"""Longest command, s: twice the average interaction of AEOLUS, section 3.2."""

SENTENCE_S = 1.5
"""Least length of a sentence, s: half the average interaction of AEOLUS, section 3.2. Shorter
ones are single words, which have figures of their own."""

TRIES = 200
"""Clips drawn until one is long enough."""


@dataclass(frozen=True)
class Setup:
    """What all sessions share; goes to every process.

    Parameters
    ----------
    data : folder of the corpus.
    rooms : to choose from.
    seed : of the run.
    config : the device's settings.
    """

    data: Path
    rooms: tuple[Room, ...]
    seed: int
    config: Config

    @property
    def corpus(self) -> Corpus:
        """The corpus, opened once a process."""
        return _corpus(self.data)

    def rng(self, cell: str, index: int) -> np.random.Generator:
        """The generator of one trial: the same whatever else is run."""
        return np.random.default_rng([self.seed, *cell.encode(), index])

    def source(self, household: str = "own", nonce: NonceSettings | None = None) -> Source:
        """Draws the nonces of a household; those that are remembered come from the same."""
        secret = self.rng(f"secret of {household}", 0).bytes(32)
        return _source(nonce or self.config.nonce, secret)

    def room(self, rng: np.random.Generator, *needs: str) -> Room:
        """A room in which these positions exist."""
        rooms = self.rooms
        for position in needs:
            rooms = tuple(with_position(rooms, position))
        return rooms[int(rng.integers(len(rooms)))]

    def sentence(self, rng: np.random.Generator) -> tuple[str, Clip, Signal]:
        """Somebody, one of his clips of the role speech, and what is said in it.

        At least ``SENTENCE_S`` long where the corpus has such clips, else the longest drawn.
        """
        best: tuple[str, Clip, Signal] | None = None
        for _ in range(TRIES):
            person = self.corpus.person(rng)
            clip = self.corpus.spoken_by(person, rng)
            if clip.role != "speech" and self.corpus.has("speech"):
                continue
            said = spoken(self.corpus.load(clip), LONGEST_S)
            if best is None or said.size > best[2].size:
                best = (person, clip, said)
            if said.size >= SENTENCE_S * 16_000:
                return person, clip, said
        assert best is not None  # require() has seen to it that there are people
        return best

    def command(self, rng: np.random.Generator) -> tuple[str, Clip, Signal]:
        """Somebody, any of his clips, and what is said in it: words and sentences."""
        person = self.corpus.person(rng)
        clip = self.corpus.spoken_by(person, rng)
        return person, clip, spoken(self.corpus.load(clip), LONGEST_S)


@lru_cache(maxsize=2)
def _corpus(folder: Path) -> Corpus:
    return Corpus.open(folder)


@lru_cache(maxsize=8)
def _source(settings: NonceSettings, secret: bytes) -> Source:
    return Source(settings, FixedKeys(secret))
