"""``earmark-host bench speaker`` on the command line: what it runs, prints and refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from earmark_host import cli
from earmark_host.bench import Metric, Report
from earmark_host.bench.speaker import command
from earmark_host.bench.speaker.command import bench_speaker
from earmark_host.bench.speaker.run import Part

REPORT = Report("speaker", 5, {}, {}, [Metric.share("closed_clean_int8", 3, 4)], {})


def test_the_report_is_written_shown_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Sequence[Part], Any, Any, Any]] = []
    drawn: list[Any] = []

    def ran(folder: Path, parts: Sequence[Part], **how: Any) -> Report:
        assert folder == tmp_path
        asked.append((parts, how["arms"], how["model"], how["attacked"]))
        return REPORT

    def draw(report: Any, folder: Path) -> list[Path]:
        drawn.append(report)
        return [folder / "det.png"]

    monkeypatch.setattr(command, "run", ran)
    monkeypatch.setattr(command, "draw", draw)
    json_, arms, plots = tmp_path / "r.json", tmp_path / "arms", tmp_path / "plots"
    bench_speaker(tmp_path, json_, 5, True, 1, ["cpu", "open"], arms, None, None)
    assert drawn == []
    bench_speaker(tmp_path, json_, 5, True, 1, [], None, tmp_path, plots, 7)
    assert asked == [
        ([Part.CPU, Part.OPEN], arms, None, None),
        (list(Part), None, tmp_path, 7),
    ]
    written = json.loads(json_.read_text(encoding="utf-8"))
    assert written["metrics"][0]["value"] == 0.75
    assert drawn == [written]
    printed = capsys.readouterr().out
    assert "closed_clean_int8" in printed
    assert "det.png" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "missing/r.json"], "missing is missing or cannot"),
        (["--json", "r.json", "--arms", "nowhere"], "nowhere is no folder"),
    ],
)
def test_a_failure_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = ["bench", "speaker", "--data", ".", "--only", "cpu", *options]
    monkeypatch.setattr(sys, "argv", ["earmark-host", *bench])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
