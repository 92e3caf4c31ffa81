"""A sound card through PyAudio: the same PortAudio by the older of its two Python libraries.

It opens streams with the card's low latency, where sounddevice takes the high one. For systems
that carry PyAudio and not sounddevice.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from earmark.audio.duplex import (
    CARD_BLOCK,
    CARD_RATE_HZ,
    LOST,
    DuplexPort,
    Rings,
    not_opened,
)
from earmark.audio.health import StreamHealth
from earmark.audio.plugins import keep_plugins
from earmark.audio.settings import AudioSettings
from earmark.errors import AudioError, one_line
from earmark.signal import Signal

Answer: TypeAlias = tuple[Signal, int]


class PyAudioPort(DuplexPort):
    """An audio port on a sound card; see :class:`DuplexPort`.

    Parameters
    ----------
    settings : devices and the stall time-out.
    health : told of every stream that starts, and what it lost.

    Raises
    ------
    AudioError
        PyAudio is not installed, no such device, or a device that does not open.
    """

    def __init__(self, settings: AudioSettings, health: StreamHealth | None = None) -> None:
        super().__init__(
            settings.device or "(default)",
            lambda rings: _PyAudioCard(settings, rings),
            settings.stall_timeout_s,
            health,
        )


class _PyAudioCard:
    """One stream of PortAudio. The library lists the cards anew each time: they come and go."""

    def __init__(self, settings: AudioSettings, rings: Rings) -> None:
        library = _pyaudio()
        self._rings = rings
        self._go_on: int = library.paContinue
        self._owner = library.PyAudio()
        try:
            self._stream = self._owner.open(
                rate=CARD_RATE_HZ,
                channels=1,
                format=library.paFloat32,
                input=True,
                output=True,
                input_device_index=self._index(settings.device, "maxInputChannels"),
                output_device_index=self._index(
                    settings.playback_device or settings.device, "maxOutputChannels"
                ),
                frames_per_buffer=CARD_BLOCK,
                start=False,
                stream_callback=self._turn,
            )
        except (OSError, ValueError) as error:
            names = self._devices()
            keep_plugins()
            self._owner.terminate()
            raise not_opened(settings, error, names) from error

    def start(self) -> None:
        try:
            self._stream.start_stream()
        except OSError as error:
            raise AudioError(one_line(error), "check the sound card") from error

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError as error:
            raise AudioError(one_line(error), "check the sound card") from error
        finally:
            keep_plugins()
            self._owner.terminate()

    def abandon(self) -> None:
        """Nothing to do: PyAudio does nothing when the process ends."""

    def _turn(self, recorded: bytes, _frames: int, _time: object, status: int) -> Answer:
        """Called by PortAudio in its own thread.

        PyAudio copies both ways itself: it makes `recorded`, and reads the array returned.
        """
        block = np.frombuffer(recorded, dtype=np.float32)
        return self._rings.turn(block, status & LOST), self._go_on

    def _index(self, name: str | None, channels: str) -> int | None:
        """The first card with `name` in its own, an exact match before all others."""
        if name is None:
            return None
        fitting = [info for info in self._infos() if info[channels] > 0]
        exact = [info for info in fitting if info["name"] == name]
        partly = [info for info in fitting if name.lower() in str(info["name"]).lower()]
        for info in exact + partly:
            return int(info["index"])
        raise ValueError(f"no such card: {name}")

    def _infos(self) -> list[dict[str, Any]]:
        count = self._owner.get_device_count()
        return [self._owner.get_device_info_by_index(number) for number in range(count)]

    def _devices(self) -> str:
        names = [
            f"{info['name']} ({info['maxInputChannels']} in, {info['maxOutputChannels']} out)"
            for info in self._infos()
        ]
        return "; ".join(names) or "none"


def _pyaudio() -> Any:
    try:
        # Here and not above: the other kinds of port do without it.
        import pyaudio  # noqa: PLC0415
    except ImportError as error:
        raise AudioError(
            f"PyAudio is not installed ({one_line(error)})",
            "install it (sudo apt install portaudio19-dev gcc python3-dev, then"
            " pip install 'earmark[pyaudio]'), or set audio.kind to sounddevice",
        ) from error
    return pyaudio
