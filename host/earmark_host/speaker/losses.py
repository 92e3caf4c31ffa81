"""What a training attack maximises (Eq. 6 to 8 of Pal et al. 2021), all of it of logits."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from earmark_host.speaker.arms import Arm

REGULARISATION = 0.01
"""Of the Sinkhorn algorithm, in units of the cost (0 to 2): the paper's."""

ITERATIONS = 100
"""Most iterations of the Sinkhorn algorithm: the paper's."""

TOLERANCE = 1e-4
"""It ends when no row's logarithmic scaling moves by more than this: the plan's mass then is
within .01 % of where it was."""

CHECK_EVERY = 5
"""Iterations between two looks at that: on a GPU each look waits for it."""

CONFIDENCE = 50.0
"""M of Eq. 8: the paper's. Logits are never that far apart, so that the loss never saturates."""


def cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the batch; `smoothing` of the labels, 0 to 1 (Eq. 7)."""
    return functional.cross_entropy(logits, label, label_smoothing=smoothing)


def margin(logits: Tensor, label: Tensor, confidence: float = CONFIDENCE) -> Tensor:
    """How far the true person is ahead of the next, negative; the mean over the batch (Eq. 8).

    The paper writes a sum, which would outweigh the cross-entropy by the size of the batch; its
    released code takes the mean.
    """
    own = logits.gather(1, label[:, None])[:, 0]
    others = logits.scatter(1, label[:, None], -math.inf).amax(1)
    return -functional.relu(own - others + confidence).mean()


def feature_scattering(clean: Tensor, attacked: Tensor) -> Tensor:
    """Optimal transport between the logits of clean and attacked clips (Eq. 4 and 5).

    The gradient holds the plan fixed: it is that of the minimum (Danskin). It is zero where the
    attacked clips are the clean ones, so an attack has to start somewhere else.

    Parameters
    ----------
    clean, attacked : (batch, people); `clean` is taken as a constant.
    """
    cost = 1.0 - functional.normalize(clean.detach()) @ functional.normalize(attacked).T
    return (sinkhorn(cost.detach()) * cost).sum()


@torch.no_grad()
def sinkhorn(
    cost: Tensor, regularisation: float = REGULARISATION, iterations: int = ITERATIONS
) -> Tensor:
    """Entropic optimal transport between two uniform distributions (Cuturi 2013), log domain.

    Parameters
    ----------
    cost : (n, m).
    regularisation : weight of the entropy, in units of the cost.
    iterations : most of them.

    Returns
    -------
    Tensor
        The plan, (n, m); it sums to 1.
    """
    kernel = -cost / regularisation
    rows, columns = -math.log(cost.shape[0]), -math.log(cost.shape[1])
    left = torch.zeros_like(cost[:, 0])
    right = torch.zeros_like(cost[0])
    for iteration in range(iterations):
        right = columns - torch.logsumexp(kernel + left[:, None], 0)
        before = left
        left = rows - torch.logsumexp(kernel + right[None], 1)
        look = iteration % CHECK_EVERY == CHECK_EVERY - 1
        if look and (left - before).abs().max().item() < TOLERANCE:
            break
    return torch.exp(kernel + left[:, None] + right[None])


def adversarial(arm: Arm, clean: Tensor, attacked: Tensor, label: Tensor) -> Tensor:
    """What the attack of an arm maximises (Eq. 6).

    Parameters
    ----------
    arm : its weights.
    clean, attacked : logits, (batch, people); `clean` counts in feature scattering only.
    label : (batch,).
    """
    total = attacked.new_zeros(())
    if arm.beta:
        total = total + arm.beta * cross_entropy(attacked, label)
    if arm.gamma:
        total = total + arm.gamma * feature_scattering(clean, attacked)
    if arm.zeta:
        total = total + arm.zeta * margin(attacked, label)
    return total
