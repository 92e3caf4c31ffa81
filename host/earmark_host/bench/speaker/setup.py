"""What all parts of ``bench speaker`` share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from earmark.config import Config
from earmark.errors import EarmarkError
from earmark_host.bench.room_pool import Room
from earmark_host.bench.speaker.cast import Corpus, everybody
from earmark_host.bench.speaker.ears import Ear, Ears, Heard
from earmark_host.speaker.clips import Clip

DEVICE, PARENT = "int8", "float"
"""The file that is shipped, and the network that it was made from."""

PEERS = ("resemblyzer", "campplus")
"""Encoders of others."""


@dataclass(frozen=True)
class ArmFile:
    """A checkpoint of the folder of arms.

    Parameters
    ----------
    ear : its name in this bench: that of its file.
    arm, seed : how it was trained.
    front_end : what it hears: "device", "paper", "paper-floored", or "own".
    people : how many it names.
    """

    ear: str
    arm: str
    seed: int
    front_end: str
    people: int


@dataclass(frozen=True)
class Setup:
    """Goes to every process.

    Parameters
    ----------
    data : folder of the corpus.
    seed : of the run.
    scratch : folder of this run, for what all processes look up.
    ears : everything that hears, by name.
    arms : those of them that are compared as arms of the training.
    learning : those that differ in how many people they were trained on.
    rooms : to choose from; empty where no part needs one.
    config : settings of the device.
    """

    data: Path
    seed: int
    scratch: Path
    ears: tuple[tuple[str, Ears], ...]
    arms: tuple[ArmFile, ...] = ()
    learning: tuple[ArmFile, ...] = ()
    rooms: tuple[Room, ...] = ()
    config: Config = field(default_factory=Config)

    @property
    def corpus(self) -> Corpus:
        """Who says which sentences, looked up once a process."""
        return _corpus(self.data)[0]

    @property
    def words(self) -> Corpus:
        """People who say nothing but single words."""
        return _corpus(self.data)[1]

    def has(self, name: str) -> bool:
        """Whether there is something of that name that hears."""
        return any(name == each for each, _ in self.ears)

    def ear(self, name: str) -> Ear:
        """Open one, once a process.

        Raises
        ------
        EarmarkError
            There is none of that name, or it cannot be opened.
        """
        for each, source in self.ears:
            if each == name:
                return _opened(source)
        raise EarmarkError(
            f"the bench has no {name!r}", f"it has {', '.join(each for each, _ in self.ears)}"
        )

    def rng(self, cell: str, index: int) -> np.random.Generator:
        """The generator of one trial: the same whatever else is run."""
        return np.random.default_rng([self.seed, *cell.encode(), index])

    def heard(self, name: str, clip: Clip) -> Heard:
        """What `name` made of a clip: looked up, or heard now."""
        from earmark_host.bench.speaker.store import looked_up  # noqa: PLC0415 - it needs this

        return looked_up(self, name, clip)


@lru_cache(maxsize=2)
def _corpus(folder: Path) -> tuple[Corpus, Corpus]:
    return everybody(folder)


@lru_cache(maxsize=32)
def _opened(source: Ears) -> Ear:
    return source.open()
