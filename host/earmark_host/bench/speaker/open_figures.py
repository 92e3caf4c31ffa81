"""How well people are told from strangers: equal error rates, the device's own limits, attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from earmark_host.bench.report import Metric, Row
from earmark_host.bench.speaker.open import Decided, Plan, PushedSeen, Scored, Scoring, Seen
from earmark_host.bench.speaker.setup import DEVICE
from earmark_host.bench.statistics import Interval, proportion_interval, ratio_interval
from earmark_host.speaker.trials import (
    FAR,
    Curve,
    Trials,
    curve,
    equal_error,
    interval,
    rejected_at,
)

HEADLINE: Mapping[str, tuple[str, Scoring]] = {
    DEVICE: ("open_eer", "device"),
    "resemblyzer": ("open_eer_resemblyzer", "cosine"),
    "campplus": ("open_eer_campplus", "cosine"),
}
"""By what hears: its metric, and how it is scored for it."""

POINTS = 40
"""Points of a curve in the report, at most."""

BINS = 25
"""Bars of a histogram of scores."""


def figures(
    results: Sequence[Seen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    del plan
    rng = np.random.default_rng([seed, *b"figures of open"])
    lists = list(chain.from_iterable(each for each in results if isinstance(each, list)))
    scored = [each for each in lists if isinstance(each, Scored)]
    decided = [each for each in lists if isinstance(each, Decided)]
    pushed = [each for each in results if isinstance(each, PushedSeen)]
    pooled = {
        (ear, scoring): Trials.joined(
            [s.trials for s in scored if (s.ear, s.scoring, s.kind) == (ear, scoring, "sentences")]
        )
        for ear, scoring in dict.fromkeys((each.ear, each.scoring) for each in scored)
    }
    metrics = [
        metric
        for ear, (name, scoring) in HEADLINE.items()
        for metric in _metrics(name, pooled.get((ear, scoring)), rng)
    ]
    tables = {
        "open_set": [
            *(_row(e, s, "all sentences", False, t, rng) for (e, s), t in pooled.items()),
            *(_row(s.ear, s.scoring, s.group, s.sittings, s.trials, rng) for s in scored),
        ],
        "open_decision": [_decision(each, rng) for each in decided],
        "open_attacked": _attacked(pushed, pooled),
        "open_det": [
            row for (e, s), t in pooled.items() if t.usable for row in _det(e, s, curve(t))
        ],
        "open_scores": [
            row for (e, s), t in pooled.items() if t.usable for row in _histogram(e, s, t)
        ],
    }
    return metrics, {name: rows for name, rows in tables.items() if rows}


def rate(at: Curve) -> float:
    """The equal error rate."""
    return equal_error(at)[0]


def frr(at: Curve) -> float:
    """False rejects at :data:`FAR`."""
    return rejected_at(at)[0]


def ends(trials: Trials, of: Callable[[Curve], float], rng: np.random.Generator) -> Interval | None:
    """The interval of a rate over people; where there was no error, what that many people say."""
    found = interval(trials, of, rng)
    if found == (0.0, 0.0):
        return 0.0, proportion_interval(0, trials.people)[1]
    return found


def _metrics(name: str, trials: Trials | None, rng: np.random.Generator) -> list[Metric]:
    """The equal error rate and the false rejects at 1 %; `n` are genuine trials."""
    second = name.replace("eer", "frr_at_far_1")
    if trials is None or not trials.usable:
        return [Metric.share(each, 0, 0) for each in (name, second)]
    at, n = curve(trials), trials.genuine.size
    return [
        Metric(each, of(at), "share", ends(trials, of, rng), n)
        for each, of in ((name, rate), (second, frr))
    ]


def _row(
    ear: str, scoring: str, group: str, sittings: bool, trials: Trials, rng: np.random.Generator
) -> Row:
    at = curve(trials) if trials.usable else None
    low_high = ends(trials, rate, rng) if at is not None else None
    return {
        "heard_by": ear,
        "scored_by": scoring,
        "recordings": group,
        "people": trials.people,
        "eer_share": None if at is None else rate(at),
        "ci95": None if low_high is None else list(low_high),
        "frr_at_far_1_share": None if at is None else frr(at),
        "genuine": trials.genuine.size,
        "impostors": trials.impostor.size,
        "other_sitting": sittings if group != "all sentences" else None,
    }


def _decision(seen: Decided, rng: np.random.Generator) -> Row:
    refused, own, let_in, strangers = (
        list(map(float, each)) for each in zip(*seen.people, strict=True)
    )
    frr_ends = ratio_interval(refused, own, rng)
    far_ends = ratio_interval(let_in, strangers, rng)
    return {
        "recordings": seen.group,
        "people": len(seen.people),
        "frr_share": sum(refused) / sum(own),
        "frr_ci95_percent": [round(100.0 * end, 1) for end in frr_ends],
        "own": round(sum(own)),
        "far_share": sum(let_in) / sum(strangers),
        "far_ci95_percent": [round(100.0 * end, 1) for end in far_ends],
        "strangers": round(sum(strangers)),
    }


def _attacked(
    pushed: Sequence[PushedSeen], pooled: Mapping[tuple[str, Scoring], Trials]
) -> list[Row]:
    """Against the limits that clean trials give: at equal errors, and at 1 % false accepts."""
    rows: list[Row] = []
    for (ear, scoring), trials in pooled.items():
        if not trials.usable:
            continue
        at = curve(trials)
        limits = {"equal error": equal_error(at)[1], f"FAR {FAR:.0%}": rejected_at(at)[1]}
        for side, label in (("impostor", "stranger let in"), ("own", "person refused")):
            mine = [each for each in pushed if (each.ear, each.side) == (ear, side)]
            before = np.asarray([each.before[scoring] for each in mine if scoring in each.before])
            after = np.asarray([each.after[scoring] for each in mine if scoring in each.after])
            for limit, value in limits.items() if after.size else ():
                let = np.greater_equal if side == "impostor" else np.less
                hits = int(let(after, value).sum())
                metric = Metric.share("", hits, after.size)
                rows.append(
                    {
                        "heard_by": ear,
                        "scored_by": scoring,
                        "attack": label,
                        "limit": limit,
                        "clean_share": float(let(before, value).mean()),
                        "attacked_share": metric.value,
                        "ci95": None if metric.ci95 is None else list(metric.ci95),
                        "n": metric.n,
                    }
                )
    return rows


def _det(ear: str, scoring: str, at: Curve) -> list[Row]:
    """Some points of the curve, equally far apart along it."""
    way = np.arange(at.far.size)
    chosen = np.unique(np.linspace(0, way[-1], min(POINTS, way.size)).round().astype(int))
    # Most thresholds lie among the impostors; as many among the people.
    spread = np.searchsorted(at.frr, np.linspace(0.0, 1.0, POINTS // 2))
    places = np.union1d(chosen, np.minimum(spread, way[-1]))
    return [
        {
            "heard_by": ear,
            "scored_by": scoring,
            "far": float(at.far[place]),
            "missed": float(at.frr[place]),
        }
        for place in places
    ]


def _histogram(ear: str, scoring: str, trials: Trials) -> list[Row]:
    edges = np.linspace(trials.scores.min(), trials.scores.max() + 1e-9, BINS + 1)
    own, other = (
        np.histogram(each, edges)[0] / each.size for each in (trials.genuine, trials.impostor)
    )
    return [
        {
            "heard_by": ear,
            "scored_by": scoring,
            "from": float(edges[place]),
            "to": float(edges[place + 1]),
            "own_share": float(own[place]),
            "others_share": float(other[place]),
        }
        for place in range(BINS)
    ]
