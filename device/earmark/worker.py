"""A thread beside the audio for the heavy work: in order, and no hindrance to the end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Worker(Executor):
    """Does one thing after the other. The standard library's pools would be waited for at the end
    of the process, however long the work takes; this one is given up after a stated time.

    Parameters
    ----------
    grace_s : longest wait of :meth:`shutdown` for the work that is left, s; None waits for ever.
    """

    def __init__(self, grace_s: float | None = None) -> None:
        self._grace_s = grace_s
        # Unbounded as in the pools: a session asks for five things at most, and its time-outs
        # space sessions out by seconds even when nothing is ever finished.
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._work = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="earmark-work", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether the thread has not ended: after :meth:`shutdown`, that its work hangs."""
        return self._thread.is_alive()

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Have `fn` called after what was submitted before, and return its future.

        Raises
        ------
        RuntimeError
            The worker was shut down.
        """
        if self._closed:
            raise RuntimeError("the worker was shut down")
        future: Future[_T] = Future()
        self._work.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; with `wait`, let what is left be done, within the grace.

        What has not begun by then never will.
        """
        if not self._closed:
            self._closed = True
            self._work.put(None)
        if cancel_futures:
            self._drop()
        if wait:
            self._thread.join(self._grace_s)
            if self.busy:
                self._drop()

    def _drop(self) -> None:
        """Cancel what waits."""
        while True:
            try:
                item = self._work.get_nowait()
            except queue.Empty:
                break
            if item is not None:
                item[0].cancel()
        self._work.put(None)

    def _run(self) -> None:
        while item := self._work.get():
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            del item, future, work  # a recording must not live on until the next one
