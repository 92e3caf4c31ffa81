"""The comparison against counting by hand and against the library's own."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.peers import Audiolocate, HaitsmaKalker, landmarks, usable_peers
from earmark_host.memory.peers.landmarks import MIN_COUNT, Landmarks

needs_library = pytest.mark.skipif(
    not landmarks.landmarks_installed(), reason="needs: pip install --no-deps audiolocate==0.1.1"
)


@pytest.fixture
def peer() -> Audiolocate:
    return Audiolocate()


def melody(seed: int, seconds: float = 4.0) -> Signal:
    """Short tones in a random order: peaks in known places."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(0.1 * RATE_HZ)) / RATE_HZ
    tones = [
        np.hanning(time.size) * np.sin(2 * np.pi * rng.uniform(300.0, 3000.0) * time)
        for _ in range(round(seconds / 0.1))
    ]
    return (0.3 * np.concatenate(tones)).astype(np.float32)


def made(seed: int, size: int, kinds: int = 12) -> Landmarks:
    rng = np.random.default_rng(seed)
    return Landmarks(np.sort(rng.integers(kinds, size=size)), rng.integers(20, size=size))


def by_hand(a: Landmarks, b: Landmarks) -> float:
    offsets = Counter(
        int(b.frames[j] - a.frames[i])
        for i in range(a.hashes.size)
        for j in range(b.hashes.size)
        if a.hashes[i] == b.hashes[j]
    )
    best = max(sum(offsets[d + step] for step in (-1, 0, 1)) for d in range(-21, 22))
    if best < MIN_COUNT:
        return 0.0
    return float(min(1.0, best / np.sqrt(a.hashes.size * b.hashes.size)))


@needs_library
def test_common_hashes_are_counted_as_by_hand(peer: Audiolocate) -> None:
    many = [made(seed, size) for seed, size in enumerate((9, 30, 1, 50, 17))]
    for a in many:
        found = peer.similarities(a, many)
        assert found == pytest.approx([by_hand(a, b) for b in many])
        assert found == pytest.approx([peer.similarity(b, a) for b in many])
    assert peer.similarities(many[0], []).shape == (0,)


@needs_library
def test_a_few_common_hashes_are_chance(peer: Audiolocate) -> None:
    few = Landmarks(np.arange(MIN_COUNT - 1), np.zeros(MIN_COUNT - 1, np.int64))
    enough = Landmarks(np.arange(MIN_COUNT), np.zeros(MIN_COUNT, np.int64))
    assert peer.similarity(few, few) == 0.0
    assert peer.similarity(enough, enough) == 1.0


@needs_library
def test_the_library_counts_no_more_than_this(peer: Audiolocate) -> None:
    from audiolocate import AudioFingerprint

    library = AudioFingerprint()
    sound = melody(1)
    noisy = sound + 0.02 * np.random.default_rng(2).standard_normal(sound.size).astype(np.float32)
    import soxr

    ours = [library.fingerprint_audio(soxr.resample(x, RATE_HZ, 8000))[0] for x in (sound, noisy)]
    theirs = library.match(*ours).match_count
    a, b = peer.fingerprint(sound), peer.fingerprint(noisy)
    mean = np.sqrt(a.hashes.size * b.hashes.size)
    assert a.hashes.size == sum(len(places) for places in ours[0].values())
    assert 20 < theirs <= round(peer.similarity(a, b) * mean)


@needs_library
def test_the_same_melody_is_found_later_and_under_noise_and_another_is_not(
    peer: Audiolocate,
) -> None:
    sound = melody(3)
    heard = peer.fingerprint(sound)
    rng = np.random.default_rng(4)
    noisy = sound + 0.05 * rng.standard_normal(sound.size).astype(np.float32)
    assert peer.similarity(heard, heard) == 1.0
    assert peer.similarity(heard, peer.fingerprint(sound[RATE_HZ // 4 :])) > 0.2
    assert peer.similarity(heard, peer.fingerprint(noisy)) > 0.2
    assert peer.similarity(heard, peer.fingerprint(melody(5))) < 0.05


@needs_library
def test_silence_and_a_click_are_like_nothing(peer: Audiolocate) -> None:
    sound = peer.fingerprint(melody(6))
    for seconds in (0.05, 2.0):
        nothing = peer.fingerprint(np.zeros(round(seconds * RATE_HZ), np.float32))
        assert nothing.hashes.size == 0
        assert peer.similarity(nothing, sound) == peer.similarity(sound, nothing) == 0.0
        assert peer.similarity(nothing, nothing) == 0.0


@needs_library
def test_both_can_be_used() -> None:
    assert [peer.name for peer in usable_peers()] == ["haitsma_kalker", "landmarks"]


def test_without_the_library_the_other_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landmarks, "LIBRARY", "audiolocate_that_is_not_there")
    assert [peer.name for peer in usable_peers()] == [HaitsmaKalker.name]
    with pytest.raises(EarmarkError, match="not installed"):
        Audiolocate()
