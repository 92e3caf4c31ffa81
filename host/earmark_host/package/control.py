"""The control files of a Debian package: who it is, what it needs, what runs around it."""

from __future__ import annotations

import re
from pathlib import Path

from earmark_host.package.contents import STATE
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Wheel
from earmark_host.package.part import DEVICE, Part
from earmark_host.package.target import Target

MAINTAINER = "Earmark <root@localhost>"
"""Whom the package names unless its maker says who answers for it."""


def control(
    version: str,
    target: Target,
    wheels: tuple[Wheel, ...],
    kib: int,
    who: str,
    part: Part = DEVICE,
) -> str:
    """The file ``control``.

    Parameters
    ----------
    kib : size when it is installed, KiB.
    who : maintainer, ``Name <address>``.

    Raises
    ------
    PackageError
        Debian takes no such version or maintainer.
    """
    if not re.fullmatch(r"[0-9][A-Za-z0-9.+~]*(-[A-Za-z0-9.+~]+)?", version):
        raise PackageError(f"{version} is no version for Debian", "begin it with a digit")
    if not re.fullmatch(r"[^<>\n]+ <[^<>\s]+@[^<>\s]+>", who):
        raise PackageError(f"{who!r} is no maintainer", "write it like 'Name <name@example.org>'")
    needs = (one.format(version=version) for one in part.needs)
    depends = (target.depends, f"libc6 (>= 2.{glibc(wheels)})", *needs)
    recommends = f"Recommends: {', '.join(part.recommends)}\n" if part.recommends else ""
    return (
        f"Package: {part.name}\nVersion: {version}\nArchitecture: {target.arch}\n"
        f"Maintainer: {who}\nInstalled-Size: {kib}\nDepends: {', '.join(depends)}\n"
        f"{recommends}Section: sound\nPriority: optional\nDescription: {part.description}"
    )


def glibc(wheels: tuple[Wheel, ...]) -> int:
    """Minor version of the oldest C library (2.x) that all wheels run with.

    A wheel may carry several tags; the oldest of them is what it needs.
    """
    needs = [
        min(int(minor) for minor in found)
        for wheel in wheels
        if (found := re.findall(r"manylinux_2_([0-9]+)_", wheel.file))
    ]
    return max([17, *needs])  # 2.17: manylinux2014


def script(name: str, target: Target) -> str:
    """A maintainer script of the device part, kept as dpkg runs it but for ``@NAMES@``."""
    text = Path(__file__).with_name("debian").joinpath(name).read_text(encoding="utf-8")
    values = {
        "@MODULES@": f"/{DEVICE.modules}",
        "@PYTHON@": f"/usr/bin/python{target.python_text}",
        "@STATE@": " ".join(STATE),
    }
    for key, value in values.items():
        text = text.replace(key, value)
    return text


def debian(
    version: str,
    target: Target,
    wheels: tuple[Wheel, ...],
    kib: int,
    who: str,
    part: Part = DEVICE,
) -> dict[str, str]:
    """All control files of a part but the sums, as :func:`control` takes them: name -> text."""
    found = {"control": control(version, target, wheels, kib, who, part)}
    if part.conffiles:
        found["conffiles"] = "".join(f"{path}\n" for path in part.conffiles)
    return found | {name: script(name, target) for name in part.scripts}
