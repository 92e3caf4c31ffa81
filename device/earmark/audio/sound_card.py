"""A sound card through PortAudio: one full-duplex stream, 48 kHz, 20 ms blocks.

The callback only copies between PortAudio's buffers and two rings. Both rings are addressed by
absolute sample number, so a caller that comes late loses playback instead of delaying it: the
round trip stays constant, and the recording waits in its ring until the caller has caught up.
Resampling to 16 kHz is done on the caller's side.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import soxr

from earmark.audio.settings import AudioSettings
from earmark.errors import AudioError, StreamBroken
from earmark.signal import BLOCK, RATE_HZ, Signal

CARD_RATE_HZ = 48_000
"""Rate of the card, Hz: the one that every card and sound server runs at without resampling."""

CARD_BLOCK = BLOCK * CARD_RATE_HZ // RATE_HZ
"""Block of the card, samples: 20 ms; a fixed size gives no over- or underruns at the start."""

PREFILL = 4 * CARD_BLOCK
"""Silence played first, samples: 80 ms, of which the resampler takes 15, the block in
progress 20; the caller may come 45 ms late before playback is lost."""

HELD = 2 * BLOCK
"""Recorded silence put before the stream, samples at 16 kHz: 40 ms, more than the resampler
holds back (13 ms), so that a block is always ready."""

RING = 10 * CARD_RATE_HZ
"""Length of each ring, samples: 10 s, the longest that a caller may be late."""

POLL_S = 0.004
"""Wait between looks for a recorded block, s. An event would take a lock in the callback."""


class SoundDevicePort:
    """An audio port on a sound card.

    The stream runs from the first exchange on. Playback comes back after the card's own
    round trip and 135 ms of ours.

    Parameters
    ----------
    settings : devices and the stall time-out.

    Raises
    ------
    AudioError
        No PortAudio library, no such device, or a device that does not open.
    """

    def __init__(self, settings: AudioSettings) -> None:
        self._settings = settings
        self._card = _portaudio()
        self._rings = _Rings()
        # Variable-rate mode: 15 ms behind at most, where the other one takes up to 40.
        self._up = soxr.ResampleStream(RATE_HZ, CARD_RATE_HZ, 1, dtype="float32", vr=True)
        self._down = soxr.ResampleStream(CARD_RATE_HZ, RATE_HZ, 1, dtype="float32", vr=True)
        self._recorded = np.zeros(HELD, dtype=np.float32)
        self._running = False
        self._stream: Any = None
        playback = settings.playback_device or settings.device
        try:
            self._stream = self._card.Stream(
                samplerate=CARD_RATE_HZ,
                blocksize=CARD_BLOCK,
                device=(settings.device, playback),
                channels=1,
                dtype="float32",
                callback=self._rings.callback,
            )
        except (self._card.PortAudioError, ValueError) as error:
            raise AudioError(
                f"sound card {settings.device or '(default)'} / {playback or '(default)'} "
                f"does not open ({_one_line(error)}); there are: {_devices(self._card)}",
                "set audio.device (and audio.playback_device) to one of these",
            ) from error

    @property
    def late_blocks(self) -> int:
        """Blocks of silence that were played because the caller came late."""
        return self._rings.late_blocks

    def exchange(self, play: Signal) -> Signal:
        """Hand over a block to play, wait for a recorded one and return it.

        Raises
        ------
        StreamBroken
            The port is closed, the card stalled, or samples were lost.
        ValueError
            `play` is not one block.
        """
        if play.shape != (BLOCK,):
            raise ValueError(f"play: {BLOCK} samples, got shape {play.shape}")
        if self._stream is None:
            raise StreamBroken("the sound card is closed", "open the port again")
        self._rings.put_playback(self._up.resample_chunk(np.clip(play, -1.0, 1.0)))
        if not self._running:
            try:
                self._stream.start()
            except self._card.PortAudioError as error:
                raise self._broken(f"did not start ({_one_line(error)})") from error
            self._running = True
        taken = self._down.resample_chunk(self._await_block())
        self._recorded = np.concatenate([self._recorded, taken])
        block, self._recorded = self._recorded[:BLOCK], self._recorded[BLOCK:]
        return block

    def close(self) -> None:
        """Stop the stream and release the card. Closing twice is harmless."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)

    def _await_block(self) -> Signal:
        waited_from = time.monotonic()
        while True:
            if self._rings.lost:
                raise self._broken("lost samples (over- or underrun)")
            block = self._rings.take_recording()
            if block is not None:
                return block
            if time.monotonic() - waited_from > self._settings.stall_timeout_s:
                raise self._broken(f"gave nothing for {self._settings.stall_timeout_s:g} s")
            time.sleep(POLL_S)

    def _broken(self, what: str) -> StreamBroken:
        self.close()
        return StreamBroken(
            f"the sound card {self._settings.device or '(default)'} {what}",
            "open it again; if this repeats, check the cable, the load and the sound server's log",
        )


class _Rings:
    """What the callback and the caller share: two rings with one writer and one reader each.

    Counters only grow, each is written by one side, and assignment of an int is atomic, so no
    lock is needed.
    """

    def __init__(self) -> None:
        self._playback = np.zeros(RING, dtype=np.float32)
        self._recording = np.zeros(RING, dtype=np.float32)
        self._played = 0
        self._to_play = PREFILL
        self._recorded = 0
        self._taken = 0
        self.lost = False
        self.late_blocks = 0

    def callback(
        self, indata: Signal, outdata: Signal, frames: int, _time: object, status: Any
    ) -> None:
        """Move one block (frames x 1) each way; called by PortAudio in its own thread."""
        if status and (
            status.input_overflow
            or status.input_underflow
            or status.output_overflow
            or status.output_underflow
        ):
            self.lost = True
        _into_ring(self._recording, self._recorded, indata[:, 0])
        self._recorded += frames
        if self._recorded - self._taken > RING:
            self.lost = True
        ready = min(frames, max(0, self._to_play - self._played))
        _from_ring(self._playback, self._played, outdata[:ready, 0])
        outdata[ready:] = 0.0
        if ready < frames:
            self.late_blocks += 1
        self._played += frames

    def put_playback(self, samples: Signal) -> None:
        """Caller: add to what will be played."""
        _into_ring(self._playback, self._to_play, samples)
        self._to_play += samples.size

    def take_recording(self) -> Signal | None:
        """Caller: take one recorded block, None while there is none."""
        if self._recorded - self._taken < CARD_BLOCK:
            return None
        block = np.empty(CARD_BLOCK, dtype=np.float32)
        _from_ring(self._recording, self._taken, block)
        self._taken += CARD_BLOCK
        return block


def _into_ring(ring: Signal, at: int, samples: Signal) -> None:
    begin = at % ring.size
    first = min(samples.size, ring.size - begin)
    ring[begin : begin + first] = samples[:first]
    ring[: samples.size - first] = samples[first:]


def _from_ring(ring: Signal, at: int, samples: Signal) -> None:
    begin = at % ring.size
    first = min(samples.size, ring.size - begin)
    samples[:first] = ring[begin : begin + first]
    samples[first:] = ring[: samples.size - first]


def _portaudio() -> Any:
    try:
        # Here and not above: it loads the library, which other kinds of port do not need.
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise AudioError(
            f"PortAudio, which reaches the sound card, does not load ({_one_line(error)})",
            "install it: sudo apt install libportaudio2",
        ) from error
    except ImportError as error:
        raise AudioError(
            f"sounddevice is not installed ({_one_line(error)})", "run `make setup`"
        ) from error
    return sounddevice


def _devices(card: Any) -> str:
    try:
        names = [
            f"{device['name']} ({device['max_input_channels']} in, "
            f"{device['max_output_channels']} out)"
            for device in card.query_devices()
        ]
    except card.PortAudioError as error:
        return f"none ({_one_line(error)})"
    return "; ".join(names) or "none"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
