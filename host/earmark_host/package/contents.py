"""What stands where on a device, apart from the modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earmark_host.package.project import Project
from earmark_host.package.target import Target

MODULES = "usr/lib/earmark"
"""The folder of modules: Earmark and all that it imports. Only ``/usr/bin/earmark`` looks there."""

DOC = "usr/share/doc/earmark"
"""Read-me, licences, the list of parts, and drop-ins to copy."""

CONFFILES = ("/etc/earmark/earmark.yaml",)
"""What belongs to the owner of the device once it is there: an upgrade asks or leaves it."""

STATE = (
    "/var/lib/earmark",
    "/var/lib/private/earmark",
    "/etc/credstore/earmark-people-key",
    "/etc/credstore.encrypted/earmark-people-key",
)
"""What a purge wipes, beside settings and journal: nonces, voiceprints, query memory, keys."""

_UNITS = {
    "earmark.service": "usr/lib/systemd/system/earmark.service",
    "earmark.sysusers.conf": "usr/lib/sysusers.d/earmark.conf",
    "earmark.tmpfiles.conf": "usr/lib/tmpfiles.d/earmark.conf",
    "earmark.journald.conf": "usr/lib/systemd/journald@earmark.conf.d/10-earmark.conf",
    "earmark.catalog": "usr/lib/systemd/catalog/earmark.catalog",
    "earmark.udev.rules": "usr/lib/udev/rules.d/60-earmark.rules",
    "earmark-admin": "usr/sbin/earmark-admin",
    "earmark.yaml": "etc/earmark/earmark.yaml",
    "README.md": f"{DOC}/README.md",
    "network.conf": f"{DOC}/examples/network.conf",
    "leds.conf": f"{DOC}/examples/leds.conf",
    "key-file.conf": f"{DOC}/examples/key-file.conf",
    "card.udev.rules": f"{DOC}/examples/59-earmark-card.rules",
}
"""Every file of ``systemd/`` -> where it goes."""

_PROGRAMS = {"usr/bin/earmark", "usr/sbin/earmark-admin"}

_LAUNCHER = """\
#!/usr/bin/python{python} -BIS
# -S and -I: nothing is imported but the modules below and Python's own, whatever else is installed
# or set; these versions were tested together.
import sys

sys.path.insert(0, "/{modules}")

from earmark.cli import main

main()
"""

_COPYRIGHT = """\
Earmark is licensed under the Apache License 2.0, see /usr/share/common-licenses/Apache-2.0.
What it imports keeps its own licences: they lie in /{modules}/*.dist-info, and sbom.cdx.json
beside this file names all of it with version, origin and SHA-256. Recordings and the speaker
model: see NOTICE and README files below /{modules}/earmark.
"""


@dataclass(frozen=True)
class File:
    """A file of the package."""

    content: bytes
    mode: int = 0o644


def files(project: Project, target: Target) -> dict[str, File]:
    """All files but the modules: path without the leading slash -> file, sorted.

    Raises
    ------
    OSError
        The checkout lacks one.
    """
    found = {place: File(_read(project, name)) for name, place in _UNITS.items()}
    found["usr/bin/earmark"] = File(
        _LAUNCHER.format(python=target.python_text, modules=MODULES).encode()
    )
    found[f"{DOC}/copyright"] = File(_COPYRIGHT.format(modules=MODULES).encode())
    return {
        path: File(file.content, 0o755 if path in _PROGRAMS else 0o644)
        for path, file in sorted(found.items())
    }


def _read(project: Project, name: str) -> bytes:
    return Path(project.root, "systemd", name).read_bytes()
