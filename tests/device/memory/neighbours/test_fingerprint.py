"""The fingerprint of a query: where its peaks are, how many, and their bytes."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from earmark.demo.clips import Clips
from earmark.memory.entries import MAX_FINGERPRINT_BYTES
from earmark.memory.neighbours import Fingerprint, fingerprint, likeness
from earmark.memory.neighbours.fingerprint import (
    BINS,
    HIGHEST,
    HOP,
    LOWEST,
    MAX_FRAMES,
    MOST,
    SIZE,
)
from earmark.signal import RATE_HZ, Signal


def noise(seconds: float, seed: int = 1) -> Signal:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(round(seconds * RATE_HZ), dtype=np.float32) * np.float32(0.1)


def bursts(seconds: float, *placed: tuple[int, int], amplitude: float = 0.2) -> Signal:
    """Short tones at (frame, bin), as a fingerprint counts them."""
    signal = np.zeros(round(seconds * RATE_HZ), np.float32)
    time = np.arange(SIZE)
    for frame, place in placed:
        tone = np.sin(2 * np.pi * (place + LOWEST) / SIZE * time) * np.hanning(SIZE)
        signal[frame * HOP : frame * HOP + SIZE] += (amplitude * tone).astype(np.float32)
    return signal


def places(found: Fingerprint) -> list[tuple[int, int]]:
    return list(zip(found.frames.tolist(), found.bins.tolist(), strict=True))


def faster(signal: Signal, factor: float) -> Signal:
    """Played so much faster: shorter and higher."""
    sound: Signal = soxr.resample(signal, RATE_HZ * factor, RATE_HZ, quality="VHQ")
    return sound


GRID = [(4 + 10 * i, 10 + 30 * j) for i in range(5) for j in range(8)]
"""As many as a second has."""


def test_the_peaks_are_the_tones_in_the_order_of_time() -> None:
    assert places(fingerprint(bursts(1.0, *GRID))) == GRID


def test_of_more_the_strongest_are_kept() -> None:
    weak = [(9, 100), (29, 25), (39, 225)]
    signal = bursts(1.0, *GRID) + bursts(1.0, *weak, amplitude=0.1)
    assert places(fingerprint(signal)) == GRID
    signal = bursts(1.0, *GRID, amplitude=0.1) + bursts(1.0, *weak)
    found = places(fingerprint(signal))
    assert set(weak) < set(found)
    assert len(found) == 40


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.26, 11), (1.0, 40), (1.01, 41), (4.0, 160), (5.0, 200), (9.0, MOST)]
)
def test_forty_a_second_and_two_hundred_in_all(seconds: float, count: int) -> None:
    assert len(fingerprint(noise(seconds))) == count


def test_the_band_is_200_hz_to_4_khz() -> None:
    assert (LOWEST - 1) * RATE_HZ / SIZE < 200.0 <= LOWEST * RATE_HZ / SIZE
    assert HIGHEST * RATE_HZ / SIZE <= 4000.0 < (HIGHEST + 1) * RATE_HZ / SIZE
    edges = [(10, 0), (30, BINS - 1)]
    assert set(edges) <= set(places(fingerprint(bursts(1.0, *edges))))
    # 8 bins outside only what is left of the side lobes remains.
    outside = fingerprint(bursts(1.0, (10, -8), (30, BINS + 8), (50, 100)))
    assert (50, 100) in places(outside)
    assert not {(10, 0), (30, BINS - 1)} & set(places(outside))


def test_no_two_peaks_within_a_frame_and_three_bins_but_beyond() -> None:
    apart = set()
    for seed in range(8):
        all_places = places(fingerprint(noise(5.0, seed)))
        for at, (frame, place) in enumerate(all_places):
            apart |= {(abs(frame - f), abs(place - p)) for f, p in all_places[:at]}
    assert not {(frame, place) for frame, place in apart if frame <= 1 and place <= 3}
    assert {(0, 4), (1, 4), (2, 1), (2, 3)} <= apart


def test_loudness_does_not_matter() -> None:
    signal = noise(2.0)
    assert places(fingerprint(signal)) == places(fingerprint(signal * np.float32(0.25)))


@pytest.mark.parametrize("count", [0, 1, 100, RATE_HZ])
def test_silence_has_no_peaks(count: int) -> None:
    assert len(fingerprint(np.zeros(count, np.float32))) == 0


@pytest.mark.parametrize(("amplitude", "there"), [(2.5e-5, False), (4e-5, True)])
def test_the_least_tone(amplitude: float, there: bool) -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    tone = (amplitude * np.sin(2.0 * np.pi * 1000.0 * time)).astype(np.float32)
    assert bool(len(fingerprint(tone))) == there


def test_less_than_a_window_is_one_frame() -> None:
    found = fingerprint(noise(0.05))
    assert len(found) == 2
    assert found.frames.tolist() == [0, 0]


def test_what_is_beyond_16_s_is_not_looked_at() -> None:
    tones = bursts(20.0, (3, 10), (MAX_FRAMES - 1, 50), (MAX_FRAMES + 5, 90))
    found = places(fingerprint(tones))
    assert {(3, 10), (MAX_FRAMES - 1, 50)} <= set(found)
    longest = (MAX_FRAMES - 1) * HOP + SIZE
    signal = noise(20.0)
    assert places(fingerprint(signal)) == places(fingerprint(signal[:longest]))
    assert longest / RATE_HZ > 16.0


def test_speech_is_known_by_its_peaks_in_noise(clips: Clips) -> None:
    lobsters, toast = (clips.command(name).spoken for name in ("lobsters", "toast"))
    marked = fingerprint(lobsters)
    assert len(marked) == min(MOST, np.ceil(40 * lobsters.size / RATE_HZ))
    level = np.float32(0.1 * np.std(lobsters) / np.std(noise(1.0)))
    noisy = lobsters + level * noise(lobsters.size / RATE_HZ)[: lobsters.size]
    assert likeness(marked, fingerprint(noisy)) > 0.6
    assert likeness(marked, fingerprint(toast)) < 0.25


@pytest.mark.parametrize("factor", [0.955, 0.97, 0.985, 1.015, 1.03, 1.045])
def test_at_speed_is_the_fingerprint_of_the_faster_sound(clips: Clips, factor: float) -> None:
    signal = clips.command("lobsters").spoken
    marked, played = fingerprint(signal), fingerprint(faster(signal, factor))
    assert likeness(marked.at_speed(factor), played) > 0.55
    assert likeness(marked, played.at_speed(1.0 / factor)) > 0.55
    if abs(factor - 1.0) > 0.02:
        assert likeness(marked, played) < 0.35
    assert likeness(marked.at_speed(1.0 / factor), played) < 0.35


def test_at_speed_by_hand() -> None:
    one = Fingerprint(np.array([100, 200, 1000], np.int32), np.array([100, 0, 230], np.int32))
    # Bins count from 13: (100 + 13) * 1.1 = 124.3, 13 * 1.1 = 14.3, 243 * 1.1 is above the band.
    assert places(one.at_speed(1.1)) == [(91, 124 - 13), (182, 14 - 13)]
    # 13 * .9 is below the band, 1000 / .9 after the end.
    assert places(one.at_speed(0.9)) == [(111, 102 - 13)]
    assert places(one.at_speed(1.0)) == places(one)
    assert places(one.at_speed(1.0 / 1.02)) == [(102, 111 - 13), (204, 0), (1020, 238 - 13)]


def test_bytes_and_back() -> None:
    longest = fingerprint(noise(17.0))
    for found in (longest, fingerprint(np.zeros(5, np.float32))):
        data = found.to_bytes()
        assert len(data) == 3 * len(found) <= MAX_FINGERPRINT_BYTES
        again = Fingerprint.from_bytes(data)
        assert places(again) == places(found)
        assert again.frames.dtype == again.bins.dtype == np.int32
    assert longest.frames.max() > 255
    one = Fingerprint(np.array([258], np.int32), np.array([243], np.int32))
    assert one.to_bytes() == b"\x02\x01\xf3"


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\0" * 4, b"\0\0\xf4", b"\0\x04\0", b"\0\0\0" * (MOST + 1)],
    ids=["cut", "one too many", "above the band", "after the end", "too many"],
)
def test_bytes_that_are_no_fingerprint_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"fingerprint|peak"):
        Fingerprint.from_bytes(data)
    assert len(Fingerprint.from_bytes(b"\xff\x03\xf3" * MOST)) == MOST


@pytest.mark.parametrize(
    ("frames", "bins"),
    [([1], [1, 2]), ([[1]], [[1]]), ([-1], [1]), ([1], [-1]), ([1, MAX_FRAMES], [1, 1])],
    ids=str,
)
def test_peaks_out_of_place_are_refused(frames: list[int], bins: list[int]) -> None:
    with pytest.raises(ValueError, match=r"1-D|outside"):
        Fingerprint(np.array(frames, np.int32), np.array(bins, np.int32))
