"""Wheels from the index, through pip, for another processor and Python than the one that runs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from earmark_host.package.closure import missing
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock, Wheel
from earmark_host.package.part import DEVICE, Part
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target

Pip = Callable[[Sequence[str]], None]
"""Runs pip with these arguments; raises PackageError when it fails."""

MOST_ROUNDS = 5
"""Tries to complete a list. Each adds what the markers of another Python had left out; two do."""


def run_pip(arguments: Sequence[str]) -> None:
    """Run this Python's pip.

    Raises
    ------
    PackageError
        It failed; the message has its last word.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    ended = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if ended.returncode == 0:
        return
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")] or lines
    last = said[0] if said else f"exit code {ended.returncode}"
    if "No module named pip" in ended.stderr:
        raise PackageError("this Python has no pip", "make a .venv with `make setup` and use that")
    if any("Name or service not known" in line or "Connection" in line for line in lines):
        raise PackageError(
            "the package index cannot be reached",
            "connect to the network, or give --wheels a folder that has all wheels already",
        )
    raise PackageError(f"pip: {last[:200]}", "see that the pins of pyproject.toml are right")


def fetch(wheels: Iterable[Wheel], target: Target, folder: Path, pip: Pip = run_pip) -> list[Path]:
    """The files of these wheels, in their order: from `folder` if they are there, else from pip.

    Raises
    ------
    PackageError
        pip cannot get them, or a file has other bytes than the list says.
    """
    wheels = list(wheels)
    folder.mkdir(parents=True, exist_ok=True)
    away = [wheel for wheel in wheels if not (folder / wheel.file).is_file()]
    if away:
        with tempfile.TemporaryDirectory(dir=folder) as work:
            listed = Path(work, "wheels.txt")
            listed.write_text(
                "".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in away)
            )
            download = ["download", "--no-deps", "--require-hashes", "-r", str(listed)]
            pip([*download, *_platform(target), "--dest", work])
            for wheel in away:
                file = Path(work, wheel.file)
                if not file.is_file():
                    raise PackageError(
                        f"the index gave another file than {wheel.file}",
                        f"make the list anew: earmark-host package lock --python "
                        f"{target.python_text}",
                    )
                file.replace(folder / wheel.file)
    for wheel in wheels:
        if _sha256(folder / wheel.file) != wheel.sha256:
            raise PackageError(
                f"{folder / wheel.file} was altered (its SHA-256 is not the list's)",
                "remove the file, it is then downloaded again",
            )
    return [folder / wheel.file for wheel in wheels]


def resolve(
    project: Project,
    python: str,
    folder: Path,
    pip: Pip = run_pip,
    part: Part = DEVICE,
    beside: Lock | None = None,
) -> Lock:
    """Make a part's list for a Python; the files are left in `folder`.

    Parameters
    ----------
    beside : the list of what is on the device already: the part is made to go with it, and has
        nothing of it.

    Raises
    ------
    PackageError
        pip cannot get a wheel, or finds no versions that fit.
    """
    wheels: dict[Arch, tuple[Wheel, ...]] = {}
    pinned: list[Requirement] = []
    for arch in Arch:
        target = Target.of(arch, python)
        there = () if beside is None else beside.for_(target)
        # The second processor gets the versions that were found for the first.
        wanted = [*map(_bare, project.requirements(target, part)), *pinned]
        for _ in range(MOST_ROUNDS):
            wheels[arch] = _downloaded(wanted, there, target, folder, pip)
            more = missing((folder / wheel.file for wheel in wheels[arch]), target, there)
            if not more:
                break
            # pip judges markers by the Python that it runs on.
            wanted += map(_bare, more)
        else:
            raise PackageError(
                f"the wheels for {arch} never come to an end ({more[0]})",
                "pin it in pyproject.toml",
            )
        pinned = [Requirement(f"{wheel.name}=={wheel.version}") for wheel in wheels[arch]]
    return Lock(python, wheels)


def _downloaded(
    wanted: Sequence[Requirement],
    there: Sequence[Wheel],
    target: Target,
    folder: Path,
    pip: Pip,
) -> tuple[Wheel, ...]:
    """What pip takes for `wanted` where `there` is, without that."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        words = ["download", *_platform(target), "--dest", work]
        if there:
            listed = Path(work, "there.txt")
            listed.write_text("".join(f"{wheel.name}=={wheel.version}\n" for wheel in there))
            words += ["--constraint", str(listed)]
        pip([*words, *map(str, wanted)])
        found = []
        names = {wheel.name for wheel in there}
        for file in Path(work).glob("*.whl"):
            name, version, _, _ = parse_wheel_filename(file.name)
            if str(name) in names:
                continue
            found.append(Wheel(str(name), str(version), file.name, _sha256(file)))
            shutil.move(file, folder / file.name)
    return tuple(sorted(found, key=lambda wheel: wheel.name))


def _platform(target: Target) -> list[str]:
    """pip's words for a target. Only wheels: nothing is compiled, and no set-up code runs."""
    platforms = [word for name in target.platforms for word in ("--platform", name)]
    python = ["--python-version", target.python_text, "--implementation", "cp"]
    return ["--quiet", "--only-binary=:all:", *platforms, *python]


def _bare(requirement: Requirement) -> Requirement:
    """Without its marker, which holds for the target."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return Requirement(f"{requirement.name}{extras}{requirement.specifier}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
