"""An append-only file of small records, each with a checksum: what the query memory is kept in.

The file
    A header, twice (magic, version, tag, CRC-32), then records without gaps. A record is the
    file's tag (4 random bytes), its kind (1 byte), the length of its payload (2 bytes), a CRC-32
    (4 bytes) and the payload. The CRC covers where in the file the record starts, so that one
    that was moved or copied counts as damaged. The tag is drawn anew for each file: damage is
    skipped by looking for it, and nothing that is left over from an earlier file, or that
    somebody has smuggled into a payload, is taken for a record. All numbers are little-endian.

Power cuts
    :meth:`RecordLog.append` returns after the record was flushed to the disk (``fdatasync``), so
    what was acknowledged is lost only by a disk that lied. Without that flush, about the last
    half minute would be lost, and whoever can pull the plug could have his queries forgotten.
    A record that was cut in two is removed at the next opening. :meth:`RecordLog.rewrite` writes
    a second file, flushes it and renames it: there is the old content or the new, never a mix.

Bit rot
    A damaged record is lost, its neighbours are not: reading goes on at the next record whose
    checksum fits its place. If both copies of the header (36 bytes in a row) are damaged, the
    file cannot be read at all; :func:`erase` then makes room for a new one.

A full disk
    A failed append or rewrite raises :class:`MemoryStoreError` and leaves the records as they
    were. What could not be put right at once (a torn tail, an unflushed folder) is put right
    before the next append, or that fails too. So the log goes on as soon as there is room.

The checksum finds accidents. It does not stop somebody who can write the file: nothing in it is
signed, and the file's mode (0600) is what keeps others away.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from earmark.errors import EarmarkError
from earmark.files import flush_folder

Record: TypeAlias = tuple[int, bytes]
"""Kind (0 to 255) and payload of a record."""

VERSION = 1
"""Version of the file."""

MAGIC = b"EARMKLOG"
"""The file's first bytes."""

TAG_BYTES = 4
"""Length of a file's tag, bytes: in 20 MB of other bytes it turns up by chance with a probability
of .5 %, and is then still refused by the checksum."""

MAX_PAYLOAD_BYTES = 0xFFFF
"""Longest payload that the format can hold, bytes."""

_HEADER = struct.Struct(f"<{len(MAGIC)}sH{TAG_BYTES}sI")
_FRAME = struct.Struct(f"<{TAG_BYTES}sBHI")
_PLACE = struct.Struct("<QBH")

HEADER_BYTES = 2 * _HEADER.size
"""Where the first record starts, bytes."""

FRAME_BYTES = _FRAME.size
"""What a record takes beyond its payload, bytes."""

_STRIDE_BYTES = 65_536
"""How much is searched or written at once, bytes: some 64 records; more is not faster."""

_FULL = ("the disk is full", "free some space; queries are not remembered until then")
_DENIED = ("access is denied", "make it and its folder readable and writable for this user")
_FAILURES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EEXIST: ("its folder is a file", "set its path into a folder"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ELOOP: ("the query memory is a link", "set its path to the file itself"),
    errno.EISDIR: ("the query memory is a folder", "set its path to a file"),
    errno.ENXIO: ("the query memory is no file", "set its path to a file"),
    errno.ENOTDIR: ("a part of its folder's path is a file", "set its path into a folder"),
    errno.EROFS: ("the disk is read-only", "set its path to a folder that can be written"),
}
"""What an error of the system means to a person, and the remedy."""

_REPLACE = "move the file away and start again; what was remembered is then forgotten"


class MemoryStoreError(EarmarkError):
    """The query memory cannot be read or written. What was remembered before stands."""


class MemoryHeldError(MemoryStoreError):
    """Another process has the store, most likely the daemon."""


@dataclass(frozen=True)
class Damage:
    """What could not be read when a log was opened.

    Parameters
    ----------
    stretches : how many separate pieces of the file were damaged, the torn tail included. A
        piece holds one record or several in a row.
    lost_bytes : their length together, bytes.
    """

    stretches: int = 0
    lost_bytes: int = 0


class RecordLog:
    """The log in one file; :meth:`open` it. For one thread at a time."""

    def __init__(
        self,
        path: Path,
        lock: int,
        max_record_bytes: int,
        max_file_bytes: int,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._path = path
        self._lock = lock
        self._max_record_bytes = max_record_bytes
        self._max_file_bytes = max_file_bytes
        self._entropy = entropy
        self._file = -1
        self._tag = b""  # while the file is empty: it is drawn with the first record
        self._end = 0  # of the last record, bytes
        self._torn = False  # there may be remains beyond the end
        self._renamed = True  # the folder is yet to be flushed
        self.damage = Damage()
        """What was lost at opening."""

    @classmethod
    def open(
        cls,
        path: Path,
        max_record_bytes: int,
        max_file_bytes: int,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> RecordLog:
        """Open the log, or create it (mode 0600, a missing folder with 0700).

        A torn tail is cut off; :attr:`damage` says what was lost. The file ``.NAME.lock`` beside
        it is locked until :meth:`close`; a ``.NAME.new`` of a rewrite that was cut short goes.

        Parameters
        ----------
        path : the file.
        max_record_bytes : longest payload, bytes, 65,535 at most.
        max_file_bytes : longest file, bytes: a longer one is refused unread, and none is made.
        entropy : random bytes of a given count, for the file's tag.

        Raises
        ------
        MemoryStoreError
            Another process holds the log; it is a link, a folder or no file; it belongs to
            somebody else or others may write it; it is no log, of a newer version, or longer
            than `max_file_bytes`; its header is damaged; or the disk refuses.
        """
        if not 0 <= max_record_bytes <= MAX_PAYLOAD_BYTES:
            raise ValueError(f"max_record_bytes must be 0 to {MAX_PAYLOAD_BYTES}")
        with _explained(path):
            _make_folder(path.parent)
            lock = _locked(path)
        log = cls(path, lock, max_record_bytes, max_file_bytes, entropy)
        try:
            with _explained(path):
                log._load()
        except BaseException:
            log.close()
            raise
        return log

    @property
    def size_bytes(self) -> int:
        """Length of the file, bytes."""
        return self._end

    def records(self) -> Iterator[Record]:
        """All records in the order in which they were appended; damaged ones are skipped.

        They are read one by one from the file. Do not append before the end is reached.

        Raises
        ------
        MemoryStoreError
            The disk cannot be read.
        """
        self._check_open()
        with _explained(self._path):
            for _, kind, payload in self._found(self._end):
                yield kind, payload

    def append(self, kind: int, payload: bytes) -> None:
        """Add a record, on the disk before this returns.

        Raises
        ------
        MemoryStoreError
            Not added; the log is as it was before.
        ValueError
            `kind` is beyond 255, `payload` longer than ``max_record_bytes``, or the log closed.
        """
        self._check(kind, payload)
        with _explained(self._path):
            self._settle()
            tag = self._tag or self._entropy(TAG_BYTES)
            data = b"" if self._end else _header(tag)
            data += _framed(tag, self._end + len(data), kind, payload)
            self._check_length(self._end + len(data))
            self._torn = True
            try:
                _write(self._file, data, self._end)
                os.fdatasync(self._file)
            except OSError:
                with suppress(OSError):
                    self._settle()
                raise
        self._tag = tag
        self._end += len(data)
        self._torn = False

    def rewrite(self, records: Iterable[Record], expected_bytes: int) -> None:
        """Replace the whole content by `records`; they may come from :meth:`records`.

        Parameters
        ----------
        records : the new content.
        expected_bytes : length of the new file, bytes. Nothing is begun if the disk has less
            room than that: a full disk should not be written to again and again.

        Raises
        ------
        MemoryStoreError
            The old content stands; or, if only the folder could not be flushed, the new one,
            and a power cut may bring back the old. Then the next append flushes it first.
        ValueError
            A kind or payload is as :meth:`append` refuses it, or the log is closed.
        """
        self._check_open()
        new = _beside(self._path, "new")
        with _explained(self._path):
            room = os.fstatvfs(self._file)
            if room.f_bavail * room.f_frsize < expected_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            new.unlink(missing_ok=True)  # of a process that was killed here
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(new, flags, 0o600)
            try:
                _give_to_owner(handle, self._path.parent)
                tag = self._entropy(TAG_BYTES)
                end = self._write_all(handle, tag, records)
                os.fsync(handle)
                os.replace(new, self._path)
            except BaseException:
                os.close(handle)
                with suppress(OSError):
                    new.unlink(missing_ok=True)
                raise
            old, self._file, self._tag, self._end = self._file, handle, tag, end
            self._torn, self._renamed = False, True
            with suppress(OSError):  # closed all the same
                os.close(old)
            self._settle()

    def wipe(self) -> None:
        """Remove all records: the file is empty, on the disk, when this returns.

        Its blocks are given back, not overwritten: on flash, overwriting would not reach the old
        cells either. Who takes the memory chip out may find remains, unless the disk is
        encrypted.

        Raises
        ------
        MemoryStoreError
            The records may still be there.
        """
        self._check_open()
        with _explained(self._path):
            _beside(self._path, "new").unlink(missing_ok=True)
            os.ftruncate(self._file, 0)
            self._tag, self._end, self._torn = b"", 0, False
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file and let others have it. Closing twice is harmless."""
        for handle in (self._file, self._lock):
            if handle >= 0:
                os.close(handle)
        self._file = self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _load(self) -> None:
        """Open and check the file, find its end and its damage, cut off a torn tail."""
        with suppress(FileNotFoundError):
            _beside(self._path, "new").unlink()
        self._file = _open_file(self._path)
        size = os.fstat(self._file).st_size
        if size > self._max_file_bytes:
            what = f"{self._path}: the file is longer than {self._max_file_bytes} bytes"
            raise MemoryStoreError(what, _REPLACE)
        stretches = lost_bytes = 0
        if self._read_header(size):
            stretches, lost_bytes = 1, _HEADER.size
        for start, _, payload in self._found(size):
            stretches += start > self._end
            lost_bytes += start - self._end
            self._end = start + FRAME_BYTES + len(payload)
        self._torn = size > self._end
        stretches += self._torn
        lost_bytes += size - self._end
        self.damage = Damage(stretches, lost_bytes)
        self._settle()

    def _read_header(self, size: int) -> bool:
        """Tag and start of the records; True if one of the two copies is damaged."""
        raw = os.pread(self._file, HEADER_BYTES, 0)
        if size < HEADER_BYTES and MAGIC.startswith(raw[: len(MAGIC)]):
            return False  # cut short while the first record was written, or nothing there yet
        if not any(raw) and size <= HEADER_BYTES + FRAME_BYTES + self._max_record_bytes:
            return False  # the same on a file system that makes a file long before it fills it
        both = raw.ljust(HEADER_BYTES, b"\0")
        copies = [_tag(self._path, both[: _HEADER.size]), _tag(self._path, both[_HEADER.size :])]
        whole = [tag for tag in copies if tag]
        if not whole:
            is_log = MAGIC in raw
            what = "its header is damaged" if is_log else "the file is no query memory"
            do = _REPLACE if is_log else "check its path, or " + _REPLACE
            raise MemoryStoreError(f"{self._path}: {what}", do)
        self._tag, self._end = whole[0], HEADER_BYTES
        return len(whole) == 1

    def _found(self, end: int) -> Iterator[tuple[int, int, bytes]]:
        """Start, kind and payload of each whole record before `end`."""
        at = HEADER_BYTES
        while self._tag and at < end:
            raw = os.pread(self._file, FRAME_BYTES + self._max_record_bytes, at)
            record = _parsed(self._tag, at, raw)
            if record is None:
                at = self._next_tag(at + 1, end)
                continue
            yield at, *record
            at += FRAME_BYTES + len(record[1])

    def _next_tag(self, at: int, end: int) -> int:
        """Where the tag is next from `at` on, or `end`."""
        while at < end:
            found = os.pread(self._file, _STRIDE_BYTES, at).find(self._tag)
            if found >= 0:
                return at + found
            at += _STRIDE_BYTES - (TAG_BYTES - 1)
        return end

    def _write_all(self, handle: int, tag: bytes, records: Iterable[Record]) -> int:
        """Write a whole file to `handle`; its length, bytes."""
        data, written = bytearray(_header(tag)), 0
        for kind, payload in records:
            self._check(kind, payload)
            data += _framed(tag, written + len(data), kind, payload)
            self._check_length(written + len(data))
            if len(data) >= _STRIDE_BYTES:
                _write(handle, data, written)
                written += len(data)
                data.clear()
        _write(handle, data, written)
        return written + len(data)

    def _settle(self) -> None:
        """Put right what an earlier failure has left."""
        if self._torn:
            os.ftruncate(self._file, self._end)
            os.fsync(self._file)
            self._torn = False
        if self._renamed:
            flush_folder(self._path.parent)
            self._renamed = False

    def _check(self, kind: int, payload: bytes) -> None:
        self._check_open()
        if not 0 <= kind <= 255:
            raise ValueError("a kind is 0 to 255")
        if len(payload) > self._max_record_bytes:
            raise ValueError(f"a record has at most {self._max_record_bytes} bytes")

    def _check_length(self, file_bytes: int) -> None:
        if file_bytes > self._max_file_bytes:
            what = f"{self._path}: the file would be longer than {self._max_file_bytes} bytes"
            raise MemoryStoreError(what, "report this; it should have been compacted before")

    def _check_open(self) -> None:
        if self._file < 0:
            raise ValueError("the log is closed")


class RamLog:
    """The same without a file, for benches and rehearsals: gone when the process ends."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self.size_bytes = 0
        self.damage = Damage()

    def records(self) -> Iterator[Record]:
        """All records in the order in which they were appended."""
        return iter(self._records)

    def append(self, kind: int, payload: bytes) -> None:
        """Add a record."""
        self._records.append((kind, payload))
        self.size_bytes += FRAME_BYTES + len(payload)

    def rewrite(self, records: Iterable[Record], expected_bytes: int) -> None:
        """Replace the whole content; `expected_bytes` does not matter here."""
        self._records = list(records)
        self.size_bytes = sum(FRAME_BYTES + len(payload) for _, payload in self._records)

    def wipe(self) -> None:
        """Remove all records."""
        self.rewrite((), 0)

    def close(self) -> None:
        """Nothing to do: the records go with the object."""


def erase(path: Path) -> None:
    """Delete the log at `path`, also one that cannot be opened: for a reset without a daemon.

    Raises
    ------
    MemoryStoreError
        Another process holds the log, or the disk refuses; the records may still be there.
    """
    with _explained(path):
        if not path.parent.is_dir():
            return
        lock = _locked(path)
        try:
            path.unlink(missing_ok=True)
            _beside(path, "new").unlink(missing_ok=True)
            flush_folder(path.parent)
        finally:
            os.close(lock)


# The bytes


def _header(tag: bytes) -> bytes:
    start = MAGIC + struct.pack("<H", VERSION) + tag
    return 2 * (start + struct.pack("<I", zlib.crc32(start)))


def _tag(path: Path, raw: bytes) -> bytes | None:
    """The tag in one copy of the header; None if it is damaged."""
    magic, version, tag, crc = _HEADER.unpack(raw)
    if magic != MAGIC or crc != zlib.crc32(raw[:-4]):
        return None
    if version > VERSION:
        what = f"{path}: the file has version {version}, this Earmark knows up to {VERSION}"
        raise MemoryStoreError(what, "install the newer Earmark again, or " + _REPLACE)
    return bytes(tag)


def _framed(tag: bytes, at: int, kind: int, payload: bytes) -> bytes:
    """The record that starts `at` bytes into a file."""
    return _FRAME.pack(tag, kind, len(payload), _crc(at, kind, payload)) + payload


def _parsed(tag: bytes, at: int, raw: bytes) -> Record | None:
    """Kind and payload of the record that starts `raw`, `at` bytes into a file; None if damaged."""
    if len(raw) < FRAME_BYTES:
        return None
    found, kind, length, crc = _FRAME.unpack_from(raw)
    payload = raw[FRAME_BYTES : FRAME_BYTES + length]
    if found != tag or len(payload) < length or crc != _crc(at, kind, payload):
        return None
    return kind, payload


def _crc(at: int, kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_PLACE.pack(at, kind, len(payload))))


# The file system


def _open_file(path: Path) -> int:
    """The file, opened or created, and closed to others."""
    # Not blocking: a named pipe in its place must not hold the device.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise MemoryStoreError(f"{path}: the query memory is no file", "set its path to a file")
        if os.geteuid() not in (0, found.st_uid):
            what = f"{path}: the query memory belongs to another user"
            raise MemoryStoreError(what, "run Earmark as that user, or " + _REPLACE)
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            what = f"{path}: others may write the query memory"
            raise MemoryStoreError(what, _REPLACE + "; or trust it and set its mode to 0600")
        os.fchmod(handle, 0o600)
        _give_to_owner(handle, path.parent)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _locked(path: Path) -> int:
    """The lock of the log, until it is closed. The log is replaced, and a lock on it would be."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(_beside(path, "lock"), flags, 0o600)
    try:
        _give_to_owner(handle, path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        what = f"{path}: another process holds the query memory"
        raise MemoryHeldError(what, "stop the daemon first: systemctl stop earmark") from None
    except BaseException:
        os.close(handle)
        raise
    return handle


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


def _write(handle: int, data: bytes | bytearray, at: int) -> None:
    """Write all of `data` at `at` bytes; a short write goes on until the system says why."""
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            written += os.pwrite(handle, view[written:], at + written)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of the system into one clear line."""
    try:
        yield
    except OSError as error:
        unknown = (str(error.strerror or error), "check the disk; queries are not remembered")
        what, do = _FAILURES.get(error.errno or 0, unknown)
        raise MemoryStoreError(f"{path}: {what}", do) from error
