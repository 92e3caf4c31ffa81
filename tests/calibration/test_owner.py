"""Reports of a run with sudo belong to who ran it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from earmark_calibration import owner
from earmark_calibration.owner import give, make_folder

SUDO = {"SUDO_UID": "1000", "SUDO_GID": "1001"}

Given = list[tuple[object, int, int]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What root gave away, and to whom."""
    found: Given = []
    monkeypatch.setattr(owner.os, "geteuid", lambda: 0)
    monkeypatch.setattr(owner.os, "fchown", lambda *what: found.append(what))
    monkeypatch.setattr(
        owner.os, "chown", lambda path, *who, follow_symlinks: found.append((path, *who))
    )
    return found


def test_a_file_goes_to_who_ran_sudo(given: Given) -> None:
    give(7, SUDO)
    assert given == [(7, 1000, 1001)]


def test_a_folder_goes_with_those_that_were_made_for_it(given: Given, tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b", mode=0o700, environ=SUDO)
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    assert sorted(given) == [(tmp_path / "a", 1000, 1001), (tmp_path / "a/b", 1000, 1001)]
    given.clear()
    make_folder(tmp_path / "a/b", environ=SUDO)
    assert given == []


@pytest.mark.parametrize(
    "environ", [{}, {"SUDO_UID": "1000"}, {"SUDO_UID": "-1", "SUDO_GID": "0"}, {"SUDO_UID": ""}]
)
def test_without_sudo_nothing_is_given(given: Given, environ: dict[str, str]) -> None:
    give(7, environ)
    assert given == []


def test_only_root_gives(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner.os, "geteuid", lambda: 1000)
    give(7, SUDO)
    assert given == []


def test_a_disk_that_knows_no_owners_is_no_error(
    given: Given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    monkeypatch.setattr(os, "chown", refuse)
    give(7, SUDO)
    make_folder(tmp_path / "a", environ=SUDO)
    assert (tmp_path / "a").is_dir()


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")
