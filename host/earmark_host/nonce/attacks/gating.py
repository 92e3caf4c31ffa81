"""Masks over time and frequency: spectral gating, and the mask of an oracle."""

from __future__ import annotations

import numpy as np
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal, gain
from earmark_host.nonce.attacks.loot import Base, Loot, Need

GATE_FRAME = 1024
"""Frame of the gates, samples: 64 ms, noisereduce's default number."""

DITHER_DBFS = -100.0
"""Noise added before gating, dBFS: the adaptive gate divides by the level of every band."""

MASK_FRAME = 512
"""Frame of the oracle's mask, samples: 32 ms, the usual one for ideal masks."""


class Gate(Base):
    """Spectral gating of the package noisereduce (Sainburg et al., PLoS Comput. Biol. 2020).

    Parameters
    ----------
    stationary : thresholds from a stretch of nonce alone, mean and 1.5 standard deviations of
        each band, as the package has it; else they follow the recording over 2 s.
    """

    def __init__(self, name: str, about: str, stationary: bool) -> None:
        super().__init__(name, about)
        self._stationary = stationary
        self.needs = (Need.NOISE_ONLY,) if stationary else ()

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        from noisereduce import reduce_noise  # noqa: PLC0415 - host only, half a second to load

        size = loot.recording.size
        # Reflected edges instead of the zeros that the package would add: near zeros the
        # adaptive threshold sinks, and a command of 3 s is all edge.
        around = min(size - 1, 2 * RATE_HZ)
        signal = np.pad(loot.recording.astype(np.float64), around, "reflect")
        # The package leaves the last incomplete frame out.
        signal = np.pad(signal, (0, -signal.size % GATE_FRAME + GATE_FRAME))
        signal += gain(DITHER_DBFS) * rng.standard_normal(signal.size)
        out = reduce_noise(
            y=signal,
            sr=RATE_HZ,
            stationary=self._stationary,
            y_noise=self._profile(loot) if self._stationary else None,
            n_fft=GATE_FRAME,
            padding=0,
            chunk_size=signal.size,
        )
        return np.asarray(out[around : around + size], np.float32)

    @staticmethod
    def _profile(loot: Loot) -> Signal | None:
        """The stretch of noise, repeated where it is shorter than two frames."""
        noise = loot.noise_only
        if noise is None or noise.size >= 2 * GATE_FRAME:
            return noise
        return np.tile(noise, 2 * GATE_FRAME // noise.size + 1)


class OracleMask(Base):
    """The ideal ratio mask, as power ratio (a Wiener filter that knows both parts).

    Nobody has it: it bounds what any mask can do, and with it most denoisers.
    """

    needs = (Need.CLEAN,)

    def _process(self, loot: Loot, rng: np.random.Generator) -> Signal:
        del rng
        size = loot.recording.size
        overlap = MASK_FRAME * 3 // 4

        def analyse(signal: Signal) -> np.ndarray[tuple[int, int], np.dtype[np.complex128]]:
            padded = np.pad(signal.astype(np.float64), (0, MASK_FRAME))
            spectrum = sps.stft(padded, RATE_HZ, "hann", MASK_FRAME, overlap)[2]
            return np.asarray(spectrum)

        clean = np.abs(analyse(loot.clean)) ** 2
        nonce = np.abs(analyse(loot.wet_nonce)) ** 2
        mask = clean / np.maximum(clean + nonce, np.finfo(np.float64).tiny)
        _, out = sps.istft(analyse(loot.recording) * mask, RATE_HZ, "hann", MASK_FRAME, overlap)
        return np.asarray(out[:size], np.float32)
