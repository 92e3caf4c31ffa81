"""The port through PyAudio: against a stand-in. On a real server: ``tests/e2e``."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from tests.device.audio.callback import called_in, reserved_by

from earmark.audio import AudioSettings, PyAudioPort, StreamHealth, open_port
from earmark.audio.duplex import CARD_BLOCK
from earmark.errors import AudioError, StreamBroken
from earmark.signal import BLOCK

SILENCE = np.zeros(BLOCK, dtype=np.float32)
SETTINGS = AudioSettings(kind="pyaudio", device="hat", stall_timeout_s=0.1)


class FakePyAudio:
    """Stands for the module pyaudio; its stream calls back only when told to."""

    paContinue = 0
    paFloat32 = 1

    def __init__(self) -> None:
        self.cards = [("hat mic", 2, 0), ("hat", 2, 1), ("HAT amplifier", 0, 2)]
        self.blocks_at_start = 0
        self.flags = 0
        self.opened: dict[str, object] = {}
        self.events: list[str] = []
        self.error: Exception | None = None

    def PyAudio(self) -> FakePyAudio:
        self.events.append("initialize")
        return self

    def terminate(self) -> None:
        self.events.append("terminate")

    def get_device_count(self) -> int:
        return len(self.cards)

    def get_device_info_by_index(self, index: int) -> dict[str, object]:
        name, inputs, outputs = self.cards[index]
        return {
            "index": index,
            "name": name,
            "maxInputChannels": inputs,
            "maxOutputChannels": outputs,
        }

    def open(self, stream_callback, **options: object) -> FakePyAudio:
        if self.error is not None:
            raise self.error
        self.opened = options
        self.callback = stream_callback
        return self

    def start_stream(self) -> None:
        if self.error is not None:
            raise self.error
        for _ in range(self.blocks_at_start):
            self.callback(bytes(4 * CARD_BLOCK), CARD_BLOCK, {}, self.flags)

    def close(self) -> None:
        self.events.append("close")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakePyAudio:
    fake = FakePyAudio()
    monkeypatch.setitem(sys.modules, "pyaudio", fake)
    return fake


def test_one_stream_both_ways_at_48_khz_in_blocks_of_20_ms(library: FakePyAudio) -> None:
    open_port(SETTINGS).close()
    assert library.opened == {
        "rate": 48000,
        "channels": 1,
        "format": 1,
        "input": True,
        "output": True,
        "input_device_index": 1,
        "output_device_index": 1,
        "frames_per_buffer": 960,
        "start": False,
    }
    assert library.events == ["initialize", "close", "terminate"]


@pytest.mark.parametrize(
    ("device", "playback", "indices"),
    [
        ("hat", "amplifier", (1, 2)),  # the exact name before the first that holds it
        ("mic", "hat", (0, 1)),
        (None, None, (None, None)),
    ],
)
def test_cards_are_found_by_name(
    library: FakePyAudio, device: str | None, playback: str | None, indices: tuple[int | None, ...]
) -> None:
    settings = AudioSettings(kind="pyaudio", device=device, playback_device=playback)
    PyAudioPort(settings).close()
    assert (
        library.opened["input_device_index"],
        library.opened["output_device_index"],
    ) == indices


def test_missing_device_names_those_that_exist(library: FakePyAudio) -> None:
    expected = r"no such card: usb.*there are: hat mic \(2 in, 0 out\); hat .*set audio.device"
    with pytest.raises(AudioError, match=expected):
        PyAudioPort(AudioSettings(kind="pyaudio", device="usb"))
    assert library.events == ["initialize", "terminate"]


def test_a_card_in_use_names_the_reason(library: FakePyAudio) -> None:
    library.error = OSError(-9985, "Device unavailable")
    with pytest.raises(AudioError, match=r"does not open .*Device unavailable"):
        PyAudioPort(SETTINGS)


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(AudioError, match=r"portaudio19-dev.*or set audio.kind to sounddevice"):
        PyAudioPort(SETTINGS)


def test_a_stalled_card_breaks_the_stream_and_is_released(library: FakePyAudio) -> None:
    library.blocks_at_start = 1
    port = PyAudioPort(SETTINGS)
    port.exchange(SILENCE)
    with pytest.raises(StreamBroken, match=r"gave nothing for 0\.1 s"):
        port.exchange(SILENCE)
    assert library.events == ["initialize", "close", "terminate"]


def test_a_card_that_does_not_start_breaks_the_stream(library: FakePyAudio) -> None:
    port = PyAudioPort(SETTINGS)
    library.error = OSError("Host error")
    with pytest.raises(StreamBroken, match="did not start"):
        port.exchange(SILENCE)


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
def test_lost_samples_break_the_stream_and_are_counted(library: FakePyAudio, flags: int) -> None:
    health = StreamHealth()
    library.blocks_at_start, library.flags = 1, flags
    with pytest.raises(StreamBroken, match="lost samples"):
        PyAudioPort(SETTINGS, health).exchange(SILENCE)
    assert health.overload.lost_samples == 1


def test_what_is_recorded_and_played_goes_through_unchanged(library: FakePyAudio) -> None:
    port = PyAudioPort(SETTINGS)
    port._rings.put_playback(np.arange(CARD_BLOCK, dtype=np.float32))
    recorded = np.full(CARD_BLOCK, 0.5, np.float32)
    for _ in range(5):
        played, go_on = library.callback(recorded.tobytes(), CARD_BLOCK, {}, 16)
    assert go_on == FakePyAudio.paContinue
    np.testing.assert_array_equal(played, np.arange(CARD_BLOCK))
    taken = port._rings.take_recording()
    assert taken is not None
    np.testing.assert_array_equal(taken, recorded)
    port.close()


def test_the_callback_reserves_no_memory_and_calls_nothing_that_waits(
    library: FakePyAudio,
) -> None:
    port = PyAudioPort(SETTINGS)
    recorded = bytes(4 * CARD_BLOCK)

    def call() -> None:
        library.callback(recorded, CARD_BLOCK, {}, 0)

    assert called_in(call) <= {"_turn", "turn", "fill", "frombuffer"}
    assert reserved_by(call) < len(recorded) / 4
    port.close()
