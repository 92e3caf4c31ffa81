"""The key of the vault: from systemd or a closed file, and never a bad one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from earmark.speaker.settings import SpeakerSettings
from earmark.speaker.vault_key import VaultKeyError, create_key, load_key

KEY = bytes(range(32))


@pytest.fixture
def settings(tmp_path: Path) -> SpeakerSettings:
    return SpeakerSettings(key_file=tmp_path / "state" / "people.key")


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """The folder that systemd makes for a service."""
    folder = tmp_path / "credentials"
    folder.mkdir(0o700)
    return folder


def environ(folder: Path) -> dict[str, str]:
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def key_file(settings: SpeakerSettings) -> Path:
    assert settings.key_file is not None
    return settings.key_file


def test_created_key_is_loaded(settings: SpeakerSettings) -> None:
    before = os.umask(0)
    try:
        create_key(key_file(settings), lambda _: KEY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_file(settings).stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file(settings).parent.stat().st_mode) == 0o700
    assert load_key(settings, {}) == KEY
    assert list(key_file(settings).parent.iterdir()) == [key_file(settings)]


def test_every_key_is_another(tmp_path: Path) -> None:
    keys = set()
    for number in range(3):
        path = tmp_path / str(number)
        create_key(path)
        keys.add(load_key(SpeakerSettings(key_file=path), {}))
    assert len(keys) == 3


def test_tight_umask_does_not_shut_the_owner_out(settings: SpeakerSettings) -> None:
    before = os.umask(0o777)
    try:
        key_file(settings).parent.mkdir()
        key_file(settings).parent.chmod(0o700)
        create_key(key_file(settings), lambda _: KEY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key_file(settings).stat().st_mode) == 0o600


@pytest.mark.parametrize("raw", [KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b"\r\n"])
def test_credential_in_either_form(
    settings: SpeakerSettings, credentials: Path, raw: bytes
) -> None:
    (credentials / "earmark-people-key").write_bytes(raw)
    assert load_key(settings, environ(credentials)) == KEY


def test_credential_goes_before_the_file(settings: SpeakerSettings, credentials: Path) -> None:
    create_key(key_file(settings))
    (credentials / "earmark-people-key").write_bytes(KEY)
    assert load_key(settings, environ(credentials)) == KEY
    (credentials / "earmark-people-key").rename(credentials / "another")
    assert load_key(settings, environ(credentials)) != KEY


def test_credential_of_another_name(settings: SpeakerSettings, credentials: Path) -> None:
    (credentials / "voices").write_bytes(KEY)
    other = settings.model_copy(update={"key_credential": "voices"})
    assert load_key(other, environ(credentials)) == KEY


# Failures


def test_no_key_at_all(settings: SpeakerSettings, credentials: Path) -> None:
    for where in ({}, environ(credentials), environ(credentials / "nowhere")):
        with pytest.raises(VaultKeyError, match="earmark people key create") as caught:
            load_key(settings, where)
        assert "LoadCredentialEncrypted=earmark-people-key" in caught.value.do
    bare = settings.model_copy(update={"key_file": None})
    with pytest.raises(VaultKeyError, match=r"set speaker.key_file"):
        load_key(bare, {})


BAD = [
    b"",
    b"\n",
    KEY[:-1],
    KEY + b"\n",
    KEY.hex()[:-2].encode(),
    b"z" * 64,
    b"\xff" * 64,
    300 * b"a",
]


@pytest.mark.parametrize("raw", BAD)
def test_what_is_no_key(settings: SpeakerSettings, credentials: Path, raw: bytes) -> None:
    (credentials / "earmark-people-key").write_bytes(raw)
    create_key(key_file(settings))
    with pytest.raises(VaultKeyError, match="this is no key") as caught:
        load_key(settings, environ(credentials))  # and the file is not tried instead
    assert KEY.hex()[:20] not in str(caught.value)
    key_file(settings).write_bytes(raw)
    with pytest.raises(VaultKeyError, match="this is no key"):
        load_key(settings, {})


@pytest.mark.parametrize("raw", [bytes(32), b"\xff" * 32, b"00" * 32, b"deadbeef" * 8])
def test_key_out_of_an_empty_memory(settings: SpeakerSettings, raw: bytes) -> None:
    create_key(key_file(settings))
    key_file(settings).write_bytes(raw)
    with pytest.raises(VaultKeyError, match="not random"):
        load_key(settings, {})
    key_file(settings).unlink()
    with pytest.raises(VaultKeyError, match="not random"):
        create_key(key_file(settings), lambda _: bytes(32))
    with pytest.raises(ValueError, match="32 bytes"):
        create_key(key_file(settings), lambda _: KEY[:-1])
    assert not key_file(settings).exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o777])
def test_file_that_is_open_to_others(settings: SpeakerSettings, mode: int) -> None:
    create_key(key_file(settings))
    key_file(settings).chmod(mode)
    with pytest.raises(VaultKeyError, match=f"mode {mode:04o}.*chmod 600"):
        load_key(settings, {})
    assert stat.S_IMODE(key_file(settings).stat().st_mode) == mode  # not hidden by closing it


def test_read_only_for_its_owner_will_do(settings: SpeakerSettings) -> None:
    create_key(key_file(settings), lambda _: KEY)
    key_file(settings).chmod(0o400)
    assert load_key(settings, {}) == KEY


def test_key_is_never_overwritten(settings: SpeakerSettings, tmp_path: Path) -> None:
    create_key(key_file(settings), lambda _: KEY)
    with pytest.raises(VaultKeyError, match="there is a key already"):
        create_key(key_file(settings))
    assert load_key(settings, {}) == KEY
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultKeyError, match="there is a key already"):
        create_key(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_link_folder_and_pipe(settings: SpeakerSettings, tmp_path: Path) -> None:
    create_key(key_file(settings))
    (tmp_path / "link").symlink_to(key_file(settings))
    with pytest.raises(VaultKeyError, match="is a link"):
        load_key(settings.model_copy(update={"key_file": tmp_path / "link"}), {})
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(VaultKeyError, match="no file"):
            load_key(settings.model_copy(update={"key_file": path}), {})


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VaultKeyError, match="cannot be created"):
        create_key(tmp_path / "file" / "key")


def test_full_disk_leaves_nothing(
    settings: SpeakerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(VaultKeyError, match="free some space"):
        create_key(key_file(settings))
    assert not key_file(settings).exists()


def test_of_another_user(nobodys_home: Path) -> None:
    """Somebody else's key that we may not read is an error, not a missing one."""
    path = nobodys_home / "key"
    create_key(path, lambda _: KEY)
    path.chmod(0)
    with pytest.raises(VaultKeyError, match="cannot be read"):
        load_key(SpeakerSettings(key_file=path), {})
