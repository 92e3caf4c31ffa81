"""The port through sounddevice: against a stand-in, and streaming against the real PortAudio."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from tests.device.audio.callback import called_in, reserved_by

from earmark.audio import AudioSettings, SoundDevicePort, StreamHealth, open_port
from earmark.audio.duplex import CARD_BLOCK
from earmark.errors import AudioError, StreamBroken
from earmark.signal import BLOCK

SILENCE = np.zeros(BLOCK, dtype=np.float32)
SETTINGS = AudioSettings(device="hat", stall_timeout_s=0.1)


class Flags:
    """Stands for sounddevice.CallbackFlags."""

    def __init__(self, flags: int) -> None:
        self._flags = flags

    def __bool__(self) -> bool:
        return bool(self._flags)


class FakeCard:
    """Stands for the module sounddevice; its stream calls back only when told to."""

    class PortAudioError(Exception):
        pass

    def __init__(self, names: tuple[str, ...] = ("hat",), blocks_at_start: int = 0) -> None:
        self.names = names
        self.blocks_at_start = blocks_at_start
        self.flags = 0
        self.closed = 0
        self.listed: list[str] = []
        self.error: Exception | None = None

    def _terminate(self) -> None:
        self.listed.append("terminate")

    def _initialize(self) -> None:
        self.listed.append("initialize")

    def query_devices(self) -> list[dict[str, object]]:
        return [{"name": n, "max_input_channels": 2, "max_output_channels": 1} for n in self.names]

    def Stream(self, device, callback, **options):
        if device[0] not in self.names:
            raise ValueError(f"No input device matching {device[0]!r}")
        assert options == {
            "samplerate": 48000,
            "blocksize": 960,
            "channels": 1,
            "dtype": "float32",
        }
        self.callback = callback
        return self

    def start(self) -> None:
        if self.error is not None:
            raise self.error
        for _ in range(self.blocks_at_start):
            block = np.zeros((CARD_BLOCK, 1), dtype=np.float32)
            self.callback(block, block.copy(), CARD_BLOCK, None, Flags(self.flags))

    def close(self, ignore_errors: bool) -> None:
        self.closed += 1


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakeCard:
    fake = FakeCard()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def test_missing_device_names_those_that_exist(card: FakeCard) -> None:
    with pytest.raises(AudioError, match=r"there are: hat \(2 in, 1 out\).*set audio.device"):
        SoundDevicePort(AudioSettings(device="no such card"))


def test_no_device_at_all_says_none(card: FakeCard) -> None:
    card.names = ()
    with pytest.raises(AudioError, match="there are: none"):
        open_port(AudioSettings(kind="sounddevice"))


def test_the_cards_are_listed_anew_each_time(card: FakeCard) -> None:
    """PortAudio lists them when it is initialised: what was plugged in later would be missed."""
    SoundDevicePort(SETTINGS).close()
    SoundDevicePort(SETTINGS).close()
    assert card.listed == ["terminate", "initialize"] * 2


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLibrary:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
    with pytest.raises(AudioError, match="sudo apt install libportaudio2"):
        SoundDevicePort(SETTINGS)


def test_a_stalled_card_breaks_the_stream_and_is_released(card: FakeCard) -> None:
    card.blocks_at_start = 1
    port = SoundDevicePort(SETTINGS)
    port.exchange(SILENCE)
    with pytest.raises(StreamBroken, match=r"hat gave nothing for 0\.1 s"):
        port.exchange(SILENCE)
    assert card.closed == 1
    with pytest.raises(StreamBroken, match="closed"):
        port.exchange(SILENCE)


def test_a_card_that_does_not_start_breaks_the_stream(card: FakeCard) -> None:
    card.error = FakeCard.PortAudioError("Device unavailable")
    with pytest.raises(StreamBroken, match=r"did not start \(Device unavailable\)"):
        SoundDevicePort(SETTINGS).exchange(SILENCE)
    assert card.closed == 1


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
def test_lost_samples_break_the_stream_and_are_counted(card: FakeCard, flags: int) -> None:
    health = StreamHealth()
    card.blocks_at_start, card.flags = 1, flags
    with pytest.raises(StreamBroken, match="lost samples"):
        SoundDevicePort(SETTINGS, health).exchange(SILENCE)
    assert (health.overload.streams, health.overload.lost_samples) == (1, 1)


def test_the_first_output_of_a_stream_is_no_loss(card: FakeCard) -> None:
    """PortAudio marks it (paPrimingOutput, 16)."""
    card.blocks_at_start, card.flags = 1, 16
    assert SoundDevicePort(SETTINGS).exchange(SILENCE).shape == (BLOCK,)


def test_a_block_of_the_wrong_size_is_refused(card: FakeCard) -> None:
    with pytest.raises(ValueError, match="320 samples"):
        SoundDevicePort(SETTINGS).exchange(SILENCE[1:])


def test_every_exchange_gives_a_block_and_closing_twice_is_harmless(card: FakeCard) -> None:
    card.blocks_at_start = 100
    port = SoundDevicePort(SETTINGS)
    assert all(port.exchange(SILENCE).shape == (BLOCK,) for _ in range(100))
    port.close()
    port.close()
    assert card.closed == 1


def test_the_callback_reserves_no_memory_and_calls_nothing_that_waits(card: FakeCard) -> None:
    port = SoundDevicePort(SETTINGS)
    recorded = np.zeros((CARD_BLOCK, 1), np.float32)
    played = np.zeros((CARD_BLOCK, 1), np.float32)
    fine, late = Flags(0), Flags(16)

    def call(flags: Flags) -> None:
        card.callback(recorded, played, CARD_BLOCK, None, flags)

    for flags in (fine, late):
        assert called_in(lambda flags=flags: call(flags)) <= {"_turn", "turn", "fill", "__bool__"}
        assert reserved_by(lambda flags=flags: call(flags)) < recorded.nbytes / 4
    port.close()


STREAM = """
    import os, sys, threading, time
    import numpy as np
    from earmark.audio import AudioSettings, SoundDevicePort

    fifo, played = sys.argv[1:]
    pipe = os.open(fifo, os.O_RDWR)

    def microphone():
        at, begun = 0, time.monotonic()
        while True:
            wave = 0.25 * np.sin(2 * np.pi * 1000 * (at + np.arange(960)) / 48000)
            os.write(pipe, wave.astype("<f4").tobytes())
            at += 960
            time.sleep(max(0.0, begun + at / 48000 - time.monotonic()))

    port = SoundDevicePort(AudioSettings(device="earmark_test"))
    # Not before: what waits in the pipe would be played through faster than time passes.
    threading.Thread(target=microphone, daemon=True).start()
    times = np.arange(320) / 16000
    blocks = []
    for number in range(50):
        tone = 0.1 * np.sin(2 * np.pi * 500 * (times + number * 0.02))
        blocks.append(port.exchange(tone.astype(np.float32)))
    heard = np.concatenate(blocks)[4800:]
    port.close()
    sent = np.fromfile(played, "<f4")
    sent = sent[np.flatnonzero(np.abs(sent) > 0.01)[0]:][4800:14400]
    tone = lambda wave, rate: np.argmax(np.abs(np.fft.rfft(wave))) * rate / wave.size
    print(tone(heard, 16000), heard.std(), tone(sent, 48000), sent.std(), flush=True)
    os._exit(0)  # the thread may be waiting in write()
"""

ALSA = """
    </usr/share/alsa/alsa.conf>
    pcm.earmark_play {{ type file slave.pcm {{ type null }} file "{played}" format raw }}
    pcm.earmark_record {{
        type file slave.pcm {{ type null }} file "/dev/null" infile "{fifo}" format raw
    }}
    pcm.earmark_test {{
        type asym playback.pcm earmark_play capture.pcm earmark_record
        hint {{ show on description "test" }}
    }}
"""


@pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None, reason="libportaudio2 is not installed"
)
def test_streams_both_ways_through_portaudio_and_alsa(tmp_path: Path) -> None:
    """A pipe is the microphone and sets the pace, a file is the loudspeaker."""
    fifo, played, config = tmp_path / "mic", tmp_path / "played.raw", tmp_path / "asound.conf"
    os.mkfifo(fifo)
    config.write_text(textwrap.dedent(ALSA).format(fifo=fifo, played=played))
    # On a busy machine a block may come late, and the card plays silence in its place.
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(STREAM), str(fifo), str(played)],
            env={
                **os.environ,
                "ALSA_CONFIG_PATH": str(config),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        heard_hz, heard_rms, sent_hz, sent_rms = map(float, done.stdout.split()[-4:])
        if sent_rms == pytest.approx(0.1 / 2**0.5, rel=0.02):
            break
    assert heard_hz == pytest.approx(1000.0, abs=2.0)
    assert heard_rms == pytest.approx(0.25 / 2**0.5, rel=0.01)
    assert sent_hz == pytest.approx(500.0, abs=5.0)
    assert sent_rms == pytest.approx(0.1 / 2**0.5, rel=0.02)
