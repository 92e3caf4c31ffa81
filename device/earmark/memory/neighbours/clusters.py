"""What is kept after an alarm: a few fingerprints of each attack, and of each approved repeat.

A pause of days or a thousand other queries push an attack out of the remembered queries, but not
out of here: the next near-copy of it is withheld at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from earmark.memory.entries import MAX_EXEMPLARS, Cluster
from earmark.memory.neighbours.fingerprint import Fingerprint
from earmark.memory.neighbours.index import PeakIndex
from earmark.memory.neighbours.limits import NeighboursLimits
from earmark.memory.neighbours.search import Copy, near_copies

DAY_S = 86_400.0
"""A day, s."""


class Clusters:
    """The kept clusters, the one that changed last at the end.

    Parameters
    ----------
    most : how many are kept; of more, the attack that changed first goes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, Cluster] = {}
        self._passed: dict[int, deque[float]] = {}
        self._index: PeakIndex | None = None
        self._owners: list[int] = []

    def __iter__(self) -> Iterator[Cluster]:
        return iter(tuple(self._kept.values()))

    def __getitem__(self, cluster_id: int) -> Cluster:
        return self._kept[cluster_id]

    def put(self, cluster: Cluster) -> None:
        """Keep a cluster, or its new state."""
        self._kept.pop(cluster.id, None)
        self._kept[cluster.id] = cluster
        self._index = None
        while len(self._kept) > self._most:
            attacks = (each.id for each in self._kept.values() if not each.approved)
            self.drop(next(attacks, next(iter(self._kept))))

    def drop(self, cluster_id: int) -> None:
        """Forget one."""
        del self._kept[cluster_id]
        self._passed.pop(cluster_id, None)
        self._index = None

    def kin(
        self,
        fingerprint: Fingerprint,
        limits: NeighboursLimits,
        speeds_percent: Sequence[float],
    ) -> tuple[Cluster, Copy] | None:
        """The kept cluster that has the most alike exemplar over the limit, and that copy."""
        if not self._kept:
            return None
        if self._index is None:
            self._build()
        assert self._index is not None
        copies = near_copies(self._index, fingerprint, limits, speeds_percent, enough=1)
        return (self._kept[self._owners[copies[0].number]], copies[0]) if copies else None

    def passes(self, cluster_id: int, at_unix_s: float, per_day: int) -> bool:
        """Count a hearing of an approved repeat; False when it had its share of the last 24 h."""
        passed = self._passed.setdefault(cluster_id, deque())
        while passed and not 0.0 <= at_unix_s - passed[0] < DAY_S:
            passed.popleft()
        if len(passed) >= per_day:
            return False
        passed.append(at_unix_s)
        return True

    def _build(self) -> None:
        self._index = PeakIndex(self._most * MAX_EXEMPLARS)
        self._owners = []
        for cluster in self._kept.values():
            for exemplar in cluster.exemplars:
                self._index.add(len(self._owners), exemplar)
                self._owners.append(cluster.id)


def heard_again(cluster: Cluster, fingerprint: Fingerprint, at_unix_s: float) -> Cluster:
    """The cluster after one more query: the first exemplar stays, the oldest other one goes.

    The attack's audio drifts from query to query, and its exemplars go along.
    """
    first, *others = (*cluster.exemplars, fingerprint.to_bytes())
    return replace(
        cluster,
        last_unix_s=at_unix_s,
        count=cluster.count + 1,
        exemplars=(first, *others[-(MAX_EXEMPLARS - 1) :]),
    )
