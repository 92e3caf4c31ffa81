"""The worker: in order, one at a time, and given up when it hangs."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from earmark.worker import Worker


def test_work_is_done_in_order_in_one_other_thread() -> None:
    done: list[tuple[int, int]] = []
    with Worker() as worker:
        futures = [
            worker.submit(lambda n=n: done.append((n, threading.get_ident()))) for n in range(50)
        ]
    assert [number for number, _ in done] == list(range(50))
    assert {thread for _, thread in done} != {threading.get_ident()}
    assert len({thread for _, thread in done}) == 1
    assert all(future.done() for future in futures)
    assert not worker.busy


def test_results_and_errors_arrive() -> None:
    with Worker() as worker:
        assert worker.submit(divmod, 7, 2).result(timeout=10) == (3, 1)
        failed = worker.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            failed.result(timeout=10)
        assert worker.submit(int, "3").result(timeout=10) == 3


def test_work_that_hangs_is_given_up_and_the_rest_is_never_begun() -> None:
    worker, release, begun = Worker(grace_s=0.05), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait()

    hung, waiting = worker.submit(hang), worker.submit(int)
    assert begun.wait(timeout=10)
    worker.shutdown()
    assert worker.busy
    assert waiting.cancelled()
    release.set()
    hung.result(timeout=10)
    worker.shutdown()


def test_what_was_cancelled_is_skipped() -> None:
    worker, release = Worker(), threading.Event()
    worker.submit(release.wait)
    waiting = worker.submit(int)
    assert waiting.cancel()
    release.set()
    worker.shutdown()
    assert waiting.cancelled()


def test_after_the_end_nothing_is_taken() -> None:
    worker = Worker()
    worker.shutdown()
    worker.shutdown(cancel_futures=True)
    with pytest.raises(RuntimeError, match="shut down"):
        worker.submit(int)


def test_what_was_worked_on_is_let_go() -> None:
    class Recording:
        pass

    with Worker() as worker:
        recording = Recording()
        gone = weakref.ref(recording)
        worker.submit(lambda kept: None, recording).result(timeout=10)
        del recording
        worker.submit(int).result(timeout=10)
        gc.collect()
        assert gone() is None
