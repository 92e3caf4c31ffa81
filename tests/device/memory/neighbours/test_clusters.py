"""What is kept after an alarm, in which order, and for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from earmark.memory.entries import MAX_EXEMPLARS, Cluster
from earmark.memory.neighbours import Fingerprint, NeighboursLimits
from earmark.memory.neighbours.clusters import DAY_S, Clusters, heard_again

LIMITS = NeighboursLimits(floor=0.1, slope=1.8, mean=0.03, approved=0.6)


def cluster(id_: int, *exemplars: Fingerprint, approved: bool = False) -> Cluster:
    kept = tuple(each.to_bytes() for each in exemplars) or (b"\0\0\0",)
    return Cluster(id_, "speech", 100.0, 200.0, 6, approved, kept)


def ids(clusters: Clusters) -> list[int]:
    return [each.id for each in clusters]


def kin(clusters: Clusters, one: Fingerprint) -> tuple[int, float] | None:
    found = clusters.kin(one, LIMITS, (-3.0, 3.0))
    return None if found is None else (found[0].id, found[1].likeness)


def test_what_changed_last_is_last() -> None:
    clusters = Clusters(3)
    for id_ in (1, 2, 3, 1):
        clusters.put(cluster(id_))
    assert ids(clusters) == [2, 3, 1]
    clusters.put(replace(cluster(3), count=9))
    assert ids(clusters) == [2, 1, 3]
    assert clusters[3].count == 9
    clusters.drop(1)
    assert ids(clusters) == [2, 3]
    for missing in (lambda: clusters.drop(1), lambda: clusters[1]):
        with pytest.raises(KeyError):
            missing()


def test_of_too_many_the_attack_that_changed_first_goes() -> None:
    clusters = Clusters(3)
    clusters.put(cluster(1, approved=True))
    for id_ in (2, 3, 2, 4):
        clusters.put(cluster(id_))
    assert ids(clusters) == [1, 2, 4]
    clusters.put(cluster(5, approved=True))
    assert ids(clusters) == [1, 4, 5]


def test_where_all_else_is_approved_a_new_attack_goes_and_then_the_oldest() -> None:
    clusters = Clusters(2)
    clusters.put(cluster(1, approved=True))
    clusters.put(cluster(2, approved=True))
    clusters.put(cluster(3))
    assert ids(clusters) == [1, 2]
    clusters.put(cluster(4, approved=True))
    assert ids(clusters) == [2, 4]


def test_the_kin_is_the_most_alike(peaks: Any, rng: np.random.Generator) -> None:
    one, other = peaks.drawn(rng), peaks.drawn(rng)
    clusters = Clusters(5)
    assert kin(clusters, one) is None
    clusters.put(cluster(7, other, peaks.changed(one, rng, 0.5)))
    clusters.put(cluster(8, peaks.drawn(rng), peaks.drawn(rng), peaks.changed(one, rng, 0.2)))
    clusters.put(cluster(9, peaks.changed(one, rng, 0.4)))
    found = kin(clusters, one)
    assert found is not None
    assert found[0] == 8
    assert found[1] == pytest.approx(0.8, abs=0.05)
    assert kin(clusters, other) == (7, 1.0)
    assert kin(clusters, peaks.drawn(rng)) is None


def test_a_kin_is_found_at_another_speed(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng)
    clusters = Clusters(5)
    clusters.put(cluster(1, one))
    found = clusters.kin(one.at_speed(1.03), LIMITS, (-3.0, 3.0))
    assert found is not None
    assert found[1].speed_percent == 3.0
    assert clusters.kin(one.at_speed(1.03), LIMITS, ()) is None


def test_the_most_alike_is_the_kin_approved_or_not(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng)
    near, far = peaks.changed(one, rng, 0.2), peaks.changed(one, rng, 0.5)
    clusters = Clusters(5)
    clusters.put(cluster(1, far, approved=True))
    clusters.put(cluster(2, near))
    found = kin(clusters, one)
    assert found is not None
    assert found[0] == 2
    clusters.put(cluster(1, one, approved=True))
    assert kin(clusters, one) == (1, 1.0)


def test_what_is_kept_can_change(peaks: Any, rng: np.random.Generator) -> None:
    one, other = peaks.drawn(rng), peaks.drawn(rng)
    clusters = Clusters(5)
    clusters.put(cluster(1, one))
    assert kin(clusters, other) is None
    clusters.put(cluster(1, one, other))
    assert kin(clusters, other) == (1, 1.0)
    clusters.put(cluster(2, one))
    clusters.drop(1)
    assert kin(clusters, other) is None
    assert kin(clusters, one) == (2, 1.0)
    clusters.drop(2)
    assert kin(clusters, one) is None


def test_every_exemplar_of_every_cluster_is_looked_at(peaks: Any, rng: np.random.Generator) -> None:
    clusters = Clusters(3)
    exemplars = [[peaks.drawn(rng, 40) for _ in range(MAX_EXEMPLARS)] for _ in range(3)]
    for id_, each in enumerate(exemplars):
        clusters.put(cluster(id_, *each))
    for id_, each in enumerate(exemplars):
        assert [kin(clusters, one) for one in each] == [(id_, 1.0)] * MAX_EXEMPLARS


def test_so_many_pass_within_a_day() -> None:
    clusters = Clusters(3)
    clusters.put(cluster(1, approved=True))
    clusters.put(cluster(2, approved=True))
    assert [clusters.passes(1, at, 2) for at in (0.0, 10.0, 20.0)] == [True, True, False]
    assert clusters.passes(2, 20.0, 2), "each has its own"
    assert not clusters.passes(1, DAY_S - 1.0, 2)
    # Exactly a day after the first; what did not pass does not count.
    assert [clusters.passes(1, DAY_S + at, 2) for at in (0.0, 9.0, 10.0, 11.0)] == [
        True,
        False,
        True,
        False,
    ]


def test_a_clock_set_back_locks_nobody_out() -> None:
    clusters = Clusters(3)
    clusters.put(cluster(1, approved=True))
    now = 1_000 * DAY_S
    assert [clusters.passes(1, now, 2) for _ in range(3)] == [True, True, False]
    assert [clusters.passes(1, 5.0, 2) for _ in range(3)] == [True, True, False]
    assert not clusters.passes(1, 6.0, 2)


def test_a_cluster_that_is_dropped_begins_anew() -> None:
    clusters = Clusters(3)
    clusters.put(cluster(1, approved=True))
    assert [clusters.passes(1, 0.0, 1) for _ in range(2)] == [True, False]
    clusters.put(replace(cluster(1, approved=True), count=7))
    assert not clusters.passes(1, 0.0, 1)
    clusters.drop(1)
    clusters.put(cluster(1, approved=True))
    assert clusters.passes(1, 0.0, 1)


def test_heard_again_keeps_the_first_exemplar_and_the_latest(
    peaks: Any, rng: np.random.Generator
) -> None:
    said = [peaks.drawn(rng, 20) for _ in range(12)]
    kept = cluster(5, said[0])
    for number, one in enumerate(said[1:], start=1):
        kept = heard_again(kept, one, 1000.0 + number)
        assert kept.count == 6 + number
        assert kept.last_unix_s == 1000.0 + number
        wanted = [0, *range(max(1, number - MAX_EXEMPLARS + 2), number + 1)]
        assert [each.to_bytes() for each in said].index(kept.exemplars[-1]) == number
        assert kept.exemplars == tuple(said[at].to_bytes() for at in wanted)
    assert len(kept.exemplars) == MAX_EXEMPLARS == 8
    assert (kept.id, kept.carrier, kept.first_unix_s, kept.approved) == (5, "speech", 100.0, False)
