"""Folding batch norm into convolutions changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.host.speaker.export.nets import SHAPES, lived, voices
from torch import nn

from earmark_host.speaker.export.fold import fold, outputs


@pytest.mark.parametrize("name", SHAPES)
def test_the_plain_network_says_the_same(name: str) -> None:
    net = lived(SHAPES[name], 5)
    signals = voices(8, net.shape.window_samples)
    with torch.no_grad():
        embedding, logits = outputs(fold(net), net.front(signals).transpose(1, 2))
        wanted = net.embed(signals)
        said = net.classify(wanted)
    torch.testing.assert_close(embedding, wanted, rtol=1e-4, atol=1e-5)
    if net.shape.head == "cosine":  # the same but for the length of the embedding and the scale
        logits = net.shape.scale * logits / embedding.norm(dim=1, keepdim=True)
    torch.testing.assert_close(logits, said, rtol=1e-4, atol=1e-4)


def test_what_stands_before_the_window_is_the_mean_frame_and_not_zero() -> None:
    net = lived(SHAPES["device"], 5)
    signals = voices(8, net.shape.window_samples)
    plain = fold(net)
    with torch.no_grad():
        features = net.front(signals).transpose(1, 2)
        wanted = net.embed(signals)
        without = outputs(replace(plain, edge=np.zeros_like(plain.edge)), features)[0]
    assert (without - wanted).abs().max() > 1e-3


def test_a_band_that_is_not_listened_to_has_an_edge_that_int8_can_hold() -> None:
    net = lived(SHAPES["device"], 5)
    norm = next(m for m in net.modules() if isinstance(m, nn.BatchNorm1d))
    norm.weight.data[3] = 0.0
    plain = fold(net)
    assert np.isfinite(plain.edge).all()
    assert np.abs(plain.edge).max() < 1e3


def test_other_layers_are_refused() -> None:
    net = lived(SHAPES["device"], 5)
    net.body[1], net.body[2] = net.body[2], net.body[1]
    with pytest.raises(ValueError, match="in order"):
        fold(net)
    net.body = nn.Sequential(nn.Conv1d(12, 12, 3, padding=1))
    with pytest.raises(ValueError, match="within a layer"):
        fold(net)
