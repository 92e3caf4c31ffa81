"""``earmark-host package``: what a person types, and what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from earmark_host.cli import app
from earmark_host.package import deb, pip
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock
from earmark_host.package.part import CALIBRATE, DEVICE, Part
from earmark_host.package.target import Arch


def test_deb(
    made_up: Lock,
    made_up_beside: Lock,
    wheels_in: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(python: str, part: Part = DEVICE) -> Lock:
        return made_up if part is DEVICE else made_up_beside

    monkeypatch.setattr(deb, "read", read)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    words = ["--arch", "arm64", "--out", str(tmp_path / "dist"), "--wheels", str(wheels_in)]
    ended = CliRunner().invoke(app, ["package", "deb", *words])
    assert ended.exit_code == 0, ended.output
    lines = ended.output.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'dist'}/earmark_")
    assert lines[0].endswith(f" MB, {len(made_up.wheels[Arch.ARM64])} wheels inside")
    assert lines[1].startswith("SHA-256 ")
    assert lines[2].startswith(f"{tmp_path / 'dist'}/earmark-calibrate_")
    assert lines[2].endswith(f" MB, {len(made_up_beside.wheels[Arch.ARM64])} wheels inside")
    assert lines[3].startswith("SHA-256 ")
    assert len(lines) == 4

    for path in (tmp_path / "dist").iterdir():
        path.unlink()
    ended = CliRunner().invoke(app, ["package", "deb", *words, "--part", "calibrate"])
    assert ended.exit_code == 0, ended.output
    (made,) = (tmp_path / "dist").iterdir()
    assert made.name.startswith("earmark-calibrate_")
    ended = CliRunner().invoke(app, ["package", "deb", *words, "--part", "all"])
    assert isinstance(ended.exception, PackageError)


def test_deb_without_a_network_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise PackageError("the package index cannot be reached", "connect to the network")

    monkeypatch.setattr(pip, "run_pip", away)
    monkeypatch.setattr(deb, "fetch", away)
    ended = CliRunner().invoke(app, ["package", "deb", "--out", str(tmp_path)])
    assert isinstance(ended.exception, PackageError)
    assert list(tmp_path.iterdir()) == []


def test_lock_writes_a_list_for_each_part(
    made_up: Lock, made_up_beside: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earmark_host.package import lock

    def resolve(*_: object, part: Part = DEVICE, beside: Lock | None = None) -> Lock:
        assert beside == (None if part is DEVICE else made_up)
        return made_up if part is DEVICE else made_up_beside

    monkeypatch.setattr(pip, "resolve", resolve)
    monkeypatch.setattr(lock, "path_of", lambda python, part: tmp_path / f"{python}-{part.word}")
    ended = CliRunner().invoke(app, ["package", "lock", "--wheels", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    for part, made in ((DEVICE, made_up), (CALIBRATE, made_up_beside)):
        assert Lock.from_json((tmp_path / f"3.11-{part.word}").read_text()) == made
