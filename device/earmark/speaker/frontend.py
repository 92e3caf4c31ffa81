"""What the network hears: a log-mel spectrogram, computed outside of the network.

Inside the graph the transform costs twice the time and size, and int8 would not carry its range.
On the workstation the same is done in torch, from the same numbers: see :func:`hann` and
:func:`mel_filters`.

The mel scale and its filters are those of Slaney's Auditory Toolbox (1998), as in librosa and
torchaudio: linear up to 1 kHz, logarithmic above, and each triangle has area 1 over frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy import fft as transform

from earmark import filters
from earmark.signal import RATE_HZ, Signal

LogMel: TypeAlias = NDArray[np.float32]
"""Shape (frames, mels), dB re 1.0 (power, before the network scales it); row i starts at sample
i * hop."""

LARGEST_FFT = 8192
"""Longest transform, samples: half a second, longer than any sound of speech."""

MOST_MELS = 512
"""Most filters: four times what any speech model uses."""

LINEAR_HZ = 200.0 / 3.0
"""Width of a mel below 1 kHz, Hz (Slaney 1998)."""

KNEE_HZ = 1000.0
"""Where the scale turns from linear to logarithmic, Hz (Slaney 1998)."""

LOG_STEP = np.log(6.4) / 27.0
"""Natural logarithm of the ratio of two frequencies that are a mel apart above the knee: 27 steps
from 1 to 6.4 kHz (Slaney 1998)."""


@dataclass(frozen=True)
class FrontEnd:
    """A log-mel spectrogram without padding; part of the manifest of a model.

    Parameters
    ----------
    window : length of the periodic Hann window, samples, at least 2.
    fft : length of the transform, samples, `window` to :data:`LARGEST_FFT`: the windowed samples
        are filled up with zeros. (Where they lie in it does not change the power.)
    hop : distance of two windows, samples, 1 to `window`.
    mels : number of filters, 1 to :data:`MOST_MELS`.
    low_hz, high_hz : edges of the lowest and highest filter, Hz, 0 to 8000.
    pre_emphasis : a in y[n] = x[n] - a x[n - 1] (y[0] = x[0]), 0 (none) to below 1.
    floor : added to the power before the logarithm, above 0. A floor near the noise of a room
        keeps the network from listening to what nobody hears, adversarial noise included.

    Raises
    ------
    ValueError
        A value is out of its range, or a filter is so narrow that no frequency falls into it.
    """

    window: int
    fft: int
    hop: int
    mels: int
    low_hz: float
    high_hz: float
    pre_emphasis: float
    floor: float

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False
    )

    def __post_init__(self) -> None:
        if not 2 <= self.window <= self.fft <= LARGEST_FFT:
            raise ValueError(
                f"window {self.window} and fft {self.fft}: 2 <= window <= fft <= {LARGEST_FFT}"
            )
        if not 1 <= self.hop <= self.window:
            raise ValueError(f"hop {self.hop}: 1 to window ({self.window})")
        if not 1 <= self.mels <= MOST_MELS:
            raise ValueError(f"mels {self.mels}: 1 to {MOST_MELS}")
        if not 0.0 <= self.low_hz < self.high_hz <= RATE_HZ / 2:
            raise ValueError(
                f"low_hz {self.low_hz} and high_hz {self.high_hz}: "
                f"0 <= low_hz < high_hz <= {RATE_HZ // 2}"
            )
        if not 0.0 <= self.pre_emphasis < 1.0:
            raise ValueError(f"pre_emphasis {self.pre_emphasis}: 0 to below 1")
        if not np.float32(self.floor) > 0.0:
            raise ValueError(f"floor {self.floor}: above 0, in float32 too")
        if not self.filters.any(axis=0).all():
            raise ValueError(f"mels {self.mels}: too many for fft {self.fft}, a filter is empty")

    @property
    def filters(self) -> NDArray[np.float32]:
        """The mel filters, shape (fft // 2 + 1, mels)."""
        return mel_filters(self.fft, self.mels, self.low_hz, self.high_hz)

    def frames(self, samples: int) -> int:
        """How many frames `samples` samples give; 0 if they are fewer than a window."""
        return 0 if samples < self.window else 1 + (samples - self.window) // self.hop

    def samples(self, frames: int) -> int:
        """How many samples `frames` frames (at least 1) are made of."""
        return self.window + (frames - 1) * self.hop

    def log_mel(self, signal: Signal) -> LogMel:
        """The log-mel spectrogram of `signal`.

        Parameters
        ----------
        signal : shape (n,), float32 in [-1, 1] at 16 kHz. What does not fill a window at its end
            is left off.

        Returns
        -------
        LogMel
            Shape (frames(n), mels), float32, dB: 10 log10(filters @ |STFT|^2 + floor).
        """
        return self._spectrogram(self._emphasised(signal))

    def _emphasised(self, signal: Signal) -> Signal:
        signal = signal.astype(np.float32, copy=False)
        if self.pre_emphasis == 0.0 or signal.size == 0:
            return signal
        factor = np.float32(self.pre_emphasis)
        emphasised = signal.copy()
        emphasised[1:] -= factor * signal[:-1]
        return emphasised

    def _spectrogram(self, emphasised: Signal) -> LogMel:
        if emphasised.size < self.window:
            return np.empty((0, self.mels), np.float32)
        views = sliding_window_view(emphasised, self.window)[:: self.hop]
        # scipy's transform stays in float32; numpy's would do it all in float64.
        spectrum = transform.rfft(views * hann(self.window), self.fft, axis=1)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        mel: LogMel = power @ self.filters
        mel += np.float32(self.floor)
        np.log10(mel, out=mel)
        mel *= np.float32(10.0)
        return mel


@cache
def hann(size: int) -> NDArray[np.float32]:
    """The periodic Hann window, shape (size,), 0 to 1; read-only."""
    return _sealed(filters.hann(size))


@cache
def mel_filters(fft: int, mels: int, low_hz: float, high_hz: float) -> NDArray[np.float32]:
    """Triangular filters of equal distance in mel and of area 1 over frequency (Slaney 1998).

    Parameters
    ----------
    fft : length of the transform at 16 kHz, samples.
    mels : number of filters.
    low_hz, high_hz : lower edge of the first and upper edge of the last filter, Hz.

    Returns
    -------
    NDArray
        Shape (fft // 2 + 1, mels), 1/Hz, float32, read-only: power @ filters.
    """
    edges = _hz(np.linspace(_mel(low_hz), _mel(high_hz), mels + 2))
    bins = np.arange(fft // 2 + 1)[:, np.newaxis] * (RATE_HZ / fft)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return _sealed(triangles * (2.0 / (edges[2:] - edges[:-2])))


def _mel(hz: float) -> float:
    if hz < KNEE_HZ:
        return hz / LINEAR_HZ
    return float(KNEE_HZ / LINEAR_HZ + np.log(hz / KNEE_HZ) / LOG_STEP)


def _hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = KNEE_HZ * np.exp((mel - KNEE_HZ / LINEAR_HZ) * LOG_STEP)
    return np.where(mel < KNEE_HZ / LINEAR_HZ, mel * LINEAR_HZ, above)


def _sealed(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """`values` in float32, read-only because it is shared."""
    sealed = values.astype(np.float32)
    sealed.setflags(write=False)
    return sealed


DEVICE = FrontEnd(512, 512, 256, 40, 60.0, 5800.0, 0.0, 2e-3)
"""Of the model that ships: half the transforms of the paper's and a power of two, and no more
bandwidth than cheap microphones and lossy codecs keep. Its floor lies 19 dB over what random
signs of .002 leave in a band, and so hides much of what an attacker of that budget can add; another
one is tried with ``earmark-host speaker train --set floor=...``."""

PAPER = FrontEnd(800, 1024, 160, 32, 0.0, 8000.0, 0.97, 1e-16)
"""Of the paper (Pal et al. 2021, after Jati et al. 2020)."""

PAPER_FLOORED = FrontEnd(800, 1024, 160, 32, 0.0, 8000.0, 0.97, 3e-4)
"""The paper's with a floor that noise of +-.002 does not reach; otherwise the same."""
