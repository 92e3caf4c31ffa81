"""The key of the vault: from systemd, else from a file.

A credential that systemd hands over (``LoadCredentialEncrypted=`` in the unit) can be sealed to
the machine's TPM or to a key of its own, and lies in memory that is never swapped. A key file is
the plain way: it keeps the voiceprints from whoever gets the vault alone, such as a backup.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from earmark.errors import EarmarkError
from earmark.files import flush_folder
from earmark.speaker.settings import SpeakerSettings

KEY_BYTES = 32
"""Length of the key, bytes: AES-256."""

CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd names the folder of a service's credentials."""

MAX_FILE_BYTES = 128
"""Longest key that is read, bytes: 64 digits and the end of a line."""

LEAST_DISTINCT = 16
"""Least different bytes in a key: one of 00.. or FF.. comes from an empty memory. Of random ones,
fewer than 1 in 10**16 have less."""


class VaultKeyError(EarmarkError):
    """The key of the vault is missing, open to others or malformed."""


def load_key(settings: SpeakerSettings, environ: Mapping[str, str]) -> bytes:
    """The key of the vault, 32 bytes.

    The credential, when systemd gives one; a bad one is never replaced by the file. Either holds
    32 bytes, or 64 hexadecimal digits and the end of a line.

    Raises
    ------
    VaultKeyError
        There is none, it cannot be read, is no key, or others may read the file.
    """
    folder = environ.get(CREDENTIALS)
    if folder:
        credential = Path(folder) / settings.key_credential
        if os.path.lexists(credential):
            return _parsed(credential, _read(credential, private=False))
    if settings.key_file is None or not os.path.lexists(settings.key_file):
        raise VaultKeyError("the key of the people's vault is not here", _missing(settings))
    return _parsed(settings.key_file, _read(settings.key_file, private=True))


def create_key(path: Path, entropy: Callable[[int], bytes] = os.urandom) -> None:
    """Write a fresh key to a new file, mode 0600, in hexadecimal digits; on the disk on return.

    Made by root, it belongs to the owner of its folder, as what the service writes does.

    Parameters
    ----------
    entropy : gives so many random bytes.

    Raises
    ------
    VaultKeyError
        There is something already: it is never overwritten, as it may be in use. Or the disk
        refuses; then nothing is left.
    """
    key = entropy(KEY_BYTES)
    _check_random(path, key)
    try:
        if not os.path.lexists(path.parent):
            path.parent.mkdir(mode=0o700, parents=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path, flags, 0o600)
    except FileExistsError:
        raise VaultKeyError(
            f"{path}: there is a key already", "keep it: without it nobody is recognised any more"
        ) from None
    except OSError as error:
        raise VaultKeyError(
            f"{path}: the key cannot be created ({error.strerror})", "choose a folder for it"
        ) from None
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o600)  # whatever the umask
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
            file.write(key.hex().encode() + b"\n")
            file.flush()
            os.fsync(handle)
        flush_folder(path.parent)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise VaultKeyError(
                f"{path}: the key cannot be written ({error.strerror})", "free some space"
            ) from None
        raise


def _missing(settings: SpeakerSettings) -> str:
    name = settings.key_credential
    hint = (
        "where the service gets it from systemd, run the command with it: systemd-run --pipe "
        f"--wait -p LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name} earmark ..."
    )
    if settings.key_file is None:
        return f"give the credential {name} or set speaker.key_file; {hint}"
    return f"make {settings.key_file} once with `earmark people key create`; or {hint}"


def _read(path: Path, private: bool) -> bytes:
    """The bytes of a key; with `private`, only from a file that is nobody else's."""
    try:
        # Not blocking: a named pipe in its place must not hold the device.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise VaultKeyError(f"{path}: the key is a link", "name the file itself") from None
        raise VaultKeyError(
            f"{path}: the key cannot be read ({error.strerror})",
            "let the user that runs Earmark read it",
        ) from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise VaultKeyError(f"{path}: the key is no file", "name a file")
        if private and found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise VaultKeyError(
                f"{path}: others may read the key (mode {mode:04o})",
                f"close it: chmod 600 {path}; if others use this machine, delete all people and "
                "make a new key",
            )
        return os.read(handle, MAX_FILE_BYTES + 1)
    except OSError as error:
        raise VaultKeyError(
            f"{path}: the key cannot be read ({error.strerror})", "check the disk"
        ) from None
    finally:
        os.close(handle)


def _parsed(path: Path, raw: bytes) -> bytes:
    """32 bytes of either form. The message repeats nothing of them."""
    key = raw
    if len(raw) != KEY_BYTES:
        try:
            key = bytes.fromhex(raw.decode("ascii").strip())
        except ValueError:
            key = b""
    if len(key) != KEY_BYTES:
        raise VaultKeyError(
            f"{path}: this is no key",
            f"restore it: {KEY_BYTES} bytes, or {2 * KEY_BYTES} hexadecimal digits",
        )
    _check_random(path, key)
    return key


def _check_random(path: Path, key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes")
    if len(set(key)) < LEAST_DISTINCT:
        raise VaultKeyError(
            f"{path}: the key is not random", "make one with `earmark people key create`"
        )
