"""SimBA: one direction after the other, kept when the score rises.

Guo, Gardner, You, Wilson, Weinberger: Simple black-box adversarial attacks, ICML 2019,
Algorithm 1: directions of an orthonormal basis in random order without repetition, a step one
way and, if that does not help, the other way. Their low frequencies of the DCT are here the
cells of time and frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from earmark.signal import Signal
from earmark_host.memory.attacks.basis import DEFAULT_CELLS, Basis, Cells
from earmark_host.memory.attacks.probe import DEFAULT_TERMS, Outcome, Probe, Terms, run
from earmark_host.memory.oracle import Oracle


@dataclass(frozen=True)
class SimbaSettings:
    """How SimBA searches.

    Parameters
    ----------
    terms : what the attacker may do.
    cells : the directions.
    step : change of one weight, > 0. With c cells, (sqrt(c) / step) ** 2 steps in different
        cells use what the terms allow.
    """

    terms: Terms = DEFAULT_TERMS
    cells: Cells = DEFAULT_CELLS
    step: float = 4.0


DEFAULT = SimbaSettings()
"""Settings of :func:`simba` that is given none."""


def simba(
    carrier: Signal,
    target: int,
    oracle: Oracle,
    rng: np.random.Generator,
    settings: SimbaSettings = DEFAULT,
) -> Outcome:
    """Look for a perturbation of `carrier` that is heard as `target`; the carrier comes first.

    Stops at the first query that is, or when the budget is spent.
    """
    probe = Probe(carrier, target, oracle, settings.terms)
    return run(probe, partial(search, settings=settings), rng)


def search(probe: Probe, rng: np.random.Generator, settings: SimbaSettings) -> None:
    """The search itself; see :data:`earmark_host.memory.attacks.probe.Search`."""
    basis = Basis(settings.cells, probe.carrier, probe.level, rng)
    weights = np.zeros(settings.cells.shape)
    best = probe.score(basis(weights))
    while True:
        for cell in rng.permutation(weights.size):
            for sign in (1.0, -1.0):
                proposal = weights.copy()
                proposal.flat[cell] += sign * settings.step * probe.reach
                score = probe.score(basis(proposal))
                if score is not None and (best is None or score > best):
                    weights, best = proposal, score
                    break
