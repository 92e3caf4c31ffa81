"""The control socket: answers its owner, and outlives whatever else connects."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.control import (
    MAX_BACKLOG_BYTES,
    MAX_CLIENTS,
    MAX_EVENTS,
    MAX_LISTENERS,
    MAX_REQUEST_BYTES,
    ControlError,
    ControlServer,
    NoAccess,
    NoDaemon,
    Request,
    ask,
    listen,
    server,
)

EVENT: Mapping[str, object] = {"event": "state", "state": "idle"}


class Daemon:
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.left: list[Future[Mapping[str, object]]] = []
        self.answers = True
        self.error: Exception | None = None

    def __call__(self, request: Request) -> Future[Mapping[str, object]]:
        self.asked.append(request)
        future: Future[Mapping[str, object]] = Future()
        self.left.append(future)
        if self.error is not None:
            future.set_exception(self.error)
        elif self.answers:
            future.set_result({"status": {"state": "idle"}})
        return future


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def served(path: Path, daemon: Daemon) -> Iterator[ControlServer]:
    made = ControlServer(path, daemon)
    yield made
    made.close()


def connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(20)
    made.connect(str(path))
    return made


def sent(path: Path, data: bytes) -> bytes:
    """Everything that comes back for `data`, until the server hangs up."""
    with connected(path) as client:
        with suppress(BrokenPipeError):  # refused before all of it was sent
            client.sendall(data)
        return rest(client)


def rest(client: socket.socket) -> bytes:
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")


# Answers


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("request_", [each for each in Request if each is not Request.EVENTS])
def test_each_request_is_answered(path: Path, daemon: Daemon, request_: Request) -> None:
    assert ask(path, request_) == {"version": 1, "ok": True, "status": {"state": "idle"}}
    assert daemon.asked == [request_]


@pytest.mark.usefixtures("served")
def test_an_answer_may_take_its_time_and_others_are_served_meanwhile(
    path: Path, daemon: Daemon
) -> None:
    daemon.answers = False
    with connected(path) as slow:
        slow.sendall(b'{"request": "doctor"}\n')
        until(lambda: len(daemon.left) == 1)
        daemon.answers = True
        ask(path, Request.STATUS)
        daemon.left[0].set_result({"findings": []})
        assert json.loads(rest(slow)) == {"version": 1, "ok": True, "findings": []}


@pytest.mark.usefixtures("served")
def test_a_client_that_has_finished_writing_still_gets_its_answer(
    path: Path, daemon: Daemon
) -> None:
    """As of `echo ... | socat - UNIX:...`."""
    daemon.answers = False
    with connected(path) as client:
        client.sendall(b'{"request": "status"}\n')
        client.shutdown(socket.SHUT_WR)
        until(lambda: len(daemon.left) == 1)
        daemon.left[0].set_result({"status": {}})
        assert json.loads(rest(client))["ok"] is True


@pytest.mark.usefixtures("served")
def test_a_refusal_names_what_and_what_to_do(path: Path, daemon: Daemon) -> None:
    daemon.error = ControlError("the loop hangs", "restart it")
    with pytest.raises(ControlError, match=r"^the loop hangs: restart it$"):
        ask(path, Request.MUTE)


@pytest.mark.usefixtures("served")
def test_a_fault_of_ours_is_told_without_its_message(
    path: Path, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.error = ValueError("Ada said hello")
    with pytest.raises(ControlError, match="could not answer"):
        ask(path, Request.MUTE)
    assert "ValueError" in caplog.text
    assert "Ada" not in caplog.text
    daemon.error = None
    ask(path, Request.STATUS)


# Events


def test_events_are_told_to_all_who_follow(served: ControlServer, path: Path) -> None:
    with listen(path, idle_s=20) as one, listen(path, idle_s=20) as other:
        served.publish(EVENT)
        served.publish({"event": "light", "name": "woken"})
        assert [next(one), next(one)] == [EVENT, {"event": "light", "name": "woken"}]
        assert next(other) == EVENT
        assert ask(path, Request.STATUS)["ok"] is True


def test_events_end_with_the_daemon(served: ControlServer, path: Path) -> None:
    with listen(path, idle_s=20) as events:
        served.publish(EVENT)
        assert next(events) == EVENT
        served.close()
        assert list(events) == []


def test_a_listener_that_does_not_read_is_dropped_and_others_are_not(
    served: ControlServer, path: Path
) -> None:
    long = {"event": "light", "name": "x" * 1000}
    with connected(path) as deaf, listen(path, idle_s=20) as events:
        deaf.sendall(b'{"request": "events"}\n')
        until(lambda: len(listeners(served)) == 2)
        for _ in range(100 * MAX_BACKLOG_BYTES // 1000):
            served.publish(long)
            assert next(events) == long
            if len(listeners(served)) == 1:
                break
        assert len(listeners(served)) == 1
        served.publish(EVENT)
        assert next(events) == EVENT


def listeners(made: ControlServer) -> list[object]:
    return [one for one in list(made._clients.values()) if one.phase.value == "listening"]


def test_publishing_never_waits_though_the_thread_hangs(path: Path) -> None:
    release = threading.Event()

    def hang(_: Request) -> Future[Mapping[str, object]]:
        release.wait(20)
        return Future()

    made = ControlServer(path, hang)
    with connected(path) as client:
        client.sendall(b'{"request": "status"}\n')
        for _ in range(3 * MAX_EVENTS):
            made.publish(EVENT)
        assert made._events.qsize() <= MAX_EVENTS
        release.set()
    made.close()


@pytest.mark.usefixtures("served")
def test_only_so_many_may_follow_and_there_is_room_for_a_command(path: Path) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_LISTENERS):
            stack.enter_context(listen(path))
        with pytest.raises(ControlError, match="too many follow"), listen(path):
            pass
        ask(path, Request.STATUS)


# Who may ask


def test_the_socket_is_its_owners(served: ControlServer, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    served.close()
    served.close()
    assert not path.exists()


@pytest.mark.usefixtures("served")
def test_another_user_is_turned_away(
    path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the kernel says of the peer, also where the file's mode was widened."""
    monkeypatch.setattr(server.struct, "unpack", lambda *_: (1, os.geteuid() + 4711, 1))
    with pytest.raises(ControlError, match="this user may not ask"):
        ask(path, Request.STATUS)
    assert daemon.asked == []
    monkeypatch.setattr(server.struct, "unpack", lambda *_: (1, 0, 0))
    ask(path, Request.STATUS)


# Hostile and clumsy clients


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"status\n",
        b"[]\n",
        b"3\n",
        b"null\n",
        b'{"request": "reboot"}\n',
        b'{"request": ["status"]}\n',
        b'{"request": "status", "as": "root"}\n',
        b"\xff\xfe\n",
        b"[" * 1000 + b"\n",
        b"{" + b" " * MAX_REQUEST_BYTES,
        b"x" * 100_000,
    ],
)
def test_what_is_no_request_is_refused(path: Path, daemon: Daemon, data: bytes) -> None:
    found = json.loads(sent(path, data))
    assert found["ok"] is False
    assert found["do"]
    assert daemon.asked == []
    ask(path, Request.STATUS)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("fuzz") / "control.sock"
    made = ControlServer(path, Daemon())
    yield path
    made.close()


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=3000))
def test_any_bytes_get_one_answer_or_none(fuzzed: Path, data: bytes) -> None:
    found = sent(fuzzed, data + b"\n")
    assert found.count(b"\n") == 1
    assert json.loads(found)["ok"] is False
    ask(fuzzed, Request.STATUS)


@pytest.mark.usefixtures("served")
def test_what_follows_the_request_is_thrown_away(path: Path, daemon: Daemon) -> None:
    found = sent(path, b'{"request": "status"}\n{"request": "mute"}\n')
    assert found.count(b"\n") == 1
    assert daemon.asked == [Request.STATUS]


def test_a_silent_and_a_slow_client_are_disconnected(
    path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CLIENT_S", 0.2)
    made = ControlServer(path, daemon)
    with connected(path) as silent, connected(path) as slow:
        slow.sendall(b'{"request"')
        assert rest(silent) == b""
        assert rest(slow) == b""
    made.close()


def test_a_client_that_does_not_take_its_answer_is_disconnected(
    path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CLIENT_S", 0.5)
    made = ControlServer(path, daemon)
    daemon.answers = False
    with connected(path) as client:
        client.sendall(b'{"request": "doctor"}\n')
        until(lambda: len(daemon.left) == 1)
        daemon.left[0].set_result({"findings": "x" * 5_000_000})
        until(lambda: not made._clients)
    made.close()


def test_an_answer_that_never_comes_ends_the_connection(
    path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_S", 0.2)
    made = ControlServer(path, daemon)
    daemon.answers = False
    with pytest.raises(ControlError, match="did not answer"):
        ask(path, Request.STATUS)
    daemon.left[0].set_result({})  # too late, and harmless
    daemon.answers = True
    ask(path, Request.STATUS)
    made.close()


def test_a_hundred_connections_are_bounded_and_the_service_goes_on(
    served: ControlServer, path: Path
) -> None:
    with ExitStack() as stack:
        refused = 0
        for _ in range(100):
            client = stack.enter_context(connected(path))
            client.settimeout(0.05)
            with suppress(TimeoutError):
                refused += b"too many" in client.recv(1000)
        assert refused == 100 - MAX_CLIENTS
        assert len(served._clients) == MAX_CLIENTS
        with pytest.raises(ControlError, match="too many are asking"):
            ask(path, Request.STATUS)
    until(lambda: not served._clients)
    ask(path, Request.STATUS)


def test_without_file_handles_it_rests_and_comes_back(
    path: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "DEAF_S", 0.1)
    made = ControlServer(path, daemon)
    real, tries = made._listener, []

    class Out:
        """The listening socket of a process that has no handles left, three times."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def accept(self) -> tuple[socket.socket, object]:
            tries.append(time.monotonic())
            if len(tries) <= 3:
                raise OSError(24, "Too many open files")
            return real.accept()

    made._selector.unregister(real)
    made._listener = Out()  # type: ignore[assignment]
    made._selector.register(made._listener, 1)
    ask(path, Request.STATUS, 20)
    assert len(tries) == 4
    made.close()


# A place to listen at


def test_what_a_killed_daemon_left_behind_is_replaced(path: Path, daemon: Daemon) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    made = ControlServer(path, daemon)
    ask(path, Request.STATUS)
    made.close()


@pytest.mark.usefixtures("served")
def test_a_second_daemon_does_not_take_the_socket_away(path: Path, daemon: Daemon) -> None:
    with pytest.raises(ControlError, match="another daemon listens"):
        ControlServer(path, daemon)
    ask(path, Request.STATUS)


def test_what_is_no_socket_is_left_alone(path: Path, daemon: Daemon) -> None:
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ControlError, match="is no socket"):
        ControlServer(path, daemon)
    assert path.read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, daemon: Daemon) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match=r"cannot be made .*set control\.path"):
        ControlServer(tmp_path / "file" / "control.sock", daemon)


def test_a_socket_that_took_our_place_is_not_removed(served: ControlServer, path: Path) -> None:
    path.unlink()
    path.write_text("another")
    served.close()
    assert path.exists()


# The client's side


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match=r"no daemon runs here .*systemctl start earmark"):
        ask(tmp_path / "nobody", Request.STATUS)


def test_a_user_who_may_not_ask_is_told_so(nobodys_home: Path, daemon: Daemon) -> None:
    path = nobodys_home / "control.sock"
    made = ControlServer(path, daemon)
    path.chmod(0o000)
    with pytest.raises(NoAccess, match="as root"):
        ask(path, Request.STATUS)
    path.chmod(0o600)
    made.close()


@pytest.mark.parametrize(
    ("reply", "match"),
    [
        (b"hello\n", "not understood"),
        (b"[]\n", "not understood"),
        (b'{"ok": false}\n', "not understood"),
        (b"", "did not answer"),
        (b"x" * 1_000_000, "did not answer"),
    ],
)
def test_a_daemon_that_answers_nonsense(tmp_path: Path, reply: bytes, match: str) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as strange:
        strange.bind(str(path))
        strange.listen()

        def serve() -> None:
            peer, _ = strange.accept()
            with peer:
                peer.recv(1000)
                with suppress(OSError):
                    peer.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ControlError, match=match):
            ask(path, Request.STATUS)
        thread.join()


def test_a_daemon_that_hangs_is_waited_for_so_long(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hung:
        hung.bind(str(path))
        hung.listen()
        with pytest.raises(ControlError, match="did not answer"):
            ask(path, Request.STATUS, 0.1)
