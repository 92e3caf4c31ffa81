"""Fingerprints side by side: ours in the shape of a peer, thresholds by others, the counting."""

from __future__ import annotations

import json

import numpy as np
import pytest

from earmark.memory import NeighboursLimits, NeighboursSettings
from earmark.memory.neighbours import fingerprint, likeness
from earmark.memory.paper import cosine
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.memory import peers
from earmark_host.bench.memory.contenders import SHIPPED_TAU, AlignedCosine, PlainCosine, Shipped
from earmark_host.bench.memory.peers import (
    FULL,
    HOUSEHOLDS,
    QUICK,
    Changed,
    Home,
    HomeSeen,
    Limit,
    PairsSeen,
    Plan,
    Retakes,
    Streamed,
    StreamSeen,
    hold,
    pieces,
)
from earmark_host.bench.memory.peers_figures import figures
from earmark_host.bench.memory.setup import Setup
from earmark_host.memory.evasion import EVASIONS
from earmark_host.memory.fold import fold
from earmark_host.memory.peers import HaitsmaKalker
from earmark_host.memory.robustness import Share, change_speed

TINY = Plan(
    calibrating=12,
    clips=3,
    carriers=1,
    evasions=("none", "noise_0"),
    homes=1,
    kinds=("same_phrase", "children"),
)
LIMITS = NeighboursLimits(floor=0.1, slope=1.78, mean=0.03, approved=0.6)


def noise(seed: int, seconds: float = 2.0) -> Signal:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


# -- ours as peers ---------------------------------------------------------------------------


def test_a_near_copy_is_over_the_shipped_threshold_and_nothing_else() -> None:
    peer = Shipped(NeighboursSettings(), LIMITS)
    a, copy, other = (
        peer.fingerprint(sound) for sound in (noise(1), noise(1) + 0.5 * noise(2), noise(3))
    )
    limit = LIMITS.likeness(min(len(a), len(copy)))
    assert peer.similarity(a, copy) == pytest.approx(min(1.0, 0.5 * likeness(a, copy) / limit))
    assert peer.similarity(a, copy) > SHIPPED_TAU > peer.similarity(a, other)
    np.testing.assert_array_equal(
        peer.similarities(a, [copy, other]), [peer.similarity(a, copy), peer.similarity(a, other)]
    )


def test_the_shipped_one_knows_other_speeds_the_plain_ones_do_not() -> None:
    shipped = Shipped(NeighboursSettings(), LIMITS)
    a, b = fingerprint(noise(1)), fingerprint(change_speed(noise(1), 3.0))
    assert shipped.similarity(a, b) > SHIPPED_TAU
    assert AlignedCosine().similarity(a, b) < 0.5 * AlignedCosine().similarity(a, a)


def test_too_few_peaks_tell_nothing() -> None:
    peer = Shipped(NeighboursSettings(), LIMITS)
    few = fingerprint(noise(1, 0.1))
    assert 0 < len(few) < NeighboursSettings().min_peaks
    assert peer.similarity(few, few) == 0.0


def test_the_plain_ones_are_what_they_say() -> None:
    plain, aligned = PlainCosine(), AlignedCosine()
    sounds = noise(1), noise(1) + noise(2)
    a, b = map(plain.fingerprint, sounds)
    assert plain.similarity(a, b) == cosine(a, b) > 0.0
    c, d = map(aligned.fingerprint, sounds)
    assert aligned.similarity(c, d) == likeness(c, d)
    assert aligned.similarities(c, []).shape == plain.similarities(a, []).shape == (0,)


# -- the pieces ------------------------------------------------------------------------------


def test_changed_sentences_and_takes(setup: Setup) -> None:
    seen = hold(setup, Changed(TINY, 0))
    assert isinstance(seen, PairsSeen)
    assert list(seen.shares)[:3] == ["neighbours", "aligned_cosine", "paper_cosine"]
    assert seen.limits["neighbours"] == Limit(SHIPPED_TAU, 0)
    assert seen.limits["haitsma_kalker"].pairs == 12 * 11 // 2
    by_condition = seen.shares["neighbours"]
    assert (by_condition["noise_20db"].above, by_condition["noise_20db"].pairs) == (3, 3)
    assert by_condition["different"].above == 0
    again = hold(setup, Retakes(TINY))
    assert isinstance(again, PairsSeen)
    assert set(again.shares["neighbours"]) == {"retake"}


def test_the_thresholds_are_by_people_that_are_not_tested(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def listen(material, clip, start_s, rng):  # type: ignore[no-untyped-def]
        used.append(fold(clip))
        return noise(len(used), 0.5)

    peers._calibrated.cache_clear()
    monkeypatch.setattr(peers, "heard", listen)
    hold(setup, Retakes(TINY))
    peers._calibrated.cache_clear()
    assert used == ["calibrate"] * TINY.calibrating


def test_an_attack_alarms_at_the_sixth_query(setup: Setup) -> None:
    seen = hold(setup, Streamed(TINY, "cs", 0, "none"))
    assert isinstance(seen, StreamSeen)
    assert set(seen.alarms.values()) == {setup.settings.neighbours.copies + 1}


def test_a_household_or_none(setup: Setup) -> None:
    seen = hold(setup, Home(TINY, "same_phrase", 0))
    assert isinstance(seen, HomeSeen)
    assert seen.queries > 5
    assert seen.alarms["neighbours"] == seen.copies["neighbours"] == 0
    assert seen.pairs == seen.queries * (seen.queries - 1) // 2
    empty = hold(setup, Home(TINY, "children", 0))
    assert isinstance(empty, HomeSeen)
    assert (empty.queries, empty.pairs, set(empty.alarms.values())) == (0, 0, {0})


def test_plans_name_what_there_is() -> None:
    for plan in (FULL, QUICK):
        assert set(plan.evasions) <= set(EVASIONS)
        assert set(plan.kinds) <= set(HOUSEHOLDS)
        starts = [piece.first for piece in pieces(plan) if isinstance(piece, Changed)]
        # A piece of one sentence would have nothing to differ from.
        assert plan.clips - starts[-1] > 1


# -- the figures -----------------------------------------------------------------------------


def test_figures_are_summed_by_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"ours": Limit(0.5, 0), "theirs": Limit(0.6, 66)}
    pairs = {"ours": {"noise": Share(4, 5, 0.9)}, "theirs": {"noise": Share(1, 5, 0.4)}}
    results = [
        PairsSeen(pairs, limits),
        PairsSeen(pairs, limits),
        StreamSeen("cs", "none", {"ours": 6, "theirs": 13}),
        StreamSeen("dw", "none", {"ours": 12, "theirs": None}),
        StreamSeen("dw", "noise_0", {"ours": None, "theirs": None}),
        HomeSeen("mixed", 10, {"ours": 0, "theirs": 2}, {"ours": 1, "theirs": 9}),
    ]
    monkeypatch.setattr(
        "earmark_host.bench.memory.peers_figures.landmarks_installed", lambda: False
    )
    metrics, tables = figures(results, TINY, 1)
    by_name = {metric.name: metric.value for metric in metrics}
    assert by_name == {
        "peer_ours_by_12": 1.0,
        "peer_ours_fpr": 0.0,
        "peer_theirs_by_12": 0.0,
        "peer_theirs_fpr": 0.2,
    }
    assert [row["near_copy_share"] for row in tables["peer_robustness"]] == [0.8, 0.2]
    assert [row["first_alarm"] for row in tables["peer_streams"]] == [9.0, 13.0, None, None]
    assert [(row["near_pairs"], row["pairs"]) for row in tables["peer_households"]] == [
        (1, 45),
        (9, 45),
    ]
    assert tables["peers"][-1] == {
        "fingerprint": "landmarks",
        "threshold": None,
        "set_by": "left out: not installed",
    }
    json.dumps(tables, allow_nan=False)


def test_a_peer_that_is_not_installed_is_left_out(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers._calibrated.cache_clear()
    monkeypatch.setattr(peers, "usable_peers", lambda: (HaitsmaKalker(),))
    seen = hold(setup, Retakes(TINY))
    peers._calibrated.cache_clear()
    assert isinstance(seen, PairsSeen)
    assert "landmarks" not in seen.limits
    assert "haitsma_kalker" in seen.shares
