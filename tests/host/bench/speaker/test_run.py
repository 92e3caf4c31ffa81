"""``bench speaker`` end to end on people who hum, and its failures."""

from __future__ import annotations

import io
import json
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console
from tests.host.bench.speaker.toys import Pool

pytest.importorskip("pyroomacoustics")

from earmark.errors import EarmarkError
from earmark_host import cli
from earmark_host.bench import Report
from earmark_host.bench.speaker import Part, closed, cpu, learning, room, run
from earmark_host.bench.speaker import open as strangers

PEOPLE = 8


@pytest.fixture(autouse=True)
def _here_and_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, no peers, and as little as there can be of everything."""
    bench = import_module("earmark_host.bench.speaker.run")  # the package has a function run
    monkeypatch.setattr(bench, "Workers", Pool)
    monkeypatch.setattr(bench, "_version", lambda _: None)
    monkeypatch.setattr(
        closed, "QUICK", closed.Plan(PEOPLE, 2, 3, ("resemblyzer",), 2, 1, 5, 1, 1, 1)
    )
    monkeypatch.setattr(strangers, "QUICK", strangers.Plan(None, 2, ("resemblyzer",), 1, 1, 2))
    monkeypatch.setattr(room, "QUICK", room.Plan(PEOPLE, 2, 3, 1, 1, (2.0,)))
    monkeypatch.setattr(learning, "QUICK", learning.Plan(None, 2))
    monkeypatch.setattr(cpu, "QUICK", cpu.Plan(2))


def held(
    corpus: Path,
    model: Path,
    *parts: Part,
    arms: Path | None = None,
    attacked: int | None = None,
) -> Report:
    return run(
        corpus,
        parts or list(Part),
        quick=True,
        seed=5,
        workers=1,
        console=Console(file=io.StringIO()),
        arms=arms,
        model=model,
        attacked=attacked,
    )


def test_all_parts_of_a_real_model(singers: Path, model: Path, tmp_path: Path) -> None:
    shutil.copytree(model / "arms", tmp_path / "arms")
    shutil.copy(model / "arms" / "shipped.pt", tmp_path / "arms" / "people-20.pt")
    report = held(singers, model, arms=tmp_path / "arms")
    value = {metric.name: metric.value for metric in report.metrics}
    # Twenty hums a tone apart are told apart, and strangers' from theirs.
    assert value["closed_clean_int8"] is not None
    assert value["closed_clean_int8"] > 0.6
    assert value["closed_clean_float"] is not None
    for ear in ("float", "int8"):
        clean, worst = (value[f"closed_{kind}_{ear}"] for kind in ("clean", "worst"))
        assert clean is not None
        assert worst is not None
    assert value["open_eer"] is not None
    assert value["open_eer"] < 0.4
    assert value["closed_pgd40_standard"] is not None
    assert value["resemblyzer_clean"] is None
    assert value["room_clean_drop_points"] is not None
    assert value["model_bytes"] == (model / "speaker.tflite").stat().st_size
    assert set(report.tables) >= {
        "closed_set",
        "closed_attacks",
        "closed_arms",
        "open_set",
        "open_decision",
        "open_attacked",
        "open_det",
        "open_scores",
        "open_learning",
        "room",
        "command_cpu",
        "cost_cpu",
    }
    assert report.conditions["parent"] == "shipped.pt"
    assert report.conditions["trained_on"] == 20
    assert report.conditions["of_them_in_the_corpus"] == 20
    assert report.conditions["peers"]["campplus"] == "left out: not installed"
    assert report.data == {"folder": singers.name, "clips": {"speech": 240}, "people": 24}
    json.dumps(report.to_json(), allow_nan=False)


def test_the_same_seed_gives_the_same_figures(singers: Path, model: Path) -> None:
    one, other = (held(singers, model, Part.CLOSED, Part.OPEN) for _ in range(2))
    assert one.metrics == other.metrics
    assert {**one.tables, "cost_cpu": []} == {**other.tables, "cost_cpu": []}


def test_fewer_clips_are_attacked_and_all_are_heard(singers: Path, model: Path) -> None:
    usual, fewer = (held(singers, model, Part.CLOSED, attacked=each) for each in (None, 1))
    assert usual.metric("closed_worst_int8").n == 2
    assert fewer.metric("closed_worst_int8").n == 1
    assert usual.metric("closed_clean_int8").value == fewer.metric("closed_clean_int8").value


def test_a_corpus_whom_nobody_knows(hums: Path, model: Path, tmp_path: Path) -> None:
    """Without the parent all are strangers, and the report says so."""
    bare = tmp_path / "model"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("arms"))
    report = held(hums, bare, Part.CLOSED, Part.OPEN)
    value = {metric.name: metric for metric in report.metrics}
    assert value["closed_clean_int8"].n == 6 * 2
    assert value["closed_clean_float"].value is None
    assert value["open_eer"].n == 6 * 2
    assert {row["named_by"] for row in report.tables["closed_set"]} == {"voiceprint"}
    assert "whom the model was trained on is not known" in report.conditions["parent"]


def test_every_part_has_a_name_on_the_command_line() -> None:
    assert [part.value for part in Part] == [part.value for part in cli.SpeakerPart]


# -- failures -------------------------------------------------------------------------------


def test_without_a_model_nothing_is_begun(hums: Path, tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"speaker\.json"):
        held(hums, tmp_path, Part.CPU)


def test_without_people_nothing_is_begun(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="speaker"):
        held(tmp_path, model, Part.CPU)


def test_a_checkpoint_with_the_name_of_a_peer(hums: Path, model: Path, tmp_path: Path) -> None:
    shutil.copy(model / "arms" / "shipped.pt", tmp_path / "float.pt")
    with pytest.raises(EarmarkError, match="rename it"):
        held(hums, model, Part.CPU, arms=tmp_path)
