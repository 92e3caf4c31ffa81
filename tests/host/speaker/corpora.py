"""Small corpora of made-up voices: hums of a pitch of their own, in LibriSpeech's folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from earmark.signal import RATE_HZ, Signal
from earmark.speaker import FrontEnd
from earmark_host.speaker.network import Shape

FRONT_END = FrontEnd(256, 256, 128, 12, 60.0, 4000.0, 0.0, 3e-4)
"""Few bands: quick."""

SMALL = Shape(FRONT_END, channels=(12, 16), pools=(0,), window_frames=24, embedding=8)
"""A network of some hundred weights that hears a fifth of a second."""


def hum(pitch_hz: float, seconds: float, rng: np.random.Generator) -> Signal:
    """A voice: harmonics with random phases and a little noise."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = [np.sin(2.0 * np.pi * (k * pitch_hz * time + rng.random())) / k for k in range(1, 9)]
    signal = 0.1 * np.sum(tones, axis=0) + 0.005 * rng.standard_normal(time.size)
    return np.asarray(signal, np.float32)


def librispeech(
    folder: Path, people: int = 3, chapters: int = 2, utterances: int = 8, seconds: float = 0.3
) -> Path:
    """LibriSpeech's folders below `folder`, with `utterances` in each chapter."""
    rng = np.random.default_rng(0)
    for person in range(people):
        for chapter in range(chapters):
            place = folder / "dev-clean" / f"{person + 10}" / f"{chapter + 100}"
            place.mkdir(parents=True)
            for number in range(utterances):
                name = f"{person + 10}-{chapter + 100}-{number:04d}.flac"
                signal = hum(150.0 * 1.5**person, seconds, rng)
                soundfile.write(place / name, signal, RATE_HZ)
    return folder
