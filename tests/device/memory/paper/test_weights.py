"""The weights of the paper, against examples that were computed by hand."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

from earmark.memory.paper.settings import Weighting
from earmark.memory.paper.weights import lengths, scores, weights

ALL = get_args(Weighting)


def by_definition(row: list[float], weighting: str, depth: int) -> list[float]:
    """The coefficients before they are divided by their sum, window by window."""
    out = []
    for index, length in enumerate(lengths(len(row), depth)):
        half = max(1, length // 2)
        window = row[max(0, index - half) : index + half + 1]
        mean = math.fsum(window) / len(window)
        std = math.sqrt(math.fsum((x - mean) ** 2 for x in window) / len(window))
        a = 0.0 if mean == 0.0 else 1.0 - std / mean
        out.append(max(a, 0.0) if weighting == "clip" else a)
    return out


def test_the_schedule_of_the_paper() -> None:
    assert lengths(13) == [2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 7, 3, 4]


def test_the_schedule_follows_the_depth() -> None:
    assert lengths(4, 10) == [2, 2, 2, 2]
    assert lengths(6, 30) == [2, 3, 2, 3, 2, 3]
    assert lengths(12, 100) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 5, 6, 7]


def test_three_values_by_hand() -> None:
    # Windows of 1 on either side (l = 2, 3) and of 2 (l = 4), all cut to what there is:
    # (.2, .4): mean .3, std .1 -> 2/3. (.2, .4, .6), twice: mean .4, std sqrt(.08 / 3).
    even = 1.0 - math.sqrt(0.08 / 3.0) / 0.4
    total = 2.0 / 3.0 + 2.0 * even
    found = weights(np.array([0.2, 0.4, 0.6]), "clip")
    np.testing.assert_allclose(found, [2 / 3 / total, even / total, even / total], atol=1e-7)
    wanted = (0.2 * 2 / 3 + 0.4 * even + 0.6 * even) / total
    assert scores(np.array([[0.2, 0.4, 0.6]]), "clip")[0] == pytest.approx(wanted, abs=1e-7)


def test_a_negative_coefficient_is_clipped_or_kept() -> None:
    # Depth 10: one neighbour on either side. (.9, .9) -> 1; (.9, .9, 0): mean .6,
    # std sqrt(.18) -> 1 - sqrt(.5); (.9, 0, 0): mean .3, std sqrt(.18) -> 1 - sqrt(2) < 0;
    # (0, 0) -> 0.
    row = np.array([0.9, 0.9, 0.0, 0.0])
    some, below = 1.0 - math.sqrt(0.5), 1.0 - math.sqrt(2.0)
    clip = weights(row, "clip", 10)
    np.testing.assert_allclose(clip, np.array([1.0, some, 0.0, 0.0]) / (1.0 + some), atol=1e-7)
    raw = weights(row, "raw", 10)
    wanted = np.array([1.0, some, below, 0.0]) / (1.0 + some + below)
    np.testing.assert_allclose(raw, wanted, atol=1e-7)
    assert scores(row[None], "clip", 10)[0] == pytest.approx(0.9)
    assert scores(row[None], "raw", 10)[0] == pytest.approx(0.9 * (1 + some) / (1 + some + below))


def test_the_mean_has_no_weights() -> None:
    assert weights(np.array([0.9, 0.9, 0.0, 0.0]), "mean").tolist() == [0.25] * 4
    assert scores(np.array([[0.8, 0.4, 0.0]]), "mean")[0] == pytest.approx(0.4)


def test_official_scales_within_the_memory_and_keeps_negative_weights() -> None:
    row = np.array([0.5, 0.5, 0.1, 0.1])
    scaled = np.array([1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(weights(row, "official", 10), weights(scaled, "raw", 10))
    assert scores(row[None], "official", 10)[0] == pytest.approx(scores(scaled[None], "raw", 10)[0])


def test_official_of_equal_values_is_zero() -> None:
    assert scores(np.array([[0.7, 0.7, 0.7], [0.7, 0.7, 0.7]]), "official").tolist() == [0.0, 0.0]


def test_official_cannot_tell_an_attack_among_fakes_from_chance() -> None:
    """The cause of the collapse: one look-alike in three scores the same at .9 and at .03."""
    attack = np.zeros((1, 75))
    attack[:, ::3] = 0.9
    household = attack / 30.0
    assert scores(household, "official")[0] == pytest.approx(scores(attack, "official")[0])
    assert scores(household, "clip")[0] == pytest.approx(scores(attack, "clip")[0] / 30.0)


@pytest.mark.parametrize("weighting", ALL)
def test_nothing_alike_scores_zero_with_equal_weights(weighting: Weighting) -> None:
    row = np.zeros(8)
    assert weights(row, weighting).tolist() == [0.125] * 8
    assert scores(row[None], weighting).tolist() == [0.0]


@pytest.mark.parametrize("row", [[0.3, 0.0], [0.0, 2.0 - 3.0**0.5, 1.0]])
@pytest.mark.parametrize("weighting", ["clip", "raw"])
def test_coefficients_that_are_zero_but_for_rounding_give_equal_weights(
    weighting: Weighting, row: list[float]
) -> None:
    # A window of x and 0 has its std equal to its mean; so has one of 0, 2 - sqrt(3), 1.
    assert weights(np.array(row), weighting).tolist() == [1.0 / len(row)] * len(row)


def test_a_negative_sum_of_raw_coefficients_is_divided_by_all_the_same() -> None:
    # (1, 0) -> 0; (1, 0, 0), for the second and the third: 1 - sqrt(2) both.
    np.testing.assert_allclose(weights(np.array([1.0, 0.0, 0.0]), "raw"), [0.0, 0.5, 0.5])
    np.testing.assert_allclose(weights(np.array([1.0, 0.0, 0.0]), "clip"), [1 / 3] * 3)


@pytest.mark.parametrize("weighting", ALL)
@pytest.mark.parametrize("depth", [10, 75, 200])
def test_whole_matrices_as_by_definition(weighting: Weighting, depth: int) -> None:
    rng = np.random.default_rng(1)
    table = rng.uniform(0.1, 1.0, (20, depth))
    table[:, 3:6] = 0.0
    found = scores(table, weighting, depth)
    for row, score in zip(table, found, strict=True):
        values = row
        if weighting == "official":
            values = (row - row.min()) / (row.max() - row.min())
        plain = [1.0] * depth if weighting == "mean" else None
        a = np.array(plain or by_definition(values.tolist(), weighting, depth))
        assert score == pytest.approx(float(values @ a / a.sum()), rel=1e-5)
        assert weights(row, weighting, depth).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("weighting", ["clip", "mean"])
def test_equal_similarities_are_the_score(weighting: Weighting) -> None:
    assert scores(np.full((1, 30), 0.3), weighting)[0] == pytest.approx(0.3)


def test_one_remembered_query_is_the_score() -> None:
    assert scores(np.array([[0.3]]), "clip").tolist() == [0.3]
