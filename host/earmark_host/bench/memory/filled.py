"""A memory that is full: as many fingerprints of people as are wanted, no two alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from earmark.memory import CarrierKind, Cluster
from earmark.memory.entries import MAX_EXEMPLARS, Remembered
from earmark.memory.neighbours import Fingerprint, fingerprint
from earmark.memory.neighbours.fingerprint import BINS, MAX_FRAMES
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.memory.simulated import by_turns
from earmark_host.bench.memory.watch import EPOCH_S
from earmark_host.memory.material import Material
from earmark_host.memory.scripts import shuffled

SCATTER_FRAMES, SCATTER_BINS = 12, 8
"""How far each peak is moved at most: two copies of a sentence then have nothing in common but by
chance (a peak counts within one frame and one bin), and as many peaks in each band as before."""

DELAY_FRAMES = 30
"""How far a copy as a whole is moved at most, frames: .5 s."""

SPEECH: CarrierKind = "speech"


def sentences(material: Material, count: int, rng: np.random.Generator) -> list[Signal]:
    """Sentences of people by turns, at most `count`."""
    clips = by_turns([shuffled(each, rng) for each in material.sentences.values()])
    return [material.load(clip) for clip in clips[:count]]


def of_length(sounds: Iterator[Signal], seconds: float) -> Signal:
    """One sentence after the other up to a length, cut there."""
    size = round(seconds * RATE_HZ)
    parts: list[Signal] = []
    while sum(part.size for part in parts) < size:
        parts.append(next(sounds))
    return np.concatenate(parts)[:size]


def fingerprints(
    sounds: Sequence[Signal], count: int, rng: np.random.Generator
) -> list[Fingerprint]:
    """The fingerprints of all sounds, then scattered copies of them, `count` in all."""
    real = [fingerprint(sound) for sound in sounds[:count]]
    copies = [scattered(real[index % len(real)], rng) for index in range(count - len(real))]
    return [*real, *copies]


def scattered(mark: Fingerprint, rng: np.random.Generator) -> Fingerprint:
    """Each peak moved on its own, and all together later; those that leave the band are gone."""
    size = len(mark)
    frames = mark.frames + rng.integers(-SCATTER_FRAMES, SCATTER_FRAMES + 1, size)
    bins = mark.bins + rng.integers(-SCATTER_BINS, SCATTER_BINS + 1, size)
    frames = np.maximum(frames, 0) + rng.integers(DELAY_FRAMES + 1)
    inside = (bins >= 0) & (bins < BINS) & (frames < MAX_FRAMES)
    places = np.unique(frames[inside] * BINS + bins[inside])
    return Fingerprint((places // BINS).astype(np.int32), (places % BINS).astype(np.int32))


def remembered(marks: Sequence[Fingerprint]) -> list[Remembered]:
    """As the store keeps them: unrelated queries, numbered from 0."""
    return [
        Remembered(number, EPOCH_S + number, mark.to_bytes(), SPEECH, None, 0.0, number)
        for number, mark in enumerate(marks)
    ]


def attacks_kept(
    marks: Sequence[Fingerprint], count: int, rng: np.random.Generator
) -> list[Cluster]:
    """As many clusters, each with as many exemplars as it can have: scattered copies of `marks`."""
    clusters: list[Cluster] = []
    for number in range(count):
        exemplars = [
            scattered(marks[int(rng.integers(len(marks)))], rng) for _ in range(MAX_EXEMPLARS)
        ]
        clusters.append(
            Cluster(
                number,
                SPEECH,
                EPOCH_S,
                EPOCH_S,
                MAX_EXEMPLARS,
                approved=False,
                exemplars=tuple(exemplar.to_bytes() for exemplar in exemplars),
            )
        )
    return clusters
