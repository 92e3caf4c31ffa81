"""The vault: nothing readable on the disk, nothing altered is believed, nothing half written."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from earmark.speaker import vault as module
from earmark.speaker.people import MAX_PEOPLE, PeopleError, Person
from earmark.speaker.settings import SpeakerSettings
from earmark.speaker.vault import MAX_FILE_BYTES, Vault, VaultError, erase, sealed, wipe
from earmark.speaker.vault_key import VaultKeyError, create_key

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
MODEL = "0123456789abcdef"


def person(number: int = 1, name: str | None = None, model: str = MODEL) -> Person:
    rows = np.random.default_rng(number).standard_normal((5, 16))
    phrases = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Person(f"{number:08x}", name or f"Margarete {number}", 1.8e9, 1.8e9, model, phrases)


def small_person() -> Person:
    return Person("00000001", "Margarete", 1.8e9, 1.8e9, MODEL, np.eye(1, 2, dtype=np.float32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "people.vault"


@pytest.fixture
def vault(path: Path) -> Vault:
    return Vault(path, lambda: KEY)


def names(vault: Vault) -> list[str]:
    return [one.name for one in vault.people]


def reopened(path: Path, key: bytes = KEY) -> Vault:
    return Vault(path, lambda: key)


# What it keeps


def test_people_are_there_after_a_restart(vault: Vault, path: Path) -> None:
    assert vault.people == ()
    vault.add(person(1))
    vault.add(person(2))
    again = reopened(path)
    assert names(again) == ["Margarete 1", "Margarete 2"]
    assert np.array_equal(again.people[1].phrases, person(2).phrases)
    again.delete(person(1).id)
    assert names(reopened(path)) == ["Margarete 2"]


def test_change_by_another_process_is_seen(vault: Vault, path: Path) -> None:
    vault.add(person(1))
    other = reopened(path)
    other.add(person(2))
    before = vault.people
    assert len(before) == 2
    assert vault.people is before  # nothing is decrypted again while nothing changes
    vault.delete(person(1).id)
    assert names(other) == ["Margarete 2"]


def test_file_and_folder_are_closed_to_others(vault: Vault, path: Path) -> None:
    before = os.umask(0)
    try:
        vault.add(person(1))
        vault.add(person(2))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(p.name for p in path.parent.iterdir()) == [".people.vault.lock", "people.vault"]


def test_open_file_is_closed_to_others_again(vault: Vault, path: Path) -> None:
    vault.add(person(1))
    path.chmod(0o644)
    assert reopened(path).people
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_that_is_written_can_be_read(
    vault: Vault, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the vault nor in any file on the way to it."""
    caplog.set_level(0)
    seen: list[bytes] = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        seen.extend(p.read_bytes() for p in path.parent.iterdir())
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    vault.add(person(1))
    vault.add(person(2))
    seen.append(path.read_bytes())
    secrets = [b"Margarete", MODEL.encode(), b"phrases", person(1).phrases.tobytes()[:16], KEY[:8]]
    assert len(seen) > 3
    assert not any(secret in raw for raw in seen for secret in secrets)
    assert caplog.text == ""


def test_every_writing_has_a_nonce_of_its_own(vault: Vault, path: Path) -> None:
    vault.add(person(1))
    nonces = []
    for number in range(2, 8):
        nonces.append(path.read_bytes()[14:26])
        vault.add(person(number))
    assert len(set(nonces)) == 6


def test_file_is_what_the_format_says(path: Path) -> None:
    """Opened without our code: AES-256-GCM, its header authenticated."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    from earmark.speaker.people import written

    Vault(path, lambda: KEY, lambda count: bytes(range(count))).add(person(1))
    raw = path.read_bytes()
    assert raw[:10] == b"EARMVLT\n\x01\x00"
    assert raw[14:26] == bytes(range(12))
    opened = Cipher(algorithms.AES(KEY), modes.GCM(raw[14:26], raw[-16:])).decryptor()
    opened.authenticate_additional_data(raw[:14])
    assert opened.update(raw[26:-16]) + opened.finalize() == written([person(1)])


def test_in_memory_only() -> None:
    def no_key() -> bytes:
        raise AssertionError

    vault = Vault(None, no_key)
    vault.add(person(1))
    assert names(vault) == ["Margarete 1"]
    vault.delete(person(1).id)
    assert vault.people == ()


def test_key_is_asked_for_only_when_there_is_something_to_read(path: Path) -> None:
    def no_key() -> bytes:
        raise VaultKeyError("none", "make one")

    vault = Vault(path, no_key)
    assert vault.people == ()
    with pytest.raises(VaultKeyError):
        vault.add(person(1))
    assert not path.exists()


def test_vault_of_a_device(tmp_path: Path) -> None:
    settings = SpeakerSettings(vault=tmp_path / "v", key_file=tmp_path / "k")
    with pytest.raises(VaultKeyError, match="people key create"):
        Vault.of(settings, {}).add(person(1))
    create_key(tmp_path / "k", lambda _: KEY)
    Vault.of(settings, {}).add(person(1))
    assert names(reopened(tmp_path / "v")) == ["Margarete 1"]


# Its bounds


def test_so_many_people_and_no_more(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for number in range(MAX_PEOPLE):
        vault.add(person(number))
    with pytest.raises(PeopleError, match="32 people are enrolled: delete somebody"):
        vault.add(person(MAX_PEOPLE))
    assert len(vault.people) == MAX_PEOPLE


def test_a_name_is_had_by_one(vault: Vault) -> None:
    vault.add(person(1, "Anna"))
    with pytest.raises(PeopleError, match="has that name already"):
        vault.add(person(2, "ANNA"))
    assert names(vault) == ["Anna"]


def test_who_enrols_again_with_a_new_model_is_replaced(vault: Vault) -> None:
    vault.add(person(1, "Anna", model="f" * 16))
    vault.add(person(2, "Bert", model="f" * 16))
    vault.add(person(3, "anna"))
    assert [(one.name, one.model_id) for one in vault.people] == [
        ("Bert", "f" * 16),
        ("anna", MODEL),
    ]


def test_delete_of_nobody(vault: Vault) -> None:
    vault.add(person(1))
    with pytest.raises(PeopleError, match="nobody has the id"):
        vault.delete("ffffffff")
    assert len(vault.people) == 1


def test_file_longer_than_a_vault_is_not_read(vault: Vault, path: Path) -> None:
    vault.add(person(1))
    with path.open("ab") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(VaultError, match="longer than"):
        _ = reopened(path).people
    with pytest.raises(ValueError, match="at most"):
        sealed(bytes(MAX_FILE_BYTES), KEY, os.urandom)


# Tampering


def test_whatever_byte_is_changed_is_noticed(vault: Vault, path: Path) -> None:
    vault.add(small_person())
    whole = path.read_bytes()
    regions = {
        "magic": range(8),
        "version": range(8, 10),
        "key name": range(10, 14),
        "nonce": range(14, 26),
        "text": range(26, len(whole) - 16),
        "tag": range(len(whole) - 16, len(whole)),
    }
    said = {}
    for region, places in regions.items():
        for at in places:
            for bit in (0x01, 0x80)[: 1 + (region != "text")]:
                path.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
                with pytest.raises(VaultError) as caught:
                    _ = reopened(path).people
                assert "earmark people wipe" in caught.value.do
                assert "Margarete" not in str(caught.value)
                said[region] = caught.value.what.partition(": ")[2]
    assert "no people's vault" in said["magic"]
    assert "version" in said["version"]
    assert "another key" in said["key name"]
    assert {said[one] for one in ("nonce", "text", "tag")} == {"the people's vault was altered"}


def test_whatever_is_cut_off_or_added_is_noticed(vault: Vault, path: Path) -> None:
    vault.add(small_person())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(VaultError):
            _ = reopened(path).people
    for more in (b"\0", whole):
        path.write_bytes(whole + more)
        with pytest.raises(VaultError, match="altered"):
            _ = reopened(path).people
    path.write_bytes(whole)
    assert reopened(path).people


def test_parts_of_two_vaults_make_none(tmp_path: Path) -> None:
    files = []
    for number in (1, 2):
        Vault(tmp_path / str(number), lambda: KEY).add(person(number))
        files.append((tmp_path / str(number)).read_bytes())
    (tmp_path / "1").write_bytes(files[0][:26] + files[1][26:])
    with pytest.raises(VaultError, match="altered"):
        _ = reopened(tmp_path / "1").people


def test_another_key(vault: Vault, path: Path) -> None:
    vault.add(person(1))
    before = path.read_bytes()
    wrong = reopened(path, OTHER_KEY)
    for action in (
        lambda: wrong.people,
        lambda: wrong.add(person(2)),
        lambda: wrong.delete("0" * 8),
    ):
        with pytest.raises(VaultError, match=r"another key: restore that key \(speaker.key_cred"):
            action()
    assert path.read_bytes() == before


def test_another_key_of_the_same_name(
    vault: Vault, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name only explains; it is the tag that decides."""
    monkeypatch.setattr(module, "_key_name", lambda _: b"same")
    vault.add(person(1))
    with pytest.raises(VaultError, match="altered"):
        _ = reopened(path, OTHER_KEY).people


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"\x80\x04K\x01.", b'{"earmark_people":2,"people":[]}']
)
def test_text_that_is_none_of_ours_under_the_right_key(path: Path, text: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(sealed(text, KEY, os.urandom))
    with pytest.raises(VaultError, match="holds no people"):
        _ = reopened(path).people


def test_altered_while_it_is_open(vault: Vault, path: Path) -> None:
    """It does not go on with what it knew."""
    vault.add(person(1))
    path.write_bytes(path.read_bytes()[:-1])
    for _ in range(2):
        with pytest.raises(VaultError, match="altered"):
            _ = vault.people
    with pytest.raises(VaultError, match="altered"):
        vault.add(person(2))


def test_vanished_while_it_is_open(vault: Vault, path: Path) -> None:
    """Removing the file must not make a device believe that nobody is enrolled."""
    vault.add(person(1))
    path.unlink()
    for _ in range(2):
        with pytest.raises(VaultError, match=r"gone: restore it; or.*restart Earmark"):
            _ = vault.people
    with pytest.raises(VaultError, match="gone"):
        vault.add(person(2))
    assert not path.exists()


# Power cuts and full disks


def test_what_a_kill_at_any_point_leaves(path: Path) -> None:
    """Killed (SIGKILL) before each call that changes the disk: the old people or the new ones."""
    reopened(path).add(person(1))
    seen = []
    for calls in range(30):
        child = os.fork()
        if child == 0:
            try:
                die_after(calls)
                reopened(path).add(person(2))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        seen.append(len(reopened(path).people))
        if not os.WIFSIGNALED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        if seen[-1] == 2:
            reopened(path).delete(person(2).id)
    assert sorted(seen) == seen
    assert seen[0] == 1
    assert seen[-4:] == [1, 2, 2, 2]  # before the rename, twice on flushing the folder, at the end
    assert not (path.parent / ".people.vault.new").exists()


def die_after(calls: int) -> None:
    """Kill this process at its next call but `calls` that opens or changes a file."""
    left = [calls]

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **more: object) -> object:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*arguments, **more)

        return wrapped

    for name in ("open", "fchmod", "fsync", "replace"):
        setattr(os, name, counted(getattr(os, name)))


def test_remains_of_a_killed_process_go(vault: Vault, path: Path) -> None:
    path.parent.mkdir()
    (path.parent / ".people.vault.new").write_bytes(b"half")
    vault.add(person(1))
    assert not (path.parent / ".people.vault.new").exists()


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "free some space"), (errno.EIO, "check the disk")]
)
def test_failure_changes_nothing(
    vault: Vault, path: Path, call: str, code: int, message: str
) -> None:
    vault.add(person(1))
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(VaultError, match=message):
            vault.add(person(2))
    assert path.read_bytes() == before
    assert not (path.parent / ".people.vault.new").exists()
    assert names(vault) == ["Margarete 1"]
    vault.add(person(2))
    assert len(reopened(path).people) == 2


def test_file_and_folder_are_flushed_in_order(
    vault: Vault, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def replaced(source: Path, target: Path) -> None:
        calls.append("rename")
        replace(source, target)

    vault.add(person(1))
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    vault.add(person(2))
    assert calls == ["file", "rename", "folder"]


# Several at once


def test_changes_at_once_lose_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    vaults = [reopened(path) for _ in range(4)]

    def add(at: int) -> None:
        for number in range(5):
            vaults[at].add(person(10 * at + number))

    threads = [threading.Thread(target=add, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(one.people) == 20 for one in vaults)


def test_process_that_does_not_let_go(
    vault: Vault, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_S", 0.05)
    vault.add(person(1))
    with (path.parent / ".people.vault.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(VaultError, match="another process holds"):
            vault.add(person(2))
        assert names(vault) == ["Margarete 1"]  # reading goes on
    vault.add(person(2))


# The file system


def test_folder_pipe_and_link_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=r"set speaker\.vault to a file"):
        _ = reopened(tmp_path).people
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VaultError, match="no file"):
        _ = reopened(tmp_path / "pipe").people
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(VaultError, match="is a link"):
        _ = reopened(tmp_path / "link").people
    assert not (tmp_path / "nowhere").exists()


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "vault", tmp_path / "file" / "below" / "vault"):
        with pytest.raises(VaultError, match="into a folder"):
            reopened(path).add(person(1))


def test_no_handle_stays_open(vault: Vault, path: Path) -> None:
    vault.add(person(1))
    before = len(os.listdir("/proc/self/fd"))
    path.write_bytes(b"x" * 100)
    for where in (path, path.parent):
        for _ in range(5):
            with pytest.raises(VaultError):
                _ = reopened(where).people
    assert len(os.listdir("/proc/self/fd")) == before


def test_file_of_another_user(nobodys_home: Path) -> None:
    path = nobodys_home / "people.vault"
    reopened(path).add(person(1))
    path.chmod(0)
    with pytest.raises(VaultError, match="access is denied"):
        _ = reopened(path).people


# Wiping


def test_wipe_leaves_nothing(tmp_path: Path) -> None:
    settings = SpeakerSettings(vault=tmp_path / "v", key_file=tmp_path / "k")
    create_key(tmp_path / "k")
    Vault.of(settings, {}).add(person(1))
    (tmp_path / ".v.new").write_bytes(b"half")
    wipe(settings)
    assert [p.name for p in tmp_path.iterdir()] == [".v.lock"]
    assert Vault.of(settings, {}).people == ()
    wipe(settings)  # twice is harmless


def test_wipe_also_of_what_cannot_be_read_or_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"damaged beyond use")
    erase(tmp_path / "v")
    assert not (tmp_path / "v").exists()
    nowhere = tmp_path / "nowhere"
    wipe(SpeakerSettings(vault=nowhere / "v", key_file=nowhere / "k"))
    wipe(SpeakerSettings(vault=None, key_file=None))
    assert not nowhere.exists()


def test_wipe_that_the_disk_refuses(
    vault: Vault, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.add(person(1))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(VaultError, match="read-only"):
        erase(path)
