"""The plots are drawn from a report alone."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from earmark.errors import EarmarkError
from earmark_host.bench import Report, drawing
from earmark_host.bench.drawing import check_drawable
from earmark_host.bench.memory import command
from earmark_host.bench.memory.plots import CHANNELS, DETECTORS, EVASIONS, PAIRS, draw
from earmark_host.memory.evasion import EVASIONS as ALL_EVASIONS

Tables = dict[str, Any]
ALL = ["fake_share", "queries_to_alarm", "likeness", "evasions"]


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures: quicker, and nobody looks at them."""
    monkeypatch.setattr(drawing, "DPI", 20)


@pytest.fixture
def tables() -> Tables:
    """Every table that is drawn."""
    return {
        "fake_share": [
            {
                "fake_share": share,
                "detector": detector,
                "attack": attack,
                "streams": 2,
                "caught_share": 1.0 - share,
                "flagged_share": None if attack == "ds" and share else 1.0 - share,
                "attack_queries": 0 if attack == "ds" and share else 30,
            }
            for share in (0.9, 0.0)
            for detector in DETECTORS
            for attack in ("cs", "ds")
        ],
        "collapse_cause": [
            {
                "fake_share": share,
                "min_max": min_max,
                "clipped": clipped,
                "score": 1.0 - share,
                "threshold": 0.2 if min_max else 0.01,
                "attack_queries": 30,
            }
            for share in (0.0, 0.9)
            for min_max in (True, False)
            for clipped in (True, False)
        ],
        "attacks_steps": [
            {"channel": name, "query": query, "alarmed_share": at, "won_share": 0.5, "runs": 8}
            for name in CHANNELS
            for query, at in ((60, 1.0), (1, 0.25))
        ],
        "likeness_histogram": [
            {"pairs": name, "from": begin, "to": begin + 0.1, "share": 0.5}
            for kinds in PAIRS.values()
            for name in kinds
            for begin in (0.5, 1.5)
        ],
        "attacks_changed": [
            {"evasion": name, "by_12": 1, "by_20": hits, "n": 4, "win_still_heard": "1 of 2"}
            for name, hits in (("none", 4), ("noise_minus_5", 3), ("a_new_one", 2))
        ],
    }


def texts(folder: Path, name: str) -> list[str]:
    """What is written in an SVG: matplotlib says it in comments beside the outlines."""
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    return [found.strip() for found in re.findall(r"<!--(.*?)-->", svg, flags=re.DOTALL)]


def test_every_table_is_drawn_in_both_formats(tables: Tables, tmp_path: Path) -> None:
    files = draw({"tables": tables}, tmp_path / "plots")
    assert [file.name for file in files] == [f"{n}{end}" for n in ALL for end in (".png", ".svg")]
    for file in files:
        begin = file.read_bytes()[:5]
        assert begin == (b"\x89PNG\r" if file.suffix == ".png" else b"<?xml")
    plots = tmp_path / "plots"
    assert "by cable (n = 8)" in texts(plots, "queries_to_alarm")
    assert {"own noise, 5 dB above", "a new one", "1 of 2"} <= set(texts(plots, "evasions"))


def test_the_same_report_gives_the_same_files(tables: Tables, tmp_path: Path) -> None:
    report = {"tables": {"attacks_changed": tables["attacks_changed"]}}
    first, second = draw(report, tmp_path / "a"), draw(report, tmp_path / "b")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


@pytest.mark.parametrize(
    ("table", "plot"),
    [
        ("fake_share", "fake_share"),
        ("attacks_steps", "queries_to_alarm"),
        ("likeness_histogram", "likeness"),
        ("attacks_changed", "evasions"),
    ],
)
def test_what_was_not_measured_is_left_out(
    tables: Tables, tmp_path: Path, table: str, plot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_saved", lambda _, path: [path])
    files = draw({"tables": {**{name: [] for name in tables}, table: tables[table]}}, tmp_path)
    assert [file.name for file in files] == [plot]


def test_what_is_drawn_is_named(tables: Tables, tmp_path: Path) -> None:
    tables["fake_share"] = [row for row in tables["fake_share"] if row["detector"] != "raw"]
    tables["likeness_histogram"] = [
        row for row in tables["likeness_histogram"] if row["pairs"] != "speed_2"
    ]
    tables["attacks_steps"] = tables["attacks_changed"] = []
    draw({"tables": tables}, tmp_path)
    shares = texts(tmp_path, "fake_share")
    assert {"paper, clip", "paper, official", "limit, official"} <= set(shares)
    assert "paper, raw" not in shares
    assert any("min-max" in text for text in shares)
    likeness = texts(tmp_path, "likeness")
    assert "own noise, 5 dB louder" in likeness
    assert "2 % faster or slower" not in likeness


def test_the_collapse_is_explained_where_its_cause_was_measured(
    tables: Tables, tmp_path: Path
) -> None:
    draw({"tables": {"fake_share": tables["fake_share"][:1]}}, tmp_path)
    assert not any("min-max" in text for text in texts(tmp_path, "fake_share"))


def test_every_evasion_has_its_words() -> None:
    for name in ALL_EVASIONS:
        if not name.startswith("fakes_"):  # they are counted on other streams
            assert any(name == begin or name.startswith(f"{begin}_") for begin in EVASIONS), name


# -- failures -------------------------------------------------------------------------------


def test_a_report_without_any_of_the_tables(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="no table that is drawn"):
        draw({"tables": {}}, tmp_path)


@pytest.mark.parametrize(
    "table", ["fake_share", "attacks_steps", "likeness_histogram", "attacks_changed"]
)
@pytest.mark.parametrize("rows", [[{"something": 1}], [3], "text"])
def test_a_table_of_another_kind(tmp_path: Path, table: str, rows: object) -> None:
    with pytest.raises(EarmarkError, match="not as expected"):
        draw({"tables": {table: rows}}, tmp_path)


def test_without_matplotlib_it_says_what_to_install(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EarmarkError, match="extra 'host'"):
        draw({"tables": tables}, tmp_path)


def test_a_folder_that_cannot_be_made(tables: Tables, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EarmarkError, match="another folder"):
        draw({"tables": tables}, tmp_path / "file")
    with pytest.raises(EarmarkError, match="another folder with --plots"):
        check_drawable(tmp_path / "file")


def test_the_command_draws_what_it_found(
    tables: Tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Report("memory", 1, {}, {}, [], {"attacks_changed": tables["attacks_changed"]})
    monkeypatch.setattr(command, "run", lambda *_, **__: found)
    report, plots = tmp_path / "r.json", tmp_path / "plots"
    command.bench_memory(tmp_path, report, 1, True, 1, [], plots)
    printed = capsys.readouterr().out
    assert [f"drawn: {plots / name}" in printed for name in ("evasions.png", "evasions.svg")] == [
        True,
        True,
    ]
    command.bench_memory(tmp_path, report, 1, True, 1, [], None)
    assert "drawn" not in capsys.readouterr().out


def test_a_place_for_plots_is_looked_for_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "run", lambda *_, **__: pytest.fail("it has run"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(EarmarkError, match="--plots"):
        command.bench_memory(tmp_path, tmp_path / "r.json", 1, True, 1, [], tmp_path / "file")
