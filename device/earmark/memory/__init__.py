"""The query memory: is a command a near-copy of earlier ones, as those of an attacker are?"""

from earmark.memory.carrier import CarrierKind, carrier
from earmark.memory.entries import Cluster
from earmark.memory.log import Damage, MemoryHeldError, MemoryStoreError
from earmark.memory.neighbours import NeighboursDetector, NeighboursLimits, NeighboursSettings, Sign
from earmark.memory.paper import PaperSettings
from earmark.memory.query_memory import QueryMemory, Recollection, erase
from earmark.memory.settings import MemorySettings
from earmark.memory.thresholds import PaperThreshold, Thresholds, shipped

__all__ = [
    "CarrierKind",
    "Cluster",
    "Damage",
    "MemoryHeldError",
    "MemorySettings",
    "MemoryStoreError",
    "NeighboursDetector",
    "NeighboursLimits",
    "NeighboursSettings",
    "PaperSettings",
    "PaperThreshold",
    "QueryMemory",
    "Recollection",
    "Sign",
    "Thresholds",
    "carrier",
    "erase",
    "shipped",
]
