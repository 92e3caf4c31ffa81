"""What every recogniser under attack can do: say how likely each of its labels is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from earmark.signal import Signal

OTHER = "_other_"
"""Label of all that is none of the commands: other speech, music, noise, silence."""


class Victim(Protocol):
    """A recogniser of commands that gives away its scores.

    That is the strongest black-box setting, the one of the paper's score-based attacks; a
    detector that holds here holds against an attacker who sees less.

    Attributes
    ----------
    labels : what it can hear, in the order of the scores.
    name : which it is, in reports.
    """

    labels: tuple[str, ...]
    name: str

    def scores(self, signal: Signal) -> NDArray[np.float64]:
        """How likely each label is, shape (len(labels),); larger is likelier.

        Log-probabilities or likelihood scores; the largest is what it hears. The same signal
        always gives the same scores.

        Parameters
        ----------
        signal : 1-D float32 at 16 kHz.
        """
        ...
