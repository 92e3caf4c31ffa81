"""An attack begins where nobody hears its target yet, with sounds that no recogniser has learnt."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from earmark.audio import load_room
from earmark.demo.clips import ClipKind, load_clips
from earmark.errors import EarmarkError
from earmark.memory import CarrierKind, MemorySettings, shipped
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Corpus
from earmark_host.memory import staging
from earmark_host.memory.fold import fold
from earmark_host.memory.material import Material
from earmark_host.memory.staging import Attempt, ChannelName, Gate, Scene, attempt, keyword
from earmark_host.memory.victims import OTHER

SENTENCES = [clip.signal for clip in load_clips().all(ClipKind.COMMAND)]
ROOM = load_room("bedroom")
RNG = np.random.default_rng(0)
TUNE = RNG.normal(0.0, 0.1, 7 * RATE_HZ).astype(np.float32)


class Ears:
    """Hears "b" where a signal is louder than a limit, "a" in whatever is softer."""

    name = "ears"
    labels = ("a", "b", OTHER)

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.heard: list[Signal] = []

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        self.heard.append(signal)
        over = float(np.sqrt(np.mean(np.square(signal)))) - self.limit
        return np.array([-over, over, -1.0])


def corpus(folder: Path, clips: Sequence[tuple[str, str, str, str, Signal]]) -> Corpus:
    """Write clips given as path, role, speaker, label and signal."""
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "role", "speaker", "label"])
        for path, role, speaker, label, signal in clips:
            soundfile.write(folder / path, signal, RATE_HZ)
            rows.writerow([path, role, speaker, label])
    return Corpus.open(folder)


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """Sentences by ann (calibrate), bob and eve (held back), one of them too short; music."""
    short = SENTENCES[0][: round(1.2 * RATE_HZ)]
    rows = [
        ("ann.wav", "speech", "ann", "", SENTENCES[0]),
        ("bob.wav", "speech", "bob", "", SENTENCES[1]),
        ("eve.wav", "speech", "eve", "", short),
        ("n.wav", "noise", "", "", TUNE[:RATE_HZ]),
        *((f"tune{'x' * n}.wav", "music", "", "", TUNE) for n in range(6)),
        ("rest.wav", "music", "", "", TUNE * np.float32(1e-4)),
    ]
    return Material.of(corpus(tmp_path, rows), None, [ROOM])


def begun(
    material: Material,
    victim: Ears,
    carrier: CarrierKind = "speech",
    channel: ChannelName = "digital",
    seed: int = 0,
) -> Attempt:
    return attempt(
        Scene("keyword", carrier, channel), victim, material, np.random.default_rng(seed)
    )


def test_a_carrier_is_long_enough_and_of_the_fold_that_no_recogniser_learns_from(
    material: Material,
) -> None:
    # The target is always the word that is not heard: "b" never is.
    for seed in range(5):
        found = begun(material, Ears(limit=1.0), seed=seed)
        assert (found.clip.path, found.target) == ("bob.wav", "b")


def test_music_is_cut_to_four_seconds_and_not_taken_where_it_rests(material: Material) -> None:
    for seed in range(10):
        found = begun(material, Ears(limit=1.0), "music", seed=seed)
        assert found.carrier.size == 4 * RATE_HZ
        assert found.clip.path != "rest.wav"
        assert fold(found.clip) == "held_back"


@pytest.mark.parametrize(("limit", "target"), [(0.0, "a"), (1.0, "b")])
def test_what_is_heard_already_is_no_target(limit: float, target: str, material: Material) -> None:
    assert all(
        begun(material, Ears(limit), "music", seed=seed).target == target for seed in range(6)
    )


def test_that_there_is_no_carrier_is_said(tmp_path: Path) -> None:
    rows = [("ann.wav", "speech", "ann", "", SENTENCES[0])]
    only_ann = Material.of(corpus(tmp_path, rows), None, [ROOM])
    with pytest.raises(EarmarkError, match=r"no carrier \(speech\)"):
        begun(only_ann, Ears(1.0))
    with pytest.raises(EarmarkError, match=r"no carrier \(music\)"):
        begun(only_ann, Ears(1.0), "music")


def test_over_the_air_a_query_is_heard_at_its_noise(material: Material) -> None:
    names = {
        begun(material, Ears(1.0), channel="ota10", seed=seed).channel.name for seed in range(8)
    }
    assert len(names) > 1
    assert all(name.startswith("bedroom/") and name.endswith("at 10 dB") for name in names)
    assert not any("loudspeaker" in name for name in names)


def test_a_run_ends_at_its_win_or_its_budget(material: Material) -> None:
    rng = np.random.default_rng(1)
    lost = begun(material, Ears(limit=1.0)).run("simba", 9, rng)
    assert (len(lost.queries), lost.won_at) == (9, None)
    assert lost.facts["attack"] == "simba"
    level = float(np.sqrt(np.mean(np.square(begun(material, Ears(1.0)).carrier))))
    won = begun(material, Ears(limit=1.02 * level)).run("nes", 200, rng)
    assert won.won_at == len(won.queries) - 1
    assert won.facts["target"] == "b"


def test_a_gate_withholds_the_sixth_of_a_series_from_the_recogniser(material: Material) -> None:
    gate = Gate(MemorySettings(folder=None), shipped())
    victim = Ears(limit=1.0)
    found = begun(material, victim)
    victim.heard.clear()
    found.run("simba", 10, np.random.default_rng(0), gate)
    assert [each.alarm for each in gate.found] == [False] * 5 + [True] * 5
    assert len(victim.heard) == 5


def test_the_keyword_model_learns_all_words_and_the_rest_of_one_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = TUNE[:RATE_HZ]
    rows = [
        ("w1.wav", "command", "ann", "go", said),
        ("w2.wav", "command", "bob", "stop", said),
        ("w3.wav", "command", "bob", "", said),
        ("s1.wav", "speech", "ann", "", np.tile(said, 12)),
        ("s2.wav", "speech", "bob", "", said),
        *((f"s{n}.wav", "speech", "cy", "", said) for n in range(3, 7)),
    ]
    taught: list[tuple[int, str, str]] = []
    monkeypatch.setattr(
        staging,
        "train",
        lambda clips, seed: taught.extend((x.size, label, who) for x, label, who in clips),
    )
    learnt = corpus(tmp_path, rows)
    keyword(learnt, 0)
    second, ten = RATE_HZ, 10 * RATE_HZ
    assert sorted(taught) == sorted(
        [(second, "go", "ann"), (second, "stop", "bob"), (ten, OTHER, "ann")]
        + [(second, OTHER, "cy")] * 4
    )
    taught.clear()
    keyword(learnt, 0, 1)
    assert len(taught) == 1
