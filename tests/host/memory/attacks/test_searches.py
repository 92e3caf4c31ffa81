"""What each search is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.attacks import Terms, genetic, nes, simba, square
from earmark_host.memory.attacks.basis import Basis, Cells
from earmark_host.memory.attacks.probe import Perturbation, Probe, Won, run
from earmark_host.memory.attacks.square import SquareSettings, patch
from earmark_host.memory.oracle import Answer

from .conftest import Device, Toy

CELLS = Cells(6, 6)


class Slope(Probe):
    """A probe whose score is linear in the perturbation."""

    def __init__(self, carrier: Signal, towards: Perturbation, every: int = 0) -> None:
        super().__init__(carrier, 0, Unasked(), Terms())
        self.towards, self.every, self.asked = towards, every, 0

    def score(self, delta: Perturbation) -> float | None:
        self.asked += 1
        if self.every and self.asked % self.every == 0:
            return None
        return float(self.towards @ delta)


class Scripted(Probe):
    """A probe that notes what it is asked and answers from a script, then stops."""

    def __init__(self, carrier: Signal, scores: Iterable[float]) -> None:
        super().__init__(carrier, 0, Unasked(), Terms())
        self.script = iter(scores)
        self.deltas: list[Perturbation] = []

    def score(self, delta: Perturbation) -> float | None:
        self.deltas.append(delta)
        score = next(self.script, None)
        if score is None:
            raise Won
        return score


class Unasked:
    def ask(self, signal: Signal, fake: bool = False, snr_db: float | None = None) -> Answer:
        raise AssertionError("nobody asks")


@pytest.fixture
def noise() -> Signal:
    return (0.1 * np.random.default_rng(3).standard_normal(RATE_HZ // 2)).astype(np.float32)


def found(probe: Slope, pairs: int) -> tuple[float, NDArray[np.float64]]:
    """Cosine between the gradient found and the true one, and the former."""
    basis = Basis(CELLS, probe.carrier, 0.01, np.random.default_rng(0))
    units = np.eye(36).reshape(36, 6, 6)
    true = np.array([probe.towards @ basis(unit) for unit in units])
    slope = nes.gradient(probe, basis, np.zeros((6, 6)), pairs, 0.5, np.random.default_rng(1))
    return float(true @ slope.ravel() / np.linalg.norm(true) / np.linalg.norm(slope)), slope


def test_the_gradient_points_upwards(noise: Signal) -> None:
    towards = np.random.default_rng(4).standard_normal(noise.size)
    cosine, slope = found(Slope(noise, towards), 400)
    assert cosine > 0.9
    assert np.sqrt(np.mean(slope**2)) == pytest.approx(1.0)


def test_withheld_halves_do_not_bend_the_gradient(noise: Signal) -> None:
    towards = np.random.default_rng(4).standard_normal(noise.size)
    assert found(Slope(noise, towards, every=3), 600)[0] > 0.9


def test_no_answers_give_no_gradient_and_cost_one_query_a_pair(noise: Signal) -> None:
    probe = Slope(noise, noise.astype(np.float64), every=1)
    basis = Basis(CELLS, noise, 0.01, np.random.default_rng(0))
    slope = nes.gradient(probe, basis, np.zeros((6, 6)), 10, 0.5, np.random.default_rng(1))
    assert not slope.any()
    assert probe.asked == 10


def steps(noise: Signal, scores: Iterable[float]) -> list[float]:
    """Lengths of the steps of NES with one pair each, where queries are answered so."""
    probe = Scripted(noise, scores)
    settings = replace(nes.DEFAULT, pairs=1, step=0.1, decay=0.5, least_step=0.03, momentum=0.0)
    run(probe, partial(nes.search, settings=settings), np.random.default_rng(0))
    middles = [(a + b) / 2.0 for a, b in zip(probe.deltas[::3], probe.deltas[1::3], strict=True)]
    moves = [b - a for a, b in pairwise(middles)]
    return [float(np.sqrt(np.mean(move**2))) / probe.level for move in moves]


def test_the_step_of_nes_shrinks_only_where_the_score_does_not_rise(noise: Signal) -> None:
    rising = steps(noise, [0.0, 0.1, 1.0, 0.0, 0.1, 2.0, 0.0, 0.1, 3.0, 0.0, 0.1])
    assert rising == pytest.approx([0.1] * 3, rel=0.3)
    falling = steps(noise, [0, 0.1, 4, 0, 0.1, 3, 0, 0.1, 2, 0, 0.1, 1, 0, 0.1, 0, 0, 0.1])
    assert falling == pytest.approx([0.1, 0.1, 0.05, 0.03, 0.03], rel=0.3)


def test_simba_goes_back_where_it_came_from_when_a_step_does_not_help(
    carrier: Signal, toy: Toy
) -> None:
    """Every query differs from the best one so far in one cell: the carrier at first."""
    device = Device(toy, 40)
    settings = replace(simba.DEFAULT, cells=CELLS)
    simba.simba(carrier, 3, device, np.random.default_rng(0), settings)
    leads = [scores[3] - np.delete(scores, 3).max() for scores in device.leads]
    deltas = [signal - carrier for signal in device.asked]
    assert not deltas[0].any()
    if leads[1] <= leads[0]:
        assert np.corrcoef(deltas[1], deltas[2])[0, 1] == pytest.approx(-1.0, abs=1e-3)
    best = 0
    for index in range(1, len(deltas)):
        changed = deltas[index] - deltas[best]
        assert np.linalg.norm(changed) > 0.0
        best = index if leads[index] > leads[best] else best
    assert best > 3


def test_square_is_always_at_the_bound(carrier: Signal, toy: Toy) -> None:
    device = Device(toy, 30)
    square.square(carrier, 3, device, np.random.default_rng(0))
    assert all(snr == pytest.approx(10.0, abs=1.0) for snr in device.snrs_db)


def test_square_stays_at_the_bound_by_itself(noise: Signal) -> None:
    """However many patches it keeps: or the later ones would count for less and less."""
    probe = Scripted(noise, range(100))
    run(probe, partial(square.search, settings=square.DEFAULT), np.random.default_rng(0))
    levels = [float(np.sqrt(np.mean(delta**2))) / probe.level for delta in probe.deltas]
    assert levels == pytest.approx([1.0] * 101, rel=0.5)


def test_patches_shrink_with_the_queries_and_grow_with_the_reach() -> None:
    settings = SquareSettings(cells=Cells(20, 10), share=0.25, halved_at=(10, 20))
    assert patch(settings, 0) == (10, 5)
    assert patch(settings, 9) == (10, 5)
    assert patch(settings, 10) == (7, 4)
    assert patch(settings, 20) == (5, 2)
    assert patch(settings, 20, 2.0) == (10, 5)
    assert patch(settings, 0, 3.0) == (20, 10)
    assert patch(replace(settings, share=1e-6), 0) == (1, 1)


def test_no_proposal_of_square_repeats_the_best_one(carrier: Signal, toy: Toy) -> None:
    device = Device(toy, 60)
    square.square(carrier, 3, device, np.random.default_rng(1))
    assert len({signal.tobytes() for signal in device.asked}) > 0.8 * len(device.asked)


def test_the_elite_lives_on_and_is_not_asked_again(carrier: Signal, toy: Toy) -> None:
    hard = Toy(carrier)
    hard.offset[3] -= 100.0
    device = Device(hard, 120)
    genetic.genetic(carrier, 3, device, np.random.default_rng(0))
    assert len({signal.tobytes() for signal in device.asked}) == 120


def generations(
    noise: Signal, count: int, near: float, mutation: float = 1.0, gain: float = 0.01
) -> list[Perturbation]:
    """What is asked where the first one of all is the best, by far, for ever."""
    probe = Scripted(noise, [-1.0, *[-9.0] * (6 + 4 * (count - 1) - 2)])
    settings = replace(
        genetic.DEFAULT,
        temperature=1e-6,
        mutation=mutation,
        momentum=1.0,
        mutation_size=0.05,
        gain=gain,
        near=near,
    )
    run(probe, partial(genetic.search, settings=settings), np.random.default_rng(0))
    return probe.deltas


def test_the_best_one_is_a_parent_until_there_is_a_better_one(noise: Signal) -> None:
    best, *others = generations(noise, 5, 0.0)
    away = [float(np.linalg.norm(delta - best) / np.linalg.norm(best)) for delta in others[5:]]
    assert away == pytest.approx([0.05] * len(away), rel=0.3)


def test_mutation_sets_in_where_the_best_score_stands_still(noise: Signal) -> None:
    best, *others = generations(noise, 3, 0.0, mutation=0.0, gain=genetic.STANDSTILL)
    second, third = others[5:9], others[9:]
    assert all(np.allclose(child, best) for child in second)
    assert len(third) == 4
    assert not any(np.allclose(child, best) for child in third)


@pytest.mark.parametrize(("near", "follows"), [(0.5, False), (2.0, True)])
def test_the_gradient_is_asked_for_only_near_the_goal(
    noise: Signal, near: float, follows: bool
) -> None:
    best, *others = generations(noise, 5, near)
    pairs = pairwise(others)
    assert any(np.allclose(a + b, 2.0 * best) for a, b in pairs) is follows


def test_without_mutation_and_crossing_a_generation_is_the_last_one(
    carrier: Signal, toy: Toy
) -> None:
    """Children of the best one alone, unmutated, are the best one."""
    settings = replace(
        genetic.DEFAULT, temperature=1e-6, mutation=0.0, gain=0.0, population=6, near=0.0
    )
    device = Device(toy, 14)
    genetic.genetic(carrier, 3, device, np.random.default_rng(0), settings)
    leads = [scores[3] - np.delete(scores, 3).max() for scores in device.leads]
    best = device.asked[int(np.argmax(leads[:6]))]
    if len(device.asked) == 14:
        assert all(np.allclose(child, best, atol=1e-6) for child in device.asked[6:])
