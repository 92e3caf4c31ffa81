"""Equal error rate over how many people a network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np

from earmark_host.bench.report import Metric, Row
from earmark_host.bench.speaker.learning import Plan, Scored, Seen
from earmark_host.bench.speaker.open_figures import ends, frr, rate
from earmark_host.speaker.trials import curve


def figures(
    results: Sequence[Seen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count; a metric would be named after checkpoints, so there is none."""
    del plan
    rng = np.random.default_rng([seed, *b"figures of learning"])
    scored = sorted(chain.from_iterable(results), key=lambda each: (each.arm.people, each.arm.ear))
    rows = [_row(each, rng) for each in scored if each.trials.usable]
    return [], {"open_learning": rows} if rows else {}


def _row(scored: Scored, rng: np.random.Generator) -> Row:
    at = curve(scored.trials)
    low_high = ends(scored.trials, rate, rng)
    return {
        "checkpoint": scored.arm.ear,
        "arm": scored.arm.arm,
        "trained_on": scored.arm.people,
        "eer_share": rate(at),
        "ci95": None if low_high is None else list(low_high),
        "frr_at_far_1_share": frr(at),
        "people": scored.trials.people,
        "genuine": scored.trials.genuine.size,
        "impostors": scored.trials.impostor.size,
    }
