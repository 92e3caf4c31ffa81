"""The ledger of issued nonces: AEOLUS's set of sessions (section 3.2), on disk.

Every nonce is recorded here before it is played. A recording that is replayed later carries
its nonce, and the ledger says in which session, when and where it was made. A nonce that was
played but never recorded could not be recognised, so a ledger that cannot write stops the
session (:class:`~earmark.errors.LedgerError`).

Power cuts
    SQLite with a write-ahead log and ``synchronous=FULL``: :meth:`Ledger.record` returns after
    the entry was flushed to the disk. A log that was torn (its tail is missing or garbage)
    opens as the whole entries before the tear; an entry that was acknowledged can be lost only
    by a disk that lied about having flushed it.

Age
    A Raspberry Pi has no battery-backed clock: it may start in 1970 or at its last shutdown,
    and whoever answers for the network time can set it far ahead. Neither may delete entries,
    or an attacker could make the device forget what it played. So age is counted on the
    ledger's own clock: it follows the wall clock from one use to the next, never backwards and
    never ahead by more than a day (:data:`MAX_STEP_S`) at once. A clock that steps back adds no
    age, one that leaps ahead adds a day, and so does a year in a drawer. The price: days on
    which the device was not used count for little, so an entry may be kept for longer than
    ``keep_days`` of the calendar; the bound by count holds always.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.errors import LedgerError
from earmark.files import flush_folder
from earmark.nonce.bfsk.waveform import Bfsk, Nonce
from earmark.nonce.carrier import Carrier
from earmark.nonce.ledger_settings import LedgerSettings

SCHEMA = 2
"""Version of the tables, in the file's ``user_version``."""

APPLICATION_ID = 0x4541_524D
"""Marks the file as a ledger of Earmark ("EARM"), in SQLite's ``application_id``."""

DAY_S = 86_400.0
"""One day, s."""

MAX_STEP_S = DAY_S
"""Most that the ledger's clock advances between two uses, s: the longest pause that is usual
in a home in use. A clock set a century ahead then costs one day of 90, not all of them."""

EXPORT_VERSION = 1
"""Version of the export format, in its first line."""

MAX_LINE_BYTES = 8_192
"""Longest line of an export, bytes: the longest valid entry has under 5,500."""

MAX_IMPORT_ROWS = 10_000
"""Most entries in one import: as many as ``keep_imported`` can ever keep."""

MAX_CODED = 200_000
"""Most entries of a bank that are read at once: as many as ``keep_count`` can ever keep."""

MAX_WAVEFORM_CHARS = 2_048
"""Longest description of a waveform, characters; today's have about 300."""

MAX_SLOTS = 100_000
"""Most slots of a session: far beyond 60 s at any bit rate, and a bound against nonsense."""

_SESSION = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,64}")
"""Device and place end up in journals and tables: no control characters, 64 at most."""

_TABLES = """
CREATE TABLE issue (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    place TEXT NOT NULL,
    issued_at REAL NOT NULL,    -- wall clock, s since the epoch, as the device had it
    payload BLOB NOT NULL,
    hop_key BLOB NOT NULL,
    waveform TEXT NOT NULL,
    slots INTEGER,              -- slots played; NULL until the session ended
    own INTEGER NOT NULL,       -- 1 issued here, 0 imported
    clock_s REAL NOT NULL       -- the ledger's clock at arrival, s
) STRICT;
CREATE INDEX issue_by_age ON issue (own, clock_s, id);
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    clock_s REAL NOT NULL,      -- the ledger's clock, s
    wall_s REAL                 -- wall clock of the last use; NULL before the first
) STRICT;
INSERT INTO clock VALUES (1, 0.0, NULL);
"""

_BANKS = """
ALTER TABLE issue ADD COLUMN bank TEXT;  -- secret and epoch of codes; NULL for tones

CREATE INDEX issue_by_bank ON issue (bank, clock_s, id)
"""
"""What version 2 has more: nonces in codes are asked for by their bank, tones by having none."""

_COLUMNS = "session, device, place, issued_at, payload, hop_key, waveform, slots"

_REPLACE = (
    "move the file away and start again; recordings of the sessions in it are then no longer "
    "recognised"
)

_FAILURES: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space; no session starts until then"),
    sqlite3.SQLITE_IOERR: (
        "reading or writing failed",
        "check the disk's free space and health; no session starts until then",
    ),
    sqlite3.SQLITE_CORRUPT: ("the file is corrupted", _REPLACE),
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database", "check ledger.path, or " + _REPLACE),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be opened",
        "make it readable and writable for this user",
    ),
    sqlite3.SQLITE_READONLY: (
        "the file cannot be written",
        "make it and its folder writable for this user",
    ),
    sqlite3.SQLITE_PERM: ("access is denied", "make it readable and writable for this user"),
    sqlite3.SQLITE_BUSY: (
        "another process holds the file",
        "stop the other one; only one Earmark may run on a ledger",
    ),
}
"""What a primary result code of SQLite means to a person, and the remedy."""


@dataclass(frozen=True)
class Issue:
    """One issued nonce: all it takes to rebuild its signal, and when and where it was played.

    Parameters
    ----------
    session : the session, a UUID4 as 32 hexadecimal digits.
    device, place : where; 1 to 64 characters each.
    issued_at : when, wall clock, s since the epoch (UTC).
    payload : the nonce, 4 to 64 bytes (AEOLUS: 32 bits at least). Never printed.
    hop_key : what the hops were drawn with, 0 to 64 bytes. Never printed.
    waveform : the waveform's parameters, a JSON object of at most 2,048 ASCII characters.
    slots : how many slots were played; None until the session ended.

    Raises
    ------
    ValueError
        A field is outside these bounds. The message does not contain its value.
    """

    session: str
    device: str
    place: str
    issued_at: float
    payload: bytes = field(repr=False)
    hop_key: bytes = field(repr=False)
    waveform: str
    slots: int | None = None

    @classmethod
    def of(
        cls,
        carrier: Carrier,
        *,
        session: str,
        device: str,
        place: str,
        issued_at: float,
        slots: int | None = None,
    ) -> Self:
        """The issue of a nonce that was drawn; parameters and errors as of the class."""
        return cls(
            session=session,
            device=device,
            place=place,
            issued_at=issued_at,
            payload=carrier.payload,
            hop_key=carrier.hop_key,
            waveform=carrier.waveform,
            slots=slots,
        )

    def __post_init__(self) -> None:
        if not _SESSION.fullmatch(self.session):
            raise ValueError("session must be 32 hexadecimal digits")
        for name in ("device", "place"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} must be 1 to 64 characters without control characters")
        if not (math.isfinite(self.issued_at) and self.issued_at >= 0.0):
            raise ValueError("issued_at must be seconds since 1970")
        if not 4 <= len(self.payload) <= 64:
            raise ValueError("payload must be 4 to 64 bytes")
        if len(self.hop_key) > 64:
            raise ValueError("hop_key must be at most 64 bytes")
        if len(self.waveform) > MAX_WAVEFORM_CHARS or not _is_json_object(self.waveform):
            limit = f"at most {MAX_WAVEFORM_CHARS} ASCII characters"
            raise ValueError(f"waveform must be a JSON object of {limit}")
        if self.slots is not None and not 0 <= self.slots <= MAX_SLOTS:
            raise ValueError(f"slots must be 0 to {MAX_SLOTS}")

    @property
    def bank(self) -> str | None:
        """Secret and epoch of its codes, as they are asked for; None for tones."""
        shape = json.loads(self.waveform)
        if shape.get("kind", "bfsk") != "spread":
            return None
        return f"{shape.get('secret')}:{shape.get('epoch')}"

    def check(self) -> None:
        """ValueError when this version could not recognise the nonce."""
        kind = json.loads(self.waveform).get("kind", "bfsk")
        if kind == "spread":
            Coded.model_validate_json(self.waveform)
        else:
            self.rebuilt()

    def rebuilt(self) -> tuple[Nonce, Bfsk]:
        """A nonce in tones and its waveform. ValueError when they cannot be rebuilt."""
        nonce = Nonce(self.payload, 8 * len(self.payload), self.hop_key)
        return nonce, Bfsk.from_json(self.waveform)


def _is_json_object(text: str) -> bool:
    try:
        return text.isascii() and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


class Coded(BaseModel):
    """The waveform of a nonce in codes, as the ledger keeps it."""

    model_config = ConfigDict(strict=True, extra="forbid")
    kind: Literal["spread"] = "spread"
    secret: str = Field(pattern=r"^[0-9a-f]{8}$")
    epoch: int = Field(ge=0)
    low_hz: float = Field(gt=0.0, le=8000.0)
    high_hz: float = Field(gt=0.0, le=8000.0)


class _Header(BaseModel):
    """First line of an export."""

    model_config = ConfigDict(strict=True, extra="forbid")
    earmark_ledger: int


class _Row(BaseModel):
    """Every further line: an :class:`Issue` with its age."""

    model_config = ConfigDict(strict=True, extra="forbid")
    session: str
    device: str
    place: str
    issued_at: float
    age_s: float = Field(ge=0.0, le=3650.0 * DAY_S, allow_inf_nan=False)
    payload: str = Field(pattern=r"^([0-9a-f]{2})*$")
    hop_key: str = Field(pattern=r"^([0-9a-f]{2})*$")
    waveform: str
    slots: int | None

    def issue(self) -> Issue:
        """The entry itself, checked."""
        return Issue(
            session=self.session,
            device=self.device,
            place=self.place,
            issued_at=self.issued_at,
            payload=bytes.fromhex(self.payload),
            hop_key=bytes.fromhex(self.hop_key),
            waveform=self.waveform,
            slots=self.slots,
        )


class Ledger:
    """The ledger in one SQLite file; :meth:`open` it. Safe to use from several threads.

    Every method raises :class:`~earmark.errors.LedgerError` when the file cannot be read or
    written; what it was about to change is then unchanged.
    """

    def __init__(self, path: Path, settings: LedgerSettings, connection: sqlite3.Connection):
        self._path = path
        self._settings = settings
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, settings: LedgerSettings) -> Ledger:
        """Open the ledger, or create it (mode 0600, a missing folder with 0700).

        Raises
        ------
        LedgerError
            The folder cannot be created; the file cannot be opened, is no ledger, is corrupted,
            or was written by a newer Earmark; the disk is full.
        """
        _prepare(path)
        with _explained(path):
            connection = sqlite3.connect(
                path,
                timeout=settings.busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with _explained(path):
                _configure(path, connection)
        except BaseException:
            connection.close()
            raise
        return cls(path, settings, connection)

    @staticmethod
    def examined(path: Path) -> int:
        """Check that a ledger is whole, beside a daemon that uses it; how many entries it has.

        Raises
        ------
        LedgerError
            As of :meth:`open`. The file is only read.
        """
        with _explained(path):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            with closing(connection):
                (application,) = connection.execute("PRAGMA application_id").fetchone()
                if application != APPLICATION_ID:
                    what = f"{path}: the database is no ledger of Earmark"
                    raise LedgerError(what, "check ledger.path")
                (report,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
                if report != "ok":
                    raise LedgerError(f"{path}: {_FAILURES[sqlite3.SQLITE_CORRUPT][0]}", _REPLACE)
                (count,) = connection.execute("SELECT count(*) FROM issue").fetchone()
                return int(count)

    def record(self, issue: Issue) -> None:
        """Add `issue`, on the disk before this returns; older entries give way to the bounds.

        Its ``issued_at`` is taken as the present time.

        Raises
        ------
        LedgerError
            Not recorded: the nonce must not be played.
        """
        with self._transaction() as database:
            clock_s = _advance(database, issue.issued_at)
            # A session of our own stands, whatever was imported under its number before.
            database.execute("DELETE FROM issue WHERE session = ? AND own = 0", (issue.session,))
            _insert(database, issue, own=True, clock_s=clock_s)
            self._prune(database, clock_s)

    def finish(self, session: str, slots: int) -> None:
        """Note that `slots` slots of the session's nonce were played, on the disk at return.

        Raises
        ------
        LedgerError
            Not noted, or the ledger has no such session of this device.
        ValueError
            `slots` is out of range.
        """
        if not 0 <= slots <= MAX_SLOTS:
            raise ValueError(f"slots must be 0 to {MAX_SLOTS}")
        with self._transaction() as database:
            statement = "UPDATE issue SET slots = ? WHERE session = ? AND own = 1"
            if database.execute(statement, (slots, session)).rowcount != 1:
                raise LedgerError(
                    f"{self._path}: session {session} is not in the ledger",
                    "report this; the ledger may have been replaced while Earmark ran",
                )

    def recent(self, limit: int) -> list[Issue]:
        """The youngest `limit` entries, own and imported, youngest first by the ledger's clock."""
        return self._of("true", (), limit)

    def tones(self, limit: int) -> list[Issue]:
        """The youngest `limit` entries that are in tones, youngest first."""
        return self._of("bank IS NULL", (), limit)

    def coded(self, secret_id: str, epoch: int, limit: int = MAX_CODED) -> list[Issue]:
        """The youngest `limit` entries in the codes of one bank, youngest first."""
        return self._of("bank = ?", (f"{secret_id}:{epoch}",), limit)

    def _of(self, where: str, values: tuple[object, ...], limit: int) -> list[Issue]:
        statement = (
            f"SELECT {_COLUMNS} FROM issue WHERE {where} ORDER BY clock_s DESC, id DESC LIMIT ?"
        )
        with self._lock, _explained(self._path):
            rows = self._connection.execute(statement, (*values, max(0, limit))).fetchall()
        try:
            return [Issue(*row) for row in rows]
        except ValueError as error:
            raise LedgerError(f"{self._path}: an entry is damaged ({error})", _REPLACE) from None

    def count(self) -> int:
        """How many entries there are, own and imported."""
        with self._lock, _explained(self._path):
            (count,) = self._connection.execute("SELECT count(*) FROM issue").fetchone()
        return int(count)

    def prune(self, now: float) -> int:
        """Delete what is beyond the bounds at wall-clock time `now` (s since the epoch).

        Returns
        -------
        How many entries were deleted.
        """
        with self._transaction() as database:
            return self._prune(database, _advance(database, now))

    def export(self, file: IO[bytes]) -> int:
        """Write this device's own entries to `file` as JSON lines, youngest first.

        For the other devices of the household: a recording made at one and replayed at another
        is then recognised and named. The youngest 10,000 at most, as many as one import takes.
        The file holds the nonces and keys: treat it as a secret.

        Returns
        -------
        How many entries were written.
        """
        statement = (
            f"SELECT {_COLUMNS}, (SELECT clock_s FROM clock) - clock_s FROM issue WHERE own = 1 "
            "ORDER BY clock_s DESC, id DESC LIMIT ?"
        )
        with self._lock, _explained(self._path):
            rows = self._connection.execute(statement, (MAX_IMPORT_ROWS,)).fetchall()
        names = [*_COLUMNS.split(", "), "age_s"]
        file.write(_line({"earmark_ledger": EXPORT_VERSION}))
        for row in rows:
            file.write(_line(dict(zip(names, row, strict=True))))
        return len(rows)

    def import_(self, file: IO[bytes]) -> int:
        """Add the entries of another device's export; all of them or, on any fault, none.

        An entry of this device is never changed. One that was imported before only gets its
        number of slots, once that is known. Beyond ``keep_imported`` the oldest give way.

        Returns
        -------
        How many entries were new.

        Raises
        ------
        LedgerError
            The file is no export, has another version, a line that is too long or malformed, or
            more than 10,000 entries; the message names the line.
        """
        name = str(getattr(file, "name", "import"))
        rows = list(_parsed(file, name))  # first, as a slow file must not hold the ledger
        with self._transaction() as database:
            (clock_s,) = database.execute("SELECT clock_s FROM clock").fetchone()
            added = 0
            for issue, age_s in rows:
                known = database.execute(
                    f"SELECT {_COLUMNS}, own FROM issue WHERE session = ?", (issue.session,)
                ).fetchone()
                if known is None:
                    _insert(database, issue, own=False, clock_s=clock_s - age_s)
                    added += 1
                elif not known[-1] and known[:-2] == _values(issue)[:-1] and known[-2] is None:
                    database.execute(
                        "UPDATE issue SET slots = ? WHERE session = ?",
                        (issue.slots, issue.session),
                    )
            self._prune(database, clock_s)
        return added

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write, whole or not at all."""
        with self._lock, _explained(self._path), _whole(self._connection):
            yield self._connection

    def _prune(self, database: sqlite3.Connection, clock_s: float) -> int:
        oldest_s = clock_s - self._settings.keep_days * DAY_S
        deleted = database.execute("DELETE FROM issue WHERE clock_s < ?", (oldest_s,)).rowcount
        kept = ((1, self._settings.keep_count), (0, self._settings.keep_imported))
        for own, most in kept:
            deleted += database.execute(
                "DELETE FROM issue WHERE id IN (SELECT id FROM issue WHERE own = ? "
                "ORDER BY clock_s DESC, id DESC LIMIT -1 OFFSET ?)",
                (own, most),
            ).rowcount
        return deleted


def _values(issue: Issue) -> tuple[object, ...]:
    """The fields of `issue` in the order of ``_COLUMNS``."""
    return tuple(getattr(issue, name) for name in _COLUMNS.split(", "))


def _insert(database: sqlite3.Connection, issue: Issue, *, own: bool, clock_s: float) -> None:
    statement = f"INSERT INTO issue ({_COLUMNS}, own, clock_s, bank) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
    database.execute(statement, (*_values(issue), int(own), clock_s, issue.bank))


def _advance(database: sqlite3.Connection, now: float) -> float:
    """Let the ledger's clock follow the wall clock `now`; the ledger's clock, s."""
    clock_s, wall_s = database.execute("SELECT clock_s, wall_s FROM clock").fetchone()
    if wall_s is not None:
        clock_s += min(max(now - wall_s, 0.0), MAX_STEP_S)
    database.execute("UPDATE clock SET clock_s = ?, wall_s = ?", (clock_s, now))
    return float(clock_s)


@contextmanager
def _whole(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction: committed at the end, rolled back on any exception."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:  # SQLite has already rolled back after some disk errors
            database.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into one clear line."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise LedgerError(
            f"{path}: the session is in the ledger already", "draw a new one"
        ) from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code, without its detail
        what, do = _FAILURES.get(code, (str(error), "check ledger.path, or " + _REPLACE))
        raise LedgerError(f"{path}: {what}", do) from error


def _prepare(path: Path) -> None:
    """Create the folder (0700) and the file (0600) where missing, and tighten the file."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True)
            flush_folder(path.parent.parent)
    except OSError as error:
        what = f"{path.parent}: the ledger's folder cannot be created ({error.strerror})"
        raise LedgerError(what, "create it, owned by this user, or change ledger.path") from error
    try:
        try:
            # SQLite gives its log and index the mode of the file, so it must be right at once.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            flush_folder(path.parent)
        except FileExistsError:
            if path.is_dir():
                what = f"{path}: the ledger is a folder"
                raise LedgerError(what, "set ledger.path to a file") from None
            path.chmod(0o600)
    except OSError as error:
        what = f"{path}: the ledger cannot be opened ({error.strerror})"
        raise LedgerError(what, "make it and its folder writable for this user") from error


def _configure(path: Path, database: sqlite3.Connection) -> None:
    """Check that the file is a ledger and whole, create its tables, make writes durable."""
    database.execute("PRAGMA trusted_schema = OFF")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise LedgerError(f"{path}: the database is no ledger of Earmark", "check ledger.path")
    if version > SCHEMA:
        raise LedgerError(
            f"{path}: the ledger has version {version}, this Earmark knows up to {SCHEMA}",
            "install the newer Earmark again, or " + _REPLACE,
        )
    (mode,) = database.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        what = f"{path}: this file system cannot hold a write-ahead log"
        raise LedgerError(what, "set ledger.path to a local disk")
    database.execute("PRAGMA synchronous = FULL")
    (report,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if report != "ok":
        raise LedgerError(f"{path}: {_FAILURES[sqlite3.SQLITE_CORRUPT][0]}", _REPLACE)
    if not tables:
        with _whole(database):
            for statement in _TABLES.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    if version < SCHEMA:
        with _whole(database):
            for statement in _BANKS.split("\n\n"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {SCHEMA}")


def _line(values: dict[str, Any]) -> bytes:
    """One line of an export."""
    coded = {k: v.hex() if isinstance(v, bytes) else v for k, v in values.items()}
    return json.dumps(coded, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _parsed(file: IO[bytes], name: str) -> Iterator[tuple[Issue, float]]:
    """The entries of an export with their ages, checked; reads no more than the bounds allow."""
    do = "export again with the same version of Earmark"
    for number in range(1, MAX_IMPORT_ROWS + 3):
        line = file.readline(MAX_LINE_BYTES + 1)
        where = f"{name}: line {number}"
        if not line:
            if number == 1:
                raise LedgerError(f"{name}: the file is empty", do)
            return
        if len(line) > MAX_LINE_BYTES:
            raise LedgerError(f"{where} is longer than {MAX_LINE_BYTES} bytes", do)
        if number > MAX_IMPORT_ROWS + 1:
            break
        try:
            if number > 1:
                row = _Row.model_validate_json(line)
                issue = row.issue()
                # What cannot be looked for would stop every session later on.
                issue.check()
                yield issue, row.age_s
            elif _Header.model_validate_json(line).earmark_ledger != EXPORT_VERSION:
                raise LedgerError(f"{where}: the export's version is not {EXPORT_VERSION}", do)
        except ValidationError as error:
            # Only the place and the rule: the value may be a nonce.
            fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise LedgerError(
                f"{where}: {place + ': ' if place else ''}{fault['msg']}", do
            ) from None
        except ValueError as error:
            raise LedgerError(f"{where}: {error}", do) from None
    raise LedgerError(f"{name}: more than {MAX_IMPORT_ROWS} entries", "import it in parts")
