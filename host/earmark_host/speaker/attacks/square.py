"""Random search over stretches of time, with nothing but scores: Square attack on sound.

Andriushchenko et al., "Square attack", ECCV 2020, is random search that stays at the bound of the
ball and changes ever smaller parts. Their squares are stretches of time here, and their colours
what a speaker model hears: the sign of a tone, a tone on top of what is there, or noise. (A
constant, as a square in a picture has, is below what any front-end hears.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.signal import RATE_HZ
from earmark_host.speaker.attacks.batch import Batch, as_pcm16
from earmark_host.speaker.victim import Victim, margin

LOWEST_HZ, HIGHEST_HZ = 80.0, 6000.0
"""Band of the tones, Hz: speech, and what the front-ends hear."""

FIRST_SHARE = 0.8
"""Of a clip that the first stretches cover; theirs."""

HALVED_AT = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the budget after which stretches are half as long; theirs."""

SHORTEST = 160
"""Shortest stretch, samples: 10 ms, less than a window of any front-end."""


@dataclass(frozen=True)
class Square:
    """The search.

    Parameters
    ----------
    queries : most answers that it may use for a clip, >= 1.
    """

    queries: int = 2000

    white = False

    @property
    def name(self) -> str:
        """``square2000``."""
        return f"square{self.queries}"

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`."""
        changes = np.zeros(tuple(batch.x.shape), np.float32)
        left = list(range(len(batch)))
        ahead = np.full(len(batch), np.inf)
        for query in range(self.queries):
            tried = changes[left]
            for place, row in enumerate(left):
                length = batch.samples[row]
                if query == 0:
                    tried[place, :length] = _tone(length, rng)
                else:
                    _change(tried[place, :length], query / self.queries, rng)
            some = batch.rows(left)
            x = as_pcm16(some.x + eps * torch.from_numpy(tried).to(some.x.device), some.x, eps)
            with torch.no_grad():
                found = margin(victim.logits(x, some.samples), some.labels).cpu().numpy()
            for place, row in enumerate(left):
                if found[place] < ahead[row]:
                    ahead[row] = found[place]
                    changes[row] = tried[place]
            left = [row for row in left if ahead[row] > 0.0]
            if not left:
                break
        return (batch.x + eps * torch.from_numpy(changes).to(batch.x.device)).clamp(-1.0, 1.0)


def _change(change: NDArray[np.float32], spent: float, rng: np.random.Generator) -> None:
    """Change a stretch of `change` (in units of eps), in place."""
    share = FIRST_SHARE * 0.5 ** sum(spent > at for at in HALVED_AT)
    size = min(change.size, max(SHORTEST, round(share * change.size)))
    first = int(rng.integers(change.size - size + 1))
    stretch = change[first : first + size]
    kind = rng.integers(3)
    if kind == 0:
        stretch[:] = _tone(size, rng)
    elif kind == 1:
        stretch += 2.0 * float(rng.random()) * _tone(size, rng)
        np.clip(stretch, -1.0, 1.0, out=stretch)
    else:
        stretch[:] = 2.0 * rng.integers(0, 2, size, dtype=np.int8) - 1.0


def _tone(size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """The sign of a tone of random frequency and phase, +-1."""
    hz = LOWEST_HZ * math.exp(rng.random() * math.log(HIGHEST_HZ / LOWEST_HZ))
    turns = np.arange(size, dtype=np.float32) * np.float32(hz / RATE_HZ) + np.float32(rng.random())
    return np.where(turns % 1.0 < 0.5, np.float32(1.0), np.float32(-1.0))
