"""A mute outlasts a restart, and what cannot be read counts as muted."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from earmark.control import ControlError, MuteFile


def test_it_is_kept_and_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "state" / "muted"
    assert not MuteFile(path).muted
    MuteFile(path).keep(muted=False)
    MuteFile(path).keep(muted=True)
    MuteFile(path).keep(muted=True)
    assert MuteFile(path).muted
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    MuteFile(path).keep(muted=False)
    assert not MuteFile(path).muted
    assert list(path.parent.iterdir()) == []


def test_without_a_file_nothing_is_kept() -> None:
    MuteFile(None).keep(muted=True)
    assert not MuteFile(None).muted


def test_a_link_into_nothing_counts_as_muted(tmp_path: Path) -> None:
    path = tmp_path / "muted"
    path.symlink_to(tmp_path / "nowhere")
    assert MuteFile(path).muted


def test_what_cannot_be_looked_at_counts_as_muted(caplog: pytest.LogCaptureFixture) -> None:
    assert MuteFile(Path("/" + "x" * 300)).muted  # a name too long to look at
    assert "muted" in caplog.text


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match=r"cannot be kept .*until the next restart"):
        MuteFile(tmp_path / "file" / "muted").keep(muted=True)
