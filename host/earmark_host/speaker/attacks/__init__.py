"""Attacks on the speaker model: raw sound at 16 kHz, changed by at most eps in each sample."""

from earmark_host.speaker.attacks.air import InRoom
from earmark_host.speaker.attacks.attack import Attack, craft_one, examples, fooled
from earmark_host.speaker.attacks.batch import Batch, as_pcm16, batches, filled
from earmark_host.speaker.attacks.control import RandomSigns
from earmark_host.speaker.attacks.gradient import Fgsm, Pgd, Raise
from earmark_host.speaker.attacks.libraries import ArtPgd, AutoAttack
from earmark_host.speaker.attacks.nes import Nes
from earmark_host.speaker.attacks.square import Square

__all__ = [
    "ArtPgd",
    "Attack",
    "AutoAttack",
    "Batch",
    "Fgsm",
    "InRoom",
    "Nes",
    "Pgd",
    "Raise",
    "RandomSigns",
    "Square",
    "as_pcm16",
    "batches",
    "craft_one",
    "examples",
    "filled",
    "fooled",
]
