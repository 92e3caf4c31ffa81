"""wyoming-bench, which measures recognisers for people who choose one, against our proxy."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from tests.device.forward.wyoming.ports import free_port
from tests.peers.conftest import Sphinx

from earmark.demo.clips import Clips
from earmark.errors import ForwardError
from earmark.forward import Command, Device, Forwarder, ForwardSettings, open_forwarder
from earmark.gate import Decision, Reason, Verdict

ALLOWED = Verdict(Decision.ALLOW, Reason.FRESH, ())


@pytest.fixture
def corpus(tmp_path: Path, texts: dict[str, str]) -> Path:
    """Noise, said to be our commands: nothing of it may come back."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    noise = (np.random.default_rng(0).standard_normal(16_000) * 1e3).astype("<i2")
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
        with wave.open(str(folder / f"{name}.wav"), "wb") as out:
            out.setparams((1, 2, 16_000, 0, "NONE", ""))
            out.writeframes(noise.tobytes())
    return folder


Proxy = Callable[[float], tuple[str, Forwarder]]


@pytest.fixture
def proxy(sphinx: Sphinx) -> Iterator[Proxy]:
    """Return a function that opens our proxy, with the recogniser behind it.

    Given is how long a request waits for a command, s; it returns where the proxy listens, and it.
    """
    with contextlib.ExitStack() as opened:

        def put(verdict_s: float) -> tuple[str, Forwarder]:
            port = free_port()
            listen = f"tcp://127.0.0.1:{port}"
            wyoming = {"uri": sphinx.uri, "listen": listen, "verdict_s": verdict_s}
            settings = ForwardSettings.model_validate({"kind": "wyoming_proxy", "wyoming": wyoming})
            one = open_forwarder(settings, Device("kitchen-speaker"))
            opened.callback(one.close)
            return f"127.0.0.1:{port}", one

        yield put


def bench(*argv: str, status: int = 0) -> str:
    """Run it, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "wyoming_bench.cli", *argv],
        capture_output=True,
        text=True,
        timeout=120.0,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_it_sees_a_recogniser_in_the_proxy(proxy: Proxy) -> None:
    printed = bench("info", proxy(0.5)[0])
    assert "asr  kitchen-speaker (no streaming)" in printed
    assert "model earmark [en]" in printed


def test_it_gets_the_text_of_each_command_that_was_allowed(
    proxy: Proxy,
    sphinx: Sphinx,
    corpus: Path,
    clips: Clips,
    texts: dict[str, str],
) -> None:
    uri, forwarder = proxy(10.0)
    with speaking(forwarder, clips, sorted(texts)):
        printed = bench("stt", uri, "--corpus", str(corpus), "--rounds", "1", "--warmup", "0")
    assert re.search(rf"\[non_streaming\] ok={len(texts)} fail=0", printed), printed
    assert "WER=0.0%" in printed, printed
    assert "SAR=100.0%" in printed, printed
    assert [sphinx.heard()[0] for _ in texts] == [texts[name] for name in sorted(texts)]


def test_it_gets_nothing_where_nothing_was_allowed(
    proxy: Proxy, sphinx: Sphinx, corpus: Path, texts: dict[str, str]
) -> None:
    options = ("--rounds", "1", "--warmup", "0", "--verbose")
    printed = bench("stt", proxy(0.5)[0], "--corpus", str(corpus), *options, status=1)
    assert printed.count("FAIL: server error (not-verified)") == len(texts), printed
    assert re.search(rf"ok=0 fail={len(texts)}", printed), printed
    assert sphinx.end() == []


@contextlib.contextmanager
def speaking(forwarder: Forwarder, clips: Clips, names: list[str]) -> Iterator[None]:
    """Somebody gives these commands, each as soon as somebody asks what was said."""
    over = threading.Event()
    session = count()

    def speak() -> None:
        for name in names:
            while not over.is_set():
                command = Command(
                    audio=clips.command(name).signal,
                    session=f"s{next(session)}",
                    device="kitchen-speaker",
                    place="Kitchen",
                    woken_unix_s=time.time(),
                    uncovered_s=(),
                    verdict=ALLOWED,
                )
                with contextlib.suppress(ForwardError):  # nobody asked within 1.5 s: again
                    forwarder.send(command)
                    break

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30.0)
        assert not thread.is_alive()
