"""White-box attacks along the sign of a gradient: FGSM, PGD, CW and feature scattering.

All are projected gradient descent in the maximum norm (Madry et al. 2018); they differ in what
they raise: cross-entropy (PGD), how far another person is ahead (CW, the loss of Carlini and
Wagner 2017 within PGD, as in the paper), or the optimal transport from the clean batch (feature
scattering, Zhang and Wang 2019). FGSM is one step of full size from the clip itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from earmark_host.speaker.attacks.batch import Batch, as_pcm16, uniform, within
from earmark_host.speaker.losses import feature_scattering
from earmark_host.speaker.victim import Victim, margin


class Raise(StrEnum):
    """What the attack raises."""

    CROSS_ENTROPY = "pgd"
    MARGIN = "cw"
    SCATTERING = "fs"


@dataclass(frozen=True)
class Pgd:
    """Steps along the sign of the gradient, each followed by a return into the ball.

    Parameters
    ----------
    steps : how many, >= 1.
    goal : what is raised.
    alpha : size of a step, share of eps; the paper's is 1/5.
    restarts : how often it is begun anew, >= 1; only with `best`.
    best : give the iterate that is the least like the person, not the last, and stop where a
        clip is taken for another: as a real attacker, and stronger. The paper and the
        libraries give the last.
    """

    steps: int = 40
    goal: Raise = Raise.CROSS_ENTROPY
    alpha: float = 0.2
    restarts: int = 1
    best: bool = False

    white = True

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or not 0.0 < self.alpha <= 2.0:
            raise ValueError(f"{self.steps} steps of {self.alpha} eps, {self.restarts} restarts")
        if self.restarts > 1 and not self.best:
            raise ValueError("restarts are for the best of them")

    @property
    def name(self) -> str:
        """``pgd40``, or ``cw100x5`` with restarts."""
        return f"{self.goal}{self.steps}" + (f"x{self.restarts}" if self.best else "")

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`."""
        if not self.best:
            return self.snapshots(victim, batch, eps, rng, [self.steps])[self.steps]
        return self._best(victim, batch, eps, rng)

    def snapshots(
        self,
        victim: Victim,
        batch: Batch,
        eps: float,
        rng: np.random.Generator,
        at: Sequence[int],
    ) -> dict[int, Tensor]:
        """The iterates after some numbers of steps: PGD10 is the way of PGD40 after ten."""
        x = uniform(batch, eps, rng)
        clean = self._clean(victim, batch)
        found: dict[int, Tensor] = {}
        for step in range(1, max(at) + 1):
            slope, _ = self._slope(victim, batch, x, clean)
            x = within(x + self.alpha * eps * slope.sign(), batch.x, eps)
            if step in at:
                found[step] = x
        return found

    def _best(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        won = batch.x.clone()
        lead = torch.full((len(batch),), torch.inf, device=batch.x.device)
        for _ in range(self.restarts):
            left = [row for row in range(len(batch)) if lead[row] > 0.0]
            if not left:
                break
            # In whole steps all along: what wins here also wins as a file.
            x = as_pcm16(uniform(batch, eps, rng), batch.x, eps)[left]
            for step in range(self.steps + 1):
                some = batch.rows(left)
                clean = self._clean(victim, some)
                slope, ahead = self._slope(victim, some, x, clean, last=step == self.steps)
                index = torch.tensor(left, device=x.device)
                better = ahead < lead[index]
                won[index[better]] = x[better]
                lead[index[better]] = ahead[better]
                going = [place for place, value in enumerate(ahead.tolist()) if value > 0.0]
                if not going or step == self.steps:
                    break
                x = within(x + self.alpha * eps * slope.sign(), some.x, eps)
                x = as_pcm16(x, some.x, eps)[going]
                left = [left[place] for place in going]
        return won

    def _clean(self, victim: Victim, batch: Batch) -> Tensor | None:
        if self.goal is not Raise.SCATTERING:
            return None
        with torch.no_grad():
            return victim.logits(batch.x, batch.samples)

    def _slope(
        self, victim: Victim, batch: Batch, x: Tensor, clean: Tensor | None, last: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Gradient of what is raised, and how far the true person is ahead at `x`."""
        x = x.detach().requires_grad_(not last)
        logits = victim.logits(x, batch.samples)
        ahead = margin(logits, batch.labels)
        if last:
            return torch.zeros_like(x), ahead.detach()
        if clean is not None:
            loss = feature_scattering(clean, logits)
        elif self.goal is Raise.MARGIN:
            loss = -ahead.sum()
        else:
            loss = functional.cross_entropy(logits, batch.labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, x)
        return slope, ahead.detach()


@dataclass(frozen=True)
class Fgsm:
    """One step of size eps from the clip itself (Goodfellow et al. 2015)."""

    name = "fgsm"
    white = True

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`."""
        del rng
        x = batch.x.detach().clone().requires_grad_()
        loss = functional.cross_entropy(
            victim.logits(x, batch.samples), batch.labels, reduction="sum"
        )
        (slope,) = torch.autograd.grad(loss, x)
        return within(batch.x + eps * slope.sign(), batch.x, eps)
