"""Commands handed to a folder: a WAV file each, and one line in ``commands.jsonl``.

The line is the commit: a command has been forwarded when its line is there, and its WAV file
is whole and on the disk by then. A crash leaves at most a WAV file without a line, which no
reader knows of and which is the first to be removed. The order of the lines, not the clock,
says which command is the oldest: a Pi without a battery clock starts in the past.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from earmark.errors import ForwardError
from earmark.forward.command import Command

INDEX = "commands.jsonl"
"""The file of JSON lines. A line's ``file`` names the WAV file beside it."""

_PART = ".part"
_OURS = re.compile(r"\d{8}T\d{6}Z_[A-Za-z0-9_-]{1,64}\.wav")
"""Names of the files written here; nothing else in the folder is ever touched."""

_MAX_LINE = 64 * 1024
"""Longest line read back, bytes; ours have about 1 kB."""


class FolderForwarder:
    """Keeps the latest allowed commands in a folder that only its owner may open.

    Parameters
    ----------
    folder : made with mode 0700 when it is missing. An existing one must belong to this user
        and be closed to all others: it is never closed silently, others may count on it.
    keep_count : how many commands are kept. The index may hold up to twice as many lines
        before it is shortened (by replacement, so follow it by name as ``tail -F`` does).

    Raises
    ------
    ForwardError
        The folder cannot be used as it is, or another process uses it.
    """

    def __init__(self, folder: Path, keep_count: int) -> None:
        self._folder = folder
        self._keep_count = keep_count
        self._index = folder / INDEX
        self._lock = -1  # the open folder: locked, and synced after a renaming
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self._refuse_open_folder()
            self._take_lock()
            self._entries = self._recover()
        except OSError as error:
            self.close()
            raise self._failed("use", error) from error
        except BaseException:
            self.close()
            raise

    def send(self, command: Command) -> None:
        """Store `command`; see :meth:`Forwarder.send`. One session is stored only once."""
        if any(entry.session == command.session for entry in self._entries):
            raise ForwardError(
                f"session {command.session} is already in {self._index}",
                "report this: a session must be forwarded once",
            )
        stamp = command.woken.strftime("%Y%m%dT%H%M%SZ")
        path = self._folder / f"{stamp}_{command.session}.wav"
        line = command.json_line(file=path.name)
        try:
            self._write_whole(path, command.wav())
            self._append(line)
        except (OSError, ForwardError) as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise self._failed("store a command in", error) from error
            raise
        self._entries.append(_Entry(command.session, path.name, line))
        # The command has arrived: failing to tidy up must not call that in question.
        with contextlib.suppress(OSError):
            self._remove_oldest()

    def close(self) -> None:
        """Release the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _refuse_open_folder(self) -> None:
        status = os.fstat(self._lock)
        if status.st_uid != os.geteuid():
            raise ForwardError(
                f"{self._folder} belongs to another user", "name another folder in forward.folder"
            )
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ForwardError(
                f"{self._folder} is open to other users (mode"
                f" {stat.S_IMODE(status.st_mode):04o}) and would show them what was said",
                f"run `chmod 700 {self._folder}` or name another folder in forward.folder",
            )

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ForwardError(
                f"{self._folder} is in use by another process",
                "stop that one or name another folder in forward.folder",
            ) from error

    def _recover(self) -> deque[_Entry]:
        """Clear away what a crash left behind and read the end of the index."""
        for part in self._folder.glob(f"*{_PART}"):
            if _OURS.fullmatch(part.name.removesuffix(_PART)):
                part.unlink()
        entries: deque[_Entry] = deque(maxlen=2 * self._keep_count + 1)
        if not self._index.exists():
            return entries
        whole = 0
        with self._index.open("rb") as file:
            while line := file.readline(_MAX_LINE):
                if not line.endswith(b"\n") and len(line) < _MAX_LINE:
                    break  # torn by a power cut: never shown to a reader, never acknowledged
                entry = _Entry.read(line)
                if entry is None:
                    raise self._garbled()
                whole += len(line)
                entries.append(entry)
        os.truncate(self._index, whole)
        return entries

    def _garbled(self) -> ForwardError:
        return ForwardError(f"{self._index} is not as Earmark wrote it", "move it away and restart")

    def _write_whole(self, path: Path, data: bytes) -> None:
        part = path.with_name(path.name + _PART)
        try:
            _write_new(part, data)
            part.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        os.fsync(self._lock)  # the folder: without it a power cut may undo the renaming

    def _append(self, line: bytes) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        index = os.open(self._index, flags, 0o600)
        try:
            before = os.fstat(index).st_size
            if before and os.pread(index, 1, before - 1) != b"\n":
                raise self._garbled()
            try:
                _write_all(index, line)
                os.fsync(index)
            except OSError:
                os.ftruncate(index, before)
                raise
        finally:
            os.close(index)
        os.fsync(self._lock)  # the index itself may be new

    def _remove_oldest(self) -> None:
        entries = list(self._entries)
        latest = entries[-self._keep_count :]
        kept = {entry.file for entry in latest}
        for path in self._folder.glob("*.wav"):
            if _OURS.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)
        if len(entries) > 2 * self._keep_count:
            self._write_whole(self._index, b"".join(entry.line for entry in latest))
            self._entries = deque(latest, maxlen=self._entries.maxlen)

    def _failed(self, doing: str, error: OSError) -> ForwardError:
        return ForwardError(
            f"cannot {doing} {self._folder}: {error.strerror or type(error).__name__}",
            "free some space, check its owner and mode, or name another folder in forward.folder",
        )


@dataclass(frozen=True)
class _Entry:
    """One line of the index."""

    session: str
    file: str
    line: bytes

    @classmethod
    def read(cls, line: bytes) -> _Entry | None:
        """Return what `line` says, None when it is none of ours."""
        try:
            value = json.loads(line)
            session, file = value["session"], value["file"]
        except (ValueError, KeyError, TypeError):
            return None
        if not isinstance(session, str) or not isinstance(file, str) or not _OURS.fullmatch(file):
            return None
        return cls(session, file, line)


def _write_new(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    """Write all of `data`: a disk that fills up first takes a part of it without an error."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
