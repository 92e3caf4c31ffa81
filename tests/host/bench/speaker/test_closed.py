"""People are named, clean and under attack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.host.bench.speaker.toys import NAMES, Toy, held_back, setup_of

from earmark_host.bench.speaker.closed import (
    FULL,
    QUICK,
    Arms,
    ArmSeen,
    Clean,
    CleanSeen,
    PeerAttacked,
    PeerSeen,
    Plan,
    Seen,
    Worst,
    WorstSeen,
    hold,
    pieces,
    rows,
    takes,
    wanted,
)
from earmark_host.bench.speaker.closed_figures import figures
from earmark_host.bench.speaker.setup import DEVICE, PARENT, ArmFile, Setup

TINY = Plan(
    people=None,
    tests=2,
    enrolled=3,
    peers=("resemblyzer", "campplus"),
    attacked=1,
    restarts=1,
    queries=5,
    arms_attacked=1,
    peer_attacked=1,
    peer_steps=2,
)


def clean(setup: Setup) -> dict[tuple[str, str, str], CleanSeen]:
    seen = hold(setup, Clean(TINY))
    assert isinstance(seen, list)
    return {(e.ear, e.cast, e.way): e for e in seen if isinstance(e, CleanSeen)}


def test_everybody_is_named_in_every_way_there_is(setup: Setup) -> None:
    found = clean(setup)
    assert set(found) == {
        *((ear, "known", way) for ear in (DEVICE, PARENT) for way in ("head", "voiceprint")),
        *((ear, "others", "voiceprint") for ear in (DEVICE, PARENT, "resemblyzer")),
        ("resemblyzer", "known", "voiceprint"),
    }
    for (_, cast, _), seen in found.items():
        people = 4 if cast == "known" else 2
        assert seen.among == people
        assert seen.right == seen.clips == (2,) * people


def test_where_nobody_is_known_voiceprints_are_the_only_way(newcomers: Setup) -> None:
    assert rows(newcomers, TINY) == [("others", "voiceprint")]
    assert len(clean(newcomers)) == 3
    heard = dict(wanted(newcomers, TINY))
    # Arms have voiceprints, too, and their test clips are heard under attack alone.
    assert len(heard["hat"]) == 6 * 3
    assert len(heard[DEVICE]) == 6 * (2 + 3)


def test_only_what_was_held_back_is_tested(setup: Setup, hums: Path) -> None:
    kept = held_back(hums, 4)
    some = takes(setup, TINY)
    assert all(clip.key in kept for _, clip in some)
    # One clip of everybody before the second of anybody.
    assert sorted(person.name for person, _ in some[:4]) == list(NAMES[:4])
    assert len(some) == len(set(some)) == 8


def test_the_shipped_model_is_attacked_in_every_way(setup: Setup) -> None:
    seen = hold(setup, Worst(TINY, 0))
    assert isinstance(seen, WorstSeen)
    assert seen.clean == {DEVICE: True, PARENT: True}
    names = {f"{a} on {ear}" for a in ("pgd40x1", "cw40x1", "square5") for ear in seen.clean}
    assert {name for robust in seen.robust.values() for name in robust} == names
    # Both are the same here, so what holds for one holds for the other.
    assert seen.robust[DEVICE] == seen.robust[PARENT]


def test_examples_of_an_undefended_network_are_tried(hums: Path, tmp_path: Path) -> None:
    setup = setup_of(hums, tmp_path, 4)
    standard = ArmFile("plain", "standard", 1, "device", 4)
    toy = Toy(4, held_back(hums, 4))
    setup = replace(setup, ears=(*setup.ears, ("plain", toy)), arms=(*setup.arms, standard))
    seen = hold(setup, Worst(TINY, 0))
    assert isinstance(seen, WorstSeen)
    assert "transfer from plain" in seen.robust[DEVICE]


def test_arms_are_attacked_with_clips_that_they_have_not_heard(setup: Setup) -> None:
    seen = hold(setup, Arms(TINY, 0))
    assert isinstance(seen, list)
    good, bad = (each for each in seen if isinstance(each, ArmSeen))
    assert (good.arm.ear, bad.arm.ear) == ("hat", "bad")
    assert good.clean
    assert not bad.clean
    # An arm that was trained with another split has heard what is tested here.
    ears = tuple((n, Toy(4) if n == "hat" else ear) for n, ear in setup.ears)
    seen = hold(replace(setup, ears=ears), Arms(TINY, 0))
    assert isinstance(seen, list)
    assert [each.arm.ear for each in seen if isinstance(each, ArmSeen)] == ["bad"]


def test_a_peer_is_attacked_on_the_same_clip(setup: Setup) -> None:
    seen = hold(setup, PeerAttacked(TINY, 0))
    worst = hold(setup, Worst(TINY, 0))
    assert isinstance(seen, PeerSeen)
    assert isinstance(worst, WorstSeen)
    assert (seen.ear, seen.person, seen.clean) == ("resemblyzer", worst.person, True)


@pytest.mark.parametrize("kind", [Worst, Arms, PeerAttacked])
def test_a_small_corpus_has_fewer_clips_than_the_plan(
    setup: Setup, kind: type[Worst | Arms | PeerAttacked]
) -> None:
    assert not hold(setup, kind(TINY, 99))


def test_plans_attack_each_clip_once() -> None:
    for plan in (FULL, QUICK):
        assert len(set(pieces(plan))) == len(pieces(plan))
    assert FULL.queries >= 2_000
    assert FULL.restarts >= 5


# -- the figures -----------------------------------------------------------------------------


def worst(person: str, clean_: bool, *robust: bool) -> WorstSeen:
    held = {f"attack {k}": each for k, each in enumerate(robust)}
    return WorstSeen(
        "known", "head", person, {DEVICE: clean_, PARENT: True}, {DEVICE: held, PARENT: held}
    )


def arm(name: str, seed: int, person: str, robust: bool, front_end: str = "device") -> ArmSeen:
    return ArmSeen(ArmFile(f"{name}-{seed}", name, seed, front_end, 9), person, True, robust)


def test_a_clip_holds_when_no_attack_breaks_it() -> None:
    results: list[Seen] = [
        worst("ann", True, True, True),
        worst("bob", True, True, False),
        worst("cy", False, True, True),
        worst("dee", True, False, True),
        PeerSeen("resemblyzer", "ann", True, False),
        [
            CleanSeen(DEVICE, "known", "head", 4, (2, 1), (2, 2)),
            CleanSeen("resemblyzer", "known", "voiceprint", 4, (2, 2), (2, 2)),
            CleanSeen(DEVICE, "others", "voiceprint", 4, (0, 0), (2, 2)),
        ],
        None,
    ]
    metrics, tables = figures(results, TINY, 1)
    by_name = {metric.name: metric for metric in metrics}
    assert by_name["closed_worst_int8"].value == 0.25
    assert by_name["closed_worst_float"].value == 0.5
    assert by_name["closed_clean_int8"].value == 0.75
    assert by_name["closed_clean_int8"].n == 4
    assert by_name["closed_clean_float"].value is None
    assert by_name["resemblyzer_clean"].value == 1.0
    assert by_name["resemblyzer_pgd"].value == 0.0
    rows_of = {(row["heard_by"], row["attack"]): row for row in tables["closed_attacks"]}
    assert rows_of[DEVICE, "none"]["right_share"] == 0.75
    assert rows_of[DEVICE, "attack 0"]["right_share"] == 0.5
    assert rows_of[DEVICE, "worst of all"]["right_share"] == 0.25
    assert "closed_arms" not in tables


def test_without_known_people_the_others_make_the_metric() -> None:
    seen = [CleanSeen(DEVICE, "others", "voiceprint", 4, (1, 0), (2, 2))]
    metrics, _ = figures([seen], TINY, 1)
    assert {m.name: m.value for m in metrics}["closed_clean_int8"] == 0.25


def test_arms_are_compared_on_the_same_people_over_all_seeds() -> None:
    results: list[Seen] = [
        [arm("hat10", seed, person, True) for seed in (1, 2)]
        + [arm("pgd10", seed, person, seed == 1) for seed in (1, 2)]
        + [arm("hat10", 1, person, False, "paper")]
        for person in ("ann", "bob")
    ]
    metrics, tables = figures(results, TINY, 1)
    by_name = {metric.name: metric for metric in metrics}
    assert by_name["closed_pgd40_hat"].value == 1.0  # that of the paper hears something else
    assert by_name["closed_pgd40_pgd_at"].value == 0.5
    assert by_name["closed_pgd40_fs_at"].value is None
    assert len(tables["closed_arms"]) == 5
    (gap,) = tables["closed_arms_difference"]
    assert (gap["arms"], gap["pgd40_points"], gap["n"]) == ("hat10 - pgd10", 50.0, 2)
    assert gap["ci95_points"] == [50.0, 50.0]
