"""The announcement: found by a browser on the loopback interface, stable, and said goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from zeroconf import ServiceBrowser, ServiceListener, Zeroconf

from earmark.errors import ForwardError
from earmark.forward.wyoming import announce as module
from earmark.forward.wyoming.announce import SERVICE, announce, machine_identity, own_addresses
from earmark.forward.wyoming.connection import LoopThread

LOOPBACK = ["127.0.0.1"]


class Seen(ServiceListener):
    """What a browser sees."""

    def __init__(self) -> None:
        self.came, self.went = threading.Event(), threading.Event()
        self.name = ""

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.name = name
        self.came.set()

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        pass

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.went.set()


def test_it_is_found_by_its_identity_and_says_goodbye() -> None:
    seen = Seen()
    thread = LoopThread("announce")
    with contextlib.closing(Zeroconf(interfaces=LOOPBACK)) as zeroconf:
        ServiceBrowser(zeroconf, SERVICE, seen)
        thread.start(announce("earmark-0123456789ab", 10700, lambda: LOOPBACK))
        assert seen.came.wait(10)
        assert seen.name == f"earmark-0123456789ab.{SERVICE}"
        info = zeroconf.get_service_info(SERVICE, seen.name, 5000)
        assert info is not None
        assert info.port == 10700
        assert info.parsed_addresses() == LOOPBACK
        thread.close()
        assert seen.went.wait(10)


def test_a_network_that_comes_late_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(module, "RETRY_MAX_S", 0.02)
    tries: list[str] = []

    async def announced(identity: str, *rest: object) -> None:
        tries.append(identity)
        if len(tries) < 4:
            raise OSError("Network is unreachable")
        await asyncio.sleep(60)

    monkeypatch.setattr(module, "_announced", announced)
    found = iter([[], []])

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                task = asyncio.create_task(announce("me", 1, lambda: next(found, LOOPBACK)))
                while len(tries) < 4:
                    await asyncio.sleep(0.01)
                task.cancel()

    asyncio.run(run())
    assert tries == ["me"] * 4
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage() for r in warnings] == ["forward: cannot announce this device: OSError"]


def test_other_addresses_are_announced_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)
    made: list[list[str]] = []

    class Fake:
        def __init__(self, interfaces: list[str], ip_version: object) -> None:
            made.append(interfaces)

        async def async_register_service(self, info: Any) -> Any:
            async def done() -> None: ...

            return done()

        async def async_unregister_all_services(self) -> None: ...

        async def async_close(self) -> None: ...

    monkeypatch.setattr(module, "AsyncZeroconf", Fake)
    at = [["192.0.2.1"]] * 3 + [["192.0.2.7"]] * 1000

    async def run() -> None:
        task = asyncio.create_task(announce("me", 1, lambda: at.pop(0)))
        async with asyncio.timeout(5):
            while len(made) < 2:
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
    assert made == [["192.0.2.1"], ["192.0.2.7"]]


def test_a_name_that_is_taken_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = threading.Event()

    async def announced(*rest: object) -> None:
        tries.set()
        raise module.NonUniqueNameException

    monkeypatch.setattr(module, "_announced", announced)
    thread = LoopThread("announce")
    thread.start(announce("me", 1, lambda: LOOPBACK))
    assert tries.wait(5)
    thread.close()
    assert "another device announces itself as me: set forward.wyoming.identity" in caplog.text


class TestIdentity:
    """The name by which the device is known again."""

    def test_it_is_the_same_each_time_and_does_not_tell_the_machine(self, tmp_path: Path) -> None:
        file = tmp_path / "machine-id"
        file.write_text("0123456789abcdef0123456789abcdef\n")
        name = machine_identity(file)
        assert name == machine_identity(file) == "earmark-1206b3a12837"
        assert "0123" not in name
        file.write_text("f" * 32)
        assert machine_identity(file) != name

    @pytest.mark.parametrize("text", [None, "", "uninitialized\n", "x" * 32, "f" * 31, "f" * 999])
    def test_a_machine_without_one(self, tmp_path: Path, text: str | None) -> None:
        file = tmp_path / "machine-id"
        if text is not None:
            file.write_text(text)
        with pytest.raises(ForwardError, match=r"no identity.*forward\.wyoming\.identity"):
            machine_identity(file)


def test_loopback_is_nothing_to_announce() -> None:
    assert not any(address.startswith("127.") for address in own_addresses())
