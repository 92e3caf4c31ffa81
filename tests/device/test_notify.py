"""What the service manager is told: everything it needs, never a wait, never an error."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.notify import MAX_STATUS_CHARS, Notifier


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        """The datagrams since the last call."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    abstract = request.param == "abstract"
    made = Manager(f"@earmark-test-{uuid.uuid4().hex}" if abstract else str(tmp_path / "notify"))
    yield made
    made.close()


def test_each_message_is_a_datagram(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    notifier.ready()
    notifier.status("listening\nfor the wake word")
    notifier.stopping()
    told = ["READY=1", "STATUS=listening for the wake word", "STOPPING=1"]
    assert manager.told() == told
    notifier.close()
    notifier.close()


def test_a_reload_says_when_it_began(manager: Manager) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.address).reloading()
    first, second = manager.told()[0].split("\n")
    assert first == "RELOADING=1"
    key, _, value = second.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_is_told_once_and_bounded(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    notifier.status("muted")
    notifier.status("muted")
    notifier.status("x" * 1000)
    first, second = manager.told()
    assert first == "STATUS=muted"
    assert second == "STATUS=" + "x" * MAX_STATUS_CHARS


def test_the_watchdog_is_fed_at_half_its_time(manager: Manager) -> None:
    now = [100.0]
    notifier = Notifier(manager.address, 10.0, lambda: now[0])
    fed = []
    for _ in range(21):
        notifier.beat()
        fed.append(len(manager.told()))
        now[0] += 1.0
    assert [second for second, count in enumerate(fed) if count] == [0, 5, 10, 15, 20]


def test_without_a_watchdog_a_beat_tells_nothing(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    notifier.beat()
    assert manager.told() == []


def test_what_a_full_socket_did_not_take_is_told_later(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier(manager.address, 10.0)
    for number in range(1000):  # nobody reads
        notifier.status(f"step {number}")
    notifier.ready()
    began = manager.told()
    assert began[0] == "STATUS=step 0"
    assert not any("READY" in line for line in began)
    notifier.beat()
    (beat, rest) = manager.told()
    assert beat == "WATCHDOG=1"
    assert set(rest.split("\n")) == {"STATUS=step 999", "READY=1"}
    notifier.beat()
    assert manager.told() == []
    manager.close()


def test_a_manager_that_is_not_there_or_went_away_does_no_harm(tmp_path: Path) -> None:
    for address in (None, "", str(tmp_path / "nobody"), "/" + "x" * 300, "\0", "@a\0b"):
        notifier = Notifier(address, 1.0)
        notifier.ready()
        notifier.beat()
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier(manager.address, 1.0)
    manager.close()
    notifier.status("alone")
    notifier.beat()
    notifier.close()
    notifier.ready()


def test_the_variables_are_taken_out_of_the_environment(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "notify"))
    environ = {
        "NOTIFY_SOCKET": manager.address,
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    Notifier.taken(environ).beat()
    assert environ == {"PATH": "/bin"}
    assert manager.told() == ["WATCHDOG=1"]
    manager.close()


@pytest.mark.parametrize(
    "watchdog",
    [{"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {}],
    ids=["of another process", "malformed", "none"],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(tmp_path: Path, watchdog: dict[str, str]) -> None:
    manager = Manager(str(tmp_path / "notify"))
    notifier = Notifier.taken({"NOTIFY_SOCKET": manager.address, **watchdog})
    notifier.beat()
    notifier.ready()
    assert manager.told() == ["READY=1"]
    manager.close()
