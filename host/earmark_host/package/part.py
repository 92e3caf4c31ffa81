"""The packages: what each is made of, what it needs, and where it lies on a device.

One is flashed. The technician's tool is another, put beside it for a visit: what is on the device
cannot import it, and it imports what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from earmark_host.package.errors import PackageError


@dataclass(frozen=True)
class Part:
    """One package.

    Attributes
    ----------
    word : what a person types for it.
    name : of the Debian package, and of its program.
    source : its source root, in the checkout.
    extra : of ``pyproject.toml``, what it imports beside the device part; None: it is that.
    needs : Debian packages besides Python and the C library; ``{version}`` is its own version.
    recommends : likewise, but it works without.
    scripts : maintainer scripts, see ``debian/``.
    conffiles : what belongs to the owner of the device: an upgrade asks or leaves it.
    description : one line, and a paragraph as Debian has it.
    """

    word: str
    name: str
    source: str
    extra: str | None
    needs: tuple[str, ...]
    recommends: tuple[str, ...]
    scripts: tuple[str, ...]
    conffiles: tuple[str, ...]
    description: str

    @property
    def module(self) -> str:
        """What is imported: ``earmark``."""
        return self.source.rpartition("/")[2]

    @property
    def modules(self) -> str:
        """The folder of its modules and of all that they import. Only its program looks there."""
        return f"usr/lib/{self.name}"

    @property
    def doc(self) -> str:
        """Read-me, licences, the list of parts."""
        return f"usr/share/doc/{self.name}"


DEVICE = Part(
    word="device",
    name="earmark",
    source="device/earmark",
    extra=None,
    needs=(
        "libstdc++6",  # of tflite-runtime and scipy
        "zlib1g",
        "libportaudio2",  # of sounddevice, whose wheel for Linux has none
        "systemd (>= 252)",  # sysusers, tmpfiles, and credentials that may be missing
    ),
    recommends=("dbus", "udev"),
    scripts=("postinst", "prerm", "postrm"),
    conffiles=("/etc/earmark/earmark.yaml",),
    description="""\
guard between a smart speaker's microphone and its assistant
 On the wake word Earmark plays a fresh acoustic nonce while it records the
 command, and forwards the command only when it was spoken now, here, by whom
 it may be, and is no near-copy of recent ones.
 .
 The Python modules that it needs are inside, in the versions that were tested.
""",
)

CALIBRATE = Part(
    word="calibrate",
    name="earmark-calibrate",
    source="calibration/earmark_calibration",
    extra="calibration",
    # Of that version and no other: it calls functions of it, and judges with them.
    needs=("earmark (= {version})",),
    recommends=(),
    scripts=(),
    conffiles=(),
    description="""\
measures a smart speaker where it stands, and sets up Earmark on it
 For the technician: measures room, microphone, loudspeaker and clocks, chooses
 the settings of Earmark's acoustic nonce, proves them by playing, and leaves a
 report.
 .
 Not needed afterwards: what it has set stays when it is purged.
""",
)

PARTS = (DEVICE, CALIBRATE)


def part_of(word: str) -> Part:
    """The part that a person means.

    Raises
    ------
    PackageError
        There is none of that name.
    """
    for part in PARTS:
        if part.word == word:
            return part
    known = ", ".join(part.word for part in PARTS)
    raise PackageError(f"there is no package {word!r}", f"choose one of {known}")
