"""The wheel list: every wheel of a package by name, version and SHA-256, for both processors.

``pyproject.toml`` pins what Earmark imports; what those import in turn is pinned here, so that a
package made next year has the same bytes as today's. The lists are kept in the repository, one file
for each Python and part, and made anew by ``earmark-host package lock`` after a pin has changed.
The technician's part has a list of what it adds to the device's, so that neither holds the other's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from earmark_host.package.errors import PackageError
from earmark_host.package.part import DEVICE, Part
from earmark_host.package.target import Arch, Target

MAKE_ANEW = "make the list anew: earmark-host package lock --python {}"


@dataclass(frozen=True)
class Wheel:
    """One wheel.

    Attributes
    ----------
    name : of the distribution, canonical: ``typing-extensions``.
    version : as on the index.
    file : name of the file.
    sha256 : of its bytes, hexadecimal.
    """

    name: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Lock:
    """The wheels for one Python, by processor; sorted by name."""

    python: str
    wheels: dict[Arch, tuple[Wheel, ...]]

    def for_(self, target: Target) -> tuple[Wheel, ...]:
        """The wheels of a target."""
        return self.wheels[target.arch]

    def check(self, requirements: tuple[Requirement, ...], target: Target) -> None:
        """Make sure that the list has what is required, in the versions that are asked for.

        Raises
        ------
        PackageError
            It has not, so the list is older than the requirements.
        """
        versions = {wheel.name: wheel.version for wheel in self.for_(target)}
        for requirement in requirements:
            found = versions.get(canonicalize_name(requirement.name))
            if found is None or found not in requirement.specifier:
                raise PackageError(
                    f"pyproject.toml asks for {requirement.name}{requirement.specifier}, the wheel "
                    f"list for {target.arch} has {found or 'none'}",
                    MAKE_ANEW.format(self.python),
                )

    def to_json(self) -> str:
        """The list as text: a package a stretch, so that changes read well."""
        rows: list[dict[str, Any]] = []
        for wheel in self.wheels[Arch.AMD64]:
            files = {
                arch.value: {"file": one.file, "sha256": one.sha256}
                for arch in Arch
                for one in self.wheels[arch]
                if one.name == wheel.name
            }
            rows.append({"name": wheel.name, "version": wheel.version, "wheels": files})
        return json.dumps({"python": self.python, "packages": rows}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Lock:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is something else.
        """
        tree = json.loads(text)
        wheels: dict[Arch, tuple[Wheel, ...]] = {}
        for arch in Arch:
            wheels[arch] = tuple(
                Wheel(row["name"], row["version"], one["file"], one["sha256"])
                for row in tree["packages"]
                if (one := row["wheels"].get(arch.value)) is not None
            )
        return cls(tree["python"], wheels)


def path_of(python: str, part: Part = DEVICE) -> Path:
    """Where the list for a Python is kept."""
    suffix = "" if part is DEVICE else f"-{part.word}"
    return Path(__file__).with_name(f"wheels-{python}{suffix}.json")


def read(python: str, part: Part = DEVICE) -> Lock:
    """The list for a Python, like ``3.11``.

    Raises
    ------
    PackageError
        There is none, or it cannot be read.
    """
    path = path_of(python, part)
    try:
        return Lock.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PackageError(
            f"there is no wheel list for Python {python}", MAKE_ANEW.format(python)
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackageError(
            f"{path} cannot be read ({type(error).__name__})", MAKE_ANEW.format(python)
        ) from None
