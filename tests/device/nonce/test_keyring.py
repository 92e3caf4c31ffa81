"""The key ring: what it remembers whatever the clock says, and what it survives."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from earmark.errors import KeyringError
from earmark.nonce import keyring
from earmark.nonce.keyring import MAX_FILE_BYTES, MAX_USED, VERSION, KeyRing
from earmark.nonce.keys import DAY_S, epoch_key, epoch_of, secret_id_of
from earmark.nonce.keys_settings import KeysSettings

NOW = 1_800_000_000.0
"""A wall-clock time in 2027, s since the epoch."""

SETTINGS = KeysSettings()
EPOCH = epoch_of(NOW, SETTINGS.epoch_days)
EPOCH_S = SETTINGS.epoch_days * DAY_S
YEAR_S = 365.25 * DAY_S


class Elapsed:
    """Elapsed time that the test makes pass."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def entropy(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def secret(seed: int) -> bytes:
    return entropy(seed)(32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.json"


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
def ring(path: Path, elapsed: Elapsed) -> KeyRing:
    return KeyRing.open(path, SETTINGS, entropy(1), elapsed)


@pytest.fixture
def unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For years of use in a second."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def reopened(ring: KeyRing, settings: KeysSettings = SETTINGS) -> KeyRing:
    """After a restart: elapsed time begins anew."""
    return KeyRing.open(ring._path, settings, entropy(99), Elapsed())


def use(ring: KeyRing, now: float) -> int:
    """Issue a nonce; its epoch."""
    key = ring.current(now)
    ring.note_used(key, now)
    return key.epoch


def names(ring: KeyRing, now: float) -> list[tuple[str, int]]:
    return [(key.secret_id, key.epoch) for key in ring.remembered(now)]


def epochs(ring: KeyRing, now: float) -> list[int]:
    return [key.epoch for key in ring.remembered(now)]


def exported(ring: KeyRing, now: float = NOW) -> io.BytesIO:
    file = io.BytesIO()
    ring.export(file, now)
    file.seek(0)
    return file


def share(ring: KeyRing) -> None:
    exported(ring)


def id_of(ring: KeyRing) -> str:
    return ring.current(NOW).secret_id


# What it is for


def test_fresh_secret_is_kept(path: Path) -> None:
    first = KeyRing.open(path, SETTINGS, entropy(1)).current(NOW)
    assert first == epoch_key(secret(1), EPOCH)
    assert KeyRing.open(path, SETTINGS, entropy(2)).current(NOW) == first


def test_every_device_draws_its_own(tmp_path: Path) -> None:
    rings = [KeyRing.open(tmp_path / str(number), SETTINGS) for number in range(3)]
    assert len({ring.current(NOW).key for ring in rings}) == 3


def test_file_and_folder_are_closed_to_others(path: Path) -> None:
    before = os.umask(0)
    try:
        ring = KeyRing.open(path, SETTINGS, entropy(1))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        use(ring, NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_open_file_is_closed_to_others_again(ring: KeyRing, path: Path) -> None:
    path.chmod(0o644)
    reopened(ring)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_epoch_is_found_by_its_name(ring: KeyRing) -> None:
    assert ring.epoch(id_of(ring), 7) == epoch_key(secret(1), 7)
    assert ring.epoch("00000000", 7) is None
    assert ring.epoch("", 7) is None
    assert ring.epoch(id_of(ring), -1) is None
    assert ring.epoch(id_of(ring), 10**9) is None


def test_file_is_written_once_an_epoch_and_once_a_day(
    ring: KeyRing, elapsed: Elapsed, path: Path
) -> None:
    written = []
    for _ in range(72):
        before = path.stat().st_ino, path.stat().st_mtime_ns
        use(ring, NOW + elapsed.s)
        written.append((path.stat().st_ino, path.stat().st_mtime_ns) != before)
        elapsed.s += 3600.0
    assert [hour for hour, changed in enumerate(written) if changed] == [0, 24, 48]
    assert use(ring, NOW + EPOCH_S) == EPOCH + 1
    assert json.loads(path.read_bytes())["used"][0]["epoch"] == EPOCH + 1


@pytest.mark.usefixtures("unflushed")
def test_three_years_of_use_keep_two_epochs(ring: KeyRing, elapsed: Elapsed) -> None:
    start = EPOCH * EPOCH_S
    for _ in range(3 * 365):
        elapsed.s += DAY_S
        now = start + elapsed.s
        assert use(ring, now) == epoch_of(now, SETTINGS.epoch_days)
        kept = epochs(ring, now)
        newest = kept[0]
        wanted = [newest, newest - 1] if newest > EPOCH else [newest]
        # A use is noted to the day, so the oldest may stay for a day more or less.
        assert kept in (wanted, [*wanted, newest - 2], [newest])
        if elapsed.s % EPOCH_S > 2 * DAY_S and elapsed.s % EPOCH_S < EPOCH_S - 2 * DAY_S:
            assert kept == wanted


@pytest.mark.usefixtures("unflushed")
def test_more_epochs_are_kept_when_wanted(path: Path, elapsed: Elapsed) -> None:
    settings = KeysSettings(epoch_days=30, epochs_kept=5, max_banks=6)
    ring = KeyRing.open(path, settings, entropy(1), elapsed)
    start = 30 * DAY_S * epoch_of(NOW, 30)
    for _ in range(400):
        use(ring, start + elapsed.s)
        elapsed.s += DAY_S
    newest = epoch_of(start + elapsed.s, 30)
    assert epochs(ring, start + elapsed.s) == [newest - back for back in range(5)]


def test_no_key_is_printed(ring: KeyRing, path: Path) -> None:
    share(ring)
    use(ring, NOW)
    ring.replace(secret(2), NOW)
    text = "\n".join([*ring.show(NOW), repr(ring), str(ring), repr(ring._state)])
    assert secret_id_of(secret(1)) in text
    for key in (secret(1), secret(2), *(key.key for key in ring.remembered(NOW))):
        assert key.hex() not in text
        assert repr(key)[2:-1] not in text
    assert secret(1).hex() in path.read_text()


def test_show_names_secret_and_epochs(ring: KeyRing) -> None:
    share(ring)
    use(ring, NOW)
    assert ring.show(NOW) == [
        f"Household secret {id_of(ring)} (shared), epochs of 180 days.",
        "Nonces are issued in epoch 115, from 2026-09-04.",
        "Recordings are searched for 2 epochs, 4 at most:",
        f"  secret {id_of(ring)}, epoch 115, from 2026-09-04, used here",
        f"  secret {id_of(ring)}, epoch 114, from 2026-03-08, used by other devices, if at all",
    ]
    assert ring.show(0.0)[2] == "The clock says 1970-01-01, but it has not been set."
    ring.show(1e30)


# Clocks


def test_new_device_without_a_clock_starts_in_1970(ring: KeyRing) -> None:
    assert use(ring, 12.0) == 0
    assert use(ring, NOW) == EPOCH
    assert epochs(ring, NOW) == [EPOCH, 0]


def test_boot_in_1970_goes_on_in_the_epoch_used_last(ring: KeyRing) -> None:
    use(ring, NOW)
    for _ in range(10):
        ring = reopened(ring)
        assert use(ring, 12.0) == EPOCH
        assert use(ring, NOW) == EPOCH
    assert epochs(ring, 12.0) == [EPOCH]


@pytest.mark.parametrize("step_s", [50 * YEAR_S, -1.5 * YEAR_S])
def test_clock_that_leaps_and_comes_back_forgets_nothing(
    ring: KeyRing, elapsed: Elapsed, step_s: float
) -> None:
    use(ring, NOW)
    there = epoch_of(NOW + step_s, 180)
    assert use(ring, NOW + step_s) == there
    elapsed.s += 100 * DAY_S
    assert epochs(ring, NOW + step_s) == [there, EPOCH]
    assert use(ring, NOW) == EPOCH
    assert epochs(ring, NOW) == [EPOCH, there]


def test_clock_that_is_set_a_hundred_times_forgets_nothing(ring: KeyRing) -> None:
    """Neither what was issued before, nor what was issued under a forged time."""
    issued = set()
    for jump in range(100):
        now = NOW + jump * YEAR_S
        issued.add(use(ring, now))
        assert issued <= set(epochs(ring, now))
        assert issued <= set(epochs(ring, NOW))
        assert len(epochs(ring, now)) <= SETTINGS.max_banks
    assert EPOCH in issued
    assert len(issued) == SETTINGS.max_banks
    assert "too many epochs are in use" in ring.show(NOW + 100 * YEAR_S)[2]


@pytest.mark.usefixtures("unflushed")
def test_forged_epochs_give_way_in_time(ring: KeyRing, elapsed: Elapsed) -> None:
    for jump in range(10):
        use(ring, NOW + jump * YEAR_S)
    for _ in range(SETTINGS.epoch_days + 1):
        elapsed.s += DAY_S
        use(ring, NOW + elapsed.s)
    now = NOW + elapsed.s
    assert use(ring, now) == epoch_of(now, 180) == EPOCH + 1
    assert epochs(ring, now) == [EPOCH + 1, EPOCH]


def test_restart_adds_a_week_at_most(ring: KeyRing) -> None:
    use(ring, NOW)
    forged = NOW + YEAR_S
    for restart in range(30):
        ring = reopened(ring)
        now = forged + restart * YEAR_S
        use(ring, now)
        assert ring._state.clock_s == pytest.approx(7 * DAY_S * (restart + 1))
        assert (EPOCH in epochs(ring, now)) == (7 * (restart + 1) <= 180)


def test_clock_set_right_after_the_start_counts_as_the_time_away(ring: KeyRing) -> None:
    use(ring, NOW)
    ring = reopened(ring)
    use(ring, 12.0)
    use(ring, NOW + 3 * DAY_S)
    assert ring._state.clock_s == pytest.approx(3 * DAY_S)


@pytest.mark.usefixtures("unflushed")
def test_device_that_is_used_weekly_keeps_pace(ring: KeyRing) -> None:
    start = EPOCH * EPOCH_S
    for week in range(104):
        ring = reopened(ring)
        now = start + week * 7 * DAY_S
        assert use(ring, now) == epoch_of(now, 180)
    assert len(epochs(ring, now)) <= 3


@pytest.mark.usefixtures("unflushed")
def test_with_one_epoch_kept_its_end_forgets_nothing(path: Path, elapsed: Elapsed) -> None:
    ring = KeyRing.open(path, KeysSettings(epochs_kept=1), entropy(1), elapsed)
    end = (EPOCH + 1) * EPOCH_S
    use(ring, end - 1.0)
    use(ring, end)
    assert epochs(ring, end) == [EPOCH + 1, EPOCH]
    for day in range(1, 60):
        elapsed.s += DAY_S
        use(ring, end + elapsed.s)
        assert (EPOCH in epochs(ring, end + elapsed.s)) == (day <= 30)
    assert epochs(ring, end + elapsed.s) == [EPOCH + 1]


def test_fewer_banks_than_epochs_in_use_keep_the_newest(ring: KeyRing) -> None:
    for jump in range(4):
        use(ring, NOW + jump * EPOCH_S)
    ring = reopened(ring, KeysSettings(epochs_kept=1, max_banks=2))
    assert epochs(ring, NOW + 3 * EPOCH_S) == [EPOCH + 3, EPOCH + 2]


# The household


def test_two_devices_of_a_household_know_each_other(tmp_path: Path) -> None:
    kitchen = KeyRing.open(tmp_path / "kitchen" / "keys.json", SETTINGS)
    attic = KeyRing.open(tmp_path / "attic" / "keys.json", SETTINGS)
    before = NOW - EPOCH_S
    use(kitchen, before)
    assert attic.import_(exported(kitchen), NOW)
    assert not attic.import_(exported(kitchen), NOW)
    issued = [kitchen.epoch(id_of(kitchen), EPOCH - 1), kitchen.current(NOW)]
    # The attic has never issued anything under this secret.
    assert set(issued) == set(attic.remembered(NOW))
    use(attic, NOW)
    assert attic.current(NOW) in kitchen.remembered(NOW)
    assert attic.current(NOW).stream("code", 3, 512) == kitchen.current(NOW).stream("code", 3, 512)


def test_epochs_of_others_are_not_searched_for_before_a_secret_is_shared(ring: KeyRing) -> None:
    use(ring, NOW)
    assert epochs(ring, NOW) == [EPOCH]
    share(ring)
    assert epochs(ring, NOW) == [EPOCH, EPOCH - 1]
    assert epochs(reopened(ring), NOW) == [EPOCH, EPOCH - 1]


def test_epochs_used_here_come_before_those_of_others(ring: KeyRing) -> None:
    share(ring)
    for later in (0, 2, 5):
        use(ring, NOW + later * EPOCH_S)
    now = NOW + 5 * EPOCH_S
    assert epochs(ring, now) == [EPOCH + 5, EPOCH + 2, EPOCH, EPOCH + 4]
    use(ring, now + 50 * EPOCH_S)
    assert epochs(ring, now) == [EPOCH + 5, EPOCH + 55, EPOCH + 2, EPOCH]


def test_replaced_secret_is_recognised_for_its_time(ring: KeyRing, elapsed: Elapsed) -> None:
    use(ring, NOW)
    old = ring.current(NOW)
    ring.replace(secret(2), NOW)
    new = ring.current(NOW)
    assert new == epoch_key(secret(2), EPOCH)
    assert old in ring.remembered(NOW)
    elapsed.s += 179 * DAY_S
    use(ring, NOW)
    assert old in ring.remembered(NOW)
    assert ring.epoch(old.secret_id, EPOCH) == old
    elapsed.s += 2 * DAY_S
    use(ring, NOW)
    assert old not in ring.remembered(NOW)
    assert ring.epoch(old.secret_id, EPOCH) is None
    assert secret(1).hex() not in ring._path.read_text()


def test_replaced_secret_of_a_household_keeps_what_others_used(ring: KeyRing) -> None:
    share(ring)
    old = id_of(ring)
    use(ring, NOW)
    ring.replace(secret(2), NOW)
    new = id_of(ring)
    assert names(ring, NOW) == [(new, EPOCH), (old, EPOCH), (new, EPOCH - 1), (old, EPOCH - 1)]


def test_secret_that_marked_nothing_goes_at_once(ring: KeyRing, path: Path) -> None:
    old = id_of(ring)
    ring.replace(secret(2), NOW)
    assert ring.epoch(old, EPOCH) is None
    assert secret(1).hex() not in path.read_text()
    assert [id_ for id_, _ in names(ring, NOW)] == [id_of(ring)] * 2


def test_retired_secret_can_come_back(ring: KeyRing) -> None:
    use(ring, NOW)
    old = ring.current(NOW)
    ring.replace(secret(2), NOW)
    use(ring, NOW)
    other = ring.current(NOW)
    ring.replace(secret(1), NOW)
    assert ring.current(NOW) == old
    assert {old, other} <= set(ring.remembered(NOW))
    assert len(ring._state.secrets) == 2


def test_epoch_of_others_becomes_ours_when_it_is_used(ring: KeyRing) -> None:
    share(ring)
    ring.replace(secret(2), NOW)
    ring.replace(secret(1), NOW)
    first = f"  secret {id_of(ring)}, epoch {EPOCH}, from 2026-09-04, used "
    assert first + "by other devices, if at all" in ring.show(NOW)
    use(ring, NOW)
    assert first + "here" in ring.show(NOW)


def test_new_secret_is_used_even_when_the_banks_are_full(ring: KeyRing) -> None:
    for jump in range(4):
        use(ring, NOW + jump * EPOCH_S)
    ring.replace(secret(2), NOW)
    assert use(ring, NOW) == EPOCH
    assert ring.current(NOW).secret_id == secret_id_of(secret(2))
    assert len(ring.remembered(NOW)) == SETTINGS.max_banks


@pytest.mark.usefixtures("unflushed")
def test_file_is_bounded(ring: KeyRing, path: Path) -> None:
    for number in range(2, MAX_USED + 20):
        ring.replace(secret(number), NOW)
        use(ring, NOW)
    assert len(ring._state.used) == MAX_USED
    assert path.stat().st_size < MAX_FILE_BYTES / 2
    assert names(reopened(ring), NOW) == names(ring, NOW)


# Several processes


def test_change_by_another_process_is_seen(ring: KeyRing) -> None:
    use(ring, NOW)
    old = ring.current(NOW)
    reopened(ring).replace(secret(2), NOW)
    assert ring.current(NOW).secret_id == secret_id_of(secret(2))
    assert old in ring.remembered(NOW)


def test_last_writer_loses_no_retired_secret(ring: KeyRing) -> None:
    """Both have read the file before either writes."""
    use(ring, NOW)
    first, second = reopened(ring), reopened(ring)
    first.replace(secret(2), NOW)
    use(first, NOW)
    second.replace(secret(3), NOW)
    ids = [secret_id_of(secret(number)) for number in (3, 2, 1)]
    assert names(ring, NOW)[0] == (ids[0], EPOCH)
    assert all(ring.epoch(id_, EPOCH) for id_ in ids)


def test_key_of_a_dropped_secret_is_not_played(ring: KeyRing) -> None:
    key = ring.current(NOW)
    reopened(ring).replace(secret(2), NOW)
    with pytest.raises(KeyringError, match="was replaced: start a new session"):
        ring.note_used(key, NOW)


WRITER = """
import random, sys
from pathlib import Path
from earmark.nonce import keyring
from earmark.nonce.keyring import KeyRing
from earmark.nonce.keys_settings import KeysSettings
keyring.LOCK_WAIT_S = 60.0  # this machine may be busy
ring = KeyRing.open(Path(sys.argv[1]), KeysSettings())
print("ready", flush=True)
sys.stdin.readline()
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    ring.replace(random.Random(seed).randbytes(32), 1.8e9)
    print(seed, flush=True)
"""


def writer(path: Path, first: int, end: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_at_once_lose_nothing(path: Path) -> None:
    processes = [writer(path, first, first + 12) for first in (100, 200)]
    for process in processes:
        start(process)
    written = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [len(seeds) for seeds in written] == [12, 12]
    ring = KeyRing.open(path, SETTINGS)
    ids = [secret_id_of(secret(int(seed))) for seeds in written for seed in seeds]
    assert all(ring.epoch(id_, EPOCH) for id_ in ids)
    assert list(path.parent.iterdir()) == [path]


def test_killed_writer_leaves_a_whole_file(path: Path) -> None:
    process = writer(path, 0, 100_000)
    start(process)
    assert process.stdout
    seeds = [process.stdout.readline() for _ in range(20)]
    process.send_signal(signal.SIGKILL)
    seeds += process.stdout.read().splitlines(keepends=True)
    process.wait()
    ring = KeyRing.open(path, SETTINGS)
    last = int([seed for seed in seeds if seed.endswith("\n")][-1])
    # The last that it said it had, or the one that it was about to say.
    assert id_of(ring) in {secret_id_of(secret(seed)) for seed in (last, last + 1)}
    ring.replace(secret(500_000), NOW)
    assert list(path.parent.iterdir()) == [path]


def test_threads_may_share_it(ring: KeyRing) -> None:
    failures = []

    def work(first: int) -> None:
        try:
            for number in range(first, first + 8):
                ring.replace(secret(number), NOW)
                ring.remembered(NOW)
        except KeyringError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ring._state.secrets) == 24


def test_two_first_starts_at_once_draw_one_secret(path: Path) -> None:
    path.parent.mkdir()
    faster: list[KeyRing] = []

    def slow(size: int) -> bytes:
        raise AssertionError("the file was there already")

    @contextmanager
    def late(file: Path) -> Iterator[int]:
        with keyring_locked(file) as folder:
            if not faster:
                secret_file = keyring._State(
                    earmark_keys=VERSION,
                    clock_s=0.0,
                    wall_s=None,
                    secrets=(keyring._secret(secret(5), shared=False),),
                    used=(),
                )
                keyring._write(file, folder, secret_file)
            yield folder

    keyring_locked = keyring._locked
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyring, "_locked", late)
        ring = KeyRing.open(path, SETTINGS, slow)
    assert id_of(ring) == secret_id_of(secret(5))


# Failures: each one clear line, and closed


def test_folder_held_by_another_process(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "LOCK_WAIT_S", 0.0)
    folder = os.open(ring._path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(KeyringError, match="another process holds the key ring"):
            use(ring, NOW)
        assert ring.current(NOW).epoch == EPOCH
    finally:
        os.close(folder)
    use(ring, NOW)


def test_full_disk_leaves_the_ring_as_it_was(ring: KeyRing, path: Path) -> None:
    """A real write error: no file may grow past 100 bytes, then it may again."""
    before, key = path.read_bytes(), ring.current(NOW)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(KeyringError, match=r"disk is full: free some space; no session"):
            ring.note_used(key, NOW)
        with pytest.raises(KeyringError, match="disk is full"):
            ring.replace(secret(2), NOW)
        with pytest.raises(KeyringError, match="disk is full"):
            ring.export(io.BytesIO(), NOW)
        with pytest.raises(KeyringError, match="disk is full"):
            KeyRing.open(path.with_name("other.json"), SETTINGS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert ring.current(NOW) == key
    ring.note_used(key, NOW)
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    ("call", "number", "message"),
    [
        ("fsync", errno.EIO, "check the disk"),
        ("fsync", errno.ENOSPC, "disk is full"),
        ("replace", errno.EROFS, "read-only"),
    ],
)
def test_flush_that_fails_is_named(
    ring: KeyRing, path: Path, call: str, number: int, message: str
) -> None:
    before = path.read_bytes()

    def failing(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(KeyringError, match=message):
            use(ring, NOW)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    use(ring, NOW)


def test_file_and_folder_are_flushed(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content before the new name, the name before this returns."""
    done = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    use(ring, NOW)
    assert done == ["file", "rename", "folder"]


def test_what_root_writes_stays_the_services(
    ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda handle, user, group: given.append((user, group)))
    use(ring, NOW)
    found = ring._path.parent.stat()
    assert given == [(found.st_uid, found.st_gid)]


def valid(**changes: object) -> bytes:
    values: dict[str, object] = {
        "earmark_keys": VERSION,
        "clock_s": 0.0,
        "wall_s": None,
        "secrets": [{"secret": secret(1).hex(), "shared": False}],
        "used": [],
    }
    return json.dumps(values | changes).encode()


def entry(**changes: object) -> dict[str, object]:
    return {
        "secret_id": secret_id_of(secret(1)),
        "epoch": EPOCH,
        "last_s": 0.0,
        "here": True,
    } | changes


def test_file_as_these_tests_write_it_is_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(valid(used=[entry()]))
    assert KeyRing.open(path, SETTINGS).remembered(NOW) == (epoch_key(secret(1), EPOCH),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (valid()[:-10], "Invalid JSON"),
        (valid()[:40], "Invalid JSON"),
        (valid() + b"x", "Invalid JSON"),
        (random.Random(1).randbytes(500), "Invalid JSON"),
        (b"[]", "object"),
        (b"{}", "earmark_keys: Field required"),
        (b"[" * 60_000, "Invalid JSON"),
        (b" " * (MAX_FILE_BYTES + 1), "larger than 65536 bytes"),
        (valid(earmark_keys="1"), "earmark_keys"),
        (valid(earmark_keys=0), "no version 0"),
        (valid(more=1), "more"),
        (valid(clock_s=-1.0), "clock_s"),
        (valid(clock_s=float("nan")), "clock_s"),
        (valid(wall_s=1e300), "wall_s"),
        (valid(secrets=[]), "secrets"),
        (valid(secrets=[{"secret": "00", "shared": False}]), r"secrets\.0\.secret"),
        (valid(secrets=[{"secret": "z" * 64, "shared": False}]), r"secrets\.0\.secret"),
        (valid(secrets=[{"secret": secret(1).hex()}]), r"secrets\.0\.shared"),
        (valid(secrets=2 * [{"secret": secret(1).hex(), "shared": False}]), "in it twice"),
        (valid(used=[entry(secret_id="00000000")]), "secret of an epoch is missing"),
        (valid(used=[entry(epoch=-1)]), r"used\.0\.epoch"),
        (valid(used=[entry(epoch=10**30)]), r"used\.0\.epoch"),
        (valid(used=[entry(epoch=1.5)]), r"used\.0\.epoch"),
        (valid(used=[entry(last_s=float("inf"))]), r"used\.0\.last_s"),
        (valid(used=(MAX_USED + 1) * [entry()]), "used"),
    ],
)
def test_damaged_file_is_refused_untouched(path: Path, content: bytes, message: str) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(KeyringError, match=message) as caught:
        KeyRing.open(path, SETTINGS)
    assert str(path) in str(caught.value)
    assert "restore the file" in caught.value.do
    assert secret(1).hex() not in str(caught.value)
    assert path.read_bytes() == content


def test_newer_version_is_refused_untouched(path: Path) -> None:
    path.parent.mkdir()
    content = valid(earmark_keys=VERSION + 1, something="new")
    path.write_bytes(content)
    with pytest.raises(KeyringError, match=f"version {VERSION + 1}.*install the newer"):
        KeyRing.open(path, SETTINGS)
    assert path.read_bytes() == content


def test_file_that_is_damaged_while_it_is_open(ring: KeyRing, path: Path) -> None:
    ring.current(NOW)
    path.write_bytes(path.read_bytes()[:50])
    for action in (ring.current, ring.remembered, ring.show):
        with pytest.raises(KeyringError, match="restore the file"):
            action(NOW)
    with pytest.raises(KeyringError, match="restore the file"):
        ring.replace(secret(2), NOW)


def test_file_that_vanishes_while_it_is_open_is_not_made_anew(ring: KeyRing, path: Path) -> None:
    key = ring.current(NOW)
    path.unlink()
    with pytest.raises(KeyringError, match="the key ring is gone: restore"):
        ring.current(NOW)
    with pytest.raises(KeyringError, match="gone"):
        ring.note_used(key, NOW)
    assert not path.exists()


def test_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match=r"is a folder: set keys.path to a file"):
        KeyRing.open(tmp_path, SETTINGS)


def test_pipe_in_place_of_the_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyringError, match="is no file"):
        KeyRing.open(tmp_path / "pipe", SETTINGS)


@pytest.mark.parametrize("target", ["there", "nowhere"])
def test_link_in_place_of_the_file(tmp_path: Path, target: str) -> None:
    (tmp_path / "there").write_bytes(valid())
    (tmp_path / "link").symlink_to(tmp_path / target)
    with pytest.raises(KeyringError, match="is a link"):
        KeyRing.open(tmp_path / "link", SETTINGS)
    assert not (tmp_path / "nowhere").exists()


def test_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyringError, match="folder cannot be created"):
        KeyRing.open(tmp_path / "file" / "below" / "keys.json", SETTINGS)
    with pytest.raises(KeyringError, match="folder cannot be created"):
        KeyRing.open(tmp_path / "file" / "keys.json", SETTINGS)


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


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o000, 0o755), (0o600, 0o000)])
def test_file_that_may_not_be_read(file_mode: int, folder_mode: int) -> None:
    folder = Path(tempfile.mkdtemp())  # not under pytest's own folder, which is closed to others
    try:
        file = folder / "keys.json"
        KeyRing.open(file, SETTINGS)
        file.chmod(file_mode)
        folder.chmod(folder_mode)
        with as_a_plain_user(), pytest.raises(KeyringError, match="denied: make it and its folder"):
            KeyRing.open(file, SETTINGS)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_folder_that_may_not_be_written() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        ring = KeyRing.open(folder / "keys.json", SETTINGS)
        if os.geteuid() == 0:
            os.chown(folder / "keys.json", 65_534, 65_534)
        folder.chmod(0o555)
        with as_a_plain_user():
            key = ring.current(NOW)
            with pytest.raises(KeyringError, match="denied: make it and its folder"):
                ring.note_used(key, NOW)
            with pytest.raises(KeyringError, match="denied"):
                KeyRing.open(folder / "new.json", SETTINGS)
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_secret_of_another_length(path: Path, ring: KeyRing, size: int) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="32 bytes"):
        ring.replace(secret(1)[:size] if size < 32 else secret(1) + b"x", NOW)
    with pytest.raises(ValueError, match="32 bytes"):
        KeyRing.open(path.with_name("new"), SETTINGS, lambda _: bytes(size))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("empty", [bytes(32), b"\xff" * 32, b"\xde\xad\xbe\xef" * 8])
def test_secret_out_of_an_empty_memory(ring: KeyRing, path: Path, empty: bytes) -> None:
    with pytest.raises(KeyringError, match="not random"):
        ring.replace(empty, NOW)
    with pytest.raises(KeyringError, match="not random"):
        KeyRing.open(path.with_name("new"), SETTINGS, lambda _: empty)


def test_two_secrets_of_one_name(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    use(ring, NOW)
    first = id_of(ring)
    monkeypatch.setattr(keyring, "secret_id_of", lambda _: first)
    with pytest.raises(KeyringError, match="two secrets have the name"):
        ring.replace(secret(2), NOW)


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
def test_time_that_is_none(ring: KeyRing, now: float) -> None:
    for action in (ring.current, ring.remembered, ring.show):
        with pytest.raises(ValueError, match="finite"):
            action(now)


def line(**changes: object) -> bytes:
    values: dict[str, object] = {
        "earmark_secret": 1,
        "secret": secret(2).hex(),
        "secret_id": secret_id_of(secret(2)),
        "epoch_days": 180,
    }
    return json.dumps(values | changes).encode() + b"\n"


def test_export_as_these_tests_write_it_is_read(ring: KeyRing) -> None:
    assert ring.import_(io.BytesIO(line()), NOW)
    assert exported(ring).read() == line().replace(b" ", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid JSON"),
        (line()[:60], "Invalid JSON"),
        (line() + line(), "Invalid JSON"),
        (line() + b" " * 1024, "longer than 1024 bytes"),
        (b'{"earmark_ledger":1}\n', "earmark_secret: Field required"),
        (valid(), "earmark_secret: Field required"),
        (line(earmark_secret=2, new=1), "version is not 1"),
        (line(secret=secret(2).hex()[:-2]), "secret: "),
        (line(secret=secret(3).hex()), "does not match its name"),
        (line(secret="00" * 32, secret_id=secret_id_of(bytes(32))), "not random"),
        (line(epoch_days=90), "epochs of 90 days, this device of 180: set keys.epoch_days to 90"),
        (line(more=1), "more"),
    ],
)
def test_wrong_import_changes_nothing(
    ring: KeyRing, path: Path, content: bytes, message: str
) -> None:
    before = path.read_bytes()
    with pytest.raises(KeyringError, match=message) as caught:
        ring.import_(io.BytesIO(content), NOW)
    assert secret(2).hex() not in str(caught.value)
    assert path.read_bytes() == before
