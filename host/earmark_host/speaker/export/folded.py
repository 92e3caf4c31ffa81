"""A network as plain convolutions, in numbers only: what is handed to TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution over time, with all that follows it.

    Parameters
    ----------
    weight : shape (outputs, inputs, length), the length odd.
    bias : shape (outputs,).
    relu : nothing below zero is passed on.
    pool : so many frames become one, the largest; 1 leaves them.
    """

    weight: Floats
    bias: Floats
    relu: bool = True
    pool: int = 1


@dataclass(frozen=True, eq=False)
class Folded:
    """A network without batch norm, for windows of one length.

    Parameters
    ----------
    frames, mels : of a window.
    plane : a filter over frequency and time that comes first, shape (mels, frames), or None.
    plane_bias : what is added to its output.
    edge : shape (mels,), the frame that stands before and after the window: where the input had a
        batch norm, the mean frame and not zero, which it turns to zero.
    layers : over time.
    pooling : what is taken over time.
    embedding : makes the embedding of what was taken, of length 1; None takes it as it is.
    head : makes logits of the embedding, of length 1.
    """

    frames: int
    mels: int
    plane: Floats | None
    plane_bias: float
    edge: Floats
    layers: tuple[Layer, ...]
    pooling: Literal["max", "mean", "both"]
    embedding: Layer | None
    head: Layer

    @property
    def dimensions(self) -> int:
        """Of the embedding."""
        return int(self.head.weight.shape[1])

    @property
    def classes(self) -> int:
        """Of the logits."""
        return int(self.head.weight.shape[0])
