"""The evaluation counts honestly: what is broken stays broken, and masked gradients are found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from earmark.audio import load_room
from earmark.errors import EarmarkError
from earmark_host.speaker.attacks import filled
from earmark_host.speaker.evaluate import (
    QUICK,
    Evaluation,
    Found,
    Held,
    Heldout,
    Kind,
    Plan,
    Subject,
    stages,
    transferred,
)
from earmark_host.speaker.evaluate_figures import figures
from earmark_host.speaker.evaluate_plots import draw
from earmark_host.speaker.evaluate_report import COLUMNS, PAPER_TABLE_1, markdown
from earmark_host.speaker.victim import NetVictim, StraightThrough, Victim

from . import toys

CLIPS = 18

PLAN = replace(
    QUICK,
    eps=0.006,
    at=(10, 20),
    iterations=(10, 20),
    sweep=(0.0002, 0.003, 0.006, 0.05, 0.1),
    restart_steps=20,
    auto_targets=1,
    auto_steps=5,
    queries=60,
    sample=6,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class DeafenedNet(toys.TonesNet):
    """Less sure of everybody: easier to fool, and with other gradients."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.3 * torch.roll(x, 3, -1)) / 2.0


class Masked:
    """Its scores are the toy's, its gradients are of somebody who cannot be moved."""

    differentiable = True

    def __init__(self) -> None:
        still = NetVictim.of(StillNet())
        self.inner = StraightThrough(toys.victim(), still)

    def logits(self, x: Tensor, samples: Any = None) -> Tensor:
        return self.inner.logits(x, samples)


class StillNet(toys.TonesNet):
    """Gradients that point nowhere: of the sum of the samples."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach() + 1e-6 * x.sum(1, keepdim=True) ** 2


def heldout() -> Heldout:
    signals, labels = toys.clips(CLIPS, 4)
    least = toys.WINDOW
    keys = tuple(f"clip{number}" for number in range(CLIPS))
    return Heldout(tuple(filled(signal, least) for signal in signals), tuple(labels), keys)


@pytest.fixture(scope="module")
def steps() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(steps: list[str]) -> list[Found]:
    held = heldout()
    subjects = [
        Subject("standard", 1, NetVictim.of(DeafenedNet())),
        Subject("hat10", 1, toys.victim()),
        Subject("pgd10", 1, toys.victim()),
    ]
    lent = transferred(subjects[0], held, PLAN, 1)
    rooms = [load_room("bedroom"), load_room("kitchen")]
    done = []
    for subject in subjects:
        step = steps.append if subject.arm == "hat10" else lambda _: None
        own = rooms if subject.arm == "hat10" else []
        done.append(Evaluation(subject, held, PLAN, own, 1, "cpu", step).run(lent))
    return done


def hat(found: list[Found]) -> Found:
    return found[1]


def test_only_what_was_recognised_and_tried_can_be_broken(found: list[Found]) -> None:
    for each in found:
        for held in each.held:
            assert not (held.broken & ~held.tried).any()
            assert not (held.broken & ~each.clean).any()


def test_the_worst_case_is_clip_by_clip(found: list[Found]) -> None:
    for each in found:
        for held in each.held:
            assert not (each.worst & held.broken).any()
            assert each.worst.sum() <= (each.clean & ~held.broken).sum()
        broken = np.logical_or.reduce([held.broken for held in each.held])
        assert np.array_equal(each.worst, each.clean & ~broken)
    assert 0 < hat(found).worst.sum() < hat(found).clean.sum() == CLIPS


def test_everything_is_tried(found: list[Found], steps: list[str]) -> None:
    names = [held.attack for held in hat(found).held]
    wanted = ["fgsm", "pgd10", "pgd20", "cw10", "cw20", "fs10", "fs20", "art_pgd20", "autoattack"]
    wanted += ["random_signs", "pgd20<standard/1", "cw20<standard/1", "cw20x2", "pgd20x2"]
    wanted += ["square60", "nes60", "fakebob60"]
    assert names == wanted
    assert len(steps) <= stages(PLAN, 2, True)
    assert len(steps) >= stages(PLAN, 2, True) - len(PLAN.sweep)


def test_the_papers_attacks_alone_are_a_part_of_all(found: list[Found]) -> None:
    plan = replace(PLAN, restarts=0, queries=0, auto_targets=0)
    steps: list[str] = []
    subject = Subject("hat10", 1, toys.victim())
    each = Evaluation(subject, heldout(), plan, step=steps.append).run()
    names = [held.attack for held in hat(found).held]
    own = [name for name in names if name[:3] in ("fgs", "pgd", "cw1", "cw2", "fs1", "fs2")]
    own = [name for name in own if "<" not in name and "x" not in name]
    assert [held.attack for held in each.held] == [*own, "art_pgd20", "random_signs"]
    for held in each.held:
        same = hat(found).under(held.attack)
        assert same is not None
        assert np.array_equal(held.broken, same.broken)
    assert len(steps) <= stages(plan, 0, False)


def test_a_model_is_not_given_its_own_examples_as_transferred(found: list[Found]) -> None:
    assert not [held for held in found[0].held if held.kind is Kind.TRANSFER]
    assert len([held for held in found[1].held if held.kind is Kind.TRANSFER]) == 2


def test_costly_attacks_run_on_what_is_left_and_on_a_sample(found: list[Found]) -> None:
    each = hat(found)
    left = each.clean.copy()
    for held in each.held:
        if held.kind is Kind.BLACK:
            assert held.alone.sum() == PLAN.sample
            assert np.array_equal(held.tried, left | (held.alone & each.clean))
        elif held.attack.endswith("x2"):
            assert not held.alone.any()
            assert np.array_equal(held.tried, left)
        else:
            assert held.alone.all()
            assert np.array_equal(held.tried, each.clean)
        left &= ~held.broken


def test_the_sweep_falls_to_zero_and_ends_there(found: list[Found]) -> None:
    sweep = hat(found).sweep
    counts = [int(right.sum()) for right in sweep.values()]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == CLIPS
    assert counts[-1] == 0
    assert counts.count(0) == 1


def test_in_a_room_only_the_attacker_who_knows_it_gets_on(found: list[Found]) -> None:
    plain, blind, knowing = hat(found).aired
    assert plain.right.sum() >= CLIPS - 2
    assert knowing.right.sum() < blind.right.sum() <= plain.right.sum()
    assert (blind.room_known, knowing.room_known) == (False, True)


def rows(found: list[Found], table: str, **wanted: object) -> list[dict[str, Any]]:
    tables = figures(found, PLAN)[1]
    return [row for row in tables[table] if all(row[key] == wanted[key] for key in wanted)]


def test_table_1_is_the_share_of_all_clips_with_its_interval(found: list[Found]) -> None:
    each = hat(found)
    (row,) = rows(found, "table_1", arm="hat10", attack="pgd10")
    held = each.under("pgd10")
    assert held is not None
    assert row["share"] == pytest.approx((CLIPS - held.broken.sum()) / CLIPS)
    assert row["n"] == CLIPS
    assert row["ci95"][0] < row["share"] < row["ci95"][1]
    assert len(rows(found, "table_1", arm="hat10")) == 1 + 1 + 3 * len(PLAN.at)


def test_what_is_left_falls_from_attack_to_attack(found: list[Found]) -> None:
    left = [row["left_share"] for row in rows(found, "attacks", arm="hat10")]
    assert left == sorted(left, reverse=True)
    assert left[-1] == pytest.approx(hat(found).worst.mean())


def test_the_checks_hold_for_honest_gradients(found: list[Found]) -> None:
    checks = rows(found, "masking", arm="hat10")
    assert len(checks) == len(PLAN.at) + 1 + 2 + 3 + 1
    assert [row["check"] for row in checks if not row["passed"]] == []


def test_masked_gradients_are_found_out() -> None:
    plan = replace(PLAN, eps=0.03, queries=200, sweep=(0.03, 0.1))
    each = Evaluation(Subject("hat10", 1, Masked()), heldout(), plan).run()
    assert each.white.sum() >= CLIPS - 3  # so it looks robust
    assert each.worst.sum() <= 3  # and is not
    failed = [row for row in rows([each], "masking") if not row["passed"]]
    assert any(row["check"] == "white-box <= square200" for row in failed)
    assert any(row["check"].startswith("falls to zero") for row in failed)
    (square,) = [row for row in failed if row["check"] == "white-box <= square200"]
    assert square["broke_what_white_left"] >= CLIPS // 2


def test_scores_alone_are_attacked_on_surrogates_and_as_a_black_box() -> None:
    class Scores:
        differentiable = False

        def logits(self, x: Tensor, samples: Any = None) -> Tensor:
            with torch.no_grad():
                return torch.round(toys.victim().logits(x, samples) * 4.0) / 4.0

    scores, parent = Scores(), toys.victim()
    bare = Evaluation(Subject("int8", 1, scores), heldout(), PLAN).run()
    assert {held.kind for held in bare.held} == {Kind.CONTROL, Kind.BLACK}
    assert bare.sweep == {}
    on: dict[str, Victim] = {"float": parent, "straight": StraightThrough(scores, parent)}
    each = Evaluation(Subject("int8", 1, scores, on), heldout(), PLAN).run()
    names = {held.attack for held in each.held}
    assert {"pgd10@float", "pgd10@straight", "cw20x2@straight", "square60"} <= names
    assert each.worst.sum() < bare.worst.sum()
    assert {row["attack"] for row in rows([each], "table_1")} >= {"clean", "pgd10@float"}


def test_independent_pgd_agrees(found: list[Found]) -> None:
    (row,) = rows(found, "independent", arm="hat10")
    assert row["same_outcome_share"] >= 0.9
    assert row["points_apart"] == pytest.approx(100 * abs(row["ours_share"] - row["art_share"]))
    assert row["within_a_point"] == (row["points_apart"] <= 1.0 + 1e-6)


def made(arm: str, seed: int, right: list[bool], attack: str = "pgd40") -> Found:
    clean = np.ones(len(right), np.bool_)
    held = Held(attack, Kind.WHITE, clean, ~np.array(right), clean, 1.0)
    return Found(arm, seed, clean, (held,), {}, (), 0.0)


def test_an_advantage_is_over_clips_and_over_trainings() -> None:
    some = [
        made("hat10", 1, [True] * 6 + [False] * 4),
        made("pgd10", 1, [True] * 5 + [False] * 5),
        made("hat10", 2, [True] * 8 + [False] * 2),
        made("pgd10", 2, [True] * 5 + [False] * 5),
        made("pgd10", 3, [True] * 10),  # no hat10 of this seed
    ]
    tables = figures(some, Plan())[1]
    (row,) = [row for row in tables["advantage"] if row["under"] == "pgd40"]
    assert (row["arm"], row["beside"], row["seeds"], row["n"]) == ("hat10", "pgd10", "1 2", 10)
    assert row["points"] == pytest.approx(20.0)
    assert 0.0 <= row["low_by_clips"] < 20.0 < row["high_by_clips"] <= 50.0
    # Two trainings, 10 and 30 points: mean 20, standard error 10, Student's factor 12.706.
    assert row["high_by_seeds"] == pytest.approx(20.0 + 127.06, abs=0.01)
    one = figures(some[:2], Plan())[1]["advantage"]
    assert [row["low_by_seeds"] for row in one if row["under"] == "pgd40"] == [None]


def test_metrics_are_those_of_each_arm(found: list[Found]) -> None:
    metrics = {metric.name: metric for metric in figures(found, PLAN)[0]}
    assert metrics["hat10_clean"].value == 1.0
    assert metrics["hat10_worst"].value == pytest.approx(hat(found).worst.mean())
    assert {"hat10_pgd20", "hat10_cw20", "standard_autoattack", "pgd10_fgsm"} <= set(metrics)
    assert all(metric.n == CLIPS for metric in metrics.values())


def report(found: list[Found], quick: bool = False) -> dict[str, Any]:
    metrics, tables = figures(found, PLAN)
    whole = {
        "bench": "speaker evaluate",
        "seed": 1,
        "data": {
            "clips": CLIPS,
            "people": 6,
            "disjoint": "utterance",
            "median_snr_db": 28.4,
        },
        "conditions": {"quick": quick, "plan": {"eps": PLAN.eps}},
        "metrics": [metric.to_json() for metric in metrics],
        "tables": tables,
    }
    return json.loads(json.dumps(whole, allow_nan=False))  # type: ignore[no-any-return]


def test_the_markdown_has_the_papers_figures_beside_ours(found: list[Found]) -> None:
    text = markdown(report(found))
    line = next(
        line
        for line in text.splitlines()
        if line.startswith("| hat10, seed 1 |") and "97.68" in line
    )
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    assert cells[1].endswith("*97.68*")
    assert cells[1].startswith("100.0 (")
    assert "*81.12*" in cells[1 + COLUMNS.index("pgd10")]
    for title in ("Worst case", "Transfer", "masked", "ART", "Over the air", "cost", "Fig. 1"):
        assert title in text
    assert "quick run" not in text
    assert "quick run" in markdown(report(found, quick=True))
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_the_papers_table_is_complete() -> None:
    assert all(len(row) == len(COLUMNS) for row in PAPER_TABLE_1.values())
    assert PAPER_TABLE_1["hat10"][COLUMNS.index("pgd40")] == 78.84
    assert PAPER_TABLE_1["pgd10"][COLUMNS.index("cw40")] == 75.34


def test_a_report_that_lacks_something_is_refused(found: list[Found]) -> None:
    broken = report(found)
    del broken["tables"]["masking"][0]["check"]
    with pytest.raises(EarmarkError, match="make it again"):
        markdown(broken)


def test_the_plots_are_drawn_from_the_report(found: list[Found], tmp_path: Path) -> None:
    files = draw(report(found), tmp_path)
    names = {"speaker_eps.png", "speaker_iterations.png", "speaker_eps.svg"}
    assert names <= {file.name for file in files}
    assert all(file.stat().st_size > 1000 for file in files)
