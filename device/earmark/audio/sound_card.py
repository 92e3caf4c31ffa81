"""A sound card through sounddevice: PortAudio with its callback as numpy arrays."""

from __future__ import annotations

import atexit
from typing import Any

from earmark.audio.duplex import CARD_BLOCK, CARD_RATE_HZ, DuplexPort, Rings, not_opened
from earmark.audio.health import StreamHealth
from earmark.audio.plugins import keep_plugins
from earmark.audio.settings import AudioSettings
from earmark.errors import AudioError, one_line
from earmark.signal import Signal


class SoundDevicePort(DuplexPort):
    """An audio port on a sound card; see :class:`DuplexPort`.

    Parameters
    ----------
    settings : devices and the stall time-out.
    health : told of every stream that starts, and what it lost.

    Raises
    ------
    AudioError
        No PortAudio library, no such device, or a device that does not open.
    """

    def __init__(self, settings: AudioSettings, health: StreamHealth | None = None) -> None:
        super().__init__(
            settings.device or "(default)",
            lambda rings: _SoundDeviceCard(settings, rings),
            settings.stall_timeout_s,
            health,
        )


class _SoundDeviceCard:
    """One stream of PortAudio. The library lists the cards anew each time: they come and go."""

    def __init__(self, settings: AudioSettings, rings: Rings) -> None:
        self._library = library = _portaudio()
        self._rings = rings
        playback = settings.playback_device or settings.device
        keep_plugins()
        library._terminate()
        library._initialize()
        try:
            self._stream = library.Stream(
                samplerate=CARD_RATE_HZ,
                blocksize=CARD_BLOCK,
                device=(settings.device, playback),
                channels=1,
                dtype="float32",
                callback=self._turn,
            )
        except (library.PortAudioError, ValueError) as error:
            raise not_opened(settings, error, _devices(library)) from error

    def start(self) -> None:
        try:
            self._stream.start()
        except self._library.PortAudioError as error:
            raise AudioError(one_line(error), "check the sound card") from error

    def close(self) -> None:
        self._stream.close(ignore_errors=True)

    def abandon(self) -> None:
        # Registered by the library itself: it would close the stream again, and wait for ever.
        atexit.unregister(self._library._exit_handler)

    def _turn(
        self, recorded: Signal, played: Signal, _frames: int, _time: object, status: Any
    ) -> None:
        """Called by PortAudio in its own thread; the arrays have shape (frames, 1)."""
        played[:, 0] = self._rings.turn(recorded[:, 0], status._flags if status else 0)


def _portaudio() -> Any:
    try:
        # Here and not above: it loads the library, which other kinds of port do not need.
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise AudioError(
            f"PortAudio, which reaches the sound card, does not load ({one_line(error)})",
            "install it: sudo apt install libportaudio2",
        ) from error
    except ImportError as error:
        raise AudioError(
            f"sounddevice is not installed ({one_line(error)})", "run `make setup`"
        ) from error
    return sounddevice


def _devices(library: Any) -> str:
    try:
        names = [
            f"{device['name']} ({device['max_input_channels']} in, "
            f"{device['max_output_channels']} out)"
            for device in library.query_devices()
        ]
    except library.PortAudioError as error:
        return f"none ({one_line(error)})"
    return "; ".join(names) or "none"
