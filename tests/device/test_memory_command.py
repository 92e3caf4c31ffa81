"""``earmark memory``: what is kept after alarms is shown, approved, forgotten and wiped."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from earmark import cli
from earmark.demo.clips import Clips
from earmark.memory import MemorySettings, QueryMemory, Recollection, Sign

FIRST_S = 1_767_323_045.0  # 2026-01-02 03:04:05 UTC
DAY_S = 86_400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture
def opened(folder: Path) -> Callable[[], QueryMemory]:
    """Opens the store as the daemon does."""
    return lambda: QueryMemory.open(MemorySettings(folder=folder), os.urandom)


@pytest.fixture
def hears(clips: Clips, opened: Callable[[], QueryMemory]) -> Callable[..., list[Recollection]]:
    """The device hears near-copies of a clip, one a day."""

    def heard(name: str, times: int, first_s: float = FIRST_S) -> list[Recollection]:
        clip = clips.command(name).spoken
        random = np.random.default_rng(7)
        with closing(opened()) as memory:
            return [
                memory.examine(
                    (clip + 1e-3 * random.standard_normal(clip.size)).astype(np.float32),
                    first_s + number * DAY_S,
                )
                for number in range(times)
            ]

    return heard


@pytest.fixture
def memory(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Standard output and standard error of ``earmark memory``; one of both is empty."""
    settings = tmp_path / "earmark.yaml"
    settings.write_text(f"memory: {{folder: {folder}}}\n")

    def command(*words: object) -> tuple[str, str]:
        arguments = ["earmark", "memory", *map(str, words), "--config", str(settings)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", arguments)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == (2 if err else 0)
        assert len(err.splitlines()) <= 1
        return out, err

    return command


def test_list_shows_what_is_kept(
    memory: Callable[..., tuple[str, str]], hears: Callable[..., list[Recollection]]
) -> None:
    assert memory("list")[0] == "Nothing is kept: no command was heard again and again.\n"
    hears("toast", 1)
    attack = hears("lobsters", 7)[-1]
    head, line = memory("list")[0].splitlines()
    assert head.split() == ["id", "state", "carrier", "heard", "first", "last"]
    assert re.split(r"\s{2,}", line.strip()) == [
        str(attack.cluster),
        "attack",
        "speech",
        "7",
        "2026-01-02 03:04Z",
        "2026-01-08 03:04Z",
    ]


def test_what_was_approved_passes_and_is_shown_so(
    memory: Callable[..., tuple[str, str]], hears: Callable[..., list[Recollection]]
) -> None:
    attack = hears("lobsters", 6)[-1]
    assert attack.sign is Sign.COPIES
    out, _ = memory("approve", attack.cluster)
    assert out.startswith(f"Approved {attack.cluster}")
    assert " approved " in memory("list")[0]
    assert hears("lobsters", 1)[0].sign is Sign.APPROVED


def test_what_was_forgotten_is_gone(
    memory: Callable[..., tuple[str, str]], hears: Callable[..., list[Recollection]]
) -> None:
    attack = hears("lobsters", 6)[-1]
    assert memory("forget", attack.cluster)[0] == f"Forgot {attack.cluster}.\n"
    assert memory("list")[0].startswith("Nothing")


def test_wipe_forgets_queries_and_attacks(
    memory: Callable[..., tuple[str, str]],
    hears: Callable[..., list[Recollection]],
    folder: Path,
) -> None:
    hears("lobsters", 6)
    assert memory("wipe", "--yes")[0] == f"Removed the query memory in {folder}.\n"
    assert list(folder.glob("*.log")) == []
    assert memory("list")[0].startswith("Nothing")
    assert hears("lobsters", 1)[0].copies == 0


def test_wipe_removes_also_what_cannot_be_read_and_needs_no_store(
    memory: Callable[..., tuple[str, str]], folder: Path
) -> None:
    memory("wipe", "--yes")
    folder.mkdir(exist_ok=True)
    for name in ("neighbours-1.log", "paper-1.log"):
        (folder / name).write_bytes(b"damaged beyond use" * 100)
    assert "move the file away" in memory("list")[1]
    memory("wipe", "--yes")
    assert memory("list")[0].startswith("Nothing")
    assert not (folder / "paper-1.log").exists()


def test_wipe_asks_first(
    memory: Callable[..., tuple[str, str]],
    hears: Callable[..., list[Recollection]],
    folder: Path,
    tmp_path: Path,
) -> None:
    from typer.testing import CliRunner

    hears("lobsters", 6)
    words = ["memory", "wipe", "--config", str(tmp_path / "earmark.yaml")]
    ended = CliRunner().invoke(cli.app, words, input="n\n")
    assert ended.exit_code == 1
    assert str(folder) in ended.output
    assert " attack " in memory("list")[0]


# Failures


@pytest.mark.parametrize("words", [("list",), ("approve", 0), ("forget", 0), ("wipe", "--yes")])
def test_while_the_daemon_runs(
    memory: Callable[..., tuple[str, str]],
    opened: Callable[[], QueryMemory],
    words: tuple[object, ...],
    folder: Path,
) -> None:
    with closing(opened()):
        assert memory(*words)[1] == (
            f"earmark: {folder / 'neighbours-1.log'}: another process holds the query memory: "
            "stop the daemon first: systemctl stop earmark\n"
        )
    assert memory("list")[0]


@pytest.mark.parametrize("command", ["approve", "forget"])
def test_an_id_that_is_not_kept(command: str, memory: Callable[..., tuple[str, str]]) -> None:
    err = memory(command, 17)[1]
    assert err == ("earmark: the query memory keeps no 17: choose one from `earmark memory list`\n")


@pytest.mark.parametrize("words", [("list",), ("wipe", "--yes")])
def test_a_memory_without_a_folder(
    words: tuple[str, ...], memory: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "earmark.yaml").write_text("memory: {folder: null}\n")
    assert "memory.folder is null" in memory(*words)[1]


def test_a_folder_that_is_a_file(memory: Callable[..., tuple[str, str]], folder: Path) -> None:
    folder.touch()
    assert str(folder) in memory("list")[1]
