"""The checkpoints of a folder are sorted by what they are for."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from earmark.errors import EarmarkError
from earmark_host.bench.speaker.arms import Arms, is_parent, look
from earmark_host.speaker.checkpoint import load, save
from earmark_host.speaker.network import SpeakerNet


def other(path: Path, model: Path, arm: str) -> Path:
    """A network of the same shape that was never trained."""
    parent = load(model / "arms" / "shipped.pt")
    torch.manual_seed(1)
    net = SpeakerNet(parent.shape, len(parent.people)).eval()
    save(path, replace(parent, net=net, arm=arm))
    return path


def test_the_parent_is_known_by_what_it_says(model: Path, tmp_path: Path) -> None:
    assert is_parent(load(model / "arms" / "shipped.pt"), model)
    assert not is_parent(load(other(tmp_path / "x.pt", model, "standard")), model)


def test_the_folder_below_the_model_is_the_default(model: Path, tmp_path: Path) -> None:
    found = look(None, model)
    assert found.parent == model / "arms" / "shipped.pt"
    assert [each.arm.ear for each in found.compared] == ["shipped"]
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("arms"))
    assert look(None, bare) == Arms()


def test_arms_and_learning_are_told_by_their_names(model: Path, tmp_path: Path) -> None:
    shutil.copy(model / "arms" / "shipped.pt", tmp_path / "shipped.pt")
    other(tmp_path / "people-50.pt", model, "standard")
    other(tmp_path / "hat-1.pt", model, "hat10")
    found = look(tmp_path, model)
    assert found.parent == tmp_path / "shipped.pt"
    assert [each.arm.ear for each in found.learning] == ["people-50"]
    assert {each.arm.arm for each in found.compared} == {"standard", "hat10"}
    # Beside another of its arm the parent is none: its recipe may be its own.
    other(tmp_path / "standard-1.pt", model, "standard")
    assert [each.arm.ear for each in look(tmp_path, model).compared] == ["hat-1", "standard-1"]


def test_a_folder_that_is_none(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match="--arms"):
        look(tmp_path / "missing", model)
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(EarmarkError, match="no checkpoint"):
        look(tmp_path, model)
