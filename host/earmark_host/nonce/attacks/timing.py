"""Attacks on the time axis: speed, pitch, stretching, cutting.

They cost a listener nothing, and a correlation over long slots much: what lies in a slot is no
longer one piece of the code at one clock.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.signal import BLOCK, RATE_HZ, Signal
from earmark_host.nonce.attacks.loot import Base, Loot

FRAME = 640
"""Frame of the time stretching by overlapping, samples: 40 ms, two periods of the lowest voice
(Verhelst and Roelands, ICASSP 1993)."""

TOLERANCE = 80
"""How far a frame is moved to match, samples: 5 ms either way, one period at 100 Hz. It jumps
by a period as soon as the stretch has used this up."""

VOCODER_FRAME = 1024
"""Frame of the phase vocoder, samples: 64 ms separates the harmonics of a low voice."""

VOCODER_HOPS = 4
"""Hops in a frame: 75 % overlap, as a Hann window needs twice over."""

CUT_EVERY = 2048
"""One cut about every 128 ms, samples: every slot of 256 ms has one or two."""

CUT = (128, 320)
"""Shortest and longest piece cut out, samples: 8 to 20 ms, one or two periods of a voice."""

FADE = 80
"""Crossfade of a cut, samples: 5 ms."""

PAUSE_BLOCKS = 5
"""A pause is at least 0.1 s long, in blocks; half a block of it stays on both sides."""

PAUSE_DB = 25.0
"""A pause is this far below the loudest 20 ms, smoothed, dB: between words, not in them."""

Vector = NDArray[np.float64]


class Speed(Base):
    """Played faster or slower: duration and pitch move together."""

    def __init__(self, percent: float) -> None:
        super().__init__(f"speed_{percent:+g}", f"played {percent:+g} % faster, pitch moves too")
        self.factor = 1.0 + percent / 100.0

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return _resampled(loot.recording, self.factor)

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Play it slower again."""
        return fit(_resampled(processed, 1.0 / self.factor), loot.recording.size)


class Shift(Base):
    """All frequencies moved by the same number of hertz (single sideband)."""

    def __init__(self, hz: float) -> None:
        super().__init__(f"shift_{hz:g}hz", f"all frequencies {hz:g} Hz higher")
        self._hz = hz

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return _shifted(loot.recording, self._hz)

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Shift back: the waveforms are compared to find their delay."""
        del loot
        return _shifted(processed, -self._hz)


class Stretch(Base):
    """Faster or slower at the same pitch, by similar overlapping frames (WSOLA)."""

    def __init__(self, percent: float) -> None:
        super().__init__(
            f"timestretch_{percent:+g}", f"{percent:+g} % faster at the same pitch (WSOLA)"
        )
        self.factor = 1.0 + percent / 100.0

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return wsola(loot.recording, self.factor)

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Stretch it back."""
        return fit(wsola(processed, 1.0 / self.factor), loot.recording.size)


class Vocode(Base):
    """Faster or slower at the same pitch, by a phase vocoder: every peak gets its own phase."""

    def __init__(self, percent: float) -> None:
        super().__init__(
            f"vocoder_{percent:+g}", f"{percent:+g} % faster at the same pitch (phase vocoder)"
        )
        self.factor = 1.0 + percent / 100.0

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return vocoder(loot.recording, self.factor)

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Stretch it back."""
        return fit(vocoder(processed, 1.0 / self.factor), loot.recording.size)


class Splice(Base):
    """A period of the voice cut out about every 128 ms, where both sides look alike."""

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return _joined(loot.recording, self.kept(loot.recording))

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Put each piece back in its place, the period before a cut once more in the cut."""
        return _replaced(processed, self.kept(loot.recording), loot.recording.size)

    @staticmethod
    def kept(recording: Signal) -> Sequence[tuple[int, int]]:
        """First and last (excluded) sample of each piece that is kept."""
        x = recording.astype(np.float64)
        pieces: list[tuple[int, int]] = []
        start = 0
        while start + 2 * CUT_EVERY + CUT[1] + FADE <= x.size:
            end = start + CUT_EVERY
            before = x[end : end + FADE]
            options = np.lib.stride_tricks.sliding_window_view(
                x[end + CUT[0] : end + CUT[1] + FADE], FADE
            )
            gap = CUT[0] + int(np.argmin(np.sum((options - before) ** 2, axis=1)))
            pieces.append((start, end))
            start = end + gap
        pieces.append((start, x.size))
        return pieces


class SplicePauses(Base):
    """The pauses taken out: there the nonce lies open."""

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        return _joined(loot.recording, self.kept(loot.recording))

    def restore(self, processed: Signal, loot: Loot) -> Signal:
        """Put each piece back in its place, silence between them."""
        return _replaced(processed, self.kept(loot.recording), loot.recording.size)

    @staticmethod
    def kept(recording: Signal) -> Sequence[tuple[int, int]]:
        """First and last (excluded) sample of each piece that is kept."""
        blocks = recording.size // BLOCK
        if blocks < PAUSE_BLOCKS:
            return [(0, recording.size)]
        power = np.mean(recording[: blocks * BLOCK].reshape(-1, BLOCK).astype(np.float64) ** 2, 1)
        power = np.convolve(power, np.ones(3) / 3.0, "same")
        quiet = power < power.max() * 10.0 ** (-PAUSE_DB / 10.0)
        edges = np.flatnonzero(np.diff(np.r_[0, quiet.astype(np.int8), 0]))
        pieces: list[tuple[int, int]] = []
        start = 0
        for first, last in edges.reshape(-1, 2):
            if last - first < PAUSE_BLOCKS:
                continue
            end = int(first) * BLOCK + BLOCK // 2
            if end - start > 2 * FADE:
                pieces.append((start, end))
            start = int(last) * BLOCK - BLOCK // 2
        if recording.size - start > 2 * FADE:
            pieces.append((start, recording.size))
        return pieces or [(0, recording.size)]


def wsola(signal: Signal, factor: float) -> Signal:
    """`signal` made `factor` times as fast at the same pitch.

    Waveform similarity overlap-add (Verhelst and Roelands, ICASSP 1993): each frame is taken
    near its nominal place where it continues the one before best.
    """
    hop = FRAME // 2
    count = max(1, int(np.ceil(signal.size / factor / hop)))
    margin = FRAME + TOLERANCE
    x = np.pad(signal.astype(np.float64), (margin, 2 * margin + hop))
    window = sps.get_window("hann", FRAME)
    out = np.zeros((count + 1) * hop + FRAME)
    at = margin - hop
    out[:FRAME] += window * x[at : at + FRAME]
    for frame in range(1, count + 2):
        if frame * hop + FRAME > out.size:
            break
        nominal = min(margin - hop + round(frame * hop * factor), x.size - FRAME - TOLERANCE - 1)
        follows = x[at + hop : at + hop + FRAME]
        if follows.size < FRAME:
            break
        near = x[nominal - TOLERANCE : nominal + TOLERANCE + FRAME]
        match = np.correlate(near, follows, "valid")
        energy = np.convolve(near**2, np.ones(FRAME), "valid")
        best = int(np.argmax(match / np.sqrt(np.maximum(energy, 1e-12))))
        at = nominal - TOLERANCE + best
        out[frame * hop : frame * hop + FRAME] += window * x[at : at + FRAME]
    size = max(1, round(signal.size / factor))
    return fit(np.asarray(out[hop:], np.float32), size)


def vocoder(signal: Signal, factor: float) -> Signal:
    """`signal` made `factor` times as fast at the same pitch.

    Phase vocoder with the phases of each peak's surroundings locked to it (Laroche and Dolson,
    IEEE Trans. Speech and Audio Processing 7(3), 1999, section III).
    """
    hop = VOCODER_FRAME // VOCODER_HOPS
    window = np.sqrt(sps.get_window("hann", VOCODER_FRAME))
    size = max(1, round(signal.size / factor))
    count = int(np.ceil(size / hop)) + VOCODER_HOPS
    x = np.pad(signal.astype(np.float64), (VOCODER_FRAME, 3 * VOCODER_FRAME))
    starts = np.minimum(
        np.round(np.arange(count) * hop * factor).astype(np.int64) + hop, x.size - VOCODER_FRAME
    )
    frames = np.lib.stride_tricks.sliding_window_view(x, VOCODER_FRAME)
    now = np.fft.rfft(frames[starts] * window, axis=1)
    # One output hop earlier in the input: its phase difference is the advance of one hop.
    before = np.fft.rfft(frames[starts - hop] * window, axis=1)
    advance = np.angle(now) - np.angle(before)
    out = np.zeros((count + VOCODER_HOPS) * hop)
    phase = np.angle(now[0])
    last = now[0]
    for k in range(count):
        if k > 0:
            peaks = _peaks(np.abs(now[k]))
            turn = np.angle(last[peaks]) + advance[k][peaks] - np.angle(now[k][peaks])
            middle = (peaks[1:] + peaks[:-1] + 1) // 2
            owner = np.searchsorted(middle, np.arange(now.shape[1]), "right")
            phase = np.angle(now[k]) + turn[owner]
        last = np.abs(now[k]) * np.exp(1j * phase)
        out[k * hop : k * hop + VOCODER_FRAME] += window * np.fft.irfft(last, VOCODER_FRAME)
    # A squared root-Hann window at 75 % overlap adds up to half the hops.
    out /= VOCODER_HOPS / 2.0
    return fit(np.asarray(out[VOCODER_FRAME - hop :], np.float32), size)


def fit(signal: Signal, size: int) -> Signal:
    """`signal` cut or filled with zeros to `size` samples."""
    out = np.zeros(size, np.float32)
    count = min(size, signal.size)
    out[:count] = signal[:count]
    return out


def _resampled(signal: Signal, factor: float) -> Signal:
    return np.asarray(soxr.resample(signal, RATE_HZ * factor, RATE_HZ), np.float32)


def _shifted(signal: Signal, hz: float) -> Signal:
    size = signal.size
    # Twice as long: the transform wraps around.
    analytic = sps.hilbert(signal.astype(np.float64), 2 * size)[:size]
    turn = np.exp(2j * np.pi * hz * np.arange(size) / RATE_HZ)
    return np.asarray(np.real(analytic * turn), np.float32)


def _peaks(magnitude: Vector) -> NDArray[np.intp]:
    """Bins above their two neighbours on either side; the largest where there is none."""
    padded = np.pad(magnitude, 2)
    inner = padded[2:-2]
    is_peak = (
        (inner > padded[1:-3])
        & (inner > padded[:-4])
        & (inner >= padded[3:-1])
        & (inner >= padded[4:])
    )
    peaks = np.flatnonzero(is_peak)
    return peaks if peaks.size else np.array([int(np.argmax(magnitude))])


def _joined(recording: Signal, kept: Sequence[tuple[int, int]]) -> Signal:
    """The kept pieces one after the other, what follows each faded into the next."""
    ramp = np.linspace(0.0, 1.0, FADE, dtype=np.float32)
    parts: list[Signal] = []
    for k, (start, end) in enumerate(kept):
        piece = recording[start:end].copy()
        if k > 0:
            tail = recording[kept[k - 1][1] : kept[k - 1][1] + FADE]
            count = min(FADE, piece.size, tail.size)
            piece[:count] = piece[:count] * ramp[:count] + tail[:count] * (1.0 - ramp[:count])
        parts.append(piece)
    return np.concatenate(parts)


def _replaced(processed: Signal, kept: Sequence[tuple[int, int]], size: int) -> Signal:
    """The kept pieces where they were; a short cut holds what came before it, a long silence."""
    out = np.zeros(size, np.float32)
    at = 0
    before = 0
    for start, end in kept:
        gap = start - before
        if 0 < gap <= CUT[1]:
            out[before:start] = fit(processed[max(0, at - gap) : at], gap)
        count = max(0, min(end - start, processed.size - at))
        out[start : start + count] = processed[at : at + count]
        at += end - start
        before = end
    return out
