"""Who spoke: scores against voiceprints, and the limits from which a score is believed. Pure.

A voiceprint is the mean of a person's enrolment phrases at unit length. The score of a command
against it is their cosine, normalised by the cohort: people whom nobody here knows, one command
of each, shipped with the model. Symmetric normalisation (S-norm, Kenny 2010): how many standard
deviations the cosine lies above the cohort's with the voiceprint, and above the cohort's with
the command; the mean of both. The first makes people comparable, the second commands: a noisy
one resembles everybody a little.

The limit is a rank: a score is believed when fewer than ``far_target`` of the cohort and the
speaker together reach it. Whatever the shape of the scores, a stranger who is like the cohort is
then taken for somebody at home with that probability at most (conformal prediction, Vovk et
al. 2005). The cohort must therefore be single commands: the mean of many lies nearer to everybody,
and with such a cohort four times as many of the owner's commands were refused.

The promise is for the household. With several people at home a stranger has as many chances, so
there is one limit for all, by what each of the cohort scores against the nearest of them. (With
a limit for each person, set by the same cohort, 3.8 % of strangers were let in by four at home
where 1 % was asked for; with one limit 1.1 %.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from earmark.binomial import upper
from earmark.speaker.people import Person

Vector: TypeAlias = NDArray[np.float64]

LEAST_COHORT = 20
"""Fewest people in a cohort: its standard deviation is then known to 16 %."""

MAX_COHORT = 10_000
"""Most people in a cohort; 10 MB of them at 128 dimensions."""

CONFIDENCE = 0.95
"""Confidence of the upper bound of a rate, one-sided."""

_ABOVE = 1e-9
"""How far a limit lies above the score that must not reach it: more than sums are rounded by."""

_LEAST_STD = 1e-3
"""Least standard deviation of a cohort's cosines: below, they are copies of one another."""


@dataclass(frozen=True)
class Rate:
    """A counted rate with what the count is worth.

    Parameters
    ----------
    count : how often it happened.
    of : how often it could have.
    """

    count: int
    of: int

    @property
    def share(self) -> float:
        """The rate, 0 to 1; 0 when nothing was counted."""
        return self.count / self.of if self.of else 0.0

    @property
    def upper(self) -> float:
        """What the rate is at most, with :data:`CONFIDENCE` (Clopper and Pearson 1934)."""
        return upper(self.count, self.of, CONFIDENCE)


@dataclass(frozen=True)
class Criterion:
    """How sure the device must be.

    Parameters
    ----------
    far_target : probability that a stranger is taken for anybody at home, 0 to 1.
    margin : what is added to each limit, standard deviations: how much nearer a stranger in the
        same room comes than the cohort, which was recorded elsewhere. Measured by the maker.
    """

    far_target: float = 0.01
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.far_target < 0.5:
            raise ValueError("far_target must be over 0 and under 0.5")
        if not np.isfinite(self.margin):
            raise ValueError("margin must be finite")

    @classmethod
    def calibrated(cls, far_target: float, constants: Mapping[str, object]) -> Criterion:
        """With the constants of a model's manifest: ``margin``, 0 where it has none.

        Raises
        ------
        ValueError
            A value is out of its range or no number.
        """
        margin = constants.get("margin", 0.0)
        if isinstance(margin, bool) or not isinstance(margin, int | float):
            raise ValueError("decision.margin must be a number")
        return cls(far_target, float(margin))


@dataclass(frozen=True)
class Likeness:
    """How like somebody a command is, standard deviations of the cohort."""

    person: Person
    score: float


@dataclass(frozen=True)
class Match:
    """Who spoke.

    Parameters
    ----------
    person : the nearest, when the score reaches the limit; else None, a stranger.
    score : of the nearest, whether believed or not; standard deviations of the cohort.
    threshold : the limit for it.
    runner_up : the second nearest; None when only one person is known.
    """

    person: Person | None
    score: float
    threshold: float
    runner_up: Likeness | None


@dataclass(frozen=True)
class Reliability:
    """How well a person is told from others, on this device.

    Parameters
    ----------
    frr : how many of the enrolment phrases would be refused, each against the others. A little
        high, as one phrase is missing, and of one day only: another day may be worse.
    far : how many of the cohort would be taken for this person.
    """

    frr: Rate
    far: Rate


class Cohort:
    """People whom nobody here knows, to compare with.

    Parameters
    ----------
    embeddings : shape (P, E), one command of each; any length, any float type.

    Raises
    ------
    ValueError
        It is no such array, has fewer than :data:`LEAST_COHORT` people or more than
        :data:`MAX_COHORT`, or a row without a direction.
    """

    def __init__(self, embeddings: ArrayLike) -> None:
        rows = np.asarray(embeddings, np.float64)
        if rows.ndim != 2 or not LEAST_COHORT <= rows.shape[0] <= MAX_COHORT:
            raise ValueError(f"a cohort has {LEAST_COHORT} to {MAX_COHORT} embeddings")
        self._rows = _unit(rows)
        self._sum = self._rows.sum(axis=0)
        self._square = self._rows.T @ self._rows
        # Each row's own cosine, 1, does not count: a command is not in the cohort.
        self._mean, self._std = self._statistics(self._rows, own=1)

    def __len__(self) -> int:
        return int(self._rows.shape[0])

    @property
    def dimensions(self) -> int:
        """E."""
        return int(self._rows.shape[1])

    def scores(self, voiceprint: Vector) -> Vector:
        """Shape (P,): the score of each of the cohort against `voiceprint` (unit, shape (E,))."""
        mean, std = self._statistics(voiceprint[None])
        cosines = self._rows @ voiceprint
        scores: Vector = 0.5 * ((cosines - mean) / std + (cosines - self._mean) / self._std)
        return scores

    def score(self, embeddings: Vector, voiceprints: Vector) -> Vector:
        """Shape (n, m): the scores of `embeddings` (n, E) against `voiceprints` (m, E); unit."""
        cosines = embeddings @ voiceprints.T
        their_mean, their_std = self._statistics(voiceprints)
        own_mean, own_std = self._statistics(embeddings)
        scores: Vector = 0.5 * (
            (cosines - their_mean) / their_std + (cosines - own_mean[:, None]) / own_std[:, None]
        )
        return scores

    def _statistics(self, vectors: Vector, own: int = 0) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the cosines of `vectors` (n, E) with the cohort.

        From its first two moments: no matrix of all pairs, which would be large.
        """
        count = len(self) - own
        mean = (vectors @ self._sum - own) / count
        square = np.einsum("ne,ef,nf->n", vectors, self._square, vectors, optimize=True) - own
        std = np.sqrt(np.maximum(square / count - mean**2, _LEAST_STD**2))
        return mean, std


def voiceprint(phrases: ArrayLike) -> Vector:
    """Unit mean of `phrases` (k, E).

    Raises
    ------
    ValueError
        They are no such array, or their mean has no direction.
    """
    rows = np.asarray(phrases, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise ValueError("phrases must be 2-D")
    mean: Vector = _unit(_unit(rows).mean(axis=0, keepdims=True))[0]
    return mean


def limit(scores: ArrayLike, far_target: float) -> float:
    """The score from which at most `far_target` of those like `scores` (P,) are.

    With so many as k/(P + 1) allowed, the k-th highest. When not even the highest may be reached,
    it goes on as a normal distribution does.
    """
    ranked = np.sort(np.asarray(scores, np.float64))[::-1]
    allowed = int(far_target * (ranked.size + 1) + 1e-9)
    if allowed >= 1:
        top = float(ranked[allowed - 1])
    else:
        further = ndtri(1.0 - far_target) - ndtri(1.0 - 1.0 / (ranked.size + 1))
        top = float(ranked[0] + further * ranked.std())
    return top + _ABOVE


def leave_one_out(phrases: ArrayLike, cohort: Cohort) -> Vector:
    """Shape (k,): the score of each of `phrases` (k, E; k >= 2) against the others' voiceprint."""
    rows = np.asarray(phrases, np.float64)
    if rows.ndim != 2 or rows.shape[0] < 2:
        raise ValueError("it takes two phrases")
    others = [voiceprint(np.delete(rows, at, axis=0)) for at in range(rows.shape[0])]
    return np.array(
        [
            cohort.score(row[None], other[None])[0, 0]
            for row, other in zip(_unit(rows), others, strict=True)
        ]
    )


class Roster:
    """Those at home, ready to be compared. Made once; asked about each command.

    Parameters
    ----------
    people : all that are enrolled.
    cohort : of the model.
    model_id : of the model that will make the embeddings. People of another one are never
        compared: they are in :attr:`stale`.
    criterion : how sure to be.

    Raises
    ------
    ValueError
        A person's phrases do not have the cohort's dimensions.
    """

    def __init__(
        self,
        people: Sequence[Person],
        cohort: Cohort,
        model_id: str,
        criterion: Criterion = Criterion(),
    ) -> None:
        self.people = tuple(person for person in people if person.model_id == model_id)
        """Those who can be recognised."""
        self.stale = tuple(person for person in people if person.model_id != model_id)
        """Those who must enrol again: their model is not this one."""
        self._cohort = cohort
        if any(person.phrases.shape[1] != cohort.dimensions for person in self.people):
            raise ValueError(f"an embedding of this model has {cohort.dimensions} dimensions")
        self._voiceprints = np.array([voiceprint(person.phrases) for person in self.people])
        self._cohort_scores = np.array([cohort.scores(one) for one in self._voiceprints])
        self.threshold = 0.0
        """The limit, standard deviations of the cohort; 0 when nobody can be compared."""
        if self.people:
            nearest = self._cohort_scores.max(axis=0)
            self.threshold = limit(nearest, criterion.far_target) + criterion.margin

    @property
    def far(self) -> Rate:
        """How many of the cohort would be taken for anybody at home."""
        taken = (self._cohort_scores >= self.threshold).any(axis=0) if self.people else False
        return Rate(int(np.sum(taken)), len(self._cohort))

    def identify(self, embedding: ArrayLike) -> Match:
        """Who spoke, by the embedding of a command, shape (E,).

        Raises
        ------
        ValueError
            The embedding has other dimensions or no direction, or :attr:`people` is empty: then
            nobody can be compared, and whether guests may command is not decided here.
        """
        if not self.people:
            raise ValueError("nobody can be compared")
        row = np.asarray(embedding, np.float64)
        if row.shape != (self._cohort.dimensions,):
            raise ValueError(f"an embedding of this model has {self._cohort.dimensions} dimensions")
        scores = self._cohort.score(_unit(row[None]), self._voiceprints)[0]
        ranked = [
            Likeness(self.people[at], float(scores[at]))
            for at in np.argsort(-scores, kind="stable")[:2]
        ]
        best = ranked[0]
        return Match(
            best.person if best.score >= self.threshold else None,
            best.score,
            self.threshold,
            ranked[1] if len(ranked) > 1 else None,
        )

    def reliability(self, person: Person) -> Reliability:
        """How well `person` (one of :attr:`people`) is told from others, with all at home."""
        at = next(i for i, one in enumerate(self.people) if one.id == person.id)
        scores = (
            leave_one_out(person.phrases, self._cohort) if len(person.phrases) > 1 else np.zeros(0)
        )
        return Reliability(
            Rate(int((scores < self.threshold).sum()), scores.size),
            Rate(int((self._cohort_scores[at] >= self.threshold).sum()), len(self._cohort)),
        )


def _unit(rows: Vector) -> Vector:
    """`rows` (n, E) at length 1."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0.0).all()):
        raise ValueError("an embedding has no direction")
    unit: Vector = rows / lengths
    return unit
