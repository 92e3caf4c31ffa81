"""What a process takes of the machine, as Linux says it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_TICKS_HZ = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Iterable[int]) -> float:
    """CPU time of processes so far, user and system, s; 0 for those that have ended."""
    total = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is not None:
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS_HZ


def descendants(pid: int) -> list[int]:
    """`pid` and every process below it."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory_mb(pid: int) -> dict[str, float]:
    """Memory of a process, MB (10**6 bytes): what is resident, the most that ever was, and what of
    it no other process can share (anonymous). Empty when it has ended."""
    names = {"VmRSS": "resident", "VmHWM": "peak", "RssAnon": "anonymous"}
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    rows = (line.partition(":") for line in lines.splitlines())
    return {
        names[key]: int(value.split()[0]) * 1024 / 1e6 for key, _, value in rows if key in names
    }


def end(started: subprocess.Popen[bytes], longest_s: float) -> None:
    """Have a process end, by force after `longest_s`, and wait until it has."""
    started.terminate()
    try:
        started.wait(longest_s)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


def favour(pid: int) -> None:
    """Give a process the processor when it asks, where that is permitted: it is measured beside
    other work, and on a device its unit sees to it (CPUWeight). It should lead a session."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)
        # Where sessions share the processor evenly, whatever their priorities, this counts.
        (_PROC / str(pid) / "autogroup").write_text("-20", encoding="ascii")


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
