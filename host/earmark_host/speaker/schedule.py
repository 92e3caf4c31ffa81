"""The recipe of a training: how fast it learns, when it is attacked, and how hard.

Two are given. :data:`FAST` is ours: it learns on clean audio first, then the attack's budget
grows, then one large step stands in for ten small ones (Wong et al. 2020, fast adversarial
training), and the ten come at the end.
:func:`paper` is that of Pal et al. 2021.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from earmark_host.speaker.arms import Arm

EPS = 0.002
"""Largest change of a sample by the attack: the paper's; some 30 dB below speech."""

ALPHA = 0.2
"""Step of the attack, as a share of its budget: the paper's."""

SPEEDS = (0.5, 2.0)
"""Speeds at which speech is still like somebody's."""

PAPER_EPOCHS = 200
"""Epochs of the paper."""

PAPER_DROPS = (0.3, 0.45)
"""Shares of the paper's epochs at which the learning rate falls to a tenth: 60 and 90 of 200."""


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    steps : updates of the weights.
    batch : crops in each, over all processes.
    rate : highest learning rate.
    optimizer : "sgd" with momentum, or "adamw".
    decay : it falls as a "cosine" to 0, or to a tenth at each of `drops`.
    drops : shares of the steps, ascending.
    ascent : over so many steps it rises to its highest.
    momentum, nesterov : of SGD.
    weight_decay : of either.
    clip : largest norm of the gradient; 0 for no limit.
    eps : largest change of a sample by the attack.
    clean : share of the steps at the beginning without an attack.
    ramp : share of the steps after it in which the attack's budget grows from 0 to `eps`.
    light : steps of the attack before its last part; 0 takes those of the arm throughout.
    light_alpha : their size, as a share of the budget.
    full : share of the steps at the end with as many steps of the attack as the arm says.
    gain_db : crops are made louder or softer by up to this, dB, short of clipping.
    rooms : share of the crops that are heard across a random room, with its noise.
    speeds : each clip is also played at these, and is then the voice of somebody else: more
        people to tell apart (Yamamoto et al. 2019). They are left out of the finished network.
    distil : weight of the distance (1 - cosine) to the teacher's embedding, on clean and attacked
        crops; 0 without a teacher.
    margin : what the cosine of the true person is short of in training, 0 to below 1; for a
        cosine head.
    """

    steps: int
    batch: int = 64
    rate: float = 0.05
    optimizer: Literal["sgd", "adamw"] = "sgd"
    decay: Literal["cosine", "drops"] = "cosine"
    drops: tuple[float, ...] = ()
    ascent: int = 50
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    clip: float = 5.0
    eps: float = EPS
    clean: float = 0.3
    ramp: float = 0.1
    light: int = 1
    light_alpha: float = 1.25
    full: float = 0.02
    gain_db: float = 10.0
    rooms: float = 0.4
    speeds: tuple[float, ...] = (0.85, 0.92, 1.09, 1.18)
    distil: float = 0.0
    margin: float = 0.0

    def __post_init__(self) -> None:
        low, high = SPEEDS
        for speed in self.speeds:
            if not (isinstance(speed, (int, float)) and low <= speed <= high and speed != 1.0):
                raise ValueError(f"speeds {speed!r}: must be {low:g} to {high:g} and not 1")
        if len(set(self.speeds)) < len(self.speeds):
            raise ValueError("speeds: one is given twice")

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        rate = self.rate * min(1.0, (step + 1) / max(1, self.ascent))
        if self.decay == "cosine":
            return rate * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return rate * 0.1 ** sum(step >= share * self.steps for share in self.drops)

    def eps_at(self, step: int) -> float:
        """Budget of the attack in a step; 0.0 for none."""
        since = step - self.clean * self.steps
        if since < 0.0:
            return 0.0
        return self.eps * min(1.0, (since + 1.0) / max(1.0, self.ramp * self.steps))

    def attack_at(self, step: int, arm: Arm) -> tuple[int, float]:
        """Steps of the attack in a step of training, and their size as a share of its budget."""
        if arm.steps <= 1:
            return arm.steps, 1.0
        if self.light and self.light < arm.steps and step < (1.0 - self.full) * self.steps:
            return self.light, self.light_alpha
        return arm.steps, ALPHA

    def described(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"drops": list(self.drops), "speeds": list(self.speeds)}


FAST = Recipe(steps=16000)
"""Ours, for one CPU core: an hour or two on an hour of speech by each hundred people."""


def paper(steps_per_epoch: int, epochs: int = PAPER_EPOCHS) -> Recipe:
    """The paper's: SGD .1, a tenth at 60 and 90 of 200 epochs, batches of 128, T = 10 throughout.

    The weight decay is of the released code; the paper names none.
    """
    return Recipe(
        steps=max(1, steps_per_epoch * epochs),
        batch=128,
        rate=0.1,
        decay="drops",
        drops=PAPER_DROPS,
        ascent=0,
        nesterov=False,
        weight_decay=2e-4,
        clip=0.0,
        clean=0.0,
        ramp=0.0,
        light=0,
        full=1.0,
        gain_db=0.0,
        rooms=0.0,
        speeds=(),
    )
