"""Many pieces of work on several processes, with a progress bar.

Each piece is a function of its arguments alone and the results come back in the order of the
pieces, so that they do not depend on how many processes there are.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from earmark.errors import EarmarkError

_A = TypeVar("_A")
_R = TypeVar("_R")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""How many threads the linear algebra takes. One a process: more would fight over the cores,
and CPU times would not be those of one core."""


def usual_workers() -> int:
    """Two processes, or one where there is one core."""
    return min(2, os.cpu_count() or 1)


class Workers:
    """A number of processes, to be used in a ``with`` block.

    Parameters
    ----------
    count : how many, at least 1.
    console : where the progress bar is shown.
    """

    def __init__(self, count: int, console: Console) -> None:
        # Spawned: a forked child keeps the linear algebra's threads, and could inherit a lock.
        self._pool = ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_no_log
        )
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(
        self,
        title: str,
        function: Callable[[_A], _R],
        pieces: Sequence[_A],
        weight: Callable[[_A], int] = lambda _: 1,
    ) -> list[_R]:
        """Do all pieces and return their results in the same order.

        Parameters
        ----------
        title : shown beside the bar.
        function : of one piece; both must survive being pickled.
        pieces : started in this order, so the longest should come first.
        weight : how far a finished piece moves the bar.

        Raises
        ------
        EarmarkError
            The first piece that failed with one, or a process died.
        """
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            transient=True,
        )
        results: dict[int, _R] = {}
        with progress:
            bar = progress.add_task(title, total=sum(weight(piece) for piece in pieces))
            try:
                futures = self._submit(function, pieces)
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    progress.advance(bar, weight(pieces[futures[future]]))
            except BrokenProcessPool as error:
                raise EarmarkError(
                    "a worker process died, perhaps for want of memory", "try --workers 1"
                ) from error
        return [results[index] for index in range(len(pieces))]

    def _submit(self, function: Callable[[_A], _R], pieces: Sequence[_A]) -> dict[Future[_R], int]:
        # The processes start here, and inherit both: one thread each, and deafness to Ctrl-C,
        # which is for this process to handle.
        with one_thread(), _no_interrupt():
            return {self._pool.submit(function, piece): index for index, piece in enumerate(pieces)}


def _no_log() -> None:
    """Switch the logs off: what devices in a bench have to say is what it counts."""
    logging.disable(logging.CRITICAL)


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes that are started meanwhile compute with one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
