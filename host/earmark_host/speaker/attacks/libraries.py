"""Attacks of two libraries, as independent checks of ours: AutoAttack and ART's PGD.

Both want a classifier of arrays of one size. The clips of a batch differ in length, and both hand
over some of the rows in an order of their own, so :class:`_Rows` finds out which clip each row is:
the one around which it lies.

AutoAttack (Croce and Hein 2020, the package pyautoattack) clamps to [0, 1], silently: it gets
z = (x + 1) / 2 and eps / 2. Its Square attack is left out: it draws squares in a picture, and does
nothing to sound (:mod:`~earmark_host.speaker.attacks.square` is ours).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from earmark_host.speaker.attacks.batch import Batch
from earmark_host.speaker.victim import Victim

PROBES = 256
"""Samples of a row that tell which clip it is; two clips within 2 eps at all of them would have
to be the same."""

TARGETS = 9
"""Other people whom AutoAttack's targeted parts try, the likeliest; its standard."""

STEPS = 100
"""Of each of AutoAttack's parts; its standard."""

PARTS = ("apgd-ce", "apgd-t", "fab-t")
"""AutoAttack's standard but for Square."""


class _Rows(nn.Module):
    """A victim as a classifier of rows: any rows near a batch's clips, in any order.

    Parameters
    ----------
    victim : who is attacked.
    batch : the clips.
    halved : rows are in [0, 1].
    """

    def __init__(self, victim: Victim, batch: Batch, halved: bool) -> None:
        super().__init__()
        self.victim, self.batch, self.halved = victim, batch, halved
        self.same = len(set(batch.samples)) == 1
        shortest = min(batch.samples)
        # Evenly over the part that all clips have.
        self.at = torch.linspace(0, shortest - 1, PROBES, device=batch.x.device).long()
        self.seen = batch.x[:, self.at]

    def forward(self, z: Tensor) -> Tensor:
        """Logits of rows."""
        x = z.flatten(1)
        if self.halved:
            x = 2.0 * x - 1.0
        if self.same:
            return self.victim.logits(x, self.batch.samples[:1] * x.shape[0])
        apart = (x.detach()[:, None, self.at] - self.seen).abs().amax(dim=2)
        lengths = [self.batch.samples[row] for row in apart.argmin(dim=1).tolist()]
        return self.victim.logits(x, lengths)


@dataclass(frozen=True)
class AutoAttack:
    """AutoAttack's white-box parts with its standard settings.

    Parameters
    ----------
    targets, steps : fewer than the standard is weaker than plain PGD40: for trials only.
    """

    targets: int = TARGETS
    steps: int = STEPS

    name = "autoattack"
    white = True

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`.

        Raises
        ------
        ValueError
            There are fewer than four people: its loss needs the four likeliest.
        """
        from pyautoattack import AutoAttack as Theirs  # noqa: PLC0415 - an extra

        people = victim.logits(batch.x[:1], batch.samples[:1]).shape[1]
        if people < 4:
            raise ValueError("AutoAttack needs four people or more")
        with _aside(rng) as seed:
            theirs = Theirs(
                _Rows(victim, batch, halved=True),
                attacks=list(PARTS),
                version="custom",
                device=batch.x.device,
                eps=eps / 2.0,
                seed=seed,
            )
            theirs.verbose = False
            # As its version "standard" sets them, which would bring Square along.
            theirs.apgd.n_restarts = theirs.fab.n_restarts = 1
            for part in (theirs.apgd, theirs.apgd_targeted, theirs.fab):
                part.n_iter = self.steps
            # Derived from the number of steps when it was made.
            for part in (theirs.apgd, theirs.apgd_targeted):
                part.n_iter_2 = max(int(0.22 * self.steps), 1)
                part.n_iter_min = max(int(0.06 * self.steps), 1)
                part.size_decr = max(int(0.03 * self.steps), 1)
            theirs.apgd_targeted.n_target_classes = min(self.targets, people - 1)
            theirs.fab.n_target_classes = min(self.targets, people - 1)
            found, _ = theirs.run_standard_evaluation(
                (batch.x[:, None, None] + 1.0) / 2.0, batch.labels, batch_size=len(batch)
            )
        crafted: Tensor = 2.0 * found.detach()[:, 0, 0] - 1.0
        return crafted * batch.inside


@dataclass(frozen=True)
class ArtPgd:
    """PGD of the Adversarial Robustness Toolbox, with the settings of our own.

    Parameters
    ----------
    steps : how many.
    alpha : size of a step, share of eps.
    """

    steps: int = 40
    alpha: float = 0.2

    white = True

    @property
    def name(self) -> str:
        """``art_pgd40``."""
        return f"art_pgd{self.steps}"

    def craft(self, victim: Victim, batch: Batch, eps: float, rng: np.random.Generator) -> Tensor:
        """See :class:`~earmark_host.speaker.attacks.attack.Attack`."""
        from art.attacks.evasion import ProjectedGradientDescent  # noqa: PLC0415 - slow, an extra
        from art.estimators.classification import PyTorchClassifier  # noqa: PLC0415

        with _aside(rng):
            people = victim.logits(batch.x[:1], batch.samples[:1]).shape[1]
            classifier = PyTorchClassifier(
                model=_Rows(victim, batch, halved=False),
                loss=nn.CrossEntropyLoss(),
                input_shape=(batch.x.shape[1],),
                nb_classes=people,
                clip_values=(-1.0, 1.0),
                device_type="cpu" if batch.x.device.type == "cpu" else "gpu",
            )
            attack = ProjectedGradientDescent(
                classifier,
                norm=np.inf,
                eps=eps,
                eps_step=self.alpha * eps,
                max_iter=self.steps,
                num_random_init=1,
                batch_size=len(batch),
                verbose=False,
            )
            found = attack.generate(batch.x.cpu().numpy(), batch.labels.cpu().numpy())
        x = torch.from_numpy(np.asarray(found, np.float32)).to(batch.x.device)
        return x * batch.inside


@contextmanager
def _aside(rng: np.random.Generator) -> Iterator[int]:
    """Let a library draw from the global generators, seeded by ours, and put them back; hush it."""
    seed = int(rng.integers(2**31))
    kept = np.random.get_state()
    log = logging.getLogger("auto-attack")
    level = log.level
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        np.random.seed(seed)
        log.setLevel(logging.ERROR)
        try:
            yield seed
        finally:
            log.setLevel(level)
            np.random.set_state(kept)
