"""minimodem: a software FSK modem, Debian's program of that name, run as one.

Each byte is framed with two start bits and a stop bit and sent as two tones; there is neither
error correction nor a checksum. The program decodes each burst of carrier that it sees. The
payload is the burst of exactly four bytes in which it has the most confidence; without one,
the first four bytes of a longer burst, as messages without a pause between them make it.

Its settings are the ones that measured best in speech and rooms. With its usual one start bit
it takes the first byte's place wrongly in one of ten messages, even without noise; with two in
none of 60. 18 Bd lets a message end within a command of 3 s, and 4.2 and 4.8 kHz lie above most
of the speech. More level does not help in rooms: symbols run into the echoes of those before.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.peers.modem import (
    PAYLOAD_BYTES,
    at_most_full_scale,
    checked_payload,
    checked_recording,
)

PROGRAM = "minimodem"

START_BITS = 2

FRAME_BITS = START_BITS + 8 + 1
"""A byte with its start bits and its stop bit."""

EDGE_BITS = 4
"""Carrier that the program sends around a message, bits: two before, two after."""

TIMEOUT_S = 60.0
"""Longest run, s: it decodes a minute of sound in well below one."""

_BURST = re.compile(rb"NOCARRIER ndata=(\d+) confidence=(\d+\.?\d*|inf)")


@dataclass(frozen=True)
class Minimodem:
    """A :class:`Modem` that runs minimodem.

    Parameters
    ----------
    name : what tables call it.
    baud : bits per second (1 to 300).
    mark_hz, space_hz : tones of 1 and 0, Hz (100 to 7500).
    """

    name: str
    baud: float
    mark_hz: float
    space_hz: float

    def __post_init__(self) -> None:
        if not 1.0 <= self.baud <= 300.0:
            raise ValueError(f"baud is {self.baud}, must be 1 to 300")
        if not all(100.0 <= tone <= 7500.0 for tone in (self.mark_hz, self.space_hz)):
            raise ValueError("a tone is out of its range, 100 to 7500 Hz")

    @property
    def payload_bytes(self) -> int:
        """Length of the payload, bytes."""
        return PAYLOAD_BYTES

    @property
    def seconds(self) -> float:
        """Duration of one message, s, to within 3 ms: the program rounds the edges."""
        return (PAYLOAD_BYTES * FRAME_BITS + EDGE_BITS) / self.baud

    def encode(self, payload: bytes) -> Signal:
        """See :meth:`Modem.encode`. EarmarkError: the program is missing or failed."""
        checked_payload(payload)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "message.wav"
            ended = self._run(["--tx", "--float-samples"], file, payload)
            if ended.returncode != 0:
                raise _failed(ended)
            sound, _ = soundfile.read(file, dtype="float32")
        return at_most_full_scale(sound)

    def decode(self, recording: Signal) -> bytes | None:
        """See :meth:`Modem.decode`. EarmarkError: the program is missing or failed."""
        checked_recording(recording)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "recording.wav"
            soundfile.write(file, np.asarray(recording, np.float32), RATE_HZ, subtype="FLOAT")
            ended = self._run(["--rx"], file, b"")
        if ended.returncode not in {0, 1}:  # 1: it saw no carrier
            raise _failed(ended)
        bursts: list[tuple[float, bytes]] = []
        begin = 0
        for size, confidence in _BURST.findall(ended.stderr):
            bursts.append((float(confidence), ended.stdout[begin : begin + int(size)]))
            begin += int(size)
        complete = [burst for burst in bursts if len(burst[1]) >= PAYLOAD_BYTES]
        if not complete:
            return None
        best = max(complete, key=lambda burst: (len(burst[1]) == PAYLOAD_BYTES, burst[0]))
        return best[1][:PAYLOAD_BYTES]

    def _run(
        self, direction: Sequence[str], file: Path, data: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        program = shutil.which(PROGRAM)
        if program is None:
            raise EarmarkError(
                f"the program {PROGRAM} is missing", f"install it: apt-get install {PROGRAM}"
            )
        tones = ["--mark", f"{self.mark_hz:g}", "--space", f"{self.space_hz:g}"]
        frame = ["--ascii", "--startbits", str(START_BITS)]
        audio = ["--samplerate", str(RATE_HZ), "--file", str(file)]
        try:
            return subprocess.run(
                [program, *direction, *tones, *frame, *audio, f"{self.baud:g}"],
                input=data,
                capture_output=True,
                check=False,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise EarmarkError(
                f"{PROGRAM} did not end within {TIMEOUT_S:g} s", "give it a shorter recording"
            ) from error


def _failed(ended: subprocess.CompletedProcess[bytes]) -> EarmarkError:
    said = ended.stderr.decode(errors="replace").strip().splitlines()
    return EarmarkError(
        f"{PROGRAM} ended with status {ended.returncode} ({said[-1] if said else 'no message'})",
        f"run `{PROGRAM} --version` by hand: 0.24 is known to work",
    )


MINIMODEM_18 = Minimodem("minimodem 18 Bd, 4.8/4.2 kHz", 18.0, 4800.0, 4200.0)
"""The best that was found."""

MINIMODEM_30 = Minimodem("minimodem 30 Bd, 5/1 kHz", 30.0, 5000.0, 1000.0)
"""The tones of AEOLUS's text and the bit rate of its figures."""
