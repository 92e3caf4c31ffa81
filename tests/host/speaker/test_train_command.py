"""The command line says what is trained, and refuses what it does not understand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from earmark.errors import EarmarkError
from earmark_host.cli import app
from earmark_host.speaker import teacher
from earmark_host.speaker.arms import ARMS
from earmark_host.speaker.checkpoint import load
from earmark_host.speaker.clips import Cache, people
from earmark_host.speaker.network import DEVICE_SHAPE, PAPER_SHAPE
from earmark_host.speaker.schedule import FAST, PAPER_EPOCHS
from earmark_host.speaker.train_command import DISTIL, Options, planned

from .corpora import librispeech

NOWHERE = Options(Path("data"), Path("out"), "hat10")


def options(**changes: object) -> Options:
    return Options(**(vars(NOWHERE) | changes))  # type: ignore[arg-type]


class TestPlanned:
    def test_without_options_it_is_ours(self) -> None:
        assert planned(NOWHERE, 100) == (ARMS["hat10"], DEVICE_SHAPE, FAST)

    def test_the_paper_s_schedule_has_its_epochs(self) -> None:
        _, shape, recipe = planned(options(shape="paper", schedule="paper"), 1280)
        assert shape == PAPER_SHAPE
        assert recipe.steps == 10 * PAPER_EPOCHS
        _, _, short = planned(options(schedule="paper", epochs=2, batch=64), 1280)
        assert (short.steps, short.batch) == (40, 64)

    def test_a_teacher_is_learnt_from(self) -> None:
        _, shape, recipe = planned(options(teacher="campplus"), 100)
        assert (shape.teacher, recipe.distil) == (192, DISTIL)
        with pytest.raises(EarmarkError, match="without a teacher nothing is learnt of them"):
            planned(options(extra=True), 100)

    def test_details_go_where_they_belong(self) -> None:
        changes = ("w1=0", "floor=1e-3", "channels=[8,8]", "pools=[0]", "rate=1", "optimizer=adamw")
        arm, shape, recipe = planned(options(changes=(*changes, "speeds=[0.9]")), 100)
        assert recipe.speeds == (0.9,)
        assert arm.w1 == 0.0
        assert shape.front_end.floor == 1e-3
        assert (shape.channels, shape.pools) == ((8, 8), (0,))
        assert (recipe.rate, recipe.optimizer) == (1.0, "adamw")

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ("w3=1", "w1"),
            ("rate", "name=value"),
            ("rate=fast", r"0\.05"),
            ("speeds=[1.0]", r"0\.5 to 2"),
            ("speeds=[3]", r"0\.5 to 2"),
            ('speeds=["a"]', r"0\.5 to 2"),
            ("speeds=[0.9,0.9]", "twice"),
            ("pooling=least", "max, mean, both"),
            ("mels=4000", "front-end"),
            ("steps=3", "not understood"),
        ],
    )
    def test_what_is_wrong_is_named(self, change: str, match: str) -> None:
        with pytest.raises(EarmarkError, match=match):
            planned(options(changes=(change,)), 100)

    @pytest.mark.parametrize(
        "wrong", [{"shape": "round"}, {"teacher": "x"}, {"arm": "x"}, {"changes": ("distil=1",)}]
    )
    def test_unknown_names_are_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(EarmarkError):
            planned(options(**wrong), 100)


def test_it_trains_and_goes_on(tmp_path: Path) -> None:
    corpus = librispeech(tmp_path / "corpus", people=2)
    small = ["channels=[4,4]", "pools=[0]", "window_frames=16", "embedding=4"]
    command = ["speaker", "train", f"--data={corpus}", f"--out={tmp_path / 'out'}", "--steps=2"]
    command += ["--batch=4", "--arm=pgd10", "--seed=5", *(f"--set={part}" for part in small)]
    for more in ([], ["--resume"]):
        ended = CliRunner().invoke(app, [*command, *more], catch_exceptions=False)
        assert ended.exit_code == 0
        assert "pgd10, 2 people" in ended.stdout
        assert "session-disjoint" in ended.stdout
    assert (load(tmp_path / "out" / "model.pt").seed) == 5


def test_the_list_names_every_arm() -> None:
    ended = CliRunner().invoke(app, ["speaker", "train", "--list"])
    assert ended.exit_code == 0
    assert all(name in ended.stdout for name in ARMS)


def test_a_teacher_hears_each_clip_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whose = people(librispeech(tmp_path / "corpus", people=2, chapters=1, utterances=2))
    clips = [clip for own in whose.values() for clip in own]
    quiet = Console(quiet=True)
    found = teacher.targets("resemblyzer", clips, Cache(), tmp_path, quiet)
    assert found.shape == (4, 256)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    monkeypatch.setattr(teacher, "encoder", lambda name: pytest.fail("it heard them again"))
    again = teacher.targets("resemblyzer", clips, Cache(), tmp_path, quiet)
    np.testing.assert_array_equal(again, found)
    with pytest.raises(pytest.fail.Exception):
        teacher.targets("resemblyzer", clips[:3], Cache(), tmp_path, quiet)
