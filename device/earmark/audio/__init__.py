"""Sound in and out: one full-duplex port, whatever is behind it.

Kinds: a sound card (through sounddevice or PyAudio), WAV files, and the simulated room, which is
also what the demonstration, the tests and the benchmarks run in. The simulation is loaded when it
is first named: it needs scipy.signal, some 50 MB that a device in service has no use for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.audio.duplex import stuck_s
from earmark.audio.health import Overload, StreamHealth
from earmark.audio.levels import (
    loudspeaker_dbfs,
    loudspeaker_dbspl_1m,
    loudspeaker_rms,
    microphone_dbfs,
    microphone_dbspl,
    microphone_rms,
)
from earmark.audio.paced import Paced
from earmark.audio.port import AudioPort
from earmark.audio.pyaudio_card import PyAudioPort
from earmark.audio.room_model import RoomModel, load_room, shipped_rooms
from earmark.audio.settings import AudioSettings
from earmark.audio.sound_card import SoundDevicePort
from earmark.audio.wav import WavPort
from earmark.errors import AudioError

if TYPE_CHECKING:
    from earmark.audio.simulated import RoomConditions, SimulatedRoom

__all__ = [
    "AudioPort",
    "AudioSettings",
    "Overload",
    "Paced",
    "PyAudioPort",
    "RoomConditions",
    "RoomModel",
    "SimulatedRoom",
    "SoundDevicePort",
    "StreamHealth",
    "WavPort",
    "load_room",
    "loudspeaker_dbfs",
    "loudspeaker_dbspl_1m",
    "loudspeaker_rms",
    "microphone_dbfs",
    "microphone_dbspl",
    "microphone_rms",
    "open_port",
    "shipped_rooms",
    "stuck_s",
]

_SIMULATION = frozenset({"RoomConditions", "SimulatedRoom"})


def __getattr__(name: str) -> object:
    if name in _SIMULATION:
        from earmark.audio import simulated  # noqa: PLC0415

        return getattr(simulated, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def open_port(
    settings: AudioSettings, room: RoomModel | None = None, health: StreamHealth | None = None
) -> AudioPort:
    """Open the port that `settings` ask for.

    Parameters
    ----------
    settings : the audio settings.
    room : for the simulated kind, the room instead of the one that `settings.room` names.
    health : for sound cards, told of every stream that starts, and what it lost.

    Raises
    ------
    AudioError
        The port cannot be opened; the message says what to do.
    """
    if settings.kind == "simulated":
        from earmark.audio.simulated import SimulatedRoom  # noqa: PLC0415

        return SimulatedRoom(room or load_room(settings.room), settings)
    if settings.kind == "wav":
        if settings.wav_in is None:
            raise AudioError("audio.kind is wav, but audio.wav_in names no file", "name one")
        return WavPort(settings.wav_in, settings.wav_out)
    if settings.kind == "pyaudio":
        return PyAudioPort(settings, health)
    return SoundDevicePort(settings, health)
