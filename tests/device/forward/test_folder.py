"""The folder of allowed commands: whole, private, bounded, and intact after a crash."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from earmark.errors import ForwardError
from earmark.forward import INDEX, FolderForwarder, ForwardSettings, open_forwarder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "commands"


def entries(folder: Path) -> list[dict[str, Any]]:
    index = folder / INDEX
    return [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []


def wavs(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.wav"))


def test_a_command_becomes_a_wav_file_and_a_line_that_names_it(folder: Path, make: Any) -> None:
    forwarder = open_forwarder(ForwardSettings(folder=folder))
    forwarder.send(make(1))
    forwarder.send(make(2, seconds=1.5))
    forwarder.close()

    assert [entry["session"] for entry in entries(folder)] == ["s0001", "s0002"]
    assert [entry["file"] for entry in entries(folder)] == wavs(folder)
    assert soundfile.info(folder / entries(folder)[1]["file"]).duration == 1.5


def test_folder_and_files_are_for_the_owner_alone(folder: Path, make: Any) -> None:
    before = os.umask(0)
    try:
        FolderForwarder(folder, 10).send(make())
    finally:
        os.umask(before)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_the_line_comes_after_the_file_is_whole(
    folder: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool, int]] = []
    fsync = os.fsync

    def watch(file: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{file}")).name
        seen.append((name, (folder / INDEX).exists(), len(wavs(folder))))
        fsync(file)

    monkeypatch.setattr(os, "fsync", watch)
    FolderForwarder(folder, 10).send(make())

    part, directory, index, _ = seen
    assert part[0].endswith(".wav.part")
    assert part[1:] == (False, 0)
    assert directory == ("commands", False, 1)
    assert index == (INDEX, True, 1)


def test_only_the_latest_are_kept(folder: Path, make: Any) -> None:
    forwarder = FolderForwarder(folder, 3)
    for number in range(1, 21):
        forwarder.send(make(number, seconds=0.05))
        assert len(entries(folder)) <= 6

    assert [name[-9:-4] for name in wavs(folder)] == ["s0018", "s0019", "s0020"]
    assert [entry["session"] for entry in entries(folder)][-3:] == ["s0018", "s0019", "s0020"]


def test_the_oldest_goes_by_order_even_when_the_clock_jumps_back(folder: Path, make: Any) -> None:
    forwarder = FolderForwarder(folder, 2)
    for number, woken in enumerate([2e9, 1.9e9, 100.0], start=1):
        forwarder.send(make(number, woken_unix_s=woken))

    assert {name[-9:-4] for name in wavs(folder)} == {"s0002", "s0003"}


def test_files_of_others_are_not_touched(folder: Path, make: Any) -> None:
    folder.mkdir(parents=True, mode=0o700)
    own = [folder / "holiday.wav", folder / "notes.txt", folder / "film.part"]
    for path in own:
        path.write_bytes(b"mine")
    forwarder = FolderForwarder(folder, 1)
    forwarder.send(make(1))
    forwarder.send(make(2))

    assert all(path.read_bytes() == b"mine" for path in own)


def test_a_session_is_forwarded_once_also_after_a_restart(folder: Path, make: Any) -> None:
    forwarder = FolderForwarder(folder, 10)
    forwarder.send(make(1))
    with pytest.raises(ForwardError, match="s0001 is already"):
        forwarder.send(make(1))
    forwarder.close()

    with pytest.raises(ForwardError, match="s0001 is already"):
        FolderForwarder(folder, 10).send(make(1))
    assert len(entries(folder)) == 1


def test_what_a_power_cut_tore_is_cleared_away(folder: Path, make: Any) -> None:
    forwarder = FolderForwarder(folder, 10)
    forwarder.send(make(1))
    forwarder.close()
    whole = (folder / INDEX).read_bytes()
    part = folder / "20260101T000000Z_s0002.wav.part"
    part.write_bytes(b"RIFF")
    (folder / INDEX).write_bytes(whole + b'{"file": "20260101T0000')

    forwarder = FolderForwarder(folder, 10)

    assert (folder / INDEX).read_bytes() == whole
    assert not part.exists()
    forwarder.send(make(2))
    assert [entry["session"] for entry in entries(folder)] == ["s0001", "s0002"]


def test_a_smaller_count_after_a_restart_shortens_folder_and_index(folder: Path, make: Any) -> None:
    forwarder = FolderForwarder(folder, 10)
    for number in range(1, 10):
        forwarder.send(make(number, seconds=0.02))
    forwarder.close()

    FolderForwarder(folder, 2).send(make(10))

    assert {name[-9:-4] for name in wavs(folder)} == {"s0009", "s0010"}
    assert [entry["session"] for entry in entries(folder)] == ["s0009", "s0010"]


def test_closing_twice_is_harmless_and_frees_the_folder(folder: Path) -> None:
    forwarder = FolderForwarder(folder, 2)
    forwarder.close()
    forwarder.close()
    FolderForwarder(folder, 2).close()


class TestFailures:
    """One clear line, and nothing half left."""

    def test_a_folder_that_others_can_open(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        with pytest.raises(ForwardError, match=r"mode 0755.*chmod 700"):
            FolderForwarder(folder, 2)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755

    def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "commands").write_text("")
        with pytest.raises(ForwardError, match="commands: File exists"):
            FolderForwarder(tmp_path / "commands", 2)

    def test_a_place_where_none_can_be_made(self) -> None:
        with pytest.raises(ForwardError, match=r"cannot use /proc/earmark"):
            FolderForwarder(Path("/proc/earmark"), 2)

    def test_a_folder_that_may_not_be_written(self, nobodys_home: Path, make: Any) -> None:
        folder = nobodys_home / "commands"
        forwarder = FolderForwarder(folder, 2)
        folder.chmod(0o500)
        try:
            with pytest.raises(ForwardError, match="Permission denied"):
                forwarder.send(make())
        finally:
            folder.chmod(0o700)

    def test_a_folder_that_was_removed_meanwhile(self, folder: Path, make: Any) -> None:
        forwarder = FolderForwarder(folder, 2)
        folder.rmdir()
        with pytest.raises(ForwardError, match="No such file"):
            forwarder.send(make())

    def test_two_at_the_same_folder(self, folder: Path) -> None:
        first = FolderForwarder(folder, 2)
        with pytest.raises(ForwardError, match="in use by another process"):
            FolderForwarder(folder, 2)
        first.close()

    @pytest.mark.parametrize(
        "content",
        [
            b"not JSON\n",
            b'{"session": "a"}\n',
            b'{"session": "a", "file": "../../x.wav"}\n',
            b"[1]\n",
            b"\x00" * 70_000 + b"\n",
        ],
    )
    def test_an_index_that_is_not_ours(self, folder: Path, content: bytes) -> None:
        folder.mkdir(parents=True, mode=0o700)
        (folder / INDEX).write_bytes(content)
        with pytest.raises(ForwardError, match="move it away"):
            FolderForwarder(folder, 2)
        assert (folder / INDEX).read_bytes() == content

    def test_an_index_that_is_a_link_is_not_followed(
        self, folder: Path, tmp_path: Path, make: Any
    ) -> None:
        forwarder = FolderForwarder(folder, 2)
        (tmp_path / "victim").write_text("")
        (folder / INDEX).symlink_to(tmp_path / "victim")
        with pytest.raises(ForwardError, match="cannot store"):
            forwarder.send(make())
        assert (tmp_path / "victim").read_text() == ""
        assert wavs(folder) == []

    @pytest.mark.parametrize("failing", ["part", "folder", "index"])
    def test_a_disk_that_fails_on_the_way(
        self, folder: Path, make: Any, monkeypatch: pytest.MonkeyPatch, failing: str
    ) -> None:
        forwarder = FolderForwarder(folder, 5)
        forwarder.send(make(1))
        before = (folder / INDEX).read_bytes()
        names = {"part": ".part", "folder": folder.name, "index": INDEX}
        fsync = os.fsync

        def full(file: int) -> None:
            if os.readlink(f"/proc/self/fd/{file}").endswith(names[failing]):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(file)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(ForwardError, match=r"No space left on device: free some space"):
                forwarder.send(make(2))

        assert (folder / INDEX).read_bytes() == before
        assert wavs(folder) == [entries(folder)[0]["file"]]
        assert len(list(folder.iterdir())) == 2
        forwarder.send(make(2))
        assert len(wavs(folder)) == 2

    def test_a_disk_that_is_full(self, folder: Path) -> None:
        """A real one: the kernel takes part of the file and then refuses."""
        program = """
import resource, sys
from pathlib import Path
import numpy as np
from earmark.errors import ForwardError
from earmark.forward import Command, FolderForwarder
from earmark.gate import Decision, Reason, Verdict

def command(number, seconds):
    audio = np.zeros(int(16000 * seconds), np.float32)
    verdict = Verdict(Decision.ALLOW, Reason.FRESH, ())
    return Command(audio, f"s{number}", "d", "p", 1e9, (), verdict)

forwarder = FolderForwarder(Path(sys.argv[1]), 5)
forwarder.send(command(1, 0.1))
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    forwarder.send(command(2, 2.0))
except ForwardError as error:
    print(error)
forwarder.send(command(3, 0.1))
"""
        ended = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith(f"cannot store a command in {folder}: File too large: free")
        assert ended.stdout.count("\n") == 1
        assert [entry["session"] for entry in entries(folder)] == ["s1", "s3"]
        assert sorted([INDEX, *wavs(folder)]) == sorted(p.name for p in folder.iterdir())
        assert len(wavs(folder)) == 2
