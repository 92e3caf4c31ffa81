"""Measures the room through the sound card, as a process of its own: the card's library reads
the environment when it is loaded.

    python -m tests.e2e.calibrating OUT.npz           # all of it
    python -m tests.e2e.calibrating OUT.npz clocks    # the clocks alone, by tones and by chirps

Writes what was measured; of all of it also the times at which single clicks came back through the
same stream.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import soxr
from scipy import signal as sps

from earmark.audio import AudioSettings, loudspeaker_rms, open_port
from earmark.nonce import FixedKeys, NonceSettings, Source
from earmark.signal import RATE_HZ
from earmark_calibration.measure import Reference, Rig, measure
from earmark_calibration.measure.clock import read_clock, tones
from earmark_calibration.measure.pilots import TAIL_S, pilots, trace

CLICKS = 4
EVERY_S = 0.6
FINE_HZ = 16 * 48_000
"""Rate that a click's top is read at, Hz."""

TAPS = sps.firwin(19_201, (1000.0, 6000.0), pass_zero=False, fs=FINE_HZ)


def click_delays_s(rig: Rig) -> list[float]:
    """Round trip by single clicks: no chirp, no sweep, no division.

    The top of the envelope from 1 to 6 kHz. The resamplers of the port delay higher frequencies
    more (about 0.5 ms at 7 kHz), so that a delay without a band would be none.
    """
    play = np.zeros(round(CLICKS * EVERY_S * RATE_HZ), np.float32)
    at = [round(number * EVERY_S * RATE_HZ) for number in range(CLICKS)]
    play[at] = 0.5
    heard = rig.play(play, "clicks", 0.6)
    delays = []
    for begin in at:
        part = heard[begin : begin + round(EVERY_S * RATE_HZ)].astype(np.float64)
        fine = soxr.resample(part, RATE_HZ, FINE_HZ, quality="VHQ")
        band = sps.fftconvolve(fine, TAPS, mode="same")
        delays.append(int(np.argmax(np.abs(sps.hilbert(band)))) / FINE_HZ)
    return delays


def clocks(out: Path) -> None:
    audio = AudioSettings(device="room")
    rms = np.float32(loudspeaker_rms(60.0, audio))
    with Rig(lambda: open_port(audio)) as rig:
        reading = read_clock(rig.play(rms * tones(), "tones"))
        chirped = rig.play(np.sqrt(2.0) * rms * pilots(), "chirps", TAIL_S)
    assert reading.clock is not None
    traced = trace(chirped / (np.sqrt(2.0) * rms), reading.clock)
    drifts = (reading.clock.drift_ppm, traced.drift_ppm)
    np.savez(out, drifts_ppm=drifts, shift_hz=reading.clock.shift_hz, steps=traced.steps)


def main(out: Path) -> None:
    audio, nonce = AudioSettings(device="room"), NonceSettings()
    source = Source(nonce, FixedKeys(os.urandom(32)))
    with Rig(lambda: open_port(audio)) as rig:
        clicks = click_delays_s(rig)
        found = measure(
            rig,
            audio,
            nonce,
            lambda: source.draw(os.urandom, time.time()),
            Reference.by_maker(audio.mic_dbspl_at_0dbfs),
        )
        clicks += click_delays_s(rig)
        streams = rig.streams
    np.savez(
        out,
        impulse=np.zeros(0) if found.impulse is None else found.impulse,
        response_db=np.zeros(0) if found.response_db is None else found.response_db,
        clicks_s=np.array(clicks),
        report=np.frombuffer(
            json.dumps(
                {
                    "values": {m.declared.name: m.value for m in found.measurements},
                    "faults": [fault.advice for fault in found.faults],
                    "received": [cancelled.received for cancelled in found.cancelled],
                    "streams": streams,
                    "sound_s": found.sound_s,
                }
            ).encode(),
            np.uint8,
        ),
    )


if __name__ == "__main__":
    (clocks if sys.argv[2:] == ["clocks"] else main)(Path(sys.argv[1]))
