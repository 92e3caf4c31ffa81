"""The paper's robust mode: a little noise under every query, before its fingerprint."""

from __future__ import annotations

import numpy as np

from earmark.signal import Signal, gain, rms


def with_input_noise(signal: Signal, snr_db: float, rng: np.random.Generator) -> Signal:
    """Add white Gaussian noise (Guo et al. 2023, "Robust defense" and Table 5).

    Parameters
    ----------
    signal : any length. Silence stays silence: it has no level to compare the noise with.
    snr_db : level of the whole signal over the noise, dB.
    rng : where the noise comes from; fresh noise for every query.
    """
    noise = rng.standard_normal(signal.size, dtype=np.float32)
    return signal + noise * np.float32(rms(signal) * gain(-snr_db))
