"""What naming people comes to: clean, in the worst case, by arm, and beside a peer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from earmark_host.bench.report import Metric, Row
from earmark_host.bench.speaker.closed import (
    WAYS,
    ArmSeen,
    CleanSeen,
    PeerSeen,
    Plan,
    Seen,
    WorstSeen,
)
from earmark_host.bench.speaker.setup import DEVICE, PARENT
from earmark_host.bench.statistics import RESAMPLES

COMPARED = {"hat10": "hat", "pgd10": "pgd_at", "standard": "standard", "fs10": "fs_at"}
"""Arms with a metric of their own, and its ending."""

PAPER_PGD40 = {"hat10": 0.7884, "pgd10": 0.7555, "fs10": 0.5319}
"""Claimed (Pal et al. 2021, Table 1): 251 people of LibriSpeech, eps .002, its own front-end."""

PEER = "resemblyzer"
"""The peer that is attacked."""

Tally: TypeAlias = tuple[str, bool]
"""Who spoke, and whether they were named."""


def figures(
    results: Sequence[Seen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    del plan
    rng = np.random.default_rng([seed, *b"figures of closed"])
    lists = list(chain.from_iterable(each for each in results if isinstance(each, list)))
    clean = [each for each in lists if isinstance(each, CleanSeen)]
    arms = [each for each in lists if isinstance(each, ArmSeen)]
    worst = [each for each in results if isinstance(each, WorstSeen)]
    peer = [each for each in results if isinstance(each, PeerSeen)]
    # Arms are compared that hear the same: those with the device's front-end, where there are any.
    alike = [each for each in arms if each.arm.front_end == "device"] or arms
    main = next((way for way in WAYS if any((s.cast, s.way) == way for s in clean)), WAYS[0])
    metrics = [
        *(_clean(f"closed_clean_{ear}", clean, (ear, *main), rng) for ear in (PARENT, DEVICE)),
        *(
            _share(
                f"closed_worst_{ear}",
                [(each.person, _held(each, ear)) for each in worst if ear in each.clean],
                rng,
            )
            for ear in (PARENT, DEVICE)
        ),
        *(
            _share(
                f"closed_pgd40_{ending}",
                [(each.person, each.robust) for each in alike if each.arm.arm == arm],
                rng,
            )
            for arm, ending in COMPARED.items()
        ),
        _clean(f"{PEER}_clean", clean, (PEER, main[0], "voiceprint"), rng),
        _share(f"{PEER}_pgd", [(each.person, each.robust) for each in peer], rng),
    ]
    tables = {
        "closed_set": [_clean_row(each, rng) for each in clean],
        "closed_attacks": _attacks(worst, rng),
        "closed_arms": _arms(arms, rng),
        "closed_arms_difference": _differences(alike, rng),
    }
    return metrics, {name: rows for name, rows in tables.items() if rows}


def _held(seen: WorstSeen, ear: str) -> bool:
    """Named rightly, clean and whatever was tried."""
    return seen.clean.get(ear, False) and all(seen.robust.get(ear, {}).values())


def _clean(
    name: str, clean: Sequence[CleanSeen], which: tuple[str, str, str], rng: np.random.Generator
) -> Metric:
    for each in clean:
        if (each.ear, each.cast, each.way) == which:
            return Metric.ratio(name, each.right, each.clips, rng)
    return Metric.share(name, 0, 0)


def _share(name: str, tallies: Sequence[Tally], rng: np.random.Generator) -> Metric:
    """Over clips; drawn again for the interval are people."""
    return Metric.ratio(name, *_by_person(tallies), rng)


def _by_person(tallies: Iterable[Tally]) -> tuple[list[float], list[float]]:
    right: dict[str, float] = {}
    clips: dict[str, float] = {}
    for person, hit in tallies:
        right[person] = right.get(person, 0.0) + hit
        clips[person] = clips.get(person, 0.0) + 1.0
    return list(right.values()), list(clips.values())


def _columns(tallies: Sequence[Tally], name: str, rng: np.random.Generator) -> Row:
    metric = _share(name, tallies, rng)
    ci95 = None if metric.ci95 is None else list(metric.ci95)
    return {name: metric.value, "ci95": ci95, "n": metric.n}


def _clean_row(seen: CleanSeen, rng: np.random.Generator) -> Row:
    metric = Metric.ratio("right_share", seen.right, seen.clips, rng)
    return {
        "heard_by": seen.ear,
        "people": {"known": "trained on", "others": "never met"}[seen.cast],
        "named_by": {"head": "logits", "voiceprint": "voiceprint"}[seen.way],
        "among": seen.among,
        "right_share": metric.value,
        "ci95": None if metric.ci95 is None else list(metric.ci95),
        "n": metric.n,
    }


def _attacks(worst: Sequence[WorstSeen], rng: np.random.Generator) -> list[Row]:
    """Of a clip that was misnamed to begin with no attack is survived."""
    rows: list[Row] = []
    for ear in (PARENT, DEVICE):
        there = [each for each in worst if ear in each.clean]
        names = dict.fromkeys(name for each in there for name in each.robust[ear])
        kinds = {"none": [(each.person, each.clean[ear]) for each in there]}
        for name in names:
            kinds[name] = [
                (each.person, each.clean[ear] and each.robust[ear][name])
                for each in there
                if name in each.robust[ear]
            ]
        kinds["worst of all"] = [(each.person, _held(each, ear)) for each in there]
        rows += [
            {"heard_by": ear, "attack": name, **_columns(tallies, "right_share", rng)}
            for name, tallies in kinds.items()
            if tallies
        ]
    return rows


def _arms(arms: Sequence[ArmSeen], rng: np.random.Generator) -> list[Row]:
    rows: list[Row] = []
    for arm in dict.fromkeys(each.arm for each in arms):
        mine = [each for each in arms if each.arm == arm]
        clean = _columns([(each.person, each.clean) for each in mine], "clean_share", rng)
        robust = _columns([(each.person, each.robust) for each in mine], "pgd40_share", rng)
        rows.append(
            {
                "checkpoint": arm.ear,
                "arm": arm.arm,
                "seed": arm.seed,
                "front_end": arm.front_end,
                "clean_share": clean["clean_share"],
                "claimed_share": PAPER_PGD40.get(arm.arm),
                **robust,
            }
        )
    return rows


def _differences(arms: Sequence[ArmSeen], rng: np.random.Generator) -> list[Row]:
    """HAT beside every other arm on the same clips, points; drawn again are people."""
    rows: list[Row] = []
    hat = _points([each for each in arms if each.arm.arm == "hat10"])
    for other in dict.fromkeys(each.arm.arm for each in arms if each.arm.arm != "hat10"):
        theirs = _points([each for each in arms if each.arm.arm == other])
        people = [person for person in hat if person in theirs]
        if not people:
            continue
        pairs = np.asarray([(*hat[person], *theirs[person]) for person in people])
        drawn = pairs[rng.integers(0, len(people), (RESAMPLES, len(people)))].sum(axis=1)
        low, high = np.quantile(_gap(drawn), (0.025, 0.975))
        rows.append(
            {
                "arms": f"hat10 - {other}",
                "pgd40_points": float(_gap(pairs.sum(axis=0))),
                "ci95_points": [round(float(low), 2), round(float(high), 2)],
                "n": len(people),
            }
        )
    return rows


def _points(arms: Sequence[ArmSeen]) -> dict[str, tuple[float, float]]:
    """By person, clips named rightly under attack, and clips, over all seeds."""
    right: dict[str, float] = {}
    clips: dict[str, float] = {}
    for each in arms:
        right[each.person] = right.get(each.person, 0.0) + each.robust
        clips[each.person] = clips.get(each.person, 0.0) + 1.0
    return {person: (right[person], clips[person]) for person in right}


def _gap(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """From sums of (right, clips, their right, their clips) along the last axis, points."""
    return np.asarray(100.0 * (sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]))
