"""Benign queries of the paper's kind: "if the entire datasets were to be randomly streamed"."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from earmark.memory import CarrierKind
from earmark.memory.paper import PaperFingerprint
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip
from earmark_host.memory.hearing import Ear
from earmark_host.memory.material import LOUDSPEAKER, PERSON, Material
from earmark_host.memory.scripts import one_of, shuffled

MUSIC_S = 4.0
"""Length of a slice of music, s (paper, appendix "Music-sets")."""

STARTS_S = (0.0, 2.0, 4.0, 6.0)
"""Where slices of a piece of music begin, s: the plain cosine, which knows no shift, finds nothing
in common between two that overlap."""

CHUNK = 2_000
"""Windows that are drawn at once: 2,000 x 75 similarities are 1 MB."""


def recordings(
    material: Material, carrier: CarrierKind, rng: np.random.Generator
) -> list[tuple[Clip, float]]:
    """What is streamed, in random order: each clip with the moment at which it begins, s.

    Speech is every sentence, command and wake word; music every slice of every piece.
    """
    if carrier == "speech":
        clips = dict.fromkeys(
            clip
            for group in (*material.sentences.values(), *material.phrases.values())
            for clip in group
        )
        return shuffled([(clip, 0.0) for clip in clips], rng)
    slices = [
        (clip, start_s)
        for clip in material.music
        for start_s in STARTS_S
        if material.load(clip).size >= round((start_s + MUSIC_S) * RATE_HZ)
    ]
    return shuffled(slices, rng)


def heard(material: Material, clip: Clip, start_s: float, rng: np.random.Generator) -> Signal:
    """One of :func:`recordings` as a device hears it: somewhere in a room, with noise."""
    sound = material.load(clip)[round(start_s * RATE_HZ) :]
    ear = Ear(one_of(material.rooms, rng))
    place = LOUDSPEAKER
    if clip.role == "music":
        sound = sound[: round(MUSIC_S * RATE_HZ)]
    else:
        place = one_of([name for name in ear.room.sources if name.startswith(PERSON)], rng)
    noise = material.load(one_of(material.noises, rng)) if material.noises else None
    return ear.hear(sound, place, rng, noise=noise)


def similarities(fingerprints: Sequence[PaperFingerprint]) -> NDArray[np.float32]:
    """Cosine of all pairs (Guo et al. 2023, Eq. 1), shape (n, n)."""
    sizes = np.array([each.positions.size for each in fingerprints])
    columns = np.concatenate([each.positions for each in fingerprints]).astype(np.int32)
    rows = np.repeat(np.arange(sizes.size), sizes)
    masks = sparse.csr_matrix(
        (np.ones(columns.size, np.float32), (rows, columns)), shape=(sizes.size, 1 << 16)
    )
    shared = (masks @ masks.T).toarray()
    roots = np.sqrt(np.maximum(sizes, 1)).astype(np.float32)
    return np.asarray(shared / roots[:, None] / roots[None, :], dtype=np.float32)


def windows(
    pairs: NDArray[np.float32], depth: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Random queries, each with a memory of `depth` others, no recording twice.

    Parameters
    ----------
    pairs : shape (n, n), n above `depth`.
    count : how many queries.

    Returns
    -------
    Which recording each query is, shape (count,), and its similarities, shape (count, depth).

    Raises
    ------
    ValueError
        There are too few recordings.
    """
    n = pairs.shape[0]
    if n <= depth:
        raise ValueError(f"{n} recordings do not fill a memory of {depth}")
    queries = np.empty(count, np.intp)
    similar = np.empty((count, depth))
    for start in range(0, count, CHUNK):
        rows = slice(start, min(start + CHUNK, count))
        size = rows.stop - start
        drawn = np.argpartition(rng.random((size, n)), depth, axis=1)[:, : depth + 1]
        drawn = rng.permuted(drawn, axis=1)
        queries[rows] = drawn[:, 0]
        similar[rows] = pairs[drawn[:, :1], drawn[:, 1:]]
    return queries, similar
