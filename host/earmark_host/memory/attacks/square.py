"""Square attack on sound: a random patch of time and frequency is changed, and kept if it helps.

Andriushchenko, Croce, Flammarion, Hein: Square attack, ECCV 2020: random search that is always
at the bound, starts from stripes, and whose patches shrink with the number of queries. As in
their version for the L2 norm, what a patch gains is taken from elsewhere. Their stripes across
an image are bands along the whole sound here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from earmark.signal import Signal
from earmark_host.memory.attacks.basis import DEFAULT_CELLS, Basis, Cells
from earmark_host.memory.attacks.nes import direction
from earmark_host.memory.attacks.probe import DEFAULT_TERMS, Outcome, Probe, Terms, run
from earmark_host.memory.oracle import Oracle


@dataclass(frozen=True)
class SquareSettings:
    """How the square attack searches.

    Parameters
    ----------
    terms : what the attacker may do.
    cells : what patches are made of.
    share : of all cells in the first patches, 0 .. 1.
    halved_at : proposals after which the share is halved; theirs for 10,000, cut to 1,000.
    height : what is added to the weights of a patch or taken away, > 0, before all are scaled
        back to the bound; the others lose as much power as the patch gains.
    """

    terms: Terms = DEFAULT_TERMS
    cells: Cells = DEFAULT_CELLS
    share: float = 0.1
    halved_at: tuple[int, ...] = (20, 60, 150, 300, 600)
    height: float = 2.0


DEFAULT = SquareSettings()
"""Settings of :func:`square` that is given none."""


def square(
    carrier: Signal,
    target: int,
    oracle: Oracle,
    rng: np.random.Generator,
    settings: SquareSettings = DEFAULT,
) -> Outcome:
    """Look for a perturbation of `carrier` that is heard as `target`.

    Stops at the first query that is, or when the budget is spent.
    """
    probe = Probe(carrier, target, oracle, settings.terms)
    return run(probe, partial(search, settings=settings), rng)


def search(probe: Probe, rng: np.random.Generator, settings: SquareSettings) -> None:
    """The search itself; see :data:`earmark_host.memory.attacks.probe.Search`."""
    times, bands = settings.cells.shape
    basis = Basis(settings.cells, probe.carrier, probe.level, rng)
    weights = np.tile(rng.choice([-1.0, 1.0], bands), (times, 1))
    best = probe.score(basis(weights))
    proposals = 0
    while True:
        sides = patch(settings, proposals, probe.reach)
        first = [
            int(rng.integers(n - side + 1)) for n, side in zip((times, bands), sides, strict=True)
        ]
        proposal = weights.copy()
        inside = proposal[first[0] : first[0] + sides[0], first[1] : first[1] + sides[1]]
        inside += settings.height * rng.choice([-1.0, 1.0])
        proposal = direction(proposal)
        proposals += 1
        score = probe.score(basis(proposal))
        if score is not None and (best is None or score > best):
            weights, best = proposal, score


def patch(settings: SquareSettings, proposals: int, reach: float = 1.0) -> tuple[int, int]:
    """Times and bands of a patch after so many proposals; its sides grow with `reach`."""
    share = settings.share / 2 ** sum(proposals >= at for at in settings.halved_at)
    side = min(1.0, np.sqrt(share) * reach)
    times, bands = (max(1, round(side * n)) for n in settings.cells.shape)
    return times, bands
