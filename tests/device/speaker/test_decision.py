"""Who spoke: the limit keeps its promise about strangers, and models are never mixed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earmark.speaker.decision import (
    LEAST_COHORT,
    MAX_COHORT,
    Cohort,
    Criterion,
    Rate,
    Roster,
    leave_one_out,
    limit,
    voiceprint,
)
from earmark.speaker.people import Person

DIMENSIONS = 64
MODEL = "0123456789abcdef"


class World:
    """Strangers and people: a voice is a direction, a command the voice and some noise."""

    def __init__(self, seed: int, noise: float = 0.8) -> None:
        self.random = np.random.default_rng(seed)
        self.noise = noise

    def voices(self, count: int) -> np.ndarray:
        # All voices have something in common, as embeddings of speech do.
        return self.unit(self.random.standard_normal((count, DIMENSIONS)) + 0.5)

    def commands(self, voices: np.ndarray) -> np.ndarray:
        spread = self.noise / math.sqrt(DIMENSIONS)
        return self.unit(voices + spread * self.random.standard_normal(voices.shape))

    def cohort(self, count: int = 199) -> Cohort:
        return Cohort(self.commands(self.voices(count)).astype(np.float16))

    def person(
        self, voice: np.ndarray, number: int, model: str = MODEL, phrases: int = 5
    ) -> Person:
        said = self.commands(np.repeat(voice[None], phrases, axis=0)).astype(np.float32)
        return Person(f"{number:08x}", f"Person {number}", 1.8e9, 1.8e9, model, said)

    @staticmethod
    def unit(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def world() -> World:
    return World(1)


# The promise


@pytest.mark.parametrize("at_home", [1, 4])
@pytest.mark.parametrize("far_target", [0.01, 0.05])
def test_as_many_strangers_pass_as_was_promised(at_home: int, far_target: float) -> None:
    """Over many households; the expected share is far_target, for any number at home."""
    shares = []
    for seed in range(100):
        world = World(seed)
        cohort = world.cohort()
        people = [world.person(voice, n) for n, voice in enumerate(world.voices(at_home))]
        roster = Roster(people, cohort, MODEL, Criterion(far_target))
        voiceprints = np.array([voiceprint(one.phrases) for one in people])
        scores = cohort.score(world.commands(world.voices(200)), voiceprints)
        shares.append(np.mean((scores >= roster.threshold).any(axis=1)))
        assert roster.far.count == round(far_target * 200) - 1  # of those that it was set by
    assert np.mean(shares) == pytest.approx(far_target, rel=0.25)  # 2.5 standard errors


def test_limit_rises_with_everybody_at_home(world: World) -> None:
    """Set for one alone it would let twice as many strangers in and more, with four at home."""
    broken = []
    for seed in range(5):
        world = World(seed)
        cohort = world.cohort()
        people = [world.person(voice, n) for n, voice in enumerate(world.voices(4))]
        alone = [Roster([one], cohort, MODEL) for one in people]
        assert Roster(people, cohort, MODEL).threshold >= max(one.threshold for one in alone)
        strangers = world.commands(world.voices(100))
        broken += [any(roster.identify(one).person for roster in alone) for one in strangers]
    assert np.mean(broken) > 0.02


def test_people_are_told_from_each_other(world: World) -> None:
    voices = world.voices(6)
    people = [world.person(voice, n) for n, voice in enumerate(voices)]
    roster = Roster(people, world.cohort(), MODEL)
    right = [
        roster.identify(command).person is people[number]
        for number, voice in enumerate(voices)
        for command in world.commands(np.repeat(voice[None], 40, axis=0))
    ]
    assert np.mean(right) > 0.95


def test_leave_one_out_tells_the_rate_of_refusals() -> None:
    """A little high: the voiceprint lacks the phrase."""
    told, seen = [], []
    for seed in range(40):
        world = World(seed, noise=1.5)
        cohort = world.cohort()
        voice = world.voices(1)[0]
        person = world.person(voice, 1)
        roster = Roster([person], cohort, MODEL)
        told.append(roster.reliability(person).frr.share)
        commands = world.commands(np.repeat(voice[None], 40, axis=0))
        seen.append(np.mean([roster.identify(one).person is None for one in commands]))
    assert 0.05 < np.mean(seen) < 0.6
    assert np.mean(seen) - 0.03 < np.mean(told) < np.mean(seen) + 0.12


def test_more_noise_gives_a_lower_score(world: World) -> None:
    voice = world.voices(1)[0]
    roster = Roster([world.person(voice, 1)], world.cohort(), MODEL)
    scores = []
    for noise in (0.3, 1.0, 2.0):
        world.noise = noise
        commands = world.commands(np.repeat(voice[None], 30, axis=0))
        scores.append(np.mean([roster.identify(one).score for one in commands]))
    assert scores[0] > scores[1] > scores[2]


def test_margin_raises_the_limit(world: World) -> None:
    people = [world.person(voice, n) for n, voice in enumerate(world.voices(2))]
    cohort = world.cohort()
    plain, wary = (Roster(people, cohort, MODEL, Criterion(0.01, m)) for m in (0.0, 0.5))
    assert wary.threshold == pytest.approx(plain.threshold + 0.5)
    assert wary.far.count <= plain.far.count


# What a match says


def test_match_names_the_nearest_and_the_second(world: World) -> None:
    voices = world.voices(3)
    people = [world.person(voice, n) for n, voice in enumerate(voices)]
    roster = Roster(people, world.cohort(), MODEL)
    found = roster.identify(voices[1])
    assert found.person is people[1]
    assert found.score >= found.threshold
    assert found.runner_up is not None
    assert found.runner_up.person in (people[0], people[2])
    assert found.runner_up.score < found.threshold
    assert Roster(people[:1], world.cohort(), MODEL).identify(voices[0]).runner_up is None


def test_limit_is_reached_by_a_score_that_equals_it(world: World) -> None:
    person = world.person(world.voices(1)[0], 1)
    cohort = world.cohort()
    roster = Roster([person], cohort, MODEL)
    found = roster.identify(world.commands(world.voices(1))[0])
    assert found.person is None
    lowered = Roster([person], cohort, MODEL, Criterion(0.01, found.score - found.threshold))
    again = lowered.identify(world.commands(world.voices(1))[0])
    assert again.threshold == pytest.approx(found.score)


def test_length_of_an_embedding_does_not_matter(world: World) -> None:
    voices = world.voices(1)
    roster = Roster([world.person(voices[0], 1)], world.cohort(), MODEL)
    command = world.commands(voices)[0]
    assert roster.identify(17.0 * command).score == pytest.approx(roster.identify(command).score)


# Another model


def test_people_of_another_model_are_never_compared(world: World) -> None:
    voice = world.voices(1)[0]
    stale, current = world.person(voice, 1, model="f" * 16), world.person(-voice, 2)
    roster = Roster([stale, current], world.cohort(), MODEL)
    assert roster.people == (current,)
    assert roster.stale == (stale,)
    found = roster.identify(voice)  # the very voice of who must enrol again
    assert found.person is None
    assert found.runner_up is None


def test_only_people_of_another_model(world: World) -> None:
    """Of other dimensions, too: nothing is computed with them."""
    stale = Person("00000001", "A", 1.8e9, 1.8e9, "f" * 16, np.eye(4, 7, dtype=np.float32))
    roster = Roster([stale], world.cohort(), MODEL)
    with pytest.raises(ValueError, match="nobody can be compared"):
        roster.identify(world.voices(1)[0])
    assert roster.far == Rate(0, 199)


# The parts


def test_scores_are_the_published_normalisation(world: World) -> None:
    """S-norm written out, with the cohort's own statistics over everybody else."""
    raw = world.commands(world.voices(50))
    cohort = Cohort(raw)
    print_ = world.voices(1)[0]
    command = world.commands(print_[None])[0]
    theirs, own = raw @ print_, raw @ command
    cosine = command @ print_
    wanted = 0.5 * ((cosine - theirs.mean()) / theirs.std() + (cosine - own.mean()) / own.std())
    assert cohort.score(command[None], print_[None])[0, 0] == pytest.approx(wanted)
    others = raw[1:] @ raw[0]
    wanted = 0.5 * (
        (theirs[0] - theirs.mean()) / theirs.std() + (theirs[0] - others.mean()) / others.std()
    )
    assert cohort.scores(print_)[0] == pytest.approx(wanted)
    assert len(cohort) == 50
    assert cohort.dimensions == DIMENSIONS


def test_leave_one_out_leaves_one_out(world: World) -> None:
    cohort = world.cohort()
    said = world.commands(np.repeat(world.voices(1), 4, axis=0))
    scores = leave_one_out(said, cohort)
    for number in range(4):
        others = voiceprint(np.delete(said, number, axis=0))
        assert scores[number] == pytest.approx(cohort.score(said[number][None], others[None])[0, 0])
    assert (scores < [cohort.score(one[None], voiceprint(said)[None])[0, 0] for one in said]).all()


def test_limit_is_a_rank() -> None:
    scores = np.arange(199.0)
    assert 197.0 < limit(scores, 0.01) < 197.0 + 2e-9  # one of 199, and the stranger, of 200
    assert 198.0 < limit(scores, 0.005) < 198.0 + 2e-9
    assert 179.0 < limit(scores, 0.1) < 179.0 + 2e-9


def test_limit_beyond_the_cohort_goes_on_as_a_normal_distribution() -> None:
    random = np.random.default_rng(1)
    for target, wanted in ((0.001, 3.09), (0.0001, 3.72)):
        found = [limit(random.standard_normal(199), target) for _ in range(200)]
        assert np.mean(found) == pytest.approx(wanted, abs=0.25)
    assert limit(np.arange(20.0), 0.01) > 19.0


def test_upper_bound_of_a_rate() -> None:
    assert Rate(0, 5).upper == pytest.approx(1 - 0.05 ** (1 / 5))
    assert Rate(2, 200).upper == pytest.approx(0.0311, abs=2e-4)  # tables of Clopper and Pearson
    assert Rate(5, 5).upper == 1.0
    assert Rate(0, 0) == Rate(0, 0)
    assert (Rate(0, 0).share, Rate(0, 0).upper) == (0.0, 1.0)
    assert Rate(1, 4).share == 0.25


def test_criterion_takes_the_constants_of_a_model() -> None:
    assert Criterion.calibrated(0.02, {}) == Criterion(0.02, 0.0)
    assert Criterion.calibrated(0.02, {"margin": 0.3, "more": "x"}) == Criterion(0.02, 0.3)


def test_cohort_in_half_precision_is_the_same(world: World) -> None:
    raw = world.commands(world.voices(50))
    print_ = world.voices(1)[0]
    half = Cohort(raw.astype(np.float16))
    assert np.allclose(half.scores(print_), Cohort(3.0 * raw).scores(print_), atol=5e-3)


# Failures


@pytest.mark.parametrize(
    "rows",
    [
        np.eye(LEAST_COHORT - 1, 64),
        np.ones((MAX_COHORT + 1, 2)),
        np.ones(64),
        np.full((30, 8), np.nan),
        np.zeros((30, 8)),
        np.full((30, 8), np.inf),
    ],
)
def test_what_is_no_cohort(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"cohort|direction"):
        Cohort(rows)


def test_cohort_of_copies_takes_nobody_in(world: World) -> None:
    roster = Roster([world.person(world.voices(1)[0], 1)], Cohort(np.ones((30, 64))), MODEL)
    assert roster.identify(world.voices(1)[0]).person is None


@pytest.mark.parametrize(
    "embedding",
    [np.ones(DIMENSIONS + 1), np.ones((1, DIMENSIONS)), np.zeros(DIMENSIONS), [math.nan] * 64],
)
def test_what_is_no_embedding(world: World, embedding: np.ndarray) -> None:
    roster = Roster([world.person(world.voices(1)[0], 1)], world.cohort(), MODEL)
    with pytest.raises(ValueError, match="embedding"):
        roster.identify(embedding)


def test_person_with_other_dimensions_of_the_same_model(world: World) -> None:
    odd = Person("00000001", "A", 1.8e9, 1.8e9, MODEL, np.eye(4, 7, dtype=np.float32))
    with pytest.raises(ValueError, match="64 dimensions"):
        Roster([odd], world.cohort(), MODEL)


@pytest.mark.parametrize("far_target", [0.0, 0.5, -1.0, math.nan])
def test_far_target_that_is_none(far_target: float) -> None:
    with pytest.raises(ValueError, match="far_target"):
        Criterion(far_target)


@pytest.mark.parametrize("margin", [math.nan, math.inf, "0.3", True, None])
def test_margin_that_is_none(margin: object) -> None:
    with pytest.raises(ValueError, match="margin"):
        Criterion.calibrated(0.01, {"margin": margin})


def test_one_phrase_leaves_nothing_out(world: World) -> None:
    with pytest.raises(ValueError, match="two phrases"):
        leave_one_out(world.voices(1), world.cohort())
    one = world.person(world.voices(1)[0], 1, phrases=1)
    assert Roster([one], world.cohort(), MODEL).reliability(one).frr == Rate(0, 0)


@pytest.mark.parametrize(
    "phrases", [np.ones(4), np.ones((0, 4)), np.zeros((2, 4)), [[1, 0], [-1, 0]]]
)
def test_phrases_without_a_voiceprint(phrases: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"2-D|direction"):
        voiceprint(phrases)
