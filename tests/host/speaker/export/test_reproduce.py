"""The command on the card asks for the training that the checkpoint is of."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.host.speaker.corpora import SMALL
from tests.host.speaker.export.nets import lived, trained
from typer.testing import CliRunner

from earmark_host import speaker_command
from earmark_host.speaker import train_command
from earmark_host.speaker.arms import Arm, arm
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import Split
from earmark_host.speaker.export.reproduce import command, commands, options
from earmark_host.speaker.network import PAPER_SHAPE, SHAPES, Shape
from earmark_host.speaker.schedule import FAST, Recipe, paper
from earmark_host.speaker.train_command import Options, planned

SPLIT = Split(train=(), test=(), people=("a", "b", "c"), by_session=())

KINDS = {
    "usual": (arm("hat10"), SHAPES["device"], FAST),
    "paper": (arm("pgd10-released"), PAPER_SHAPE, paper(10)),
    "taught": (arm("hat10"), replace(SHAPES["device"], teacher=192), replace(FAST, distil=2.0)),
    "taught more": (arm("fs10"), replace(SHAPES["device"], teacher=256), replace(FAST, distil=3.5)),
    "changed": (
        replace(arm("hat10"), w2=0.5, clean_gradient=False),
        replace(
            SHAPES["paper-floored"],
            channels=(8, 16),
            pools=(0,),
            pooling="mean",
            front_end=replace(SHAPES["paper-floored"].front_end, floor=1e-12, mels=24),
        ),
        replace(FAST, batch=32, steps=77, decay="drops", drops=(0.5, 0.75), rooms=0.0, light=3),
    ),
}
"""Arm, shape and recipe of a training."""


def of(kind: str) -> Trained:
    its_arm, shape, recipe = KINDS[kind]
    said = recipe.described() | {"bf16": False, "arm": asdict(its_arm)}
    made = trained(lived(SMALL, 3), SPLIT)
    return replace(made, arm=its_arm.name, shape=shape, recipe=said, steps=recipe.steps)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What the command line was understood as."""
    heard: list[Options] = []
    monkeypatch.setattr(train_command, "run", heard.append)
    return heard


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_plans_the_same_training(kind: str, asked: list[Options]) -> None:
    words = shlex.split(" ".join(command(of(kind))))
    assert words[:3] == ["earmark-host", "speaker", "train"]
    said = CliRunner().invoke(speaker_command.app, words[2:])
    assert said.exit_code == 0, said.output
    found: tuple[Arm, Shape, Recipe] = planned(asked[0], 1000)
    assert found == KINDS[kind]
    assert (asked[0].seed, asked[0].bf16) == (3, False)


def test_what_is_usual_is_not_said() -> None:
    assert options(of("usual")).changes == ()
    assert options(of("paper")).changes == ()
    assert options(of("taught")).changes == ()
    assert options(of("taught more")).changes == ("distil=3.5",)


def test_who_else_was_heard_or_kept_out_is_said(asked: list[Options]) -> None:
    made = of("taught")
    made = replace(made, split=made.split | {"extra_people": ["x"], "held_out": ["y", "z"]})
    CliRunner().invoke(speaker_command.app, shlex.split(" ".join(command(made)))[2:])
    assert (asked[0].extra, asked[0].hold_out, asked[0].data) == (True, 2, Path("DIR"))


def test_a_training_after_another_takes_both(asked: list[Options]) -> None:
    second = replace(of("changed"), start=of("usual").about)
    first, after = commands(second)
    assert first == command(of("usual"))
    CliRunner().invoke(speaker_command.app, shlex.split(" ".join(after))[2:])
    assert asked[0].start == Path("FIRST/last.pt")
