"""What a package is for: a processor and a Python, in the words of Debian, pip and markers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from earmark_host.package.errors import PackageError


class Arch(StrEnum):
    """A processor, as Debian calls it."""

    AMD64 = "amd64"
    ARM64 = "arm64"

    @property
    def machine(self) -> str:
        """As wheels and ``uname -m`` call it."""
        return {Arch.AMD64: "x86_64", Arch.ARM64: "aarch64"}[self]


GLIBC = {(3, 11): 36, (3, 12): 39, (3, 13): 41}
"""Minor version of the C library (2.x) beside each Python: Debian 12 and Raspberry Pi OS Bookworm,
Ubuntu 24.04, Debian 13. A wheel made for a newer one would not start there."""

OLDEST_GLIBC = 5
"""Minor version of the oldest C library that wheels are made for (manylinux1)."""

LEGACY = ("manylinux2014", "manylinux2010", "manylinux1")
"""Older names of 2.17, 2.12 and 2.5, which pip does not take for the same when told a platform."""


@dataclass(frozen=True)
class Target:
    """A processor and a minor version of Python."""

    arch: Arch
    python: tuple[int, int]

    def __post_init__(self) -> None:
        if self.python not in GLIBC:
            known = ", ".join(f"{major}.{minor}" for major, minor in GLIBC)
            raise PackageError(
                f"Python {self.python_text} has no packages for Earmark", f"choose one of {known}"
            )

    @classmethod
    def of(cls, arch: str, python: str) -> Target:
        """Read both as a person writes them: ``arm64``, ``3.11``.

        Raises
        ------
        PackageError
            Either is none that is known.
        """
        try:
            processor = Arch(arch)
        except ValueError:
            raise PackageError(
                f"{arch} is no processor known here", f"choose one of {', '.join(Arch)}"
            ) from None
        major, _, minor = python.partition(".")
        if not (major.isdecimal() and minor.isdecimal()):
            raise PackageError(f"{python} is no version of Python", "write it like 3.11")
        return cls(processor, (int(major), int(minor)))

    @property
    def python_text(self) -> str:
        """Like ``3.11``."""
        return "{}.{}".format(*self.python)

    @property
    def depends(self) -> str:
        """What Debian has to install for this Python: the compiled modules fit no other."""
        major, minor = self.python
        return f"python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1})"

    @property
    def platforms(self) -> tuple[str, ...]:
        """Wheel platforms that run there, those of the newest C library first."""
        newest = GLIBC[self.python]
        new = [f"manylinux_2_{glibc}" for glibc in range(newest, OLDEST_GLIBC - 1, -1)]
        return tuple(f"{name}_{self.arch.machine}" for name in (*new, *LEGACY))

    @property
    def markers(self) -> dict[str, str]:
        """The variables of environment markers there (PEP 508)."""
        full = f"{self.python_text}.0"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.arch.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.python_text,
            "sys_platform": "linux",
            "extra": "",
        }
