"""A stream of queries: what a device hears from a household, or from an attacker, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from earmark.memory import CarrierKind
from earmark.signal import Signal


@dataclass(frozen=True, eq=False)
class Query:
    """One command as the device heard it.

    Parameters
    ----------
    signal : shape (n,), float32 at 16 kHz: after room and noise, where there are any.
    at_s : when, s from the beginning of the stream; never falls.
    fake : True for a query that an attacker put in to hide the others (query memory paper,
        section "Adaptive attack evaluation", A2); always False in a household.
    snr_db : level of the carrier over the attacker's perturbation, dB, before any room (Eq. 14);
        None where there is no perturbation.
    """

    signal: Signal
    at_s: float
    fake: bool = False
    snr_db: float | None = None


@dataclass(frozen=True, eq=False)
class Stream:
    """Queries in the order in which they came.

    Parameters
    ----------
    name : which attack or household, a key in reports.
    carrier : what it started from.
    queries : all of them.
    won_at : index into `queries` of the first one that did what the attacker wanted; None when
        none did, or nobody can tell (a simulated stream).
    facts : what else a report should say: victim, target, channel; JSON values.
    """

    name: str
    carrier: CarrierKind
    queries: Sequence[Query]
    won_at: int | None = None
    facts: dict[str, object] = field(default_factory=dict)
