"""What a filled memory costs a device that starts: in a process of its own."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from earmark.memory import MemorySettings, NeighboursSettings, QueryMemory
from earmark.memory.entries import Remembered
from earmark.memory.query_memory import NEIGHBOURS_FILE
from earmark.memory.store import QueryStore
from earmark.signal import Signal

STATM = Path("/proc/self/statm")
"""Where Linux says how many pages a process has in memory."""

RAM_DISK = Path("/dev/shm")
"""Where the store of a filled memory is written: each query is flushed, and 10,000 flushes of a
disk are half a minute."""


@dataclass(frozen=True)
class Started:
    """A device that took in a filled memory.

    Parameters
    ----------
    queries : how many it holds.
    grown_bytes : growth of what is resident, from before it was opened until after a query; None
        where the system does not say.
    start_s : CPU time until it was open, s.
    first_query_s : CPU time of the first query, which builds the index, s.
    """

    queries: int
    grown_bytes: int | None
    start_s: float
    first_query_s: float


def start(queries: Sequence[Remembered], command: Signal) -> Started:
    """Write a store, and let a new process open it and judge `command`."""
    on = RAM_DISK if RAM_DISK.is_dir() else None
    with TemporaryDirectory(dir=on, prefix="earmark-bench-") as name:
        folder = Path(name)
        with QueryStore.open(folder / NEIGHBOURS_FILE, len(queries), 1) as store:
            for query in queries:
                store.remember(query)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_open, folder, len(queries), command).result()


def _open(folder: Path, count: int, command: Signal) -> Started:
    settings = MemorySettings(folder=folder, neighbours=NeighboursSettings(last=count))
    # What a first query loads and allocates whatever is remembered.
    warm = QueryMemory.open(settings.model_copy(update={"folder": None}), os.urandom)
    warm.examine(command, time.time())
    del warm
    gc.collect()
    before = _resident_bytes()
    began = time.thread_time()
    memory = QueryMemory.open(settings, os.urandom)
    opened = time.thread_time()
    memory.examine(command, time.time())
    ended = time.thread_time()
    gc.collect()
    after = _resident_bytes()
    memory.close()
    grown = None if before is None or after is None else after - before
    return Started(count, grown, opened - began, ended - opened)


def _resident_bytes() -> int | None:
    if not STATM.exists():
        return None
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
