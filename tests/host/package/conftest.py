"""Made-up wheels: a package is put together without a network, and in a second."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from earmark_host.package.lock import Lock, Wheel
from earmark_host.package.part import CALIBRATE, DEVICE, Part
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target


def make_wheel(
    folder: Path, name: str, version: str, requires: tuple[str, ...] = (), **files: str
) -> Wheel:
    """Write a wheel with a module of its name; keys of `files` are paths with ``__`` for ``/``."""
    file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    lines = [f"Name: {name}", f"Version: {version}", "License-Expression: MIT"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / file, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(["Metadata-Version: 2.4", *lines, "", ""]))
        for path, text in (files or {f"{name.replace('-', '_')}.py": "x = 1\n"}).items():
            wheel.writestr(path.replace("__", "/"), text)
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    return Wheel(name, version, file, digest)


@pytest.fixture(scope="session")
def target() -> Target:
    return Target.of("amd64", "3.11")


@pytest.fixture(scope="session")
def wheels_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="session")
def made_up(wheels_in: Path, target: Target) -> Lock:
    """A list with all that ``pyproject.toml`` asks for, none of it real, the same for both."""
    return made_up_list(DEVICE, wheels_in, target)


@pytest.fixture(scope="session")
def made_up_beside(wheels_in: Path, target: Target) -> Lock:
    """Likewise of the technician's part: what it adds."""
    return made_up_list(CALIBRATE, wheels_in, target)


def made_up_list(part: Part, folder: Path, target: Target) -> Lock:
    wheels = tuple(
        make_wheel(folder, one.name, str(one.specifier).removeprefix("=="))
        for one in sorted(Project.open().requirements(target, part), key=lambda one: one.name)
    )
    return Lock("3.11", dict.fromkeys(Arch, wheels))


@pytest.fixture(scope="session")
def no_pip() -> Callable[[object], None]:
    """A pip that must not be run."""

    def refuse(arguments: object) -> None:
        raise AssertionError(f"pip was run: {arguments}")

    return refuse
