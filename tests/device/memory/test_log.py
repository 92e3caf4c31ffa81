"""The log under power cuts, bit rot, a full disk and a second process."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import signal
import socket
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.memory import log as module
from earmark.memory.log import (
    FRAME_BYTES,
    HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    TAG_BYTES,
    Damage,
    MemoryStoreError,
    RamLog,
    Record,
    RecordLog,
    erase,
)

MAX_RECORD = 1_000
MAX_FILE = 1_000_000

FEW: list[Record] = [(1, b"first"), (2, b""), (255, b"third one"), (0, bytes(20)), (1, b"last")]
"""Short, so that each of their bytes can be tried."""


class PowerCut(BaseException):
    """Ends a process in the middle of its work."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "memory"


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For many openings in a second."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


def opened(path: Path, seed: int = 1, max_file: int = MAX_FILE) -> RecordLog:
    return RecordLog.open(path, MAX_RECORD, max_file, random.Random(seed).randbytes)


def filled(path: Path, records: list[Record], seed: int = 1) -> bytes:
    """The bytes of a log of `records`."""
    with opened(path, seed) as log:
        for kind, payload in records:
            log.append(kind, payload)
    return path.read_bytes()


def read(path: Path) -> tuple[list[Record], Damage]:
    with opened(path, 99) as log:
        return list(log.records()), log.damage


def run(program: str, path: Path) -> str:
    """What a process of its own prints, given `path`."""
    source = str(Path(module.__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    ).stdout


def starts(records: list[Record]) -> list[int]:
    """Where each record starts in the file, and where the last one ends."""
    places = [HEADER_BYTES]
    for _, payload in records:
        places.append(places[-1] + FRAME_BYTES + len(payload))
    return places


# What it keeps


def test_records_come_back_in_order(path: Path) -> None:
    whole = filled(path, FEW)
    assert len(whole) == starts(FEW)[-1]
    assert read(path) == (FEW, Damage())


def test_appending_goes_on_after_reopening(path: Path) -> None:
    filled(path, FEW[:2])
    filled(path, FEW[2:], seed=2)
    assert read(path) == (FEW, Damage())


def test_random_records_come_back(path: Path, unflushed: None) -> None:
    rng = random.Random(7)
    expected: list[Record] = []
    for seed in range(20):
        with opened(path, seed) as log:
            assert list(log.records()) == expected
            for _ in range(rng.randrange(15)):
                record = (rng.randrange(256), rng.randbytes(rng.randrange(MAX_RECORD + 1)))
                log.append(*record)
                expected.append(record)
            if rng.random() < 0.3:
                expected = rng.sample(expected, len(expected) // 2)
                log.rewrite(expected, 0)
            assert log.size_bytes == path.stat().st_size
            assert list(log.records()) == expected
    assert len(expected) > 20


def test_new_log_is_empty_and_so_is_an_empty_file(path: Path) -> None:
    assert read(path) == ([], Damage())
    assert path.read_bytes() == b""
    assert read(path) == ([], Damage())


def test_longest_record_and_one_byte_more(path: Path) -> None:
    with opened(path) as log:
        log.append(1, bytes(MAX_RECORD))
        for record in ((1, bytes(MAX_RECORD + 1)), (256, b""), (-1, b"")):
            with pytest.raises(ValueError, match=r"at most|kind"):
                log.append(*record)
            with pytest.raises(ValueError, match=r"at most|kind"):
                log.rewrite([record], 0)
        assert list(log.records()) == [(1, bytes(MAX_RECORD))]
    with pytest.raises(ValueError, match="max_record_bytes"):
        RecordLog.open(path, MAX_PAYLOAD_BYTES + 1, MAX_FILE)


def test_each_append_is_flushed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    flush = os.fdatasync

    def counted(handle: int) -> None:
        flush(handle)
        flushed.append(os.fstat(handle).st_size)

    with opened(path) as log:
        monkeypatch.setattr(os, "fdatasync", counted)
        for kind, payload in FEW:
            log.append(kind, payload)
    assert flushed == starts(FEW)[1:]


def test_closed_log_refuses(path: Path) -> None:
    log = opened(path)
    log.close()
    log.close()
    for use in (lambda: log.append(1, b""), log.wipe, lambda: list(log.records())):
        with pytest.raises(ValueError, match="closed"):
            use()
    with pytest.raises(ValueError, match="closed"):
        log.rewrite([], 0)


# A torn tail


def test_file_cut_at_any_byte_keeps_the_whole_records(path: Path, unflushed: None) -> None:
    whole = filled(path, FEW)
    places = starts(FEW)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = sum(end <= length for end in places[1:])
        torn = length - (places[kept] if length >= HEADER_BYTES else 0)
        with opened(path, 2) as log:
            assert list(log.records()) == FEW[:kept], length
            assert log.damage == Damage(int(torn > 0), torn), length
            assert path.stat().st_size == length - torn  # cut off at once
            log.append(9, b"after")
        assert read(path) == ([*FEW[:kept], (9, b"after")], Damage()), length


def test_tail_of_zeros_is_cut_off(path: Path, unflushed: None) -> None:
    """Some file systems make a file longer before they fill it."""
    whole = filled(path, FEW)
    path.write_bytes(whole + bytes(300))
    assert read(path) == (FEW, Damage(1, 300))
    assert path.read_bytes() == whole
    path.write_bytes(bytes(HEADER_BYTES + FRAME_BYTES + MAX_RECORD))
    assert read(path) == ([], Damage(1, HEADER_BYTES + FRAME_BYTES + MAX_RECORD))
    assert path.read_bytes() == b""


def test_killed_writer_loses_nothing_that_it_has_acknowledged(path: Path) -> None:
    """Kill -9 at random moments; the pages of the kernel survive that, unlike a power cut."""
    program = """if True:
        import json, os, random, signal, sys
        from pathlib import Path
        from earmark.memory.log import RecordLog

        os.fdatasync = os.fsync = lambda handle: None
        path, rng = Path(sys.argv[1]), random.Random(3)

        def write(answers):
            log = RecordLog.open(path, 1000, 10**6)
            number = sum(1 for _ in log.records())
            while True:
                payload = number.to_bytes(4, "little") * (number % 200 + 1)
                log.append(1, payload)
                os.write(answers, payload[:4])
                number += 1
                if number % 50 == 0:
                    log.rewrite(list(log.records()), 0)

        for _ in range(20):
            answers, theirs = os.pipe()
            child = os.fork()
            if child == 0:
                write(theirs)
            os.close(theirs)
            with open(answers, "rb") as pipe:
                told = pipe.read(4 * rng.randrange(1, 100))
                os.kill(child, signal.SIGKILL)
                told += pipe.read()
            os.waitpid(child, 0)
            with RecordLog.open(path, 1000, 10**6) as log:
                found = [payload.hex() for _, payload in log.records()]
                print(json.dumps([told.hex(), found, log.damage.stretches]))
    """
    count = 0
    for line in run(program, path).splitlines():
        told, found, damaged = json.loads(line)
        numbers = [number for (number,) in struct.iter_unpack("<I", bytes.fromhex(told))]
        assert numbers
        assert numbers == list(range(count, count + len(numbers)))
        kept = [bytes.fromhex(payload) for payload in found]
        assert kept == [n.to_bytes(4, "little") * (n % 200 + 1) for n in range(len(kept))]
        assert count + len(numbers) <= len(kept) <= count + len(numbers) + 1
        assert damaged <= 1
        count = len(kept)
    assert count > 500


# Bit rot


def test_each_flipped_byte_loses_one_record_at_most(path: Path, unflushed: None) -> None:
    whole = filled(path, FEW)
    places = starts(FEW)
    for at in range(len(whole)):
        for flip in (0x01, 0xFF):
            damaged = bytearray(whole)
            damaged[at] ^= flip
            path.write_bytes(damaged)
            found, damage = read(path)
            if at < HEADER_BYTES:
                assert found == FEW, at
                assert damage == Damage(1, HEADER_BYTES // 2), at
                continue
            hit = max(i for i, start in enumerate(places) if start <= at)
            assert found == FEW[:hit] + FEW[hit + 1 :], at
            assert damage == Damage(1, places[hit + 1] - places[hit]), at


def test_several_damaged_records_are_counted_by_stretch(path: Path, unflushed: None) -> None:
    whole = bytearray(filled(path, FEW))
    places = starts(FEW)
    whole[places[0]] ^= 1
    whole[places[2]] ^= 1
    whole[places[4]] ^= 1  # the tail
    path.write_bytes(whole)
    lost = sum(places[i + 1] - places[i] for i in (0, 2, 4))
    assert read(path) == ([FEW[1], FEW[3]], Damage(3, lost))
    assert path.stat().st_size == places[4]


def test_long_damage_is_skipped(path: Path, unflushed: None) -> None:
    """Longer than what is searched at once, and the next tag across a seam of the search."""
    records: list[Record] = [(1, bytes([i]) * 990) for i in range(150)]
    whole = bytearray(filled(path, records))
    places = starts(records)
    rng = random.Random(5)
    for first, last in ((3, 70), (80, 149)):
        whole[places[first] : places[last]] = rng.randbytes(places[last] - places[first])
    for shift in range(4):  # the search starts one byte after the damaged record
        seam = places[3] + 1 + module._STRIDE_BYTES - shift
        damaged = bytearray(whole)
        damaged[seam : seam + TAG_BYTES] = whole[HEADER_BYTES : HEADER_BYTES + TAG_BYTES]
        path.write_bytes(damaged)
        assert read(path)[0] == [*records[:3], *records[70:80], records[149]]


def test_next_record_is_found_across_a_seam_of_the_search(
    path: Path, unflushed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bytearray(filled(path, FEW))
    whole[HEADER_BYTES] ^= 1
    for stride in range(TAG_BYTES, 60):
        monkeypatch.setattr(module, "_STRIDE_BYTES", stride)
        path.write_bytes(whole)
        assert read(path)[0] == FEW[1:], stride


def test_moved_and_repeated_records_are_noticed(path: Path, unflushed: None) -> None:
    records: list[Record] = [(1, b"one"), (1, b"two"), (1, b"six")]
    whole = filled(path, records)
    a, b, c, end = starts(records)
    path.write_bytes(whole[:a] + whole[b:c] + whole[a:b] + whole[c:])  # swapped
    assert read(path) == (records[2:], Damage(1, c - a))
    path.write_bytes(whole + whole[c:])  # the last one again
    assert read(path) == (records, Damage(1, end - c))
    path.write_bytes(whole[:b] + whole[a:b] + whole[c:])  # the first one instead of the second
    assert read(path) == ([records[0], records[2]], Damage(1, c - b))


def test_payload_cannot_pass_for_a_record(path: Path, unflushed: None) -> None:
    """Somebody who chooses payloads and their place, but does not know the tag."""
    for guess in (bytes(TAG_BYTES), MAGIC[:TAG_BYTES], random.Random(8).randbytes(TAG_BYTES)):
        forged = module._framed(guess, HEADER_BYTES + FRAME_BYTES + 3, 7, b"forged")
        whole = bytearray(filled(path, [(1, b"abc" + forged), (2, b"next")]))
        whole[HEADER_BYTES] ^= 1  # the outer record is damaged
        path.write_bytes(whole)
        assert read(path)[0] == [(2, b"next")]
        path.unlink()


def test_records_of_an_earlier_file_do_not_count(path: Path, unflushed: None) -> None:
    old = filled(path, FEW, seed=1)
    path.unlink()
    new = filled(path, FEW[:1], seed=2)
    path.write_bytes(new + old[len(new) :])
    assert read(path)[0] == FEW[:1]


# A header beyond reading


def test_two_damaged_headers_are_refused_and_the_file_stays(path: Path) -> None:
    damaged = bytearray(filled(path, FEW))
    damaged[9] ^= 1
    damaged[HEADER_BYTES // 2 + 9] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(MemoryStoreError, match="its header is damaged") as caught:
        opened(path)
    assert b"third" not in str(caught.value).encode()
    assert path.read_bytes() == damaged
    erase(path)
    assert read(path) == ([], Damage())


@pytest.mark.parametrize("content", [b"hello", b"\x7fELF" + bytes(500), bytes(5_000)])
def test_foreign_file_is_refused_and_stays(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(MemoryStoreError, match="no query memory"):
        opened(path)
    assert path.read_bytes() == content


def test_newer_version_is_refused_and_stays(path: Path) -> None:
    whole = filled(path, FEW)
    start = MAGIC + struct.pack("<H", 2) + b"tagg"
    newer = 2 * (start + struct.pack("<I", zlib.crc32(start))) + whole[HEADER_BYTES:]
    path.write_bytes(newer)
    with pytest.raises(MemoryStoreError, match="version 2, this Earmark knows up to 1"):
        opened(path)
    assert path.read_bytes() == newer


def test_longer_file_than_allowed_is_refused_unread(path: Path) -> None:
    size = len(filled(path, FEW))
    opened(path, max_file=size).close()
    with pytest.raises(MemoryStoreError, match=f"longer than {size - 1} bytes"):
        opened(path, max_file=size - 1)
    assert path.stat().st_size == size


def test_log_never_grows_beyond_its_bound(path: Path) -> None:
    size = len(filled(path, FEW))
    with opened(path, max_file=size + FRAME_BYTES + 5) as log:
        for refused in (lambda: log.append(1, b"123456"), lambda: log.rewrite(FEW * 2, 0)):
            with pytest.raises(MemoryStoreError, match="would be longer than"):
                refused()
        log.append(1, b"12345")
        assert list(log.records()) == [*FEW, (1, b"12345")]
    assert read(path) == ([*FEW, (1, b"12345")], Damage())


# A full or failing disk


def failing(error: int, partial: int | None) -> object:
    """An ``os.pwrite`` that writes `partial` bytes and then fails; at once if None."""
    write = os.pwrite
    left = partial

    def pwrite(handle: int, data: memoryview, at: int) -> int:
        nonlocal left
        if left is None or left == 0:
            raise OSError(error, os.strerror(error))
        written = write(handle, data[:left], at)
        left = 0
        return written

    return pwrite


@pytest.mark.parametrize(
    ("error", "match"), [(errno.ENOSPC, "the disk is full: free some"), (errno.EIO, "check the")]
)
@pytest.mark.parametrize("partial", [None, 1, FRAME_BYTES, FRAME_BYTES + 4])
@pytest.mark.parametrize("first", [True, False])
def test_failed_append_leaves_the_log_as_it_was(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: int,
    match: str,
    partial: int | None,
    first: bool,
) -> None:
    before = [] if first else FEW
    whole = filled(path, before)
    with opened(path) as log:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", failing(error, partial))
            with pytest.raises(MemoryStoreError, match=match):
                log.append(3, b"not to be seen in the message")
        assert path.read_bytes() == whole
        assert list(log.records()) == before
        log.append(3, b"there is room again")
    assert read(path) == ([*before, (3, b"there is room again")], Damage())


def test_short_writes_are_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: write(handle, data[:3], at))
    filled(path, FEW)
    assert read(path) == (FEW, Damage())


def test_unflushed_append_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled(path, FEW)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    with opened(path) as log:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fdatasync", fail)
            with pytest.raises(MemoryStoreError):
                log.append(3, b"never flushed")
        assert path.read_bytes() == whole
        assert list(log.records()) == FEW


@pytest.mark.parametrize("cannot", ["ftruncate", "fsync"])
def test_remains_that_could_not_be_cut_off_go_before_the_next_append(
    path: Path, monkeypatch: pytest.MonkeyPatch, cannot: str
) -> None:
    filled(path, FEW)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    with opened(path) as log:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", failing(errno.EIO, FRAME_BYTES + 30))
            patched.setattr(os, cannot, fail)
            with pytest.raises(MemoryStoreError):
                log.append(3, b"a long record, of which the most is written")
            with pytest.raises(MemoryStoreError):  # does not even try to write
                log.append(4, b"x")
            assert list(log.records()) == FEW
        log.append(4, b"x")
        assert path.stat().st_size == log.size_bytes
    assert read(path) == ([*FEW, (4, b"x")], Damage())


def test_really_full_disk(path: Path) -> None:
    """The system's own limit on a file's length, in a process of its own."""
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from earmark.memory.log import MemoryStoreError, RecordLog\n"
        "log = RecordLog.open(Path(sys.argv[1]), 1000, 10**9)\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))\n"
        "kept = failed = 0\n"
        "for _ in range(5):\n"
        "    try:\n"
        "        log.append(1, bytes(600))\n"
        "        kept += 1\n"
        "    except MemoryStoreError as error:\n"
        "        assert 'the disk is full' in str(error)\n"
        "        failed += 1\n"
        "try:\n"
        "    log.rewrite([*log.records()] * 2, 0)\n"
        "except MemoryStoreError as error:\n"
        "    failed += 1\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "log.append(2, b'room')\n"
        "print(kept, failed)\n"
    )
    assert run(program, path) == "3 3\n"
    assert read(path) == ([(1, bytes(600))] * 3 + [(2, b"room")], Damage())
    assert not list(path.parent.glob("*.new"))


def test_rewrite_is_not_begun_without_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, FEW)
    with opened(path) as log:
        room = os.statvfs(path)
        monkeypatch.setattr(os, "pwrite", failing(errno.EIO, None))
        with pytest.raises(MemoryStoreError, match="the disk is full"):
            log.rewrite(FEW, 2 * room.f_bavail * room.f_frsize + 1)
        assert list(log.records()) == FEW


# Rewriting


def test_rewrite_replaces_all(path: Path) -> None:
    filled(path, FEW)
    new: list[Record] = [(5, bytes([i]) * 900) for i in range(200)]  # more than written at once
    with opened(path, 2) as log:
        log.rewrite((record for record in new), 0)
        assert list(log.records()) == new
        assert log.size_bytes == path.stat().st_size == starts(new)[-1]
        log.append(6, b"on")
        log.rewrite((r for r in log.records() if r[0] == 6), 0)
        log.append(7, b"and on")
    assert read(path) == ([(6, b"on"), (7, b"and on")], Damage())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def watched(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[str]:
    """The calls of these functions of ``os`` from now on; those for a folder say so."""
    calls: list[str] = []

    def wrapped(name: str) -> object:
        real = getattr(os, name)

        def call(first: int | Path, *others: object) -> object:
            folder = isinstance(first, int) and stat.S_ISDIR(os.fstat(first).st_mode)
            calls.append(f"{name} folder" if folder else name)
            return real(first, *others)

        return call

    for name in names:
        monkeypatch.setattr(os, name, wrapped(name))
    return calls


def test_rewrite_is_flushed_before_and_after_its_renaming(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut could leave the new name with an empty file."""
    with opened(path) as log:
        calls = watched(monkeypatch, "pwrite", "fsync", "replace")
        log.rewrite(FEW, 0)
        assert calls == ["pwrite", "fsync", "replace", "fsync folder"]


def test_cut_of_a_torn_tail_is_flushed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(filled(path, FEW)[:-1])
    calls = watched(monkeypatch, "ftruncate", "fsync")
    read(path)
    assert calls == ["ftruncate", "fsync", "fsync folder"]


def test_remains_of_a_rewrite_go_at_opening(path: Path) -> None:
    filled(path, FEW)
    remains = path.with_name(f".{path.name}.new")
    remains.write_bytes(b"half a file")
    assert read(path) == (FEW, Damage())
    assert not remains.exists()


STEPS = ("open", "pwrite", "fsync", "fdatasync", "ftruncate", "replace", "unlink", "close")
"""What changes files, or could fail between two changes."""


def interrupted(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> Iterator[None]:
    """Let the `at`-th of the steps raise `error`, a write after half of its bytes.

    After a power cut there are no further steps: none of the clearing up either.
    """
    count = 0

    def wrapped(name: str) -> object:
        real = getattr(os, name)

        def step(*args: object, **named: object) -> object:
            nonlocal count
            count += 1
            if count <= at or (count > at + 1 and not isinstance(error, PowerCut)):
                return real(*args, **named)
            if count > at + 1:
                raise error
            if name == "pwrite":
                handle, data, place = args
                real(handle, data[: len(data) // 2], place)  # type: ignore[index, arg-type]
            if name == "close":
                real(*args)  # Linux closes whatever it answers
            raise error

        return step

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(os, name, wrapped(name))
        yield


@pytest.mark.parametrize("cut", [True, False], ids=["power cut", "error"])
def test_rewrite_that_ends_at_any_step_leaves_old_or_new(
    path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    new: list[Record] = [(5, bytes([i]) * 900) for i in range(150)]
    outcomes = []
    for step in range(100):
        path.unlink(missing_ok=True)
        filled(path, FEW)
        log = opened(path, 2)
        done = False
        error = PowerCut() if cut else OSError(errno.EIO, "input/output error")
        for _ in interrupted(monkeypatch, step, error):
            try:
                log.rewrite(new, 0)
                done = True
            except (PowerCut, MemoryStoreError):
                pass
        if not cut:  # the process goes on
            found = list(log.records())
            log.append(6, b"on")
            assert list(log.records()) == [*found, (6, b"on")]
            assert list(path.parent.glob("*.new")) == []
        log.close()
        after, damage = read(path)
        assert damage == Damage()
        if not cut:
            assert after.pop() == (6, b"on")
            assert after == found
        assert after in (FEW, new), step
        outcomes.append(after == new)
        if done:
            break
    assert done
    assert outcomes == sorted(outcomes)  # old up to the renaming, new from it on
    assert outcomes.count(False) >= 4


def test_renamed_file_is_flushed_into_its_folder_before_the_next_append(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, FEW)
    real = os.fsync

    def files_only(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "input/output error")
        real(handle)

    with opened(path) as log:
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", files_only)
            with pytest.raises(MemoryStoreError):
                log.rewrite([(1, b"new")], 0)
            with pytest.raises(MemoryStoreError):  # it could vanish with the old name
                log.append(2, b"x")
        log.append(2, b"y")
    assert read(path) == ([(1, b"new"), (2, b"y")], Damage())


# Wiping


def test_wipe_leaves_nothing(path: Path) -> None:
    filled(path, FEW)
    path.with_name(f".{path.name}.new").touch()
    with opened(path, 2) as log:
        path.with_name(f".{path.name}.new").write_bytes(b"third one")
        log.wipe()
        assert list(log.records()) == []
        assert log.size_bytes == path.stat().st_size == 0
        assert sorted(p.name for p in path.parent.iterdir()) == [f".{path.name}.lock", path.name]
        log.append(1, b"new life")
    assert read(path) == ([(1, b"new life")], Damage())


def test_wiped_log_has_another_tag(path: Path) -> None:
    old = filled(path, FEW, seed=1)
    with opened(path, 2) as log:
        log.wipe()
        log.append(*FEW[0])
    assert old[10:14] not in path.read_bytes()


@pytest.mark.parametrize("step", ["ftruncate", "fsync"])
def test_failed_wipe_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    filled(path, FEW)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    with opened(path) as log:
        with monkeypatch.context() as patched:
            patched.setattr(os, step, fail)
            with pytest.raises(MemoryStoreError):
                log.wipe()
        log.wipe()
    assert read(path) == ([], Damage())


def test_erase_removes_file_and_remains(path: Path) -> None:
    erase(path)  # not even a folder there
    filled(path, FEW)
    path.with_name(f".{path.name}.new").write_bytes(b"half a file")
    erase(path)
    assert [p.name for p in path.parent.iterdir()] == [f".{path.name}.lock"]
    erase(path)


# Whose file


def test_second_opener_is_refused(path: Path) -> None:
    with opened(path) as log:
        for other in (lambda: opened(path), lambda: erase(path)):
            with pytest.raises(MemoryStoreError, match="another process holds") as caught:
                other()
            assert str(path) in str(caught.value)
        log.rewrite(FEW, 0)  # another file: the lock must not go with the old one
        with pytest.raises(MemoryStoreError, match="another process holds"):
            opened(path)
        log.append(1, b"still mine")
    assert read(path) == ([*FEW, (1, b"still mine")], Damage())


def test_refused_opener_touches_nothing(path: Path) -> None:
    with opened(path) as log:
        log.append(1, b"x")
        torn = path.read_bytes() + b"a record is just being written"
        path.write_bytes(torn)
        with pytest.raises(MemoryStoreError):
            opened(path)
        assert path.read_bytes() == torn


def test_failed_opening_frees_the_lock(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"hello")
    for _ in range(2):
        with pytest.raises(MemoryStoreError, match="no query memory"):
            opened(path)


def test_modes_and_handles_are_closed_to_others(path: Path) -> None:
    with opened(path) as log:
        log.rewrite(FEW, 0)
        for name in (path.name, f".{path.name}.lock"):
            assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        for handle in (log._file, log._lock):
            assert fcntl.fcntl(handle, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_readable_file_is_closed_to_others_and_a_writable_one_refused(path: Path) -> None:
    filled(path, FEW)
    path.chmod(0o644)
    assert read(path)[0] == FEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for mode in (0o620, 0o602):
        path.chmod(mode)
        with pytest.raises(MemoryStoreError, match="others may write"):
            opened(path)


def test_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path, FEW)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(MemoryStoreError, match="belongs to another user"):
        opened(path)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe", "socket"])
def test_what_is_no_file_is_refused(path: Path, tmp_path: Path, kind: str) -> None:
    path.parent.mkdir()
    target = tmp_path / "target"
    if kind == "link":
        target.touch()
    if kind in ("link", "dangling"):
        path.symlink_to(target)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        here = os.open(tmp_path, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{here}/state/memory")  # its name may be only 107 long
        os.close(here)
    with pytest.raises(MemoryStoreError, match=r"no file|folder|link"):
        opened(path)
    assert not target.exists() or target.read_bytes() == b""


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(MemoryStoreError, match=r"is a file|File exists"):
        opened(tmp_path / "state" / "memory")


# In RAM


def test_log_in_ram_does_the_same(path: Path) -> None:
    rng = random.Random(11)
    ram = RamLog()
    with opened(path) as file:
        for round_ in range(30):
            record = (rng.randrange(256), rng.randbytes(rng.randrange(50)))
            for log in (ram, file):
                log.append(*record)
                if round_ % 7 == 6:
                    log.rewrite((r for r in log.records() if r[0] % 2), 0)
                if round_ == 20:
                    log.wipe()
            assert list(ram.records()) == list(file.records())
    ram.close()
    assert ram.size_bytes == sum(FRAME_BYTES + len(p) for _, p in ram.records())


def test_signal_is_not_mistaken_for_a_failed_write(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of a write: the next append starts at the right place."""
    write = os.pwrite

    def broken(handle: int, data: memoryview, at: int) -> int:
        write(handle, data[:7], at)
        signal.raise_signal(signal.SIGINT)
        return 7

    filled(path, FEW)
    # Where the tests run in the background, the signal is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with opened(path) as log:
        try:
            with monkeypatch.context() as patched:
                patched.setattr(os, "pwrite", broken)
                with pytest.raises(KeyboardInterrupt):
                    log.append(1, b"a long record that is broken off")
        finally:
            signal.signal(signal.SIGINT, before)
        log.append(2, b"")
        assert path.stat().st_size == log.size_bytes
    assert read(path) == ([*FEW, (2, b"")], Damage())
