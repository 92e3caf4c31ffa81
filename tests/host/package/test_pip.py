"""Wheels through pip: only what is away, only what the list says, and clear errors. No network."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from earmark_host.package import pip
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock, Wheel
from earmark_host.package.part import CALIBRATE
from earmark_host.package.pip import fetch, resolve, run_pip
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target

from .conftest import make_wheel


class Index:
    """Stands in for pip: "downloads" from a folder what it is asked for by name and version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[list[str]] = []
        self.bound = ""

    def __call__(self, arguments: Sequence[str]) -> None:
        self.asked.append(list(arguments))
        into = Path(arguments[arguments.index("--dest") + 1])
        words = list(arguments)
        if "--constraint" in arguments:
            self.bound = Path(arguments[arguments.index("--constraint") + 1]).read_text()
        if "-r" in arguments:
            words = Path(arguments[arguments.index("-r") + 1]).read_text().split()
        for name in (word.partition("==")[0] for word in words if "==" in word):
            for file in self.folder.glob(f"{name.replace('-', '_')}-*.whl"):
                shutil.copy(file, into)


def test_only_what_is_away_is_downloaded_with_its_hash(tmp_path: Path, target: Target) -> None:
    index = Index(tmp_path / "index")
    one, two = (make_wheel(index.folder, name, "1.0") for name in ("one", "two"))
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(index.folder / one.file, here)
    paths = fetch((one, two), target, here, index)
    assert [path.name for path in paths] == [one.file, two.file]
    (asked,) = index.asked
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(asked)
    assert "manylinux_2_36_x86_64" in asked
    assert fetch((one, two), target, here, index) == paths
    assert len(index.asked) == 1


def test_an_altered_wheel_is_refused(tmp_path: Path, target: Target) -> None:
    wheel = make_wheel(tmp_path, "one", "1.0")
    (tmp_path / wheel.file).write_bytes(b"something else")
    with pytest.raises(PackageError, match=r"was altered .*: remove the file"):
        fetch((wheel,), target, tmp_path, Index(tmp_path))


def test_another_file_than_the_lists_is_refused(tmp_path: Path, target: Target) -> None:
    index = Index(tmp_path / "index")
    wheel = make_wheel(index.folder, "one", "1.0")
    renamed = dataclasses.replace(wheel, file="one-1.0-cp311-cp311-linux_x86_64.whl")
    with pytest.raises(PackageError, match="the index gave another file"):
        fetch((renamed,), target, tmp_path / "here", index)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Project:
    """A checkout that asks for two wheels, one of them on Python 3.11 only."""
    project = Project.open()
    needs = ["one==1.0", "old==2.0; python_version < '3.12'"]
    return dataclasses.replace(project, tree={"project": {"dependencies": needs}})


def test_what_pip_leaves_out_is_asked_for(tmp_path: Path, small: Project) -> None:
    """pip judges markers by the Python that runs it, not by the device's."""
    index = Index(tmp_path / "index")
    make_wheel(index.folder, "one", "1.0", ("backport==3.0; python_version < '3.12'",))
    make_wheel(index.folder, "old", "2.0", ("never==1.0; python_version > '3.12'",))
    make_wheel(index.folder, "backport", "3.0")
    lock = resolve(small, "3.11", tmp_path / "here", index)
    for arch in Arch:
        found = [(wheel.name, wheel.version) for wheel in lock.wheels[arch]]
        assert found == [("backport", "3.0"), ("old", "2.0"), ("one", "1.0")]
    assert Lock.from_json(lock.to_json()) == lock


def test_a_part_that_goes_beside_another_has_nothing_of_it(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    make_wheel(index.folder, "pages", "4.0", ("shared>=2", "text==5.0"))
    make_wheel(index.folder, "text", "5.0")
    shared = make_wheel(index.folder, "shared", "2.5")
    tree = {"project": {"optional-dependencies": {"calibration": ["pages==4.0", "shared==2.5"]}}}
    project = dataclasses.replace(Project.open(), tree=tree)
    device = Lock("3.11", dict.fromkeys(Arch, (shared,)))
    lock = resolve(project, "3.11", tmp_path / "here", index, part=CALIBRATE, beside=device)
    for arch in Arch:
        found = [(wheel.name, wheel.version) for wheel in lock.wheels[arch]]
        assert found == [("pages", "4.0"), ("text", "5.0")]
    # And it is chosen to go with what is there.
    assert index.bound == "shared==2.5\n"


def test_what_the_other_has_in_a_version_that_does_not_fit_is_asked_for(tmp_path: Path) -> None:
    index = Index(tmp_path / "index")
    make_wheel(index.folder, "pages", "4.0", ("shared>=3",))
    tree = {"project": {"optional-dependencies": {"calibration": ["pages==4.0"]}}}
    project = dataclasses.replace(Project.open(), tree=tree)
    device = Lock("3.11", dict.fromkeys(Arch, (Wheel("shared", "2.5", "", ""),)))
    with pytest.raises(PackageError, match=r"never come to an end .*shared"):
        resolve(project, "3.11", tmp_path / "here", index, part=CALIBRATE, beside=device)


def test_wheels_without_an_end_are_refused(tmp_path: Path, small: Project) -> None:
    index = Index(tmp_path / "index")
    make_wheel(index.folder, "one", "1.0", ("nowhere==3.0",))
    make_wheel(index.folder, "old", "2.0")
    with pytest.raises(PackageError, match=r"never come to an end .*nowhere"):
        resolve(small, "3.11", tmp_path / "here", index)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ERROR: No matching distribution found for one==9", "pip: No matching distribution"),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError: [Errno -2] Name or "
            "service not known'\nERROR: No matching distribution found",
            "the package index cannot be reached: connect to the network, or give --wheels",
        ),
        ("/usr/bin/python3: No module named pip", "this Python has no pip"),
        ("", "pip: exit code 1"),
    ],
)
def test_pips_failures_are_one_line(
    said: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(pip.subprocess, "run", failing)
    with pytest.raises(PackageError, match=message) as caught:
        run_pip(["download", "one==9"])
    assert "\n" not in str(caught.value)


def test_the_pip_of_this_python_is_run() -> None:
    run_pip(["--version"])
    with pytest.raises(PackageError, match="pip: "):
        run_pip(["no-such-command"])


def test_pip_is_not_run_without_need(
    made_up: Lock, target: Target, wheels_in: Path, no_pip: Callable[[object], None]
) -> None:
    assert len(fetch(made_up.for_(target), target, wheels_in, no_pip)) == len(made_up.for_(target))
