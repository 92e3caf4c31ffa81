"""Do wheels have all that they import among themselves? Read from the metadata inside them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Wheel
from earmark_host.package.target import Target

MAX_METADATA_BYTES = 1_000_000
"""Largest METADATA that is read, bytes; the longest here, with a whole README, has 120 kB."""


def metadata(path: Path) -> Message:
    """The METADATA of a wheel.

    Raises
    ------
    PackageError
        It is no wheel.
    """
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [
                name
                for name in wheel.namelist()
                if name.endswith(".dist-info/METADATA") and name.count("/") == 1
            ]
            if len(names) != 1 or wheel.getinfo(names[0]).file_size > MAX_METADATA_BYTES:
                raise ValueError("no METADATA")
            return BytesParser().parsebytes(wheel.read(names[0]))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise PackageError(
            f"{path.name} is no wheel ({error})", "remove the file, it is then downloaded again"
        ) from None


def missing(
    paths: Iterable[Path], target: Target, beside: Iterable[Wheel] = ()
) -> list[Requirement]:
    """What the wheels ask for on the target and do not have; empty when all is there.

    Parameters
    ----------
    beside : wheels of another package that is on the device already.
    """
    versions = {wheel.name: wheel.version for wheel in beside}
    asked: list[Requirement] = []
    for path in paths:
        name, version, _, _ = parse_wheel_filename(path.name)
        versions[str(name)] = str(version)
        for text in metadata(path).get_all("Requires-Dist") or []:
            try:
                one = Requirement(text)
            except InvalidRequirement:
                raise PackageError(
                    f"{path.name} asks for '{text[:60]}'", "pin a release that can be read"
                ) from None
            if one.marker is None or one.marker.evaluate(target.markers):
                asked.append(one)
    return [
        one
        for one in asked
        if (found := versions.get(canonicalize_name(one.name))) is None
        or not one.specifier.contains(found, prereleases=True)
    ]
