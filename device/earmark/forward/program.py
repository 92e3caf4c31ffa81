"""Commands handed to a program: a JSON line, then a WAV file, on its standard input."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import termios
import time
from collections.abc import Sequence

from earmark.errors import ForwardError
from earmark.forward.command import Command

_POLL_S = 0.02
"""How often a program that does not read is looked at, s: one audio block."""


class StdinForwarder:
    """Runs a program for each command and writes the command to its standard input.

    The program gets one line of JSON (the metadata and ``wav_bytes``, the length of what
    follows), then the WAV file, then the end of the file. It must read all of it and exit
    with 0. Its output is thrown away: a recogniser prints what was said, and that must not
    reach the journal of the service.

    Parameters
    ----------
    argv : program and arguments; no shell is involved.
    timeout_s : longest run, s. The program and what it started are killed then.

    Raises
    ------
    ForwardError
        There is no such program.
    """

    def __init__(self, argv: Sequence[str], timeout_s: float) -> None:
        self._argv = tuple(argv)
        self._timeout_s = timeout_s
        if shutil.which(self._argv[0]) is None:
            raise self._missing()

    def send(self, command: Command, within_s: float | None = None) -> None:
        """Run the program on `command`; see :meth:`Forwarder.send`.

        Parameters
        ----------
        within_s : in place of the longest run, s, when a part of it is over already.
        """
        timeout_s = self._timeout_s if within_s is None else within_s
        wav = command.wav()
        data = command.json_line(wav_bytes=len(wav)) + wav
        deadline = time.monotonic() + timeout_s
        read_end, write_end = os.pipe()
        with os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb", buffering=0) as sink:
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=read_end,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # so that its children can be killed with it
                )
            except OSError as error:
                raise self._missing(error) from error
            try:
                unsent = _feed(process, write_end, data, deadline)
                sink.close()
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise ForwardError(
                    f"{self._argv[0]} did not finish a command within {timeout_s:g} s",
                    "make it faster or raise forward.timeout_s",
                ) from error
            finally:
                _kill(process)
            if status != 0:
                raise ForwardError(
                    f"{self._argv[0]} ended with status {status}",
                    "run it by hand with a stored command and mend what it prints",
                )
            # The read end is held open here, so what the program left unread can be counted
            # and a program that exits early does not break the pipe under the writer.
            if unsent or _waiting(read_end):
                raise ForwardError(
                    f"{self._argv[0]} ended without reading the whole command",
                    "let it read its standard input to the end",
                )

    def close(self) -> None:
        """Nothing is held between commands."""

    def _missing(self, error: OSError | None = None) -> ForwardError:
        why = error.strerror if error and error.strerror else "no such program"
        return ForwardError(
            f"cannot run {self._argv[0]}: {why}",
            "install it or name another program in forward.argv",
        )


def _feed(process: subprocess.Popen[bytes], pipe: int, data: bytes, deadline: float) -> int:
    """Write `data` until the program has it or ends; return the number of bytes not written.

    Raises
    ------
    subprocess.TimeoutExpired
        The deadline passed first.
    """
    os.set_blocking(pipe, False)
    rest = memoryview(data)
    while rest and process.poll() is None:
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(process.args, 0.0)
        _, writable, _ = select.select([], [pipe], [], _POLL_S)
        if writable:
            with contextlib.suppress(BlockingIOError):
                rest = rest[os.write(pipe, rest) :]
    return len(rest)


def _waiting(pipe: int) -> int:
    """Bytes in the pipe that nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children when it has not ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
