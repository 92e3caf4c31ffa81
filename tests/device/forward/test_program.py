"""Commands on a program's standard input, and programs that do not behave."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.errors import ForwardError
from earmark.forward import ForwardSettings, StdinForwarder, open_forwarder

KEEP = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"


def python(program: str, *args: str, timeout_s: float = 30.0) -> StdinForwarder:
    return StdinForwarder((sys.executable, "-c", program, *args), timeout_s)


@pytest.mark.parametrize("seconds", [0.1, 15.0])
def test_the_program_gets_a_line_of_json_and_then_the_wav_file(
    tmp_path: Path, make: Any, seconds: float
) -> None:
    settings = ForwardSettings(
        kind="command", argv=(sys.executable, "-c", KEEP, str(tmp_path / "got"))
    )
    command = make(4, seconds=seconds)

    open_forwarder(settings).send(command)

    line, wav = (tmp_path / "got").read_bytes().split(b"\n", 1)
    header = json.loads(line)
    assert header["session"] == "s0004"
    assert header["wav_bytes"] == len(wav)
    audio, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    np.testing.assert_allclose(audio, command.audio, atol=1.01 / 32768)


def test_no_shell_looks_at_the_arguments(tmp_path: Path, make: Any) -> None:
    target = tmp_path / "a; touch b $(touch c)"
    python(KEEP, str(target)).send(make())
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_what_the_program_prints_goes_nowhere(make: Any, capfd: pytest.CaptureFixture[str]) -> None:
    program = "import sys; sys.stdin.buffer.read(); print('said'); print('said', file=sys.stderr)"
    python(program).send(make())
    assert capfd.readouterr() == ("", "")


def test_no_descriptor_is_left_open(make: Any) -> None:
    forwarder = python("import sys; sys.stdin.buffer.read()")
    before = len(os.listdir("/proc/self/fd"))
    forwarder.send(make())
    forwarder.close()
    assert len(os.listdir("/proc/self/fd")) == before


class TestFailures:
    """Every way not to take a command is an error."""

    def test_no_such_program(self) -> None:
        with pytest.raises(ForwardError, match=r"cannot run no-such-program-here: no such program"):
            StdinForwarder(("no-such-program-here",), 1.0)

    def test_a_program_that_vanished(self, tmp_path: Path, make: Any) -> None:
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\ncat\n")
        program.chmod(0o700)
        forwarder = StdinForwarder((str(program),), 10.0)
        program.unlink()
        with pytest.raises(ForwardError, match=r"cannot run .*: No such file.*forward\.argv"):
            forwarder.send(make())

    def test_a_file_that_is_no_program(self, tmp_path: Path, make: Any) -> None:
        program = tmp_path / "program"
        program.write_bytes(b"\x00\x01\x02")
        program.chmod(0o700)
        with pytest.raises(ForwardError, match="Exec format error"):
            StdinForwarder((str(program),), 10.0).send(make())

    def test_a_status_that_is_not_zero(self, make: Any) -> None:
        with pytest.raises(ForwardError, match="ended with status 3"):
            python("import sys; sys.stdin.buffer.read(); sys.exit(3)").send(make())

    @pytest.mark.parametrize("seconds", [0.1, 15.0], ids=["fits the pipe", "exceeds the pipe"])
    @pytest.mark.parametrize(
        "program",
        ["pass", "import os; os.read(0, 1000)", "import os; os.close(0)"],
        ids=["nothing", "a part", "closed"],
    )
    def test_a_program_that_does_not_read_everything(
        self, make: Any, program: str, seconds: float
    ) -> None:
        with pytest.raises(ForwardError, match="without reading the whole command"):
            python(program).send(make(seconds=seconds))

    @pytest.mark.parametrize("seconds", [0.1, 15.0], ids=["fits the pipe", "exceeds the pipe"])
    def test_a_program_that_hangs_is_killed_with_its_children(
        self, tmp_path: Path, make: Any, seconds: float
    ) -> None:
        argv = ("sh", "-c", 'sleep 600 & echo $! > "$0"; wait', str(tmp_path / "pid"))
        with pytest.raises(ForwardError, match=r"sh did not finish .*forward\.timeout_s"):
            StdinForwarder(argv, timeout_s=1.0).send(make(seconds=seconds))

        child = Path("/proc", (tmp_path / "pid").read_text().strip())
        for _ in range(100):  # the child's new parent has to reap it
            if not child.exists() or ") Z" in (child / "stat").read_text():
                break
            time.sleep(0.02)
        else:
            pytest.fail("the child still runs")

    def test_a_kind_without_a_program_is_refused_as_a_setting(self) -> None:
        with pytest.raises(ValueError, match="argv"):
            ForwardSettings(kind="command")
