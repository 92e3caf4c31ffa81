"""The detector that counts near-copies: the repair of the paper's mean.

Whoever crafts an adversarial command sends it again and again with small changes. The paper takes
a mean over the last queries, which unrelated ones in between pull down. Here each earlier query
is looked at for itself, and the one that has five near-copies raises the alarm, whatever came in
between (like Blacklight for images: Li et al., USENIX Security 2022). Each query is linked to its
nearest past one (Feng et al., CCS 2023, found such a graph hard to evade), so that an alarm can
say how many there were, and since when.

For each query, in this order:

1. A copy of something that is kept: an attack is withheld at once; a repeat that the owner
   approved passes, if it is the same sound again and has not been heard too often today.
2. Five near-copies among the last 1,000 queries: an alarm. Its cluster is kept from now on.
3. The second ear: a mean plain cosine with all but the near-copies, over its limit.
4. Anything else is remembered and may pass.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from earmark.memory.carrier import CarrierKind
from earmark.memory.entries import MAX_EXEMPLARS, Cluster, Remembered
from earmark.memory.neighbours.clusters import Clusters, heard_again
from earmark.memory.neighbours.fingerprint import Fingerprint
from earmark.memory.neighbours.index import PeakIndex
from earmark.memory.neighbours.limits import NeighboursLimits
from earmark.memory.neighbours.search import Copy, near_copies
from earmark.memory.neighbours.second_ear import SecondEar
from earmark.memory.neighbours.settings import NeighboursSettings


class Sign(Enum):
    """What a query is to the memory."""

    NEW = "new"
    """Nothing like it, or too few to mean something."""
    COPIES = "copies"
    """So many near-copies among the last queries: an alarm."""
    KEPT = "kept"
    """A copy of an attack that is kept: an alarm."""
    MEAN = "mean"
    """Too like the last queries on the whole: an alarm."""
    OVERHEARD = "overheard"
    """An approved repeat that was heard too often today: an alarm."""
    APPROVED = "approved"
    """A repeat that the owner approved."""
    SPARSE = "sparse"
    """Too few peaks to tell: nothing can be said of it, and it is not remembered."""


ALARMS = frozenset({Sign.COPIES, Sign.KEPT, Sign.MEAN, Sign.OVERHEARD})
"""The signs that withhold a query."""


@dataclass(frozen=True)
class Neighbours:
    """What the detector makes of one query.

    Parameters
    ----------
    sign : what it is.
    copies : near-copies among the remembered queries, as many as were found: 24 at most, and at
        other speeds than the query's own only if there are too few at that.
    nearest : number of the most alike one; None where there is no copy, and for what is kept.
    likeness : with that one or with the kept exemplar, 0 to 1.
    speed_percent : how much faster than that one the query is, %.
    mean : what the second ear heard, 0 to 1; None without a verdict of it.
    cluster : id of the cluster or family that it belongs to, the number of its first query; None
        for a query on its own.
    count : queries of that cluster so far, with this one; 1 where there is none.
    first_unix_s : when the first of them was heard, s; this query's time where there is none.
    carrier : what the first of them was taken to be.
    """

    sign: Sign
    copies: int
    nearest: int | None
    likeness: float
    speed_percent: float
    mean: float | None
    cluster: int | None
    count: int
    first_unix_s: float
    carrier: CarrierKind

    @property
    def alarm(self) -> bool:
        """Whether the query must be withheld."""
        return self.sign in ALARMS


@dataclass(frozen=True)
class Learnt:
    """What must be stored after a query.

    Parameters
    ----------
    query : to be remembered; None for a query that is not.
    cluster : the new state of a kept cluster; None where none changed.
    """

    query: Remembered | None
    cluster: Cluster | None


@dataclass
class _Family:
    """Queries that are linked, each to its nearest past one."""

    carrier: CarrierKind
    first_unix_s: float
    count: int
    latest: int


class NeighboursDetector:
    """The last fingerprints, and what is kept of earlier alarms.

    Parameters
    ----------
    settings : counts and bounds.
    limits : what a near-copy is.
    """

    def __init__(self, settings: NeighboursSettings, limits: NeighboursLimits) -> None:
        self._settings = settings
        self._limits = limits
        self._clusters = Clusters(settings.max_clusters)
        self._forget_queries()

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """What is kept; what changed last comes last."""
        return tuple(self._clusters)

    def restore(self, queries: Iterable[Remembered], clusters: Iterable[Cluster]) -> None:
        """Take in what a store kept, oldest first.

        Raises
        ------
        ValueError
            A fingerprint is not one of this detector.
        """
        for query in queries:
            self._remember(query, Fingerprint.from_bytes(query.fingerprint))
        for cluster in clusters:
            for exemplar in cluster.exemplars:
                Fingerprint.from_bytes(exemplar)
            self._clusters.put(cluster)

    def examine(
        self, number: int, fingerprint: Fingerprint, carrier: CarrierKind, at_unix_s: float
    ) -> tuple[Neighbours, Learnt]:
        """Judge a query and remember it.

        Parameters
        ----------
        number : of the query, above all earlier ones.
        fingerprint : its peaks.
        carrier : what it is taken to be.
        at_unix_s : wall clock, s.
        """
        if len(fingerprint) < self._settings.min_peaks:
            nothing = Neighbours(Sign.SPARSE, 0, None, 0.0, 0.0, None, None, 1, at_unix_s, carrier)
            return nothing, Learnt(None, None)
        speeds = self._settings.speeds_percent
        kin = self._clusters.kin(fingerprint, self._limits, speeds)
        if kin is not None and kin[0].approved and kin[1].likeness > self._limits.approved:
            return self._approved(*kin, at_unix_s)
        copies = near_copies(self._index, fingerprint, self._limits, speeds, self._settings.copies)
        mean = self._ear.mean(fingerprint, {copy.number for copy in copies})
        attack = None if kin is None or kin[0].approved else kin[0]
        nearest = copies[0] if copies else None
        if attack is not None:
            root = attack.id
        else:
            root = number if nearest is None else self._root_of(nearest.number)
        query = Remembered(
            number,
            at_unix_s,
            fingerprint.to_bytes(),
            carrier,
            None if nearest is None else nearest.number,
            0.0 if nearest is None else nearest.likeness,
            root,
        )
        # Before the query is remembered, which may push the oldest of the copies out.
        exemplars = self._exemplars(copies, query)
        family = self._remember(query, fingerprint)
        if kin is not None and attack is not None:
            cluster = heard_again(attack, fingerprint, at_unix_s)
            self._clusters.put(cluster)
            found = self._of_cluster(Sign.KEPT, cluster, kin[1], len(copies), mean)
            return found, Learnt(query, cluster)
        if len(copies) >= self._settings.copies:
            sign = Sign.COPIES
        elif mean is not None and mean > self._limits.mean:
            sign = Sign.MEAN
        else:
            sign = Sign.NEW
        found = Neighbours(
            sign,
            len(copies),
            query.nearest,
            query.similarity,
            0.0 if nearest is None else nearest.speed_percent,
            mean,
            root if copies or sign in ALARMS else None,
            family.count,
            family.first_unix_s,
            family.carrier,
        )
        if not found.alarm:
            return found, Learnt(query, None)
        kept = Cluster(
            root,
            family.carrier,
            family.first_unix_s,
            at_unix_s,
            family.count,
            False,
            exemplars,
        )
        self._clusters.put(kept)
        return found, Learnt(query, kept)

    def approve(self, cluster_id: int) -> Cluster:
        """Let a kept cluster pass from now on, as far as the settings allow.

        Its queries are no longer remembered: they were no attack, and count against nobody.

        Raises
        ------
        KeyError
            There is no such cluster.
        """
        approved = replace(self._clusters[cluster_id], approved=True)
        self._clusters.put(approved)
        self._forget_family(cluster_id)
        return approved

    def drop(self, cluster_id: int) -> None:
        """Forget a kept cluster, and its queries. KeyError where there is none."""
        self._clusters.drop(cluster_id)
        self._forget_family(cluster_id)

    def wipe(self) -> None:
        """Forget everything."""
        self._clusters = Clusters(self._settings.max_clusters)
        self._forget_queries()

    def _forget_queries(self) -> None:
        self._index = PeakIndex(self._settings.last)
        self._ear = SecondEar(self._settings.second_ear_depth)
        self._queries: OrderedDict[int, Remembered] = OrderedDict()
        self._families: dict[int, _Family] = {}

    def _forget_family(self, root: int) -> None:
        others = [query for query in self._queries.values() if query.cluster != root]
        self._forget_queries()
        self.restore(others, ())

    def _root_of(self, number: int) -> int:
        """The number of the first query of a remembered one's family."""
        root = self._queries[number].cluster
        return number if root is None else root

    def _remember(self, query: Remembered, fingerprint: Fingerprint) -> _Family:
        self._queries[query.number] = query
        root = self._root_of(query.number)
        family = self._families.get(root)
        if family is None:
            # Its beginning may be older than what is remembered, and then begins here.
            family = _Family(query.carrier, query.at_unix_s, 0, query.number)
            self._families[root] = family
        family.count += 1
        family.latest = query.number
        self._index.add(query.number, query.fingerprint)
        self._ear.add(query.number, fingerprint)
        while len(self._queries) > self._settings.last:
            gone = next(iter(self._queries))
            gone_root = self._root_of(gone)
            del self._queries[gone]
            if self._families[gone_root].latest == gone:
                del self._families[gone_root]
        return family

    def _exemplars(self, copies: Iterable[Copy], query: Remembered) -> tuple[bytes, ...]:
        """The near-copies in the order of time, and the query itself."""
        numbers = sorted(copy.number for copy in copies)[-(MAX_EXEMPLARS - 1) :]
        return (*(self._queries[number].fingerprint for number in numbers), query.fingerprint)

    def _approved(
        self, cluster: Cluster, copy: Copy, at_unix_s: float
    ) -> tuple[Neighbours, Learnt]:
        passes = self._clusters.passes(cluster.id, at_unix_s, self._settings.approved_per_day)
        sign = Sign.APPROVED if passes else Sign.OVERHEARD
        return self._of_cluster(sign, cluster, copy, 0, None), Learnt(None, None)

    @staticmethod
    def _of_cluster(
        sign: Sign, cluster: Cluster, copy: Copy, copies: int, mean: float | None
    ) -> Neighbours:
        return Neighbours(
            sign,
            copies,
            None,
            copy.likeness,
            copy.speed_percent,
            mean,
            cluster.id,
            cluster.count,
            cluster.first_unix_s,
            cluster.carrier,
        )
