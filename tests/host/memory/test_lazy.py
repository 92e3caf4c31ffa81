"""A lazy sequence makes what is asked for and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from earmark_host.memory.lazy import Lazy
from earmark_host.memory.stream import Query


def lazy(made: list[int]) -> Lazy:
    def make(place: int) -> Query:
        made.append(place)
        return Query(np.zeros(1, np.float32), float(place))

    return Lazy(range(10), make)


def test_only_what_is_asked_for_is_made() -> None:
    made: list[int] = []
    queries = lazy(made)
    assert len(queries) == 10
    assert len(queries[2:8:2]) == 3
    assert made == []
    assert queries[-1].at_s == 9.0
    assert made == [9]


def test_a_slice_of_a_slice() -> None:
    assert [query.at_s for query in lazy([])[2:8:2][1:]] == [4.0, 6.0]


def test_it_ends() -> None:
    assert [query.at_s for query in lazy([])] == list(range(10))
    with pytest.raises(IndexError):
        lazy([])[10]
