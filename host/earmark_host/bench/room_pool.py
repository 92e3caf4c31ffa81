"""Random rooms for a bench: computed once, kept in files, opened by whoever needs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from earmark.audio import RoomModel, load_room
from earmark.errors import EarmarkError

TRIES = 20
"""Rooms drawn until everybody who must be there fits."""

LONG_M = 5.0
"""Length of every second room at least, m: 4 m from a device by the short wall need as much."""

LONG_POSITIONS = frozenset({"person_4m"})
"""Who must fit into every second room, beside those who must fit into all."""

EVERYWHERE = frozenset(
    {"person_0.5m", "person_1m", "person_2m", "attacker", "television", "r1", "r2", "r3"}
)
"""Who must fit into every room."""


@dataclass(frozen=True)
class Room:
    """A computed room in its file.

    Parameters
    ----------
    path : of the .npz file.
    sources : who can be heard in it.
    size_m, rt60_s : what it is.
    """

    path: Path
    sources: tuple[str, ...]
    size_m: tuple[float, float, float]
    rt60_s: float

    def open(self) -> RoomModel:
        """Load it; the latest ones are kept in memory."""
        return _open(self.path)


@dataclass(frozen=True)
class Order:
    """A room to be computed: number `index` of a pool drawn with `seed`, into `folder`."""

    folder: Path
    seed: int
    index: int


def compute(order: Order) -> Room:
    """Draw and compute a room; the same for the same seed and index.

    Raises
    ------
    EarmarkError
        pyroomacoustics is missing, or no room would do.
    """
    try:
        from earmark_host.rooms import compute_room, random_spec  # noqa: PLC0415 - takes a second
    except ImportError as error:
        raise EarmarkError(
            f"rooms cannot be computed ({error})", "install Earmark with its extra 'host'"
        ) from error
    rng = np.random.default_rng([order.seed, *b"room", order.index])
    long = order.index % 2 == 0
    needed = EVERYWHERE | (LONG_POSITIONS if long else frozenset())
    for _ in range(TRIES):
        spec = random_spec(rng, f"random_{order.index}")
        while long and spec.size_m[0] < LONG_M:
            spec = random_spec(rng, f"random_{order.index}")
        model = compute_room(spec, int(rng.integers(2**31)))
        if needed <= set(model.positions):
            path = order.folder / f"{spec.name}.npz"
            model.save(path)
            return Room(path, model.sources, model.size_m, model.rt60_s)
    raise EarmarkError(
        f"none of {TRIES} rooms drawn for number {order.index} holds everybody", "try another seed"
    )


def with_position(rooms: Sequence[Room], source: str) -> Sequence[Room]:
    """The rooms in which `source` can be heard."""
    return [room for room in rooms if source in room.sources]


@lru_cache(maxsize=32)
def _open(path: Path) -> RoomModel:
    return load_room(str(path))
