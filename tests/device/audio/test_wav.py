"""Files as an audio port."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.audio import AudioSettings, WavPort, open_port
from earmark.errors import AudioError, StreamBroken
from earmark.signal import BLOCK, RATE_HZ

SILENCE = np.zeros(BLOCK, dtype=np.float32)
TONE = (0.5 * np.sin(np.arange(2 * BLOCK + 100) * 0.3)).astype(np.float32)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "mic.wav"
    soundfile.write(path, TONE, RATE_HZ, subtype="FLOAT")
    return path


def test_the_recording_is_the_microphone_and_silence_follows_it(recording: Path) -> None:
    port = WavPort(recording)
    heard = [port.exchange(SILENCE) for _ in range(2)]
    assert not port.exhausted
    heard += [port.exchange(SILENCE) for _ in range(2)]
    assert port.exhausted
    heard = np.concatenate(heard)
    np.testing.assert_array_equal(heard[: TONE.size], TONE)
    np.testing.assert_array_equal(heard[TONE.size :], 0.0)


def test_playback_is_written_and_clipped(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "played.wav"
    settings = AudioSettings(kind="wav", wav_in=recording, wav_out=out)
    port = open_port(settings)
    port.exchange(SILENCE + np.float32(0.25))
    port.exchange(SILENCE + np.float32(2.0))
    port.close()
    port.close()
    played, rate_hz = soundfile.read(out, dtype="float32")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(played, np.repeat([0.25, 1.0], BLOCK), atol=1e-4)


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_other_formats_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"mic.{kind.lower()}"
    subtype = "OPUS" if kind == "OGG" else "PCM_16"
    soundfile.write(path, np.tile(TONE, 10), RATE_HZ, format=kind, subtype=subtype)
    port = WavPort(path)
    heard = np.concatenate([port.exchange(SILENCE) for _ in range(10)])
    assert np.std(heard) == pytest.approx(0.5 / 2**0.5, rel=0.1)


# -- failures -------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate_hz", "channels"), [(44100, 1), (16000, 2), (48000, 2)])
def test_a_wrong_rate_or_channel_count_says_how_to_convert(
    tmp_path: Path, rate_hz: int, channels: int
) -> None:
    path = tmp_path / "mic.wav"
    soundfile.write(path, np.zeros((1000, channels)), rate_hz)
    with pytest.raises(AudioError) as caught:
        WavPort(path)
    assert f"{rate_hz} Hz and {channels} channel" in caught.value.what
    assert caught.value.do == f"convert it: ffmpeg -i '{path}' -ar 16000 -ac 1 'mic_16k.wav'"


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.wav"
    text.write_text("not audio")
    with pytest.raises(AudioError, match="cannot be read"):
        WavPort(text)
    with pytest.raises(AudioError, match="does not exist"):
        WavPort(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match=r"audio\.wav_in names no file"):
        open_port(AudioSettings(kind="wav"))


def test_an_unwritable_playback_is_refused(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"cannot be written.*audio\.wav_out"):
        WavPort(recording, tmp_path / "missing" / "out.wav")
    with pytest.raises(AudioError, match="both recording and playback"):
        WavPort(recording, recording)
    assert soundfile.info(recording).frames == TONE.size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_breaks_the_stream(recording: Path) -> None:
    def fill() -> None:
        port = WavPort(recording, Path("/dev/full"))
        for _ in range(100):
            port.exchange(SILENCE + np.float32(0.25))

    with pytest.raises(AudioError, match=r"cannot be written|space on the disk"):
        fill()


def test_a_closed_port_is_broken_and_a_wrong_block_refused(recording: Path) -> None:
    port = WavPort(recording)
    with pytest.raises(ValueError, match="320 samples"):
        port.exchange(SILENCE[1:])
    port.close()
    with pytest.raises(StreamBroken, match="closed"):
        port.exchange(SILENCE)
