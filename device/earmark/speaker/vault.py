"""The vault: the people of this device in one encrypted file.

The file
    Magic (8 bytes), version (2, little-endian), name of the key (4), nonce (12), then the text of
    :mod:`earmark.speaker.people` encrypted with AES-256-GCM, and its tag (16). Magic, version
    and key name are authenticated with it. The nonce is drawn anew for each writing: 2**32 of
    them are allowed with one key, a person enrolled every second for a century.

Tampering
    Whatever byte is changed, cut off or added, the file is refused as a whole, and nobody is
    recognised until it is restored or wiped. What a file cannot prevent: whoever can write to
    the folder can put back an older file of this key (somebody deleted is then known again), or
    delete it while Earmark is stopped.

Power cuts
    The file is replaced as a whole (written beside it, flushed, renamed, the folder flushed) by
    one process at a time (a lock beside it). Every change starts from the file. What is written
    is always encrypted; the text exists in memory only.

Deleting
    The new file is without the person, and the old blocks are given back to the disk. On flash
    they may stay readable for somebody who takes the chip out *and* has the key. So a wipe
    removes the key file too; a key from systemd's credentials is removed where it was set.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from earmark.errors import EarmarkError
from earmark.files import flush_folder, lock, replace_file
from earmark.speaker.people import MAX_PEOPLE, PeopleError, Person, named, read, written
from earmark.speaker.settings import SpeakerSettings
from earmark.speaker.vault_key import load_key

MAGIC = b"EARMVLT\n"
"""The file's first bytes."""

VERSION = 1
"""Version of the file."""

NONCE_BYTES = 12
"""Length of the nonce, bytes: the one that GCM is made for (NIST SP 800-38D, 8.2)."""

TAG_BYTES = 16
"""Length of the tag at the end, bytes."""

MAX_FILE_BYTES = 2 * 1024 * 1024
"""Largest file that is read, bytes: 32 people with six phrases of 1,024 dimensions have 1.1 MB."""

LOCK_WAIT_S = 2.0
"""Longest wait for another process, s. One change takes milliseconds."""

_HEADER = struct.Struct(f"<{len(MAGIC)}sH4s")
_LEAST_BYTES = _HEADER.size + NONCE_BYTES + TAG_BYTES

_REPLACE = (
    "restore the file, or remove it with `earmark people wipe` and enrol everybody again; "
    "nobody is recognised until then"
)
_FULL = ("the disk is full", "free some space; nothing was changed")
_DENIED = ("access is denied", "make it and its folder readable and writable for this user")
_FAILURES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ELOOP: ("the people's vault is a link", "set speaker.vault to the file itself"),
    errno.EISDIR: ("the people's vault is a folder", "set speaker.vault to a file"),
    errno.ENXIO: ("the people's vault is no file", "set speaker.vault to a file"),
    errno.EEXIST: ("its folder is a file", "set speaker.vault into a folder"),
    errno.ENOTDIR: ("a part of its folder's path is a file", "set speaker.vault into a folder"),
    errno.EROFS: ("the disk is read-only", "set speaker.vault to a folder that can be written"),
}
"""What an error of the system means to a person, and the remedy."""


class VaultError(EarmarkError):
    """The people's vault cannot be read or written. Nobody may be recognised."""


class Vault:
    """The people in one file; safe to use from several threads and processes.

    A change by another process is seen at the next call. No file is an empty vault; one that
    vanishes after it was seen is an error, so that removing it does not open a running device.

    Every method raises :class:`VaultError` when the file cannot be read or written, and
    what `key` raises; what was about to change is then unchanged.

    Parameters
    ----------
    path : the file; None keeps the people in memory only.
    key : gives the key, 32 bytes. Asked for only when there is something to read or write.
    entropy : gives so many random bytes, for the nonces.
    """

    def __init__(
        self,
        path: Path | None,
        key: Callable[[], bytes],
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._path = path
        self._key = key
        self._entropy = entropy
        self._lock = threading.RLock()
        self._people: tuple[Person, ...] = ()
        self._stamp: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        settings: SpeakerSettings,
        environ: Mapping[str, str] = os.environ,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> Vault:
        """The vault of a device; `environ` says where systemd has put its credentials."""
        return cls(settings.vault, lambda: load_key(settings, environ), entropy)

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody, in the order of their enrolment; the same object while nothing changes."""
        with self._lock:
            if self._path is not None:
                with _explained(self._path):
                    self._refresh(self._path)
            return self._people

    def add(self, person: Person) -> None:
        """Keep a person; on the disk when this returns. Somebody of another model and the same
        name is replaced, which is how people enrol again.

        Raises
        ------
        PeopleError
            Somebody of this model has the name already, or there are :data:`MAX_PEOPLE`.
        """

        def added(people: tuple[Person, ...]) -> Sequence[Person]:
            same = named(people, person.name)
            if same is not None and same.model_id == person.model_id:
                raise PeopleError(
                    "somebody has that name already",
                    "choose another one, or delete that person first: earmark people delete NAME",
                )
            others = [other for other in people if other is not same]
            if len(others) >= MAX_PEOPLE:
                raise PeopleError(f"{MAX_PEOPLE} people are enrolled", "delete somebody first")
            return [*others, person]

        self._change(added)

    def delete(self, person_id: str) -> None:
        """Forget a person; on the disk when this returns.

        Raises
        ------
        PeopleError
            Nobody has that id.
        """

        def rest(people: tuple[Person, ...]) -> Sequence[Person]:
            others = [person for person in people if person.id != person_id]
            if len(others) == len(people):
                raise PeopleError(f"nobody has the id {person_id}", "see `earmark people list`")
            return others

        self._change(rest)

    def _change(self, change: Callable[[tuple[Person, ...]], Sequence[Person]]) -> None:
        with self._lock:
            if self._path is None:
                self._people = tuple(change(self._people))
                return
            with _explained(self._path):
                _make_folder(self._path.parent)
                with _locked(self._path):
                    self._refresh(self._path)
                    people = tuple(change(self._people))
                    _replace(self._path, sealed(written(people), self._key(), self._entropy))
                    self._people, self._stamp = people, _stamp(self._path)

    def _refresh(self, path: Path) -> None:
        """Read the file again if it is another one than before."""
        stamp = _stamp(path)
        if stamp == self._stamp:
            return
        if stamp is None:
            raise VaultError(
                f"{path}: the people's vault is gone",
                "restore it; or, if it was wiped on purpose, restart Earmark",
            )
        raw = _read(path)
        self._people = _opened(path, raw, self._key())
        self._stamp = stamp


def erase(path: Path) -> None:
    """Delete the vault at `path`, also one that cannot be read: for a reset.

    Raises
    ------
    VaultError
        The disk refuses; the people may still be there.
    """
    with _explained(path):
        if not path.parent.is_dir():
            return
        with _locked(path):
            path.unlink(missing_ok=True)
            _beside(path, "new").unlink(missing_ok=True)
            flush_folder(path.parent)


def wipe(settings: SpeakerSettings) -> None:
    """Delete the vault and the key file (factory reset). A credential stays where it was set.

    Raises
    ------
    VaultError
        The disk refuses; people or key may still be there.
    """
    if settings.vault is not None:
        erase(settings.vault)
    if settings.key_file is not None and settings.key_file.parent.is_dir():
        with _explained(settings.key_file):
            settings.key_file.unlink(missing_ok=True)
            flush_folder(settings.key_file.parent)


# The bytes


def sealed(text: bytes, key: bytes, entropy: Callable[[int], bytes]) -> bytes:
    """The content of a vault with `text`.

    Parameters
    ----------
    key : 32 bytes.
    entropy : gives so many random bytes.

    Raises
    ------
    ValueError
        It would be longer than a vault may be.
    """
    header = _HEADER.pack(MAGIC, VERSION, _key_name(key))
    nonce = entropy(NONCE_BYTES)
    raw = header + nonce + AESGCM(key).encrypt(nonce, text, header)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"a vault has at most {MAX_FILE_BYTES} bytes")
    return raw


def _opened(path: Path, raw: bytes, key: bytes) -> tuple[Person, ...]:
    if not raw.startswith(MAGIC):
        raise VaultError(f"{path}: the file is no people's vault", "check its path, or " + _REPLACE)
    if len(raw) < _LEAST_BYTES:
        raise VaultError(f"{path}: the people's vault was cut short", _REPLACE)
    _, version, key_name = _HEADER.unpack_from(raw)
    if version != VERSION:
        raise VaultError(
            f"{path}: the people's vault has version {version}, this Earmark knows {VERSION}",
            "install the Earmark that wrote it, or " + _REPLACE,
        )
    if key_name != _key_name(key):
        raise VaultError(
            f"{path}: the people's vault was written with another key",
            "restore that key (speaker.key_credential, speaker.key_file), or " + _REPLACE,
        )
    nonce = raw[_HEADER.size : _HEADER.size + NONCE_BYTES]
    try:
        text = AESGCM(key).decrypt(nonce, raw[_HEADER.size + NONCE_BYTES :], raw[: _HEADER.size])
    except InvalidTag:
        raise VaultError(f"{path}: the people's vault was altered", _REPLACE) from None
    try:
        return read(text)
    except ValueError as error:  # written by whoever has the key, yet not by this Earmark
        raise VaultError(
            f"{path}: the people's vault holds no people ({error})", _REPLACE
        ) from None


def _key_name(key: bytes) -> bytes:
    """What tells a wrong key from an altered file: 32 bits that say nothing about a random key."""
    return sha256(b"earmark/people/1/name\0" + key).digest()[:4]


# The file system


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Differs after the file was replaced; None when there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_ctime_ns


def _read(path: Path) -> bytes:
    # Not blocking: a named pipe in its place must not hold the device.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise VaultError(
                f"{path}: the people's vault is no file", "set speaker.vault to a file"
            )
        if found.st_mode & 0o077 and os.geteuid() in (0, found.st_uid):
            os.fchmod(handle, 0o600)
        with open(handle, "rb", closefd=False) as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(handle)
    if len(raw) > MAX_FILE_BYTES:
        raise VaultError(
            f"{path}: the people's vault is longer than {MAX_FILE_BYTES} bytes", _REPLACE
        )
    return raw


def _replace(path: Path, raw: bytes) -> None:
    """Put `raw` in the place of the file, whole or not at all.

    Should only the folder not be flushed, the new content stands; a power cut may bring back the
    old one.
    """
    replace_file(path, raw, lambda handle: _give_to_owner(handle, path.parent))
    flush_folder(path.parent)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes out. The vault is replaced, and a lock on it would be."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(_beside(path, "lock"), flags, 0o600)
    try:
        _give_to_owner(handle, path.parent)
        if not lock(handle, LOCK_WAIT_S):
            raise VaultError(f"{path}: another process holds the people's vault", "try again")
        yield
    finally:
        os.close(handle)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{suffix}")


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        flush_folder(folder.parent)


def _give_to_owner(handle: int, folder: Path) -> None:
    """What root creates (``sudo earmark …``) must stay usable for the service."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of the system into one clear line."""
    try:
        yield
    except OSError as error:
        unknown = (str(error.strerror or error), "check the disk; nothing was changed")
        what, do = _FAILURES.get(error.errno or 0, unknown)
        raise VaultError(f"{path}: {what}", do) from error
