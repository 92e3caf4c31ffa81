"""What is compared is benign, different recordings, and as the device compares them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from earmark.audio import load_room
from earmark.errors import EarmarkError
from earmark.memory import NeighboursSettings
from earmark.memory.entries import MAX_EXEMPLARS
from earmark.memory.neighbours import Fingerprint, fingerprint, likeness
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory import benign
from earmark_host.memory.benign import (
    REPEATS,
    WORD_HEARINGS,
    Pairs,
    TakeSet,
    alike_at_any_speed,
    household_means,
    others,
    phrase_sets,
    pool,
    repeat_likenesses,
    takes,
    word_sets,
)
from earmark_host.memory.material import Material

WORDS = ("go", "up", "left", "right", "one", "two")
SPEEDS = NeighboursSettings().speeds_percent


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(seconds: float, seed: int = 0) -> Signal:
    return rng(seed).normal(0.0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Short noises in the place of words: each file another one."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = [
        *((f"s{p}{n}.wav", "speech", f"reader {p}", "") for p in range(6) for n in range(6)),
        *(
            (f"c{p}{w}{n}.wav", "command", f"user {p}", w)
            for p in "ab"
            for w in WORDS
            for n in "12"
        ),
        ("c3.wav", "command", "user a", "go"),
        ("once.wav", "command", "user c", "go"),
    ]
    lines = ["path,role,speaker,label", *(",".join(row) for row in rows)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for index, (path, *_) in enumerate(rows):
        soundfile.write(folder / path, noise(0.5, index), RATE_HZ)
    return Material.of(Corpus.open(folder), None, [load_room("bedroom")])


def test_a_copy_at_another_speed_is_alike() -> None:
    one = fingerprint(noise(2.0))
    faster = one.at_speed(1.03)
    assert likeness(faster, one) < 0.4
    assert alike_at_any_speed(faster, one, SPEEDS) > 0.8
    assert alike_at_any_speed(one, one, ()) == 1.0


def test_pairs_know_the_smaller_fingerprint_and_leave_out_sparse_ones() -> None:
    long, short = fingerprint(noise(2.0)), fingerprint(noise(0.5, 1))
    few = Fingerprint(short.frames[:5], short.bins[:5])
    pairs = Pairs.of([(long, short), (long, few), (short, short)])
    assert pairs.peaks.tolist() == [len(short)] * 2
    assert pairs.likeness[0] < 0.5
    assert pairs.likeness[1] == 1.0
    both = Pairs.join([pairs, pairs])
    assert both.peaks.size == both.likeness.size == 4
    assert Pairs.of([]).peaks.size == 0


def test_words_with_two_takes_by_one_person(material: Material) -> None:
    sets = word_sets(material)
    assert len(sets) == 12
    assert Counter(len(each.words[0]) for each in sets) == {2: 11, 3: 1}
    assert all({clip.speaker for clip in each.words[0]} == {each.person} for each in sets)


def test_phrases_are_one_persons_different_words(material: Material) -> None:
    sets = phrase_sets(material, 10, rng())
    assert Counter(len(each.words) for each in sets) == dict.fromkeys(range(2, 7), 2)
    for each in sets:
        clips = [clip for word in each.words for clip in word]
        assert {clip.speaker for clip in clips} == {each.person}
        assert len({word[0].label for word in each.words}) == len(each.words)
        assert len(set(clips)) == len(clips)


def test_nobody_says_enough_words(material: Material) -> None:
    few = {label: material.commands[label] for label in WORDS[:5]}
    with pytest.raises(EarmarkError, match="6 commands"):
        phrase_sets(replace(material, commands=few), 1, rng())


def test_takes_are_paired_across_recordings_only(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = next(each for each in word_sets(material) if len(each.words[0]) == 3)
    dry, heard = takes(material, three, rng())
    assert dry.peaks.size == 3
    assert heard.peaks.size == 3 * WORD_HEARINGS**2
    assert dry.likeness.max() < 0.6, "a recording with itself would be 1"
    assert heard.likeness.max() < 0.6
    twice = TakeSet("user a", ((three.words[0][0],) * 2,))
    same, again = takes(material, twice, rng())
    assert same.likeness.tolist() == [1.0], "dry, nothing is between two equal recordings"
    assert 0.3 < again.likeness.min() < again.likeness.max() < 1.0, "in a room, noise is"


def test_a_phrase_has_all_its_words(material: Material) -> None:
    each = phrase_sets(material, 5, rng())[-1]
    dry, _ = takes(material, each, rng())
    assert len(each.words) == 6
    assert 115 <= dry.peaks[0] <= 140, "six words of 0.5 s, 40 peaks a second"


def test_others_are_not_one_persons_phrase(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[tuple[Clip, Clip]]] = []

    def compared(pairs: list[tuple[Clip, Clip]]) -> None:
        seen.append(pairs)

    monkeypatch.setattr(benign, "heard", lambda _material, clip, *_: clip)
    monkeypatch.setattr(benign, "fingerprint", lambda clip: clip)
    monkeypatch.setattr(Pairs, "of", compared)
    assert [name for name, _ in others(material, 200, rng())] == [
        "same_phrase_others",
        "different_sentences",
    ]
    phrases, sentences = seen
    assert phrases
    assert all(a.label == b.label and a.speaker != b.speaker for a, b in phrases)
    assert len(sentences) == 200
    assert all(a != b and a.role == b.role == "speech" for a, b in sentences)


def test_a_pool_hears_each_recording_once_and_with_each_noise(material: Material) -> None:
    found = pool(material, "speech", 20, (None, 25.0), rng())
    assert len(found.owners) == 20
    assert {name.split()[0] for name in found.owners} == {"speaker"}
    clean, noisy = found.fingerprints[None], found.fingerprints[25.0]
    assert len(clean) == len(noisy) == 20
    assert any(a.to_bytes() != b.to_bytes() for a, b in zip(clean, noisy, strict=True))
    assert len({mark.to_bytes() for mark in clean}) == 20


def test_the_second_ear_says_nothing_to_the_first_queries(material: Material) -> None:
    means = household_means(material, 30, 75, rng())
    assert means
    assert all(0.0 <= mean < 0.1 for values in means.values() for mean in values)
    deeper = household_means(material, 30, 90, rng())
    count, fewer = (sum(map(len, each.values())) for each in (means, deeper))
    assert 0 < fewer < count < 60


def test_a_repeat_is_much_more_alike_than_another_take(material: Material) -> None:
    found = repeat_likenesses("routine_playback", material, rng())
    assert found.shape == (REPEATS - MAX_EXEMPLARS,)
    assert np.median(found) > 0.6
