"""Queries that are made when they are asked for: a long stream in little memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from earmark_host.memory.stream import Query


class Lazy(Sequence[Query]):
    """A sequence whose items are made anew at each access, and not kept.

    A thousand queries of 4 s are 256 MB; this holds none of them. Take each once, in order,
    and cut with a slice (also lazy) rather than with `list`. It cannot be pickled: a worker
    process makes its own.

    Parameters
    ----------
    places : what `make` is called with, in order; its length is that of the sequence.
    make : place -> query. Must give the same query for the same place each time: what is random
        in it comes from a seed that was drawn beforehand.
    """

    def __init__(self, places: range, make: Callable[[int], Query]) -> None:
        self._places = places
        self._make = make

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Query: ...

    @overload
    def __getitem__(self, index: slice) -> Lazy: ...

    def __getitem__(self, index: int | slice) -> Query | Lazy:
        if isinstance(index, slice):
            return Lazy(self._places[index], self._make)
        return self._make(self._places[index])
