"""What the query memory keeps on disk: queries and clusters, and their bytes.

Fingerprints only, never audio. A fingerprint is opaque here; whoever computes it knows how to
read it. All numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, get_args

from earmark.memory.carrier import CarrierKind

MAX_FINGERPRINT_BYTES = 960
"""Longest fingerprint, bytes. A remembered query takes 40 bytes more on the disk, in all 1,000 of
the 1,024 that it may."""

MAX_EXEMPLARS = 8
"""Most fingerprints that stand for a cluster: more than the 5 near-duplicates of an alarm."""

MAX_NUMBER = 0xFFFF_FFFE
"""Highest number of a query or cluster: 136 years with a query each second. One more means none."""

MAX_UNIX_S = 253_402_300_799.0
"""End of the year 9999, s since 1970: the last time that Python can print."""

_NONE = 0xFFFF_FFFF
_CARRIERS: tuple[CarrierKind, ...] = get_args(CarrierKind)
_ROUNDING = 1e-6
"""By how much a computed cosine may be beyond 1."""

_QUERY = struct.Struct("<IdBIdI")
_CLUSTER = struct.Struct("<IBddI?B")
_LENGTH = struct.Struct("<H")

MAX_QUERY_BYTES = _QUERY.size + MAX_FINGERPRINT_BYTES
"""Longest encoded query, bytes."""

MAX_CLUSTER_BYTES = _CLUSTER.size + MAX_EXEMPLARS * (_LENGTH.size + MAX_FINGERPRINT_BYTES)
"""Longest encoded cluster, bytes."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """One query as it is remembered.

    Parameters
    ----------
    number : counts the queries of a device, from 0; 4,294,967,294 at most.
    at_unix_s : when it was heard, wall clock, s since 1970.
    fingerprint : 0 to 960 bytes; empty for a query in which there was nothing to mark.
    carrier : what it was taken to be.
    nearest : number of the earlier query that is most similar; None for none.
    similarity : with that one, cosine, -1 to 1; 0 where there is none.
    cluster : the cluster it belongs to; None for none.

    Raises
    ------
    ValueError
        A field is outside these bounds. The message does not contain the fingerprint.
    """

    number: int
    at_unix_s: float
    fingerprint: bytes = field(repr=False)
    carrier: CarrierKind
    nearest: int | None
    similarity: float
    cluster: int | None

    def __post_init__(self) -> None:
        _check_number("number", self.number)
        _check_time("at_unix_s", self.at_unix_s)
        _check_fingerprint(self.fingerprint)
        _check_carrier(self.carrier)
        if self.nearest is not None and not 0 <= self.nearest < self.number:
            raise ValueError("nearest must be the number of an earlier query")
        if not abs(self.similarity) <= 1.0 + _ROUNDING:  # refuses NaN too
            raise ValueError("similarity must be -1 to 1")
        if self.cluster is not None:
            _check_number("cluster", self.cluster)

    def encoded(self) -> bytes:
        """All fields, 29 bytes and the fingerprint."""
        fixed = _QUERY.pack(
            self.number,
            self.at_unix_s,
            _CARRIERS.index(self.carrier),
            _NONE if self.nearest is None else self.nearest,
            self.similarity,
            _NONE if self.cluster is None else self.cluster,
        )
        return fixed + self.fingerprint

    @classmethod
    def decoded(cls, raw: bytes) -> Remembered:
        """What :meth:`encoded` gave. ValueError when `raw` is anything else."""
        number, at_unix_s, carrier, nearest, similarity, cluster = _unpacked(_QUERY, raw, 0)
        return cls(
            number=number,
            at_unix_s=at_unix_s,
            fingerprint=raw[_QUERY.size :],
            carrier=_carrier(carrier),
            nearest=None if nearest == _NONE else nearest,
            similarity=similarity,
            cluster=None if cluster == _NONE else cluster,
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """Near-duplicates that are kept after their alarm: an attack, or a repeat that is approved.

    Parameters
    ----------
    id : names it; 0 to 4,294,967,294.
    carrier : what its queries were taken to be.
    first_unix_s, last_unix_s : its first and latest query, wall clock, s since 1970. The clock of
        a speaker may be set back, so the latest can seem to be before the first.
    count : how many queries it has had, 1 to 4,294,967,294.
    approved : True if the owner allows it (a routine, an advertisement): no alarm.
    exemplars : 1 to 8 fingerprints by which further queries are recognised, 0 to 960 bytes each.

    Raises
    ------
    ValueError
        A field is outside these bounds. The message does not contain an exemplar.
    """

    id: int
    carrier: CarrierKind
    first_unix_s: float
    last_unix_s: float
    count: int
    approved: bool
    exemplars: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        _check_number("id", self.id)
        _check_carrier(self.carrier)
        _check_time("first_unix_s", self.first_unix_s)
        _check_time("last_unix_s", self.last_unix_s)
        if not 1 <= self.count <= MAX_NUMBER:
            raise ValueError(f"count must be 1 to {MAX_NUMBER}")
        if not 1 <= len(self.exemplars) <= MAX_EXEMPLARS:
            raise ValueError(f"a cluster has 1 to {MAX_EXEMPLARS} exemplars")
        for fingerprint in self.exemplars:
            _check_fingerprint(fingerprint)

    def encoded(self) -> bytes:
        """All fields, 27 bytes, and each exemplar with 2 bytes for its length."""
        parts = [
            _CLUSTER.pack(
                self.id,
                _CARRIERS.index(self.carrier),
                self.first_unix_s,
                self.last_unix_s,
                self.count,
                self.approved,
                len(self.exemplars),
            )
        ]
        for fingerprint in self.exemplars:
            parts += [_LENGTH.pack(len(fingerprint)), fingerprint]
        return b"".join(parts)

    @classmethod
    def decoded(cls, raw: bytes) -> Cluster:
        """What :meth:`encoded` gave. ValueError when `raw` is anything else."""
        id_, carrier, first, last, count, approved, exemplars = _unpacked(_CLUSTER, raw, 0)
        at = _CLUSTER.size
        fingerprints = []
        for _ in range(exemplars):
            (length,) = _unpacked(_LENGTH, raw, at)
            at += _LENGTH.size
            fingerprints.append(raw[at : at + length])
            at += length
        if at != len(raw):
            raise ValueError("the cluster has another length than its exemplars")
        return cls(id_, _carrier(carrier), first, last, count, approved, tuple(fingerprints))


def encoded_id(cluster_id: int) -> bytes:
    """The tombstone of a cluster: its id, 4 bytes."""
    _check_number("id", cluster_id)
    return cluster_id.to_bytes(4, "little")


def decoded_id(raw: bytes) -> int:
    """What :func:`encoded_id` gave. ValueError when `raw` is anything else."""
    if len(raw) != 4:
        raise ValueError("a tombstone has 4 bytes")
    return int.from_bytes(raw, "little")


def _unpacked(shape: struct.Struct, raw: bytes, at: int) -> tuple[Any, ...]:
    if len(raw) < at + shape.size:
        raise ValueError("the entry is too short")
    return shape.unpack_from(raw, at)


def _carrier(code: int) -> CarrierKind:
    if code >= len(_CARRIERS):
        raise ValueError("there is no such carrier")
    return _CARRIERS[code]


def _check_number(name: str, number: int) -> None:
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"{name} must be 0 to {MAX_NUMBER}")


def _check_time(name: str, unix_s: float) -> None:
    if not (math.isfinite(unix_s) and 0.0 <= unix_s <= MAX_UNIX_S):
        raise ValueError(f"{name} must be seconds since 1970, up to the year 9999")


def _check_carrier(carrier: str) -> None:
    if carrier not in _CARRIERS:
        raise ValueError("carrier must be speech or music")


def _check_fingerprint(fingerprint: bytes) -> None:
    if len(fingerprint) > MAX_FINGERPRINT_BYTES:
        raise ValueError(f"a fingerprint has at most {MAX_FINGERPRINT_BYTES} bytes")
