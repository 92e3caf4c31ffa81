"""Natural evolution strategies: a gradient estimated from scores alone, then PGD along it.

Ilyas et al. 2018; on speaker recognition, with its targets, FAKEBOB (Chen et al. 2021, "Who is real
Bob?"). Directions are white noise in opposite pairs, as theirs are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earmark_host.speaker.attacks.batch import Batch, as_pcm16, within
from earmark_host.speaker.victim import Victim, margin

PATIENCE = 5
"""Steps without gain after which steps are half as long; FAKEBOB's."""


@dataclass(frozen=True)
class Nes:
    """The attack.

    Parameters
    ----------
    queries : most answers that it may use for a clip.
    pairs : of opposite directions for each step; FAKEBOB's 50 answers a step are 25.
    spread : of the directions, share of eps; FAKEBOB's is half at .002.
    step : size of the first step, share of eps.
    momentum : share of the last slope in the next; FAKEBOB's.
    targeted : to be taken for one other person, drawn for each clip, and not for just anybody.
    """

    queries: int = 2000
    pairs: int = 25
    spread: float = 0.5
    step: float = 0.2
    momentum: float = 0.9
    targeted: bool = False

    white = False

    @property
    def name(self) -> str:
        """``nes2000`` or ``fakebob2000``."""
        return f"{'fakebob' if self.targeted else 'nes'}{self.queries}"

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`."""
        with torch.no_grad():
            people = victim.logits(batch.x[:1], batch.samples[:1]).shape[1]
            return self._search(victim, batch, eps, self._targets(batch, people, rng), rng)

    def _targets(self, batch: Batch, people: int, rng: np.random.Generator) -> Tensor | None:
        if not self.targeted:
            return None
        away = torch.from_numpy(rng.integers(1, people, len(batch))).to(batch.labels)
        return (batch.labels + away) % people

    def _search(
        self,
        victim: Victim,
        batch: Batch,
        eps: float,
        targets: Tensor | None,
        rng: np.random.Generator,
    ) -> Tensor:
        x, best = batch.x.clone(), batch.x.clone()
        size = torch.full((len(batch), 1), self.step * eps, device=x.device)
        ahead = torch.full((len(batch),), torch.inf, device=x.device)
        idle = torch.zeros(len(batch), device=x.device)
        slope = torch.zeros_like(x)
        left = torch.arange(len(batch), device=x.device)
        for _ in range(self.queries // (2 * self.pairs + 1)):
            some = batch.rows(left.tolist())
            goal = None if targets is None else targets[left]
            rise = self._slope(victim, some, x[left], eps, goal, rng)
            slope[left] = self.momentum * slope[left] + (1.0 - self.momentum) * rise
            moved = within(x[left] - size[left] * slope[left].sign(), some.x, eps)
            x[left] = moved = as_pcm16(moved, some.x, eps)
            found = _score(victim.logits(moved, some.samples), some.labels, goal)
            gained = found < ahead[left]
            best[left[gained]] = moved[gained]
            ahead[left] = torch.minimum(ahead[left], found)
            idle[left] = torch.where(gained, 0.0, idle[left] + 1.0)
            tired = left[idle[left] >= PATIENCE]
            size[tired] = (size[tired] / 2.0).clamp(min=self.step * eps / 16.0)
            idle[tired] = 0.0
            left = left[ahead[left] > 0.0]
            if left.numel() == 0:
                break
        return best

    def _slope(
        self,
        victim: Victim,
        batch: Batch,
        x: Tensor,
        eps: float,
        goal: Tensor | None,
        rng: np.random.Generator,
    ) -> Tensor:
        """Along which the score rises, with a mean size of 1."""
        total = torch.zeros_like(x)
        for _ in range(self.pairs):
            drawn = rng.standard_normal(tuple(x.shape), dtype=np.float32)
            way = torch.from_numpy(drawn).to(x.device) * batch.inside
            offset = self.spread * eps * way
            up = _score(victim.logits(x + offset, batch.samples), batch.labels, goal)
            down = _score(victim.logits(x - offset, batch.samples), batch.labels, goal)
            total += (up - down)[:, None] * way
        return total / total.abs().mean(dim=1, keepdim=True).clamp(min=1e-12)


def _score(logits: Tensor, labels: Tensor, goal: Tensor | None) -> Tensor:
    """What is lowered; 0 where the attack has won."""
    return margin(logits, labels) if goal is None else -margin(logits, goal)
