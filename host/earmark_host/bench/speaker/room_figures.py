"""What a room and the nonce take away from the names, by distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from earmark_host.bench.report import Metric, Row
from earmark_host.bench.speaker.room import Plan, Result, Seen
from earmark_host.bench.statistics import RESAMPLES, Interval, proportion_interval

AT_M = 2.0
"""Distance of the metric, m."""

COLUMNS = ("dry_share", "room_share", "forwarded_share")
"""Named rightly: dry, in the room without any nonce, and by what was forwarded."""


def figures(
    results: Sequence[Result], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count; a drop is of the same clips, so its interval is that of pairs, over people."""
    del plan
    rng = np.random.default_rng([seed, *b"figures of room"])
    seen = [each for each in results if each is not None]
    rows: list[Row] = []
    metrics = [Metric("room_clean_drop_points", None, "points", None, 0)]
    for distance in sorted({each.distance_m for each in seen}):
        mine = [each for each in seen if each.distance_m == distance]
        named = np.asarray([each.named for each in mine], np.float64)
        drop, ends = _drop(mine, named[:, 0] - named[:, 2], rng)
        if distance == AT_M:
            metrics = [Metric("room_clean_drop_points", drop, "points", ends, len(mine))]
        likeness = np.median(np.asarray([each.likeness for each in mine]), axis=0)
        rows.append(
            {
                "distance_m": distance,
                **{name: float(named[:, k].mean()) for k, name in enumerate(COLUMNS)},
                "drop_points": drop,
                "drop_ci95_points": [round(end, 2) for end in ends],
                "room_cosine": float(likeness[0]),
                "forwarded_cosine": float(likeness[1]),
                "n": len(mine),
            }
        )
    return metrics, {"room": rows} if rows else {}


def _drop(
    seen: Sequence[Seen], lost: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, Interval]:
    """Mean of `lost` in points, and its bootstrap interval over people.

    Where no clip was named differently, what that many clips say about a change one way.
    """
    if not lost.any():
        most = 100.0 * proportion_interval(0, lost.size)[1]
        return 0.0, (-most, most)
    people = sorted({each.person for each in seen})
    place = {person: k for k, person in enumerate(people)}
    whose = [place[each.person] for each in seen]
    sums = np.bincount(whose, lost, len(people))
    clips = np.bincount(whose, minlength=len(people))
    drawn = rng.integers(0, len(people), (RESAMPLES, len(people)))
    low, high = np.quantile(sums[drawn].sum(1) / clips[drawn].sum(1), (0.025, 0.975))
    return 100.0 * float(lost.mean()), (100.0 * float(low), 100.0 * float(high))
