"""Ports with a fault each, around another port: what installations really do to sound."""

from __future__ import annotations

from collections import deque

import numpy as np
import soxr
from scipy import fft

from earmark.audio import AudioPort
from earmark.signal import BLOCK, RATE_HZ, Signal


class Around:
    """Passes everything on; a fault overrides what it spoils."""

    def __init__(self, port: AudioPort) -> None:
        self.port = port

    def exchange(self, play: Signal) -> Signal:
        return self.recorded(self.port.exchange(self.played(play)))

    def played(self, play: Signal) -> Signal:
        return play

    def recorded(self, block: Signal) -> Signal:
        return block

    def close(self) -> None:
        self.port.close()


class NoMicrophone(Around):
    """Zeros, as a card gives for an input without a converter."""

    def recorded(self, block: Signal) -> Signal:
        return np.zeros_like(block)


class DeadMicrophone(Around):
    """The converter works, nothing is connected: the last bit flickers."""

    def __init__(self, port: AudioPort) -> None:
        super().__init__(port)
        self._rng = np.random.default_rng(1)

    def recorded(self, block: Signal) -> Signal:
        return np.asarray(self._rng.integers(-1, 1, block.size) / 2.0**15, np.float32)


class Loopback(Around):
    """The monitor of the card's own output, a few blocks late, instead of the microphone."""

    def __init__(self, port: AudioPort, blocks: int = 5) -> None:
        super().__init__(port)
        self._held = deque([np.zeros(BLOCK, np.float32)] * blocks)
        self._rng = np.random.default_rng(1)

    def exchange(self, play: Signal) -> Signal:
        super().exchange(play)
        self._held.append(play)
        noise = self._rng.standard_normal(BLOCK) * 1e-5  # -100 dBFS, of the converter
        return np.asarray(self._held.popleft() + noise, np.float32)


class _Rates:
    """A stream through another rate and, if it is not told back, at another speed."""

    def __init__(self, steps: list[tuple[float, float]]) -> None:
        self._chain = [soxr.ResampleStream(a, b, 1, dtype="float32") for a, b in steps]
        self._held = np.zeros(15 * BLOCK, np.float32)

    def next(self, block: Signal) -> Signal:
        for stage in self._chain:
            block = stage.resample_chunk(block)
        # A server that gets too much drops it, and one that gets too little plays silence.
        self._held = np.concatenate([self._held, block])[: 50 * BLOCK]
        out = np.zeros(BLOCK, np.float32)
        part = self._held[:BLOCK]
        out[: part.size] = part
        self._held = self._held[BLOCK:]
        return out


class HandsFree(Around):
    """A link at `rate_hz` between the device and its loudspeaker."""

    def __init__(self, port: AudioPort, rate_hz: float) -> None:
        super().__init__(port)
        self._rates = _Rates([(RATE_HZ, rate_hz), (rate_hz, RATE_HZ)])

    def played(self, play: Signal) -> Signal:
        return self._rates.next(play)


class WrongRate(Around):
    """The card runs at `card_hz`, the device believes `believed_hz`."""

    def __init__(self, port: AudioPort, card_hz: float, believed_hz: float) -> None:
        super().__init__(port)
        self._rates = _Rates([(card_hz, believed_hz)])

    def played(self, play: Signal) -> Signal:
        return self._rates.next(play)


class EchoCanceller(Around):
    """An adaptive filter as platforms have it: normalised LMS in the frequency domain.

    Partitioned into blocks (Soo and Pang, 1990), 0.3 s long, learning from what is played.
    """

    PARTS = 15
    STEP = 0.4

    def __init__(self, port: AudioPort) -> None:
        super().__init__(port)
        self._weights = np.zeros((self.PARTS, BLOCK + 1), complex)
        self._history = np.zeros((self.PARTS, BLOCK + 1), complex)
        self._frame = np.zeros(2 * BLOCK)
        self._power = np.full(BLOCK + 1, 1e-3)

    def exchange(self, play: Signal) -> Signal:
        block = self.port.exchange(play)
        self._frame = np.concatenate([self._frame[BLOCK:], play])
        self._history = np.roll(self._history, 1, axis=0)
        self._history[0] = fft.rfft(self._frame)
        echo = fft.irfft((self._weights * self._history).sum(axis=0))[BLOCK:]
        left = block - echo
        spectrum = fft.rfft(np.concatenate([np.zeros(BLOCK), left]))
        now = (np.abs(self._history) ** 2).sum(axis=0)
        self._power = np.maximum(0.9 * self._power, now)
        step = self.STEP * spectrum / (self._power + 1e-3)
        gradient = fft.irfft(np.conj(self._history) * step, axis=1)
        gradient[:, BLOCK:] = 0.0
        self._weights += fft.rfft(gradient, axis=1)
        return np.asarray(left, np.float32)


class Suppressor(Around):
    """Turns the microphone down while something is played, as half-duplex telephones do."""

    def __init__(self, port: AudioPort, by_db: float = 30.0, hold_blocks: int = 30) -> None:
        super().__init__(port)
        self._gain = 10.0 ** (-by_db / 20.0)
        self._hold_blocks = hold_blocks
        self._left = 0

    def exchange(self, play: Signal) -> Signal:
        self._left = self._hold_blocks if np.abs(play).max() > 1e-4 else max(0, self._left - 1)
        block = self.port.exchange(play)
        return np.asarray(block * np.float32(self._gain if self._left else 1.0), np.float32)


class Slipping(Around):
    """Repeats a block of the recording every `every` blocks: each time all comes 20 ms later."""

    def __init__(self, port: AudioPort, every: int) -> None:
        super().__init__(port)
        self._every = every
        self._held: deque[Signal] = deque()
        self._count = 0

    def recorded(self, block: Signal) -> Signal:
        self._count += 1
        self._held.append(block)
        if self._count % self._every == 0:
            self._held.append(block)
        return self._held.popleft()


class Chopper(Around):
    """Turns the microphone off for moments while something is played: what the echo canceller
    of WebRTC was seen to do where it finds no delay that fits."""

    def __init__(self, port: AudioPort) -> None:
        super().__init__(port)
        self._rng = np.random.default_rng(3)

    def exchange(self, play: Signal) -> Signal:
        block = self.port.exchange(play)
        if np.abs(play).max() <= 1e-4:
            return block
        halves = np.repeat(self._rng.random(2) > 0.4, BLOCK // 2)
        return np.where(halves, block, np.float32(0.0))


class Gate(Around):
    """Turns the microphone off in its quietest moments, as noise suppressors do."""

    def recorded(self, block: Signal) -> Signal:
        halves = block.reshape(2, -1)
        power = np.mean(halves.astype(float) ** 2, axis=1)
        # 38 dB SPL of noise: half of the moments are below.
        quiet = power < 10.0 ** ((38.0 - 109.0) / 10.0)
        return np.where(np.repeat(quiet, BLOCK // 2), np.float32(0.0), block)


class Holes(Around):
    """A recording with a block of zeros in every `every`."""

    def __init__(self, port: AudioPort, every: int) -> None:
        super().__init__(port)
        self._every = every
        self._count = 0

    def recorded(self, block: Signal) -> Signal:
        self._count += 1
        return np.zeros_like(block) if self._count % self._every == 0 else block
