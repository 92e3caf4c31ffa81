"""The doctor: each finding true, with a grade and a remedy, and nothing touched."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from earmark import doctor
from earmark.config import Config
from earmark.doctor import Found, Grade, around, guarded, within
from earmark.errors import EarmarkError
from earmark.nonce import Ledger
from earmark.speaker import Vault, create_key


@pytest.fixture
def config(tmp_path: Path, speaker_section: dict[str, object]) -> Config:
    return Config.model_validate(
        {
            "ledger": {"path": tmp_path / "ledger.sqlite"},
            "keys": {"path": tmp_path / "keys.json"},
            "memory": {"folder": tmp_path / "memory"},
            "speaker": speaker_section,
            "forward": {"folder": tmp_path / "commands"},
            "audio": {"kind": "simulated"},
            "control": {"path": tmp_path / "control.sock", "mute_file": tmp_path / "muted"},
        }
    )


def graded(found: list[Found]) -> dict[str, Grade]:
    return {one.name: one.grade for one in found}


def only(found: list[Found], name: str) -> Found:
    (one,) = [each for each in found if each.name == name]
    return one


# What is the same for everybody


def test_the_software_is_looked_at(config: Config) -> None:
    found = graded(around(config))
    names = {"python", "packages", "clock", "journal", "sound", "speaker model"}
    assert set(found) == names
    assert found["python"] is found["sound"] is found["speaker model"] is Grade.OK


def test_without_settings_the_rest_is_still_looked_at() -> None:
    assert {one.name for one in around(None)} == {"python", "packages", "clock", "journal"}


def test_packages_are_compared_with_their_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = [
        "numpy==1.0",
        "scipy==2.0; python_version < '3.99'",
        'soxr==3.0; python_version >= "3.99"',
        "torch==9; extra == 'training'",
        "loose>=1",
        "gone==1.0",
    ]
    there = {"numpy": "1.0", "scipy": "2.1"}

    def version(name: str) -> str:
        if name not in there:
            raise doctor.metadata.PackageNotFoundError
        return there[name]

    monkeypatch.setattr(doctor.metadata, "requires", lambda _: pins)
    monkeypatch.setattr(doctor.metadata, "version", version)
    (found,) = doctor._packages()
    assert (found.grade, found.found) == (Grade.FAIL, "missing: gone 1.0")
    there["gone"] = "1.0"
    (found,) = doctor._packages()
    assert found.grade is Grade.WARN
    assert found.found == "of other versions: scipy 2.1 (tested with 2.0)"
    there["scipy"] = "2.0"
    (found,) = doctor._packages()
    assert (found.grade, found.found[:10]) == (Grade.OK, "3 packages")


def test_not_installed_as_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise doctor.metadata.PackageNotFoundError

    monkeypatch.setattr(doctor.metadata, "requires", missing)
    (found,) = doctor._packages()
    assert found.grade is Grade.WARN


def test_the_pins_of_this_project_are_understood() -> None:
    pins = dict(doctor._pins(doctor.metadata.requires("earmark") or ()))
    assert {"numpy", "scipy", "pydantic", "cryptography"} <= set(pins)
    assert not {"torch", "pytest"} & set(pins)
    older = sys.version_info < (3, 12)
    assert ("tflite-runtime" in pins) == older
    assert ("ai-edge-litert" in pins) != older


def test_an_untested_python_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "version_info", (3, 14, 0))
    assert next(doctor._python()).grade is Grade.WARN


@pytest.mark.parametrize(
    ("year", "synchronised", "grade"),
    [
        (1970, True, Grade.FAIL),
        (2026, False, Grade.WARN),
        (2026, True, Grade.OK),
        (2026, None, Grade.OK),
    ],
)
def test_the_clock(
    monkeypatch: pytest.MonkeyPatch, year: int, synchronised: bool | None, grade: Grade
) -> None:
    Time = namedtuple("Time", "tm_year")
    monkeypatch.setattr(doctor.time, "gmtime", lambda: Time(year))
    monkeypatch.setattr(doctor, "_synchronised", lambda: synchronised)
    (found,) = doctor._clock()
    assert (found.grade, bool(found.do)) == (grade, grade is not Grade.OK)


def test_the_kernel_is_asked_about_the_clock_and_not_told() -> None:
    assert doctor._synchronised() in (True, False, None)


def test_the_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "JOURNAL_SOCKET", tmp_path)
    assert next(doctor._journal()).grade is Grade.OK
    monkeypatch.setattr(doctor, "JOURNAL_SOCKET", tmp_path / "nowhere")
    assert next(doctor._journal()).grade is Grade.WARN


# Sound


class PortAudio:
    """The library with one card, or none."""

    class PortAudioError(Exception):
        pass

    __version__ = "0.5.6"

    def __init__(self, *names: str) -> None:
        self._names = names

    def get_portaudio_version(self) -> tuple[int, str]:
        return 1246720, "PortAudio V19.7.0-devel, revision unknown"

    def query_devices(self, wanted: str | None = None, kind: str | None = None) -> Any:
        found = [
            {"name": name, "max_input_channels": 1, "max_output_channels": 2}
            for name in self._names
            if (wanted or "").lower() in name.lower()
        ]
        if kind is None:
            return found
        if not found:
            raise ValueError(f"No {kind} device matching {wanted!r}")
        return found[0]


@pytest.mark.parametrize(
    ("names", "device", "grade"),
    [
        (("USB Audio", "HDMI"), "usb", Grade.OK),
        (("HDMI",), None, Grade.OK),
        (("HDMI",), "usb", Grade.FAIL),
        ((), None, Grade.FAIL),
    ],
)
def test_the_sound_card_by_its_name(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    device: str | None,
    grade: Grade,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", PortAudio(*names))
    audio = config.audio.model_copy(update={"kind": "sounddevice", "device": device})
    found = list(doctor._sound(config.model_copy(update={"audio": audio})))
    assert graded(found)["sound"] is Grade.OK
    assert found[0].found == "PortAudio V19.7.0-devel, sounddevice 0.5.6"
    assert graded(found)["microphone"] is graded(found)["loudspeaker"] is grade
    if grade is Grade.FAIL:
        there = only(found, "microphone").found
        assert there.endswith("there are: " + ("; ".join(names) or "none"))
        assert "audio.device" in only(found, "microphone").do


class PyAudioModule:
    """PyAudio's module, with cards."""

    __version__ = "0.2.14"

    def __init__(self, *names: str) -> None:
        self._names = names
        self.open = 0

    def get_portaudio_version_text(self) -> str:
        return "PortAudio V19.7.0-devel, revision unknown"

    def PyAudio(self) -> Any:
        self.open += 1
        return self

    def terminate(self) -> None:
        self.open -= 1

    def get_device_count(self) -> int:
        return len(self._names)

    def get_device_info_by_index(self, index: int) -> dict[str, Any]:
        name = self._names[index]
        sides = {"maxInputChannels": 1, "maxOutputChannels": 0 if "Mic" in name else 2}
        return {"name": name, **sides}


@pytest.mark.parametrize(
    ("names", "device", "grades"),
    [
        (("HDMI", "USB Audio"), "usb", (Grade.OK, Grade.OK)),
        (("HDMI",), None, (Grade.OK, Grade.OK)),
        (("USB Mic",), "usb", (Grade.OK, Grade.FAIL)),
        ((), None, (Grade.FAIL, Grade.FAIL)),
    ],
)
def test_pyaudio_is_asked_where_it_is_what_plays(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    device: str | None,
    grades: tuple[Grade, Grade],
) -> None:
    module = PyAudioModule(*names)
    monkeypatch.setitem(sys.modules, "pyaudio", module)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    audio = config.audio.model_copy(update={"kind": "pyaudio", "device": device})
    found = list(doctor._sound(config.model_copy(update={"audio": audio})))
    assert found[0].found == "PortAudio V19.7.0-devel, pyaudio 0.2.14"
    assert (graded(found)["microphone"], graded(found)["loudspeaker"]) == grades
    assert module.open == 0


def test_no_pyaudio(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    audio = config.audio.model_copy(update={"kind": "pyaudio"})
    (found,) = doctor._sound(config.model_copy(update={"audio": audio}))
    assert found.grade is Grade.FAIL
    assert "audio.kind" in found.do


def test_no_portaudio(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    audio = config.audio.model_copy(update={"kind": "sounddevice"})
    (found,) = doctor._sound(config.model_copy(update={"audio": audio}))
    assert (found.grade, found.do) == (Grade.FAIL, "sudo apt install libportaudio2")


# The model


def test_a_model_that_fails_its_self_test_is_found(config: Config, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    assert config.speaker.model is not None
    shutil.copytree(config.speaker.model, copy)
    content = bytearray((copy / "speaker.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "speaker.tflite").write_bytes(content)
    speaker = config.speaker.model_copy(update={"model": copy})
    found = only(around(config.model_copy(update={"speaker": speaker})), "speaker model")
    assert found.grade is Grade.FAIL
    assert "was altered" in found.found


def test_a_speaker_check_that_is_left_out_is_a_warning(config: Config) -> None:
    gate = config.gate.model_copy(update={"required": ("signal", "nonce")})
    found = only(around(config.model_copy(update={"gate": gate})), "speaker model")
    assert found.grade is Grade.WARN
    assert "anybody may command" in found.do


# What depends on who looks


def test_on_a_fresh_device_nothing_is_wrong_and_nothing_is_made(
    config: Config, tmp_path: Path
) -> None:
    found = within(config, {})
    assert Grade.FAIL not in graded(found).values()
    assert only(found, "people").grade is Grade.WARN
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_closed_to_others_are_well(config: Config, voices: type[Any]) -> None:
    Ledger.open(config.ledger.path, config.ledger).close()
    assert config.speaker.key_file is not None
    create_key(config.speaker.key_file)
    Vault.of(config.speaker, {}).add(voices().person("Ada", "aaaaaaaa"))
    found = within(config, {})
    assert set(graded(found).values()) == {Grade.OK}
    assert only(found, "ledger").found == "whole, 0 nonces"
    assert only(found, "people").found == "1 enrolled; the key fits the vault"
    assert "Ada" not in str(found)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_found_and_left_as_it_is(config: Config, mode: int) -> None:
    Ledger.open(config.ledger.path, config.ledger).close()
    config.ledger.path.chmod(mode)
    found = only(within(config, {}), "ledger file")
    assert found.grade is Grade.FAIL
    assert found.do == f"chmod 600 {config.ledger.path}"
    assert stat.S_IMODE(config.ledger.path.stat().st_mode) == mode


def test_a_folder_that_others_may_read_is_found(config: Config) -> None:
    config.forward.folder.mkdir(mode=0o755)
    config.forward.folder.chmod(0o755)
    assert only(within(config, {}), "commands").do == f"chmod 700 {config.forward.folder}"


def test_a_key_behind_a_link_is_found(config: Config, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    config.keys.path.symlink_to(tmp_path / "real")
    assert only(within(config, {}), "nonce key").grade is Grade.WARN


def test_a_vault_without_its_key_is_found(config: Config, voices: type[Any]) -> None:
    assert config.speaker.key_file is not None
    create_key(config.speaker.key_file)
    Vault.of(config.speaker, {}).add(voices().person("Ada", "aaaaaaaa"))
    config.speaker.key_file.unlink()
    found = only(within(config, {}), "people")
    assert found.grade is Grade.FAIL
    assert "the key of the people's vault is not here" in found.found


def test_a_damaged_ledger_is_found(config: Config) -> None:
    config.ledger.path.write_bytes(b"no database at all, though long enough" * 100)
    config.ledger.path.chmod(0o600)
    found = only(within(config, {}), "ledger")
    assert found.grade is Grade.FAIL
    assert "no SQLite database" in found.found


def test_what_this_user_may_not_see_is_a_warning(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refused)
    found = list(doctor._files(config))
    assert {one.grade for one in found} == {Grade.WARN}
    assert "sudo earmark doctor" in found[0].do
    assert list(doctor._ledger(config)) == []


@pytest.mark.parametrize(("free", "grade"), [(10, Grade.FAIL), (100, Grade.WARN), (1000, Grade.OK)])
def test_free_space(
    config: Config, monkeypatch: pytest.MonkeyPatch, free: int, grade: Grade
) -> None:
    usage = shutil.disk_usage("/")._replace(free=free * 1024**2)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert only(within(config, {}), "space").grade is grade


def test_the_space_is_that_of_the_nearest_folder_that_is_there(config: Config) -> None:
    ledger = config.ledger.model_copy(update={"path": Path("/no/such/folder/ledger.sqlite")})
    found = next(doctor._space(config.model_copy(update={"ledger": ledger})))
    assert found.found.endswith(" at /")


def test_lights(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leds" / "status").mkdir(parents=True)
    (tmp_path / "leds" / "status" / "brightness").write_text("0")
    monkeypatch.setattr(doctor, "LEDS_FOLDER", tmp_path / "leds")
    feedback = config.feedback.model_copy(update={"leds": ("status", "ring")})
    well, missing = doctor._lights(config.model_copy(update={"feedback": feedback}))
    assert (well.grade, missing.grade) == (Grade.OK, Grade.FAIL)
    assert missing.found == "there is no LED ring; there are: status"
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    closed, _ = doctor._lights(config.model_copy(update={"feedback": feedback}))
    assert closed.grade is Grade.WARN


# Findings


def test_a_failure_of_the_examination_is_a_finding() -> None:
    def explained() -> list[Found]:
        raise EarmarkError("the disk is full", "free some space")

    def unexpected() -> list[Found]:
        raise ZeroDivisionError("Ada said hello")

    (one,) = guarded("a", explained)
    assert one == Found("a", Grade.FAIL, "the disk is full", "free some space")
    (other,) = guarded("b", unexpected)
    assert other.grade is Grade.FAIL
    assert "ZeroDivisionError" in other.found
    assert "Ada" not in other.found


def test_a_finding_travels() -> None:
    for grade in Grade:
        found = Found("space", grade, "much", "nothing")
        assert Found.from_json(found.as_json()) == found
    with pytest.raises(ValueError, match="splendid"):
        Found.from_json({"name": "a", "grade": "splendid", "found": "", "do": ""})


def test_where_the_settings_come_from(tmp_path: Path) -> None:
    file = tmp_path / "earmark.yaml"
    file.write_text("")
    (tmp_path / "earmark.d").mkdir()
    (tmp_path / "earmark.d" / "10-room.yaml").write_text("")
    (found,) = doctor.settings(file)
    assert found.found == f"{file}, {tmp_path / 'earmark.d' / '10-room.yaml'}"
