"""The commands compare, fleet and page: what they print, write and exit with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from tests.calibration.report import samples
from typer.testing import CliRunner, Result

from earmark.errors import EarmarkError
from earmark_calibration import report_command
from earmark_calibration.report import write

app = typer.Typer()
report_command.add_to(app)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def reports(tmp_path: Path) -> dict[str, Path]:
    return {name: write(make(), tmp_path).json for name, make in samples.ALL.items()}


def test_compare(reports: dict[str, Path]) -> None:
    same = run("compare", reports["good"], reports["good"])
    assert (same.exit_code, "0 differ" in same.output) == (0, True)
    other = run("compare", reports["good"], reports["marginal"])
    assert other.exit_code == 1
    assert "! rt60: 0.42 s -> 0.81 s" in other.output
    assert "clock_drift" in run("compare", reports["good"], reports["marginal"], "--all").output
    body = json.loads(run("compare", reports["good"], reports["marginal"], "--json").output)
    assert body["second"]["serial"] == "EM-2026-00418"


def test_compare_refuses_what_is_no_report(tmp_path: Path, reports: dict[str, Path]) -> None:
    ended = run("compare", reports["good"], tmp_path / "missing.json")
    assert isinstance(ended.exception, EarmarkError)


def test_fleet(tmp_path: Path, reports: dict[str, Path]) -> None:
    page = tmp_path / "fleet.html"
    ended = run("fleet", tmp_path, "--html", page)
    assert ended.exit_code == 1
    assert "3 devices, 3 reports: 1 pass, 1 marginal, 1 fail." in ended.output
    assert "EM-2026-00419" in page.read_text(encoding="utf-8")
    body = json.loads(run("fleet", tmp_path, "--json").output)
    assert len(body["devices"]) == 3
    for name in ("marginal", "broken"):
        reports[name].unlink()
    assert run("fleet", tmp_path).exit_code == 0


def test_fleet_refuses_an_empty_folder_and_a_page_that_cannot_be_written(
    tmp_path: Path, reports: dict[str, Path]
) -> None:
    (tmp_path / "empty").mkdir()
    assert isinstance(run("fleet", tmp_path / "empty").exception, EarmarkError)
    ended = run("fleet", tmp_path, "--html", tmp_path / "missing" / "x.html")
    assert isinstance(ended.exception, EarmarkError)


def test_page(tmp_path: Path, reports: dict[str, Path]) -> None:
    html = reports["good"].with_suffix(".html")
    before = html.read_text(encoding="utf-8")
    html.unlink()
    assert run("page", reports["good"]).exit_code == 0
    assert html.read_text(encoding="utf-8") == before
    assert run("page", reports["good"], "--html", tmp_path / "y.html").exit_code == 0
    assert (tmp_path / "y.html").exists()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, earmark_calibration.report_command\n"
        "print(sorted({'numpy', 'scipy', 'jinja2', 'pydantic'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
