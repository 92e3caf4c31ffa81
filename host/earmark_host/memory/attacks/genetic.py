"""A genetic attack: a population of perturbations, crossed and mutated.

Alzantot, Balaji, Srivastava: Did you hear that?, NIPS 2017 workshop, arXiv:1801.00554: parents
drawn by a softmax of the scores, each gene from one of them, random mutation. Taori, Kamsetty,
Chu, Vemuri: Targeted adversarial examples for black box audio systems, 2019: mutation that rises
while the score stands still, and a gradient estimated near the goal. A gene is a cell of time
and frequency here, a sample there; so a few perturbations do, and tens of generations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from earmark.signal import Signal
from earmark_host.memory.attacks.basis import DEFAULT_CELLS, Basis, Cells, Weights, within
from earmark_host.memory.attacks.nes import gradient
from earmark_host.memory.attacks.probe import DEFAULT_TERMS, Outcome, Probe, Terms, run
from earmark_host.memory.oracle import Oracle

STANDSTILL = 1e-3
"""Least change of the score that momentum divides by, units of the score."""

LEAST_ODDS = 1e-12
"""Least odds of a parent, relative to the best one's: none is 0, so that any two can be drawn."""


@dataclass(frozen=True, eq=False)
class Member:
    """One perturbation of a generation, with its score."""

    score: float
    weights: Weights


@dataclass(frozen=True)
class GeneticSettings:
    """How the genetic attack searches.

    Parameters
    ----------
    terms : what the attacker may do.
    cells : the genes.
    population : perturbations in a generation, > elite.
    elite : best ones that live on unchanged, >= 1.
    temperature : of the softmax that draws parents, in standard deviations of the scores; small:
        only the best have children.
    mutation : chance that a gene of a child mutates, in the first generation.
    mutation_size : standard deviation of a mutation; genes have an rms of 1 at most.
    momentum, gain : the chance of mutation becomes momentum * chance + gain / |rise of the best
        score|, 1 at most (momentum mutation, Taori et al.).
    near : at this distance of the score from a win, or less, the best one also follows a gradient.
        Taori et al. wait longer; their genetic part is slower, too.
    pairs, spread, step : of that gradient, as for NES.
    """

    terms: Terms = DEFAULT_TERMS
    cells: Cells = DEFAULT_CELLS
    population: int = 6
    elite: int = 2
    temperature: float = 0.3
    mutation: float = 0.3
    mutation_size: float = 0.5
    momentum: float = 0.9
    gain: float = 0.01
    near: float = 5.0
    pairs: int = 6
    spread: float = 0.3
    step: float = 0.4


DEFAULT = GeneticSettings()
"""Settings of :func:`genetic` that is given none."""


def genetic(
    carrier: Signal,
    target: int,
    oracle: Oracle,
    rng: np.random.Generator,
    settings: GeneticSettings = DEFAULT,
) -> Outcome:
    """Look for a perturbation of `carrier` that is heard as `target`.

    Stops at the first query that is, or when the budget is spent.
    """
    probe = Probe(carrier, target, oracle, settings.terms)
    return run(probe, partial(search, settings=settings), rng)


def search(probe: Probe, rng: np.random.Generator, settings: GeneticSettings) -> None:
    """The search itself; see :data:`earmark_host.memory.attacks.probe.Search`.

    Only those whose score is known are parents: a withheld answer is the end of a child.
    """
    basis = Basis(settings.cells, probe.carrier, probe.level, rng)
    members: list[Member] = []
    chance, best = settings.mutation, -np.inf
    while True:
        children = _children(members, chance, probe.reach, settings, rng)
        if members and members[0].score > -settings.near:
            weights = members[0].weights
            slope = gradient(probe, basis, weights, settings.pairs, settings.spread, rng)
            children.append(within(weights + settings.step * slope))
        members = members[: settings.elite]
        for child in children:
            score = probe.score(basis(child))
            if score is not None:
                members.append(Member(score, child))
        members.sort(key=lambda member: member.score, reverse=True)
        if members:
            rise = max(STANDSTILL, abs(members[0].score - best))
            chance = min(1.0, settings.momentum * chance + settings.gain / rise)
            best = members[0].score


def _children(
    members: list[Member],
    chance: float,
    reach: float,
    settings: GeneticSettings,
    rng: np.random.Generator,
) -> list[Weights]:
    """The next generation without the elite; random where there are not two parents."""
    shape = settings.cells.shape
    if len(members) < 2:
        return [within(rng.standard_normal(shape)) for _ in range(settings.population)]
    odds = _softmax(np.array([member.score for member in members]), settings.temperature)
    children = []
    for _ in range(settings.population - settings.elite):
        one, other = rng.choice(len(members), 2, p=odds)
        from_one = rng.random(shape) < odds[one] / (odds[one] + odds[other])
        child: Weights = np.where(from_one, members[one].weights, members[other].weights)
        mutates = rng.random(shape) < chance
        mutation = settings.mutation_size * reach * rng.standard_normal(shape)
        children.append(within(child + mutates * mutation))
    return children


def _softmax(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Chance of each to be a parent; never 0, all alike where all scores are."""
    spread = max(STANDSTILL, float(np.std(scores)))
    odds = np.maximum(np.exp((scores - scores.max()) / (temperature * spread)), LEAST_ODDS)
    return np.asarray(odds / odds.sum())
