"""A second clock: takes what a sink plays, and plays it on at a rate that differs by some ppm.

    python -m tests.e2e.bridge SINK TARGET PPM

Until it is ended; the programs on both sides end by their pipes. Between them is soxr.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import soxr

RATE_HZ = 48_000
BLOCK_BYTES = 4 * RATE_HZ // 100
LEAD_S = 0.15
"""Silence played first, s: what a clock that is slower by 300 ppm eats in 8 minutes, and what a
busy machine is late."""

_FORMAT = ("--raw", "--format=float32le", "--rate=48000", "--channels=1", "--channel-map=mono")


def main(sink: str, target: str, ppm: float) -> None:
    taking = subprocess.Popen(
        ["parec", f"--device={sink}.monitor", *_FORMAT, "--latency-msec=20"],
        stdout=subprocess.PIPE,
    )
    playing = subprocess.Popen(
        ["pacat", "--playback", f"--device={target}", *_FORMAT, "--latency-msec=60"],
        stdin=subprocess.PIPE,
    )
    assert taking.stdout is not None
    assert playing.stdin is not None
    # A faster playback has fewer samples for the same sound.
    stream = soxr.ResampleStream(RATE_HZ * (1.0 + ppm * 1e-6), RATE_HZ, 1, dtype="float32", vr=True)
    playing.stdin.write(np.zeros(round(LEAD_S * RATE_HZ), np.float32).tobytes())
    while data := taking.stdout.read(BLOCK_BYTES):
        playing.stdin.write(stream.resample_chunk(np.frombuffer(data, np.float32)).tobytes())
        playing.stdin.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
