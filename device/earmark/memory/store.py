"""The store of the query memory: the queries of late, and the clusters kept after an alarm.

It is a :class:`~earmark.memory.log.RecordLog` of three kinds of records: a query, a cluster (the
last one of an id counts) and the removal of a cluster with its queries. Queries are not held in
memory: the detector has them in its own index, and reads them from here once, when it starts.

Bounds
    Beyond ``capacity`` the oldest query is dead; its record goes when the log is next compacted
    (rewritten with what is alive). That happens when the log holds more than twice what is
    alive, though not below 64 KiB. The longest log that is alive, ``full``, has
    36 + 1,000 capacity + 7,734 max_clusters bytes, so the file has at most 2 ``full`` bytes (or
    64 KiB) and one record more, and three times ``full`` are in use while it is compacted: 33 MB
    for 10,000 queries and 100 clusters. Where compaction fails, for want of room, the store
    goes on appending, and tries again every 64 KiB, up to :attr:`QueryStore.bound_bytes`, which
    is 3 ``full`` and 64 KiB. From there on each append needs a compaction that succeeds.

Cost
    With 10,000 queries of 640 bytes (measured on one core of a PC): opening .08 s of CPU, reading
    them .07 s, compaction .15 s, remembering one .25 ms and the disk's time for a flush. The
    store itself takes 1.2 MB of memory, and up to 7.7 kB for each cluster.

Power cuts, bit rot, a full disk: see :mod:`earmark.memory.log`. A query or cluster that is
damaged is lost alone: of a cluster its previous state counts again; if the removal of a cluster
is what was damaged, the cluster is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from earmark.memory.entries import (
    MAX_CLUSTER_BYTES,
    MAX_QUERY_BYTES,
    Cluster,
    Remembered,
    decoded_id,
    encoded_id,
)
from earmark.memory.log import (
    FRAME_BYTES,
    HEADER_BYTES,
    Damage,
    MemoryStoreError,
    RamLog,
    Record,
    RecordLog,
)

MAX_CAPACITY = 100_000
"""Most queries that a store can keep: ten times what a device is meant to search."""

MAX_CLUSTERS = 1_000
"""Most clusters that a store can keep, 8 MB."""

COMPACT_ABOVE_BYTES = 65_536
"""A shorter log is left as it is, bytes: a small store would else be rewritten all the time."""

_QUERY, _CLUSTER, _DROP = 1, 2, 3
"""Kinds of records."""


class QueryStore:
    """Queries and clusters on the disk; :meth:`open` it. For one thread at a time.

    Every method raises :class:`~earmark.memory.log.MemoryStoreError` when the disk refuses; what
    it was about to change is then unchanged.
    """

    def __init__(self, log: RecordLog | RamLog, capacity: int, max_clusters: int) -> None:
        self._log = log
        self._capacity = capacity
        self._max_clusters = max_clusters
        self._undecodable = 0
        self._start()

    @classmethod
    def open(cls, path: Path | None, capacity: int, max_clusters: int) -> QueryStore:
        """Open the store, or create it.

        Parameters
        ----------
        path : its file (see :meth:`RecordLog.open`); None keeps everything in RAM.
        capacity : how many queries are kept, 1 to 100,000.
        max_clusters : how many clusters are kept, 1 to 1,000.

        Raises
        ------
        MemoryStoreError
            The file cannot be opened: see :meth:`RecordLog.open`.
        """
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity must be 1 to {MAX_CAPACITY}")
        if not 1 <= max_clusters <= MAX_CLUSTERS:
            raise ValueError(f"max_clusters must be 1 to {MAX_CLUSTERS}")
        log: RecordLog | RamLog = RamLog()
        if path is not None:
            # Any store's file is read, for the capacity may have been larger before.
            log = RecordLog.open(path, MAX_CLUSTER_BYTES, _bound(MAX_CAPACITY, MAX_CLUSTERS))
        store = cls(log, capacity, max_clusters)
        try:
            store._load()
        except BaseException:
            log.close()
            raise
        return store

    @property
    def damage(self) -> Damage:
        """What could not be read at opening."""
        found = self._log.damage
        return Damage(found.stretches + self._undecodable, found.lost_bytes)

    @property
    def size_bytes(self) -> int:
        """Length of the file, bytes."""
        return self._log.size_bytes

    @property
    def bound_bytes(self) -> int:
        """The file never gets longer than this, bytes."""
        return _bound(self._capacity, max(self._max_clusters, len(self._clusters)))

    @property
    def next_number(self) -> int:
        """The number for the next query: one more than the last, 0 at first and after a wipe."""
        return self._next_number

    def __len__(self) -> int:
        """How many queries are kept."""
        return len(self._live)

    def queries(self) -> list[Remembered]:
        """The queries, oldest first, at most ``capacity``; read from the disk each time."""
        return list(self._live_queries())

    def clusters(self) -> list[Cluster]:
        """The clusters; the one that was put last is last."""
        return list(self._clusters.values())

    def remember(self, query: Remembered) -> None:
        """Keep `query`, on the disk before this returns; the oldest beyond the capacity goes.

        Raises
        ------
        ValueError
            Its number is not above that of the query before.
        """
        if query.number < self._next_number:
            raise ValueError("the queries must be numbered upwards")
        payload = query.encoded()
        self._append(_QUERY, payload)
        self._note_query(query, len(payload))
        self._tidy()

    def put(self, cluster: Cluster) -> None:
        """Keep `cluster`, or its new state, on the disk before this returns.

        Where there would be too many, the one that was not put for longest goes, except those
        that are approved.

        Raises
        ------
        MemoryStoreError
            Not kept: the disk refuses, or there are only approved ones and no room beside them.
        """
        full = len(self._clusters) >= self._max_clusters and cluster.id not in self._clusters
        if full and self._oldest_attack() is None:
            raise MemoryStoreError(
                f"all {self._max_clusters} places for clusters hold repeats that are approved",
                "withdraw the approval of some",
            )
        self._append(_CLUSTER, cluster.encoded())
        self._note_cluster(cluster)
        self._tidy()

    def drop(self, cluster_id: int) -> None:
        """Forget a cluster and the queries that belong to it, on the disk before this returns.

        Raises
        ------
        KeyError
            There is no such cluster.
        """
        if cluster_id not in self._clusters:
            raise KeyError(cluster_id)
        self._append(_DROP, encoded_id(cluster_id))
        self._remove_cluster(cluster_id)
        self._remove_queries(cluster_id)
        self._tidy()

    def wipe(self) -> None:
        """Forget everything (factory reset); see :meth:`RecordLog.wipe`. Numbers start at 0."""
        self._log.wipe()
        self._start()

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        """With nothing."""
        # Number of a query, bytes of its record, its cluster.
        self._live: deque[tuple[int, int, int | None]] = deque()
        self._clusters: dict[int, Cluster] = {}  # the one put last is last
        self._live_bytes = HEADER_BYTES
        self._next_number = 0
        self._compact_above = COMPACT_ABOVE_BYTES

    def _load(self) -> None:
        """Replay the log; compact it if that is due, or if it is damaged."""
        for kind, payload in self._log.records():
            try:
                self._replay(kind, payload)
            except ValueError:  # whole, and yet nonsense: written by an Earmark with a fault
                self._undecodable += 1
        if self.damage.stretches:
            with suppress(MemoryStoreError):
                self._compact()
        self._tidy()

    def _replay(self, kind: int, payload: bytes) -> None:
        if kind == _QUERY:
            query = Remembered.decoded(payload)
            if query.number < self._next_number:
                raise ValueError("the queries must be numbered upwards")
            self._note_query(query, len(payload))
        elif kind == _CLUSTER:
            self._note_cluster(Cluster.decoded(payload))
        elif kind == _DROP:
            self._remove_cluster(decoded_id(payload))
            self._remove_queries(decoded_id(payload))
        else:
            raise ValueError("there is no such kind")

    def _note_query(self, query: Remembered, payload_bytes: int) -> None:
        self._live.append((query.number, FRAME_BYTES + payload_bytes, query.cluster))
        self._live_bytes += FRAME_BYTES + payload_bytes
        self._next_number = query.number + 1
        if len(self._live) > self._capacity:
            self._live_bytes -= self._live.popleft()[1]

    def _note_cluster(self, cluster: Cluster) -> None:
        self._remove_cluster(cluster.id)
        self._clusters[cluster.id] = cluster
        self._live_bytes += FRAME_BYTES + len(cluster.encoded())
        oldest = self._oldest_attack()
        if len(self._clusters) > self._max_clusters and oldest is not None:
            self._remove_cluster(oldest)

    def _remove_cluster(self, cluster_id: int) -> None:
        removed = self._clusters.pop(cluster_id, None)
        if removed is not None:
            self._live_bytes -= FRAME_BYTES + len(removed.encoded())

    def _remove_queries(self, cluster_id: int) -> None:
        self._live_bytes -= sum(size for _, size, cluster in self._live if cluster == cluster_id)
        self._live = deque(each for each in self._live if each[2] != cluster_id)

    def _oldest_attack(self) -> int | None:
        """The cluster that goes first: not approved, and not put for longest."""
        return next((c.id for c in self._clusters.values() if not c.approved), None)

    def _live_queries(self) -> Iterator[Remembered]:
        alive = {number for number, _, _ in self._live}
        for kind, payload in self._log.records():
            if kind != _QUERY:
                continue
            with suppress(ValueError):  # counted at opening
                query = Remembered.decoded(payload)
                if query.number in alive:
                    alive.remove(query.number)
                    yield query

    def _live_records(self) -> Iterator[Record]:
        for query in self._live_queries():
            yield _QUERY, query.encoded()
        for cluster in self._clusters.values():
            yield _CLUSTER, cluster.encoded()

    def _append(self, kind: int, payload: bytes) -> None:
        """Append within the bound."""
        if self._log.size_bytes + HEADER_BYTES + FRAME_BYTES + len(payload) > self.bound_bytes:
            self._compact()
        self._log.append(kind, payload)

    def _tidy(self) -> None:
        """Compact the log if that is due; where it fails, go on."""
        if self._log.size_bytes > max(2 * self._live_bytes, self._compact_above):
            with suppress(MemoryStoreError):
                self._compact()

    def _compact(self) -> None:
        self._compact_above = self._log.size_bytes + COMPACT_ABOVE_BYTES  # should it fail
        self._log.rewrite(self._live_records(), self._live_bytes)
        self._compact_above = COMPACT_ABOVE_BYTES


def _bound(capacity: int, max_clusters: int) -> int:
    """Longest file of a store, bytes."""
    queries = capacity * (FRAME_BYTES + MAX_QUERY_BYTES)
    clusters = max_clusters * (FRAME_BYTES + MAX_CLUSTER_BYTES)
    return 3 * (HEADER_BYTES + queries + clusters) + COMPACT_ABOVE_BYTES
