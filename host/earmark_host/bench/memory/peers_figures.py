"""What the fingerprints come to, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark_host.bench.memory.peers import (
    HomeSeen,
    PairsSeen,
    Plan,
    Seen,
    StreamSeen,
)
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.memory.peers import landmarks_installed

BY_QUERY = 12
"""An alarm counts as in time until this query of an attack."""

LEFT_OUT = "landmarks"
"""The peer whose library may be missing."""


def figures(
    results: Sequence[Seen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    compared = [each for each in results if isinstance(each, PairsSeen)]
    streams = [each for each in results if isinstance(each, StreamSeen)]
    homes = [each for each in results if isinstance(each, HomeSeen)]
    names = list(compared[0].limits) if compared else []
    metrics = [
        metric
        for name in names
        for metric in (
            Metric.share(
                f"peer_{name}_by_12",
                sum(_in_time(each, name) for each in streams if each.evasion == "none"),
                sum(each.evasion == "none" for each in streams),
            ),
            Metric.share(
                f"peer_{name}_fpr",
                sum(each.alarms[name] for each in homes),
                sum(each.queries for each in homes),
            ),
        )
    ]
    tables = {
        "peers": _limits(compared),
        "peer_robustness": _robustness(compared, names),
        "peer_streams": _streams(streams, names),
        "peer_households": _homes(homes, names),
    }
    return metrics, tables


def _limits(compared: Sequence[PairsSeen]) -> list[Row]:
    rows: list[Row] = [
        {
            "fingerprint": name,
            "threshold": limit.tau,
            "set_by": f"{limit.pairs} pairs of benign recordings" if limit.pairs else "as shipped",
        }
        for name, limit in (compared[0].limits if compared else {}).items()
    ]
    if not landmarks_installed():
        rows.append(
            {"fingerprint": LEFT_OUT, "threshold": None, "set_by": "left out: not installed"}
        )
    return rows


def _robustness(compared: Sequence[PairsSeen], names: Sequence[str]) -> list[Row]:
    """Share of the pairs that are taken for near-copies; of `retake` and `different` none are."""
    conditions = dict.fromkeys(
        condition for each in compared for name in names for condition in each.shares[name]
    )
    rows: list[Row] = []
    for condition in conditions:
        for name in names:
            found = [each.shares[name] for each in compared if condition in each.shares[name]]
            rows.append(
                {
                    "condition": condition,
                    "fingerprint": name,
                    **share_columns(
                        sum(each[condition].above for each in found),
                        sum(each[condition].pairs for each in found),
                        "near_copy_share",
                    ),
                }
            )
    return rows


def _streams(streams: Sequence[StreamSeen], names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for evasion in dict.fromkeys(each.evasion for each in streams):
        mine = [each for each in streams if each.evasion == evasion]
        for name in names:
            alarms = [at for each in mine if (at := each.alarms[name]) is not None]
            rows.append(
                {
                    "evasion": evasion,
                    "fingerprint": name,
                    "first_alarm": float(np.median(alarms)) if alarms else None,
                    **share_columns(
                        sum(_in_time(each, name) for each in mine), len(mine), "by_12_share"
                    ),
                }
            )
    return rows


def _in_time(stream: StreamSeen, name: str) -> bool:
    alarm = stream.alarms[name]
    return alarm is not None and alarm <= BY_QUERY


def _homes(homes: Sequence[HomeSeen], names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for kind in dict.fromkeys(each.kind for each in homes):
        mine = [each for each in homes if each.kind == kind]
        for name in names:
            rows.append(
                {
                    "household": kind,
                    "fingerprint": name,
                    **share_columns(
                        sum(each.alarms[name] for each in mine),
                        sum(each.queries for each in mine),
                        "alarm_share",
                    ),
                    "near_pairs": sum(each.copies[name] for each in mine),
                    "pairs": sum(each.pairs for each in mine),
                }
            )
    return rows
