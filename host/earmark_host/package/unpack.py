"""A wheel, unpacked into the folder of modules.

That a package carries modules ready to import, and no wheels for a venv to be made of on the
device, is a decision: dpkg then owns and verifies each file (``dpkg --verify``), nothing is
computed or can fail on a device, an image for another processor can be built without starting a
thing of it, and removing leaves nothing behind.
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from earmark_host.package.errors import PackageError

WITHOUT_TESTS = {"numpy", "scipy"}
"""Packages whose own tests (22 MB) are left out; nothing imports them."""

MAX_WHEEL_BYTES = 400_000_000
"""Most that a wheel may unpack to, bytes; the largest, scipy, has 115 MB."""

_LIBRARIES = {"purelib", "platlib"}


def unpack(wheel: Path, folder: Path) -> None:
    """Put the modules of a wheel, and its metadata with the licences, into `folder`.

    Its scripts and headers stay behind: a device has commands of its own.

    Raises
    ------
    PackageError
        It is no wheel, reaches out of the folder, or brings a file that another has brought.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            rows = [(place(i.filename), i) for i in archive.infolist() if not i.is_dir()]
            if sum(info.file_size for _, info in rows) > MAX_WHEEL_BYTES:
                raise ValueError(f"more than {MAX_WHEEL_BYTES} bytes")
            for where, info in rows:
                if where is None:
                    continue
                file = folder / where
                if file.exists():
                    raise PackageError(
                        f"{wheel.name} has a file that another wheel has as well ({where})",
                        "pin releases that go together",
                    )
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(archive.read(info))
                file.chmod(0o644)  # whatever the umask
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise PackageError(
            f"{wheel.name} cannot be unpacked ({error})",
            "remove the file, it is then downloaded again",
        ) from None


def place(name: str) -> PurePosixPath | None:
    """Where a wheel's file goes below the folder of modules; None where it stays behind.

    Raises
    ------
    ValueError
        It would be written somewhere else.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"it reaches out of its folder: {name[:60]}")
    parts = path.parts
    if parts[0].endswith(".data"):
        if len(parts) < 3 or parts[1] not in _LIBRARIES:
            return None
        parts = parts[2:]
    if parts[0] in WITHOUT_TESTS and "tests" in parts[1:-1]:
        return None
    if "__pycache__" in parts:  # compiled where it is installed
        return None
    return PurePosixPath(*parts)
