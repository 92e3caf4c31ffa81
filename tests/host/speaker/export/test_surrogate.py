"""The surrogate computes what the file computes, and has the gradient that the file lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.host.speaker.export.conftest import PEOPLE
from tests.host.speaker.export.nets import SHAPES, lived, voices

from earmark.errors import EarmarkError
from earmark.speaker import Network, SpeakerModel
from earmark_host.speaker.attacks import Batch, Pgd, examples
from earmark_host.speaker.export.surrogate import Surrogate
from earmark_host.speaker.victim import NetVictim

TINY = Path(__file__).parents[3] / "device/speaker/data/tiny"


def surrogate(files: dict[str, bytes], name: str) -> Surrogate:
    shape = SHAPES[name]
    return Surrogate(files[name], shape.front_end, shape.dimensions, PEOPLE)


@pytest.mark.parametrize("name", SHAPES)
def test_it_computes_what_the_file_computes(files: dict[str, bytes], name: str) -> None:
    shape, twin = SHAPES[name], surrogate(files, name)
    runner = Network(
        files[name], (shape.window_frames, shape.front_end.mels), shape.dimensions, PEOPLE
    )
    with torch.no_grad():
        features = twin.front(voices(60, shape.window_samples, 11)).transpose(1, 2)
        found = twin.outputs(features)
    said = [runner.run(window) for window in features.numpy()]
    for place, values in enumerate(found):
        wanted = np.stack([one[place] for one in said])
        step = np.diff(np.unique(wanted)).min()
        off = np.abs(values.numpy() - wanted) / step
        # Equal but for a frame here and there that was rounded to the other side.
        assert off.max() < 2.5
        assert (off < 0.5).mean() > 0.95
        assert torch.cosine_similarity(values, torch.from_numpy(wanted)).min() > 0.999
    same = found[1].argmax(1).numpy() == np.stack([one[1] for one in said]).argmax(1)
    assert same.mean() >= 0.95  # int8 logits are equal now and then


@pytest.mark.parametrize("name", SHAPES)
def test_its_gradient_is_like_that_of_the_float_network(files: dict[str, bytes], name: str) -> None:
    twin, net = surrogate(files, name), lived(SHAPES[name], PEOPLE)
    gradients = []
    for model in (twin, net):
        x = voices(6, SHAPES[name].window_samples, 13).requires_grad_()
        spread = model(x)
        (spread[:, 0] - spread[:, 1]).sum().backward()
        assert x.grad is not None
        gradients.append(x.grad)
    some = [(gradient != 0.0).float().mean() for gradient in gradients]
    assert some[0] > 0.7 * some[1]
    # Rounding flips a maximum or a ReLU here and there: alike, not equal.
    assert torch.cosine_similarity(*gradients).mean() > 0.5


def test_an_attack_on_it_transfers_to_the_file(files: dict[str, bytes]) -> None:
    shape, twin = SHAPES["device"], surrogate(files, "device")
    runner = Network(
        files["device"], (shape.window_frames, shape.front_end.mels), shape.dimensions, PEOPLE
    )

    def right(signals: torch.Tensor) -> float:
        features = twin.front(signals).transpose(1, 2).numpy()
        said = np.stack([runner.run(window)[1] for window in features])
        return float((said.argmax(1) == labels.numpy()).mean())

    signals = voices(20, shape.window_samples, 17)
    with torch.no_grad():
        labels = twin(signals).argmax(1)
    batch = Batch.of(list(signals.numpy()), labels.tolist())
    rng = np.random.default_rng(0)
    attacked = examples(Pgd(steps=10), NetVictim.of(twin), batch, 0.01, rng)
    noise = batch.x + 0.01 * torch.from_numpy(rng.choice([-1.0, 1.0], batch.x.shape)).float()
    assert right(noise) > right(attacked) + 0.3


def test_windows_are_those_of_the_device(files: dict[str, bytes]) -> None:
    twin = surrogate(files, "device")
    size = twin.window_samples
    assert twin.windows(torch.arange(float(size // 3)))[0, size // 3] == 0.0
    starts = twin.windows(torch.arange(2.5 * size))[:, 0]
    torch.testing.assert_close(starts, torch.tensor([0.0, round(0.75 * size), 1.5 * size]))


def test_a_file_of_other_sizes_or_operations_is_refused(files: dict[str, bytes]) -> None:
    shape = SHAPES["device"]
    with pytest.raises(EarmarkError, match="outputs"):
        Surrogate(files["device"], shape.front_end, 11, PEOPLE)
    # The device's tests have a network with a linear layer, which no export of ours has, and more.
    other = SpeakerModel.open(TINY)
    content = (TINY / "speaker.tflite").read_bytes()
    with pytest.raises(
        EarmarkError, match=r"has an operation [A-Z_]+, which the export does not make"
    ):
        Surrogate(content, other.front_end, 8, 5)
