"""The network: log-mel frames, convolutions over time, an embedding, and a logit for each person.

AudioNet of Jati et al. 2020 (arXiv 2008.07685) is one shape of it, :data:`PAPER_SHAPE`; the one
for the device, :data:`DEVICE_SHAPE`, has fewer frames a second and a longer embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.speaker import DEVICE, PAPER, PAPER_FLOORED, FrontEnd, window_starts
from earmark_host.speaker.frontend import TorchFrontEnd


@dataclass(frozen=True)
class Shape:
    """What a network is made of.

    Parameters
    ----------
    front_end : what it hears.
    channels : of each convolution over time.
    pools : after these convolutions (counted from 0) two frames become one, the larger.
    window_frames : log-mel frames that it is trained on at once.
    whole : a recording is heard at once, as in the paper, and not window by window.
    first : what comes before: "conv2d" is the paper's 5 x 5 filter over time and frequency with
        batch norm, "norm" only a batch norm of each mel band.
    kernel : length of the convolutions, odd.
    pooling : what is taken over time: the largest, the mean, or both.
    embedding : its dimensions; 0 takes what was pooled as it is, as the paper does.
    head : logits are "linear" in the embedding, or cosines times `scale`.
    scale : of the cosine head.
    teacher : dimensions of the teacher's embedding that a linear layer learns to tell from ours;
        0 without one.
    """

    front_end: FrontEnd
    channels: tuple[int, ...]
    pools: tuple[int, ...]
    window_frames: int
    whole: bool = False
    first: Literal["conv2d", "norm"] = "norm"
    kernel: int = 3
    pooling: Literal["max", "mean", "both"] = "max"
    embedding: int = 128
    head: Literal["linear", "cosine"] = "linear"
    scale: float = 30.0
    teacher: int = 0

    @property
    def window_samples(self) -> int:
        """Samples of one window."""
        return self.front_end.samples(self.window_frames)

    @property
    def least_samples(self) -> int:
        """Samples of the shortest signal that a frame of is left after all pooling."""
        return self.front_end.samples(1 << len(self.pools))

    @property
    def dimensions(self) -> int:
        """Of the embedding."""
        pooled = self.channels[-1] * (2 if self.pooling == "both" else 1)
        return self.embedding or pooled

    def described(self) -> dict[str, Any]:
        """As JSON values, for a checkpoint or a manifest."""
        return asdict(self)

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Shape:
        """From what :meth:`described` gave.

        Raises
        ------
        TypeError
            A part is missing or unknown.
        """
        values = dict(described)
        values["front_end"] = FrontEnd(**values["front_end"])
        values["channels"] = tuple(values["channels"])
        values["pools"] = tuple(values["pools"])
        return cls(**values)


PAPER_SHAPE = Shape(
    front_end=PAPER,
    channels=(64, 128, 128, 128, 128, 64, 32),
    pools=(0, 3, 5),
    window_frames=496,  # 5 s
    whole=True,
    first="conv2d",
    embedding=0,
)
"""AudioNet as the paper has it: 219k parameters at 251 people."""

PAPER_FLOORED_SHAPE = replace(PAPER_SHAPE, front_end=PAPER_FLOORED)
"""AudioNet that does not hear what is far below speech."""

DEVICE_SHAPE = Shape(
    front_end=DEVICE,
    channels=(64, 128, 128, 128, 128, 128, 64),
    pools=(0, 3, 5),
    window_frames=128,  # 2.064 s
    pooling="both",
)
"""The one for the device: half the frames a second, nothing above 5.8 kHz, 128 dimensions."""

SHAPES: Mapping[str, Shape] = {
    "device": DEVICE_SHAPE,
    "paper": PAPER_SHAPE,
    "paper-floored": PAPER_FLOORED_SHAPE,
}


class SpeakerNet(nn.Module):
    """A network of some shape for a number of people.

    Attributes
    ----------
    bf16 : compute the convolutions in bfloat16: faster where the processor can, for training.
        Everything that is measured is measured without.
    """

    def __init__(self, shape: Shape, people: int) -> None:
        super().__init__()
        self.shape = shape
        self.bf16 = False
        self.front = TorchFrontEnd(shape.front_end)
        mels = shape.front_end.mels
        self.first = (
            nn.Sequential(nn.Conv2d(1, 1, 5, padding=2), nn.BatchNorm2d(1))
            if shape.first == "conv2d"
            else nn.BatchNorm1d(mels)
        )
        layers: list[nn.Module] = []
        before = mels
        for place, channels in enumerate(shape.channels):
            layers.append(nn.Conv1d(before, channels, shape.kernel, padding=shape.kernel // 2))
            layers += [nn.BatchNorm1d(channels), nn.ReLU()]
            if place in shape.pools:
                layers.append(nn.MaxPool1d(2))
            before = channels
        self.body = nn.Sequential(*layers)
        pooled = before * (2 if shape.pooling == "both" else 1)
        self.embedding = nn.Linear(pooled, shape.embedding) if shape.embedding else nn.Identity()
        self.head = nn.Linear(shape.dimensions, people, bias=shape.head == "linear")
        self.project = nn.Linear(shape.dimensions, shape.teacher) if shape.teacher else None

    def embed(self, signal: Tensor) -> Tensor:
        """(batch, samples), at least :attr:`Shape.least_samples` -> (batch, E), of any length."""
        frames = self.front(signal)
        with torch.autocast(signal.device.type, torch.bfloat16, enabled=self.bf16):
            if self.shape.first == "conv2d":
                frames = self.first(frames[:, None])[:, 0]
            else:
                frames = self.first(frames)
            embedding: Tensor = self.embedding(self._pool(self.body(frames)))
        return embedding.float()

    def classify(self, embedding: Tensor) -> Tensor:
        """(batch, E) -> (batch, people): logits."""
        if self.shape.head == "cosine":
            cosines = functional.linear(
                functional.normalize(embedding), functional.normalize(self.head.weight)
            )
            return self.shape.scale * cosines
        logits: Tensor = self.head(embedding)
        return logits

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, samples) -> (batch, people): logits of one window, or of a whole recording."""
        return self.classify(self.embed(signal))

    def windows(self, signal: Tensor) -> Tensor:
        """A recording, (n,), cut into (K, samples): what the network hears of it.

        One shorter than a window is repeated until it fills one; of a longer one as few windows
        are taken as cover it, at equal distances. A shape with `whole` hears all of it at once.
        """
        least = self.shape.least_samples if self.shape.whole else self.shape.window_samples
        if signal.numel() < least:
            signal = signal.repeat(-(-least // signal.numel()))[:least]
        if self.shape.whole:
            return signal[None]
        starts = window_starts(signal.numel(), least)
        return torch.stack([signal[start : start + least] for start in starts])

    def recording(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """A recording, (n,) -> mean embedding over its windows, (E,), and mean logits, (people,).

        Of the embedding only the direction counts: scores are cosines.
        """
        embeddings = self.embed(self.windows(signal))
        return embeddings.mean(0), self.classify(embeddings).mean(0)

    def _pool(self, hidden: Tensor) -> Tensor:
        largest, mean = hidden.amax(-1), hidden.mean(-1)
        if self.shape.pooling == "both":
            return torch.cat([largest, mean], -1)
        return largest if self.shape.pooling == "max" else mean
