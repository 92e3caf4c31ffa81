"""What all parts of ``bench memory`` share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from earmark.audio import load_room
from earmark.memory import MemorySettings, Thresholds, shipped
from earmark_host.bench.corpus import Corpus
from earmark_host.memory.duplicates import distinct
from earmark_host.memory.fold import Fold
from earmark_host.memory.material import Material

ROOMS = ("kitchen", "living_room", "bedroom")
"""The rooms that ship; every household and every attack over the air is in one of them."""


@dataclass(frozen=True)
class Setup:
    """Goes to every process.

    Parameters
    ----------
    data : folder of the corpus.
    seed : of the run.
    side : the clips that are used: those held back from the calibration, or, of a corpus that the
        shipped thresholds were not made with, all (None).
    settings : of the device's memory.
    """

    data: Path
    seed: int
    side: Fold | None
    settings: MemorySettings

    @property
    def material(self) -> Material:
        """The clips, sorted once a process."""
        return _material(self.data, self.side)

    @property
    def distinct(self) -> Material:
        """The same without recordings that the corpus holds under two names."""
        return _distinct(self.material)

    @property
    def thresholds(self) -> Thresholds:
        """The table that ships: a bench never calibrates."""
        return shipped()

    def rng(self, cell: str, index: int) -> np.random.Generator:
        """The generator of one trial: the same whatever else is run."""
        return np.random.default_rng([self.seed, *cell.encode(), index])


def held_back(corpus: Corpus, table: Thresholds) -> Fold | None:
    """Which clips of `corpus` the thresholds in `table` were not made with; None for all."""
    return "held_back" if corpus.manifest_sha256 == table.made.get("manifest_sha256") else None


@lru_cache(maxsize=2)
def _material(data: Path, side: Fold | None) -> Material:
    return Material.of(Corpus.open(data), side, [load_room(name) for name in ROOMS])


@lru_cache(maxsize=2)
def _distinct(material: Material) -> Material:
    return distinct(material)[0]
