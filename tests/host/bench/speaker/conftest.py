"""Villages of people who hum, and what hears them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.host.bench.speaker.make_hums import DATA, choir
from tests.host.bench.speaker.toys import setup_of, village

from earmark_host.bench.speaker.ears import Checkpoint, Shipped
from earmark_host.bench.speaker.setup import DEVICE, PARENT, Setup


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """As in the bench's own processes; more would fight over the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def hums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six people."""
    return village(tmp_path_factory.mktemp("hums"))


@pytest.fixture
def setup(hums: Path, tmp_path: Path) -> Setup:
    """Four of the six people are known."""
    return setup_of(hums, tmp_path, 4)


@pytest.fixture
def newcomers(hums: Path, tmp_path: Path) -> Setup:
    """Nobody is known."""
    return setup_of(hums, tmp_path, 0)


@pytest.fixture(scope="session")
def singers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 24 people of whom the model knows 20."""
    return choir(tmp_path_factory.mktemp("singers"))


@pytest.fixture(scope="session")
def model() -> Path:
    """A whole model of 10 kB, with the network that it was made from."""
    return DATA / "hums"


@pytest.fixture
def real(singers: Path, model: Path, tmp_path: Path) -> Setup:
    """That model among those people."""
    parent = model / "arms" / "shipped.pt"
    ears = ((DEVICE, Shipped(model, parent)), (PARENT, Checkpoint(parent)))
    return Setup(singers, 5, tmp_path, ears)
