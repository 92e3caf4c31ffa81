"""What is looked at before any sound."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from earmark.config import Config
from earmark.doctor import Found, Grade
from earmark_calibration.preflight import levels, preflight, stops


def config(tmp_path: Path) -> Config:
    base = Config()
    return base.model_copy(
        update={
            "audio": base.audio.model_copy(update={"kind": "simulated"}),
            "control": base.control.model_copy(
                update={"path": tmp_path / "no.sock", "mute_file": tmp_path / "muted"}
            ),
            "ledger": base.ledger.model_copy(update={"path": tmp_path / "ledger.sqlite"}),
        }
    )


def named(found: list[Found], name: str) -> Found:
    return next(one for one in found if one.name == name)


def test_a_device_that_is_ready_is_not_stopped(tmp_path: Path) -> None:
    found = preflight(config(tmp_path), tmp_path / "earmark.yaml", hardware=True)
    assert stops(found) == []
    for name in ("clock", "sound", "speaker model", "space", "daemon", "mute", "settings folder"):
        assert named(found, name).grade is not Grade.FAIL


def test_a_muted_microphone_stops_it(tmp_path: Path) -> None:
    (tmp_path / "muted").touch()
    found = preflight(config(tmp_path), tmp_path / "earmark.yaml", hardware=True)
    assert [one.name for one in stops(found)] == ["mute"]
    assert named(found, "mute").do == "earmark unmute"
    # The simulated room has no such switch.
    assert stops(preflight(config(tmp_path), tmp_path / "earmark.yaml", hardware=False)) == []


def test_a_running_daemon_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earmark_calibration.preflight.ask", lambda *_: {"status": {}})
    found = preflight(config(tmp_path), tmp_path / "earmark.yaml", hardware=True)
    assert [one.name for one in stops(found)] == ["daemon"]
    assert "systemctl stop earmark" in named(found, "daemon").do


def test_a_settings_folder_that_is_a_file_stops_it(tmp_path: Path) -> None:
    (tmp_path / "earmark.d").touch()
    found = preflight(config(tmp_path), tmp_path / "earmark.yaml", hardware=False)
    assert [one.name for one in stops(found)] == ["settings folder"]


def test_without_the_right_to_write_the_settings_it_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    found = preflight(config(tmp_path), tmp_path / "earmark.yaml", hardware=False)
    assert asked == [(tmp_path, os.W_OK)]
    assert stops(found) == []  # a dry run writes none
    assert "sudo earmark-calibrate" in named(found, "settings folder").do


def test_silence_and_clipping_stop_it_with_advice() -> None:
    rng = np.random.default_rng(1)
    quiet = (1e-4 * rng.standard_normal(16_000)).astype(np.float32)
    assert stops(levels(quiet)) == []
    (silent,) = stops(levels(np.zeros(16_000, np.float32)))
    assert "digital silence" in silent.found
    loud = np.clip(3.0 * rng.standard_normal(16_000), -1.0, 1.0).astype(np.float32)
    (clips,) = stops(levels(loud))
    assert clips.name == "clipping"
    assert "gain down by" in clips.do
    knock = quiet.copy()
    knock[100:102] = 1.0
    assert stops(levels(knock)) == []
