"""The wheel list: it agrees with ``pyproject.toml``, and says so when it does not."""

from __future__ import annotations

import dataclasses

import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock, path_of, read
from earmark_host.package.part import CALIBRATE, PARTS, Part, part_of
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target

TARGETS = [Target.of(arch, "3.11") for arch in Arch]

each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.arch)
each_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.word)


@each_part
@each_target
def test_the_list_that_ships_has_what_pyproject_asks_for(target: Target, part: Part) -> None:
    """After a change of the pins: earmark-host package lock."""
    read("3.11", part).check(Project.open().requirements(target, part), target)


@each_target
def test_what_a_technician_brings_is_not_on_the_device_already(target: Target) -> None:
    """Two folders with one module: it would depend on their order which is imported."""
    device, beside = ({w.name for w in read("3.11", part).for_(target)} for part in PARTS)
    assert beside
    assert not device & beside


@each_part
@each_target
def test_every_wheel_of_the_list_runs_there(target: Target, part: Part) -> None:
    for wheel in read("3.11", part).for_(target):
        name, version, _, tags = parse_wheel_filename(wheel.file)
        assert (str(name), str(version)) == (wheel.name, wheel.version)
        assert any(tag.platform in {"any", *target.platforms} for tag in tags), wheel.file
        assert any(tag.interpreter.startswith(("cp3", "py3")) for tag in tags), wheel.file
        assert len(wheel.sha256) == 64


@each_part
def test_both_processors_get_the_same_versions(part: Part) -> None:
    versions = [
        [(wheel.name, wheel.version) for wheel in read("3.11", part).wheels[arch]] for arch in Arch
    ]
    assert versions[0] == versions[1]


@each_part
def test_the_list_comes_back(part: Part) -> None:
    text = path_of("3.11", part).read_text()
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
    for part in PARTS:
        with pytest.raises(PackageError, match=r"no wheel list for Python 3\.13: .*--python 3\.13"):
            read("3.13", part)


def test_a_part_is_known_by_its_word() -> None:
    assert [part_of(part.word) for part in PARTS] == list(PARTS)
    assert part_of("calibrate") is CALIBRATE
    with pytest.raises(PackageError, match="no package 'host': choose one of device, calibrate"):
        part_of("host")


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
