"""People whom nobody trained on are told from others, clean and attacked."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pytest

from earmark_host.bench.speaker.open import (
    FULL,
    QUICK,
    Decided,
    Plan,
    Pushed,
    PushedSeen,
    Score,
    Scored,
    Seen,
    hold,
    pieces,
    wanted,
)
from earmark_host.bench.speaker.open_figures import figures
from earmark_host.bench.speaker.setup import DEVICE, Setup
from earmark_host.speaker.trials import Trials, curve, equal_error

TINY = Plan(
    people=None, tests=2, peers=("resemblyzer", "campplus"), attacked=1, peer_attacked=1, steps=4
)


def held(setup: Setup, plan: Plan = TINY) -> list[Scored | Decided]:
    seen = hold(setup, Score(plan))
    assert isinstance(seen, list)
    return seen


def test_everybody_is_tried_against_everybody(newcomers: Setup) -> None:
    scored = [each for each in held(newcomers) if isinstance(each, Scored)]
    assert [(each.ear, each.scoring) for each in scored] == [
        (DEVICE, "cosine"),
        ("float", "cosine"),
        ("resemblyzer", "cosine"),
    ]
    for each in scored:
        assert each.trials.genuine.size == 6 * 2
        assert each.trials.impostor.size == 6 * 5 * 2
        assert equal_error(curve(each.trials))[0] == 0.0
        # Five of eight clips are enrolled: nobody has a whole sitting left.
        assert not each.sittings
    # The same trials for all.
    np.testing.assert_array_equal(scored[0].trials.target, scored[2].trials.target)
    assert {ear for ear, _ in wanted(newcomers, TINY)} == {DEVICE, "float", "resemblyzer"}


def test_whom_the_model_has_heard_is_no_stranger(setup: Setup) -> None:
    for each in held(setup):
        assert isinstance(each, Scored)
        assert each.trials.people == 2


def test_the_device_decides_as_it_would_at_home(real: Setup) -> None:
    seen = held(real)
    decided = next(each for each in seen if isinstance(each, Decided))
    assert len(decided.people) == 4
    assert sum(own for _, own, _, _ in decided.people) == 8
    assert sum(others for *_, others in decided.people) == 24
    scored = {each.scoring: each for each in seen if isinstance(each, Scored)}
    assert set(scored) == {"cosine", "device"}
    # Scores of the device are standard deviations, not cosines.
    assert np.abs(scored["device"].trials.scores).max() > 1.0


@pytest.mark.parametrize("ear", [DEVICE, "resemblyzer"])
@pytest.mark.parametrize("side", ["impostor", "own"])
def test_both_sides_are_pushed(
    newcomers: Setup, side: Literal["impostor", "own"], ear: str
) -> None:
    seen = hold(newcomers, Pushed(TINY, side, ear, 0))
    assert isinstance(seen, PushedSeen)
    moved = seen.after["cosine"] - seen.before["cosine"]
    assert moved > 0.0 if side == "impostor" else moved < 0.0


def test_the_int8_file_is_attacked_through_its_copy_and_judged_itself(real: Setup) -> None:
    seen = hold(real, Pushed(TINY, "own", DEVICE, 1))
    assert isinstance(seen, PushedSeen)
    assert set(seen.after) == {"cosine", "device"}
    assert seen.after["cosine"] < seen.before["cosine"]


def test_what_is_not_there_is_not_attacked(newcomers: Setup) -> None:
    assert hold(newcomers, Pushed(TINY, "own", "campplus", 0)) is None


def test_plans_attack_each_trial_once() -> None:
    for plan in (FULL, QUICK):
        assert len(set(pieces(plan))) == len(pieces(plan))


# -- the figures -----------------------------------------------------------------------------


def scored(
    ear: str, scoring: Literal["cosine", "device"], own: list[float], other: list[float], **kw: str
) -> Scored:
    """Person 0 with these scores, against clips of 1 and 2 by turns."""
    trials = Trials.of(
        [(score, 0, 0) for score in own] + [(score, 0, 1 + k % 2) for k, score in enumerate(other)]
    )
    kind: Literal["sentences", "words"] = "words" if kw.get("kind") == "words" else "sentences"
    return Scored(ear, scoring, kw.get("group", "a"), kind, True, trials)


def test_the_headline_is_of_sentences_as_the_device_scores_them() -> None:
    results: list[Seen] = [
        [
            scored(DEVICE, "device", [3.0, 1.0], [0.0, 0.5, 2.0, 0.1]),
            scored(DEVICE, "cosine", [0.1, 0.1], [0.9, 0.9]),
            scored(DEVICE, "device", [0.0, 0.0], [3.0, 3.0], group="b", kind="words"),
            scored("resemblyzer", "cosine", [0.9, 0.8], [0.1, 0.2]),
            Decided("a", "sentences", ((1, 4, 2, 40), (0, 4, 0, 40))),
        ],
        PushedSeen(DEVICE, "impostor", "ann", {"device": 0.2}, {"device": 2.5}),
        PushedSeen(DEVICE, "impostor", "bob", {"device": 0.2}, {"device": 0.3}),
        PushedSeen(DEVICE, "own", "bob", {"device": 3.0}, {"device": 2.5}),
        None,
    ]
    metrics, tables = figures(results, TINY, 1)
    by_name = {metric.name: metric for metric in metrics}
    # From the score 1 to 2 one of four strangers is let in, and of two people none to one refused.
    assert by_name["open_eer"].value == pytest.approx(0.25)
    assert by_name["open_eer"].n == 2
    assert by_name["open_frr_at_far_1"].value == 0.5
    peer = by_name["open_eer_resemblyzer"]
    assert peer.value == 0.0
    # Of three people no error: that says little.
    assert peer.ci95 == pytest.approx((0.0, 0.7076), abs=1e-4)
    assert by_name["open_eer_campplus"].value is None
    recordings = [row["recordings"] for row in tables["open_set"]]
    assert recordings.count("all sentences") == 3
    assert recordings.count("b") == 1
    (decision,) = tables["open_decision"]
    assert (decision["frr_share"], decision["far_share"]) == (1 / 8, 2 / 80)
    attacked = {
        (row["scored_by"], row["attack"], row["limit"]): row for row in tables["open_attacked"]
    }
    let_in = attacked["device", "stranger let in", "equal error"]
    assert (let_in["clean_share"], let_in["attacked_share"], let_in["n"]) == (0.0, 0.5, 2)
    refused = attacked["device", "person refused", "FAR 1%"]
    assert (refused["clean_share"], refused["attacked_share"]) == (0.0, 1.0)
    det = [row for row in tables["open_det"] if row["scored_by"] == "device"]
    assert det[0]["far"] == 1.0
    assert det[-1] == {"heard_by": DEVICE, "scored_by": "device", "far": 0.0, "missed": 1.0}
    bars = [
        r for r in tables["open_scores"] if (r["heard_by"], r["scored_by"]) == (DEVICE, "device")
    ]
    assert sum(row["own_share"] for row in bars) == pytest.approx(1.0)
    assert sum(row["others_share"] for row in bars) == pytest.approx(1.0)
    json.dumps([tables, [metric.to_json() for metric in metrics]], allow_nan=False)


def test_without_strangers_there_are_no_figures() -> None:
    metrics, tables = figures([[], None], TINY, 1)
    assert all(metric.value is None for metric in metrics)
    assert tables == {}
