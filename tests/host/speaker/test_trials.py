"""Error rates of verification trials, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from earmark_host.speaker.trials import Curve, Trials, curve, equal_error, interval, rejected_at


def trials(genuine: list[float], impostor: list[float]) -> Trials:
    return Trials.of([(score, 0, 0) for score in genuine] + [(score, 0, 1) for score in impostor])


def test_equal_error_where_the_rates_meet() -> None:
    # At .5: one genuine of four is below, one impostor of four is not.
    at = curve(trials([0.3, 0.6, 0.7, 0.8], [0.1, 0.2, 0.25, 0.5]))
    assert equal_error(at) == pytest.approx((0.25, 0.5))


def test_rates_between_two_thresholds_are_linear() -> None:
    # far falls from 1 to 1/2 to 0 at scores 1, 2; frr rises 0, 1/3.. : they cross in between.
    at = curve(trials([1.5, 2.5, 3.0], [1.0, 2.0]))
    rate, _ = equal_error(at)
    np.testing.assert_allclose(at.far, [1.0, 0.5, 0.5, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(at.frr, [0.0, 0.0, 1 / 3, 1 / 3, 2 / 3, 1.0])
    # From (.5, 1/3) to (0, 1/3): equal at 1/3.
    assert rate == pytest.approx(1 / 3)


def test_a_gap_gives_no_errors() -> None:
    at = curve(trials([0.8, 0.9], [0.1, 0.2]))
    assert equal_error(at) == (0.0, 0.8)
    assert rejected_at(at) == (0.0, 0.8)


def test_the_wrong_way_round_is_all_errors() -> None:
    at = curve(trials([0.1, 0.2], [0.8, 0.9]))
    assert equal_error(at)[0] == pytest.approx(1.0)
    assert rejected_at(at) == (1.0, np.inf)


def test_equal_scores_are_accepted_together() -> None:
    at = curve(trials([0.5, 0.5], [0.5, 0.5]))
    np.testing.assert_array_equal(at.thresholds, [0.5, np.inf])
    assert equal_error(at)[0] == pytest.approx(0.5)


def test_false_rejects_at_a_false_accept_rate() -> None:
    impostor = [k / 100 for k in range(100)]
    at = curve(trials([0.95, 0.985, 0.995, 2.0], impostor))
    # One impostor of a hundred is above .985.
    assert rejected_at(at, 0.01) == (0.25, 0.985)
    assert rejected_at(at, 0.0)[0] == 0.5
    with pytest.raises(ValueError, match="false accept rate"):
        rejected_at(at, 1.0)


def test_weights_count_a_trial_so_often() -> None:
    at = trials([0.3, 0.6], [0.1, 0.5])
    twice = trials([0.3, 0.6, 0.6], [0.1, 0.5])
    weighted = curve(at, np.asarray([1.0, 2.0, 1.0, 1.0]))
    np.testing.assert_allclose(weighted.frr, curve(twice).frr)
    np.testing.assert_allclose(weighted.far, curve(twice).far)


@pytest.mark.parametrize("kind", ["genuine", "impostor"])
def test_one_kind_alone_has_no_rates(kind: str) -> None:
    alone = trials([0.5], []) if kind == "genuine" else trials([], [0.5])
    assert not alone.usable
    with pytest.raises(ValueError, match="genuine trials and impostors'"):
        curve(alone)
    assert interval(alone, _rate, np.random.default_rng(1)) is None


def test_the_interval_covers_what_it_says_it_covers() -> None:
    """Of many draws of people from the same world, about 95 % of intervals hold its rate."""
    rng = np.random.default_rng(2)
    world = equal_error(curve(_world(400, rng)))[0]
    covered = 0
    for _ in range(60):
        found = interval(_world(25, rng), _rate, rng)
        assert found is not None
        covered += found[0] <= world <= found[1]
    assert covered >= 50


def test_the_same_clips_again_are_no_evidence() -> None:
    few = _world(12, np.random.default_rng(3))
    many = Trials(np.tile(few.scores, 20), np.tile(few.target, 20), np.tile(few.speaker, 20))
    one, other = (interval(each, _rate, np.random.default_rng(4)) for each in (few, many))
    assert one is not None
    assert other == pytest.approx(one)


def test_joined_sets_share_nobody() -> None:
    one, other = trials([0.9], [0.1]), trials([0.8], [0.2])
    both = Trials.joined([one, other])
    assert both.people == 4
    assert sorted(both.genuine) == [0.8, 0.9]
    assert sorted(both.impostor) == [0.1, 0.2]
    assert Trials.joined([]).people == 0


def test_malformed_trials_are_refused() -> None:
    ones = np.ones(2, np.int64)
    with pytest.raises(ValueError, match="as many"):
        Trials(np.zeros(3), ones, ones)
    with pytest.raises(ValueError, match="not finite"):
        Trials(np.asarray([0.0, np.nan]), ones, ones)


def _rate(at: Curve) -> float:
    return equal_error(at)[0]


def _world(people: int, rng: np.random.Generator, clips: int = 6) -> Trials:
    """People some of whom are hard to tell from others, as people are."""
    hard = rng.normal(0.0, 0.7, people)
    rows = []
    for target in range(people):
        rows += [(rng.normal(2.0 + hard[target], 1.0), target, target) for _ in range(clips)]
        for speaker in range(people):
            if speaker != target:
                like = (hard[target] + hard[speaker]) / 2
                rows.append((float(rng.normal(-like, 1.0)), target, speaker))
    return Trials.of(rows)
