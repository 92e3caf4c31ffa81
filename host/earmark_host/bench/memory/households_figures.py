"""What the households come to: false alarms of every mode, and exact repeats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark.memory import shipped
from earmark.memory.paper import CARRIERS, PaperFingerprint, scores
from earmark_host.bench.memory.households import (
    FLAGS,
    HomeSeen,
    MachineSeen,
    Plan,
    PoolSeen,
    Seen,
)
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.memory.random_streams import similarities, windows

DEFAULT = FLAGS[0]
"""The reading that ``paper_fpr`` is of: clip, no input noise."""


def figures(
    results: Sequence[Seen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    homes = [home for each in results if isinstance(each, list) for home in each]
    machines = [each for each in results if isinstance(each, MachineSeen)]
    pools = [each for each in results if isinstance(each, PoolSeen)]
    rng = np.random.default_rng([seed, *b"figures of households"])
    streamed, streamed_rows = _streamed(pools, plan.windows, rng)
    humans = sum(home.queries for home in homes)
    metrics = [
        Metric.share("neighbours_fpr", sum(home.withheld for home in homes), humans),
        Metric.share("neighbours_near_copies", sum(home.near for home in homes), humans),
        *streamed,
        *(
            Metric.share(
                f"carrier_right_{carrier}",
                sum(each.right for each in pools if each.carrier == carrier),
                sum(_count(each) for each in pools if each.carrier == carrier),
            )
            for carrier in CARRIERS
        ),
    ]
    tables = {
        "households": _households(homes),
        "false_alarms_paper": [*streamed_rows, *_paper_at_home(homes)],
        "exact_repeats": _machines(machines),
    }
    return metrics, tables


def _count(pool: PoolSeen) -> int:
    return len(next(iter(pool.paper.values())))


def _households(homes: Sequence[HomeSeen]) -> list[Row]:
    rows: list[Row] = []
    for kind in sorted({home.kind for home in homes}):
        mine = [home for home in homes if home.kind == kind]
        queries = sum(home.queries for home in mine)
        means = [home.highest_mean for home in mine if home.highest_mean is not None]
        rows.append(
            {
                "household": kind,
                "households": len(mine),
                "recordings_each": sum(home.recordings for home in mine) / len(mine),
                "with_near_copy": sum(home.near for home in mine),
                "withheld": sum(home.withheld for home in mine),
                "highest_mean": max(means, default=None),
                "taken_for_music": sum(home.music for home in mine),
                **share_columns(sum(home.withheld for home in mine), queries, "withheld_share"),
            }
        )
    return rows


def _streamed(
    pools: Sequence[PoolSeen], count: int, rng: np.random.Generator
) -> tuple[list[Metric], list[Row]]:
    """False alarms where all recordings are streamed at random, each flag and class."""
    table = shipped()
    metrics: list[Metric] = []
    rows: list[Row] = []
    for carrier in CARRIERS:
        mine = [each for each in pools if each.carrier == carrier]
        owners, of = np.unique(
            [owner for each in mine for owner in each.owners], return_inverse=True
        )
        for noise_db in dict.fromkeys(flags.input_noise_snr_db for flags in FLAGS):
            marks: list[PaperFingerprint] = [mark for pool in mine for mark in pool.paper[noise_db]]
            for flags in FLAGS:
                if flags.input_noise_snr_db != noise_db or len(marks) <= flags.depth:
                    continue
                queries, similar = windows(similarities(marks), flags.depth, count, rng)
                alarms = (
                    scores(similar, flags.weights, flags.depth) > table.paper_for(flags)[carrier]
                )
                # Recordings of one person, or slices of one tune, are not independent.
                hits = np.bincount(of[queries[alarms]], minlength=len(owners))
                every = np.bincount(of[queries], minlength=len(owners))
                metric = Metric.ratio(f"paper_fpr_{carrier}", list(hits), list(every), rng)
                if flags == DEFAULT:
                    metrics.append(metric)
                rows.append(
                    {
                        "queries": f"{carrier}, random streams",
                        "weights": flags.weights,
                        "input_noise_db": noise_db,
                        "alarm_share": metric.value,
                        "ci95": None if metric.ci95 is None else list(metric.ci95),
                        "n": metric.n,
                        "recordings": len(marks),
                        "people_or_tunes": len(owners),
                    }
                )
    speech = [metric for metric in metrics if metric.name == "paper_fpr_speech"]
    whole = [Metric("paper_fpr", each.value, each.unit, each.ci95, each.n) for each in speech]
    return [*whole, *metrics], rows


def _paper_at_home(homes: Sequence[HomeSeen]) -> list[Row]:
    rows: list[Row] = []
    for same in (True, False):
        mine = [home for home in homes if (home.kind == "same_phrase") is same]
        for index, flags in enumerate(FLAGS):
            alarms = sum(home.paper[index][0] for home in mine)
            verdicts = sum(home.paper[index][1] for home in mine)
            if not verdicts:  # no household was long enough to fill the paper's memory
                continue
            row = share_columns(alarms, verdicts, "alarm_share")
            rows.append(
                {
                    "queries": "households of one phrase" if same else "other households",
                    "weights": flags.weights,
                    "input_noise_db": flags.input_noise_snr_db,
                    "alarm_share": row["alarm_share"],
                    "ci95": row["ci95"],
                    "n": row["n"],
                    "recordings": None,
                    "people_or_tunes": None,
                }
            )
    return rows


def _machines(machines: Sequence[MachineSeen]) -> list[Row]:
    rows: list[Row] = []
    for kind in sorted({each.kind for each in machines}):
        mine = [each for each in machines if each.kind == kind]
        alarms = [each.alarm for each in mine if each.alarm is not None]
        rows.append(
            {
                "machine": kind,
                "machines": len(mine),
                "withheld_at_some_time": len(alarms),
                "first_withheld_hearing": float(np.median(alarms)) if alarms else None,
                **share_columns(
                    sum(each.passed for each in mine),
                    sum(each.hearings for each in mine),
                    "passed_once_approved_share",
                ),
            }
        )
    return rows
