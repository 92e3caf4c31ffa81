"""The store of the query memory: what it keeps, its bounds, and what it survives."""

from __future__ import annotations

import dataclasses
import errno
import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from earmark.memory import store as module
from earmark.memory.entries import MAX_FINGERPRINT_BYTES, Cluster, Remembered
from earmark.memory.log import Damage, MemoryStoreError, Record, RecordLog
from earmark.memory.store import COMPACT_ABOVE_BYTES, MAX_CAPACITY, MAX_CLUSTERS, QueryStore

CAPACITY = 20
CLUSTERS = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For years of use in a second."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


@pytest.fixture(params=["file", "ram"])
def store(request: pytest.FixtureRequest, path: Path, unflushed: None) -> Iterator[QueryStore]:
    with opened(path if request.param == "file" else None) as store:
        yield store


def opened(path: Path | None, capacity: int = CAPACITY, clusters: int = CLUSTERS) -> QueryStore:
    return QueryStore.open(path, capacity, clusters)


def query(number: int, length: int = 300) -> Remembered:
    """A query whose fingerprint tells its number."""
    fingerprint = (number.to_bytes(4, "little") * (length // 4 + 1))[:length]
    return Remembered(number, 1.8e9 + number, fingerprint, "speech", None, 0.0, None)


def cluster(id_: int, count: int = 6, approved: bool = False) -> Cluster:
    return Cluster(id_, "music", 1.8e9, 1.8e9 + count, count, approved, (bytes([id_]) * 40,))


def full_disk(monkeypatch: pytest.MonkeyPatch, but_appends: bool = False) -> None:
    """No byte can be written any more; with `but_appends`, only a new file cannot."""
    write = os.pwrite

    def pwrite(handle: int, data: memoryview, at: int) -> int:
        if but_appends and at > 0:
            return write(handle, data, at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", pwrite)


# What it keeps


def test_new_store_is_empty(store: QueryStore) -> None:
    assert store.queries() == []
    assert store.clusters() == []
    assert store.next_number == len(store) == 0
    assert store.damage == Damage()


def test_queries_come_back_oldest_first(store: QueryStore) -> None:
    for number in (0, 1, 5, 6):
        store.remember(query(number))
    assert store.queries() == [query(number) for number in (0, 1, 5, 6)]
    assert store.next_number == 7
    assert len(store) == 4


def test_all_is_there_after_a_restart(path: Path) -> None:
    with opened(path) as store:
        for number in range(4):
            store.remember(query(number))
        store.put(cluster(1))
        store.put(cluster(2))
        store.put(cluster(1, count=7, approved=True))
        store.put(cluster(3))
        store.drop(2)
    with opened(path) as store:
        assert store.queries() == [query(number) for number in range(4)]
        assert store.clusters() == [cluster(1, count=7, approved=True), cluster(3)]
        assert store.next_number == 4
        assert store.damage == Damage()
        store.remember(query(4))
        assert store.queries()[-1] == query(4)


def test_beyond_its_capacity_the_oldest_goes(store: QueryStore) -> None:
    for number in range(3 * CAPACITY):
        store.remember(query(number))
        assert len(store) == min(number + 1, CAPACITY)
    assert store.queries() == [query(n) for n in range(2 * CAPACITY, 3 * CAPACITY)]


def test_queries_are_numbered_upwards(store: QueryStore) -> None:
    store.remember(query(3))
    for number in (0, 2, 3):
        with pytest.raises(ValueError, match="upwards"):
            store.remember(query(number))
    assert store.queries() == [query(3)]


def test_capacity_may_change(path: Path, unflushed: None) -> None:
    with opened(path, capacity=200) as store:
        for number in range(200):
            store.remember(query(number, MAX_FINGERPRINT_BYTES))
    with opened(path, capacity=5, clusters=1) as store:
        assert store.size_bytes < 6_000  # it was longer than a store of 5 may be
        assert store.queries() == [query(n, MAX_FINGERPRINT_BYTES) for n in range(195, 200)]
        store.remember(query(200))
        assert len(store.queries()) == len(store) == 5


@pytest.mark.parametrize(
    ("capacity", "clusters"), [(0, 1), (1, 0), (MAX_CAPACITY + 1, 1), (1, MAX_CLUSTERS + 1)]
)
def test_bounds_of_the_bounds(path: Path, capacity: int, clusters: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to"):
        opened(path, capacity, clusters)
    assert not path.exists()


# Clusters


def test_last_state_of_a_cluster_counts(store: QueryStore) -> None:
    for count in (6, 7, 8):
        store.put(cluster(1, count))
    assert store.clusters() == [cluster(1, 8)]


def test_dropped_cluster_is_gone_and_may_come_again(store: QueryStore) -> None:
    store.put(cluster(1))
    store.drop(1)
    assert store.clusters() == []
    with pytest.raises(KeyError):
        store.drop(1)
    store.put(cluster(1, 9))
    assert store.clusters() == [cluster(1, 9)]


def test_cluster_that_was_not_put_for_longest_goes(store: QueryStore) -> None:
    for id_ in (1, 2, 3):
        store.put(cluster(id_))
    store.put(cluster(1, 7))
    store.put(cluster(4))
    assert [c.id for c in store.clusters()] == [3, 1, 4]


def test_approved_clusters_never_go(store: QueryStore) -> None:
    for id_ in (1, 2):
        store.put(cluster(id_, approved=True))
    for id_ in (3, 4):
        store.put(cluster(id_))
    assert [c.id for c in store.clusters()] == [1, 2, 4]
    store.put(cluster(4, approved=True))
    with pytest.raises(MemoryStoreError, match=r"all 3 places .* withdraw"):
        store.put(cluster(5))
    store.put(cluster(1, 9, approved=True))  # no further place is needed
    assert {c.id for c in store.clusters()} == {1, 2, 4}
    store.put(cluster(2, approved=False))
    store.put(cluster(5))
    assert {c.id for c in store.clusters()} == {1, 4, 5}


def test_pushed_out_cluster_stays_out_after_a_restart(path: Path) -> None:
    with opened(path) as store:
        for id_ in (1, 2, 3, 4):
            store.put(cluster(id_))
        store.drop(3)
        kept = store.clusters()
    assert [c.id for c in kept] == [2, 4]
    with opened(path) as store:
        assert store.clusters() == kept


def test_approvals_outlive_a_lower_bound(path: Path) -> None:
    with opened(path) as store:
        for id_ in (1, 2, 3):
            store.put(cluster(id_, approved=id_ != 3))
    with opened(path, clusters=1) as store:
        assert [c.id for c in store.clusters()] == [1, 2]
        with pytest.raises(MemoryStoreError):
            store.put(cluster(4))
        exemplars = (bytes(MAX_FINGERPRINT_BYTES),) * 8
        for id_ in (1, 2):
            store.put(dataclasses.replace(cluster(id_, approved=True), exemplars=exemplars))
        assert store.bound_bytes == 3 * (36 + 1_000 * CAPACITY + 7_734 * 2) + 65_536


def test_does_as_a_plain_list_would(path: Path, unflushed: None) -> None:
    """Random use with restarts, compactions and random lengths, beside lists in memory."""
    rng = random.Random(4)
    queries: list[Remembered] = []
    clusters: dict[int, Cluster] = {}
    number = compactions = 0
    store = opened(path)
    for _ in range(2_000):
        size = store.size_bytes
        draw = rng.random()
        if draw < 0.7:
            number += rng.randrange(3)
            queries = [*queries, query(number, rng.randrange(961))][-CAPACITY:]
            store.remember(queries[-1])
            number += 1
        elif draw < 0.9:
            new = cluster(rng.randrange(CLUSTERS), rng.randrange(1, 99), rng.random() < 0.5)
            clusters.pop(new.id, None)
            clusters[new.id] = new
            store.put(new)
        elif draw < 0.95 and clusters:
            gone = rng.choice(list(clusters))
            del clusters[gone]
            store.drop(gone)
        elif draw > 0.99:
            store.close()
            store = opened(path)
            assert store.damage == Damage()
        compactions += store.size_bytes < size
        if rng.random() < 0.1:
            assert store.queries() == queries
            assert store.clusters() == list(clusters.values())
            assert store.next_number == number
        assert store.size_bytes == path.stat().st_size
    store.close()
    assert compactions > 10


# Bounds


def test_file_is_compacted_when_it_is_twice_too_long(path: Path, unflushed: None) -> None:
    live = 100 * 1_000  # bytes, without the header
    longest = 0
    with opened(path, capacity=100) as store:
        for number in range(450):
            store.remember(query(number, MAX_FINGERPRINT_BYTES))
            longest = max(longest, path.stat().st_size)
        assert 1.9 * live < longest <= 2.1 * live
        assert longest < store.bound_bytes
        assert store.queries() == [query(n, MAX_FINGERPRINT_BYTES) for n in range(350, 450)]


def test_small_store_is_seldom_compacted(path: Path, unflushed: None) -> None:
    with opened(path, capacity=1) as store:
        sizes = []
        for number in range(300):
            store.remember(query(number))
            sizes.append(store.size_bytes)
    assert sum(b < a for a, b in pairwise(sizes)) == 300 * 340 // 65_536
    assert max(sizes) <= COMPACT_ABOVE_BYTES


def test_attack_that_goes_on_does_not_fill_the_disk(path: Path, unflushed: None) -> None:
    """Each of its queries writes its cluster again, 7.7 kB."""
    with opened(path) as store:
        for count in range(1, 300):
            exemplars = (bytes(MAX_FINGERPRINT_BYTES),) * 8
            store.put(dataclasses.replace(cluster(1, count), exemplars=exemplars))
            assert store.size_bytes <= COMPACT_ABOVE_BYTES
        assert store.clusters()[0].count == 299


def test_bound_as_documented(path: Path) -> None:
    with opened(path, 10_000, 100) as store:
        full = 36 + 1_000 * 10_000 + 7_734 * 100
        assert store.bound_bytes == 3 * full + 65_536
        assert 3 * full < 33e6


def test_compaction_knows_what_room_it_needs(
    path: Path, unflushed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite, compactions = RecordLog.rewrite, 0

    def watched(log: RecordLog, records: Iterator[Record], expected_bytes: int) -> None:
        nonlocal compactions
        rewrite(log, records, expected_bytes)
        assert log.size_bytes == expected_bytes
        compactions += 1

    monkeypatch.setattr(RecordLog, "rewrite", watched)
    with opened(path) as store:
        for round_ in range(2):
            for number in range(300):
                store.remember(query(number, 3 * number))
                if number % 7 == 0:
                    store.put(cluster(number % 5, 5 + number))
                if number % 50 == 49:
                    store.drop(store.clusters()[0].id)
            assert compactions > round_
            store.wipe()


def test_failed_opening_frees_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise MemoryStoreError("reading failed", "try again")

    with monkeypatch.context() as patched:
        patched.setattr(RecordLog, "records", fail)
        with pytest.raises(MemoryStoreError, match="reading failed"):
            opened(path)
    opened(path).close()


def test_compaction_keeps_what_is_alive(path: Path, unflushed: None) -> None:
    with opened(path) as store:
        for id_ in (1, 2, 3):
            store.put(cluster(id_, approved=True))
        store.drop(2)
        for number in range(5 * CAPACITY):
            store.remember(query(number, 900))
        before = store.queries(), store.clusters()
        assert store.size_bytes < 5 * CAPACITY * 900
    with opened(path) as store:
        assert (store.queries(), store.clusters()) == before


# A full disk


def test_full_disk_leaves_the_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as store:
        store.remember(query(0))
        store.put(cluster(1))
        with monkeypatch.context() as patched:
            full_disk(patched)
            for change in (
                lambda: store.remember(query(1)),
                lambda: store.put(cluster(1, 99)),
                lambda: store.put(cluster(2)),
                lambda: store.drop(1),
            ):
                with pytest.raises(MemoryStoreError, match="the disk is full"):
                    change()
        assert store.queries() == [query(0)]
        assert store.clusters() == [cluster(1)]
        assert store.next_number == len(store) == 1
        store.remember(query(1))
    with opened(path) as store:
        assert store.queries() == [query(0), query(1)]
        assert store.clusters() == [cluster(1)]


def test_without_room_to_compact_it_goes_on_up_to_its_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch, unflushed: None
) -> None:
    with opened(path, capacity=10, clusters=1) as store:
        store.remember(query(0, MAX_FINGERPRINT_BYTES))
        number = 1
        with monkeypatch.context() as patched:
            full_disk(patched, but_appends=True)
            while store.size_bytes + 36 + 1_000 <= store.bound_bytes:
                store.remember(query(number, MAX_FINGERPRINT_BYTES))
                number += 1
            longest = store.bound_bytes - store.size_bytes - 36 - 40  # that still fits, bytes
            with pytest.raises(MemoryStoreError, match="the disk is full"):
                store.remember(query(number, longest + 1))
            last = [query(n, MAX_FINGERPRINT_BYTES) for n in range(number - 10, number)]
            assert store.queries() == last
            store.remember(query(number, longest))
            assert store.size_bytes == store.bound_bytes - 36
            last = [*last[1:], query(number, longest)]
            number += 1
        store.remember(query(number, MAX_FINGERPRINT_BYTES))  # there is room again
        assert store.size_bytes == path.stat().st_size < 12_000
        assert store.queries() == [*last[1:], query(number, MAX_FINGERPRINT_BYTES)]


def test_compaction_that_fails_is_not_tried_at_each_query(
    path: Path, monkeypatch: pytest.MonkeyPatch, unflushed: None
) -> None:
    tries = 0

    def fail(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise MemoryStoreError("no room", "make some")

    monkeypatch.setattr(RecordLog, "rewrite", fail)
    with opened(path, capacity=100) as store:
        for number in range(300):
            store.remember(query(number, MAX_FINGERPRINT_BYTES))
        assert tries == 2  # at 200 kB and 64 KiB later
        assert len(store.queries()) == 100


# Power cuts and bit rot


def test_file_cut_at_any_byte_opens_as_an_earlier_state(path: Path, unflushed: None) -> None:
    states = []
    with opened(path) as store:
        for change in (
            lambda: store.remember(query(0, 10)),
            lambda: store.put(cluster(1)),
            lambda: store.remember(query(1, 0)),
            lambda: store.put(cluster(1, 7)),
            lambda: store.drop(1),
            lambda: store.put(cluster(2)),
        ):
            states.append((store.size_bytes, store.queries(), store.clusters()))
            change()
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.unlink()
        path.write_bytes(whole[:length])
        _, queries, clusters = [state for state in states if state[0] <= length][-1]
        with opened(path) as store:
            assert store.queries() == queries
            assert store.clusters() == clusters
            store.remember(query(99))
        with opened(path) as store:
            assert store.queries() == [*queries, query(99)]
            assert store.damage == Damage()


def test_damage_is_lost_alone_reported_and_healed(path: Path, unflushed: None) -> None:
    with opened(path) as store:
        for number in range(5):
            store.remember(query(number))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(query(2).fingerprint)] ^= 1
    path.write_bytes(damaged)
    with opened(path) as store:
        assert [q.number for q in store.queries()] == [0, 1, 3, 4]
        assert store.damage == Damage(1, 340)
    with opened(path) as store:
        assert [q.number for q in store.queries()] == [0, 1, 3, 4]
        assert store.damage == Damage()


def test_damage_is_survived_without_room_to_heal(
    path: Path, monkeypatch: pytest.MonkeyPatch, unflushed: None
) -> None:
    with opened(path) as store:
        for number in range(3):
            store.remember(query(number))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[whole.index(query(1).fingerprint)] ^= 1
    path.write_bytes(damaged)
    full_disk(monkeypatch, but_appends=True)
    with opened(path) as store:
        store.remember(query(3))
        assert [q.number for q in store.queries()] == [0, 2, 3]


def test_compaction_that_is_cut_short(path: Path, unflushed: None) -> None:
    with opened(path) as store:
        for number in range(CAPACITY):
            store.remember(query(number))
        expected = store.queries()
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(path.read_bytes()[:1_000])
    with opened(path) as store:
        assert store.queries() == expected
        assert not new.exists()


def test_whole_records_that_make_no_sense_are_skipped(path: Path, unflushed: None) -> None:
    with opened(path) as store:
        store.remember(query(5))
    with RecordLog.open(path, 8_000, 10**6) as log:
        log.append(module._QUERY, b"short")
        log.append(module._QUERY, query(5).encoded())  # again
        log.append(module._QUERY, query(3).encoded())  # backwards
        log.append(module._CLUSTER, b"short")
        log.append(module._DROP, b"short")
        log.append(77, b"unknown")
        log.append(module._QUERY, query(6).encoded())
    with opened(path) as store:
        assert store.damage == Damage(6, 0)
        assert store.queries() == [query(5), query(6)]
    with opened(path) as store:
        assert store.damage == Damage()
        assert store.queries() == [query(5), query(6)]


def test_two_daemons(path: Path) -> None:
    with opened(path) as store:
        with pytest.raises(MemoryStoreError, match="another process holds the query memory"):
            opened(path)
        store.remember(query(0))
    with opened(path) as store:
        assert store.queries() == [query(0)]


# A factory reset


def test_wipe_forgets_all(store: QueryStore) -> None:
    for number in range(CAPACITY + 5):
        store.remember(query(number))
    store.put(cluster(1, approved=True))
    store.wipe()
    assert store.queries() == []
    assert store.clusters() == []
    assert store.next_number == len(store) == 0
    store.remember(query(0))
    assert store.queries() == [query(0)]


def test_wiped_content_is_not_in_the_file(path: Path, unflushed: None) -> None:
    with opened(path) as store:
        for number in range(1_000, 1_000 + 10 * CAPACITY):
            store.remember(query(number))
        store.wipe()
        assert path.read_bytes() == b""
        for number in range(10 * CAPACITY):
            store.remember(query(number))
    with opened(path) as store:
        assert store.queries() == [query(n) for n in range(9 * CAPACITY, 10 * CAPACITY)]
        assert store.clusters() == []
        assert store.damage == Damage()


def test_failed_wipe_is_reported_and_forgets_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with opened(path) as store:
        store.remember(query(0))
        with monkeypatch.context() as patched:
            patched.setattr(os, "ftruncate", fail)
            with pytest.raises(MemoryStoreError, match="read-only"):
                store.wipe()
        assert store.queries() == [query(0)]
