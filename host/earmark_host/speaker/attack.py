"""The attack that training defends against: projected gradient ascent in a ball around the clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def perturb(
    objective: Callable[[Tensor], Tensor],
    signal: Tensor,
    eps: float,
    steps: int,
    alpha: float,
    generator: torch.Generator,
) -> Tensor:
    """Change `signal` so that `objective` grows (Eq. 2).

    Parameters
    ----------
    objective : of a batch like `signal`: a differentiable scalar. The network in it should be in
        evaluation mode (:func:`evaluating`), so that its batch norms neither see nor are moved by
        the attack.
    signal : (batch, samples) in [-1, 1].
    eps : the largest change of a sample, above 0.
    steps : how many, each `alpha` in the direction of the gradient's sign.
    alpha : like `eps`.
    generator : of the random start within the ball; of the CPU.

    Returns
    -------
    Tensor
        Like `signal`, within eps of it and in [-1, 1], without a gradient.
    """
    start = torch.rand(signal.shape, generator=generator).to(signal.device)
    low, high = (signal - eps).clamp(min=-1.0), (signal + eps).clamp(max=1.0)
    attacked = signal + eps * (2.0 * start - 1.0)
    for _ in range(steps):
        attacked.requires_grad_()
        (gradient,) = torch.autograd.grad(objective(attacked), attacked)
        with torch.no_grad():
            attacked = torch.clamp(attacked + alpha * gradient.sign(), low, high)
    return attacked.detach()


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put `net` in evaluation mode, and back in the mode that it was in."""
    before = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(before)
