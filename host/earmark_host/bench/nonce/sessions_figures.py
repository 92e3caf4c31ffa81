"""The metrics and tables of the sessions of ``bench nonce``, counted from their results."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from earmark_host.bench.nonce.sessions import (
    Judged,
    LiveResult,
    Plan,
    Replay,
    Result,
    VictimResult,
    WithoutResult,
)
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.bench.stage import Environment
from earmark_host.bench.trials import RECORDERS

NAMED_DBSPL_1M = 50.0
"""Loudness of the nonces at which it is counted whether the time of recording is named."""

NAMED_WITHIN_S = 1.0
"""A time of recording counts as named when it is this close to the true one, s."""

OLD_NONCE_S = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 10.0)
"""Edges of the groups in which replays are counted by the old nonce that they hold, s. One slot
of codes lasts 0.256 s, the whole nonce 2.05 s."""

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


def figures(
    results: Sequence[Result], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Everything that the sessions show."""
    live = [each for each in results if isinstance(each, LiveResult)]
    without = [each for each in results if isinstance(each, WithoutResult)]
    victims = [each for each in results if isinstance(each, VictimResult)]
    replays = [replay for each in victims for replay in each.replays]
    people = [each.judged for each in live] + [each.judged for each in victims]
    refused = sum(not each.judged.allowed for each in live)
    metrics = [
        Metric.share("current_frr", refused, len(live)),
        Metric.share(
            "current_accepts_without", sum(each.judged.allowed for each in without), len(without)
        ),
        *_detected(replays, plan),
        Metric.share("stale_false_alarm", sum(each.found for each in people), len(people)),
        _time_named(replays, np.random.default_rng([seed, *b"time named"])),
    ]
    made = {
        **_live_tables(live),
        "current_accepts_without_by_kind": _without_table(without),
        "wrong_bank_finds": [_foreign(live)] if live else [],
        **_stale_tables(replays, plan),
        "undetermined": _undetermined(live, replays),
        "stale_by_issued": _by_issued(replays),
    }
    return metrics, {name: rows for name, rows in made.items() if rows}


# -- the current nonce ----------------------------------------------------------------------


def _live_tables(live: Sequence[LiveResult]) -> dict[str, list[Row]]:
    return {
        "current_by_environment": [
            {"environment": environment.value, **_frr(some)}
            for environment, some in _grouped(live, lambda each: each.asked.environment)
        ],
        "current_by_distance": [
            {"distance_m": distance, **_frr(some)}
            for distance, some in _grouped(live, lambda each: each.asked.distance_m)
        ],
        "current_by_clock": [
            {"clocks": "two" if two else "one", **_frr(some)}
            for two, some in _grouped(live, lambda each: each.own_clocks)
        ],
        "current_by_role": [
            {"role": role, **_frr(some)} for role, some in _grouped(live, lambda each: each.role)
        ],
        "current_refused": [
            {
                "environment": each.asked.environment.value,
                "distance_m": each.asked.distance_m,
                "index": each.asked.index,
                "reason": each.judged.reason,
                "clip": each.clip,
                "command_s": round(each.command_s, 2),
            }
            for each in live
            if not each.judged.allowed
        ],
    }


def _frr(some: Sequence[LiveResult]) -> Row:
    refused = sum(not each.judged.allowed for each in some)
    suppression_db = [each.judged.suppression_db for each in some]
    return {
        "rejects": refused,
        **share_columns(refused, len(some), "frr"),
        "nonce_failed": sum(not each.judged.nonce_passed for each in some),
        "undetermined": sum(each.judged.undetermined for each in some),
        "false_alarms": sum(each.judged.found for each in some),
        "suppression_db_median": float(np.median(suppression_db)),
    }


def _without_table(without: Sequence[WithoutResult]) -> list[Row]:
    rows: list[Row] = []
    for (missing, two), some in _grouped(
        without, lambda each: (each.asked.missing, each.own_clocks)
    ):
        accepts = sum(each.judged.allowed for each in some)
        reasons = Counter(each.judged.reason for each in some)
        rows.append(
            {
                "instead": missing.value,
                "clocks": "two" if two else "one",
                "accepts": accepts,
                **share_columns(accepts, len(some), "accept_share"),
                # Were there no stale search, so many would have come through.
                "nonce_passed": sum(each.judged.nonce_passed for each in some),
                "reasons": ", ".join(f"{name} {n}" for name, n in sorted(reasons.items())),
            }
        )
    return rows


def _foreign(live: Sequence[LiveResult]) -> Row:
    """Searches with foreign keys; those of one recording count as independent, as the keys are."""
    finds, n = sum(each.foreign_finds for each in live), sum(each.foreign for each in live)
    return {"finds": finds, **share_columns(finds, n, "find_share")}


# -- old nonces -----------------------------------------------------------------------------


def _detected(replays: Sequence[Replay], plan: Plan) -> list[Metric]:
    metrics = []
    for level in sorted(plan.levels_dbspl_1m, reverse=True):
        for recorder in RECORDERS:
            some = [
                each
                for each in _sentences(replays)
                if each.asked.level_dbspl_1m == level and each.recorder == recorder
            ]
            found = sum(each.judged.found for each in some)
            metrics.append(Metric.share(f"stale_detect_{recorder}_{level:g}", found, len(some)))
    return metrics


def _time_named(replays: Sequence[Replay], rng: np.random.Generator) -> Metric:
    """At 50 dB SPL. The recordings of one session are no independent observations."""
    found = [
        each
        for each in _sentences(replays)
        if each.asked.level_dbspl_1m == NAMED_DBSPL_1M and each.judged.found
    ]
    by_victim = [some for _, some in _grouped(found, lambda each: each.asked)]
    return Metric.ratio(
        f"stale_time_named_{NAMED_DBSPL_1M:g}",
        [sum(_named_in_time(each) for each in some) for some in by_victim],
        [len(some) for some in by_victim],
        rng,
    )


def _stale_tables(replays: Sequence[Replay], plan: Plan) -> dict[str, list[Row]]:
    sentences = _sentences(replays)
    words = [each for each in replays if each.asked.word]
    headline = [
        each for each in (*sentences, *words) if each.asked.level_dbspl_1m in plan.levels_dbspl_1m
    ]
    beside = [each for each in replays if len(each.asked.environments) > 1]
    return {
        "stale_by_level": [
            {"nonce_dbspl_1m": level, "recorder": recorder, **_recognised(some)}
            for (level, recorder), some in _grouped(sentences, _level_and_recorder)
        ],
        "stale_words": [
            {"nonce_dbspl_1m": level, "recorder": recorder, **_recognised(some)}
            for (level, recorder), some in _grouped(words, _level_and_recorder)
        ],
        "stale_by_old_nonce_s": _by_length(headline),
        "stale_by_environment": [
            {
                "environment": environment.value,
                "nonce_dbspl_1m": level,
                "recorder": recorder,
                **_recognised(some),
            }
            for (environment, level, recorder), some in _grouped(
                beside,
                lambda each: (each.environment, each.asked.level_dbspl_1m, each.recorder),
            )
        ],
        "stale_by_loudspeaker": [
            {"nonce_dbspl_1m": level, "loudspeaker": enclosure, **_recognised(some)}
            for (level, enclosure), some in _grouped(
                sentences, lambda each: (each.asked.level_dbspl_1m, each.enclosure)
            )
        ],
        "stale_by_clock": [
            {"nonce_dbspl_1m": level, "clocks": "two" if two else "one", **_recognised(some)}
            for (level, two), some in _grouped(
                sentences, lambda each: (each.asked.level_dbspl_1m, each.own_clocks)
            )
        ],
    }


def _by_length(replays: Sequence[Replay]) -> list[Row]:
    """How replays fare by how much of the old nonce they hold; sentences and words together."""
    rows: list[Row] = []
    for level, at_level in _grouped(replays, lambda each: each.asked.level_dbspl_1m):
        for low, high in itertools.pairwise(OLD_NONCE_S):
            some = [each for each in at_level if low <= each.old_nonce_s < high]
            if some:
                rows.append(
                    {
                        "nonce_dbspl_1m": level,
                        "old_nonce_s": f"{low:g} to {high:g}",
                        **_recognised(some),
                    }
                )
    return rows


def _recognised(some: Sequence[Replay]) -> Row:
    found = [each for each in some if each.judged.found]
    evidence = [each.judged.evidence for each in some]
    return {
        **share_columns(len(found), len(some), "found_share"),
        "named_share": sum(each.session_named for each in found) / len(found) if found else None,
        "time_named_share": sum(map(_named_in_time, found)) / len(found) if found else None,
        "undetermined": sum(each.judged.undetermined for each in some),
        "allowed": sum(each.judged.allowed for each in some),
        "evidence_median": float(np.median(evidence)),
    }


def _undetermined(people: Sequence[LiveResult], replays: Sequence[Replay]) -> list[Row]:
    """How often the canceller did not go deep enough for the search to say anything."""
    cells: list[tuple[str, float | None, bool, list[Judged]]] = [
        ("current", None, two, [each.judged for each in some])
        for two, some in _grouped(people, lambda each: each.own_clocks)
    ]
    cells += [
        ("replay", level, two, [each.judged for each in some])
        for (level, two), some in _grouped(
            replays, lambda each: (each.asked.level_dbspl_1m, each.own_clocks)
        )
    ]
    rows: list[Row] = []
    for session, level, two, some in cells:
        raised_db = [each.self_noise_db for each in some]
        count = sum(each.undetermined for each in some)
        rows.append(
            {
                "session": session,
                "nonce_dbspl_1m": level,
                "clocks": "two" if two else "one",
                "undetermined": count,
                **share_columns(count, len(some), "undetermined_share"),
                "self_noise_db_median": float(np.median(raised_db)),
                "self_noise_db_p99": float(np.quantile(raised_db, 0.99)),
            }
        )
    return rows


def _by_issued(replays: Sequence[Replay]) -> list[Row]:
    """The same replays with ever more nonces in the ledger."""
    counted = [each for replay in replays for each in replay.counted]
    rows: list[Row] = []
    for issued, some in _grouped(counted, lambda each: each.issued):
        found = sum(each.found for each in some)
        cpu_ms = [1e3 * each.cpu_s for each in some]
        rows.append(
            {
                "issued": issued,
                **share_columns(found, len(some), "found_share"),
                "session_named": sum(each.session_named for each in some),
                "cpu_ms_median": float(np.median(cpu_ms)),
            }
        )
    return rows


# -- helpers --------------------------------------------------------------------------------


def _sentences(replays: Sequence[Replay]) -> list[Replay]:
    """Those of sentences, replayed in a quiet room."""
    return [
        each for each in replays if not each.asked.word and each.environment is Environment.QUIET
    ]


def _level_and_recorder(replay: Replay) -> tuple[float, str]:
    return replay.asked.level_dbspl_1m, replay.recorder


def _named_in_time(replay: Replay) -> bool:
    """The right session was named, and the time of recording well enough."""
    error_s = replay.time_error_s
    return replay.session_named and error_s is not None and abs(error_s) <= NAMED_WITHIN_S


def _grouped(some: Iterable[_T], key: Callable[[_T], _K]) -> list[tuple[_K, list[_T]]]:
    """What has the same key, in the order in which the keys come first."""
    groups: dict[_K, list[_T]] = {}
    for each in some:
        groups.setdefault(key(each), []).append(each)
    return list(groups.items())
