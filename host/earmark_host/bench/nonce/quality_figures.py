"""The metrics and tables of what the nonce leaves in a forwarded command."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from earmark_host.bench.nonce.averages import mean_interval, mean_metric
from earmark_host.bench.nonce.quality import Forwarded, Plan
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.nonce.recogniser import wer_increase, word_errors

STOI_LEAST = 0.97
"""What a forwarded command has to keep of its intelligibility."""

_K = TypeVar("_K", bound=Hashable)


def figures(
    results: Sequence[Forwarded], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Words, intelligibility, voice and depth; the metrics at the nonce's default level."""
    del plan
    rng = np.random.default_rng([seed, *b"quality"])
    usual = [each for each in results if each.asked.level_dbspl_1m is None]
    metrics = [
        _increase(usual, rng),
        mean_metric("stoi_after_cancel", _present(each.stoi for each in usual), "", rng),
    ]
    told = [each for each in usual if each.text is not None]
    made = {
        "quality_words": [
            {"said": kind, "distance_m": distance, **_words(some, rng)}
            for (kind, distance), some in _grouped(told, _place)
        ],
        "quality_stoi": [
            {"said": kind, "distance_m": distance, "nonce_dbspl_1m": level, **_stoi(some, rng)}
            for ((kind, distance), level), some in _grouped(
                (each for each in results if each.stoi is not None),
                lambda each: (_place(each), each.level_dbspl_1m),
            )
        ],
        "quality_voice": [
            {"distance_m": distance, "nonce_dbspl_1m": level, **_voice(some)}
            for (distance, level), some in _grouped(
                (each for each in results if each.voice is not None),
                lambda each: (each.asked.distance_m, each.level_dbspl_1m),
            )
        ],
        "canceller_depth": [
            {"nonce_dbspl_1m": level, "clocks": "two" if two else "one", **_depth(some)}
            for (level, two), some in _grouped(
                results, lambda each: (each.level_dbspl_1m, each.asked.own_clocks)
            )
        ],
    }
    return metrics, {name: rows for name, rows in made.items() if rows}


def _increase(results: Sequence[Forwarded], rng: np.random.Generator) -> Metric:
    said, with_nonce, without = _transcripts(results)
    if not said:
        return Metric("wer_increase_points", None, "points", None, 0)
    points, interval = wer_increase(said, with_nonce, without, rng)
    return Metric("wer_increase_points", points, "points", interval, len(said))


def _transcripts(results: Sequence[Forwarded]) -> tuple[list[str], list[str], list[str]]:
    told = [each for each in results if each.text is not None]
    return (
        [each.text or "" for each in told],
        [each.with_nonce or "" for each in told],
        [each.without_nonce or "" for each in told],
    )


def _words(some: Sequence[Forwarded], rng: np.random.Generator) -> Row:
    said, with_nonce, without = _transcripts(some)
    points, (low, high) = wer_increase(said, with_nonce, without, rng)
    words = sum(word_errors(text, "").words for text in said)

    def wrong(heard: Sequence[str]) -> float:
        pairs = zip(said, heard, strict=True)
        return 100.0 * sum(word_errors(*pair).errors for pair in pairs) / words

    return {
        "wer_without_percent": wrong(without),
        "wer_with_percent": wrong(with_nonce),
        "increase_points": points,
        "increase_ci95_points": [round(low, 3), round(high, 3)],
        "words": words,
        "n": len(said),
    }


def _stoi(some: Sequence[Forwarded], rng: np.random.Generator) -> Row:
    values = _present(each.stoi for each in some)
    below = sum(value < STOI_LEAST for value in values)
    low, high = mean_interval(values, rng)
    return {
        "stoi": float(np.mean(values)),
        "stoi_ci95": [round(low, 4), round(high, 4)],
        "stoi_p05": float(np.quantile(values, 0.05)),
        f"below_{STOI_LEAST:g}": below,
        **share_columns(below, len(values), "below_share"),
    }


def _voice(some: Sequence[Forwarded]) -> Row:
    values = _present(each.voice for each in some)
    others = _present(each.other_voice for each in some)
    return {
        "with_and_without": float(np.mean(values)),
        "with_and_without_p05": float(np.quantile(values, 0.05)),
        "two_other_clips": float(np.mean(others)) if others else None,
        "two_other_clips_p95": float(np.quantile(others, 0.95)) if others else None,
        "n": len(values),
    }


def _depth(some: Sequence[Forwarded]) -> Row:
    said = [each.suppression_db for each in some]
    left = [each.residual_db for each in some]
    return {
        "residual_db_median": float(np.median(left)),
        "residual_db_p95": float(np.quantile(left, 0.95)),
        "suppression_db_median": float(np.median(said)),
        "suppression_db_p05": float(np.quantile(said, 0.05)),
        "n": len(some),
    }


def _place(result: Forwarded) -> tuple[str, float]:
    return result.asked.kind.value, result.asked.distance_m


def _present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _grouped(
    some: Iterable[Forwarded], key: Callable[[Forwarded], _K]
) -> list[tuple[_K, list[Forwarded]]]:
    """What has the same key, in the order in which the keys come first."""
    groups: dict[_K, list[Forwarded]] = {}
    for each in some:
        groups.setdefault(key(each), []).append(each)
    return list(groups.items())
