"""The whole service on a card whose microphone hears a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from earmark.demo.clips import load_clips
from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, active_level_dbfs, gain
from earmark_host.bench.daemon import household, process
from earmark_host.bench.daemon.peer import Peer
from earmark_host.bench.daemon.service import Service, card_file


def test_it_hears_the_file_through_the_card_and_gives_a_verdict(tmp_path: Path) -> None:
    clips, rng = load_clips(), np.random.default_rng(0)
    said = [clips.wake("1").signal, clips.command("bread").signal]
    said = [one * np.float32(gain(-49.0 - active_level_dbfs(one))) for one in said]
    pauses = [np.zeros(round(length_s * RATE_HZ), np.float32) for length_s in (4.0, 0.3, 6.0)]
    sound = np.concatenate([pauses[0], said[0], pauses[1], said[1], pauses[2]])
    sound += rng.standard_normal(sound.size).astype(np.float32) * np.float32(gain(-74.0))
    household.settle(tmp_path, 1)
    card_file(tmp_path / "card.raw", sound)
    with Service(tmp_path, tmp_path / "card.raw", {}) as service:
        assert process.memory_mb(service.pid)["resident"] > 20.0
        assert service.wait_for(lambda: service.verdicts > 0, 90.0), service.log
        assert "decision=allow reason=fresh" in service.log
        assert process.cpu_s([service.pid]) > 0.0
        pid = service.pid
    assert process.memory_mb(pid) == {}


def test_a_service_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    card_file(tmp_path / "card.raw", np.zeros(RATE_HZ, np.float32))
    sections = {"nonce": {"level_dbspl_1m": 1e9}}
    with (
        pytest.raises(EarmarkError, match=r"nonce\.level_dbspl_1m"),
        Service(tmp_path, tmp_path / "card.raw", sections),
    ):
        pass


def test_a_peer_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="has no wyoming-satellite"):
        Peer(Path(sys.executable), tmp_path / "none.wav", tmp_path)


def test_processes_below_one_are_found() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert child.pid in process.descendants(os.getpid())
            assert process.descendants(child.pid) == [child.pid]
        finally:
            child.kill()
    assert process.cpu_s([child.pid]) == 0.0
