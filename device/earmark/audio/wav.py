"""Files in place of a sound card: a recording is the microphone, the playback goes to a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from earmark.errors import AudioError, StreamBroken
from earmark.signal import BLOCK, RATE_HZ, Signal


class WavPort:
    """An audio port on files, read and written block by block.

    What is played does not come back in the recording: there is no air between them. After the
    end of the recording the microphone is silent, so that time-outs still run, and
    :attr:`exhausted` is set.

    Parameters
    ----------
    microphone : recording at 16 kHz, mono, in any format of libsndfile (WAV, FLAC, Opus).
    playback : 16-bit WAV file to write what is played to, replaced if it exists; None for none.

    Raises
    ------
    AudioError
        A file cannot be opened, is no audio, or has another rate or more channels; the message
        gives the command that converts it.
    """

    def __init__(self, microphone: Path, playback: Path | None = None) -> None:
        self.exhausted = False
        self._path = microphone
        self._closed = False
        self._playback: soundfile.SoundFile | None = None
        if playback is not None and playback.resolve() == microphone.resolve():
            raise AudioError(
                f"{microphone} is both recording and playback", "name another file in audio.wav_out"
            )
        self._microphone = _open(microphone)
        if playback is not None:
            try:
                self._playback = soundfile.SoundFile(
                    playback, "w", RATE_HZ, 1, subtype="PCM_16", format="WAV"
                )
            except (OSError, soundfile.SoundFileError) as error:
                self._microphone.close()
                raise AudioError(
                    f"playback cannot be written to {playback} ({error})",
                    "name a file in a folder that exists and is writable in audio.wav_out",
                ) from error

    def exchange(self, play: Signal) -> Signal:
        """Write a block and read one; zeros follow the end of the recording.

        Raises
        ------
        StreamBroken
            The port is closed, the file is damaged, or the playback cannot be written.
        ValueError
            `play` is not one block.
        """
        if self._closed:
            raise StreamBroken(f"{self._path} is closed", "open the port again")
        if play.shape != (BLOCK,):
            raise ValueError(f"play: {BLOCK} samples, got shape {play.shape}")
        try:
            if self._playback is not None:
                self._playback.write(np.clip(play, -1.0, 1.0))
            block: Signal = self._microphone.read(BLOCK, dtype="float32")
        except (OSError, soundfile.SoundFileError) as error:
            raise StreamBroken(
                f"{self._path} or its playback file failed ({error})",
                "check the recording, and the space on the disk",
            ) from error
        if block.size < BLOCK:
            self.exhausted = True
            block = np.concatenate([block, np.zeros(BLOCK - block.size, dtype=np.float32)])
        return block

    def close(self) -> None:
        """Close both files. Closing twice is harmless."""
        self._closed = True
        self._microphone.close()
        if self._playback is not None:
            self._playback.close()


def _open(path: Path) -> soundfile.SoundFile:
    try:
        if not path.is_file():
            raise AudioError(f"recording {path} does not exist", "name a file in audio.wav_in")
        stream = soundfile.SoundFile(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(
            f"recording {path} cannot be read ({error})",
            "give a WAV, FLAC or Opus file that is whole and readable",
        ) from error
    if stream.samplerate != RATE_HZ or stream.channels != 1:
        rate_hz, channels = stream.samplerate, stream.channels
        stream.close()
        raise AudioError(
            f"recording {path} has {rate_hz} Hz and {channels} channel(s), "
            f"{RATE_HZ} Hz and 1 are needed",
            f"convert it: ffmpeg -i '{path}' -ar {RATE_HZ} -ac 1 '{path.stem}_16k.wav'",
        )
    return stream
