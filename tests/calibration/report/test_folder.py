"""A folder of reports: whatever lies in it, within bounds."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.calibration.report import samples

from earmark.errors import EarmarkError
from earmark_calibration.report import folder as module
from earmark_calibration.report import read_fleet, write


def test_reports_in_folders_of_folders(tmp_path: Path) -> None:
    for n, record in enumerate(samples.many()[:12]):
        write(record, tmp_path / f"{n % 3}" / "deep")
    told: list[tuple[int, int]] = []
    found = read_fleet(tmp_path, lambda done, of: told.append((done, of)))
    assert sum(len(unit.entries) for unit in found.units) == 12
    assert told[-1] == (12, 12)
    assert found.units[0].newest.file.startswith("0/deep/")


def test_what_cannot_be_read_is_named_and_stops_nothing(tmp_path: Path) -> None:
    write(samples.good(), tmp_path)
    body = json.loads(samples.good().to_json())
    (tmp_path / "new.json").write_text(json.dumps(body | {"schema": "earmark-calibration/2"}))
    (tmp_path / "cut.json").write_text(samples.good().to_json()[:500])
    (tmp_path / "field.json").write_text(json.dumps(body | {"extra": 1}))
    (tmp_path / "other.json").write_text('{"name": "something else"}')
    (tmp_path / "notes.txt").write_text("not looked at")
    os.mkfifo(tmp_path / "pipe.json")  # reading it would wait for ever
    (tmp_path / "link.json").symlink_to(tmp_path / "cut.json")
    (tmp_path / "round").symlink_to(tmp_path)
    found = read_fleet(tmp_path)
    assert [each.file for each in found.unread] == ["cut.json", "field.json", "new.json"]
    assert "'earmark-calibration/2'" in found.unread[2].why
    assert found.foreign == 1
    assert len(found.units) == 1
    assert found.stands_out


def test_no_report_is_an_error_that_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"no report .*0 JSON files"):
        read_fleet(tmp_path)
    (tmp_path / "cut.json").write_text("{")
    with pytest.raises(EarmarkError, match=r"1 JSON files; the first: report .*cut\.json"):
        read_fleet(tmp_path)
    with pytest.raises(EarmarkError, match="is not a folder"):
        read_fleet(tmp_path / "missing")
    with pytest.raises(EarmarkError, match="is not a folder"):
        read_fleet(tmp_path / "cut.json")


def test_a_folder_that_may_not_be_entered_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left out in silence, its devices would seem to be gone."""
    write(samples.good(), tmp_path)
    locked = tmp_path / "locked"
    locked.mkdir()
    scandir = os.scandir

    def refuse(path: Path) -> object:  # root may enter any
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(module.os, "scandir", refuse)
    with pytest.raises(EarmarkError, match=r"locked cannot be read \(Permission denied\)"):
        read_fleet(tmp_path)


@pytest.mark.parametrize(
    ("bound", "said"), [("MOST_FILES", "JSON files"), ("MOST_ENTRIES", "files and folders")]
)
def test_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, said: str
) -> None:
    for n in range(4):
        (tmp_path / f"{n}.json").write_text("{}")
    monkeypatch.setattr(module, bound, 3)
    with pytest.raises(EarmarkError, match=f"more than 3 {said}"):
        read_fleet(tmp_path)


def test_folders_are_entered_so_deep_and_no_deeper(tmp_path: Path) -> None:
    deep = tmp_path
    for n in range(module.DEEPEST + 2):
        write(samples.measured(f"at{n}"), deep)
        deep = deep / "in"
    assert len(read_fleet(tmp_path).units) == module.DEEPEST + 1


def test_thousands_of_reports(tmp_path: Path) -> None:
    text = samples.measured("SERIAL").to_json()
    for n in range(3000):
        (tmp_path / f"{n}.json").write_text(text.replace("SERIAL", f"d{n % 1000}"))
    found = read_fleet(tmp_path)
    assert (len(found.units), found.repeated) == (1000, 2000)
