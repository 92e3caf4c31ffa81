"""The service around the loop: watchdog, ready, mute, reload, status, and an end in time."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from earmark import daemon, service
from earmark.audio import AudioPort
from earmark.config import load
from earmark.control import ControlError, NoDaemon, Request, ask, listen
from earmark.errors import AudioError, StreamBroken
from earmark.feedback import Entry
from earmark.notify import Notifier
from earmark.service import Service
from earmark.signal import BLOCK, Signal
from earmark.stream_watch import StreamClocks

QUIET = np.zeros(BLOCK, np.float32)


class Port:
    """Silence, some ten times as fast as a card gives it, until it is told to break."""

    def __init__(self) -> None:
        self.blocks = 0
        self.broken = False
        self.late_blocks = 3
        self.held = threading.Event()
        self.held.set()
        self.stuck = threading.Event()

    def exchange(self, play: Signal) -> Signal:
        if self.broken:
            raise StreamBroken("the card was pulled", "plug it in")
        if not self.held.is_set():
            self.stuck.set()
            self.held.wait()
        time.sleep(0.002)
        self.blocks += 1
        return QUIET

    def hang(self) -> None:
        """Give no more blocks; returns when nothing but a block is waited for."""
        self.held.clear()
        assert self.stuck.wait(20)

    def close(self) -> None:
        self.broken = True


class Manager:
    """Listens as systemd does, and remembers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    @property
    def told(self) -> list[str]:
        while True:
            try:
                self._lines += self._socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return list(self._lines)

    def waits_for(self, line: str, count: int = 1) -> None:
        until(lambda: self.told.count(line) >= count, line)

    def close(self) -> None:
        self._socket.close()


def until(condition: Callable[[], bool], what: str = "it") -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"{what} never came")


class Running:
    """A service that runs in a thread, with the real loop and everything in reach."""

    def __init__(self, file: Path, manager: Manager, watchdog_s: float | None) -> None:
        self.file = file
        self.manager = manager
        self.config = load(file)
        self.ports: list[Port] = []
        self.gone: list[AudioError] = []
        self.left: list[int] = []
        self.hung = threading.Event()
        self.service = Service(
            self.config,
            Notifier(str(manager.path), watchdog_s),
            lambda: load(file),
            leave=self.left.append,
        )
        self.socket = self.config.control.path
        assert self.socket is not None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            daemon.run(
                self.config,
                opener=self._open,
                sleep=self.service.pause,
                stop=self.service.stopping,
                attendant=self.service,
            )
        finally:
            self.service.close()

    def _open(self) -> AudioPort:
        if self.gone:
            raise self.gone[0]
        self.ports.append(Port())
        return self.ports[-1]

    @property
    def port(self) -> Port:
        return self.ports[-1]

    @property
    def status(self) -> dict[str, Any]:
        assert self.socket is not None
        found: dict[str, Any] = ask(self.socket, Request.STATUS)["status"]
        return found

    def asked(self, request: Request) -> dict[str, Any]:
        assert self.socket is not None
        return ask(self.socket, request)

    def change(self, **sections: Any) -> None:
        tree = yaml.safe_load(self.file.read_text())
        for name, section in sections.items():
            tree[name] = tree.get(name, {}) | section
        self.file.write_text(yaml.safe_dump(tree))

    def reload(self) -> dict[str, Any]:
        count = self.manager.told.count("READY=1")
        self.service.reload()
        self.manager.waits_for("READY=1", count + 1)
        found: dict[str, Any] = self.status["reload"]
        return found

    def end(self) -> None:
        self.service.stop()
        for port in self.ports:
            port.held.set()
        self.thread.join(90)  # a flush of the ledger can take that long on a busy disk
        assert not self.thread.is_alive()


@pytest.fixture
def settings_file(tmp_path: Path, speaker_section: dict[str, object]) -> Path:
    tree = {
        "ledger": {"path": str(tmp_path / "ledger.sqlite")},
        "keys": {"path": str(tmp_path / "keys.json")},
        "memory": {"folder": str(tmp_path / "memory")},
        "speaker": speaker_section,
        "forward": {"folder": str(tmp_path / "commands")},
        "wake": {"kind": "button"},
        "control": {
            "path": str(tmp_path / "run" / "control.sock"),
            "mute_file": str(tmp_path / "muted"),
        },
    }
    file = tmp_path / "earmark.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


@pytest.fixture
def start(settings_file: Path, manager: Manager) -> Iterator[Callable[..., Running]]:
    """Starts a service and waits until it is ready."""
    started: list[Running] = []

    def make(watchdog_s: float | None = None) -> Running:
        ready = manager.told.count("READY=1")
        started.append(Running(settings_file, manager, watchdog_s))
        manager.waits_for("READY=1", ready + 1)
        return started[-1]

    yield make
    for one in started:
        one.end()


# The service manager


def test_it_is_ready_after_the_first_block_and_says_what_it_does(
    start: Callable[..., Running], manager: Manager
) -> None:
    running = start()
    assert running.port.blocks >= 1
    manager.waits_for("STATUS=Listening for the wake word")
    running.asked(Request.MUTE)
    manager.waits_for("STATUS=Muted")
    running.end()
    assert manager.told[-2:] == ["STOPPING=1", "STATUS=Stopping"]
    assert manager.told.count("READY=1") == 1


def test_the_watchdog_is_fed_while_blocks_flow_and_not_when_they_hang(
    start: Callable[..., Running], manager: Manager
) -> None:
    running = start(watchdog_s=0.1)
    manager.waits_for("WATCHDOG=1", 5)
    running.port.hang()
    fed = manager.told.count("WATCHDOG=1")
    time.sleep(0.3)
    assert manager.told.count("WATCHDOG=1") == fed
    running.port.held.set()
    manager.waits_for("WATCHDOG=1", fed + 2)


def test_a_library_that_never_lets_go_of_a_card_is_ended_with_the_process(
    start: Callable[..., Running], manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No port is opened before it has, so only a restart helps."""
    stuck = [service.STUCK_S - 1.0]
    monkeypatch.setattr(service, "stuck_s", lambda: stuck[0])
    running = start(watchdog_s=0.1)
    running.gone = [AudioError("the sound card has not let go of the last stream yet", "wait")]
    running.port.broken = True
    manager.waits_for("STATUS=Sound card lost, trying to open it again: the card was pulled")
    manager.waits_for("WATCHDOG=1", manager.told.count("WATCHDOG=1") + 3)
    stuck[0] = service.STUCK_S
    time.sleep(0.1)  # what was fed just before
    fed = manager.told.count("WATCHDOG=1")
    time.sleep(0.3)
    assert manager.told.count("WATCHDOG=1") == fed
    stuck[0] = 0.0
    manager.waits_for("WATCHDOG=1", fed + 2)


def test_a_lost_card_is_waited_for_without_a_restart(
    start: Callable[..., Running], manager: Manager
) -> None:
    running = start(watchdog_s=0.2)
    running.gone = [AudioError("no sound card", "plug one in")]
    running.port.broken = True
    manager.waits_for("STATUS=Sound card lost, trying to open it again: the card was pulled")
    manager.waits_for("WATCHDOG=1", manager.told.count("WATCHDOG=1") + 3)
    card = running.status["card"]
    assert (card["lost"], card["lost_count"], card["late_blocks"]) == ("the card was pulled", 1, 3)
    assert (card["round_trip_s"], card["drift_ppm"]) == (None, None), "no nonce was played yet"
    assert running.service._watch is not None
    running.service._watch.latest = StreamClocks(0.284, -12.0)
    card = running.status["card"]
    assert (card["round_trip_s"], card["drift_ppm"]) == (0.284, -12.0)
    assert running.asked(Request.MUTE)["muted"] is True, "a mute does not wait for the card"
    assert running.asked(Request.UNMUTE)["muted"] is False
    running.gone.clear()
    until(lambda: running.status["state"] == "idle")
    assert running.status["card"]["lost"] is None
    assert running.status["card"]["late_blocks"] == 6
    assert manager.told.count("READY=1") == 1


# Mute


def test_a_mute_survives_a_restart(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start()
    assert running.asked(Request.MUTE) == {"version": 1, "ok": True, "muted": True}
    assert running.status["muted"] is True
    assert (tmp_path / "muted").exists()
    running.end()
    running = start()
    assert running.status["state"] == "muted"
    assert running.asked(Request.UNMUTE)["muted"] is False
    assert running.status["muted"] is False
    running.end()
    running = start()
    assert running.status["state"] == "idle"


def test_muted_at_the_start_not_one_block_is_listened_to(
    start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earmark.wake import ButtonWake

    heard: list[Signal] = []
    monkeypatch.setattr(ButtonWake, "heard", lambda _, block: bool(heard.append(block)))
    (tmp_path / "muted").write_text("")
    running = start()
    until(lambda: running.port.blocks > 20)
    assert heard == []
    running.asked(Request.UNMUTE)
    until(lambda: len(heard) > 5)


def test_a_mute_that_cannot_be_kept_still_mutes_and_says_so(
    start: Callable[..., Running], settings_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    tree = yaml.safe_load(settings_file.read_text())
    tree["control"]["mute_file"] = str(tmp_path / "file" / "muted")
    settings_file.write_text(yaml.safe_dump(tree))
    running = start()
    answer = running.asked(Request.MUTE)
    assert answer["muted"] is True
    assert "cannot be kept" in answer["warning"]
    assert running.status["muted"] is True


def test_a_loop_that_hangs_is_told_to_who_mutes(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("earmark.service.LOOP_S", 0.2)
    running = start()
    running.port.hang()
    with pytest.raises(ControlError, match="the audio loop does not answer: restart it"):
        running.asked(Request.MUTE)
    assert (tmp_path / "muted").exists(), "after the restart it is muted"
    assert running.status["state"] == "idle", "a status needs no loop"
    running.port.held.set()
    until(lambda: bool(running.status["muted"]), "the mute that waited")


def test_muted_while_it_starts_it_starts_muted(
    settings_file: Path, manager: Manager, tmp_path: Path
) -> None:
    config = load(settings_file)
    service = Service(config, Notifier(str(manager.path)), lambda: config)
    assert config.control.path is not None
    assert ask(config.control.path, Request.STATUS)["status"]["state"] == "starting"
    assert ask(config.control.path, Request.MUTE)["muted"] is True
    device = daemon.assemble(config, executor=daemon.InlineExecutor())
    service.built(device, daemon.InlineExecutor())
    assert device.loop.muted
    assert (tmp_path / "muted").exists()
    service.close()
    device.loop.close()


# Status and events


def test_the_status_has_what_a_person_asks_for(start: Callable[..., Running]) -> None:
    from earmark import __version__

    running = start()
    until(lambda: running.status["model"] is not None)
    found = running.status
    assert found["state"] == "idle"
    assert found["versions"]["earmark"] == __version__
    assert found["people"] == 0
    assert found["ledger"]["entries"] == 0
    assert found["ledger"]["bytes"] > 0
    assert found["sessions"] == dict.fromkeys(
        [
            *("begun", "allowed", "retried", "rejected", "nothing_heard", "too_long"),
            "not_forwarded",
        ],
        0,
    )
    assert found["reload"] is None
    assert found["since_utc"].endswith("Z")


def test_sessions_are_counted_by_verdict(
    start: Callable[..., Running], scripted_judge: type[Any]
) -> None:
    from earmark.gate import Announcement, Decision, Reason, Verdict
    from earmark.judging import Judgement
    from earmark.session import State

    running = start()
    verdicts = [
        (Decision.ALLOW, Reason.FRESH, State.ALLOWED),
        (Decision.REJECT, Reason.REPLAY, State.REJECTED),
        (Decision.RETRY, Reason.TOO_QUIET, State.REJECTED),  # out of tries
        (Decision.RETRY, Reason.FAULT, State.RETRY),
    ]
    for decision, reason, state in verdicts:
        judged = Judgement(None, None, Verdict(decision, reason, ()), 0.0)  # type: ignore[arg-type]
        running.service.judged(judged, state)
    running.service.announce(Announcement.TRY_AGAIN_NOTHING_HEARD)
    found = running.status
    counts = {name: count for name, count in found["sessions"].items() if count}
    assert counts == {"allowed": 1, "rejected": 2, "retried": 1, "nothing_heard": 1}
    assert found["reasons"] == {"fresh": 1, "replay": 1, "too_quiet": 1, "fault": 1}


def test_events_tell_states_announcements_and_lights(start: Callable[..., Running]) -> None:
    running = start()
    assert running.socket is not None
    with listen(running.socket, idle_s=20) as events:
        running.asked(Request.MUTE)
        told = [next(events) for _ in range(3)]
    assert {event["event"]: event for event in told}.keys() == {"announcement", "light", "state"}
    by_kind = {event["event"]: event for event in told}
    assert by_kind["announcement"]["announcement"] == "muted"
    assert by_kind["state"]["state"] == "muted"
    light = by_kind["light"]
    assert (light["name"], light["blink_s"], light["repeats"]) == ("muted", [0.1, 2.9], 0)
    assert light["colour"] == [213, 94, 0]


def test_the_doctor_looks_with_the_service_s_eyes(start: Callable[..., Running]) -> None:
    running = start()
    found = {one["name"]: one for one in running.asked(Request.DOCTOR)["findings"]}
    assert found["ledger"]["grade"] == "ok"
    assert found["people"]["grade"] == "warn"


def test_lights_shine_too(
    start: Callable[..., Running],
    settings_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    led = tmp_path / "leds" / "status"
    led.mkdir(parents=True)
    (led / "max_brightness").write_text("1")
    (led / "brightness").write_text("0")
    from earmark.feedback import Leds

    monkeypatch.setattr("earmark.service.Leds", lambda names: Leds(names, tmp_path / "leds"))
    tree = yaml.safe_load(settings_file.read_text())
    tree["feedback"] = {"leds": ["status"]}
    settings_file.write_text(yaml.safe_dump(tree))
    running = start()
    running.asked(Request.MUTE)
    until(lambda: (led / "brightness").read_text() == "1")
    running.end()
    assert (led / "brightness").read_text() == "0"


def test_without_a_place_for_the_socket_it_guards_all_the_same(
    start: Callable[..., Running], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").write_text("no folder")
    running = start()
    assert running.port.blocks
    assert "control.sock cannot be made" in caplog.text
    with pytest.raises(NoDaemon):
        running.asked(Request.STATUS)


# Reload


def test_a_reload_takes_over_what_can_change(
    start: Callable[..., Running], manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    running = start()
    running.change(device={"name": "hall"}, session={"max_retries": 0}, audio={"device": "USB"})
    found = running.reload()
    assert found["ok"] is True
    assert set(found["changed"]) == {"device.name", "session.max_retries"}
    assert found["restart"] == ["audio.device"]
    assert running.status["device"] == "hall"
    assert running.status["card"]["device"] is None
    assert "a restart is needed for: audio.device" in caplog.text
    lines = [line for line in manager.told if line.partition("=")[0] in ("RELOADING", "READY")]
    assert lines == ["READY=1", "RELOADING=1", "READY=1"]
    caplog.clear()
    running.asked(Request.MUTE)
    assert "device=hall" in caplog.text, "the journal has the new name"


@pytest.mark.parametrize(
    "content",
    ["nonce: [", "session: {max_retries: 99}", "no_such: {}", "", None],
    ids=["no YAML", "out of range", "unknown", "empty", "gone"],
)
def test_an_invalid_file_leaves_the_running_settings(
    start: Callable[..., Running],
    caplog: pytest.LogCaptureFixture,
    content: str | None,
) -> None:
    running = start()
    running.change(device={"name": "hall"})
    assert running.reload()["ok"] is True
    if content is None:
        running.file.unlink()
    else:
        running.file.write_text(content)
    found = running.reload()
    if content == "":  # valid: all defaults; what has files behind it waits for a restart
        assert "ledger.path" in found["restart"]
        assert running.status["device"] == "earmark"
        return
    assert found["ok"] is False
    assert found["do"]
    assert running.status["device"] == "hall"
    (record,) = [one for one in caplog.records if "not reloaded" in one.getMessage()]
    assert record.__dict__["MESSAGE_ID"] == Entry.RELOAD_FAILED.message_id
    assert str(running.file) in record.getMessage()
    assert running.status["state"] == "idle"


def test_a_setting_that_the_journal_cannot_write_is_refused_too(
    start: Callable[..., Running],
) -> None:
    running = start()
    running.change(device={"name": "00001111"})
    found = running.reload()
    assert (found["ok"], running.status["device"]) == (False, "earmark")


def test_a_reload_waits_until_no_session_is_open(
    start: Callable[..., Running], manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earmark.loop import SessionLoop

    running, quiet = start(), [False]
    monkeypatch.setattr(SessionLoop, "quiet", property(lambda _: quiet[0]))
    running.change(device={"name": "hall"})
    running.service.reload()
    manager.waits_for("RELOADING=1")
    blocks = running.port.blocks
    until(lambda: running.port.blocks > blocks + 100)
    assert running.status["device"] == "earmark"
    quiet[0] = True
    manager.waits_for("READY=1", 2)
    assert running.status["device"] == "hall"


def test_a_lock_is_not_lifted_by_a_reload(start: Callable[..., Running]) -> None:
    from earmark.session import State

    running = start()
    machine = running.service._device.loop._p.machine  # type: ignore[union-attr]
    machine._lock_s, machine._state = 600.0, State.LOCKED
    running.change(session={"lock_first_s": 1.0})
    assert running.reload()["ok"] is True
    assert running.status["state"] == "locked"
    assert running.status["lock_left_s"] > 500.0
    machine._lock_s = 0.0


# The end


def test_stopped_twice_it_ends_once_and_not_by_force(
    start: Callable[..., Running], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = start()
    running.service.stop()
    running.service.stop()
    running.end()
    running.service.close()
    assert not (tmp_path / "run" / "control.sock").exists()
    assert "by force" not in caplog.text
    assert running.left == []


def test_who_hangs_is_ended_by_force(
    start: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.service.END_S", 0.1)
    running = start()
    running.port.hang()
    running.service.stop()
    until(lambda: running.left == [0])
    running.port.held.set()


HARNESS = """
import ctypes, sys, threading, time
import numpy as np
from earmark import cli, daemon
from earmark.errors import StreamBroken
mode, opened = sys.argv.pop(), []
hang = lambda: [ctypes.CDLL(None).sleep(60) for _ in range(10)]  # in C, as a library does

class Port:
    late_blocks = blocks = 0
    def exchange(self, play):
        self.blocks += 1
        time.sleep(0.002)
        if self.blocks == 20:
            if mode == "session":
                loops[0]._p.wake.press()
            if mode == "opening":
                raise StreamBroken("pulled", "plug it in")
            if mode == "exchange":
                print("now", flush=True)
                hang()
            if mode == "worker":
                loops[0]._p.executor.submit(hang)
        if self.blocks == 60 and mode != "opening":
            print("now", loops[0].state.value, flush=True)
        return np.zeros(320, np.float32)
    def close(self):
        pass

def opener(*_):
    opened.append(1)
    if len(opened) > 1:
        print("now", flush=True)
        hang()
    return Port()

loops = []
real = daemon.assemble
def assemble(*a, **k):
    device = real(*a, **k)
    loops.append(device.loop)
    return device
daemon.open_audio, daemon.assemble = opener, assemble
cli.main()
"""


@pytest.mark.parametrize(
    ("mode", "number"),
    [
        *((mode, signal.SIGTERM) for mode in ("session", "worker", "opening", "exchange")),
        ("idle", signal.SIGINT),
    ],
)
def test_a_signal_ends_it_whatever_goes_on(
    settings_file: Path, manager: Manager, mode: str, number: signal.Signals
) -> None:
    """Within 2 s on a machine of its own; here only that nothing that hangs is waited for."""
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, "run", "--config", str(settings_file), mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": str(manager.path)},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("now"), process.stderr.read() if process.stderr else ""
    assert ("listening" in line) == (mode == "session")
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    took_s = time.monotonic() - began
    assert process.returncode == 0, err
    assert took_s < 10.0
    assert "Traceback" not in err
    forced = mode in ("opening", "exchange")
    assert ("by force" in err) == forced
    assert "STOPPING=1" in manager.told
