"""What every attack on the speaker model is: a way to change a clip within a small ball."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from earmark.signal import Signal
from earmark_host.speaker.attacks.batch import Batch, as_pcm16
from earmark_host.speaker.victim import Victim, margin


class Attack(Protocol):
    """A way to craft adversarial examples."""

    @property
    def name(self) -> str:
        """Stable, a key in reports."""
        ...

    @property
    def white(self) -> bool:
        """Whether it needs gradients; else scores are enough."""
        ...

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """Change each clip so that it is taken for another person, or try to.

        Parameters
        ----------
        victim : differentiable if the attack is `white`.
        batch : the clips.
        eps : the most that a sample is changed, full scale 1.
        rng : everything random.

        Returns
        -------
        Tensor
            float32 (clips, n), within `eps` of the clips and in [-1, 1]; zeros behind each
            clip. Not rounded yet: :func:`examples` does.
        """
        ...


def examples(
    attack: Attack, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator
) -> Tensor:
    """What the attacker writes into 16-bit files, (clips, n): crafted, rounded, in the ball.

    Raises
    ------
    ValueError
        A white-box attack on a victim without gradients, whose zeros would look like robustness.
    """
    if attack.white and not victim.differentiable:
        raise ValueError(f"{attack.name} needs gradients: craft it on a surrogate of the victim")
    crafted = attack.craft(victim, batch, eps, rng)
    return as_pcm16(crafted * batch.inside, batch.x, eps)


def craft_one(
    attack: Attack, victim: Victim, signal: Signal, label: int, eps: float, rng: np.random.Generator
) -> Signal:
    """:func:`examples` of one clip: 1-D float32 at 16 kHz, as it is written to a 16-bit file."""
    batch = Batch.of([signal], [label])
    return np.asarray(examples(attack, victim, batch, eps, rng)[0].numpy(), np.float32)


def fooled(victim: Victim, x: Tensor, batch: Batch) -> Tensor:
    """Which rows of `x` are taken for another person than the batch's, bool (clips,)."""
    with torch.no_grad():
        # A tie is nobody's: then the true person does not win either.
        return margin(victim.logits(x, batch.samples), batch.labels) <= 0.0
