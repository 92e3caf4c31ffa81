"""What `earmark doctor` looks at: one finding each, with what to do about it.

Each examination stands alone and answers within a second or two; one that fails unexpectedly is
itself a finding. :func:`within` are those that depend on who looks: the running service does them
for itself, as it alone sees its credentials and its own view of the disk. Nothing is changed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path
from typing import Any

from earmark import __version__
from earmark.clock import SET_CLOCK_S
from earmark.config import DEFAULT_PATH, Config, files_of
from earmark.errors import EarmarkError, one_line
from earmark.feedback import JOURNAL_SOCKET, LEDS_FOLDER
from earmark.nonce import Ledger
from earmark.speaker import SpeakerModel, Vault, load_key

LITTLE_SPACE_BYTES = 200 * 1024**2
"""Free space below which there is a warning, bytes: commands kept (48 MB), ledger (8 MB), memory
and an update have room in it."""

NO_SPACE_BYTES = 20 * 1024**2
"""Free space below which the ledger may soon not be written, bytes; without it no session."""

FIRST_TRUE_YEAR = time.gmtime(SET_CLOCK_S).tm_year
"""A clock that shows an earlier year was never set."""

_TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""

_MAX_PACKAGES = 8
"""Most packages that one finding names."""


class Grade(Enum):
    """How good a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Found:
    """One finding.

    Parameters
    ----------
    name : what was looked at.
    grade : whether it is well.
    found : what was found, on one line.
    do : what to do about it; "" where nothing is to be done.
    """

    name: str
    grade: Grade
    found: str
    do: str = ""

    def as_json(self) -> dict[str, str]:
        """For the control socket and `--json`."""
        return {"name": self.name, "grade": self.grade.value, "found": self.found, "do": self.do}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Found:
        """The finding that a daemon sent.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is none.
        """
        texts = [str(values[key]) for key in ("name", "found", "do")]
        return cls(texts[0], Grade(values["grade"]), texts[1], texts[2])


def _ok(name: str, found: str) -> Found:
    return Found(name, Grade.OK, found)


def _warn(name: str, found: str, do: str) -> Found:
    return Found(name, Grade.WARN, found, do)


def _fail(name: str, found: str, do: str) -> Found:
    return Found(name, Grade.FAIL, found, do)


def guarded(name: str, look: Callable[[], Iterable[Found]]) -> list[Found]:
    """What `look` finds; its failure is a finding too."""
    try:
        return list(look())
    except EarmarkError as error:
        return [_fail(name, error.what, error.do)]
    except Exception as error:
        # The type only: a message might quote what is in a file.
        return [_fail(name, f"could not be examined ({type(error).__name__})", "report this")]


def around(config: Config | None) -> list[Found]:
    """What is the same for everybody: software, sound, model, clock, journal.

    Parameters
    ----------
    config : the settings, None when they cannot be read.
    """
    found = [
        *guarded("python", _python),
        *guarded("packages", _packages),
        *guarded("clock", _clock),
        *guarded("journal", _journal),
    ]
    if config is not None:
        found += guarded("sound", lambda: _sound(config))
        found += guarded("speaker model", lambda: _model(config))
    return found


def within(config: Config, environ: Mapping[str, str] = os.environ) -> list[Found]:
    """What depends on the user: files, keys, space, lights.

    Parameters
    ----------
    environ : says where systemd has put the credentials.
    """
    return [
        *guarded("files", lambda: _files(config)),
        *guarded("ledger", lambda: _ledger(config)),
        *guarded("people", lambda: _people(config, environ)),
        *guarded("space", lambda: _space(config)),
        *guarded("lights", lambda: _lights(config)),
    ]


def settings(path: Path | None) -> Iterator[Found]:
    """Which files the settings come from; read before, so they are valid."""
    files = files_of(path)
    if files:
        yield _ok("settings", ", ".join(map(str, files)))
    else:
        yield _ok("settings", f"all defaults, as there is no {path or DEFAULT_PATH}")


# Software


def _python() -> Iterator[Found]:
    text = f"{platform.python_version()} on {platform.machine()}, Earmark {__version__}"
    if (3, 11) <= sys.version_info < (3, 14):
        yield _ok("python", text)
    else:
        yield _warn("python", text, "use Python 3.11, 3.12 or 3.13: others are not tested")


def _packages() -> Iterator[Found]:
    try:
        wanted = dict(_pins(metadata.requires("earmark") or ()))
    except metadata.PackageNotFoundError:
        yield _warn("packages", "Earmark is not installed as a package", "install it with pip")
        return
    missing, others = [], []
    for name, version in wanted.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(f"{name} {version}")
            continue
        if found != version:
            others.append(f"{name} {found} (tested with {version})")
    do = f"install Earmark again: {sys.executable} -m pip install --force-reinstall earmark"
    if missing:
        yield _fail("packages", f"missing: {', '.join(missing[:_MAX_PACKAGES])}", do)
    elif others:
        yield _warn("packages", f"of other versions: {', '.join(others[:_MAX_PACKAGES])}", do)
    else:
        yield _ok("packages", f"{len(wanted)} packages, all of the tested versions")


def _pins(requirements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and version of each pinned package that this Python is to have."""
    for requirement in requirements:
        pin, _, marker = requirement.partition(";")
        exact = re.fullmatch(r"\s*([A-Za-z0-9._-]+)\s*==\s*([A-Za-z0-9.]+)\s*", pin)
        if exact and _concerned(marker.strip()):
            yield exact[1], exact[2]


def _concerned(marker: str) -> bool:
    """Whether a marker of ours speaks of this Python; extras are nobody's on a device."""
    if not marker:
        return True
    bound = re.fullmatch(r"python_version\s*(<|>=)\s*['\"]3\.(\d+)['\"]", marker)
    if bound is None:
        return False
    older = sys.version_info[:2] < (3, int(bound[2]))
    return older if bound[1] == "<" else not older


# Sound


def _sound(config: Config) -> Iterator[Found]:
    audio = config.audio
    if audio.kind in ("simulated", "wav"):
        yield _ok("sound", f"audio.kind is {audio.kind}: no card is needed")
        return
    # Here and not above: each loads PortAudio, which a daemon of another kind does not need.
    library: Any
    if audio.kind == "pyaudio":
        try:
            import pyaudio  # noqa: PLC0415
        except (ImportError, OSError) as error:
            do = "install it as device/README.md says, or set audio.kind to sounddevice"
            yield _fail("sound", f"PyAudio does not load ({one_line(error)})", do)
            return
        library = _PyAudioCards(pyaudio)
        version = pyaudio.get_portaudio_version_text().partition(",")[0]
        yield _ok("sound", f"{version}, pyaudio {pyaudio.__version__}")
    else:
        try:
            import sounddevice  # noqa: PLC0415
        except (ImportError, OSError) as error:
            do = "sudo apt install libportaudio2"
            yield _fail("sound", f"PortAudio does not load ({one_line(error)})", do)
            return
        library = sounddevice
        version = sounddevice.get_portaudio_version()[1].partition(",")[0]
        yield _ok("sound", f"{version}, sounddevice {sounddevice.__version__}")
    playback = audio.playback_device or audio.device
    for kind, wanted in (("input", audio.device), ("output", playback)):
        yield _card(library, kind, wanted)


class _PyAudioCards:
    """PyAudio's cards, asked for as sounddevice's."""

    PortAudioError = OSError

    def __init__(self, pyaudio: Any) -> None:
        owner = pyaudio.PyAudio()
        try:
            count = owner.get_device_count()
            infos = [owner.get_device_info_by_index(number) for number in range(count)]
        finally:
            owner.terminate()
        self._cards = [
            {
                "name": str(info["name"]),
                "max_input_channels": info["maxInputChannels"],
                "max_output_channels": info["maxOutputChannels"],
            }
            for info in infos
        ]

    def query_devices(self, wanted: str | None = None, kind: str | None = None) -> Any:
        """All cards, or the first that is `wanted` and of that kind (ValueError: none)."""
        if kind is None:
            return self._cards
        fitting = [card for card in self._cards if card[f"max_{kind}_channels"] > 0]
        named = [card for card in fitting if (wanted or "").lower() in card["name"].lower()]
        if not named:
            raise ValueError("no such card")
        return named[0]


def _card(sounddevice: Any, kind: str, wanted: str | None) -> Found:
    name = {"input": "microphone", "output": "loudspeaker"}[kind]
    try:
        return _ok(name, f"{sounddevice.query_devices(wanted, kind)['name']}")
    except (ValueError, sounddevice.PortAudioError) as error:
        found = [
            str(device["name"])
            for device in sounddevice.query_devices()
            if device[f"max_{kind}_channels"] > 0
        ]
        there = "; ".join(found) or "none"
        return _fail(
            name,
            f"{wanted or '(default)'} is not there ({one_line(error)}); there are: {there}",
            "plug it in, or set audio.device (and audio.playback_device) to one of these",
        )


# Model, clock, journal


def _model(config: Config) -> Iterator[Found]:
    if "speaker" not in config.gate.required:
        yield _warn(
            "speaker model",
            "not used: gate.required leaves the speaker check out",
            "put speaker back into gate.required, or anybody may command",
        )
        return
    model = SpeakerModel.open(config.speaker.model)
    yield _ok("speaker model", f"{model.name}, {model.id}: passed its self-test")


def _clock() -> Iterator[Found]:
    year = time.gmtime().tm_year
    if year < FIRST_TRUE_YEAR:
        yield _fail(
            "clock",
            f"shows the year {year}",
            "set it (timedatectl set-ntp true): nonces and voiceprints carry the time",
        )
        return
    synchronised = _synchronised()
    if synchronised is False:
        yield _warn(
            "clock", "is not synchronised", "timedatectl set-ntp true, or install systemd-timesyncd"
        )
    else:
        yield _ok("clock", "set" if synchronised is None else "set and synchronised")


def _synchronised() -> bool | None:
    """What the kernel says; None when it does not."""
    try:
        # struct timex is 208 bytes; all zero asks and sets nothing.
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def _journal() -> Iterator[Found]:
    if JOURNAL_SOCKET.exists():
        yield _ok("journal", "systemd's journal takes structured lines")
    else:
        yield _warn(
            "journal", "there is no systemd journal", "keep what the service writes to stderr"
        )


# Files


def _files(config: Config) -> Iterator[Found]:
    """Files and folders that only the service's user may read."""
    mute = config.control.mute_file
    secret = [
        ("ledger file", config.ledger.path),
        ("nonce key", config.keys.path),
        ("query memory", config.memory.folder),
        ("vault", config.speaker.vault),
        ("vault key", config.speaker.key_file),
        ("commands", config.forward.folder if config.forward.kind == "folder" else None),
        ("mute file", mute),
    ]
    for name, path in secret:
        if path is not None:
            yield from _private(name, path)


def _private(name: str, path: Path) -> Iterator[Found]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return  # made when it is first needed
    except OSError as error:
        yield _warn(
            name,
            f"{path} cannot be looked at ({error.strerror})",
            "run this as root: sudo earmark doctor",
        )
        return
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        yield _warn(name, f"{path} is a link", "name the file itself in the settings")
    elif mode & 0o077:
        right = 700 if stat.S_ISDIR(found.st_mode) else 600
        yield _fail(name, f"{path} is open to others (mode {mode:04o})", f"chmod {right} {path}")
    else:
        yield _ok(name, f"{path}, mode {mode:04o}")


def _ledger(config: Config) -> Iterator[Found]:
    path = config.ledger.path
    try:
        path.lstat()
    except FileNotFoundError:
        yield _ok("ledger", f"{path} is made at the first start")
        return
    except OSError:
        return  # told above
    yield _ok("ledger", f"whole, {Ledger.examined(path)} nonces")


def _people(config: Config, environ: Mapping[str, str]) -> Iterator[Found]:
    if "speaker" not in config.gate.required:
        return
    vault = config.speaker.vault
    if vault is None:
        yield _warn("people", "nobody is kept: speaker.vault is null", "set it to a file")
        return
    if not os.path.lexists(vault):
        key = config.speaker.key_file
        if key is not None and os.path.lexists(key):
            load_key(config.speaker, environ)
        yield _warn(
            "people",
            "nobody is enrolled",
            "until somebody is, everybody may command: earmark people enrol NAME",
        )
        return
    people = len(Vault.of(config.speaker, environ).people)
    yield _ok("people", f"{people} enrolled; the key fits the vault")


def _space(config: Config) -> Iterator[Found]:
    folder = config.ledger.path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / 1024**2:.0f} MB free at {folder}"
    if free < NO_SPACE_BYTES:
        yield _fail("space", text, "free some: without the ledger there is no session")
    elif free < LITTLE_SPACE_BYTES:
        yield _warn("space", text, "free some")
    else:
        yield _ok("space", text)


def _lights(config: Config) -> Iterator[Found]:
    for name in config.feedback.leds:
        file = LEDS_FOLDER / name / "brightness"
        if not file.exists():
            there = ", ".join(sorted(path.name for path in LEDS_FOLDER.glob("*"))) or "none"
            yield _fail(
                "lights", f"there is no LED {name}; there are: {there}", "change feedback.leds"
            )
        elif not os.access(file, os.W_OK):
            yield _warn(
                "lights",
                f"LED {name} may not be written by this user",
                "let the service's group write it (a udev rule)",
            )
        else:
            yield _ok("lights", f"LED {name}")
