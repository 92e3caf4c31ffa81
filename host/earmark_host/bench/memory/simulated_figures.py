"""What the simulated attacks come to, beside the paper's figures, and its collapse among fakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from earmark.memory.paper import PaperSettings
from earmark_host.bench.memory.hidden import VARIANTS, CauseSeen
from earmark_host.bench.memory.simulated import (
    DEFAULT,
    HIDDEN_QUERIES,
    NOISES_DB,
    READINGS,
    WEIGHTS,
    AttackSeen,
    HiddenSeen,
    Plan,
    Reading,
    ShareSeen,
    Verdicts,
)
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.memory.measures import dsr, dsr_ceiling
from earmark_host.memory.simulated import ATTACK_PROFILES

PAPER_DSR: Mapping[str, float] = MappingProxyType(
    {"cs": 0.98, "dw": 0.8474, "irta": 0.84, "ds": 0.825}
)
"""Claimed (Guo et al. 2023, "Non-adaptive attack evaluation", N1 to N4)."""

PAPER_FSNR_DB: Mapping[str, float] = MappingProxyType({"cs": 7.38, "dw": 18.41, "irta": 40.97})
"""Claimed there too, dB; none for DS. The simulated streams are made to have these at the query
that they were measured at, so that only whether it is that query is found out."""

PAPER_ROBUST_DSR: Mapping[float, float] = MappingProxyType({50.0: 0.9369})
"""Claimed, mean of the four attacks, by the level of the input noise, dB ("Robust defense")."""


def figures(
    results: Sequence[AttackSeen | HiddenSeen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    attacks = [each for each in results if isinstance(each, AttackSeen)]
    concealed = [each for each in results if isinstance(each, HiddenSeen)]
    rng = np.random.default_rng([seed, *b"figures of simulated"])
    metrics = [_metric(name, _at(attacks, name, DEFAULT), rng) for name in ATTACK_PROFILES]
    tables = {
        "simulated_attacks": [_attack(attacks, name) for name in ATTACK_PROFILES],
        "paper_readings": [
            _reading(attacks, name, reading)
            for name in ATTACK_PROFILES
            for reading in READINGS
            if reading.flags.input_noise_snr_db is None and reading.flags.clear_on_alarm
        ],
        "paper_input_noise": _input_noise(attacks),
        "fake_share": _fake_share([each for some in concealed for each in some.shares]),
        "collapse_cause": _causes([each for some in concealed for each in some.causes]),
    }
    return metrics, tables


def _metric(name: str, seen: Sequence[Verdicts], rng: np.random.Generator) -> Metric:
    """The mean over the streams; drawn again are whole streams."""
    return Metric.ratio(f"paper_dsr_{name}", [_dsr(each) for each in seen], [1.0] * len(seen), rng)


def _at(attacks: Sequence[AttackSeen], name: str, reading: Reading) -> list[Verdicts]:
    """What a reading said to the streams of an attack; none where it has no threshold."""
    index = READINGS.index(reading)
    said = [each.paper[index] for each in attacks if each.attack == name]
    return [each for each in said if each is not None]


def _dsr(seen: Verdicts) -> float:
    return dsr(seen.alarms, seen.queries, DEFAULT.flags.depth)


def _attack(attacks: Sequence[AttackSeen], name: str) -> Row:
    """The default reading beside the paper, and the default detector."""
    mine = [each for each in attacks if each.attack == name]
    seen = _at(attacks, name, DEFAULT)
    ours = [each.neighbours for each in mine]
    return {
        "attack": name,
        "streams": len(mine),
        "queries": _median(each.queries for each in mine),
        "dsr": _mean(map(_dsr, seen)),
        "dsr_ceiling": _ceiling(seen, DEFAULT.flags),
        "dsr_claimed": PAPER_DSR[name],
        "fsnr_db": _median(each.fsnr_db for each in seen),
        "fsnr_claimed_db": PAPER_FSNR_DB.get(name),
        "first_alarm": _median(each.first for each in seen),
        "caught_share": _share(sum(each.first is not None for each in seen), len(seen)),
        "neighbours_first_alarm": _median(each.first for each in ours),
        "neighbours_last_first_alarm": max((each.first or 0 for each in ours), default=None),
        "neighbours_by_12_share": _share(
            sum(each.first is not None and each.first <= HIDDEN_QUERIES for each in ours), len(ours)
        ),
        "neighbours_fsnr_db": _median(each.fsnr_db for each in ours),
        "carrier_right_share": _share(
            sum(each.right for each in mine), sum(each.queries for each in mine)
        ),
    }


def _reading(attacks: Sequence[AttackSeen], name: str, reading: Reading) -> Row:
    seen = _at(attacks, name, reading)
    flags = reading.flags
    uncleared = replace(reading, flags=flags.model_copy(update={"clear_on_alarm": False}))
    kept = _at(attacks, name, uncleared)
    return {
        "attack": name,
        "weights": flags.weights,
        "young": flags.young,
        "class": "known" if reading.known else "told",
        "streams": len(seen),
        "dsr": _mean(map(_dsr, seen)),
        "dsr_ceiling": _ceiling(seen, flags),
        "fsnr_db": _median(each.fsnr_db for each in seen),
        # Where an alarm clears the memory, the next queries have no verdict.
        "flagged_share": _share(
            sum(each.alarms for each in kept), sum(each.verdicts for each in kept)
        ),
        "first_alarm": _median(each.first for each in seen),
        "caught_share": _share(sum(each.first is not None for each in seen), len(seen)),
    }


def _input_noise(attacks: Sequence[AttackSeen]) -> list[Row]:
    """The robust mode beside none, on the streams that went through both."""
    robust = [each for each in attacks if each.paper[_INPUT_NOISE] is not None]
    rows: list[Row] = []
    for weights in WEIGHTS:
        for noise_db in (None, *NOISES_DB):
            reading = Reading(PaperSettings(weights=weights, input_noise_snr_db=noise_db), True)
            by_attack = {
                name: _mean(map(_dsr, _at(robust, name, reading))) for name in ATTACK_PROFILES
            }
            means = [each for each in by_attack.values() if each is not None]
            claimed = (
                float(np.mean(list(PAPER_DSR.values())))
                if noise_db is None
                else PAPER_ROBUST_DSR.get(noise_db)
            )
            rows.append(
                {
                    "weights": weights,
                    "input_noise_db": noise_db,
                    **{f"dsr_{name}": each for name, each in by_attack.items()},
                    "dsr_mean": _mean(means) if len(means) == len(by_attack) else None,
                    "dsr_mean_claimed": claimed,
                    "streams": sum(len(_at(robust, name, reading)) for name in ATTACK_PROFILES),
                }
            )
    return rows


_INPUT_NOISE = next(
    index for index, each in enumerate(READINGS) if each.flags.input_noise_snr_db is not None
)


def _fake_share(seen: Sequence[ShareSeen]) -> list[Row]:
    rows: list[Row] = []
    for share in sorted({each.share for each in seen}):
        for detector in (*WEIGHTS, "neighbours"):
            for name in ATTACK_PROFILES:
                mine = [
                    each
                    for each in seen
                    if (each.share, each.detector, each.attack) == (share, detector, name)
                ]
                rows += [_at_share(mine)] if mine else []
    return rows


def _at_share(mine: Sequence[ShareSeen]) -> Row:
    flagged = sum(each.kept.alarms for each in mine)
    verdicts = sum(each.kept.verdicts for each in mine)
    row = share_columns(flagged, verdicts, "flagged_share")
    return {
        "fake_share": mine[0].share,
        "detector": mine[0].detector,
        "attack": mine[0].attack,
        "streams": len(mine),
        "dsr": _mean(_dsr(each.cleared) for each in mine),
        "caught_share": _share(sum(each.cleared.first is not None for each in mine), len(mine)),
        "first_alarm": _median(each.cleared.first for each in mine),
        "flagged_share": row["flagged_share"],
        "attack_queries": row["n"],
    }


def _causes(seen: Sequence[CauseSeen]) -> list[Row]:
    rows: list[Row] = []
    for share in sorted({each.share for each in seen}):
        for variant in VARIANTS:
            mine = [each for each in seen if (each.share, each.variant) == (share, variant)]
            queries = [each.queries for each in mine]
            rows.append(
                {
                    "fake_share": share,
                    "min_max": variant.stretched,
                    "clipped": variant.clipped,
                    "flagged_share": _share(sum(each.flagged for each in mine), sum(queries)),
                    "score": _weighted([each.score for each in mine], queries),
                    "threshold": _mean(each.threshold for each in mine),
                    "attack_weight": _weighted([each.attack_weight for each in mine], queries),
                    "negative_weight": _weighted([each.negative_weight for each in mine], queries),
                    "fake_likeness": _weighted([each.fake_likeness for each in mine], queries),
                    "attack_likeness": _weighted([each.attack_likeness for each in mine], queries),
                    "attack_queries": sum(queries),
                }
            )
    return rows


def _ceiling(seen: Sequence[Verdicts], flags: PaperSettings) -> float | None:
    return _mean(dsr_ceiling(each.queries, flags.depth, flags.young) for each in seen)


def _share(hits: int, n: int) -> float | None:
    return hits / n if n else None


def _mean(values: Iterable[float]) -> float | None:
    there = list(values)
    return float(np.mean(there)) if there else None


def _median(values: Iterable[float | None]) -> float | None:
    there = [each for each in values if each is not None]
    return float(np.median(there)) if there else None


def _weighted(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    """Mean by numbers of queries, of the values that are there."""
    there = [(value, n) for value, n in zip(values, weights, strict=True) if value is not None]
    queries = sum(n for _, n in there)
    return sum(value * n for value, n in there) / queries if queries else None
