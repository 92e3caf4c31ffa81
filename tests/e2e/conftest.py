"""The virtual room, and devices in it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.device import Device
from tests.e2e.room import VirtualRoom
from tests.e2e.scene import TALLY

from earmark.demo.clips import Clips, load_clips


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.played:
        terminalreporter.write_line(f"scenes: {TALLY.played} played, {TALLY.again} of them again")


@pytest.fixture(scope="session")
def clips() -> Clips:
    return load_clips()


@pytest.fixture(scope="session")
def room() -> Iterator[VirtualRoom]:
    """One room for all tests. It has checked itself before it is handed out."""
    # Not pytest's own folder: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="earmark-room-") as folder:
        room = VirtualRoom(Path(folder))
        try:
            room.start(ambient=False)
            room.check()
            room.make_noise()
            yield room
        finally:
            room.stop()


@pytest.fixture
def device(room: VirtualRoom, tmp_path: Path) -> Iterator[Callable[..., Device]]:
    """Puts a device into the room; each has a folder of its own and is gone after the test."""
    devices: list[Device] = []

    def put(start: bool = True, **settings: dict[str, Any]) -> Device:
        folder = tmp_path / f"device{len(devices)}"
        folder.mkdir()
        devices.append(Device(room, folder, settings))
        if start:
            devices[-1].start()
        return devices[-1]

    yield put
    for one in devices:
        one.kill()
