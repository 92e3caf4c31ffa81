"""``earmark-host bench memory`` on the command line: what it runs, prints and refuses."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from earmark_host import cli
from earmark_host.bench import Metric, Report
from earmark_host.bench.memory import command
from earmark_host.bench.memory.command import bench_memory
from earmark_host.bench.memory.run import Part

REPORT = Report("memory", 5, {}, {}, [Metric.share("neighbours_fpr", 1, 4)], {})


def test_the_report_is_written_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Part]] = []

    def ran(folder: Path, parts: Sequence[Part], **_: Any) -> Report:
        asked.append(parts)
        return REPORT

    monkeypatch.setattr(command, "run", ran)
    for only in (["cpu", "peers"], []):
        bench_memory(tmp_path, tmp_path / "r.json", 5, True, 1, only, None)
    assert asked == [[Part.CPU, Part.PEERS], list(Part)]
    written = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert written["metrics"][0]["value"] == 0.25
    assert "neighbours_fpr" in capsys.readouterr().out


def test_plots_are_drawn_from_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "run", lambda *_, **__: REPORT)
    drawn: list[Any] = []

    def draw(report: Any, folder: Path) -> list[Path]:
        drawn.append(report)
        return [folder / "likeness.png"]

    monkeypatch.setattr(command, "draw", draw)
    bench_memory(tmp_path, tmp_path / "r.json", 5, True, 1, [], tmp_path / "plots")
    assert drawn == [json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))]
    assert "likeness.png" in capsys.readouterr().out


def test_an_interrupted_bench_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    with pytest.raises(typer.Exit) as ended:
        bench_memory(tmp_path, tmp_path / "r.json", 5, True, 1, [], None)
    assert ended.value.exit_code == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [("r.json", "manifest.csv cannot be read"), ("missing/r.json", "missing is missing or cannot")],
)
def test_a_failure_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["bench", "memory", "--data", ".", "--json", path, "--only", "cpu"]
    monkeypatch.setattr(sys, "argv", ["earmark-host", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
