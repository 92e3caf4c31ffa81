"""Natural evolution strategies: a gradient from pairs of opposite proposals.

Ilyas, Engstrom, Athalye, Lin: Black-box adversarial attacks with limited queries and
information, ICML 2018: antithetic Gaussian samples, the score's difference as
their weight, momentum, a step that shrinks. Theirs moves by the sign of the gradient in pixels;
this one by the gradient's direction in cells of time and frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from earmark.signal import Signal
from earmark_host.memory.attacks.basis import DEFAULT_CELLS, Basis, Cells, Weights, within
from earmark_host.memory.attacks.probe import DEFAULT_TERMS, Outcome, Probe, Terms, run
from earmark_host.memory.oracle import Oracle


@dataclass(frozen=True)
class NesSettings:
    """How NES searches.

    Parameters
    ----------
    terms : what the attacker may do.
    cells : where he looks.
    pairs : pairs of opposite proposals a gradient, >= 1.
    spread : rms of the weights that are added and taken away in a pair; 1 uses what the terms
        allow.
    step : rms of the first step; 1 goes to the bound at once.
    momentum : share of the last direction in the next, 0 .. 1.
    decay : factor on the step when it did not raise the score.
    least_step : the step shrinks no further.
    """

    terms: Terms = DEFAULT_TERMS
    cells: Cells = DEFAULT_CELLS
    pairs: int = 6
    spread: float = 0.5
    step: float = 0.3
    momentum: float = 0.5
    decay: float = 0.7
    least_step: float = 0.1


DEFAULT = NesSettings()
"""Settings of :func:`nes` that is given none."""


def nes(
    carrier: Signal,
    target: int,
    oracle: Oracle,
    rng: np.random.Generator,
    settings: NesSettings = DEFAULT,
) -> Outcome:
    """Look for a perturbation of `carrier` that is heard as `target`.

    Stops at the first query that is, a proposal of a pair too, or when the budget is spent.
    """
    probe = Probe(carrier, target, oracle, settings.terms)
    return run(probe, partial(search, settings=settings), rng)


def search(probe: Probe, rng: np.random.Generator, settings: NesSettings) -> None:
    """The search itself; see :data:`earmark_host.memory.attacks.probe.Search`."""
    basis = Basis(settings.cells, probe.carrier, probe.level, rng)
    weights = velocity = np.zeros(settings.cells.shape)
    step, last = settings.step, -np.inf
    while True:
        slope = gradient(probe, basis, weights, settings.pairs, settings.spread, rng)
        velocity = settings.momentum * velocity + (1.0 - settings.momentum) * slope
        weights = within(weights + step * direction(velocity))
        score = probe.score(basis(weights))
        if score is not None:
            if score <= last:
                step = max(settings.decay * step, settings.least_step)
            last = score


def gradient(
    probe: Probe,
    basis: Basis,
    weights: Weights,
    pairs: int,
    spread: float,
    rng: np.random.Generator,
) -> Weights:
    """Direction in which the score rises at `weights`, with an rms of 1.

    A pair with a withheld answer does not count; zero when none is left.
    """
    slope = np.zeros_like(weights)
    for _ in range(pairs):
        way = rng.standard_normal(weights.shape)
        offset = spread * probe.reach * way
        above = probe.score(basis(weights + offset))
        if above is None:
            continue
        below = probe.score(basis(weights - offset))
        if below is not None:
            slope += (above - below) * way
    return direction(slope)


def direction(weights: Weights) -> Weights:
    """`weights` with an rms of 1; zero stays zero."""
    size = float(np.sqrt(np.mean(weights**2)))
    return weights / size if size > 0.0 else weights
