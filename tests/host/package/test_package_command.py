"""``earmark-host package``: what a person types, and what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from earmark_host.cli import app
from earmark_host.package import deb, pip
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock
from earmark_host.package.target import Arch


def test_deb(
    made_up: Lock, wheels_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deb, "read", lambda python: made_up)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    words = ["--arch", "arm64", "--out", str(tmp_path / "dist"), "--wheels", str(wheels_in)]
    ended = CliRunner().invoke(app, ["package", "deb", *words])
    assert ended.exit_code == 0, ended.output
    lines = ended.output.splitlines()
    assert lines[0].startswith(f"{tmp_path / 'dist'}/earmark_")
    assert lines[0].endswith(f" MB, {len(made_up.wheels[Arch.ARM64])} wheels inside")
    assert lines[1].startswith("SHA-256 ")


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


def test_lock_writes_the_list(
    made_up: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earmark_host.package import lock

    written = tmp_path / "wheels-3.11.json"
    monkeypatch.setattr(pip, "resolve", lambda *_: made_up)
    monkeypatch.setattr(lock, "path_of", lambda python: written)
    ended = CliRunner().invoke(app, ["package", "lock", "--wheels", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    assert Lock.from_json(written.read_text()) == made_up
