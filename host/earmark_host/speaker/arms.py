"""The arms of the comparison: which attack a network is trained against, and on which loss.

HAT is Algorithm 1 of Pal et al. 2021. Its published advantage over PGD training is confounded in
the code that was released with it: only the baselines smooth their labels, and only HAT's clean
term has no gradient. So all arms here have the same outer loss, unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from earmark.errors import EarmarkError


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Parameters
    ----------
    name : what it is called in reports and on the command line.
    doc : what it is, in a line.
    steps : of the attack during training; 0 trains on clean audio only.
    beta, gamma, zeta : weights of cross-entropy, feature scattering and margin in what the attack
        maximises (Eq. 6).
    w1, w2 : weights of the cross-entropy on clean and on attacked clips in what training minimises
        (Algorithm 1, line 7).
    smoothing : of the labels in that loss, 0 to 1.
    clean_gradient : whether the clean term has a gradient.
    """

    name: str
    doc: str
    steps: int = 10
    beta: float = 0.0
    gamma: float = 0.0
    zeta: float = 0.0
    w1: float = 1.0
    w2: float = 1.0
    smoothing: float = 0.0
    clean_gradient: bool = True


_HAT = Arm(
    "hat10",
    "Hybrid adversarial training, Algorithm 1 as written: CE + FS + margin, w1 = w2 = 1",
    beta=1.0,
    gamma=1.0,
    zeta=1.0,
)
_PGD = replace(
    _HAT,
    name="pgd10",
    doc="The matched control: HAT's outer loss, an attack by cross-entropy alone",
    gamma=0.0,
    zeta=0.0,
)

_ALL = (
    Arm("standard", "No defence: clean audio only", steps=0, w2=0.0),
    replace(
        _PGD,
        name="fgsm",
        doc="FGSM: one step of the whole budget from a random start, as in the released code",
        steps=1,
    ),
    _PGD,
    replace(
        _PGD, name="pgd10-paper", doc="PGD as Madry et al. have it: attacked clips only", w1=0.0
    ),
    replace(
        _PGD,
        name="pgd10-released",
        doc="PGD as in the released code: attacked clips only, labels smoothed by .7",
        w1=0.0,
        smoothing=0.7,
    ),
    replace(_HAT, name="fs10", doc="Feature scattering alone (unsupervised)", beta=0.0, zeta=0.0),
    _HAT,
    replace(
        _HAT,
        name="hat10-released",
        doc="HAT as in the released code: the clean term has no gradient",
        clean_gradient=False,
    ),
    replace(_HAT, name="margin", doc="Ablation: margin alone", beta=0.0, gamma=0.0),
    replace(_HAT, name="ce+fs", doc="Ablation: without margin", zeta=0.0),
    replace(_HAT, name="ce+margin", doc="Ablation: without feature scattering", gamma=0.0),
    replace(_HAT, name="fs+margin", doc="Ablation: without cross-entropy", beta=0.0),
)

ARMS: Mapping[str, Arm] = {arm.name: arm for arm in _ALL}
"""By name."""

SAME: Mapping[str, str] = {"ce": "pgd10", "fs": "fs10", "ce+fs+margin": "hat10"}
"""Names of the ablation (Fig. 3 of the paper) that are arms by another name, as all arms have the
same outer loss: one training serves both."""


def arm(name: str) -> Arm:
    """The arm of that name, or of the ablation's name for it.

    Raises
    ------
    EarmarkError
        There is none.
    """
    found = ARMS.get(SAME.get(name, name))
    if found is None:
        raise EarmarkError(f"there is no arm {name!r}", f"use one of {', '.join([*ARMS, *SAME])}")
    return found
