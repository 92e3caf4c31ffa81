"""The shipped file itself as a victim: what counts in the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from earmark.signal import Signal
from earmark.speaker import SpeakerModel

FULL_SCALE = 32768.0
"""16-bit sample values in 1.0."""


class Int8Victim:
    """A model as it runs on the device: 16-bit audio, numpy front-end, the ``.tflite`` file.

    It gives scores and no gradient. White-box attacks are crafted on
    :class:`~earmark_host.speaker.export.surrogate.Surrogate` or on the float network, and judged
    here; black-box attacks ask it directly.

    Parameters
    ----------
    model : the device's own.

    Attributes
    ----------
    asked : recordings that it has judged.
    """

    differentiable = False

    def __init__(self, model: SpeakerModel) -> None:
        self._model = model
        self.asked = 0

    @classmethod
    def open(cls, folder: Path) -> Int8Victim:
        """The model in `folder`; SpeakerModelError where it is damaged or does not work here."""
        return cls(SpeakerModel.open(folder))

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`~earmark_host.speaker.victim.Victim`; `x` is rounded to 16 bits first."""
        lengths = [x.shape[1]] * x.shape[0] if samples is None else samples
        heard = np.asarray(x.detach().cpu().numpy(), np.float32)
        scores = [
            self._model.outputs(_heard(row[:length]))[1]
            for row, length in zip(heard, lengths, strict=True)
        ]
        self.asked += len(scores)
        return torch.from_numpy(np.stack(scores)).to(x.device)


def _heard(signal: Signal) -> Signal:
    """`signal` after 16-bit audio."""
    whole = np.clip(np.rint(signal * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1.0)
    return np.asarray(whole / FULL_SCALE, np.float32)
