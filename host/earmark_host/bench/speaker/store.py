"""What every ear makes of the clean clips, heard once before the parts and kept in files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from earmark_host.bench.speaker.ears import Heard, Vector, mean_print
from earmark_host.bench.speaker.setup import Setup
from earmark_host.bench.work import Workers
from earmark_host.speaker.clips import Clip, load

CHUNK = 16
"""Clips of one piece of work."""

Wanted: TypeAlias = dict[str, dict[Clip, None]]
"""By ear, the clips that it shall hear, in their order."""


@dataclass(frozen=True)
class Order:
    """Clips that an ear shall hear."""

    ear: str
    clips: tuple[Clip, ...]


def wanted(some: Iterable[tuple[str, Iterable[Clip]]]) -> Wanted:
    """Every pair once."""
    found: Wanted = {}
    for ear, clips in some:
        found.setdefault(ear, {}).update(dict.fromkeys(clips))
    return found


def fill(pool: Workers, setup: Setup, asked: Wanted) -> None:
    """Let all ears hear their clips, in the worker processes, and put down what they made of it."""
    orders = [
        Order(ear, tuple(clips)[first : first + CHUNK])
        for ear, clips in asked.items()
        for first in range(0, len(clips), CHUNK)
    ]
    if not orders:
        return
    done = pool.run("voices", partial(_hear, setup), orders, lambda order: len(order.clips))
    for ear in asked:
        heard = [
            each
            for order, some in zip(orders, done, strict=True)
            if order.ear == ear
            for each in some
        ]
        np.savez(
            _file(setup.scratch, ear),
            paths=np.asarray([str(clip.path) for clip in asked[ear]]),
            embeddings=np.stack([each.embedding for each in heard]),
            logits=np.stack([_or_none(each.logits) for each in heard]),
        )


def looked_up(setup: Setup, ear: str, clip: Clip) -> Heard:
    """What was put down; heard now, where it was not."""
    file = _file(setup.scratch, ear)
    found = _read(file) if file.exists() else {}
    if clip.path.as_posix() in found:
        return found[clip.path.as_posix()]
    return setup.ear(ear).hear(load(clip))


def prints(setup: Setup, ear: str, enrolled: Sequence[Sequence[Clip]]) -> Vector:
    """Voiceprints of people by their enrolment clips, shape (people, E)."""
    return np.stack([mean_print([setup.heard(ear, c).embedding for c in own]) for own in enrolled])


def _hear(setup: Setup, order: Order) -> list[Heard]:
    ear = setup.ear(order.ear)
    return [ear.hear(load(clip)) for clip in order.clips]


def _file(scratch: Path, ear: str) -> Path:
    return scratch / f"voices-{ear}.npz"


def _or_none(logits: Vector | None) -> Vector:
    return np.zeros(0, np.float32) if logits is None else logits


@lru_cache(maxsize=64)
def _read(file: Path) -> dict[str, Heard]:
    with np.load(file) as kept:
        paths, embeddings, logits = kept["paths"], kept["embeddings"], kept["logits"]
    return {
        str(path): Heard(embedding, own if own.size else None)
        for path, embedding, own in zip(paths, embeddings, logits, strict=True)
    }
