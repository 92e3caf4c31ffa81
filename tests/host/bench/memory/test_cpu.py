"""CPU times: what is measured and what is made of it. How long things take is not tested."""

from __future__ import annotations

import json

import numpy as np
import pytest

from earmark.memory import shipped
from earmark.memory.entries import MAX_EXEMPLARS
from earmark.memory.neighbours import fingerprint, likeness
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.memory import cpu
from earmark_host.bench.memory.cpu import (
    FULL,
    QUICK,
    Disk,
    Plan,
    Rival,
    RivalSpent,
    Size,
    SizeSpent,
    Spent,
    Start,
    Stored,
    hold,
    pieces,
)
from earmark_host.bench.memory.cpu_figures import figures
from earmark_host.bench.memory.filled import (
    attacks_kept,
    fingerprints,
    of_length,
    remembered,
    scattered,
)
from earmark_host.bench.memory.resident import Started
from earmark_host.bench.memory.setup import Setup

TINY = Plan(queries=2, sounds=8, rivals=1, appends=5)


def noise(seed: int, seconds: float = 3.0) -> Signal:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


# -- a memory that is full -------------------------------------------------------------------


def test_scattered_copies_are_no_copies() -> None:
    mark = fingerprint(noise(1))
    copies = [scattered(mark, np.random.default_rng(seed)) for seed in range(10)]
    limit = shipped().neighbours.likeness(len(mark))
    for copy in copies:
        assert 0.9 * len(mark) <= len(copy) <= len(mark)
        assert likeness(mark, copy) < limit
    assert likeness(copies[0], copies[1]) < limit


def test_so_many_fingerprints_the_real_ones_first() -> None:
    marks = fingerprints([noise(1), noise(2)], 5, rng())
    assert len(marks) == 5
    assert marks[1].to_bytes() == fingerprint(noise(2)).to_bytes()
    assert len({mark.to_bytes() for mark in marks}) == 5
    assert [query.number for query in remembered(marks)] == [0, 1, 2, 3, 4]
    assert len(fingerprints([noise(1), noise(2)], 1, rng())) == 1


def test_clusters_are_full() -> None:
    kept = attacks_kept([fingerprint(noise(1))], 3, rng())
    assert [cluster.id for cluster in kept] == [0, 1, 2]
    assert all(len(set(cluster.exemplars)) == MAX_EXEMPLARS for cluster in kept)


def test_sentences_make_a_command() -> None:
    said = of_length(iter([noise(1, 1.0), noise(2, 1.0), noise(3, 1.0)]), 1.5)
    np.testing.assert_array_equal(said, np.concatenate([noise(1, 1.0), noise(2, 1.0)])[:24_000])


# -- the pieces ------------------------------------------------------------------------------


@pytest.mark.parametrize("attack", [False, True])
def test_queries_are_timed_step_by_step(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, attack: bool
) -> None:
    monkeypatch.setattr(cpu, "ATTACK_QUERIES", 2)
    seen = hold(setup, Size(TINY, 20, attack, full_of_clusters=True))
    assert isinstance(seen, SizeSpent)
    assert len(seen.queries) == 2
    for spent in seen.queries:
        assert min(spent.fingerprint, spent.carrier, spent.detector, spent.search) > 0.0
        assert spent.query == spent.fingerprint + spent.carrier + spent.detector


def test_nothing_that_is_said_is_remembered(setup: Setup) -> None:
    known, others = cpu._sounds(setup, 8)
    assert len(known) == len(others) == 4
    assert not any(np.array_equal(one, other) for one in known for other in others)


@pytest.mark.parametrize("name", ["paper", "haitsma_kalker"])
def test_rivals_are_timed(setup: Setup, name: str) -> None:
    seen = hold(setup, Rival(TINY, name, 75))
    assert isinstance(seen, RivalSpent)
    assert len(seen.fingerprint) == len(seen.compare) == 1
    assert min(*seen.fingerprint, *seen.compare) > 0.0


def test_each_query_on_the_disk_is_its_peaks_and_40_bytes(setup: Setup) -> None:
    seen = hold(setup, Disk(TINY))
    assert isinstance(seen, Stored)
    assert len(seen.sizes) == len(seen.cpu) == len(seen.clock) == 5
    assert all((size - 40) % 3 == 0 and size > 40 for size in seen.sizes)


def test_a_device_starts_in_a_process_of_its_own(setup: Setup) -> None:
    seen = hold(setup, Start(TINY, 60))
    assert isinstance(seen, Started)
    assert seen.queries == 60
    assert min(seen.start_s, seen.first_query_s) > 0.0
    assert seen.grown_bytes is not None
    assert -5e6 < seen.grown_bytes < 20e6


def test_plans_time_enough_queries() -> None:
    for plan in (FULL, QUICK):
        assert plan.queries >= 50
        sizes = [each for each in pieces(plan) if isinstance(each, Size)]
        assert [each.remembered for each in sizes if each == Size(plan, each.remembered)] == [
            75,
            1_000,
            10_000,
        ]
        assert len(set(sizes)) == len(sizes) == 6


# -- the figures -----------------------------------------------------------------------------


def size(remembered: int, detector_s: float, attack: bool = False) -> SizeSpent:
    spent = [Spent(0.002, 0.001, detector_s * n, 0.002, 0.003) for n in (1, 2, 3)]
    return SizeSpent(Size(TINY, remembered, attack), tuple(spent))


def test_the_headline_is_the_median_of_new_queries() -> None:
    metrics, tables = figures(
        [
            size(1_000, 0.1, attack=True),
            size(1_000, 0.005),
            size(75, 0.001),
            RivalSpent("paper", 1_000, (0.01, 0.01), (0.016, 0.016)),
            RivalSpent("paper", 10, (0.01,), (0.01,)),
            Stored((400, 600), (0.0002, 0.0002), (0.004, 0.004)),
            Started(10_000, 15_000_000, 0.3, 0.1),
            Started(1_000, None, 0.03, 0.01),
        ],
        TINY,
        1,
    )
    by_name = {metric.name: metric for metric in metrics}
    assert by_name["query_cpu_ms_1000"].value == pytest.approx(13.0)
    assert by_name["query_cpu_ms_75"].value == pytest.approx(5.0)
    assert by_name["query_cpu_ms_10000"].value is None
    assert by_name["bytes_per_query"].value == 500.0
    assert by_name["bytes_per_query"].ci95 == (400.0, 600.0)
    assert by_name["resident_mb_10000"].value == 15.0
    assert by_name["resident_mb_1000"].value is None
    assert [row["asked"] for row in tables["query_cpu"]] == [
        "an attack",
        "something new",
        "something new",
    ]
    assert [row["times_ours"] for row in tables["query_cpu_rivals"]] == [
        pytest.approx(2.0),
        None,
    ]
    assert tables["query_disk"][0]["bytes_most"] == 600
    json.dumps([tables, [metric.to_json() for metric in metrics]], allow_nan=False)
