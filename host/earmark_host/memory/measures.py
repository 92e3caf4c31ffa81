"""The measures of the query memory paper (Guo et al. 2023, section "Evaluation metric")."""

from __future__ import annotations

import math
from collections.abc import Iterable

from earmark.memory.paper.settings import Young
from earmark.signal import Signal, rms
from earmark_host.memory.stream import Stream


def dsr(detections: int, queries: int, k: int) -> float:
    """Detection success rate, Eq. 13: detections times memory over queries, at most 1.

    The paper says that the value is below 1 by itself; it is not where a detector scores a young
    memory, so it is cut there.

    Parameters
    ----------
    detections : alarms in an attack, d_n; the memory is cleared on each.
    queries : queries of the attack, a_n >= 1.
    k : depth of the memory, queries, >= 1.

    Returns
    -------
    float
        0 to 1. No probability: see :func:`dsr_ceiling` for what is within reach.
    """
    if queries < 1 or k < 1 or not 0 <= detections <= queries:
        raise ValueError(f"{detections} detections in {queries} queries with k = {k}")
    return min(1.0, detections * k / queries)


def dsr_ceiling(queries: int, k: int, young: Young) -> float:
    """Highest :func:`dsr` that any detector can reach whose memory is cleared on alarm.

    It alarms whenever it may. The query that alarms is withheld, not remembered, so one alarm
    takes k + 1 queries for ``wait`` (k to fill the memory) and two for ``score`` (one to
    compare with). With k = 75: .75 for 300 queries and .5 for 150, where the paper claims .98
    (CS) and .847 (DW); so its numbers are not those of ``wait`` on streams of that length.

    Parameters
    ----------
    queries : queries of the attack, >= 1.
    k : depth of the memory, queries, >= 1.
    young : what the detector does before the memory is full.
    """
    remembered = k if young == "wait" else 1
    return dsr(queries // (remembered + 1), queries, k)


def snr_db(carrier: Signal, perturbation: Signal) -> float:
    """Level of the carrier over the perturbation, dB (the ratio in Eq. 14).

    "Amplitude" is read as the root mean square over the whole clip.

    Parameters
    ----------
    carrier, perturbation : shape (n,), float32; x and delta, neither all zeros.

    Raises
    ------
    ValueError
        One of them is silent: there is no ratio.
    """
    above, below = rms(carrier), rms(perturbation)
    if above <= 0.0 or below <= 0.0:
        raise ValueError("the carrier or the perturbation is silent")
    return 20.0 * math.log10(above / below)


def fsnr_db(stream: Stream, alarms: Iterable[int]) -> float | None:
    """First signal-to-noise ratio, Eq. 14: the SNR of the query at which the attack is detected.

    Parameters
    ----------
    stream : what was attacked with.
    alarms : indices into its queries that alarmed, in any order.

    Returns
    -------
    float | None
        dB; None where nothing alarmed, or the first query to alarm has no known SNR: it is the
        carrier as it was, or went through an evasion. Alarms at fake queries do not count.
    """
    for index in sorted(alarms):
        query = stream.queries[index]
        if not query.fake:
            return query.snr_db
    return None
