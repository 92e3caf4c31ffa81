"""The control files of a Debian package: who it is, what it needs, what runs around it."""

from __future__ import annotations

import re
from pathlib import Path

from earmark_host.package.contents import CONFFILES, MODULES, STATE
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Wheel
from earmark_host.package.target import Target

SCRIPTS = ("postinst", "prerm", "postrm")
"""Maintainer scripts, kept beside this file as dpkg runs them but for ``@NAMES@``."""

MAINTAINER = "Earmark <root@localhost>"
"""Whom the package names unless its maker says who answers for it."""

_DESCRIPTION = """\
Description: guard between a smart speaker's microphone and its assistant
 On the wake word Earmark plays a fresh acoustic nonce while it records the
 command, and forwards the command only when it was spoken now, here, by whom
 it may be, and is no near-copy of recent ones.
 .
 The Python modules that it needs are inside, in the versions that were tested.
"""


def control(version: str, target: Target, wheels: tuple[Wheel, ...], kib: int, who: str) -> str:
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
    depends = (
        target.depends,
        f"libc6 (>= 2.{glibc(wheels)})",
        "libstdc++6",  # of tflite-runtime and scipy
        "zlib1g",
        "libportaudio2",  # of sounddevice, whose wheel for Linux has none
        "systemd (>= 252)",  # sysusers, tmpfiles, and credentials that may be missing
    )
    return (
        f"Package: earmark\nVersion: {version}\nArchitecture: {target.arch}\n"
        f"Maintainer: {who}\nInstalled-Size: {kib}\nDepends: {', '.join(depends)}\n"
        f"Recommends: dbus, udev\nSection: sound\nPriority: optional\n{_DESCRIPTION}"
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
    """A maintainer script."""
    text = Path(__file__).with_name("debian").joinpath(name).read_text(encoding="utf-8")
    values = {
        "@MODULES@": f"/{MODULES}",
        "@PYTHON@": f"/usr/bin/python{target.python_text}",
        "@STATE@": " ".join(STATE),
    }
    for key, value in values.items():
        text = text.replace(key, value)
    return text


def conffiles() -> str:
    """The file ``conffiles``."""
    return "".join(f"{path}\n" for path in CONFFILES)
