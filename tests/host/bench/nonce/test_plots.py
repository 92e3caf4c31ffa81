"""The plots are drawn from a report alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from earmark.errors import EarmarkError
from earmark_host.bench import share_columns
from earmark_host.bench.nonce.plots import LOOKS, draw
from earmark_host.bench.nonce.plots_command import bench_plots, load

Reported = dict[str, Any]
ALL = ["success", "success_conditions", "levels", "stale", "removal", "cpu"]


def success(environment: str, distance_m: float) -> list[Reported]:
    return [
        {
            "receiver": name,
            "environment": environment,
            "distance_m": distance_m,
            "nsr_db": level,
            **share_columns(int(10 / (1 + np.exp(-(level + 30 - 3 * i) / 3))), 10, "success_share"),
            "wrong_share": 0.0,
        }
        for i, name in enumerate([*LOOKS, "a new one"])
        for level in (0.0, -12.0, -24.0, -36.0)
    ]


@pytest.fixture
def report() -> Reported:
    """A report with every table that is drawn."""
    tables = {
        "peers_success": [*success("quiet", 1.0), *success("kitchen", 4.0)],
        "peers_theory": [
            {"curve": "theory: BFSK, 20 bit/s", "nsr_db": level, "success": 0.5}
            for level in (-30.0, 0.0)
        ],
        "peers_levels": [
            {
                "receiver": name,
                "environment": "quiet",
                "distance_m": 1.0,
                "nsr_50_db": first,
                "nsr_90_db": second,
                "nsr_99_db": third,
            }
            for name, first, second, third in (
                ("spread, blind", -38.0, -34.0, -31.0),
                ("ggwave fast", -30.0, -24.0, None),
                ("minimodem 18 Bd, 4.8/4.2 kHz", -20.0, None, None),
                ("AEOLUS BFSK 1/5 kHz", None, None, None),
            )
        ],
        "stale_by_level": [
            {"nonce_dbspl_1m": level, "recorder": recorder, **share_columns(9, 10, "found_share")}
            for level in (50.0, 40.0)
            for recorder in ("r1", "r2", "r3")
        ],
        "removal": [
            {
                "recorder": recorder,
                "attack": attack,
                **share_columns(hits, 10, "detect_share"),
                "stoi": stoi,
                "stoi_ci95": None if stoi is None else [stoi - 0.01, stoi + 0.01],
            }
            for recorder in ("r1", "r2")
            for attack, hits, stoi in (("mp3_32", 10, 0.98), ("oracle_mask", 0, None))
        ],
        "cpu_by_length": [
            {
                "command_s": seconds,
                "verdict_ms": 40.0 * seconds,
                "verify_ms": 5.0 * seconds,
                "clean_ms": 15.0 * seconds,
                "search_ms": 18.0 * seconds,
            }
            for seconds in (3.0, 1.5)
        ],
        "cpu_ggwave": [{"mode": "ggwave normal", "command_s": 3.0, "cpu_ms": 12.0}],
    }
    return {"conditions": {"nonce": {"waveform": "spread"}}, "tables": tables}


def test_every_table_is_drawn_in_both_formats(report: Reported, tmp_path: Path) -> None:
    files = draw(report, tmp_path / "plots")
    names = [f"{name}{end}" for name in ALL for end in (".png", ".svg")]
    assert [file.name for file in files] == names
    for file in files:
        begin = file.read_bytes()[:5]
        assert begin == (b"\x89PNG\r" if file.suffix == ".png" else b"<?xml")


def test_two_reports_are_drawn_beside_each_other(report: Reported, tmp_path: Path) -> None:
    tables = {"stale_by_level": report["tables"]["stale_by_level"]}
    files = draw({**report, "tables": tables}, tmp_path, report)
    assert [file.stem for file in files[::2]] == ["stale", "waveforms"]


def test_the_same_report_gives_the_same_files(report: Reported, tmp_path: Path) -> None:
    report["tables"] = {"stale_by_level": report["tables"]["stale_by_level"]}
    first, second = draw(report, tmp_path / "a"), draw(report, tmp_path / "b")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


@pytest.mark.parametrize("table", ["stale_by_level", "removal", "cpu_by_length"])
def test_what_was_not_measured_is_left_out(report: Reported, tmp_path: Path, table: str) -> None:
    empty = {name: [] for name in ("peers_levels", "peers_success", "cpu_ggwave")}
    report["tables"] = {**empty, table: report["tables"][table]}
    assert len(draw(report, tmp_path)) == 2


def test_the_command_names_the_files(
    report: Reported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report["tables"] = {"stale_by_level": report["tables"]["stale_by_level"]}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    bench_plots(path, tmp_path / "out", path)
    printed = capsys.readouterr().out.split()
    assert printed == [
        str(tmp_path / "out" / f"{name}.{end}")
        for name in ("stale", "waveforms")
        for end in ("png", "svg")
    ]


# -- failures -------------------------------------------------------------------------------


def test_a_report_without_any_of_the_tables(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="no table that is drawn"):
        draw({"tables": {}}, tmp_path)


@pytest.mark.parametrize("table", ["peers_success", "stale_by_level", "removal", "cpu_by_length"])
@pytest.mark.parametrize("rows", [[{"something": 1}], [3], "text"])
def test_a_table_of_another_kind(tmp_path: Path, table: str, rows: object) -> None:
    with pytest.raises(EarmarkError, match="not as expected"):
        draw({"tables": {table: rows}}, tmp_path)


def test_a_folder_that_cannot_be_made(report: Reported, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EarmarkError, match="another folder with --out"):
        draw(report, tmp_path / "file")


def test_without_matplotlib_it_says_what_to_install(
    report: Reported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EarmarkError, match="extra 'host'"):
        draw(report, tmp_path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b"{"), "no JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no JSON"),
        (lambda path: path.write_bytes(b"[1]"), "no tables"),
        (lambda path: path.write_bytes(b'{"tables": 3}'), "no tables"),
    ],
    ids=["missing", "folder", "cut", "binary", "list", "other"],
)
def test_a_file_that_is_no_report(
    tmp_path: Path, write: Callable[[Path], object], says: str
) -> None:
    path = tmp_path / "report.json"
    write(path)
    with pytest.raises(EarmarkError, match=says):
        load(path)
