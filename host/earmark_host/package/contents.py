"""What stands where on a device, apart from the modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earmark import __version__
from earmark_host.package.part import CALIBRATE, DEVICE, Part
from earmark_host.package.project import Project
from earmark_host.package.target import Target

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
    "README.md": f"{DEVICE.doc}/README.md",
    "network.conf": f"{DEVICE.doc}/examples/network.conf",
    "leds.conf": f"{DEVICE.doc}/examples/leds.conf",
    "key-file.conf": f"{DEVICE.doc}/examples/key-file.conf",
    "card.udev.rules": f"{DEVICE.doc}/examples/59-earmark-card.rules",
}
"""Every file of ``systemd/`` -> where it goes."""

_COPIED = {
    DEVICE.name: {f"systemd/{name}": place for name, place in _UNITS.items()},
    CALIBRATE.name: {"calibration/README.md": f"{CALIBRATE.doc}/README.md"},
}
"""For each part, files of the checkout -> where they go."""

_PROGRAMS = ("usr/bin/", "usr/sbin/")

_LAUNCHER = """\
#!/usr/bin/python{python} -BIS
# -S and -I: nothing is imported but the modules below and Python's own, whatever else is installed
# or set; these versions were tested together.
import sys

{paths}{check}
from {module}.cli import main

main()
"""

_CHECK = """
try:
    from earmark import __version__
except ImportError:
    __version__ = "none"
if __version__ != "{version}":
    # dpkg lets one of the two be replaced alone.
    print(
        "{name}: it is for earmark {version}, and there is", __version__ + ":",
        "install both in one version",
        file=sys.stderr,
    )
    sys.exit(2)
"""
"""What a program that comes beside the device part asks first."""

_LICENCE = """\
Earmark is licensed under the Apache License 2.0, see /usr/share/common-licenses/Apache-2.0.
What it imports keeps its own licences: they lie in /{modules}/*.dist-info, and sbom.cdx.json
beside this file names all of it with version, origin and SHA-256.
"""

_RECORDINGS = """\
Recordings and the speaker model: see NOTICE and README files below /{modules}/earmark.
"""


@dataclass(frozen=True)
class File:
    """A file of the package."""

    content: bytes
    mode: int = 0o644


def files(project: Project, target: Target, part: Part = DEVICE) -> dict[str, File]:
    """All files of a part but its modules: path without the leading slash -> file, sorted.

    Raises
    ------
    OSError
        The checkout lacks one.
    """
    beside = part is not DEVICE
    copied = _COPIED[part.name]
    found = {place: Path(project.root, name).read_bytes() for name, place in copied.items()}
    folders = (DEVICE.modules, part.modules) if beside else (part.modules,)
    launcher = _LAUNCHER.format(
        python=target.python_text,
        paths="".join(f'sys.path.insert(0, "/{folder}")\n' for folder in folders),
        check=_CHECK.format(name=part.name, version=__version__) if beside else "",
        module=part.module,
    )
    licence = (_LICENCE + ("" if beside else _RECORDINGS)).format(modules=part.modules)
    found[f"usr/bin/{part.name}"] = launcher.encode()
    if not beside:
        found[f"{part.modules}/{part.name}-{__version__}.dist-info/METADATA"] = _metadata(project)
    found[f"{part.doc}/copyright"] = licence.encode()
    return {
        path: File(content, 0o755 if path.startswith(_PROGRAMS) else 0o644)
        for path, content in sorted(found.items())
    }


def _metadata(project: Project) -> bytes:
    """What was tested with it, so that ``earmark doctor`` can say what differs."""
    needs = project.tree["project"]["dependencies"]
    lines = ["Metadata-Version: 2.1", "Name: earmark", f"Version: {__version__}"]
    return "".join(
        f"{line}\n" for line in (*lines, *(f"Requires-Dist: {one}" for one in needs))
    ).encode()
