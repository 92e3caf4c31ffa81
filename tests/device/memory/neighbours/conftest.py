"""Constellations without a sound: what the detector works on, and quickly made."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.memory.neighbours import Fingerprint
from earmark.memory.neighbours.fingerprint import BINS


class Peaks:
    """Makes fingerprints."""

    @staticmethod
    def at(*places: tuple[int, int]) -> Fingerprint:
        """Peaks at (frame, bin)."""
        frames, bins = np.array(sorted(places), np.int32).reshape(-1, 2).T
        return Fingerprint(np.ascontiguousarray(frames), np.ascontiguousarray(bins))

    @staticmethod
    def drawn(rng: np.random.Generator, count: int = 120, frames: int = 250) -> Fingerprint:
        """So many peaks anywhere in so many frames: unlike any other."""
        cells = np.sort(rng.choice(frames * BINS, count, replace=False))
        return Fingerprint((cells // BINS).astype(np.int32), (cells % BINS).astype(np.int32))

    @classmethod
    def changed(cls, one: Fingerprint, rng: np.random.Generator, share: float) -> Fingerprint:
        """`one` with this share of its peaks elsewhere."""
        kept = rng.permutation(len(one))[round(share * len(one)) :]
        places = set(zip(one.frames[kept].tolist(), one.bins[kept].tolist(), strict=True))
        others = cls.drawn(rng, len(one), int(one.frames.max()) + 1)
        for place in rng.permutation(np.stack([others.frames, others.bins], 1)).tolist():
            if len(places) == len(one):
                break
            places.add((place[0], place[1]))
        return cls.at(*places)

    @staticmethod
    def later(one: Fingerprint, frames: int) -> Fingerprint:
        """The same, so many frames later."""
        return Fingerprint((one.frames + frames).astype(np.int32), one.bins)


@pytest.fixture(scope="session")
def peaks() -> type[Peaks]:
    return Peaks


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)
