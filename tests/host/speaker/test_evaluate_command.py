"""``earmark-host speaker evaluate``: which clips, which models, and what it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.errors import EarmarkError
from earmark_host.speaker import checkpoint, clips, evaluate_command
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.evaluate import QUICK
from earmark_host.speaker.evaluate_command import evaluate, heldout, opened
from earmark_host.speaker.network import SpeakerNet

from .corpora import SMALL, librispeech

PEOPLE = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return librispeech(tmp_path_factory.mktemp("data"), people=PEOPLE)


def trained(data: Path, arm: str, seed: int = 1) -> Trained:
    torch.manual_seed(seed)
    part = clips.split(clips.people(data))
    net = SpeakerNet(SMALL, PEOPLE)
    return Trained(net, SMALL, part.people, arm, seed, {}, part.facts(), 5)


def saved(folder: Path, one: Trained) -> Path:
    path = folder / f"{one.arm}-{one.seed}.pt"
    checkpoint.save(path, one)
    return path


def test_models_are_named_by_arm_and_seed(data: Path, tmp_path: Path) -> None:
    one = saved(tmp_path, trained(data, "hat10"))
    two = saved(tmp_path, trained(data, "hat10", 2))
    assert list(opened([str(one), f"mine={two}"])) == ["hat10/1", "mine/2"]
    with pytest.raises(EarmarkError, match=r"two models are called hat10/1"):
        opened([str(one), str(one)])
    with pytest.raises(EarmarkError, match="no model"):
        opened([])


def test_models_must_know_the_same_people(data: Path, tmp_path: Path) -> None:
    one = trained(data, "hat10")
    other = replace(one, arm="pgd10", people=("a", "b", "c", "d"))
    with pytest.raises(EarmarkError, match="different people"):
        opened([str(saved(tmp_path, one)), str(saved(tmp_path, other))])


def test_clips_are_held_out_and_taken_person_by_person(data: Path) -> None:
    one = trained(data, "hat10")
    part = clips.split(clips.people(data))
    held = heldout(data, {"hat10/1": one}, None)
    assert sorted(held.labels) == list(range(PEOPLE))
    assert [part.people[label] for label in held.labels] == [key.split("/")[0] for key in held.keys]
    tests = {clip.key for clip in part.test}
    assert set(held.keys) <= tests
    assert not set(held.keys) & {clip.key for clip in part.train}
    assert all(signal.size >= SMALL.window_samples for signal in held.signals)
    more = heldout(data, {"hat10/1": one}, PEOPLE + 2)
    assert more.keys[:PEOPLE] == held.keys
    assert more.labels[PEOPLE:] == held.labels[:2]
    by = {clip.key: clip for clip in part.test}
    assert np.array_equal(held.signals[1][:4800], clips.load(by[held.keys[1]])[:4800])


def test_few_clips_are_not_those_of_the_first_names(tmp_path: Path) -> None:
    corpus = librispeech(tmp_path, people=9, utterances=8)
    part = clips.split(clips.people(corpus))
    net = SpeakerNet(SMALL, 9)
    one = Trained(net, SMALL, part.people, "hat10", 1, {}, part.facts(), 5)
    held = heldout(corpus, {"hat10/1": one}, 4)
    assert len(set(held.labels)) == 4
    assert max(held.labels) >= 4


def test_a_clip_that_one_of_the_models_was_trained_on_is_left_out(data: Path) -> None:
    one, other = trained(data, "hat10"), trained(data, "pgd10")
    gone = one.split["test_clips"][0]
    kept = [key for key in other.split["test_clips"] if key != gone]
    other = replace(other, split={**other.split, "test_clips": kept})
    held = heldout(data, {"hat10/1": one, "pgd10/1": other}, 10_000)
    assert set(held.keys) == set(kept)


def test_another_corpus_is_refused(tmp_path: Path, data: Path) -> None:
    one = trained(data, "hat10")
    strange = replace(one, split={**one.split, "test_clips": ["nobody/0/none.flac"]})
    with pytest.raises(EarmarkError, match="trained on with --data"):
        heldout(data, {"hat10/1": strange}, None)


def test_the_whole_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = replace(
        QUICK,
        at=(2, 4),
        iterations=(2, 4),
        sweep=(0.002, 0.1),
        sweep_steps=3,
        restart_steps=3,
        queries=55,
        sample=2,
        auto_targets=1,
        auto_steps=2,
    )
    monkeypatch.setattr(evaluate_command, "QUICK", tiny)
    before = torch.get_num_threads()
    models = [str(saved(tmp_path, trained(data, arm))) for arm in ("standard", "hat10")]
    out, text = tmp_path / "report.json", tmp_path / "report.md"
    evaluate(data, models, out, text, 3, True, 6, tmp_path / "plots")
    torch.set_num_threads(before)
    report = json.loads(out.read_text())
    assert report["bench"] == "speaker evaluate"
    assert report["seed"] == 3
    assert report["data"]["clips"] == 6
    assert report["data"]["disjoint"] == "session"
    assert report["conditions"]["plan"]["queries"] == 55
    assert {row["arm"] for row in report["tables"]["worst"]} == {"standard", "hat10"}
    assert "sessions that nobody was trained on" in text.read_text()
    assert (tmp_path / "plots" / "speaker_eps.png").exists()
    assert "hat10_worst" in capsys.readouterr().out


def test_a_report_without_a_place_is_found_out_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="missing or cannot be written"):
        evaluate(tmp_path, ["none.pt"], tmp_path / "no" / "r.json", None, 1, True, None, None)
