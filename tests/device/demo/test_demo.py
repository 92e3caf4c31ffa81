"""The demo as a user runs it: exit code, report, pictures, table."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import earmark.demo
from earmark.cli import app
from earmark.demo import (
    EVENING,
    QUICK,
    RESIDENT,
    Enrols,
    Expected,
    Replays,
    Varies,
    chosen,
    run_demo,
)
from earmark.errors import EarmarkError
from earmark.gate import Announcement, Decision, Embedder, Reason
from earmark.signal import RATE_HZ

KEYS = {"scene", "expected", "verdict", "reason", "checks", "audio_s", "decision_cpu_s"}
"""What every object of the report has at the least."""


@dataclass(frozen=True)
class Run:
    code: int
    out: Path
    printed: str
    report: list[dict[str, object]]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, listener: Embedder) -> Run:
    out = tmp_path_factory.mktemp("demo")
    file = io.StringIO()
    code = run_demo(
        chosen(QUICK),
        out=out,
        json_file=out / "new folder" / "report.json",
        console=Console(file=file, width=80),
        speaker=listener,
    )
    report = json.loads((out / "new folder" / "report.json").read_text(encoding="utf-8"))
    return Run(code, out, file.getvalue(), report)


def test_every_quick_scene_ends_as_expected(quick: Run) -> None:
    ends = [(one["scene"], one["verdict"], one["reason"]) for one in quick.report]
    assert ends == [
        ("enrol", "allow", "fresh"),
        ("live", "allow", "fresh"),
        ("replay", "reject", "replay"),
        ("jammed", "retry", "nonce_absent"),
    ]
    assert [one["expected"] for one in quick.report] == ["allow", "allow", "reject", "retry"]
    assert quick.code == 0


def test_the_report_has_its_keys(quick: Run) -> None:
    for one in quick.report:
        assert set(one) >= KEYS
        checks = one["checks"]
        assert isinstance(checks, dict)
        # Whoever enrols is not known yet.
        voice = set() if one["scene"] == "enrol" else {"speaker"}
        assert set(checks) == {"signal", "nonce", "stale", "memory"} | voice
        for check in checks.values():
            assert set(check) == {"passed", "score", "detail"}
        assert isinstance(one["audio_s"], float)
        assert isinstance(one["decision_cpu_s"], float)
        assert 0.0 < one["decision_cpu_s"] < one["audio_s"]


def test_the_replay_names_when_and_where_it_was_recorded(quick: Run) -> None:
    _, live, replay, _ = quick.report
    assert replay["recorded_in"] == "kitchen" == live["device"]
    assert "recorded 19:30 in" in quick.printed
    assert live["recorded_in"] is None


def test_only_the_allowed_command_was_forwarded(quick: Run) -> None:
    forwarded = [one["forwarded"] for one in quick.report]
    assert [one is None for one in forwarded] == [True, False, True, True]
    files = list((quick.out / "commands").glob("*.wav"))
    assert [str(file) for file in files] == forwarded[1:2]
    audio, rate_hz = soundfile.read(files[0])
    assert rate_hz == RATE_HZ
    assert audio.size > RATE_HZ  # more than a second of a command of 1.7 s
    lines = (quick.out / "commands" / "commands.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["file"] for line in lines] == [files[0].name]
    assert [json.loads(line)["person"] for line in lines] == [RESIDENT]
    assert "Forwarded commands (1 in this run)" in quick.printed


def test_whoever_has_enrolled_is_named(quick: Run) -> None:
    enrol, live, _, jammed = quick.report
    assert (enrol["person"], enrol["sessions"]) == (RESIDENT, 4)
    assert live["person"] == RESIDENT
    assert jammed["person"] is None
    text = " ".join(quick.printed.split())
    assert "enrolled from 4" in text
    assert f"now by {RESIDENT}" in text


def test_a_stranger_is_not_forwarded_and_not_told_why(tmp_path: Path, listener: Embedder) -> None:
    file = io.StringIO()
    report = tmp_path / "report.json"
    console = Console(file=file, width=80)
    scenes = chosen(("stranger",))
    assert [scene.name for scene in scenes] == ["enrol", "stranger"]
    assert run_demo(scenes, out=tmp_path, json_file=report, console=console, speaker=listener) == 0
    _, stranger = json.loads(report.read_text(encoding="utf-8"))
    assert (stranger["reason"], stranger["forwarded"]) == ("stranger", None)
    assert stranger["told"] == Announcement.COULD_NOT_VERIFY.text
    assert not list((tmp_path / "commands").glob("*.wav"))
    assert RESIDENT not in (tmp_path / "journal.log").read_text(encoding="utf-8")


def test_a_phrase_that_cannot_be_used_enrols_nobody(tmp_path: Path, listener: Embedder) -> None:
    """The third is somebody else's: the scene ends there, and not as expected."""
    enrol = chosen(("enrol",))[0]
    assert isinstance(enrol.what, Enrols)
    others = replace(enrol.what, phrases=("resident_1", "resident_3", "lobsters", "reading_1"))
    report = tmp_path / "report.json"
    console = Console(file=io.StringIO(), width=80)
    scenes = [replace(enrol, what=others)]
    assert run_demo(scenes, out=tmp_path, json_file=report, console=console, speaker=listener) == 1
    [one] = json.loads(report.read_text(encoding="utf-8"))
    assert (one["reason"], one["sessions"], one["person"]) == ("speaker_undetermined", 3, None)


def test_each_scene_has_a_picture(quick: Run) -> None:
    assert {path.stem for path in quick.out.glob("*.png")} == set(QUICK)
    for path in quick.out.glob("*.png"):
        assert path.stat().st_size < 500_000
        with Image.open(path) as image:
            assert image.size == (1200, 830)
            colours = image.convert("RGB").getcolors(maxcolors=256)
        assert colours is not None
        assert len(colours) > 32  # more than an empty frame


def test_the_journal_has_a_line_for_each_verdict(quick: Run) -> None:
    journal = (quick.out / "journal.log").read_text(encoding="utf-8")
    assert [line.split()[2] for line in journal.splitlines() if " decision=" in line] == [
        *["allowed"] * 4,
        "allowed",
        "rejected",
        "retry",
    ]
    assert logging.getLogger("earmark").propagate  # as before


def test_the_table_fits_80_columns_and_says_all_in_words(quick: Run) -> None:
    lines = quick.printed.splitlines()
    assert max(len(line) for line in lines if "/" not in line) <= 80  # paths are never cut
    text = " ".join(quick.printed.split())
    for words in ("✓ allow", "✗ reject", "↻ retry", "4 of 4 scenes ended as expected"):
        assert words in text
    assert "\x1b" not in quick.printed


@pytest.mark.parametrize(
    "expected",
    [
        Expected(Decision.ALLOW, Reason.FRESH),
        Expected(Decision.RETRY, Reason.FAULT),
    ],
)
def test_a_verdict_that_differs_from_the_scene_is_exit_code_1(
    expected: Expected, tmp_path: Path, listener: Embedder
) -> None:
    silent = replace(chosen(("nobody_speaks",))[0], expected=expected)
    file = io.StringIO()
    console = Console(file=file, width=120)
    code = run_demo([silent], out=tmp_path, console=console, speaker=listener)
    assert code == 1
    assert "not as expected" in file.getvalue()
    assert "0 of 1 scenes ended as expected" in file.getvalue()


def test_the_command_line_passes_its_options_and_the_exit_code_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: dict[str, object] = {}

    def played(scenes: object, **options: object) -> int:
        called.update(options, scenes=scenes)
        return 1

    monkeypatch.setattr(earmark.demo, "run_demo", played)
    report = tmp_path / "r.json"
    options = ["--quick", "--seed", "7", "--json", str(report), "--out", str(tmp_path)]
    assert CliRunner().invoke(app, ["demo", *options]).exit_code == 1
    assert called == {
        "scenes": chosen(QUICK),
        "out": tmp_path,
        "json_file": report,
        "seed": 7,
        "real_time": False,
    }
    CliRunner().invoke(app, ["demo"])
    assert called["scenes"] == EVENING


def test_a_crafted_command_is_withheld_from_its_sixth_copy_on(
    tmp_path: Path, listener: Embedder
) -> None:
    file = io.StringIO()
    report = tmp_path / "report.json"
    console = Console(file=file, width=80)
    scenes = chosen(("crafted",))
    code = run_demo(scenes, out=tmp_path, json_file=report, console=console, speaker=listener)
    assert code == 0
    [one] = json.loads(report.read_text(encoding="utf-8"))
    assert (one["verdict"], one["reason"], one["sessions"]) == ("reject", "query_attack", 6)
    assert one["forwarded"] is None
    assert len(list((tmp_path / "commands").glob("*.wav"))) == 5
    text = " ".join(file.getvalue().split())
    assert "21:11 crafted" in text
    assert "first heard 21:06" in text
    assert "Forwarded commands (5 in this run)" in text
    assert (tmp_path / "crafted.png").exists()


def test_a_series_of_another_length_is_not_as_expected(tmp_path: Path, listener: Embedder) -> None:
    crafted = chosen(("crafted",))[0]
    assert isinstance(crafted.what, Varies)
    once = replace(
        crafted,
        what=replace(crafted.what, times=1),
        expected=Expected(Decision.ALLOW, Reason.FRESH, sessions=2),
    )
    console = Console(file=io.StringIO(), width=80)
    assert run_demo([once], out=tmp_path, console=console, speaker=listener) == 1


def test_a_replay_brings_the_scene_that_it_replays() -> None:
    assert [scene.name for scene in chosen(("close_recorder",))] == ["television", "close_recorder"]
    for at, scene in enumerate(EVENING):
        assert scene.after is None or scene.after in {other.name for other in EVENING[:at]}
        if isinstance(scene.what, Replays):
            recorded = {other.name for other in EVENING[:at] if other.recorder is not None}
            assert scene.what.scene in recorded


# Failures


def test_an_unknown_scene_is_one_line_with_those_there_are() -> None:
    with pytest.raises(EarmarkError, match=r"no scene 'garden': choose from enrol, live, replay"):
        chosen(("garden",))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EarmarkError, match=r"file/demo cannot be written .*--out"):
        run_demo(chosen(QUICK), out=tmp_path / "file" / "demo")


def test_a_report_that_cannot_be_written_fails_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"cannot be written .*--json"):
        run_demo(chosen(QUICK), out=tmp_path, json_file=tmp_path)
    assert not list(tmp_path.glob("*.png"))
