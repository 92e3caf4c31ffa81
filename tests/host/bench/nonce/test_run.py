"""``bench nonce`` end to end on a tiny corpus, and its failures on the command line."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

pytest.importorskip("pyroomacoustics")

from earmark.config import Config
from earmark.errors import EarmarkError
from earmark_host import cli
from earmark_host.bench import Report
from earmark_host.bench.nonce import run as bench
from earmark_host.bench.nonce import sessions
from earmark_host.bench.nonce.run import Part, run
from earmark_host.bench.nonce.sessions_figures import figures
from earmark_host.bench.nonce.setup import Setup
from earmark_host.bench.parts import plain
from earmark_host.bench.room_pool import Order, compute
from earmark_host.bench.stage import Environment

TINY = sessions.Plan(
    "tiny",
    live=1,
    foreign=1,
    without=0,
    victims=1,
    words=0,
    faint=0,
    disturbed=0,
    counted=0,
    ledgers=(10,),
    environments=(Environment.QUIET,),
    distances_m=(1.0,),
    levels_dbspl_1m=(40.0,),
)


def held(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(sessions, "QUICK", TINY)
    monkeypatch.setattr(bench, "ROOMS", {True: 1})
    return run(
        corpus,
        [Part.SESSIONS],
        quick=True,
        seed=5,
        config=Config(),
        workers=1,
        console=Console(file=io.StringIO()),
    )


def test_a_run_is_what_its_pieces_are(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = held(tiny_corpus, monkeypatch)
    # The same seed in another process: the same figures.
    setup = Setup(tiny_corpus, (compute(Order(tmp_path, 5, 0)),), 5, Config())
    results = [sessions.hold(setup, piece) for piece in sessions.pieces(TINY)]
    metrics, tables = figures(results, TINY, 5)
    assert report.metrics == metrics
    assert report.tables == tables | {"cost_cpu": report.tables["cost_cpu"]}
    assert [row["kind"] for row in report.tables["cost_cpu"]] == ["Victim", "Live"]
    assert report.conditions["parts"]["sessions"]["environments"] == ["quiet"]
    json.dumps(report.to_json(), allow_nan=False)


def test_every_part_has_a_name_on_the_command_line() -> None:
    assert [part.value for part in Part] == [part.value for part in cli.NoncePart]


def test_a_plan_is_json() -> None:
    plan = replace(TINY, faint_dbspl_1m=(30.0,))
    assert json.loads(json.dumps(plain(plan)))["faint_dbspl_1m"] == [30.0]
    assert plain({Environment.TV: (Path("a"),)}) == {"tv": ["a"]}


# -- failures -------------------------------------------------------------------------------


def test_a_corpus_without_words_is_refused_before_the_work(
    tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tiny_corpus / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] != "command"]
    with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(EarmarkError, match="no clip of the role 'command'"):
        held(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "manifest.csv cannot be read"),
        (["--nonce-level", "90"], "--nonce-level 90: "),
        (["--plots", "report.json/plots"], "report.json/plots cannot be made"),
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
    Path("report.json").write_text("before", encoding="utf-8")
    command = ["bench", "nonce", "--data", ".", "--json", "report.json", "--only", "sessions"]
    monkeypatch.setattr(sys, "argv", ["earmark-host", *command, *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert Path("report.json").read_text(encoding="utf-8") == "before"
