"""Success of the waveforms against level, and how far apart they are.

Each trial holds the same audio for all waveforms, so it is drawn again as a whole for the
intervals (bootstrap over trials), and differences are taken within a draw.

The level at which a receiver reaches a share of success: isotonic regression of its successes
on the level (more level never hurts; Barlow et al., Statistical Inference under Order
Restrictions, 1972), linear in dB between the levels that were tried, the lowest level from
which on the fit has the share. Where not even the highest level has it, there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import log_expit

from earmark_host.bench.nonce.peers import (
    AS_SHIPPED,
    BLIND,
    GGWAVE,
    VERIFIED,
    Answer,
    Cell,
    Plan,
    Trial,
)
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.bench.statistics import CONFIDENCE
from earmark_host.nonce import theory

SHIPPED, TUNED = "as shipped", "any mode"
"""ggwave with the receiver that it ships with; and however well we could tune it (fixed length,
lower threshold, every recording read four times), the better of both."""

METRICS = {
    (BLIND, SHIPPED): "gain_over_ggwave_db",
    (BLIND, TUNED): "gain_over_ggwave_tuned_db",
    (VERIFIED, SHIPPED): "gain_over_ggwave_verified_db",
    (VERIFIED, TUNED): "gain_over_ggwave_tuned_verified_db",
}
"""Metric of each receiver of the codes over each ggwave."""

GOAL = 0.99
"""Share of payloads at which waveforms are compared: that of AEOLUS's claims."""

SHARES = (0.5, 0.9, GOAL)
"""Shares of success whose levels are in the table."""

RESAMPLES = 1000
"""Bootstrap resamples of the trials: each takes six fits."""

SPEECH_HZ = 8000.0
"""Band in which the curves of theory have the speech as white noise: all that 16 kHz hold."""

SLOPE_DB = (0.2, 20.0)
"""Scale of the logistic curve, dB: from a step to a curve as wide as the grid."""

BIT_RATES_HZ = (20.0, 30.0)
"""Of BFSK: the paper's limit before bits overlap, and that of its figures."""

CODE_S = 0.256
"""Duration of a symbol of 16 orthogonal sounds, s: that of the codes."""

Successes = NDArray[np.bool_]
"""Whether the payload was right, shape (trials, levels), levels ascending."""


def figures(
    results: Sequence[Trial], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """The metrics of :data:`METRICS`, and all tables.

    Parameters
    ----------
    results : of all pieces of `plan`; its first cell is the headline.
    seed : of the bootstrap.
    """
    by_cell = {cell: Outcomes.of(results, cell) for cell in plan.cells}
    rng = np.random.default_rng([seed, *b"peers figures"])
    metrics, gains = _gains(by_cell[plan.cells[0]], rng)
    tables = {
        "peers_gain": gains,
        "peers_levels": [row for outcomes in by_cell.values() for row in outcomes.levels(rng)],
        "peers_success": [row for outcomes in by_cell.values() for row in outcomes.successes()],
        "peers_theory": _theory(plan),
        "peers_cpu": _cpu(results),
    }
    return metrics, tables


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came of one cell.

    Parameters
    ----------
    by_receiver : levels (ascending, dB), successes and wrong payloads of each.
    """

    cell: Cell
    by_receiver: Mapping[str, tuple[NDArray[np.float64], Successes, Successes]]

    @classmethod
    def of(cls, results: Sequence[Trial], cell: Cell) -> Outcomes:
        """Sort the trials of one cell."""
        answers: dict[str, dict[float, list[Answer]]] = {}
        for trial in results:
            if trial.piece.cell != cell:
                continue
            for reading in trial.readings:
                at = answers.setdefault(reading.receiver, {})
                at.setdefault(reading.nsr_db, []).append(reading.answer)
        made = {}
        for receiver, by_level in answers.items():
            levels = sorted(by_level)
            table = [[by_level[level][i] for level in levels] for i in range(_count(by_level))]
            right = np.array([[each is Answer.RIGHT for each in row] for row in table])
            wrong = np.array([[each is Answer.WRONG for each in row] for row in table])
            made[receiver] = (np.array(levels), right, wrong)
        return cls(cell, made)

    @property
    def where(self) -> Row:
        """The columns that name the cell."""
        return {
            "environment": self.cell.environment.value,
            "distance_m": self.cell.distance_m,
        }

    def successes(self) -> list[Row]:
        """Share of right payloads at every level, and how often a wrong one was given out."""
        rows: list[Row] = []
        for receiver, (levels, right, wrong) in self.by_receiver.items():
            for column in reversed(range(levels.size)):
                hits, n = int(right[:, column].sum()), len(right)
                rows.append(
                    {
                        "receiver": receiver,
                        **self.where,
                        "nsr_db": float(levels[column]),
                        **share_columns(hits, n, "success_share"),
                        "wrong_share": float(np.mean(wrong[:, column])),
                    }
                )
        return rows

    def levels(self, rng: np.random.Generator) -> list[Row]:
        """The level that each share of success takes, with a bootstrap interval for the highest."""
        rows: list[Row] = []
        for receiver, (levels, right, _) in self.by_receiver.items():
            drawn = rng.integers(0, len(right), (RESAMPLES, len(right)))
            goal = [level_of(levels, right[each], GOAL) for each in drawn]
            rows.append(
                {
                    "receiver": receiver,
                    **self.where,
                    **{f"nsr_{100 * p:.0f}_db": level_of(levels, right, p) for p in SHARES},
                    f"nsr_{100 * GOAL:.0f}_low_high_db": _interval(goal),
                    f"nsr_{100 * GOAL:.0f}_logistic_db": logistic_level(levels, right, GOAL),
                    "n": len(right),
                }
            )
        return rows


def isotonic(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closest sequence that never falls, by pooling adjacent violators; equal weights."""
    blocks: list[tuple[float, int]] = []
    for share in shares:
        total, size = float(share), 1
        while blocks and blocks[-1][0] * size >= total * blocks[-1][1]:
            before, count = blocks.pop()
            total, size = total + before, size + count
        blocks.append((total, size))
    return np.concatenate([np.full(size, total / size) for total, size in blocks])


def level_of(levels: NDArray[np.float64], right: Successes, share: float) -> float | None:
    """The lowest level from which on the isotonic fit has at least `share`; None if nowhere.

    Parameters
    ----------
    levels : that were tried, ascending, dB.
    right : successes, shape (trials, levels).
    share : in (0, 1].

    Where the lowest level that was tried has it already, that one: an upper bound.
    """
    fit = isotonic(right.mean(axis=0))
    reached = np.flatnonzero(fit >= share - 1e-9)
    if reached.size == 0:
        return None
    first = int(reached[0])
    if first == 0 or fit[first] - fit[first - 1] <= 0.0:
        return float(levels[first])
    part = (share - fit[first - 1]) / (fit[first] - fit[first - 1])
    return float(levels[first - 1] + part * (levels[first] - levels[first - 1]))


def logistic_level(levels: NDArray[np.float64], right: Successes, share: float) -> float | None:
    """The level at which a logistic curve through the successes has `share`; None without any.

    It goes on above the highest level that was tried, and knows no failures that more level
    does not mend: beside the isotonic fit, not in its place.
    """
    hits, n = right.sum(axis=0), len(right)
    if hits.sum() == 0 or hits.sum() == n * levels.size:
        return None

    def cost(parameters: NDArray[np.float64]) -> float:
        x = (levels - parameters[0]) / np.exp(parameters[1])
        return float(-np.sum(hits * log_expit(x) + (n - hits) * log_expit(-x)))

    start = np.array([levels[int(np.argmin(np.abs(hits / n - 0.5)))], np.log(2.0)])
    bounds = [(levels[0] - 60.0, levels[-1] + 60.0), tuple(np.log(SLOPE_DB))]
    found = optimize.minimize(cost, start, method="L-BFGS-B", bounds=bounds).x
    return float(found[0] + np.exp(found[1]) * np.log(share / (1.0 - share)))


# -- the gain -------------------------------------------------------------------------------


def _gains(headline: Outcomes, rng: np.random.Generator) -> tuple[list[Metric], list[Row]]:
    """How much lower the codes reach each share of success than ggwave's best mode does.

    Over the best of its modes: normal and fast as they are shipped, and tuned.
    """
    modes = [name for name in headline.by_receiver if name.startswith(GGWAVE)]
    shipped = [name for name in modes if name.endswith(AS_SHIPPED)]
    trials = [len(right) for _, right, _ in headline.by_receiver.values()]
    n = min(trials, default=0)
    drawn = rng.integers(0, n, (RESAMPLES, n)) if n else np.zeros((0, 0), np.int64)
    groups = {TUNED: modes, SHIPPED: shipped}
    gains = {
        (receiver, over, share): _gain(headline, receiver, some, share, drawn)
        for share in SHARES
        for over, some in groups.items()
        for receiver in (BLIND, VERIFIED)
    }
    metrics = []
    for (receiver, over), name in METRICS.items():
        found = gains[receiver, over, GOAL]
        interval = found["low_high_db"]
        ends = None if interval is None else (interval[0], interval[1])
        n_used = n if found["gain_db"] is not None else 0
        metrics.append(Metric(name, found["gain_db"], "dB", ends, n_used))
    rows = [{"over": over, **row, "n": n} for (_, over, _), row in gains.items() if groups[over]]
    return metrics, rows


def _gain(
    headline: Outcomes,
    receiver: str,
    modes: Sequence[str],
    share: float,
    drawn: NDArray[np.int64],
) -> Row:
    """How much lower `receiver` reaches a share of success than the best of `modes`."""
    data = headline.by_receiver

    def reached(names: Sequence[str], trials: NDArray[np.int64] | slice) -> dict[str, float]:
        levels = {
            name: level_of(data[name][0], data[name][1][trials], share)
            for name in names
            if name in data
        }
        return {name: level for name, level in levels.items() if level is not None}

    ours, theirs = reached([receiver], slice(None)), reached(modes, slice(None))
    best = min(theirs, key=lambda name: theirs[name], default=None)
    gain_db = theirs[best] - ours[receiver] if best is not None and ours else None
    draws = []
    for each in drawn if gain_db is not None else ():
        # Chosen again in every draw: the best of several looks better than it is.
        own, others = reached([receiver], each), reached(modes, each)
        if own and others:
            draws.append(min(others.values()) - own[receiver])
    return {
        "receiver": receiver,
        "success": share,
        "nsr_db": ours.get(receiver),
        "ggwave_best": "none reaches it" if best is None else best,
        "ggwave_nsr_db": None if best is None else theirs[best],
        "gain_db": gain_db,
        "low_high_db": _interval(draws),
    }


def _interval(draws: Sequence[float | None]) -> list[float] | None:
    """The middle 95 % of the draws in which there is a value; None with none."""
    known = [each for each in draws if each is not None]
    if not known:
        return None
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return [round(float(low), 2), round(float(high), 2)]


# -- beside the measurements ----------------------------------------------------------------


def _theory(plan: Plan) -> list[Row]:
    """32 bits right, sent once, with the speech as white noise of the same power.

    Rooms, repetitions and the pauses of speech are left out: curves to compare with.
    """
    levels = [level for cell in plan.cells for _, tried in cell.levels_db for level in tried]
    nsr_db = np.arange(min(levels), max(levels) + 0.5)
    curves = {
        f"theory: BFSK, {rate:g} bit/s": theory.all_right(
            theory.noncoherent_bfsk_ber(theory.ebn0_db(nsr_db, SPEECH_HZ, rate)), 32
        )
        for rate in BIT_RATES_HZ
    }
    rate = 4.0 / CODE_S
    symbols = theory.noncoherent_orthogonal_ser(theory.ebn0_db(nsr_db, SPEECH_HZ, rate), 16)
    curves["theory: 16 orthogonal, 256 ms"] = theory.all_right(symbols, 8)
    return [
        {"curve": name, "nsr_db": float(level), "success": float(value)}
        for name, values in curves.items()
        for level, value in zip(nsr_db, values, strict=True)
    ]


def _cpu(results: Sequence[Trial]) -> list[Row]:
    """CPU time for each second of recording, over all levels and conditions."""
    spent: dict[str, list[float]] = {}
    for trial in results:
        for reading in trial.readings:
            each = 1e3 * reading.cpu_s / trial.recording_s
            spent.setdefault(reading.receiver, []).append(each)
    return [
        {
            "receiver": receiver,
            "cpu_ms_per_s_median": float(np.median(values)),
            "cpu_ms_per_s_p95": float(np.quantile(values, 0.95)),
            "recording_s": results[0].recording_s,
            "n": len(values),
        }
        for receiver, values in spent.items()
    ]


def _count(by_level: Mapping[float, Sequence[Answer]]) -> int:
    return min(len(answers) for answers in by_level.values())
