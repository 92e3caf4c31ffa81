"""Correlations in standard deviations of chance, whatever the recording."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import fft
from scipy import signal as sps

from earmark.nonce.spread import Bank
from earmark.nonce.spread.bank import BLOCK, STEP
from earmark.nonce.spread.correlate import inverse_norms, spectra
from earmark.nonce.spread.shape import PIECE, TAIL
from earmark.nonce.spread.whitening import whitened
from earmark.signal import Signal

RecordingOf = Callable[..., Signal]
KINDS = ["white", "coloured", "modulated", "tone", "voice", "clicks", "burst", "third"]


def seen(white: Signal, taps: Signal) -> Signal:
    """What each sign is multiplied with, in full precision and without transforms."""
    padded = np.concatenate([white.astype(np.float64), np.zeros(taps.size - 1)])
    return np.asarray(np.correlate(padded, taps.astype(np.float64), "valid"))


def norms(white: Signal, taps: Signal, length: int) -> Signal:
    squares = np.square(seen(white, taps))
    lags = white.size - length + 1
    return np.sqrt([squares[lag : lag + length].sum() for lag in range(0, lags, 97)])


@pytest.mark.parametrize("kind", ["white", "modulated", "voice"])
def test_the_norm_is_that_of_the_signs(bank: Bank, recording_of: RecordingOf, kind: str) -> None:
    white = whitened(recording_of(kind, 9000))
    inverse = inverse_norms(white, bank.taps, PIECE)
    assert inverse.shape == white.shape
    expected = norms(white, bank.taps, PIECE)
    assert inverse[: white.size - PIECE + 1 : 97] * expected == pytest.approx(1.0, abs=1e-3)
    assert not inverse[white.size - PIECE + 1 :].any()


def test_what_is_too_short_has_no_norm(bank: Bank) -> None:
    x = np.ones(PIECE - 1, np.float32)
    assert not inverse_norms(x, bank.taps, PIECE).any()
    assert inverse_norms(x[:0], bank.taps, PIECE).shape == (0,)


def test_silence_has_none() -> None:
    assert not inverse_norms(np.zeros(9000, np.float32), np.ones(5, np.float32), 100).any()


@pytest.mark.parametrize("kind", ["clicks", "burst", "third"])
def test_digital_silence_has_none(bank: Bank, recording_of: RecordingOf, kind: str) -> None:
    """Not even where most is silent: rounding errors divided by rounding errors are no evidence."""
    white = whitened(recording_of(kind, 20_000))
    inverse = inverse_norms(white, bank.taps, PIECE)[: white.size - PIECE + 1 : 97]
    expected = norms(white, bank.taps, PIECE)
    silent = expected < 1e-6 * expected.max()
    assert silent.any()
    assert not inverse[silent].any()
    assert inverse[~silent].any()


@pytest.mark.parametrize("size", [100, PIECE, STEP, STEP + 1, 3 * STEP - 5, BLOCK])
def test_blocks_correlate_as_the_whole(bank: Bank, size: int) -> None:
    white = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    blocks = spectra(white, BLOCK, STEP)
    assert blocks.shape == (-(-size // STEP), BLOCK // 2 + 1)
    product = fft.irfft(blocks * bank.pieces_f[3, 1], BLOCK, axis=1)[:, :STEP].reshape(-1)[:size]
    piece = sps.fftconvolve(bank.chips[3, PIECE:].astype(np.float64), bank.taps)
    padded = np.concatenate([white.astype(np.float64), np.zeros(PIECE + TAIL - 1)])
    expected = sps.correlate(padded, piece, "valid", method="fft")
    assert np.allclose(product, expected, rtol=0.0, atol=1e-4 * np.sqrt(PIECE))


@pytest.mark.parametrize("kind", KINDS)
def test_by_chance_z_is_sub_gaussian(
    recording_of: RecordingOf, bank_of: Callable[[int], Bank], kind: str
) -> None:
    """Over random codes, for one recording: the mean of z**2 is 1, and tails are below Gauss."""
    white = whitened(recording_of(kind, STEP))
    taps = bank_of(0).taps
    inverse = inverse_norms(white, taps, PIECE)
    spectrum = spectra(white, BLOCK, STEP)
    squares = []
    for seed in range(20):
        for piece in range(2):
            product = fft.irfft(spectrum * bank_of(seed).pieces_f[:, piece], BLOCK, axis=1)
            z = product[:, : white.size] * inverse
            squares.append(np.square(z[:, inverse > 0.0][:, ::31]))
    square = np.concatenate(squares)
    assert square.size
    # 640 independent draws at each lag, every one with mean 1 and variance 2 at most.
    assert float(square.mean(axis=0).max()) < 1.0 + 6.0 * np.sqrt(2.0 / len(square))
    assert float(square.mean()) == pytest.approx(1.0, abs=0.15)
    for height in (2.0, 3.0, 4.0):
        bound = 2.0 * np.exp(-(height**2) / 2.0)
        assert np.mean(square > height**2) < bound
    assert square.max() < 2.0 * np.log(2.0 * square.size * 1e3)
