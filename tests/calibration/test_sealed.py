"""The key of the voiceprints is got from systemd where it is sealed, and nowhere left."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from earmark.speaker import SpeakerSettings, load_key
from earmark_calibration import sealed
from earmark_calibration.sealed import credentials

KEY = bytes(range(32))

ROOT = Path(__file__).resolve().parents[2]

UNIT = "\n".join(
    (ROOT / "systemd" / name).read_text() for name in ("earmark.service", "key-file.conf")
)
"""As `systemctl cat` prints it, with a drop-in."""


class Systemd:
    """Answers systemctl and systemd-run as systemd 252 does."""

    def __init__(self) -> None:
        self.unit = UNIT
        self.key: bytes | None = KEY
        self.ran: list[list[str]] = []

    def __call__(self, command: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        words = list(command)
        self.ran.append(words)
        if words[0] == "systemctl":
            said: bytes | None = self.unit.encode()
        else:
            said = self.key
        return subprocess.CompletedProcess(words, 0 if said is not None else 1, said or b"", b"")


@pytest.fixture
def settings(tmp_path: Path) -> SpeakerSettings:
    (tmp_path / "vault").touch()
    return SpeakerSettings(vault=tmp_path / "vault", key_file=None)


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Systemd:
    stands_in = Systemd()
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(sealed, "RUNS", tmp_path)
    monkeypatch.setattr(sealed, "MEMORY", tmp_path / "memory")
    monkeypatch.setattr(sealed.os, "geteuid", lambda: 0)
    monkeypatch.setattr(sealed.subprocess, "run", stands_in)
    return stands_in


def test_it_is_asked_for_as_the_unit_has_it_and_gone_afterwards(
    settings: SpeakerSettings, systemd: Systemd, tmp_path: Path
) -> None:
    with credentials(settings, {"LANG": "C"}) as environ:
        assert environ["LANG"] == "C"
        assert load_key(settings, environ) == KEY
        (folder,) = (tmp_path / "memory").iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "earmark-people-key").stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "memory").iterdir()) == []
    lines = [word for word in systemd.ran[-1] if word.startswith("--property")]
    assert lines == [
        "--property=LoadCredentialEncrypted=earmark-people-key",
        "--property=LoadCredential=earmark-people-key:/etc/credstore/earmark-people-key",
    ]


def test_what_goes_wrong_inside_leaves_nothing_either(
    settings: SpeakerSettings, systemd: Systemd, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt), credentials(settings, {}):
        raise KeyboardInterrupt
    assert list((tmp_path / "memory").iterdir()) == []


@pytest.mark.parametrize("why", ["no line", "no key", "no systemctl", "slow"])
def test_without_a_key_the_environment_stays_as_it_is(
    why: str, settings: SpeakerSettings, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "no line":
        systemd.unit = systemd.unit.replace("earmark-people-key", "another")
    if why == "no key":
        systemd.key = None
    if why in ("no systemctl", "slow"):

        def fails(command: Sequence[str], **_: object) -> None:
            if why == "slow":
                raise subprocess.TimeoutExpired(command, 1.0)
            raise FileNotFoundError(command[0])

        monkeypatch.setattr(sealed.subprocess, "run", fails)
    with credentials(settings, {"LANG": "C"}) as environ:
        assert environ == {"LANG": "C"}


@pytest.mark.parametrize("why", ["given", "not root", "no systemd", "no vault"])
def test_systemd_is_not_asked_without_need(
    why: str,
    settings: SpeakerSettings,
    systemd: Systemd,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    given = {"CREDENTIALS_DIRECTORY": "/run/credentials/x"} if why == "given" else {}
    if why == "not root":
        monkeypatch.setattr(sealed.os, "geteuid", lambda: 1000)
    if why == "no systemd":
        monkeypatch.setattr(sealed, "RUNS", tmp_path / "none")
    if why == "no vault":
        assert settings.vault is not None
        settings.vault.unlink()
    with credentials(settings, given) as environ:
        assert environ == given
    assert systemd.ran == []
