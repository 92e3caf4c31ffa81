"""Places for the tests, as a measurement without error would give them."""

from __future__ import annotations

import numpy as np

from earmark.audio import AudioSettings, load_room, microphone_rms
from earmark.signal import Signal, gain
from earmark_calibration.choose.place import Place

AUDIO = AudioSettings(kind="simulated")


def response(room: str = "bedroom") -> Signal:
    """From the loudspeaker to the microphone of a shipped room, both in full scale."""
    emission = gain(AUDIO.speaker_dbspl_1m_at_0dbfs - AUDIO.mic_dbspl_at_0dbfs)
    return np.asarray(
        load_room(room).responses["loudspeaker", "mic"] * np.float32(emission), np.float32
    )


def place(room: str = "bedroom", noise_dbspl: float = 33.0, drift_ppm: float = 0.0) -> Place:
    """A shipped room with pink noise, and 100 ms of delay."""
    hz = np.linspace(0.0, 8000.0, 2049)
    psd = 1.0 / np.maximum(hz, 60.0)
    psd *= microphone_rms(noise_dbspl, AUDIO) ** 2 / psd.sum()
    return Place(response(room), 0.1, psd, AUDIO, drift_ppm)
