"""What a thread has freed goes back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from earmark import heap

MANY = """
import sys, threading
from earmark import heap

def anonymous_kb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

assert heap.share() is ("glibc" in sys.argv[1])
before = anonymous_kb()

def work():
    # Pieces below the size that is mapped on its own, freed in the order they were made.
    pieces = [bytearray(100_000) for _ in range(400)]
    while pieces:
        pieces.pop(0)

thread = threading.Thread(target=work)
thread.start()
thread.join()
heap.give_back()
print(anonymous_kb() - before)
"""


def test_what_a_thread_took_and_freed_is_given_back() -> None:
    """40 MB were taken."""
    has = "glibc" if hasattr(ctypes.CDLL(None), "malloc_trim") else "other"
    done = subprocess.run(
        [sys.executable, "-c", MANY, has], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 8_000 or has == "other"


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        """A C library without either."""

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Bare())
    assert not heap.share()
    assert not heap.give_back()
