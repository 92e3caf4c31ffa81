"""Peers as processes of their own, and devices for them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.peers.speaker import Speaker

from earmark.demo.clips import Clips, load_clips

SENTENCES = ("toast", "bread", "bedtime", "table", "quarter_to_eleven", "mop_it_up", "lobsters")
"""The commands that ship whose words pocketsphinx knows."""


class Sphinx:
    """The recogniser of ``sphinx.py``, running."""

    def __init__(self, uri: str, process: subprocess.Popen[str]) -> None:
        self.uri = uri
        self._process = process

    def heard(self) -> tuple[str, float]:
        """The next command that it was asked for: its text, and its length, s."""
        assert self._process.stdout is not None
        text, length_s = json.loads(self._process.stdout.readline())
        return str(text), float(length_s)

    def end(self) -> list[str]:
        """End it; what it has heard that nobody asked about."""
        self._process.terminate()
        return self._process.communicate(timeout=10.0)[0].splitlines()


@pytest.fixture(scope="session")
def clips() -> Clips:
    return load_clips()


@pytest.fixture(scope="session")
def texts(clips: Clips) -> dict[str, str]:
    """What is said in each command, in lower case."""
    return {name: str(clips.command(name).text).lower() for name in SENTENCES}


@pytest.fixture
def sphinx(tmp_path: Path, texts: dict[str, str]) -> Iterator[Sphinx]:
    """A recogniser at a socket of its own."""
    uri = f"unix://{tmp_path}/asr.sock"
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("sphinx.py")), uri, *texts.values()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == '"up"\n', "the recogniser did not start"
            yield Sphinx(uri, process)
        finally:
            process.terminate()


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Callable[..., Speaker]]:
    """Return a function that puts a device together, given its forward settings."""
    with contextlib.ExitStack() as opened:

        def put(**forward: Any) -> Speaker:
            one = Speaker(tmp_path, forward)
            opened.callback(one.close)
            return one

        yield put
