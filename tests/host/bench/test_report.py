"""The report: its JSON format, its printed form, and files that cannot be written."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from earmark import __version__
from earmark.errors import EarmarkError
from earmark_host.bench import Metric, Report, check_writable, share_columns

REPORT = Report(
    bench="example",
    seed=3,
    data={"folder": "tiny"},
    conditions={"plan": "quick"},
    metrics=[
        Metric.share("frr", 1, 50),
        Metric.share("nothing", 0, 0),
        Metric.quantile("cpu_ms", [1.0, 2.0, 3.0], 0.5, "ms"),
    ],
    tables={"by_room": [{"room": "kitchen", "mean": None, **share_columns(1, 50, "frr")}]},
)


def test_the_json_has_the_format_of_every_bench(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    REPORT.write(path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert list(read) == [
        "bench",
        "version",
        "seed",
        "data",
        "conditions",
        "metrics",
        "tables",
    ]
    assert (read["bench"], read["version"], read["seed"]) == ("example", __version__, 3)
    assert [list(metric) for metric in read["metrics"]] == [
        ["name", "value", "unit", "ci95", "n"]
    ] * 3
    frr, nothing, cpu = read["metrics"]
    assert frr == {
        "name": "frr",
        "value": 0.02,
        "unit": "share",
        "ci95": [pytest.approx(0.0005, abs=1e-4), pytest.approx(0.1065, abs=1e-4)],
        "n": 50,
    }
    assert (nothing["value"], nothing["ci95"], nothing["n"]) == (None, None, 0)
    assert (cpu["value"], cpu["unit"], cpu["ci95"]) == (2.0, "ms", [1.0, 3.0])
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_the_summary_shows_every_figure_and_table() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    REPORT.show(console)
    text = console.export_text()
    for part in ("frr", "2.00 %", "0.05 % to 10.65 %", "cpu_ms", "2 ms", "by room", "kitchen"):
        assert part in text


def test_a_metric_is_found_by_name() -> None:
    assert REPORT.metric("cpu_ms").n == 3
    with pytest.raises(KeyError):
        REPORT.metric("far")


# -- failures -------------------------------------------------------------------------------


def test_a_figure_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    broken = Report("example", 1, {}, {}, [Metric("x", math.nan, "s", None, 1)])
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.write(path)
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "report.json")
    with pytest.raises(EarmarkError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(EarmarkError, match="make it, or give another file with --json"):
        check_writable(tmp_path / "missing" / "report.json")


def test_a_report_that_cannot_be_written_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"report\.json cannot be written"):
        REPORT.write(tmp_path / "missing" / "report.json")
