"""Small networks that were not trained but have lived: their batch norms are full of numbers."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from tests.host.speaker.corpora import FRONT_END, SMALL, hum
from torch import nn

from earmark.speaker import FrontEnd
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import Split
from earmark_host.speaker.network import Shape, SpeakerNet
from earmark_host.speaker.schedule import FAST

PAPER_FRONT_END = FrontEnd(200, 256, 80, 10, 0.0, 8000.0, 0.97, 3e-4)

SHAPES = {
    "device": SMALL,
    "both": replace(SMALL, pooling="both", head="cosine", kernel=5, embedding=20),
    "mean": replace(SMALL, pooling="mean", channels=(8, 24, 12), pools=(0, 2)),
    "paper": Shape(
        PAPER_FRONT_END,
        channels=(12, 9),
        pools=(0,),
        window_frames=41,
        whole=True,
        first="conv2d",
        embedding=0,
    ),
}
"""Of each kind one."""

assert SMALL.front_end is FRONT_END


def voices(count: int, samples: int, seed: int = 0) -> torch.Tensor:
    """Hums of many pitches and levels, (count, samples)."""
    rng = np.random.default_rng(seed)
    made = [
        hum(rng.uniform(90.0, 500.0), samples / 16_000.0, rng) * 10.0 ** rng.uniform(-1.0, 0.5)
        for _ in range(count)
    ]
    return torch.from_numpy(np.stack(made)).clamp(-1.0, 1.0)


def lived(shape: Shape, people: int, seed: int = 0) -> SpeakerNet:
    """A network with drawn weights whose batch norms have heard voices."""
    return deepcopy(_lived(shape, people, seed))


@cache
def _lived(shape: Shape, people: int, seed: int) -> SpeakerNet:
    torch.manual_seed(seed)
    net = SpeakerNet(shape, people).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            module.momentum = 0.4
    # A gain below zero is rare, and would be easy to get wrong.
    next(m for m in net.modules() if isinstance(m, nn.BatchNorm1d)).weight.data[2] *= -1.0
    with torch.no_grad():
        for turn in range(6):
            net(voices(12, shape.window_samples, 100 + turn))
    return net.eval()


def trained(net: SpeakerNet, split: Split) -> Trained:
    return Trained(net, net.shape, split.people, "hat10", 3, FAST.described(), split.facts(), 6000)
