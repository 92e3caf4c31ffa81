"""What an attacker has, made of a sentence that ships with the product."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as sps

from earmark.demo.clips import ClipKind, load_clips
from earmark.signal import RATE_HZ, Signal, rms
from earmark_host.nonce.attacks import Loot

SENTENCE_S = 2.5
"""Length of the command, s."""

PAUSE_S = 0.5
"""Silence in the middle of it, s."""


def stand_in_nonce(size: int, rng: np.random.Generator) -> Signal:
    """Random chips between 0.5 and 7 kHz, falling by 3 dB an octave; rms 1."""
    at_hz = np.fft.rfftfreq(size, 1.0 / RATE_HZ)
    shape = np.where((at_hz > 500.0) & (at_hz < 7000.0), np.sqrt(500.0 / np.maximum(at_hz, 1)), 0)
    nonce = np.fft.irfft(np.fft.rfft(rng.choice([-1.0, 1.0], size)) * shape, size)
    return np.asarray(nonce / rms(nonce.astype(np.float32)), np.float32)


def room(signal: Signal, delay: int, rng: np.random.Generator) -> Signal:
    """`signal` after `delay` samples, with a tail of 0.1 s."""
    tail = rng.standard_normal(1600) * np.exp(-np.arange(1600) / 300.0) * 0.05
    response = np.concatenate([np.zeros(delay), [1.0], tail])
    return np.asarray(sps.oaconvolve(signal, response)[: signal.size], np.float32)


def make_loot(nonce_db: float = -20.0, seed: int = 3) -> Loot:
    """A sentence with a pause and a nonce, `nonce_db` relative to the sentence."""
    rng = np.random.default_rng(seed)
    clip = load_clips().all(ClipKind.COMMAND)[0].signal
    half = round(SENTENCE_S / 2 * RATE_HZ)
    silence = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    speech = np.concatenate([clip[:half], silence, clip[half : 2 * half], silence])
    speech = (speech * (0.1 / rms(speech))).astype(np.float32)
    dry = stand_in_nonce(speech.size + RATE_HZ, rng) * np.float32(0.1 * 10 ** (nonce_db / 20))
    here, near = room(dry, 47, rng), room(dry * np.float32(3.5), 13, rng)

    def hiss(size: int) -> Signal:
        return (rng.standard_normal(size) * 1e-4).astype(np.float32)

    spoken, spoken_near = room(speech, 47, rng), room(speech, 50, rng)
    size = speech.size
    clean = spoken + hiss(size)
    return Loot(
        recording=clean + here[:size],
        noise_only=here[size:] + hiss(dry.size - size),
        reference=spoken_near + near[:size] + hiss(size),
        clean=clean,
        wet_nonce=here[:size],
        noise_reference=near[size:] + hiss(dry.size - size),
    )


@pytest.fixture(scope="session")
def loot() -> Loot:
    """A sentence with a pause, and a nonce 20 dB below it."""
    return make_loot()
