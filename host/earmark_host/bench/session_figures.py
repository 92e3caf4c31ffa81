"""The metrics and tables of ``bench session``, counted from its trials."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from earmark.gate import Reason
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.bench.stage import Environment
from earmark_host.bench.trials import (
    RECORDERS,
    LiveTrial,
    NoNonce,
    ReplayTrial,
    Seen,
    Trial,
    UnprotectedTrial,
)

CUT_SHORT_S = 0.5
"""A command counts as cut short when the endpointer saw its last speech this long before its
end, s: more than its own error of 0.2 s, about a word."""

RECOGNISED = (Reason.REPLAY.value, Reason.INTERFERENCE.value)
"""Reasons that call a replay by its name."""

NONCE_S = (0.0, 0.2, 0.4, 0.6, 1.0, 1.6, 3.0, 10.0)
"""Edges of the groups in which replays are counted by the nonce that they hold, s. 0.4 s are the
8 slots that the stale search needs at the default bit rate, 1.6 s one whole nonce."""

_T = TypeVar("_T", bound=Trial)
_K = TypeVar("_K", bound=Hashable)


def live_metrics(
    results: Sequence[Trial], environments: Sequence[Environment], rng: np.random.Generator
) -> list[Metric]:
    """False rejects, failures of the two checks, bit error rate.

    A false reject is a live session that did not end in ALLOW, for whatever reason.
    """
    live = _of(results, LiveTrial)
    judged = _seen(live)
    metrics = [Metric.share("live_frr", _refused(live), len(live))]
    for environment in environments:
        some = [trial for trial in live if trial.asked.environment is environment]
        metrics.append(Metric.share(f"live_frr_{environment.value}", _refused(some), len(some)))
    nonce_failed = sum(not seen.nonce_passed for seen in judged)
    stale_failed = sum(not seen.stale_passed for seen in judged)
    errors, slots = [seen.slot_errors for seen in judged], [seen.slots for seen in judged]
    return [
        *metrics,
        Metric.share("live_nonce_failures", nonce_failed, len(judged)),
        Metric.share("live_stale_alarms", stale_failed, len(judged)),
        Metric.ratio("ber", errors, slots, rng),
    ]


def no_nonce_metrics(results: Sequence[Trial]) -> list[Metric]:
    """Share of the sessions without their nonce that were allowed all the same."""
    held = _of(results, UnprotectedTrial)
    return [Metric.share("no_nonce_accepts", _accepted(held), len(held))]


def replay_metrics(results: Sequence[Trial], levels_dbspl_1m: Sequence[float]) -> list[Metric]:
    """Share of the replays that were allowed, by recorder and loudness of the nonce."""
    replays = _of(results, ReplayTrial)
    metrics = []
    for level in levels_dbspl_1m:
        for recorder in RECORDERS:
            some = [
                trial
                for trial in replays
                if trial.asked.level_dbspl_1m == level and trial.recorder == recorder
            ]
            name = f"replay_accept_{recorder}_{level:g}"
            metrics.append(Metric.share(name, _accepted(some), len(some)))
    return metrics


def cpu_metrics(results: Sequence[Trial]) -> list[Metric]:
    """CPU time of the decisions, over all sessions that were judged."""
    cpu_ms = [1e3 * seen.cpu_s for seen in _seen(results)]
    return [
        Metric.quantile("decision_cpu_ms_p50", cpu_ms, 0.5, "ms"),
        Metric.quantile("decision_cpu_ms_p99", cpu_ms, 0.99, "ms"),
    ]


def tables(results: Sequence[Trial]) -> dict[str, list[Row]]:
    """All tables for which there are trials."""
    live, unprotected = _of(results, LiveTrial), _of(results, UnprotectedTrial)
    replays = _of(results, ReplayTrial)
    made: dict[str, list[Row]] = {}
    if live:
        made |= _live_tables(live)
    if unprotected:
        made["no_nonce"] = _no_nonce_table(unprotected)
    if replays:
        made["replay"] = _replay_table(replays)
        made["replay_reasons"] = [
            {"nonce_dbspl_1m": level, "recorder": recorder, "reason": reason, "count": count}
            for (level, recorder, reason), count in _counted(
                (trial.asked.level_dbspl_1m, trial.recorder, trial.reason) for trial in replays
            )
        ]
        made["replay_by_nonce_in_recording"] = _replay_length_table(replays)
    return made


def _live_tables(live: Sequence[LiveTrial]) -> dict[str, list[Row]]:
    by_cell = _grouped(live, lambda t: (t.asked.environment.value, t.asked.distance_m))
    by_environment = _grouped(live, lambda t: t.asked.environment.value)
    by_hardware = _grouped(live, lambda t: (t.hardware.drift_ppm != 0, t.hardware.shift_hz != 0))
    by_clip = _grouped(live, lambda t: t.clip.role)
    refused = [trial for trial in live if not trial.accepted]
    return {
        "live_by_environment_and_distance": [
            {"environment": environment, "distance_m": distance, **_frr(some)}
            for (environment, distance), some in by_cell.items()
        ],
        "live_reasons": [
            {"reason": reason, "count": count}
            for reason, count in _counted(trial.reason for trial in refused)
        ],
        "live_reasons_by_cell": [
            {"environment": cell[0], "distance_m": cell[1], "reason": cell[2], "count": count}
            for cell, count in _counted(
                (t.asked.environment.value, t.asked.distance_m, t.reason) for t in refused
            )
        ],
        "live_by_hardware": [
            {"drift": drift, "shift": shift, **_frr(some)}
            for (drift, shift), some in by_hardware.items()
        ],
        "live_by_clip": [{"role": role, **_frr(some)} for role, some in by_clip.items()],
        "live_refused": [
            {
                "environment": trial.asked.environment.value,
                "distance_m": trial.asked.distance_m,
                "index": trial.asked.index,
                "reason": trial.reason,
                "clip": trial.clip.path,
                "command_s": round(trial.command_s, 2),
            }
            for trial in refused
        ],
        "live_nonce_check": [
            {"environment": environment, **_nonce_check(_seen(some))}
            for environment, some in by_environment.items()
        ],
        "live_endpointing": [
            {"environment": environment, "distance_m": distance, **_endpointing(some)}
            for (environment, distance), some in by_cell.items()
        ],
    }


def _frr(some: Sequence[Trial]) -> Row:
    return {"rejects": _refused(some), **share_columns(_refused(some), len(some), "frr")}


def _nonce_check(judged: Sequence[Seen]) -> Row:
    """How the nonce itself fared, in the sessions that came to a verdict."""
    failed = sum(not seen.nonce_passed for seen in judged)
    bits, slots = sum(seen.bits for seen in judged), sum(seen.slots for seen in judged)
    suppression_db = [seen.suppression_db for seen in judged]
    return {
        "failed": failed,
        **share_columns(failed, len(judged), "failed_share"),
        "ber_slots": sum(seen.slot_errors for seen in judged) / slots if slots else None,
        "ber_combined": sum(seen.bit_errors for seen in judged) / bits if bits else None,
        "suppression_db_median": float(np.median(suppression_db)) if judged else None,
        "suppression_db_p10": float(np.quantile(suppression_db, 0.1)) if judged else None,
    }


def _endpointing(some: Sequence[LiveTrial]) -> Row:
    """Where the endpointer ended the commands that it ended."""
    early_s = [seen.early_s for seen in _seen(some) if seen.early_s is not None]
    cut = sum(each > CUT_SHORT_S for each in early_s)
    return {
        "unheard": sum(trial.reason == Reason.NO_SPEECH.value for trial in some),
        "too_long": sum(trial.reason == Reason.TOO_LONG.value for trial in some),
        "cut_short": cut,
        "cut_short_share": cut / len(early_s) if early_s else None,
        "late_s_median": -float(np.median(early_s)) if early_s else None,
        "n": len(some),
    }


def _no_nonce_table(held: Sequence[UnprotectedTrial]) -> list[Row]:
    rows: list[Row] = []
    for kind in NoNonce:
        some = [trial for trial in held if trial.asked.kind is kind]
        reasons = dict(_counted(trial.reason for trial in some))
        rows.append(
            {
                "kind": kind.value,
                "accepts": _accepted(some),
                **share_columns(_accepted(some), len(some), "accept_share"),
                "reasons": ", ".join(f"{reason} {count}" for reason, count in reasons.items()),
            }
        )
    return rows


def _replay_table(replays: Sequence[ReplayTrial]) -> list[Row]:
    rows: list[Row] = []
    cells = _grouped(replays, lambda t: (t.asked.level_dbspl_1m, t.recorder))
    for (level, recorder), some in cells.items():
        recognised = [trial for trial in some if trial.reason in RECOGNISED]
        named = sum(trial.named_rightly for trial in recognised)
        rows.append(
            {
                "nonce_dbspl_1m": level,
                "recorder": recorder,
                "accepts": _accepted(some),
                **share_columns(_accepted(some), len(some), "accept_share"),
                "recognised_share": len(recognised) / len(some),
                "named_rightly_share": named / len(recognised) if recognised else None,
                "victims_allowed": sum(trial.victim_allowed for trial in some),
            }
        )
    return rows


def _replay_length_table(replays: Sequence[ReplayTrial]) -> list[Row]:
    """How replays fare by how much of the earlier nonce they hold."""
    rows: list[Row] = []
    for low, high in itertools.pairwise(NONCE_S):
        some = [trial for trial in replays if low <= trial.nonce_s < high]
        recognised = sum(trial.reason in RECOGNISED for trial in some)
        rows.append(
            {
                "nonce_s": f"{low:g} to {high:g}",
                "accepts": _accepted(some),
                **share_columns(_accepted(some), len(some), "accept_share"),
                "recognised_share": recognised / len(some) if some else None,
            }
        )
    return rows


def _of(results: Iterable[Trial], kind: type[_T]) -> list[_T]:
    return [trial for trial in results if isinstance(trial, kind)]


def _seen(results: Iterable[Trial]) -> list[Seen]:
    return [trial.seen for trial in results if trial.seen is not None]


def _accepted(some: Sequence[Trial]) -> int:
    return sum(trial.accepted for trial in some)


def _refused(some: Sequence[Trial]) -> int:
    return len(some) - _accepted(some)


def _counted(keys: Iterable[_K]) -> list[tuple[_K, int]]:
    """How often each key occurs, in the order of the keys."""
    return sorted(Counter(keys).items(), key=lambda item: str(item[0]))


def _grouped(some: Sequence[_T], key: Callable[[_T], _K]) -> dict[_K, list[_T]]:
    """The trials by `key`, in the order in which the keys come first."""
    groups: dict[_K, list[_T]] = {}
    for trial in some:
        groups.setdefault(key(trial), []).append(trial)
    return groups
