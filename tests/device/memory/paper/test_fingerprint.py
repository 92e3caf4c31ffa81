"""The paper's fingerprint and its cosine."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.memory.paper import PaperFingerprint, cosine, cosines, fingerprint
from earmark.memory.paper.fingerprint import BINS, FRAMES, HOP, MOST_PEAKS, SIZE
from earmark.signal import RATE_HZ, Signal


def of(*positions: int) -> PaperFingerprint:
    return PaperFingerprint(np.array(positions, np.uint16))


def noise(seconds: float, seed: int) -> Signal:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(round(seconds * RATE_HZ), dtype=np.float32) * np.float32(0.1)


def bursts(*placed: tuple[int, int]) -> Signal:
    """Short tones: (frame, bin) of the middle of each."""
    signal = np.zeros(4 * RATE_HZ, np.float32)
    time = np.arange(SIZE)
    for frame, place in placed:
        tone = np.sin(2 * np.pi * place / SIZE * time) * np.hanning(SIZE)
        signal[frame * HOP : frame * HOP + SIZE] += np.float32(0.2) * tone.astype(np.float32)
    return signal


def test_peaks_lie_where_the_tones_are() -> None:
    found = fingerprint(bursts((10, 100), (50, 30), (90, 300)))
    assert found.positions.tolist() == [10 * BINS + 100, 50 * BINS + 30, 90 * BINS + 300]


@pytest.mark.parametrize(("frames", "bins", "peaks"), [(4, 12, 1), (5, 12, 2), (4, 18, 2)])
def test_within_4_frames_and_12_bins_only_the_louder_one_is_a_peak(
    frames: int, bins: int, peaks: int
) -> None:
    # A tone of one frame is itself some 4 bins wide, hence 18 and not 13.
    signal = bursts((50, 100)) * np.float32(2.0) + bursts((50 + frames, 100 + bins))
    wanted = [50 * BINS + 100, (50 + frames) * BINS + 100 + bins]
    assert fingerprint(signal).positions.tolist() == wanted[:peaks]


@pytest.mark.parametrize(("gain", "peaks"), [(0.02, 2), (0.005, 1)])
def test_peaks_more_than_40_db_down_do_not_count(gain: float, peaks: int) -> None:
    signal = bursts((20, 100)) + bursts((80, 200)) * np.float32(gain)
    assert fingerprint(signal).positions.size == peaks


def test_loudness_does_not_matter() -> None:
    signal = noise(4, 1)
    np.testing.assert_array_equal(
        fingerprint(signal).positions, fingerprint(signal * np.float32(0.25)).positions
    )


def test_silence_and_nothing_have_no_peaks() -> None:
    for signal in (np.zeros(RATE_HZ, np.float32), np.zeros(0, np.float32)):
        assert fingerprint(signal).positions.size == 0


def test_only_the_first_four_seconds_count() -> None:
    signal = noise(6, 2)
    wanted = fingerprint(signal[: 4 * RATE_HZ]).positions
    np.testing.assert_array_equal(fingerprint(signal).positions, wanted)


def test_a_short_query_is_filled_up_with_zeros() -> None:
    signal = noise(1, 3)
    longer = np.pad(signal, (0, 2 * RATE_HZ))
    found = fingerprint(signal).positions
    np.testing.assert_array_equal(found, fingerprint(longer).positions)
    assert found.size > 0
    assert found.max() < (RATE_HZ // HOP + 1) * BINS


def test_the_strongest_peaks_are_kept() -> None:
    places = [(3 + 5 * i, 15 + 16 * j) for i in range(24) for j in range(30)]
    loud = [(frame, place) for frame, place in places if place > 300]
    found = fingerprint(bursts(*places) * np.float32(0.2) + bursts(*loud)).positions
    assert len(loud) < MOST_PEAKS < len(places)
    assert found.size == MOST_PEAKS
    assert {frame * BINS + place for frame, place in loud} <= set(found.tolist())
    assert np.all(np.diff(found.astype(int)) > 0)


def test_a_position_fits_16_bits() -> None:
    assert FRAMES * BINS <= 2**16


def test_cosine_by_hand() -> None:
    assert cosine(of(1, 2, 3, 4), of(3, 4, 5, 6, 7, 8, 9, 10, 11)) == pytest.approx(2 / 6)
    assert cosine(of(1, 2), of(3, 4)) == 0.0
    assert cosine(of(), of(3, 4)) == 0.0
    assert cosine(of(3, 4), of()) == 0.0
    assert cosine(of(), of()) == 0.0


def test_cosines_are_each_pair_s_cosine() -> None:
    many = [of(), of(1), of(1, 2, 5), of(), of(2, 9), of(7), of()]
    one = of(1, 2, 9)
    assert cosines(one, many).tolist() == [cosine(one, each) for each in many]
    wanted = [0, 1 / 3**0.5, 2 / 3, 0, 2 / 6**0.5, 0, 0]
    np.testing.assert_allclose(cosines(one, many), wanted)
    assert cosines(one, []).shape == (0,)


def random_masks(rng: np.random.Generator) -> list[PaperFingerprint]:
    def draw() -> NDArray[np.uint16]:
        return np.sort(rng.choice(12, rng.integers(1, 9), replace=False)).astype(np.uint16)

    return [PaperFingerprint(draw()) for _ in range(60)]


def test_equations_3_to_5() -> None:
    masks = random_masks(np.random.default_rng(4))
    for x in masks:
        for y in masks:
            value = cosine(x, y)
            assert 0.0 <= value <= 1.0
            assert value == cosine(y, x)
            assert (value == 1.0) == (x.positions.tolist() == y.positions.tolist())


def test_equation_6_holds_for_no_similarity() -> None:
    x, y = of(1, 2), of(3, 4)
    assert cosine(x, y) + cosine(x, y) < cosine(y, y)


def test_noise_lowers_the_cosine_and_another_clip_has_next_to_none() -> None:
    signal = noise(4, 5)
    original = fingerprint(signal)
    values = [
        cosine(original, fingerprint(signal + np.float32(factor) * noise(4, 6)))
        for factor in (0.01, 0.1, 1.0)
    ]
    assert values[0] > 0.9
    assert values[0] > values[1] > values[2] > 0.05
    assert cosine(original, fingerprint(noise(4, 7))) < 0.05


def test_bytes_and_back() -> None:
    for found in (fingerprint(noise(4, 8)), of(), of(0, 258, FRAMES * BINS - 1)):
        data = found.to_bytes()
        assert len(data) == 2 * found.positions.size <= 1000
        again = PaperFingerprint.from_bytes(data).positions
        assert again.dtype == np.uint16
        np.testing.assert_array_equal(again, found.positions)
    assert of(258).to_bytes() == b"\x02\x01"


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        b"\x02\x00\x01\x00",
        b"\x02\x00\x02\x00",
        b"\xff\xff",
        np.arange(MOST_PEAKS + 1, dtype="<u2").tobytes(),
    ],
    ids=["odd", "falling", "twice", "beyond the last cell", "too many"],
)
def test_what_is_no_fingerprint_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="a fingerprint"):
        PaperFingerprint.from_bytes(data)
