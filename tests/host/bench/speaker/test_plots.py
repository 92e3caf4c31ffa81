"""The plots are drawn from a report alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from earmark.errors import EarmarkError
from earmark_host.bench import drawing
from earmark_host.bench.speaker.plots import CURVES, draw

Tables = dict[str, Any]

PLOTS = {
    "open_det": "det",
    "open_scores": "scores",
    "closed_attacks": "closed_attacks",
    "open_learning": "learning",
    "room": "room",
}
"""By table."""


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures: quicker, and nobody looks at them."""
    monkeypatch.setattr(drawing, "DPI", 20)


@pytest.fixture
def tables() -> Tables:
    """Every table that is drawn."""
    heard = [{"heard_by": ear, "scored_by": scoring} for ear, scoring in CURVES]
    return {
        "open_det": [
            {**by, "far": far, "missed": 1.0 - far} for by in heard for far in (1.0, 0.5, 0.0)
        ],
        "open_scores": [
            {**by, "from": k / 2, "to": (k + 1) / 2, "own_share": k, "others_share": 1 - k}
            for by in heard
            for k in (0, 1)
        ],
        "closed_attacks": [
            {"heard_by": ear, "attack": name, "right_share": share, "ci95": [0.0, 1.0]}
            for ear in ("float", "int8")
            for name, share in (("none", 1.0), ("worst of all", 0.5), ("new", None))
        ],
        "open_learning": [
            {"trained_on": n, "eer_share": 10 / n, "ci95": [0.0, 1.0]} for n in (50, 100)
        ],
        "room": [
            {"distance_m": at, "dry_share": 1.0, "room_share": 0.9, "forwarded_share": 0.8}
            for at in (0.5, 2.0)
        ],
    }


def texts(folder: Path, name: str) -> list[str]:
    """What is written in an SVG: matplotlib says it in comments beside the outlines."""
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    return [found.strip() for found in re.findall(r"<!--(.*?)-->", svg, flags=re.DOTALL)]


def test_every_table_is_drawn_in_both_formats(tables: Tables, tmp_path: Path) -> None:
    files = draw({"tables": tables}, tmp_path)
    assert [file.name for file in files] == [
        f"{name}{end}" for name in PLOTS.values() for end in (".png", ".svg")
    ]
    assert "CAM++ (6.9 M parameters)" in texts(tmp_path, "det")
    assert "worst of all" in texts(tmp_path, "closed_attacks")


@pytest.mark.parametrize("table", PLOTS)
def test_what_was_not_measured_is_left_out(
    tables: Tables, tmp_path: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_saved", lambda _, path: [path])
    files = draw({"tables": {table: tables[table]}}, tmp_path)
    assert [file.name for file in files] == [PLOTS[table]]


def test_who_was_not_measured_is_not_named(tables: Tables, tmp_path: Path) -> None:
    rows = [row for row in tables["open_det"] if row["heard_by"] != "campplus"]
    draw({"tables": {"open_det": rows}}, tmp_path)
    assert "CAM++ (6.9 M parameters)" not in texts(tmp_path, "det")


def test_a_report_without_any_of_the_tables(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="no table that is drawn"):
        draw({"tables": {}}, tmp_path)


@pytest.mark.parametrize("table", PLOTS)
def test_a_table_of_another_kind(tmp_path: Path, table: str) -> None:
    with pytest.raises(EarmarkError, match="not as expected"):
        draw({"tables": {table: [{"something": 1}]}}, tmp_path)
