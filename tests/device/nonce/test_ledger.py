"""The ledger of issued nonces: durable, bounded, and closed when it cannot write."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from earmark.errors import LedgerError
from earmark.nonce import ledger as ledger_module
from earmark.nonce.bfsk import Bfsk
from earmark.nonce.ledger import (
    APPLICATION_ID,
    DAY_S,
    MAX_IMPORT_ROWS,
    MAX_LINE_BYTES,
    SCHEMA,
    Issue,
    Ledger,
)
from earmark.nonce.ledger_settings import LedgerSettings
from earmark.nonce.settings import NonceSettings

NOW = 1_800_000_000.0
"""A wall-clock time in 2027, s since the epoch."""

SETTINGS = LedgerSettings()
HEADER = b'{"earmark_ledger":1}\n'
WAVEFORM = Bfsk.from_settings(NonceSettings()).to_json()


def codes(secret: str = "0a1b2c3d", epoch: int = 113, **changes: object) -> str:
    """The waveform of a nonce in codes."""
    values = {
        "kind": "spread",
        "secret": secret,
        "epoch": epoch,
        "low_hz": 500.0,
        "high_hz": 7000.0,
    }
    return json.dumps(values | changes)


def issued(at: float = NOW, **changes: object) -> Issue:
    values: dict[str, object] = {
        "session": uuid.uuid4().hex,
        "device": "kitchen",
        "place": "kitchen shelf",
        "issued_at": at,
        "payload": b"\xde\xad\xbe\xef",
        "hop_key": b"\x13\x37" * 8,
        "waveform": WAVEFORM,
        "slots": None,
    }
    return Issue(**(values | changes))  # type: ignore[arg-type]


def row(**changes: object) -> bytes:
    """One line of an export."""
    values: dict[str, object] = {
        "session": uuid.uuid4().hex,
        "device": "bedroom",
        "place": "bedside table",
        "issued_at": NOW,
        "age_s": 0.0,
        "payload": "cafebabe",
        "hop_key": "00" * 16,
        "waveform": WAVEFORM,
        "slots": 3,
    }
    return json.dumps(values | changes).encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, SETTINGS) as opened:
        yield opened


def sessions(ledger: Ledger) -> list[str]:
    return [issue.session for issue in ledger.recent(100_000)]


def record_all(ledger: Ledger, issues: list[Issue]) -> None:
    for issue in issues:
        ledger.record(issue)


def integrity(path: Path) -> str:
    with sqlite3.connect(path) as database:
        return str(database.execute("PRAGMA integrity_check").fetchone()[0])


# What it is for


def test_what_was_recorded_is_read_back(path: Path) -> None:
    issues = [issued(NOW + i, place="Küche, Regal") for i in range(3)]
    with Ledger.open(path, SETTINGS) as ledger:
        for issue in issues:
            ledger.record(issue)
    with Ledger.open(path, SETTINGS) as ledger:
        assert ledger.recent(10) == issues[::-1]
        assert ledger.recent(1) == issues[-1:]
        assert ledger.count() == 3


def test_finished_session_has_its_slots(ledger: Ledger) -> None:
    issue = issued()
    ledger.record(issue)
    ledger.finish(issue.session, 41)
    assert [entry.slots for entry in ledger.recent(1)] == [41]


def test_tones_and_the_codes_of_each_bank_are_kept_apart(ledger: Ledger) -> None:
    kinds = [WAVEFORM, codes(), codes(epoch=114), codes(secret="ffffffff"), codes()]
    issues = [issued(NOW + i, waveform=kind) for i, kind in enumerate(kinds * 2)]
    record_all(ledger, issues)
    assert ledger.tones(10) == [issues[5], issues[0]]
    assert ledger.tones(1) == [issues[5]]
    assert ledger.tones(0) == []
    assert ledger.coded("0a1b2c3d", 113) == [issues[i] for i in (9, 6, 4, 1)]
    assert ledger.coded("0a1b2c3d", 113, limit=2) == [issues[9], issues[6]]
    assert ledger.coded("0a1b2c3d", 114) == [issues[7], issues[2]]
    assert ledger.coded("ffffffff", 113) == [issues[8], issues[3]]
    assert ledger.coded("ffffffff", 114) == []
    assert ledger.recent(100) == issues[::-1]


def test_an_entry_knows_its_bank() -> None:
    assert issued().bank is None
    assert issued(waveform="{}").bank is None  # of the first version
    assert issued(waveform=codes()).bank == "0a1b2c3d:113"


@pytest.mark.parametrize("hop_key", [b"", b"\x13" * 16])
def test_an_entry_in_codes_can_be_recognised_by_its_bank_alone(hop_key: bytes) -> None:
    issued(waveform=codes(), hop_key=hop_key).check()


def test_one_bank_is_read_by_its_index(ledger: Ledger) -> None:
    """20,000 entries of other banks must not be read for the one."""
    for where in ("bank = 'a:1'", "bank IS NULL"):
        plan = ledger._connection.execute(
            f"EXPLAIN QUERY PLAN SELECT * FROM issue WHERE {where} "
            "ORDER BY clock_s DESC, id DESC LIMIT 5"
        ).fetchall()
        assert [row[3] for row in plan] == ["SEARCH issue USING INDEX issue_by_bank (bank=?)"]


def test_file_and_folder_are_closed_to_others(path: Path) -> None:
    before = os.umask(0)
    try:
        with Ledger.open(path, SETTINGS) as ledger:
            ledger.record(issued())
            files = list(path.parent.iterdir())
            assert {file.name for file in files} > {"ledger.sqlite", "ledger.sqlite-wal"}
            modes = {stat.S_IMODE(file.stat().st_mode) for file in files}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_open_file_is_closed_to_others_again(path: Path) -> None:
    Ledger.open(path, SETTINGS).close()
    path.chmod(0o644)
    Ledger.open(path, SETTINGS).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_threads_may_share_it(ledger: Ledger) -> None:
    def record() -> None:
        for _ in range(10):
            ledger.record(issued())
            ledger.recent(5)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.count() == 40


def test_no_secret_is_printed(ledger: Ledger) -> None:
    issue = issued()
    for text in (repr(issue), str(issue), repr([issue]), f"{issue}"):
        assert "payload" not in text
        assert "hop_key" not in text
        assert not {repr(issue.payload), issue.payload.hex(), issue.hop_key.hex()} & {text}
        assert repr(issue.payload)[2:-1] not in text
    assert issue.session in repr(issue)


# Bounds and clocks


def test_count_is_bounded(path: Path) -> None:
    issues = [issued(NOW + i) for i in range(25)]
    with Ledger.open(path, LedgerSettings(keep_count=10)) as ledger:
        for issue in issues:
            ledger.record(issue)
        assert ledger.recent(100) == issues[:14:-1]


def test_age_is_bounded(path: Path) -> None:
    with Ledger.open(path, LedgerSettings(keep_days=10)) as ledger:
        for day in range(20):
            ledger.record(issued(NOW + day * DAY_S))
        ages = [NOW + 19 * DAY_S - issue.issued_at for issue in ledger.recent(100)]
        assert ages == [day * DAY_S for day in range(11)]
        for day in range(20, 30):
            ledger.prune(NOW + day * DAY_S)
        assert ledger.count() == 1
        assert ledger.prune(NOW + 31 * DAY_S) == 1


@pytest.mark.parametrize("there", [0.0, 1.0, NOW - 3 * 365 * DAY_S])
def test_clock_that_steps_back_and_forth_deletes_nothing(path: Path, there: float) -> None:
    """A Pi without a clock starts in the past and is set right by the network, every day."""
    settings = LedgerSettings(keep_days=30)
    with Ledger.open(path, settings) as ledger:
        for day in range(10):
            ledger.record(issued(there + day))
            ledger.record(issued(NOW + day * DAY_S))
            assert ledger.prune(there) == 0
            assert ledger.prune(NOW + day * DAY_S) == 0
        assert ledger.count() == 20


def test_clock_that_leaps_ahead_deletes_nothing(path: Path) -> None:
    with Ledger.open(path, LedgerSettings(keep_days=10)) as ledger:
        ledger.record(issued(NOW))
        assert ledger.prune(NOW + 75 * 365 * DAY_S) == 0
        ledger.record(issued(NOW + 60.0))
        assert ledger.count() == 2


def test_order_is_that_of_arrival_whatever_the_clock_says(ledger: Ledger) -> None:
    issues = [issued(at) for at in (NOW, 5.0, NOW + 1.0, 3.0)]
    for issue in issues:
        ledger.record(issue)
    assert ledger.recent(10) == issues[::-1]


# Files of the first version

VERSION_1 = """
CREATE TABLE issue (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    place TEXT NOT NULL,
    issued_at REAL NOT NULL,
    payload BLOB NOT NULL,
    hop_key BLOB NOT NULL,
    waveform TEXT NOT NULL,
    slots INTEGER,
    own INTEGER NOT NULL,
    clock_s REAL NOT NULL
) STRICT;
CREATE INDEX issue_by_age ON issue (own, clock_s, id);
CREATE TABLE clock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    clock_s REAL NOT NULL,
    wall_s REAL
) STRICT;
INSERT INTO clock VALUES (1, 7200.0, 1799992800.0);
PRAGMA journal_mode = WAL;
"""
"""As the first version made it: no banks, all entries in tones."""

OLD_WAVEFORM = json.dumps(
    {"bit_rate_hz": 20.0, "low_hz": 4000.0, "high_hz": 6000.0, "channels": 16, "ramp_s": 0.005}
)
"""It said no kind."""


@pytest.fixture
def version_1(path: Path) -> list[Issue]:
    """A file with entries of its own and imported ones; youngest first."""
    issues = [issued(NOW - 7200.0 * i, slots=i or None, waveform=OLD_WAVEFORM) for i in range(5)]
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.executescript(VERSION_1)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")
        for i, issue in enumerate(issues):
            values = (issue.session, issue.device, issue.place, issue.issued_at, issue.payload)
            database.execute(
                "INSERT INTO issue (session, device, place, issued_at, payload, hop_key, waveform,"
                " slots, own, clock_s) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (*values, issue.hop_key, issue.waveform, issue.slots, i % 2, 7200.0 - i),
            )
    database.close()
    return issues


def version(path: Path) -> int:
    with sqlite3.connect(path) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def test_a_file_of_the_first_version_is_brought_up_to_date(
    path: Path, version_1: list[Issue]
) -> None:
    assert version(path) == 1
    for _ in range(2):  # and once only
        with Ledger.open(path, SETTINGS) as ledger:
            assert ledger.recent(10) == version_1
            assert ledger.tones(10) == version_1
            assert ledger.coded("0a1b2c3d", 113) == []
            for issue in ledger.tones(10):
                issue.check()
        assert version(path) == SCHEMA == 2
    assert integrity(path) == "ok"


def test_after_that_it_takes_both_kinds_and_keeps_its_clock_and_bounds(
    path: Path, version_1: list[Issue]
) -> None:
    with Ledger.open(path, LedgerSettings(keep_count=10, keep_imported=3)) as ledger:
        tones, coded = issued(NOW), issued(NOW + 1.0, waveform=codes())
        record_all(ledger, [tones, coded])
        assert ledger.coded("0a1b2c3d", 113) == [coded]
        assert ledger.tones(10) == [tones, *version_1]
        assert exported(ledger).read().count(b"\n") == 1 + 2 + 2  # the header and our own
        assert ledger._connection.execute("SELECT clock_s FROM clock").fetchone() == (14401.0,)
        assert ledger.prune(NOW + 2.0) == 0


def test_a_file_whose_making_was_cut_short_is_completed(path: Path, version_1: list[Issue]) -> None:
    """The tables come in one transaction, the banks and the version in the next."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 0")
    with Ledger.open(path, SETTINGS) as ledger:
        assert ledger.tones(10) == version_1
    assert version(path) == SCHEMA


def test_an_update_that_fails_leaves_the_file_as_it_was(path: Path, version_1: list[Issue]) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="another process holds the file"):
        Ledger.open(path, LedgerSettings(busy_timeout_s=0.0))
    other.execute("ROLLBACK")
    other.close()
    assert version(path) == 1
    with Ledger.open(path, SETTINGS) as ledger:
        assert ledger.recent(10) == version_1


def test_an_export_of_the_first_version_can_be_imported(ledger: Ledger) -> None:
    assert ledger.import_(io.BytesIO(HEADER + row(waveform=OLD_WAVEFORM))) == 1
    assert len(ledger.tones(10)) == 1


# Power cuts

WRITER = """
import sys, uuid
from pathlib import Path
from earmark.nonce.ledger import Issue, Ledger
from earmark.nonce.ledger_settings import LedgerSettings
with Ledger.open(Path(sys.argv[1]), LedgerSettings(keep_count=10_000)) as ledger:
    print("ready", flush=True)
    for number in range(int(sys.argv[2])):
        session = uuid.uuid4().hex
        ledger.record(Issue(session, "d", "p", 1.8e9, b"1234", b"", "{}"))
        print(session, flush=True)
        if number % 7 == 0:
            ledger.finish(session, number)
"""


def writer(path: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_every_acknowledged_entry_survives_a_kill(path: Path) -> None:
    dice = random.Random(7)
    acknowledged: list[str] = []
    for awaited in (0, 6, 8, 10):  # however slow the machine is
        process = writer(path, 100_000)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        acknowledged += [process.stdout.readline().strip() for _ in range(awaited)]
        threading.Timer(dice.uniform(0.005, 0.12), process.send_signal, [signal.SIGKILL]).start()
        lines = process.stdout.read().splitlines(keepends=True)
        assert process.wait() == -signal.SIGKILL
        acknowledged += [line.strip() for line in lines if line.endswith("\n")]
        with Ledger.open(path, SETTINGS.model_copy(update={"keep_count": 10_000})) as ledger:
            present = sessions(ledger)
            ledger.record(issued())
        assert set(acknowledged) <= set(present)
        assert integrity(path) == "ok"
    assert len(acknowledged) > 20


def test_every_commit_is_flushed_to_the_disk(ledger: Ledger) -> None:
    """A kill leaves the system's cache alone, a power cut does not: FULL (2) flushes it."""
    assert ledger._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_torn_log_opens_as_the_entries_before_the_tear(tmp_path: Path, path: Path) -> None:
    dice = random.Random(3)
    early = [issued() for _ in range(5)]
    late = [issued() for _ in range(20)]
    with Ledger.open(path, SETTINGS) as ledger:
        for issue in early:
            ledger.record(issue)
    with Ledger.open(path, SETTINGS) as ledger:
        for issue in late:
            ledger.record(issue)
        for file in (path, path.with_name(path.name + "-wal")):
            shutil.copy(file, tmp_path)
    log = (tmp_path / (path.name + "-wal")).read_bytes()
    order = [issue.session for issue in early + late]
    kept = set()
    for number in range(15):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(tmp_path / path.name, folder)
        length = dice.randrange(len(log))
        noise = dice.randbytes(dice.choice([0, 3000]))
        (folder / (path.name + "-wal")).write_bytes(log[:length] + noise)
        with Ledger.open(folder / path.name, SETTINGS) as torn:
            present = sessions(torn)[::-1]
            torn.record(issued())
        assert present == order[: len(present)]
        assert len(present) >= len(early)
        assert integrity(folder / path.name) == "ok"
        kept.add(len(present))
    assert len(kept) > 5


# Failures: each one clear line, and closed


def test_full_disk_is_named_and_leaves_the_ledger_whole(path: Path) -> None:
    with Ledger.open(path, SETTINGS) as ledger:
        ledger._connection.execute("PRAGMA max_page_count = 12")
        issues = [issued(NOW + i) for i in range(1_000)]
        with pytest.raises(LedgerError, match=r"disk is full: free some space"):
            record_all(ledger, issues)
        recorded = ledger.recent(1_000)
        assert 0 < len(recorded) < 1_000
        assert recorded == issues[len(recorded) - 1 :: -1]
    assert integrity(path) == "ok"


FULL = """
import resource, sys
from pathlib import Path
from earmark.errors import LedgerError
from earmark.nonce.ledger import Issue, Ledger
from earmark.nonce.ledger_settings import LedgerSettings
def issue(number):
    return Issue(f"{number:032x}", "d", "p", 1.8e9, b"1234", b"", "{}")
ledger = Ledger.open(Path(sys.argv[1]), LedgerSettings())
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
number = 0
try:
    while number < 1_000:
        ledger.record(issue(number))
        number += 1
except LedgerError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert ledger.count() == number, "a refused entry was kept"
ledger.record(issue(5_000))
print(number)
"""


def test_write_that_the_system_refuses_is_named_and_recovered_from(path: Path) -> None:
    """A real write error: the file may not grow past 100 kB, then it may again."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    message, number = done.stdout.splitlines()
    assert "no session starts until then" in message
    assert str(path) in message
    with Ledger.open(path, SETTINGS) as ledger:
        expected = [f"{5_000:032x}"] + [f"{i:032x}" for i in reversed(range(int(number)))]
        assert sessions(ledger) == expected


def test_no_room_to_create_is_named(path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        with pytest.raises(LedgerError, match="no session starts until then"):
            Ledger.open(path, SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"is a folder: set ledger.path to a file"):
        Ledger.open(tmp_path, SETTINGS)


def test_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="folder cannot be created"):
        Ledger.open(tmp_path / "file" / "below" / "ledger.sqlite", SETTINGS)


@contextmanager
def as_a_plain_user() -> Iterator[None]:
    """Without the rights of root, if this is root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_file_of_somebody_else(mode: int) -> None:
    folder = Path(tempfile.mkdtemp())  # not under pytest's own folder, which is closed to others
    try:
        folder.chmod(0o755)
        file = folder / "ledger.sqlite"
        Ledger.open(file, SETTINGS).close()
        file.chmod(mode)
        folder.chmod(0o555)
        with as_a_plain_user():
            if os.stat(file).st_uid == os.geteuid():
                pytest.skip("own file: its mode would simply be set right")
            with pytest.raises(LedgerError, match=r"cannot be opened.*writable for this user"):
                Ledger.open(file, SETTINGS)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_garbage_in_place_of_the_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(random.Random(1).randbytes(8_192))
    with pytest.raises(LedgerError, match=r"no SQLite database: check ledger.path"):
        Ledger.open(path, SETTINGS)


@pytest.mark.parametrize("seed", range(5))
def test_overwritten_pages_are_found_at_opening(path: Path, seed: int) -> None:
    with Ledger.open(path, SETTINGS) as ledger:
        for _ in range(60):
            ledger.record(issued())
    content = bytearray(path.read_bytes())
    dice = random.Random(seed)
    page = dice.randrange(1, len(content) // 4_096) * 4_096
    content[page : page + 4_096] = dice.randbytes(4_096)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=r"corrupted: move the file away"):
        Ledger.open(path, SETTINGS)


def test_cut_off_file_is_found_at_opening(path: Path) -> None:
    with Ledger.open(path, SETTINGS) as ledger:
        for _ in range(60):
            ledger.record(issued())
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(LedgerError, match="corrupted"):
        Ledger.open(path, SETTINGS)


def test_damaged_entry_is_not_returned(path: Path, ledger: Ledger) -> None:
    ledger.record(issued())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE issue SET waveform = 'no JSON'")
    with pytest.raises(LedgerError, match="an entry is damaged"):
        ledger.recent(1)


def test_newer_schema_is_refused_untouched(path: Path) -> None:
    Ledger.open(path, SETTINGS).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=f"version {SCHEMA + 1}.*install the newer"):
        Ledger.open(path, SETTINGS)
    assert path.read_bytes() == before


def test_database_of_another_program_is_refused_untouched(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (id)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="no ledger of Earmark"):
        Ledger.open(path, SETTINGS)
    assert path.read_bytes() == before


def test_file_says_what_it_is(path: Path) -> None:
    Ledger.open(path, SETTINGS).close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_ledger_held_by_another_process(path: Path) -> None:
    settings = LedgerSettings(busy_timeout_s=0.0)
    with Ledger.open(path, settings) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match="another process holds the file"):
            ledger.record(issued())
        other.execute("ROLLBACK")
        other.close()
        ledger.record(issued())


def test_session_is_recorded_once(ledger: Ledger) -> None:
    issue = issued()
    ledger.record(issue)
    with pytest.raises(LedgerError, match="already: draw a new one"):
        ledger.record(issued(session=issue.session, payload=b"other"))
    assert ledger.recent(10) == [issue]


def test_unknown_session_is_not_finished(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="not in the ledger"):
        ledger.finish(uuid.uuid4().hex, 1)
    with pytest.raises(ValueError, match="slots"):
        ledger.finish(uuid.uuid4().hex, -1)


def test_closed_ledger_stays_closed(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.record(issued())


@pytest.mark.parametrize(
    "changes",
    [
        {"session": "1234"},
        {"session": "G" * 32},
        {"device": ""},
        {"device": "a\nb"},
        {"place": "x" * 65},
        {"place": "\x1b[2J"},
        {"issued_at": float("nan")},
        {"issued_at": -1.0},
        {"payload": b"123"},
        {"payload": b"1" * 65},
        {"hop_key": b"1" * 65},
        {"waveform": "bfsk"},
        {"waveform": "[]"},
        {"waveform": json.dumps({"a": "x" * 3_000})},
        {"waveform": "[" * 2_000},
        {"waveform": '{"a": "ü"}'},
        {"slots": -1},
        {"slots": 1_000_000},
    ],
)
def test_bad_issue_is_refused_by_field(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        issued(**changes)  # type: ignore[arg-type]


def test_bad_settings_are_refused() -> None:
    for values in (
        {"keep_days": 0},
        {"keep_count": 0},
        {"keep_count": 200_001},
        {"keep_imported": -1},
        {"keep_imported": MAX_IMPORT_ROWS + 1},
        {"days": 3},
    ):
        with pytest.raises(ValidationError):
            LedgerSettings.model_validate(values)


# Between the devices of a household


def exported(ledger: Ledger) -> io.BytesIO:
    file = io.BytesIO()
    ledger.export(file)
    file.seek(0)
    return file


def test_export_goes_round(tmp_path: Path, ledger: Ledger) -> None:
    issues = [issued(NOW + i, slots=i) for i in range(4)] + [issued(NOW + 9, slots=None)]
    for issue in issues:
        ledger.record(issue)
    with Ledger.open(tmp_path / "bedroom.sqlite", SETTINGS) as bedroom:
        assert bedroom.import_(exported(ledger)) == 5
        assert bedroom.import_(exported(ledger)) == 0
        assert bedroom.recent(10) == issues[::-1]
        ledger.finish(issues[-1].session, 17)
        assert bedroom.import_(exported(ledger)) == 0
        assert bedroom.recent(1)[0].slots == 17
        assert exported(bedroom).read() == HEADER


def test_entries_in_codes_go_round(tmp_path: Path, ledger: Ledger) -> None:
    """The devices of a household share their secret, so each knows the other's banks."""
    issues = [issued(NOW + i, waveform=kind) for i, kind in enumerate((codes(), WAVEFORM))]
    record_all(ledger, issues)
    with Ledger.open(tmp_path / "bedroom.sqlite", SETTINGS) as bedroom:
        assert bedroom.import_(exported(ledger)) == 2
        assert bedroom.coded("0a1b2c3d", 113) == [issues[0]]
        assert bedroom.tones(9) == [issues[1]]


def test_an_export_is_never_longer_than_an_import_may_be(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger keeps up to 200,000 entries of its own, and 10,000 of others."""
    assert LedgerSettings(keep_imported=MAX_IMPORT_ROWS).keep_imported == MAX_IMPORT_ROWS
    monkeypatch.setattr(ledger_module, "MAX_IMPORT_ROWS", 4)
    issues = [issued(NOW + i) for i in range(7)]
    record_all(ledger, issues)
    assert ledger.export(io.BytesIO()) == 4
    with Ledger.open(tmp_path / "bedroom.sqlite", SETTINGS) as bedroom:
        assert bedroom.import_(exported(ledger)) == 4
        assert bedroom.recent(10) == issues[:2:-1]


def test_longest_entry_goes_round(tmp_path: Path, ledger: Ledger) -> None:
    longest = issued(
        device="\N{MUSICAL SYMBOL G CLEF}" * 64,
        place='"' * 64,
        payload=b"p" * 64,
        waveform=WAVEFORM.ljust(2048),
    )
    assert len(longest.waveform) == 2048
    ledger.record(longest)
    with Ledger.open(tmp_path / "bedroom.sqlite", SETTINGS) as bedroom:
        assert bedroom.import_(exported(ledger)) == 1
        assert bedroom.recent(1) == [longest]


def test_import_never_changes_an_own_entry(ledger: Ledger) -> None:
    own = issued()
    ledger.record(own)
    back = exported(ledger).read().replace(b'"slots":null', b'"slots":9')
    for content in (HEADER + row(session=own.session, slots=9), back):
        assert b'"slots":9' in content.replace(b" ", b"")
        assert ledger.import_(io.BytesIO(content)) == 0
    assert ledger.recent(10) == [own]


def test_import_never_changes_the_nonce_of_an_imported_entry(ledger: Ledger) -> None:
    session = uuid.uuid4().hex
    ledger.import_(io.BytesIO(HEADER + row(session=session, slots=None)))
    ledger.import_(io.BytesIO(HEADER + row(session=session, slots=9, payload="deadbeef")))
    assert [(entry.payload.hex(), entry.slots) for entry in ledger.recent(9)] == [
        ("cafebabe", None)
    ]


def test_own_entry_stands_whatever_was_imported_under_its_session(ledger: Ledger) -> None:
    own = issued()
    ledger.import_(io.BytesIO(HEADER + row(session=own.session)))
    ledger.record(own)
    assert ledger.recent(10) == [own]


def test_flood_of_imports_drives_out_no_own_entry(path: Path) -> None:
    own = [issued(NOW + i) for i in range(20)]
    with Ledger.open(path, LedgerSettings(keep_count=20, keep_imported=15)) as ledger:
        for issue in own:
            ledger.record(issue)
        flood = b"".join(row(issued_at=9e9) for _ in range(500))
        assert ledger.import_(io.BytesIO(HEADER + flood)) == 500
        assert ledger.count() == 35
        assert {issue.session for issue in own} <= set(sessions(ledger))


def test_imported_entries_grow_old_too(path: Path) -> None:
    with Ledger.open(path, LedgerSettings(keep_days=10)) as ledger:
        ledger.prune(NOW)
        rows = row(age_s=9.5 * DAY_S) + row(age_s=2.0 * DAY_S) + row(age_s=11.0 * DAY_S)
        ledger.import_(io.BytesIO(HEADER + rows))
        assert ledger.count() == 2
        assert ledger.prune(NOW + DAY_S) == 1


def test_import_may_be_as_long_as_its_bound(path: Path) -> None:
    rows = b"".join(row() for _ in range(MAX_IMPORT_ROWS))
    with Ledger.open(path, LedgerSettings(keep_imported=10_000)) as ledger:
        assert ledger.import_(io.BytesIO(HEADER + rows)) == MAX_IMPORT_ROWS
        with pytest.raises(LedgerError, match=f"more than {MAX_IMPORT_ROWS} entries"):
            ledger.import_(io.BytesIO(HEADER + rows + row()))
        assert ledger.count() == MAX_IMPORT_ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "line 1"),
        (row(), "line 1"),
        (b'{"earmark_ledger":2}\n' + row(), "line 1: the export's version is not 1"),
        (b'{"earmark_ledger":true}\n', "line 1: earmark_ledger"),
        (b'{"earmark_ledger":1,"more":2}\n', "line 1: more"),
        (b"\xff\xfe" * 50, "line 1"),
        (b"x" * (MAX_LINE_BYTES + 1), f"line 1 is longer than {MAX_LINE_BYTES}"),
        (HEADER + row() + b"[" * MAX_LINE_BYTES, "line 3"),
        (HEADER + row() + b" " * (2 * MAX_LINE_BYTES), "line 3 is longer"),
        (HEADER + row() + b"not JSON\n", "line 3"),
        (HEADER + row() + b"[]\n", "line 3"),
        (HEADER + row() + row()[:-20], "line 3"),
        (HEADER + row(session="1"), "line 2: session"),
        (HEADER + row(device=7), "line 2: device"),
        (HEADER + row(place="a\x00b"), "line 2: place"),
        (HEADER + row(issued_at="now"), "line 2: issued_at"),
        (HEADER + row(issued_at=float("inf")), "line 2"),
        (HEADER + row(age_s=-1.0), "line 2: age_s"),
        (HEADER + row(age_s=float("nan")), "line 2"),
        (HEADER + row(payload="cafebab"), "line 2: payload"),
        (HEADER + row(payload="CAFEBABE"), "line 2: payload"),
        (HEADER + row(payload="ca"), "line 2: payload"),
        (HEADER + row(hop_key=None), "line 2: hop_key"),
        (HEADER + row(waveform={}), "line 2: waveform"),
        (HEADER + row(waveform="{}"), "line 2: not a BFSK waveform"),
        (HEADER + row(waveform='{"kind": "chirp"}'), "line 2: not a BFSK waveform"),
        (HEADER + row(waveform='{"kind": "spread"}'), "line 2: secret: Field required"),
        (HEADER + row(waveform=codes(secret="0A1B2C3D")), "line 2: secret"),
        (HEADER + row(waveform=codes(secret="0a1b2c3d4")), "line 2: secret"),
        (HEADER + row(waveform=codes(epoch=-1)), "line 2: epoch"),
        (HEADER + row(waveform=codes(epoch="113")), "line 2: epoch"),
        (HEADER + row(waveform=codes(epoch=True)), "line 2: epoch"),
        (HEADER + row(waveform=codes(low_hz=float("nan"))), "line 2: low_hz"),
        (HEADER + row(waveform=codes(high_hz=9000.0)), "line 2: high_hz"),
        (HEADER + row(waveform=codes(key="00")), "line 2: key"),
        (HEADER + row(hop_key="00"), "line 2: a hop key has 16 bytes"),
        (HEADER + row(slots=True), "line 2: slots"),
        (HEADER + row(slots=10**30), "line 2: slots"),
        (HEADER + row(slots=1.5), "line 2: slots"),
        (HEADER + row(extra=1), "line 2: extra"),
    ],
)
def test_hostile_import_is_refused_whole(ledger: Ledger, content: bytes, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as caught:
        ledger.import_(io.BytesIO(content))
    assert "cafeba" not in str(caught.value).lower()
    assert "\n" not in str(caught.value)
    assert ledger.count() == 0


def test_endless_import_is_cut_off(ledger: Ledger) -> None:
    class Endless(io.RawIOBase):
        """A file that never ends, in one line."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    with pytest.raises(LedgerError, match="longer than"):
        ledger.import_(io.BufferedReader(Endless()))


# Looking at it from outside


def test_it_is_examined_beside_the_daemon_and_not_changed(ledger: Ledger, path: Path) -> None:
    for number in range(3):
        ledger.record(issued(NOW + number))
    before = path.read_bytes()
    assert Ledger.examined(path) == 3
    assert path.read_bytes() == before
    ledger.record(issued(NOW + 3))
    ledger.close()
    path.chmod(0o640)
    assert Ledger.examined(path) == 4
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_is_no_ledger_or_damaged_is_found(tmp_path: Path, ledger: Ledger, path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.examined(tmp_path / "nowhere")
    (tmp_path / "text").write_bytes(b"no database at all, though long enough" * 100)
    with pytest.raises(LedgerError, match="no SQLite database"):
        Ledger.examined(tmp_path / "text")
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE a (b)").connection.close()
    with pytest.raises(LedgerError, match="no ledger of Earmark"):
        Ledger.examined(tmp_path / "other")
    for number in range(300):
        ledger.record(issued(NOW + number))
    ledger.close()
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        Ledger.examined(path)
