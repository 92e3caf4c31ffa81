"""The wheel list: it agrees with ``pyproject.toml``, and says so when it does not."""

from __future__ import annotations

import dataclasses

import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock, path_of, read
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target

TARGETS = [Target.of(arch, "3.11") for arch in Arch]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.arch)
def test_the_list_that_ships_has_what_pyproject_asks_for(target: Target) -> None:
    """After a change of the pins: earmark-host package lock."""
    read("3.11").check(Project.open().requirements(target), target)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.arch)
def test_every_wheel_of_the_list_runs_there(target: Target) -> None:
    for wheel in read("3.11").for_(target):
        name, version, _, tags = parse_wheel_filename(wheel.file)
        assert (str(name), str(version)) == (wheel.name, wheel.version)
        assert any(tag.platform in {"any", *target.platforms} for tag in tags), wheel.file
        assert any(tag.interpreter.startswith(("cp3", "py3")) for tag in tags), wheel.file
        assert len(wheel.sha256) == 64


def test_both_processors_get_the_same_versions() -> None:
    versions = [
        [(wheel.name, wheel.version) for wheel in read("3.11").wheels[arch]] for arch in Arch
    ]
    assert versions[0] == versions[1]


def test_the_list_comes_back() -> None:
    text = path_of("3.11").read_text()
    assert Lock.from_json(text).to_json() == text


def test_an_old_list_is_refused(made_up: Lock, target: Target) -> None:
    requirements = Project.open().requirements(target)
    made_up.check(requirements, target)
    older = tuple(
        dataclasses.replace(wheel, version="0.1") if wheel.name == "soxr" else wheel
        for wheel in made_up.for_(target)
    )
    with pytest.raises(PackageError, match=r"asks for soxr==.* has 0\.1: .*package lock"):
        Lock("3.11", dict.fromkeys(Arch, older)).check(requirements, target)
    with pytest.raises(
        PackageError, match="asks for another==1, the wheel list for amd64 has none"
    ):
        made_up.check((Requirement("another==1"),), target)


def test_a_python_without_a_list_is_refused() -> None:
    with pytest.raises(PackageError, match=r"no wheel list for Python 3\.13: .*--python 3\.13"):
        read("3.13")


@pytest.mark.parametrize(
    ("arch", "python", "message"),
    [
        ("riscv64", "3.11", "riscv64 is no processor known here: choose one of amd64, arm64"),
        ("arm64", "three", "three is no version of Python"),
        ("arm64", "3.9", r"Python 3\.9 has no packages for Earmark: choose one of 3\.11, 3\.12"),
    ],
)
def test_a_strange_target_is_refused(arch: str, python: str, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        Target.of(arch, python)


def test_markers_are_those_of_the_device() -> None:
    """Not of the Python that makes the package."""
    names = {
        python: {one.name for one in Project.open().requirements(Target.of("arm64", python))}
        for python in ("3.11", "3.12")
    }
    assert "tflite-runtime" in names["3.11"] - names["3.12"]
    assert "ai-edge-litert" in names["3.12"] - names["3.11"]
