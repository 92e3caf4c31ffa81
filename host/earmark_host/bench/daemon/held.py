"""Sessions in a process of their own, which tells each of them as it ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from earmark import heap
from earmark.errors import EarmarkError
from earmark_host.bench.daemon import household
from earmark_host.bench.daemon.process import favour, memory_mb
from earmark_host.bench.daemon.theatre import Held, Pace, Play, Theatre
from earmark_host.bench.work import one_thread

LOCK = {"lock_after": 10, "lock_first_s": 1.0, "lock_max_s": 1.0}
"""A row of rejected commands must not hold up what is measured: the shortest lock there is."""


@dataclass(frozen=True)
class Told:
    """One session, and what its process holds after it.

    Parameters
    ----------
    memory_mb : resident memory of the process.
    """

    held: Held
    memory_mb: float


def stream(play: Play) -> Iterator[Told]:
    """Hold the sessions of `play` in a new process, and yield each as it ends.

    Raises
    ------
    EarmarkError
        The process could not work, or ended early.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with one_thread():  # a device has no more beside its audio
        process = context.Process(target=_hold, args=(play, theirs), daemon=True)
        process.start()
    theirs.close()
    try:
        while (told := _next(ours)) is not None:
            yield told
        process.join()
        if process.exitcode != 0:
            raise EarmarkError(
                f"the sessions' process ended with {process.exitcode}", "see what it printed"
            )
    finally:
        process.kill()
        process.join()


def _next(ours: Connection) -> Told | None:
    try:
        told = ours.recv()
    except EOFError:
        return None
    if isinstance(told, EarmarkError):
        raise told
    assert isinstance(told, Told)
    return told


def _hold(play: Play, theirs: Connection) -> None:
    logging.disable(logging.ERROR)  # refused commands are counted, not told
    try:
        config = household.config(play.folder, session=LOCK)

        heap.share()  # as the service does
        if play.pace is not Pace.FAST:
            os.setsid()
            favour(os.getpid())

        def tell(held: Held) -> None:
            heap.give_back()
            theirs.send(Told(held, memory_mb(os.getpid()).get("resident", 0.0)))

        Theatre(play, config, tell).run()
    except EarmarkError as error:
        with suppress(OSError):
            theirs.send(EarmarkError(error.what, error.do))
