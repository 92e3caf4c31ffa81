"""Pairs of queries, compared and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pytest

from earmark.memory.neighbours import NeighboursLimits
from earmark.signal import RATE_HZ
from earmark_host import cli
from earmark_host.bench.memory import Part
from earmark_host.bench.memory.attacks_run import Trial
from earmark_host.bench.memory.likeness import (
    FULL,
    QUICK,
    Attacked,
    Others,
    Seen,
    Takes,
    hold,
    pieces,
    ratios,
)
from earmark_host.bench.memory.likeness_figures import figures
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.report import Row
from earmark_host.bench.statistics import proportion_interval
from earmark_host.memory.benign import Pairs, word_sets
from earmark_host.memory.evasion import with_own_noise
from earmark_host.memory.stream import Query, Stream

CHANGED = [
    "digital",
    "ota20",
    "ota10",
    "noise_0",
    "noise_minus_5",
    "speed_2",
    "trim_250ms",
]


@dataclass
class Undefended:
    """An attack that sends one melody over and over, with a little noise."""

    snr_db: float

    def run(self, attack: str, queries: int, rng: np.random.Generator) -> Stream:
        notes_hz = np.random.default_rng(1).uniform(300.0, 3000.0, (20, 3))
        time_s = np.arange(RATE_HZ // 10) / RATE_HZ
        tones = np.sin(2.0 * np.pi * notes_hz[:, :, None] * time_s).sum(axis=1)
        sound = (0.1 * tones * np.hanning(time_s.size)).ravel().astype(np.float32)
        stream = Stream(attack, "speech", [Query(sound, float(n)) for n in range(queries)])
        return with_own_noise(stream, self.snr_db, "white", rng)


@pytest.fixture
def attacked(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], dict[str, Seen]]:
    def hear(snr_db: float) -> dict[str, Seen]:
        monkeypatch.setattr(
            Trial, "begin", lambda *_: (Undefended(snr_db), np.random.default_rng(2))
        )
        piece = next(each for each in pieces(QUICK) if isinstance(each, Attacked))
        return {seen.pairs: seen for seen in hold(setup, piece)}

    return hear


def test_the_ratio_is_likeness_over_the_limit_of_the_peaks() -> None:
    limits = NeighboursLimits(floor=0.1, slope=2.0, mean=0.1, approved=0.6)
    pairs = Pairs(np.array([25, 100]), np.array([0.5, 0.6]))
    assert ratios(pairs, limits).tolist() == pytest.approx([1.0, 2.0])
    assert ratios(Pairs.of([]), limits).size == 0


def test_every_set_of_takes_is_in_one_piece(setup: Setup) -> None:
    sets = word_sets(setup.material)
    held = [hold(setup, Takes(first, 3, None)) for first in range(3)]
    groups = [group for seen in chain.from_iterable(held) for group in seen.groups]
    assert len(groups) == len(sets) == 16
    # Each of three takes is heard three times: nine pairs of each two takes.
    assert {group.size for group in groups} <= set(range(28))
    assert max(group.size for group in groups) == 27
    [few] = hold(setup, Takes(0, 3, 2))
    assert len(few.groups) == 2
    assert np.array_equal(few.groups[0], held[0][0].groups[0])


def test_pairs_of_others_are_each_a_group_below_the_limit(setup: Setup) -> None:
    phrase, sentences = hold(setup, Others(0, 30))
    assert (phrase.pairs, sentences.pairs) == ("same_phrase_others", "different_sentences")
    assert {group.size for seen in (phrase, sentences) for group in seen.groups} == {1}
    assert len(sentences.groups) == 30
    assert max(group[0] for group in sentences.groups) < 1.0
    other = hold(setup, Others(1, 30))[1]
    assert [group[0] for group in other.groups] != [group[0] for group in sentences.groups]


def test_an_attack_is_compared_in_every_way(
    attacked: Callable[[float], dict[str, Seen]],
) -> None:
    seen = attacked(30.0)
    assert list(seen) == CHANGED
    medians = {name: float(np.median(np.concatenate(each.groups))) for name, each in seen.items()}
    assert {sum(group.size for group in each.groups) for each in seen.values()} == {5}
    assert min(medians["ota20"], medians["ota10"]) > 1.0
    assert len(set(medians.values())) == len(medians)
    assert medians["digital"] > medians["noise_0"] > medians["noise_minus_5"]
    assert medians["digital"] > medians["trim_250ms"] > 1.0
    # A quarter of a percent is left between 2 % and the speeds that are looked at.
    assert medians["digital"] > medians["speed_2"] > 1.0


def test_pairs_are_of_two_queries(attacked: Callable[[float], dict[str, Seen]]) -> None:
    """Under a noise of its own no query is like any other; each would be like itself."""
    assert max(map(max, attacked(-30.0)["digital"].groups)) < 1.0


def test_there_are_pieces_of_every_kind() -> None:
    for plan in (FULL, QUICK):
        kinds = [type(piece).__name__ for piece in pieces(plan)]
        assert kinds.count("Attacked") == 2 * len(plan.attacks) * plan.runs
        assert (kinds.count("Others"), kinds.count("Takes")) == (plan.others, plan.shards)


# -- figures --------------------------------------------------------------------------------


def counted(*seen: Seen) -> dict[str, list[Row]]:
    metrics, tables = figures([[each] for each in seen], QUICK, 1)
    assert metrics == []
    json.dumps(tables, allow_nan=False)
    return tables


def test_a_row_has_quantiles_and_the_share_over_the_limit() -> None:
    benign = Seen("same_person", [np.linspace(0.0, 0.999, 1000), np.array([1.0, 1.5])])
    attack = Seen("digital", [np.array([0.5, 2.0, 2.0, 3.0])])
    first, second = counted(attack, benign)["likeness"]
    assert (first["pairs"], first["groups"], first["n"]) == ("same_person", 2, 1002)
    assert first["p5"] is None
    assert first["p99_9"] == pytest.approx(np.quantile(np.concatenate(benign.groups), 0.999))
    assert first["over_limit_share"] == pytest.approx(1 / 1002)  # what is at the limit is not over
    assert (second["pairs"], second["median"], second["p99_9"]) == ("digital", 2.0, None)
    assert second["p5"] == pytest.approx(np.quantile([0.5, 2.0, 2.0, 3.0], 0.05))
    assert second["over_limit_share"] == 0.75


def test_the_interval_is_over_streams_and_not_over_pairs() -> None:
    wide = [np.full(50, 2.0), np.full(50, 0.5), np.full(50, 2.0), np.full(50, 0.5)]
    low, high = counted(Seen("noise_0", wide))["likeness"][0]["ci95"]
    assert (low, high) == (0.0, 1.0)
    one_by_one = [np.array([value]) for group in wide for value in group]
    low, high = counted(Seen("noise_0", one_by_one))["likeness"][0]["ci95"]
    assert 0.4 < low < 0.5 < high < 0.6


def test_a_single_hit_has_the_exact_interval_at_least() -> None:
    alone = [np.array([2.0]), *(np.array([0.5]) for _ in range(999))]
    low, high = counted(Seen("same_phrase_others", alone))["likeness"][0]["ci95"]
    exact = proportion_interval(1, 1000)
    assert low <= exact[0]
    assert high == exact[1]  # drawn again, 1 in 1,000 comes 3 times at most


def test_the_histogram_has_all_pairs_in_bars_that_hold_them() -> None:
    values = np.array([0.0, 0.3, 0.35, 1.0, 4.41, 0.7])  # .3 and .7 are not so in binary
    rows = counted(Seen("digital", [values]))["likeness_histogram"]
    bars = {(row["from"], row["to"]): row["share"] for row in rows}
    sixth = pytest.approx(1 / 6)
    assert bars == {
        (0.0, 0.1): sixth,
        (0.3, 0.4): pytest.approx(2 / 6),
        (0.7, 0.8): sixth,
        (1.0, 1.1): sixth,
        (4.4, 4.5): sixth,
    }


def test_pairs_of_several_pieces_are_counted_together() -> None:
    some = Seen("ota20", [np.array([2.0])])
    [row] = counted(some, replace(some, groups=[np.array([0.5]), np.empty(0)]))["likeness"]
    assert (row["groups"], row["n"], row["over_limit_share"]) == (2, 2, 0.5)


def test_without_pairs_there_are_no_rows() -> None:
    assert counted(Seen("digital", [np.empty(0)])) == {"likeness": [], "likeness_histogram": []}


def test_the_command_line_knows_the_parts() -> None:
    assert [part.value for part in cli.MemoryPart] == [part.value for part in Part]
    assert list(Part)[-2:] == [Part.LIKENESS, Part.CPU]
