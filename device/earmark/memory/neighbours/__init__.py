"""The detector that counts near-copies of a query, Earmark's default."""

from earmark.memory.neighbours.detector import ALARMS, Learnt, Neighbours, NeighboursDetector, Sign
from earmark.memory.neighbours.fingerprint import Fingerprint, fingerprint
from earmark.memory.neighbours.likeness import likeness
from earmark.memory.neighbours.limits import NeighboursLimits
from earmark.memory.neighbours.settings import NeighboursSettings

__all__ = [
    "ALARMS",
    "Fingerprint",
    "Learnt",
    "Neighbours",
    "NeighboursDetector",
    "NeighboursLimits",
    "NeighboursSettings",
    "Sign",
    "fingerprint",
    "likeness",
]
