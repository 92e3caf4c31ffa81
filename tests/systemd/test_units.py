"""The unit and its drop-ins: accepted by systemd, closed enough, with the same paths as Earmark.

``systemd-analyze`` reads files only: it works where systemd does not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from earmark.config import DEFAULT_PATH, Config, load
from earmark.feedback.journal import Entry
from earmark_host.package.contents import STATE

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
UNIT = SYSTEMD / "earmark.service"
DROP_INS = [None, "network.conf", "leds.conf", "key-file.conf"]

MOST_EXPOSED = 20
"""Worst score that passes, tenths of systemd-analyze's 0 (closed) to 10 (open)."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program, "this test needs systemd-analyze: sudo apt install systemd"
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def unit_with(drop_in: str | None, folder: Path) -> Path:
    """A copy of the unit beside its drop-in, with a program that is on this machine."""
    text = UNIT.read_text()
    assert text.count("\nExecStart=/usr/bin/earmark run\n") == 1
    unit = folder / UNIT.name
    unit.write_text(text.replace("ExecStart=/usr/bin/earmark run", "ExecStart=/bin/true"))
    if drop_in is not None:
        beside = folder / f"{UNIT.name}.d"
        beside.mkdir()
        shutil.copy(SYSTEMD / drop_in, beside)
    return unit


def settings(path: Path, section: str) -> dict[str, list[str]]:
    """Each setting of a section with all its values, in their order."""
    found: dict[str, list[str]] = {}
    at = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            at = line.strip("[]")
        elif at == section and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_systemd_finds_nothing_amiss(drop_in: str | None, tmp_path: Path) -> None:
    ended = analyze("verify", unit_with(drop_in, tmp_path))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_systemd_would_find_a_mistake(tmp_path: Path) -> None:
    unit = unit_with(None, tmp_path)
    unit.write_text(unit.read_text().replace("ProtectClock=yes", "ProtectClocks=yes"))
    assert "ProtectClocks" in analyze("verify", unit).stderr


@pytest.mark.parametrize("drop_in", DROP_INS)
def test_little_is_exposed(drop_in: str | None, tmp_path: Path) -> None:
    unit = unit_with(drop_in, tmp_path)
    threshold = f"--threshold={MOST_EXPOSED}"
    ended = analyze("security", "--offline=true", "--no-pager", threshold, unit)
    assert ended.returncode == 0, ended.stdout[-300:] + ended.stderr


def test_an_open_unit_would_be_too_exposed(tmp_path: Path) -> None:
    unit = unit_with(None, tmp_path)
    unit.write_text(
        re.sub(
            r"(?m)^(Restrict|Protect|SystemCall|IPAddress|User|Dynamic).*$", "", unit.read_text()
        )
    )
    ended = analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", unit)
    assert ended.returncode != 0


def test_the_sound_card_can_be_reached() -> None:
    service = settings(UNIT, "Service")
    assert "PrivateDevices" not in service
    assert service["DevicePolicy"] == ["closed"]
    assert service["DeviceAllow"] == ["char-alsa rw"]
    assert "audio" in service["SupplementaryGroups"][0].split()


def test_nothing_is_reached_over_the_network_unless_named() -> None:
    service = settings(UNIT, "Service")
    assert service["IPAddressDeny"] == ["any"]
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert "IPAddressAllow" not in service
    named = settings(SYSTEMD / "network.conf", "Service")["IPAddressAllow"]
    assert named
    assert "any" not in named


def test_every_default_path_is_in_the_state_folder() -> None:
    """The rest of the disk is read-only for the service."""
    assert settings(UNIT, "Service")["StateDirectory"] == ["earmark"]
    config = Config()
    paths = [
        *(config.ledger.path, config.keys.path, config.memory.folder, config.forward.folder),
        *(config.speaker.vault, config.speaker.key_file),
    ]
    for path in paths:
        assert path is not None
        assert path.is_relative_to("/var/lib/earmark")
    assert {"/var/lib/earmark", "/var/lib/private/earmark"} <= set(STATE)
    assert DEFAULT_PATH.parent.name in settings(UNIT, "Service")["ConfigurationDirectory"]


def test_the_key_is_the_credential_that_the_vault_reads() -> None:
    name = Config().speaker.key_credential
    # Without a path it may be missing.
    assert settings(UNIT, "Service")["LoadCredentialEncrypted"] == [name]
    plain = settings(SYSTEMD / "key-file.conf", "Service")["LoadCredential"]
    assert plain == [f"{name}:/etc/credstore/{name}"]
    assert {f"/etc/credstore/{name}", f"/etc/credstore.encrypted/{name}"} <= set(STATE)


def test_the_watchdog_outlasts_the_longest_pause_of_the_audio_loop() -> None:
    from earmark.daemon import REOPEN_MAX_S

    assert float(settings(UNIT, "Service")["WatchdogSec"][0]) >= 2.0 * REOPEN_MAX_S


def test_the_settings_that_ship_are_the_defaults() -> None:
    assert load(SYSTEMD / "earmark.yaml") == Config()


def test_the_groups_are_those_that_are_used() -> None:
    text = (SYSTEMD / "earmark.sysusers.conf").read_text()
    groups = re.findall(r"(?m)^g ([a-z-]+) -$", text)
    assert set(settings(UNIT, "Service")["SupplementaryGroups"][0].split()) == set(groups)
    assert "chgrp earmark-leds" in (SYSTEMD / "earmark.udev.rules").read_text()


@pytest.mark.parametrize("name", ["earmark.udev.rules", "card.udev.rules"])
def test_a_udev_rule_is_a_list_of_pairs(name: str) -> None:
    pair = re.compile(r'[A-Z]+(\{[A-Za-z_]+\})?(==|=|\+=|!=|:=)"[^"]*"')
    rules = [
        line
        for line in (SYSTEMD / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules
    for rule in rules:
        for one in rule.split(", "):
            assert pair.fullmatch(one), one


def test_the_journal_is_bounded_and_its_namespace_is_the_units() -> None:
    assert settings(UNIT, "Service")["LogNamespace"] == ["earmark"]
    parser = RawConfigParser()
    parser.read(SYSTEMD / "earmark.journald.conf")
    keys = {key.lower() for key in parser["Journal"]}
    assert {"systemmaxuse", "runtimemaxuse", "maxretentionsec", "ratelimitburst"} <= keys


def test_the_admin_command_is_a_shell_script_and_says_what_it_needs(tmp_path: Path) -> None:
    script = SYSTEMD / "earmark-admin"
    subprocess.run(["sh", "-n", script], check=True)
    ended = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("usage: earmark-admin COMMAND...")


@pytest.mark.parametrize("drop_in", [None, "key-file.conf"])
def test_the_admin_command_hands_on_the_key_as_the_unit_has_it(
    drop_in: str | None, tmp_path: Path
) -> None:
    files = [UNIT] if drop_in is None else [UNIT, SYSTEMD / drop_in]
    for name, does in (
        ("systemctl", f"[ \"$*\" = 'cat earmark.service' ] && cat {' '.join(map(str, files))}"),
        ("systemd-run", 'for one; do echo "$one"; done'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    text = (SYSTEMD / "earmark-admin").read_text()
    assert text.count("/run/systemd/system") == 1
    ended = subprocess.run(
        ["sh", "-c", text.replace("/run/systemd/system", str(tmp_path)), "sh", "people", "list"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    words = ended.stdout.splitlines()
    assert words[-3:] == ["/usr/bin/earmark", "people", "list"], ended.stderr
    name = Config().speaker.key_credential
    given = {word for word in words if "LoadCredential" in word}
    expected = {f"--property=LoadCredentialEncrypted={name}"}
    if drop_in is not None:
        expected.add(f"--property=LoadCredential={name}:/etc/credstore/{name}")
    assert given == expected


def test_the_read_me_names_a_message_that_exists() -> None:
    named = re.findall(r"MESSAGE_ID=([0-9a-f]{32})", (SYSTEMD / "README.md").read_text())
    assert named == [Entry.REJECTED.message_id]
