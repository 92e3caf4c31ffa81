"""A network comes back from its file as it was, and from nothing else."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from earmark.errors import EarmarkError
from earmark_host.speaker import checkpoint
from earmark_host.speaker.checkpoint import Trained, load, load_resume, save
from earmark_host.speaker.network import SpeakerNet

from .corpora import SMALL


@pytest.fixture
def trained() -> Trained:
    torch.manual_seed(3)
    return Trained(
        net=SpeakerNet(SMALL, 2),
        shape=SMALL,
        people=("Ann", "Bob"),
        arm="hat10",
        seed=7,
        recipe={"steps": 10},
        split={"disjoint": "session"},
        steps=4,
    )


def test_it_comes_back_as_it_was(tmp_path: Path, trained: Trained) -> None:
    path = tmp_path / "model.pt"
    save(path, trained)
    found = load(path)
    assert replace(found, net=trained.net) == trained
    assert not found.net.training
    signal = 0.1 * torch.randn(2, SMALL.window_samples)
    assert torch.equal(found.net(signal), trained.net.eval()(signal))
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_what_it_began_with_comes_back_too(tmp_path: Path, trained: Trained) -> None:
    assert trained.parent is None
    later = replace(trained, steps=9, start=replace(trained, start=trained.about).about)
    save(tmp_path / "model.pt", later)
    parent = load(tmp_path / "model.pt").parent
    assert parent is not None
    assert (parent.steps, parent.people, parent.shape) == (4, trained.people, SMALL)
    assert parent.parent is not None
    assert parent.parent.parent is None


def test_what_training_needs_comes_back_too(tmp_path: Path, trained: Trained) -> None:
    state = {"optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}, "rate": 0.1}}
    save(tmp_path / "last.pt", trained, state)
    _, found = load_resume(tmp_path / "last.pt")
    assert torch.equal(found["optimizer"]["state"][0]["momentum_buffer"], torch.ones(3))
    save(tmp_path / "model.pt", trained)
    with pytest.raises(EarmarkError, match=r"no training state.*last\.pt"):
        load_resume(tmp_path / "model.pt")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("it ran",))


def test_code_in_a_file_is_not_run(
    tmp_path: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    torch.save({"format": 1, "about": Evil()}, path)
    with pytest.raises(EarmarkError, match="no checkpoint"):
        load(path)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(EarmarkError, match="no checkpoint"):
        load(path)
    assert capsys.readouterr().out == ""


def test_what_is_no_checkpoint_is_refused(
    tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(EarmarkError, match="cannot be read"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(EarmarkError, match="no checkpoint"):
        load(path)
    torch.save({"format": 2}, path)
    with pytest.raises(EarmarkError, match="format 1"):
        load(path)
    save(path, replace(trained, people=("Ann", "Bob", "Eve")))
    with pytest.raises(EarmarkError, match="does not hold"):
        load(path)
    save(path, trained)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(EarmarkError, match="no checkpoint"):
        load(path)
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 100)
    with pytest.raises(EarmarkError, match="larger"):
        load(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, trained: Trained) -> None:
    with pytest.raises(EarmarkError, match=r"nowhere.*folder that exists"):
        save(tmp_path / "nowhere" / "model.pt", trained)
