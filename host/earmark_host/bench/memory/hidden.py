"""Attack queries among fakes: what the paper's weights do to them, and which step does it.

Guo et al. 2023, adaptive attack A2. Everything here is fingerprinted already, so that one attack
can be hidden at many shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from earmark.memory.paper import PaperFingerprint, cosines, scores, weights
from earmark.memory.paper.settings import Weighting
from earmark_host.bench.memory.watch import Marked
from earmark_host.memory.random_streams import similarities, windows
from earmark_host.memory.simulated import INTERVAL_S

BENIGN_SHARE = 0.001
"""Share of benign queries that may alarm (Guo et al. 2023, "Parameter selection")."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Variant:
    """One way from similarities to a score: two steps, each there or not.

    Parameters
    ----------
    stretched : the similarities of a memory are scaled to 0..1 first (min-max).
    clipped : a coefficient below 0 becomes 0.
    """

    stretched: bool
    clipped: bool

    def scores(self, rows: _Floats) -> _Floats:
        """One score for each row of similarities, shape (n,)."""
        return scores(self.similar(rows), self._weighting, rows.shape[1])

    def weights(self, row: _Floats) -> _Floats:
        """The weights of one row, shape (m,), with the sum 1."""
        return weights(self.similar(row[None])[0], self._weighting, row.size)

    def similar(self, rows: _Floats) -> _Floats:
        """The similarities as they are weighted."""
        return stretched(rows) if self.stretched else rows

    @property
    def _weighting(self) -> Weighting:
        return "clip" if self.clipped else "raw"


VARIANTS = tuple(
    Variant(min_max, clipped) for min_max in (True, False) for clipped in (False, True)
)
"""``official``, what is left of it without either of its steps, and ``clip``."""


@dataclass(frozen=True)
class CauseSeen:
    """What became of the attack queries of one stream at one share of fakes.

    Parameters
    ----------
    share : of fakes.
    variant : how they were scored.
    threshold : what one in a thousand of the benign windows is over.
    queries : attack queries that met a full memory.
    flagged : how many of them were over the threshold.
    score : their median.
    attack_weight : weight of the attack's own queries in the memory together, median.
    negative_weight : sum of the negative weights, median: where the coefficients nearly cancel
        each other out, dividing by their sum makes some weights as large as one likes.
    fake_likeness, attack_likeness : similarity of the fakes and of the attack's own queries as it
        is weighted, mean; None where there are none.
    """

    share: float
    variant: Variant
    threshold: float
    queries: int
    flagged: int
    score: float
    attack_weight: float
    negative_weight: float
    fake_likeness: float | None
    attack_likeness: float | None


def stretched(rows: _Floats) -> _Floats:
    """Each row scaled to 0..1, a row of equal values to 0, as ``official`` does."""
    low = rows.min(axis=1, keepdims=True)
    span = rows.max(axis=1, keepdims=True) - low
    return np.asarray(np.divide(rows - low, span, out=np.zeros_like(rows), where=span > 0.0))


def hidden(
    real: Sequence[Marked], fakes: Sequence[Marked], share: float, rng: np.random.Generator
) -> list[Marked]:
    """The attack's queries in their order among fakes, one query each :data:`INTERVAL_S`.

    As :func:`earmark_host.memory.evasion.with_fakes` does with sounds: each query of the attack
    has a stretch of 1 / (1 - share) for itself and lies anywhere in it; each fake is taken once
    before any comes again.
    """
    edges = np.floor(np.arange(len(real) + 1) / (1.0 - share) + 1e-9).astype(np.int64)
    own = set(rng.integers(edges[:-1], edges[1:]).tolist())
    attack = iter(real)
    deck: list[int] = []
    mixed: list[Marked] = []
    for place in range(int(edges[-1])):
        if place in own:
            mark = next(attack)
        else:
            deck = deck or rng.permutation(len(fakes)).tolist()
            mark = fakes[deck.pop()]
        mixed.append(replace(mark, at_s=place * INTERVAL_S))
    return mixed


def benign_thresholds(
    fakes: Sequence[Marked], depth: int, count: int, rng: np.random.Generator
) -> dict[Variant, float]:
    """What :data:`BENIGN_SHARE` of random queries with random memories score over, no attack.

    Parameters
    ----------
    fakes : more than `depth` of them.
    depth : of a memory, queries.
    count : how many queries are drawn.
    """
    _, rows = windows(similarities([_plain(fake) for fake in fakes]), depth, count, rng)
    return {
        variant: float(np.quantile(variant.scores(rows), 1.0 - BENIGN_SHARE))
        for variant in VARIANTS
    }


def causes(
    mixed: Sequence[Marked], share: float, depth: int, thresholds: Mapping[Variant, float]
) -> list[CauseSeen]:
    """Score the attack queries of a stream in all variants; a memory is never cleared.

    Returns
    -------
    list[CauseSeen]
        One for each variant; none where no attack query meets a full memory.
    """
    prints = [_plain(mark) for mark in mixed]
    fake = np.array([mark.fake for mark in mixed])
    places = [place for place in range(depth, len(mixed)) if not fake[place]]
    if not places:
        return []
    rows = np.stack([cosines(prints[at], prints[at - depth : at]) for at in places])
    fakes = np.stack([fake[at - depth : at] for at in places])
    return [
        _cause(variant, share, rows, fakes, threshold) for variant, threshold in thresholds.items()
    ]


def _cause(
    variant: Variant, share: float, rows: _Floats, fakes: NDArray[np.bool_], threshold: float
) -> CauseSeen:
    similar = variant.similar(rows)
    alpha = np.stack([variant.weights(row) for row in rows])
    values = variant.scores(rows)
    return CauseSeen(
        share,
        variant,
        threshold,
        len(rows),
        int(np.count_nonzero(values > threshold)),
        float(np.median(values)),
        float(np.median(np.where(fakes, 0.0, alpha).sum(axis=1))),
        float(np.median(np.minimum(alpha, 0.0).sum(axis=1))),
        float(similar[fakes].mean()) if fakes.any() else None,
        float(similar[~fakes].mean()) if not fakes.all() else None,
    )


def _plain(mark: Marked) -> PaperFingerprint:
    return mark.paper[None]
