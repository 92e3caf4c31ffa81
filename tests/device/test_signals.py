"""Signals arrive whatever the main thread does, and what was set before comes back."""

from __future__ import annotations

import os
import pty
import queue
import signal
import subprocess
import sys

import pytest

from earmark.signals import Signals


def test_each_signal_calls_its_own() -> None:
    called: queue.Queue[str] = queue.Queue()
    with Signals(lambda: called.put("stop"), lambda: called.put("reload")):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(os.getpid(), number)
            assert called.get(timeout=10) == {signal.SIGHUP: "reload"}.get(number, "stop")
    assert called.empty()


def test_what_was_set_before_is_restored() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with Signals(lambda: None, lambda: None):
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_another_signal_is_not_ours() -> None:
    called: queue.Queue[str] = queue.Queue()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Signals(lambda: called.put("stop"), lambda: called.put("reload")):
            os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGTERM)
            assert called.get(timeout=10) == "stop"
    finally:
        signal.signal(signal.SIGUSR1, before)


HUNG = """
import ctypes, os, threading, time
from earmark.signals import Signals
with Signals(lambda: os._exit(7), lambda: None):
    print("hung", flush=True)
    libc = ctypes.CDLL(None)
    while True:
        libc.sleep(60)  # in C, and back into it when the signal interrupts
"""


def test_a_main_thread_that_hangs_in_c_does_not_hold_it_up() -> None:
    hung = subprocess.Popen([sys.executable, "-c", HUNG], stdout=subprocess.PIPE, text=True)
    assert hung.stdout is not None
    assert hung.stdout.readline() == "hung\n"
    hung.send_signal(signal.SIGTERM)
    assert hung.wait(timeout=10) == 7


TERMINAL = """
import os, signal, sys, time
from earmark.signals import Signals, has_terminal, outlives_terminal
if "nohup" in sys.argv:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
stays = outlives_terminal()
with Signals(lambda: None, lambda: os._exit(10 + 2 * stays + has_terminal())):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("arguments", "closes", "code"),
    [
        ([], True, 10),  # it is closed: the end
        ([], False, 11),  # it is there: a reload
        (["nohup"], True, 12),  # goes on without it
    ],
)
def test_a_terminal_that_is_closed_is_told_from_a_reload(
    arguments: list[str], closes: bool, code: int
) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        # Whoever runs the tests may be ignoring it, under `nohup`, and that is inherited.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.execv(sys.executable, [sys.executable, "-c", TERMINAL, *arguments])
    told = b""
    while b"ready" not in told:
        told += os.read(terminal, 100)
    if closes:
        os.close(terminal)
    else:
        os.kill(pid, signal.SIGHUP)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == code
    if not closes:
        os.close(terminal)


def test_without_a_terminal_it_goes_on() -> None:
    script = "from earmark.signals import outlives_terminal as o; raise SystemExit(3 + o())"
    ended = subprocess.run([sys.executable, "-c", script], start_new_session=True, check=False)
    assert ended.returncode == 4
