"""Who is attacked: anything that turns sound into one score a person.

A batch of clips is a matrix, each row a clip followed by zeros (:class:`~.attacks.batch.Batch`).
A victim hears of each row only the clip. White-box attacks need one that is `differentiable`; for
one that only gives scores, such as the int8 file, they are crafted on another victim that is like
it, and judged on it: its float parent, or :class:`StraightThrough`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Victim(Protocol):
    """Scores of a closed set of people."""

    @property
    def differentiable(self) -> bool:
        """Whether gradients come back through :meth:`logits`."""
        ...

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """One score a person, higher is likelier.

        Parameters
        ----------
        x : clips at 16 kHz in [-1, 1], float32 (clips, n).
        samples : how much of each row is the clip; None: all of it.

        Returns
        -------
        Tensor
            float32 (clips, people).
        """
        ...


class Network(Protocol):
    """What a victim needs of a network."""

    def __call__(self, x: Tensor) -> Tensor:
        """Logits (windows, people) of windows (windows, samples)."""
        ...

    def windows(self, signal: Tensor) -> Tensor:
        """The windows (windows, samples) of a recording (n,), which the logits are the mean of."""
        ...


@dataclass(frozen=True, eq=False)
class NetVictim:
    """A network in PyTorch, which hears a recording window by window.

    Parameters
    ----------
    net : in evaluation mode.
    """

    net: Network
    differentiable: bool = True
    _cuts: dict[int, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, net: Network) -> NetVictim:
        """The victim for a network, which is set to evaluation and frozen."""
        if isinstance(net, nn.Module):
            net.eval()
            net.requires_grad_(False)  # gradients of the sound alone: a third of the work less
        return cls(net)

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Victim`."""
        lengths = [x.shape[1]] * x.shape[0] if samples is None else [int(n) for n in samples]
        cuts: list[Tensor] = []
        owner: list[int] = []
        # Cut row by row: a cut from the whole matrix has a gradient as large as the matrix.
        for row, (signal, length) in enumerate(zip(x.unbind(0), lengths, strict=True)):
            mine = self._of(signal[:length])
            cuts += mine
            owner += [row] * len(mine)
        sums = torch.zeros(x.shape[0], 0, device=x.device)
        for size in sorted({cut.shape[0] for cut in cuts}):
            chosen = [index for index, cut in enumerate(cuts) if cut.shape[0] == size]
            each = self.net(torch.stack([cuts[index] for index in chosen]))
            if sums.shape[1] == 0:
                sums = each.new_zeros(x.shape[0], each.shape[1])
            rows = torch.tensor([owner[index] for index in chosen], device=x.device)
            sums = sums.index_add(0, rows, each)
        count = torch.bincount(torch.tensor(owner), minlength=x.shape[0]).to(sums)
        return sums / count[:, None]

    def _of(self, signal: Tensor) -> list[Tensor]:
        """The windows of a recording."""
        length = signal.shape[0]
        if length not in self._cuts:
            # Windows of the sample numbers say where the windows of a signal are (exact to 2^24).
            where = self.net.windows(torch.arange(length, dtype=torch.float32))
            self._cuts[length] = tuple(where.round().long().unbind(0))
        found = []
        for where in self._cuts[length]:
            first, last = int(where[0]), int(where[-1])
            whole = last - first + 1 == where.shape[0]  # not so where a clip is repeated
            found.append(signal[first : last + 1] if whole else signal[where.to(signal.device)])
        return found


@dataclass(frozen=True, eq=False)
class StraightThrough:
    """A victim that only gives scores, with the gradients of another.

    Parameters
    ----------
    scored : who is attacked, such as the int8 file.
    parent : whose gradients stand in for those that it lacks, such as the float network. An
        int8 file's own gradients are zero nearly everywhere: attacked through them it looks
        robust and is not.
    """

    scored: Victim
    parent: Victim
    differentiable: bool = True

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Victim`: values of `scored`, gradients of `parent`."""
        smooth = self.parent.logits(x, samples)
        with torch.no_grad():
            told = self.scored.logits(x.detach(), samples)
        return smooth + (told - smooth.detach())


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the true person is ahead of the next, (clips,); below 0: taken for another."""
    true = logits.gather(1, labels[:, None])[:, 0]
    others = logits.masked_fill(functional.one_hot(labels, logits.shape[1]).bool(), -torch.inf)
    return true - others.amax(dim=1)
