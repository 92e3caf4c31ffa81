"""Verification trials: error rates of scores, and their intervals over people.

A trial is a test clip against the voiceprint of an enrolled person; the higher its score, the more
alike they are. It is genuine where both are the same person, else an impostor's. Trials of the same
people are not independent, so intervals come from people drawn again (Bolle, Ratha and Pankanti,
"Error analysis of pattern recognition systems: the subsets bootstrap", CVIU 93, 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]

Interval: TypeAlias = tuple[float, float]

RESAMPLES = 500
"""Bootstrap resamples of people; the ends of a 95 % interval move by some 3 % of its width."""

TAIL = 0.025
"""On either side of a 95 % interval."""

FAR = 0.01
"""False accept rate at which false rejects are told: one stranger's command in a hundred."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Scores of trials, and who was in them.

    Parameters
    ----------
    scores : of each trial; higher is more alike. float64 (n,).
    target : number of the person whose voiceprint it was, int (n,).
    speaker : number of the person who spoke, int (n,); the same numbers.

    Raises
    ------
    ValueError
        Lengths differ, or a score is not finite.
    """

    scores: Vector
    target: NDArray[np.int64]
    speaker: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not self.scores.ndim == 1 or not (
            self.scores.shape == self.target.shape == self.speaker.shape
        ):
            raise ValueError("as many scores as targets and speakers")
        if not np.isfinite(self.scores).all():
            raise ValueError("a score is not finite")

    @classmethod
    def of(cls, scored: Sequence[tuple[float, int, int]]) -> Trials:
        """From (score, target, speaker) of each trial."""
        return cls(
            np.asarray([each[0] for each in scored], np.float64),
            np.asarray([each[1] for each in scored], np.int64),
            np.asarray([each[2] for each in scored], np.int64),
        )

    @classmethod
    def joined(cls, some: Sequence[Trials]) -> Trials:
        """Trials of sets of people that share nobody, whose numbers are made different."""
        first, targets, speakers = 0, [], []
        for each in some:
            targets.append(each.target + first)
            speakers.append(each.speaker + first)
            first += 1 + int(max(each.target.max(initial=-1), each.speaker.max(initial=-1)))
        none: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        return cls(
            np.concatenate([np.zeros(0), *(each.scores for each in some)]),
            np.concatenate(none + targets),
            np.concatenate(none + speakers),
        )

    @property
    def same(self) -> NDArray[np.bool_]:
        """Which are genuine."""
        return np.asarray(self.target == self.speaker)

    @property
    def genuine(self) -> Vector:
        """Scores of people against their own voiceprint."""
        return self.scores[self.same]

    @property
    def impostor(self) -> Vector:
        """Scores of people against that of another."""
        return self.scores[~self.same]

    @property
    def people(self) -> int:
        """How many different people there are."""
        return int(np.union1d(self.target, self.speaker).size)

    @property
    def usable(self) -> bool:
        """Whether there are trials of both kinds."""
        return bool(self.same.any() and not self.same.all())


@dataclass(frozen=True, eq=False)
class Curve:
    """Error rates at every threshold that makes a difference, from the most lenient on.

    A score is accepted where it is at least the threshold.

    Parameters
    ----------
    thresholds : ascending; the first accepts everything, the last, infinite, nothing.
    far : share of impostors accepted at each, descending from 1 to 0.
    frr : share of genuine trials rejected at each, ascending from 0 to 1.
    """

    thresholds: Vector
    far: Vector
    frr: Vector


def curve(trials: Trials, weights: Vector | None = None) -> Curve:
    """The error rates over the threshold.

    Parameters
    ----------
    weights : of each trial; None: all alike.

    Raises
    ------
    ValueError
        There are no genuine or no impostors' trials (of a weight above 0).
    """
    return _Sorted(trials).curve(np.ones(trials.scores.size) if weights is None else weights)


def equal_error(at: Curve) -> tuple[float, float]:
    """Rate at which false accepts and false rejects are equally frequent, and its threshold.

    Between two thresholds the rates are taken to be linear; a gap between the scores of both kinds
    gives 0 and the lower end of the genuine ones.
    """
    over = int(np.argmax(at.frr >= at.far))  # the last one always is
    if over == 0:
        return float((at.far[0] + at.frr[0]) / 2.0), float(at.thresholds[0])
    below, above = at.far[over - 1] - at.frr[over - 1], at.frr[over] - at.far[over]
    share = below / (below + above)
    rate = at.frr[over - 1] + share * (at.frr[over] - at.frr[over - 1])
    finite = over if np.isfinite(at.thresholds[over]) else over - 1
    return float(rate), float(at.thresholds[finite])


def rejected_at(at: Curve, far: float = FAR) -> tuple[float, float]:
    """Least share of genuine trials rejected where at most `far` of the impostors are accepted.

    Returns that share and its threshold, which is infinite where only nobody at all will do.
    """
    if not 0.0 <= far < 1.0:
        raise ValueError(f"a false accept rate in [0, 1), not {far}")
    place = int(np.argmax(at.far <= far))
    return float(at.frr[place]), float(at.thresholds[place])


def interval(
    trials: Trials, of: Callable[[Curve], float], rng: np.random.Generator
) -> Interval | None:
    """Bootstrap interval at 95 % of a figure of the curve, over people.

    A person who is drawn twice brings their genuine trials twice, and those as and against an
    impostor as often as both of the two people were drawn.

    Parameters
    ----------
    of : the figure, such as the rate of :func:`equal_error`.
    rng : draws the people.

    Returns
    -------
    None where there are fewer than three people, or no trials to speak of.
    """
    names, numbers = np.unique(np.concatenate([trials.target, trials.speaker]), return_inverse=True)
    if names.size < 3 or not trials.usable:
        return None
    target, speaker = np.split(numbers, 2)
    same, ordered = trials.same, _Sorted(trials)
    found: list[float] = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(0, names.size, names.size), minlength=names.size)
        weights = np.where(same, times[target], times[target] * times[speaker]).astype(np.float64)
        if weights[same].any() and weights[~same].any():
            found.append(of(ordered.curve(weights)))
    low, high = np.quantile(found, (TAIL, 1.0 - TAIL))
    return float(low), float(high)


class _Sorted:
    """Trials in the order of their scores, so that only weights have to be added up again."""

    def __init__(self, trials: Trials) -> None:
        self._order = np.argsort(trials.scores, kind="stable")
        scores = trials.scores[self._order]
        self._same = trials.same[self._order]
        # Equal scores are accepted together.
        self._first = np.flatnonzero(np.diff(scores, prepend=-np.inf) > 0.0)
        self._thresholds = np.append(scores[self._first], np.inf)

    def curve(self, weights: Vector) -> Curve:
        ordered = weights[self._order]
        below = [
            np.append(np.concatenate([[0.0], np.cumsum(each)])[self._first], each.sum())
            for each in (np.where(self._same, ordered, 0.0), np.where(self._same, 0.0, ordered))
        ]
        genuine, impostor = below
        if not genuine[-1] > 0.0 or not impostor[-1] > 0.0:
            raise ValueError("error rates need genuine trials and impostors'")
        # Subtracted first: one of a hundred has to be .01 to the last bit.
        far = (impostor[-1] - impostor) / impostor[-1]
        return Curve(self._thresholds, far, genuine / genuine[-1])
