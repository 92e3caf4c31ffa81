"""A stream as the detectors see it: each query's fingerprints, computed once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from earmark.memory import CarrierKind, MemorySettings, Thresholds, carrier
from earmark.memory.neighbours import Fingerprint, Neighbours, NeighboursDetector, fingerprint
from earmark.memory.paper import (
    PaperDetector,
    PaperFingerprint,
    PaperReport,
    PaperSettings,
    with_input_noise,
)
from earmark.memory.paper import fingerprint as paper_fingerprint
from earmark_host.memory.stream import Query

EPOCH_S = 1_700_000_000.0
"""Wall clock at the beginning of every stream, s (UTC)."""


@dataclass(frozen=True, eq=False)
class Marked:
    """A query without its sound.

    Parameters
    ----------
    neighbours : fingerprint of the default detector.
    paper : fingerprints of the paper's, by the level of its input noise, dB; None: without.
    carrier : what the device takes it for.
    at_s, fake, snr_db : as in :class:`Query`.
    """

    neighbours: Fingerprint
    paper: dict[float | None, PaperFingerprint]
    carrier: CarrierKind
    at_s: float
    fake: bool
    snr_db: float | None


def marked(
    queries: Iterable[Query],
    rng: np.random.Generator,
    noises_db: Sequence[float | None] = (None,),
) -> Iterator[Marked]:
    """Fingerprint each query, once.

    Parameters
    ----------
    rng : gives the noise of the paper's robust mode.
    noises_db : its levels that are wanted.
    """
    for query in queries:
        yield Marked(
            fingerprint(query.signal),
            {
                noise_db: paper_fingerprint(
                    query.signal
                    if noise_db is None
                    else with_input_noise(query.signal, noise_db, rng)
                )
                for noise_db in noises_db
            },
            carrier(query.signal),
            query.at_s,
            query.fake,
            query.snr_db,
        )


def count_neighbours(
    stream: Iterable[Marked], settings: MemorySettings, table: Thresholds
) -> Iterator[Neighbours]:
    """What the default detector says to each query."""
    detector = NeighboursDetector(settings.neighbours, table.neighbours)
    for number, query in enumerate(stream):
        found, _ = detector.examine(number, query.neighbours, query.carrier, EPOCH_S + query.at_s)
        yield found


def score_paper(
    stream: Iterable[Marked],
    settings: PaperSettings,
    table: Thresholds,
    known: CarrierKind | None = None,
) -> Iterator[PaperReport]:
    """What the paper's detector says to each query.

    Parameters
    ----------
    known : the carrier class, where it "is presumed to be known in advance" (paper, "Evaluation");
        None: as the device takes it.
    """
    detector = PaperDetector(settings, table.paper_for(settings))
    for query in stream:
        yield detector.examine(query.paper[settings.input_noise_snr_db], known or query.carrier)
