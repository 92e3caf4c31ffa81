"""The entries of the query memory: their bounds and their bytes."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

import pytest

from earmark.memory.carrier import CarrierKind
from earmark.memory.entries import (
    MAX_CLUSTER_BYTES,
    MAX_EXEMPLARS,
    MAX_FINGERPRINT_BYTES,
    MAX_NUMBER,
    MAX_QUERY_BYTES,
    MAX_UNIX_S,
    Cluster,
    Remembered,
    decoded_id,
    encoded_id,
)
from earmark.memory.log import FRAME_BYTES

QUERY = Remembered(7, 1.8e9 + 0.25, b"\x01\x02secret", "music", 3, 0.5, 2)
CLUSTER = Cluster(2, "speech", 1.8e9, 1.8e9 + 60.5, 12, False, (b"one", b"", b"three"))


def random_query(rng: random.Random) -> Remembered:
    number = rng.randrange(1, MAX_NUMBER + 1)
    carrier: CarrierKind = rng.choice(["speech", "music"])
    return Remembered(
        number=number,
        at_unix_s=rng.uniform(0.0, MAX_UNIX_S),
        fingerprint=rng.randbytes(rng.randrange(MAX_FINGERPRINT_BYTES + 1)),
        carrier=carrier,
        nearest=rng.choice([None, rng.randrange(number)]),
        similarity=rng.uniform(-1.0, 1.0),
        cluster=rng.choice([None, rng.randrange(MAX_NUMBER + 1)]),
    )


def random_cluster(rng: random.Random) -> Cluster:
    carrier: CarrierKind = rng.choice(["speech", "music"])
    return Cluster(
        id=rng.randrange(MAX_NUMBER + 1),
        carrier=carrier,
        first_unix_s=rng.uniform(0.0, MAX_UNIX_S),
        last_unix_s=rng.uniform(0.0, MAX_UNIX_S),
        count=rng.randrange(1, MAX_NUMBER + 1),
        approved=rng.random() < 0.5,
        exemplars=tuple(
            rng.randbytes(rng.randrange(MAX_FINGERPRINT_BYTES + 1))
            for _ in range(rng.randrange(1, MAX_EXEMPLARS + 1))
        ),
    )


def test_query_comes_back() -> None:
    rng = random.Random(1)
    for query in [QUERY, *(random_query(rng) for _ in range(300))]:
        assert Remembered.decoded(query.encoded()) == query


def test_cluster_comes_back() -> None:
    rng = random.Random(2)
    for cluster in [CLUSTER, *(random_cluster(rng) for _ in range(300))]:
        assert Cluster.decoded(cluster.encoded()) == cluster


def test_bytes_of_version_1_stay_readable() -> None:
    """Written by the first version: a change of these needs a new version of the file."""
    assert QUERY.encoded().hex() == (
        "070000000000108074d2da410103000000000000000000e03f020000000102736563726574"
    )
    assert CLUSTER.encoded().hex() == (
        "02000000000000008074d2da410000208f74d2da410c000000000303006f6e65000005007468726565"
    )


def test_a_query_takes_1024_bytes_on_disk_at_most() -> None:
    longest = Remembered(MAX_NUMBER, MAX_UNIX_S, bytes(960), "music", MAX_NUMBER - 1, 1.0, 1)
    assert len(longest.encoded()) == MAX_QUERY_BYTES
    assert FRAME_BYTES + MAX_QUERY_BYTES == 1_000  # and so below 1,024


def test_longest_cluster() -> None:
    longest = dataclasses.replace(CLUSTER, exemplars=(bytes(960),) * 8)
    assert len(longest.encoded()) == MAX_CLUSTER_BYTES == 7_723


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": -1},
        {"number": MAX_NUMBER + 1},
        {"at_unix_s": -1.0},
        {"at_unix_s": math.nan},
        {"at_unix_s": math.inf},
        {"at_unix_s": MAX_UNIX_S + 1.0},
        {"fingerprint": bytes(961)},
        {"carrier": "noise"},
        {"nearest": -1},
        {"nearest": 7},
        {"similarity": math.nan},
        {"similarity": 1.001},
        {"similarity": -1.001},
        {"cluster": -1},
        {"cluster": MAX_NUMBER + 1},
    ],
)
def test_wrong_query_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        dataclasses.replace(QUERY, **wrong)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": -1},
        {"id": MAX_NUMBER + 1},
        {"carrier": ""},
        {"first_unix_s": math.nan},
        {"last_unix_s": -0.5},
        {"count": 0},
        {"count": MAX_NUMBER + 1},
        {"exemplars": ()},
        {"exemplars": (b"",) * 9},
    ],
)
def test_wrong_cluster_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dataclasses.replace(CLUSTER, **wrong)


def test_long_exemplar_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 960"):
        dataclasses.replace(CLUSTER, exemplars=(b"", bytes(961)))


def test_bounds_are_allowed() -> None:
    for ok in ({"similarity": 1.0 + 1e-9}, {"at_unix_s": 0.0}, {"number": MAX_NUMBER}):
        dataclasses.replace(QUERY, **ok)  # type: ignore[arg-type]
    dataclasses.replace(QUERY, number=0, nearest=None)
    dataclasses.replace(CLUSTER, first_unix_s=2.0, last_unix_s=1.0)  # a clock that was set back


def test_broken_bytes_are_refused_or_something_else() -> None:
    """ValueError and nothing worse, at any length and with any byte changed."""
    for entry in (QUERY, CLUSTER):
        raw = entry.encoded()
        for length in range(len(raw)):
            try:
                assert type(entry).decoded(raw[:length]) != entry
            except ValueError:
                continue
        for at in range(len(raw)):
            for flip in range(1, 256):
                changed = bytearray(raw)
                changed[at] ^= flip
                try:
                    other = type(entry).decoded(bytes(changed))
                except ValueError:
                    continue
                assert other != entry
    with pytest.raises(ValueError, match="length"):
        Cluster.decoded(CLUSTER.encoded() + b"\x00")
    with pytest.raises(ValueError, match="too short"):
        Remembered.decoded(QUERY.encoded()[:28])
    unknown = bytearray(QUERY.encoded())
    unknown[12] = 2
    with pytest.raises(ValueError, match="carrier"):
        Remembered.decoded(bytes(unknown))


def test_tombstone() -> None:
    for number in (0, 1, 256, MAX_NUMBER):
        assert decoded_id(encoded_id(number)) == number
    for raw in (b"", b"123", b"12345"):
        with pytest.raises(ValueError, match="4 bytes"):
            decoded_id(raw)
    with pytest.raises(ValueError, match="id"):
        encoded_id(MAX_NUMBER + 1)


def test_fingerprints_are_not_printed() -> None:
    assert "secret" not in repr(QUERY)
    assert "three" not in repr(CLUSTER)
