"""From a checkpoint to a folder that the device's own code opens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.host.speaker.corpora import SMALL, librispeech
from tests.host.speaker.export.nets import lived, trained, voices

from earmark.errors import EarmarkError
from earmark.speaker import SpeakerModel
from earmark_host.speaker import checkpoint, export_command
from earmark_host.speaker.clips import people, split
from earmark_host.speaker.export import export as exporting
from earmark_host.speaker.export.export import Options, export
from earmark_host.speaker.export.int8 import Int8Victim
from earmark_host.speaker.export.surrogate import Surrogate
from earmark_host.speaker.victim import NetVictim

FILES = {"speaker.tflite", "speaker.npz", "speaker.json", "README.md"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return librispeech(tmp_path_factory.mktemp("corpus"))


def learned(corpus: Path, embedding: int = 8) -> checkpoint.Trained:
    return trained(lived(replace(SMALL, embedding=embedding), 3), split(people(corpus)))


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    checkpoint.save(folder / "model.pt", learned(corpus))
    decision = folder / "decision.json"
    decision.write_text('{"offset": 0.5}', encoding="utf-8")
    out = folder / "models"
    export_command.run(folder / "model.pt", corpus, out, representative=40, decision=decision)
    return out


def test_a_device_opens_what_was_exported(model: Path, corpus: Path) -> None:
    assert {path.name for path in model.iterdir()} == FILES
    opened = SpeakerModel.open(model)
    assert opened.name == "earmark-speaker-hat10"
    assert opened.front_end == SMALL.front_end
    assert opened.window_samples == SMALL.window_samples
    assert opened.cohort.shape == (3, 8)
    assert opened.decision == {"offset": 0.5}
    assert json.loads((model / "speaker.json").read_text())["tolerance_cosine"] == 0.99
    assert "3 people" in (model / "README.md").read_text(encoding="utf-8")


def test_it_says_what_the_float_network_says(model: Path, corpus: Path) -> None:
    opened, net = SpeakerModel.open(model), learned(corpus).net
    for signal in voices(5, round(2.3 * SMALL.window_samples), 3):
        embedding, logits = opened.outputs(signal.numpy())
        with torch.no_grad():
            wanted = net.recording(signal)
        assert torch.cosine_similarity(torch.from_numpy(embedding), wanted[0], dim=0) > 0.99
        assert torch.cosine_similarity(torch.from_numpy(logits), wanted[1], dim=0) > 0.99


def test_the_file_and_its_surrogate_are_victims_that_agree(model: Path) -> None:
    file, twin = Int8Victim.open(model), NetVictim.of(Surrogate.open(model))
    signals = voices(6, round(2.3 * SMALL.window_samples), 5)
    samples = [signals.shape[1], 500, SMALL.window_samples, 4000, 5000, 6000]
    said, thought = file.logits(signals, samples), twin.logits(signals, samples)
    assert torch.cosine_similarity(said, thought).min() > 0.999
    assert not file.differentiable
    assert file.asked == 6
    wanted = SpeakerModel.open(model).outputs(np.rint(signals[3, :4000].numpy() * 32768) / 32768)
    np.testing.assert_array_equal(said[3], wanted[1])


def test_the_file_hears_16_bit_audio(model: Path) -> None:
    file = Int8Victim.open(model)
    steps = torch.round(voices(1, SMALL.window_samples, 8) * 32768.0) / 32768.0
    # Less than half a step is lost, and what is louder than full scale is cut off.
    torch.testing.assert_close(file.logits(steps + 0.4 / 32768.0), file.logits(steps))
    loud = torch.full((1, SMALL.window_samples), 3.0)
    torch.testing.assert_close(file.logits(loud), file.logits(loud / 3.0))


def test_what_a_device_could_not_use_is_not_written(corpus: Path, tmp_path: Path) -> None:
    options = Options(corpus, tmp_path / "out", "x", representative=10)
    with pytest.raises(EarmarkError, match="apart by their sizes"):
        export(learned(corpus, embedding=3), options)
    assert not options.out.exists()


def test_limits_are_kept(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    content = (model / "speaker.tflite").read_bytes()
    monkeypatch.setattr(exporting, "to_tflite", lambda network, heard: content)
    options = Options(corpus, tmp_path / "out", "x", representative=10)
    monkeypatch.setattr(exporting, "MAX_NETWORK_BYTES", len(content) - 1)
    with pytest.raises(EarmarkError, match="fewer channels"):
        export(learned(corpus), options)
    monkeypatch.setattr(exporting, "MAX_NETWORK_BYTES", len(content))
    other = trained(lived(SMALL, 3, seed=1), split(people(corpus)))
    with pytest.raises(EarmarkError, match="mean cosine"):
        export(other, options)  # the file is of another network
    assert not options.out.exists()
    (tmp_path / "file").touch()
    with pytest.raises(EarmarkError, match="cannot be written"):
        export(learned(corpus), replace(options, out=tmp_path / "file"))
