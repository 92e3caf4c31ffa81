"""The technician's measurements through a real sound server, against the room's known truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import signal as sps
from tests.e2e.room import AMBIENT_DBSPL, LOUDSPEAKER, SETTINGS, VirtualRoom
from tests.e2e.server import CLIENT_PRIORITY, RATE_HZ, end, realtime

from earmark_calibration.measure import THIRDS
from earmark_calibration.measure.decay import reverberation

ROOT = Path(__file__).resolve().parents[2]

LONGEST_S = 240.0
"""For 60 s of sound and the starts; a loaded machine repeats what it spoilt."""


CANCELLER = """
context.properties = { log.level = 2 support.dbus = false }
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    support.* = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-rt args = { nice.level = -11 } flags = [ ifexists nofail ] }
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-echo-cancel args = {
        library.name = aec/libspa-aec-webrtc
        audio.rate = 48000
        audio.channels = 1
        audio.position = [ MONO ]
        capture.props = {
            node.name = "canceller.capture"
            target.object = "air" node.target = "air" stream.capture.sink = true
        }
        source.props = { node.name = "canceller_source" }
        sink.props = { node.name = "canceller_sink" session.suspend-timeout-seconds = 0 }
        playback.props = {
            node.name = "canceller.playback"
            target.object = "loudspeaker" node.target = "loudspeaker"
        }
    } }
]
"""
"""WebRTC's echo canceller between the device and its sound card, as desktops and images for
speakers have it."""


@dataclass(frozen=True)
class Found:
    values: dict[str, float]
    faults: list[str]
    received: list[bool]
    streams: int
    clicks_s: np.ndarray
    response_db: np.ndarray
    impulse: np.ndarray


@pytest.fixture(scope="module")
def found(room: VirtualRoom, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """One run; a second only if the stream did not hold, which a loaded machine may cause."""
    out = tmp_path_factory.mktemp("calibration") / "found.npz"
    for _ in range(2):
        result = _run(room, out)
        if result.streams == 1 and not any("stream" in advice for advice in result.faults):
            break
        room.await_calm()
    return result


def _environment(room: VirtualRoom, **more: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, sys.path))
    return {**room.device_environment, "PYTHONPATH": path, **more}


def _program(name: str, *arguments: str) -> list[str]:
    return [*realtime(CLIENT_PRIORITY), sys.executable, "-m", f"tests.e2e.{name}", *arguments]


def _run(room: VirtualRoom, out: Path, **environment: str) -> Found:
    done = subprocess.run(
        _program("calibrating", str(out)),
        cwd=ROOT,
        env=_environment(room, **environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as kept:
        report: dict[str, Any] = json.loads(kept["report"].tobytes())
        return Found(
            report["values"],
            report["faults"],
            report["received"],
            report["streams"],
            kept["clicks_s"],
            kept["response_db"],
            kept["impulse"],
        )


def test_nothing_is_broken_and_the_nonces_arrive(found: Found) -> None:
    assert found.faults == []
    assert found.received == [True, True]
    assert found.values["canceller_left"] < 3.0


def test_the_delay_is_that_of_single_clicks_within_a_sample_of_48_khz(found: Found) -> None:
    assert np.ptp(found.clicks_s) < 1.0 / RATE_HZ  # the stream held: before and after agree
    assert found.values["delay"] == pytest.approx(float(np.mean(found.clicks_s)), abs=1 / RATE_HZ)
    assert found.values["delay_jitter"] < 1.0


def test_one_clock_has_no_drift_and_no_shift(found: Found) -> None:
    assert found.values["drift"] == pytest.approx(0.0, abs=5.0)
    assert found.values["frequency_shift"] == pytest.approx(0.0, abs=0.5)


def test_the_response_is_that_of_the_room_within_1_db(room: VirtualRoom, found: Found) -> None:
    hz, transfer = sps.freqz(room.response(LOUDSPEAKER), worN=1 << 18, fs=RATE_HZ)
    truth = 10.0 * np.log10(THIRDS.mean(hz, np.abs(transfer) ** 2))
    assert found.response_db == pytest.approx(truth, abs=1.0)


def test_the_noise_is_that_of_a_quiet_home_within_half_a_db(found: Found) -> None:
    assert found.values["noise_dbspl"] == pytest.approx(AMBIENT_DBSPL, abs=0.5)
    level = AMBIENT_DBSPL - SETTINGS.mic_dbspl_at_0dbfs
    assert found.values["noise_level"] == pytest.approx(level, abs=0.5)


def test_the_decay_is_that_of_the_response_without_noise(room: VirtualRoom, found: Found) -> None:
    """The room's own response, read without server, sweep and noise."""
    plain = sps.resample_poly(room.response(LOUDSPEAKER).astype(np.float64), 1, 3)
    padded = np.concatenate([np.zeros(1600), plain, np.zeros(32_000)])
    truth = reverberation(padded, 0.1).broadband.rt60_s
    assert found.values["rt60"] == pytest.approx(truth, rel=0.15)


def test_the_echo_canceller_of_the_platform_is_named(room: VirtualRoom, tmp_path: Path) -> None:
    settings = room.folder / "canceller.conf"
    settings.write_text(CANCELLER)
    room.server.launch("canceller", "pipewire", "-c", str(settings))
    try:
        room.server.wait_for("canceller", lambda: room.server.has_sink("canceller_sink"))
        found = _run(
            room,
            tmp_path / "found.npz",
            PULSE_SINK="canceller_sink",
            PULSE_SOURCE="canceller_source",
        )
    finally:
        room.server.drop("canceller")
    assert found.faults
    assert "echo canceller of the platform" in found.faults[0]


@pytest.mark.parametrize("ppm", [-300.0, 50.0])
def test_two_clocks_differ_by_what_is_between_them(
    room: VirtualRoom, tmp_path: Path, ppm: float
) -> None:
    """The playback goes over a bridge whose far side has a clock of its own."""
    module = room.server.run(
        "pactl", "load-module", "module-null-sink", "sink_name=bridge", "channels=1",
        "channel_map=mono", f"rate={RATE_HZ}",
    ).strip()  # fmt: skip
    out = tmp_path / "clocks.npz"
    bridge = subprocess.Popen(
        _program("bridge", "bridge", LOUDSPEAKER, str(ppm)), cwd=ROOT, env=_environment(room)
    )
    try:
        room.server.wait_for("bridge", lambda: room.server.has_sink("bridge"))
        for _ in range(2):  # once more if the machine was too busy for an even stream
            subprocess.run(
                _program("calibrating", str(out), "clocks"),
                cwd=ROOT,
                env=_environment(room, PULSE_SINK="bridge"),
                timeout=LONGEST_S,
                check=True,
            )
            with np.load(out) as kept:
                drifts, shift, steps = kept["drifts_ppm"], kept["shift_hz"], int(kept["steps"])
            if not steps:
                break
    finally:
        end(bridge)
        room.server.run("pactl", "unload-module", module, check=False)
    assert steps == 0
    assert drifts == pytest.approx([ppm, ppm], abs=5.0)
    assert float(shift) == pytest.approx(0.0, abs=0.5)
