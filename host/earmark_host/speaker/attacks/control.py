"""Random signs at the bound: what no attack must be weaker than."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earmark_host.speaker.attacks.batch import Batch
from earmark_host.speaker.victim import Victim


@dataclass(frozen=True)
class RandomSigns:
    """Each sample up or down by eps: the control, which knows nothing of the victim."""

    name = "random_signs"
    white = False

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`."""
        del victim
        signs = 2.0 * rng.integers(0, 2, tuple(batch.x.shape), dtype=np.int8) - 1.0
        noise = torch.from_numpy(signs.astype(np.float32)).to(batch.x.device)
        return (batch.x + eps * noise * batch.inside).clamp(-1.0, 1.0)
