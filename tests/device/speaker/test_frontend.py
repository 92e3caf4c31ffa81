"""The front-end computes what its docstring says, whole and in a stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.signal import Signal
from earmark.speaker import DEVICE, PAPER, PAPER_FLOORED, FrontEnd, mel_filters

SMALL = FrontEnd(24, 32, 10, 4, 200.0, 7000.0, 0.9, 1e-3)
ALL = {"device": DEVICE, "paper": PAPER, "paper-floored": PAPER_FLOORED, "small": SMALL}


def noise(count: int, seed: int = 0) -> Signal:
    return (np.random.default_rng(seed).standard_normal(count) * 0.05).astype(np.float32)


def literal(front_end: FrontEnd, signal: Signal) -> NDArray[np.float64]:
    """Each step of the docstring, frame by frame, in float64; the window in the middle of the
    transform, as torch.stft has it."""
    signal = signal.astype(np.float64)
    emphasised = [signal[0]]
    for n in range(1, signal.size):
        emphasised.append(signal[n] - front_end.pre_emphasis * signal[n - 1])
    size, before = front_end.window, (front_end.fft - front_end.window) // 2
    frequency, time = np.arange(front_end.fft // 2 + 1), np.arange(front_end.fft)
    dft = np.exp(-2j * np.pi * np.outer(frequency, time) / front_end.fft)
    rows = []
    start = 0
    while start + size <= signal.size:
        frame = np.zeros(front_end.fft)
        for n in range(size):
            hann = np.sin(np.pi * n / size) ** 2
            frame[before + n] = emphasised[start + n] * hann
        power = np.abs(dft @ frame) ** 2
        rows.append(10.0 * np.log10(triangles(front_end) @ power + front_end.floor))
        start += front_end.hop
    return np.array(rows)


def triangles(front_end: FrontEnd) -> NDArray[np.float64]:
    """Slaney's filters, one value at a time, shape (mels, bins)."""

    def hz(mel: float) -> float:
        return mel * 200.0 / 3.0 if mel < 15.0 else 1000.0 * 6.4 ** ((mel - 15.0) / 27.0)

    def mel(frequency: float) -> float:
        if frequency < 1000.0:
            return frequency * 3.0 / 200.0
        return 15.0 + 27.0 * float(np.log(frequency / 1000.0) / np.log(6.4))

    low, high = mel(front_end.low_hz), mel(front_end.high_hz)
    step = (high - low) / (front_end.mels + 1)
    made = np.zeros((front_end.mels, front_end.fft // 2 + 1))
    for row in range(front_end.mels):
        left, centre, right = (hz(low + step * (row + k)) for k in range(3))
        for column in range(made.shape[1]):
            at = column * 16_000.0 / front_end.fft
            height = 2.0 / (right - left)
            if left < at <= centre:
                made[row, column] = height * (at - left) / (centre - left)
            elif centre < at < right:
                made[row, column] = height * (right - at) / (right - centre)
    return made


@pytest.mark.parametrize("name", ALL)
def test_it_equals_a_literal_reference(name: str) -> None:
    front_end = ALL[name]
    signal = noise(front_end.samples(6) + front_end.hop - 1)
    log_mel = front_end.log_mel(signal)
    assert log_mel.dtype == np.float32
    assert log_mel.shape == (6, front_end.mels)
    np.testing.assert_allclose(log_mel, literal(front_end, signal), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_the_filters_are_slaneys(name: str) -> None:
    np.testing.assert_allclose(ALL[name].filters.T, triangles(ALL[name]), rtol=1e-5, atol=1e-9)


def test_the_filters_peak_where_the_documentation_of_librosa_says() -> None:
    """From the example of librosa.mel_frequencies(n_mels=40): 0 Hz to 7754.107 Hz are 36 points."""
    documented = [
        *(85.317, 170.635, 255.952, 341.269, 426.586, 511.904, 597.221, 682.538, 767.855, 853.173),
        *(938.49, 1024.856, 1119.114, 1222.042, 1334.436, 1457.167, 1591.187, 1737.532, 1897.337),
        *(2071.84, 2262.393, 2470.47, 2697.686, 2945.799, 3216.731, 3512.582, 3835.643, 4188.417),
        *(4573.636, 4994.285, 5453.621, 5955.205, 6502.92, 7101.009),
    ]
    fft = 8192
    filters = mel_filters(fft, 34, 0.0, 7754.107)
    peaks = filters.argmax(axis=0) * 16_000 / fft
    np.testing.assert_allclose(peaks, documented, rtol=0, atol=16_000 / fft)


def test_each_filter_has_area_one() -> None:
    fft = 8192
    areas = mel_filters(fft, 40, 60.0, 5800.0).sum(axis=0) * 16_000 / fft
    np.testing.assert_allclose(areas, 1.0, rtol=1e-3)


def test_a_tone_is_loudest_in_its_band_at_its_level() -> None:
    """A sine of amplitude a in the middle of a bin has power (a * sum(window) / 2)^2 there, and
    (half of the amplitude, Hann) a quarter of it on both sides."""
    at, amplitude = 32, 0.1
    time = np.arange(DEVICE.window)
    tone = (amplitude * np.sin(2.0 * np.pi * at * time / DEVICE.window)).astype(np.float32)
    peak = (amplitude * DEVICE.window / 4.0) ** 2
    expected = DEVICE.filters[at - 1 : at + 2].T @ np.array([peak / 4.0, peak, peak / 4.0])
    expected = 10.0 * np.log10(expected + DEVICE.floor)
    np.testing.assert_allclose(DEVICE.log_mel(tone)[0], expected, rtol=0, atol=0.01)


def test_silence_is_the_floor() -> None:
    silent = DEVICE.log_mel(np.zeros(DEVICE.samples(3), np.float32))
    np.testing.assert_allclose(silent, 10.0 * np.log10(DEVICE.floor), rtol=1e-6)
    assert np.isfinite(PAPER.log_mel(np.zeros(PAPER.samples(3), np.float32))).all()


@pytest.mark.parametrize(("count", "frames"), [(0, 0), (23, 0), (24, 1), (33, 1), (34, 2), (44, 3)])
def test_what_does_not_fill_a_window_at_the_end_is_left_off(count: int, frames: int) -> None:
    signal = noise(count)
    assert SMALL.frames(count) == frames
    assert SMALL.log_mel(signal).shape == (frames, 4)
    if frames:
        assert SMALL.samples(frames) <= count < SMALL.samples(frames + 1)


def test_the_devices_window_is_two_seconds() -> None:
    assert DEVICE.samples(128) == 33_024
    assert DEVICE.frames(33_024) == 128


def test_the_signal_is_left_alone() -> None:
    signal = noise(200)
    signal.setflags(write=False)
    SMALL.log_mel(signal)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"window": 1}, "window"),
        ({"window": 33}, "fft"),
        ({"fft": 16384}, "8192"),
        ({"hop": 0}, "hop"),
        ({"hop": 25}, "hop"),
        ({"mels": 0}, "mels"),
        ({"mels": 513}, "mels"),
        ({"mels": 40}, "a filter is empty"),
        ({"low_hz": -1.0}, "low_hz"),
        ({"low_hz": 7000.0}, "low_hz"),
        ({"high_hz": 8001.0}, "8000"),
        ({"pre_emphasis": 1.0}, "pre_emphasis"),
        ({"pre_emphasis": -0.1}, "pre_emphasis"),
        ({"floor": 0.0}, "floor"),
        ({"floor": 1e-60}, "float32"),
        ({"floor": float("nan")}, "floor"),
        ({"low_hz": float("nan")}, "low_hz"),
    ],
    ids=str,
)
def test_impossible_numbers_are_refused(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(SMALL, **wrong)
