"""What others would use to find near-duplicates, measured on the same audio as ours."""

from __future__ import annotations

from typing import Any

from earmark_host.memory.peers.haitsma_kalker import HaitsmaKalker
from earmark_host.memory.peers.landmarks import Audiolocate, landmarks_installed
from earmark_host.memory.peers.peer import (
    BENIGN_RATE,
    Counting,
    Peer,
    all_pairs,
    calibrate_tau,
)


def usable_peers() -> tuple[Peer[Any], ...]:
    """Those that can run here: all, or all but the one whose library is not installed."""
    landmarks = (Audiolocate(),) if landmarks_installed() else ()
    return (HaitsmaKalker(), *landmarks)


__all__ = [
    "BENIGN_RATE",
    "Audiolocate",
    "Counting",
    "HaitsmaKalker",
    "Peer",
    "all_pairs",
    "calibrate_tau",
    "landmarks_installed",
    "usable_peers",
]
