"""``earmark status | mute | unmute | doctor``: with a running daemon, and without one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from earmark import cli
from earmark.control import ControlError, ControlServer, Request
from earmark.service_command import _span

Run = Callable[..., tuple[int, str, str]]

STATUS: dict[str, Any] = {
    "device": "hall",
    "room": "by the door",
    "state": "idle",
    "state_s": 12.4,
    "since_utc": "2026-01-02T03:04:05Z",
    "running_s": 93_784.0,
    "muted": False,
    "lock_left_s": 0.0,
    "sessions": {"begun": 7, "allowed": 4, "nothing_heard": 1},
    "reasons": {"fresh": 4, "replay": 2},
    "card": {
        "kind": "sounddevice",
        "device": None,
        "lost": None,
        "lost_count": 1,
        "late_blocks": 3,
    },
    "model": "00112233aabbccdd",
    "people": None,
    "ledger": {"entries": 7, "bytes": 4096},
    "reload": None,
    "versions": {"earmark": "0.1.0", "python": "3.11.7"},
}


class Daemon:
    """Answers as the service does."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = json.loads(json.dumps(STATUS))
        self.findings: Any = [{"name": "vault key", "grade": "ok", "found": "seen", "do": ""}]
        self.warning: str | None = None
        self.error: ControlError | None = None
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> Future[Mapping[str, object]]:
        self.asked.append(request)
        future: Future[Mapping[str, object]] = Future()
        answers: dict[Request, dict[str, object]] = {
            Request.STATUS: {"status": self.status},
            Request.DOCTOR: {"findings": self.findings},
            Request.MUTE: {"muted": True},
            Request.UNMUTE: {"muted": False},
        }
        if self.error is not None:
            future.set_exception(self.error)
        else:
            answer = answers[request]
            future.set_result(answer | ({"warning": self.warning} if self.warning else {}))
        return future


@pytest.fixture
def file(tmp_path: Path, speaker_section: dict[str, object]) -> Path:
    tree = {
        "ledger": {"path": str(tmp_path / "ledger.sqlite")},
        "keys": {"path": str(tmp_path / "keys.json")},
        "memory": {"folder": str(tmp_path / "memory")},
        "speaker": speaker_section,
        "forward": {"folder": str(tmp_path / "commands")},
        "audio": {"kind": "simulated"},
        "control": {"path": str(tmp_path / "control.sock"), "mute_file": str(tmp_path / "muted")},
    }
    made = tmp_path / "earmark.yaml"
    made.write_text(json.dumps(tree))
    return made


@pytest.fixture
def daemon(file: Path) -> Iterator[Daemon]:
    made = Daemon()
    server = ControlServer(file.parent / "control.sock", made)
    yield made
    server.close()


@pytest.fixture
def run(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earmark", *arguments, "--config", str(file)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command


# Without a daemon


@pytest.mark.parametrize("command", ["status", "mute", "unmute"])
def test_without_a_daemon_it_is_one_line_and_exit_code_2(run: Run, command: str) -> None:
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("earmark: no daemon runs here (nobody listens at ")
    assert "systemctl start earmark" in err


@pytest.mark.parametrize("command", ["status", "mute"])
def test_without_a_socket_it_is_one_line_too(run: Run, file: Path, command: str) -> None:
    tree = json.loads(file.read_text())
    file.write_text(json.dumps(tree | {"control": {"path": None}}))
    code, _, err = run(command)
    assert (code, err.count("\n")) == (2, 1)
    assert "control.path is null" in err


def test_the_doctor_needs_no_daemon(run: Run, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert any(line.startswith("ok    settings ") for line in lines)
    assert any(line.startswith("warn  daemon         no daemon runs here") for line in lines)
    assert any(line.startswith("ok    space ") for line in lines)
    assert set(tmp_path.iterdir()) == before, "nothing was made"


def test_what_fails_is_exit_code_1_with_a_remedy(run: Run, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("{}")
    (tmp_path / "keys.json").chmod(0o644)
    code, out, _ = run("doctor")
    assert code == 1
    lines = out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("FAIL")]
    assert "is open to others (mode 0644)" in lines[at]
    assert lines[at + 1].split("-> ")[1] == f"chmod 600 {tmp_path / 'keys.json'}"


def test_settings_that_cannot_be_read_are_a_finding_and_the_rest_is_looked_at(
    run: Run, file: Path
) -> None:
    file.write_text("nonce: {no_such: 1}")
    code, out, err = run("doctor")
    assert (code, err) == (1, "")
    assert "FAIL  settings" in out
    assert "nonce.no_such is not a setting" in out
    assert "ok    python" in out


def test_the_doctor_in_json(run: Run) -> None:
    code, out, _ = run("doctor", "--json")
    report = json.loads(out)
    assert (code, report["ok"]) == (0, True)
    assert {"name", "grade", "found", "do"} == set(report["findings"][0])
    assert {one["grade"] for one in report["findings"]} <= {"ok", "warn"}


# With one


def test_status_for_people(run: Run, daemon: Daemon) -> None:
    code, out, err = run("status")
    assert (code, err) == (0, "")
    assert daemon.asked == [Request.STATUS]
    assert out == (
        "state      idle since 2026-01-02T03:04:05Z (12 s)\n"
        "device     hall, by the door\n"
        "running    1 d 2 h\n"
        "muted      no\n"
        "sessions   7 begun, 4 allowed, 1 nothing heard (4 fresh, 2 replay)\n"
        "card       sounddevice (default): works; lost 1 times, 3 blocks late\n"
        "model      00112233aabbccdd\n"
        "people     unknown\n"
        "ledger     7 nonces, 4096 bytes\n"
        "versions   earmark 0.1.0, python 3.11.7\n"
    )


def test_status_in_json_is_all_of_it(run: Run, daemon: Daemon) -> None:
    code, out, _ = run("status", "--json")
    assert (code, json.loads(out)) == (0, daemon.status)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"state": "locked", "lock_left_s": 61.0}, "locked     for 1 min 1 s more"),
        ({"muted": True}, "muted      yes"),
        (
            {"reload": {"utc": "T", "ok": True, "changed": [], "restart": ["audio.device"]}},
            "reload     T: changed nothing; a restart is needed for audio.device",
        ),
        (
            {"reload": {"utc": "T", "ok": True, "changed": ["a.b", "c"], "restart": []}},
            "reload     T: changed a.b, c",
        ),
        (
            {"reload": {"utc": "T", "ok": False, "error": "bad", "do": "mend it"}},
            "reload     T: failed, bad: mend it",
        ),
    ],
)
def test_status_says_what_is_unusual(
    run: Run, daemon: Daemon, change: dict[str, object], line: str
) -> None:
    daemon.status |= change
    assert line in run("status")[1].splitlines()


def test_mute_and_unmute(run: Run, daemon: Daemon) -> None:
    assert run("mute") == (0, "The microphone is off.\n", "")
    assert run("unmute") == (0, "The microphone is on.\n", "")
    assert daemon.asked == [Request.MUTE, Request.UNMUTE]


def test_a_mute_that_is_not_kept_is_told(run: Run, daemon: Daemon) -> None:
    daemon.warning = "the disk is full: free some space"
    code, out, err = run("mute")
    assert (code, out) == (0, "The microphone is off.\n")
    assert err == "But the disk is full: free some space\n"


def test_a_refusal_is_one_line(run: Run, daemon: Daemon) -> None:
    daemon.error = ControlError("the audio loop does not answer", "restart it")
    assert run("mute") == (2, "", "earmark: the audio loop does not answer: restart it\n")


def test_the_doctor_lets_the_daemon_look_at_its_files(run: Run, daemon: Daemon) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert "ok    vault key      seen" in out
    assert "space" not in out, "that is for the daemon to say"
    assert "ok    daemon         idle for 12 s" in out


@pytest.mark.parametrize(
    ("change", "grade", "text"),
    [
        ({"muted": True}, "warn", "muted"),
        ({"card": STATUS["card"] | {"lost": "the card was pulled"}}, "FAIL", "card was pulled"),
    ],
)
def test_the_doctor_sees_how_the_daemon_is(
    run: Run, daemon: Daemon, change: dict[str, object], grade: str, text: str
) -> None:
    daemon.status |= change
    code, out, _ = run("doctor")
    assert code == (1 if grade == "FAIL" else 0)
    (line,) = [one for one in out.splitlines() if one[6:12] == "daemon"]
    assert line.startswith(grade)
    assert text in line


@pytest.mark.parametrize("findings", [None, [1], [{"name": "x"}], [{"name": "x", "grade": "y"}]])
def test_a_daemon_of_another_version_is_a_finding(
    run: Run, daemon: Daemon, findings: object
) -> None:
    daemon.findings = findings
    code, out, _ = run("doctor")
    assert code == 1
    assert "the daemon's answer is not understood" in out
    assert "ok    space" in out, "looked at from here then"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert _span(seconds) == text
