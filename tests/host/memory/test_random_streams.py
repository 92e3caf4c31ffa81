"""Random streams: what is in them, how it is heard, and their similarities."""

from __future__ import annotations

import csv
from collections import Counter
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.audio import load_room
from earmark.memory.paper import PaperFingerprint, cosine
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory import random_streams
from earmark_host.memory.hearing import Ear
from earmark_host.memory.material import LOUDSPEAKER, PERSON, Material
from earmark_host.memory.random_streams import (
    MUSIC_S,
    heard,
    recordings,
    similarities,
    windows,
)

ROWS = [
    ("s/ann.wav", "speech", "ann", "", 1.0),
    ("s/bob.wav", "speech", "bob", "", 1.5),
    ("s/unnamed.wav", "speech", "", "", 1.0),
    ("c/ann.wav", "command", "ann", "go", 0.6),
    ("c/bob.wav", "command", "bob", "go", 0.6),
    ("c/once.wav", "command", "bob", "up", 0.6),
    ("w/1.wav", "wakeword", "", "alexa", 0.6),
    ("w/2.wav", "wakeword", "", "alexa", 0.6),
    ("m/long.wav", "music", "", "", 11.0),
    ("m/ten.wav", "music", "", "", 10.0),
    ("m/nine.wav", "music", "", "", 9.99),
    ("m/four.wav", "music", "", "", 4.0),
    ("m/short.wav", "music", "", "", 3.99),
    ("n/rain.wav", "noise", "", "rain", 2.0),
]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(1)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "role", "speaker", "label"])
        for path, role, speaker, label, seconds in ROWS:
            writer.writerow([path, role, speaker, label])
            (folder / path).parent.mkdir(exist_ok=True)
            sound = 0.1 * rng.standard_normal(round(seconds * RATE_HZ))
            soundfile.write(folder / path, sound, RATE_HZ, subtype="FLOAT")
    return Material.of(Corpus.open(folder), None, [load_room("bedroom")])


def clip(material: Material, path: str) -> Clip:
    found = {each.path: each for each, _ in [*_of(material, "speech"), *_of(material, "music")]}
    return found[path]


def _of(material: Material, carrier: Any, seed: int = 0) -> list[tuple[Clip, float]]:
    return recordings(material, carrier, np.random.default_rng(seed))


def test_speech_is_each_sentence_command_and_wake_word_once(material: Material) -> None:
    found = _of(material, "speech")
    assert {start_s for _, start_s in found} == {0.0}
    # A label with one take is no phrase.
    assert sorted(each.path for each, _ in found) == [
        "c/ann.wav",
        "c/bob.wav",
        "s/ann.wav",
        "s/bob.wav",
        "w/1.wav",
        "w/2.wav",
    ]


def test_music_is_every_whole_slice(material: Material) -> None:
    assert sorted((each.path, start_s) for each, start_s in _of(material, "music")) == [
        ("m/four.wav", 0.0),
        *(("m/long.wav", start_s) for start_s in (0.0, 2.0, 4.0, 6.0)),
        *(("m/nine.wav", start_s) for start_s in (0.0, 2.0, 4.0)),
        *(("m/ten.wav", start_s) for start_s in (0.0, 2.0, 4.0, 6.0)),
    ]


def test_the_order_is_drawn(material: Material) -> None:
    for carrier in ("speech", "music"):
        orders = {tuple(_of(material, carrier, seed)) for seed in range(5)}
        assert len(orders) > 1
        assert _of(material, carrier, 3) == _of(material, carrier, 3)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Signal, str, Any]]:
    """What is said in the room: sound, place, noise."""
    seen: list[tuple[Signal, str, Any]] = []

    def hear(self: Ear, dry: Signal, place: str, rng: Any, *, noise: Any) -> Signal:
        seen.append((dry, place, noise))
        return dry

    monkeypatch.setattr(random_streams.Ear, "hear", hear)
    return seen


def test_music_comes_from_a_loudspeaker_four_seconds_of_it(
    material: Material, asked: list[tuple[Signal, str, Any]]
) -> None:
    piece = clip(material, "m/long.wav")
    heard(material, piece, 2.0, np.random.default_rng(1))
    [(sound, place, noise)] = asked
    assert place == LOUDSPEAKER
    np.testing.assert_array_equal(sound, material.load(piece)[2 * RATE_HZ : 6 * RATE_HZ])
    assert sound.size == MUSIC_S * RATE_HZ
    np.testing.assert_array_equal(noise, material.load(material.noises[0]))


def test_people_speak_from_where_people_are(
    material: Material, asked: list[tuple[Signal, str, Any]]
) -> None:
    said = clip(material, "s/bob.wav")
    rng = np.random.default_rng(1)
    for _ in range(40):
        heard(material, said, 0.0, rng)
    room = material.rooms[0]
    assert {place for _, place, _ in asked} == {n for n in room.sources if n.startswith(PERSON)}
    assert all(np.array_equal(sound, material.load(said)) for sound, _, _ in asked)


def test_it_is_heard_in_the_room(material: Material) -> None:
    said = clip(material, "c/ann.wav")
    found = heard(material, said, 0.0, np.random.default_rng(1))
    assert found.dtype == np.float32
    assert found.size > material.load(said).size
    np.testing.assert_array_equal(found, heard(material, said, 0.0, np.random.default_rng(1)))


def masks(count: int, seed: int = 2) -> list[PaperFingerprint]:
    """Random ones of few places, and one of none."""
    rng = np.random.default_rng(seed)
    drawn = [
        PaperFingerprint(
            np.sort(rng.choice([*range(20), 63_000], rng.integers(1, 9), replace=False)).astype(
                np.uint16
            )
        )
        for _ in range(count - 1)
    ]
    return [*drawn, PaperFingerprint(np.zeros(0, np.uint16))]


def test_similarities_are_the_cosines_of_all_pairs() -> None:
    many = masks(30)
    found = similarities(many)
    wanted = [[cosine(one, other) for other in many] for one in many]
    assert found.shape == (30, 30)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def numbered(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Pairs that tell which they are."""
    return np.arange(count * count, dtype=np.float32).reshape(count, count)


def test_a_window_is_a_query_and_others_no_recording_twice() -> None:
    queries, similar = windows(numbered(9), 5, 300, np.random.default_rng(3))
    assert queries.shape == (300,)
    assert similar.shape == (300, 5)
    rows, columns = np.divmod(similar.astype(int), 9)
    assert np.all(rows == queries[:, None])
    for query, others in zip(queries.tolist(), columns.tolist(), strict=True):
        assert len({query, *others}) == 6


def test_every_recording_is_as_often_anywhere() -> None:
    queries, similar = windows(numbered(6), 4, 6_000, np.random.default_rng(4))
    columns = similar.astype(int) % 6
    for drawn in (queries, *columns.T):
        counts = Counter(drawn.tolist())
        # 1,000 each; five standard deviations of a sixth of 6,000.
        assert all(abs(counts[each] - 1000) < 5 * 29 for each in range(6))
    # The pairs of the query and the oldest of its memory, too: 30 of 200.
    pairs = Counter(zip(queries.tolist(), columns[:, 0].tolist(), strict=True))
    assert len(pairs) == 30
    assert all(abs(count - 200) < 5 * 14 for count in pairs.values())


@pytest.mark.parametrize("count", [1, 7, 8, 21])
def test_any_number_of_windows_is_drawn_in_chunks(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(random_streams, "CHUNK", 7)
    queries, similar = windows(numbered(5) + 1.0, 4, count, np.random.default_rng(5))
    assert queries.shape == (count,)
    assert np.all(similar >= 1.0)
    assert np.all((queries >= 0) & (queries < 5))
    again = windows(numbered(5) + 1.0, 4, count, np.random.default_rng(5))
    np.testing.assert_array_equal(again[1], similar)


def test_a_memory_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(ValueError, match="5 recordings do not fill a memory of 5"):
        windows(numbered(5), 5, 10, np.random.default_rng(6))
    assert windows(numbered(6), 5, 10, np.random.default_rng(6))[1].shape == (10, 5)
