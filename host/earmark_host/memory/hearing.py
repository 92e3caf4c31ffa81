"""How a device hears one query: a voice or a loudspeaker in a room, what plays behind it, noise."""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy import signal as sps

from earmark.audio import AudioSettings, RoomModel, microphone_dbfs
from earmark.audio.room_model import MIC
from earmark.signal import RATE_HZ, Signal, active_level_dbfs, gain, rms

SPEECH_DBSPL_1M = (55.0, 70.0)
"""Active level of a voice or a television at 1 m, dB SPL: from casual to raised (ANSI S3.5)."""

SNR_DB = (15.0, 40.0)
"""Active level of the query over the noise (rms) at the microphone, dB."""

BEHIND_DB = (0.0, 15.0)
"""Active level of the query over what a television plays behind it, at the microphone, dB."""

LEAD_S = (0.0, 0.2)
"""Noise before the query begins, s: a device does not cut at the same moment twice."""

TAIL_S = 0.2
"""Recording after the end of the query, s: the reverberation dies away in it."""

KEEP_DB = -40.0
"""A room's response ends where the energy still to come is this far below its total, dB: below
what the noise leaves to be heard, and a third shorter."""


class Ear:
    """The microphone of one household's device.

    Parameters
    ----------
    room : where it stands.
    """

    def __init__(self, room: RoomModel) -> None:
        self.room = room
        self._settings = AudioSettings(kind="simulated")
        self._responses: dict[str, Signal] = {}

    def hear(
        self,
        dry: Signal,
        place: str,
        rng: np.random.Generator,
        *,
        behind: Signal | None = None,
        noise: Signal | None = None,
    ) -> Signal:
        """One query as the microphone has it; every level in it is drawn.

        Parameters
        ----------
        dry : what is said, shape (n,), float32 at 16 kHz, not silent.
        place : the source in the room that says it.
        behind : what the television plays meanwhile; it is cut or followed by silence.
        noise : a recording, looped from a drawn moment on; None gives pink noise.

        Returns
        -------
        Signal
            Shape (n + lead + tail,): LEAD_S of noise, the query, TAIL_S.
        """
        level = microphone_dbfs(rng.uniform(*SPEECH_DBSPL_1M), self._settings)
        lead = round(rng.uniform(*LEAD_S) * RATE_HZ)
        size = lead + dry.size + round(TAIL_S * RATE_HZ)
        voice = self._at_mic(dry, place)
        voice *= np.float32(gain(level - active_level_dbfs(dry)))
        heard = np.zeros(size, np.float32)
        count = min(voice.size, size - lead)
        heard[lead : lead + count] = voice[:count]
        active = active_level_dbfs(voice)
        if behind is not None:
            # It plays already when the query begins.
            other = self._at_mic(behind, "television")[:size]
            other *= np.float32(gain(active - rng.uniform(*BEHIND_DB) - active_level_dbfs(other)))
            heard[: other.size] += other
        floor = _looped(noise, size, rng) if noise is not None else _pink(size, rng)
        heard += floor * np.float32(gain(active - rng.uniform(*SNR_DB)) / rms(floor))
        return heard

    def _at_mic(self, dry: Signal, place: str) -> Signal:
        if place not in self._responses:
            self._responses[place] = _shortened(self.room.responses[place, MIC])
        heard: Signal = sps.oaconvolve(dry, self._responses[place])
        return heard


def _shortened(response: Signal) -> Signal:
    energy = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    return response[: int(np.count_nonzero(energy > energy[0] * 10.0 ** (KEEP_DB / 10.0)))]


def _looped(noise: Signal, size: int, rng: np.random.Generator) -> Signal:
    start = int(rng.integers(noise.size))
    cut = np.take(noise, np.arange(start, start + size), mode="wrap")
    # A recording of barks has silence in it.
    return cut if rms(cut) > 0.0 else _pink(size, rng)


def _pink(size: int, rng: np.random.Generator) -> Signal:
    """Gaussian noise with -3 dB an octave."""
    length = fft.next_fast_len(size, real=True)
    spectrum = fft.rfft(rng.standard_normal(length, dtype=np.float32))
    spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size, dtype=np.float32))
    spectrum[0] = 0.0
    pink: Signal = fft.irfft(spectrum, length)[:size]
    return pink
