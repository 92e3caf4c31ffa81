"""All thresholds of the query memory from a corpus: the pieces of work, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
from rich.console import Console

from earmark.audio import RoomModel, load_room
from earmark.errors import EarmarkError
from earmark.memory import (
    CarrierKind,
    NeighboursLimits,
    NeighboursSettings,
    PaperSettings,
    PaperThreshold,
    Thresholds,
)
from earmark.memory.paper import scores
from earmark.memory.paper.settings import Weighting
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.work import Workers
from earmark_host.memory import benign
from earmark_host.memory.benign import Pairs
from earmark_host.memory.calibrate import (
    APPROVED_SHARE,
    LIKENESS_MARGIN,
    MEAN_MARGIN,
    MEAN_SHARE,
    PAPER_SHARE,
    TAKES_SHARE,
    Floats,
    Indices,
    Threshold,
    approved_limit,
    exceedances,
    likeness_line,
    mean_limit,
    numbered,
    paper_threshold,
)
from earmark_host.memory.duplicates import distinct
from earmark_host.memory.material import Material
from earmark_host.memory.random_streams import recordings, similarities, windows
from earmark_host.memory.scripts import RepeatKind, shuffled

ROOMS = ("kitchen", "living_room", "bedroom")
"""Rooms that ship in which people live; everything is heard in one of them."""

NOISES: tuple[float | None, ...] = (None, 25.0, 50.0, 75.0)
"""Input noise for which the paper's detector gets thresholds, dB: none, the ends and the best of
its robust mode (Table 5)."""

WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)
CARRIERS: tuple[CarrierKind, ...] = get_args(CarrierKind)
REPEAT_KINDS: tuple[RepeatKind, ...] = get_args(RepeatKind)

SHARDS = 4
"""Pieces into which the pairs of takes are divided, for several processes."""

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How much is heard.

    Parameters
    ----------
    recordings : of a class at most.
    hearings : of each recording, by class.
    windows : random queries of a class, for each input noise.
    words : sets of takes of one word at most.
    phrases : sets of takes of phrases.
    others : pairs of different people, of different sentences.
    queries : of households.
    repeated : recordings that are repeated, of each kind.
    """

    recordings: int
    hearings: Mapping[CarrierKind, int]
    windows: int
    words: int
    phrases: int
    others: int
    queries: int
    repeated: int


FULL = Plan(100_000, {"speech": 2, "music": 4}, 60_000, 100_000, 2_400, 10_000, 5_000, 20)
"""For the thresholds that ship."""

QUICK = Plan(500, {"speech": 1, "music": 1}, 30_000, 60, 160, 400, 400, 2)
"""To see whether a corpus will do, within a minute."""


@dataclass(frozen=True)
class Found:
    """The thresholds and what a person should see of them.

    Parameters
    ----------
    thresholds : the table to ship.
    tables : by title.
    """

    thresholds: Thresholds
    tables: Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class _Piece:
    """One piece of work; `what` and `index` make it and its random numbers."""

    data: Path
    seed: int
    plan: Plan
    what: str
    index: int = 0

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.index, *self.what.encode()])


@dataclass(frozen=True)
class _Scores:
    """Random queries to the paper's detector.

    Parameters
    ----------
    owners : whose each recording is.
    queries : which recording each query was, by input noise.
    scores : of each query, by input noise and weighting.
    """

    owners: list[str]
    queries: dict[float | None, Indices]
    scores: dict[tuple[float | None, Weighting], Floats]


@dataclass(frozen=True)
class _Compared:
    """Pairs of different recordings by kind, and whose takes the sets were that they come from."""

    pairs: dict[str, Pairs]
    people: list[str]


def run(data: Path, *, seed: int, quick: bool, workers: int, console: Console) -> Found:
    """Calibrate on the corpus in `data`; only the clips of the fold "calibrate" are heard.

    The result depends on corpus, seed and `quick` alone.

    Raises
    ------
    EarmarkError
        The corpus is too small, or a clip cannot be decoded.
    """
    plan = QUICK if quick else FULL
    corpus = Corpus.open(data)
    _check(Material.of(corpus, "calibrate", _rooms()))
    work: list[tuple[str, int]] = [
        *((carrier, index) for carrier in CARRIERS for index in range(plan.hearings[carrier])),
        ("households", 0),
        *(("takes", index) for index in range(SHARDS)),
        ("others", 0),
        ("repeats", 0),
        ("duplicates", 0),
    ]
    pieces = [_Piece(data, seed, plan, what, index) for what, index in work]
    with Workers(workers, console) as pool:
        results = pool.run("calibrating", _hold, pieces)
    done: dict[str, list[Any]] = {}
    for (what, _), result in zip(work, results, strict=True):
        done.setdefault(what, []).append(result)

    paper, paper_made, paper_rows = _paper(done, np.random.default_rng([seed, *b"bootstrap"]))
    limits, made, tables = _neighbours(done)
    thresholds = Thresholds(
        made={
            "command": "earmark-host memory calibrate" + (" --quick" if quick else ""),
            "seed": seed,
            **corpus.described(),
            "fold": "calibrate",
            "rooms": list(ROOMS),
            "duplicates_left_out": done["duplicates"][0],
            "paper": paper_made,
            "neighbours": made,
        },
        neighbours=limits,
        paper=tuple(paper),
    )
    return Found(thresholds, {"thresholds_of_the_papers_detector": paper_rows, **tables})


def _check(material: Material) -> None:
    least = PaperSettings().depth + 1
    for carrier in CARRIERS:
        count = len(recordings(material, carrier, np.random.default_rng(0)))
        if count < least:
            what = "slices of music" if carrier == "music" else "recordings of speech"
            raise EarmarkError(
                f"{material.corpus.folder} has {count} different {what} in the fold "
                f"'calibrate', {least} fill the memory of the paper's detector and one query",
                f"add clips of the role {carrier!r}, about {2 * least} in all: half of a corpus "
                "is held back",
            )


def _hold(piece: _Piece) -> object:
    material, left_out = _material(piece.data)
    plan, rng = piece.plan, piece.rng
    match piece.what:
        case "speech" | "music":
            return _scored(material, piece.what, plan, rng)
        case "households":
            depth = NeighboursSettings().second_ear_depth
            return benign.household_means(material, plan.queries, depth, rng)
        case "takes":
            return _takes(material, plan, piece)
        case "others":
            return dict(benign.others(material, plan.others, rng))
        case "duplicates":
            return left_out
        case _:
            return {
                kind: [benign.repeat_likenesses(kind, material, rng) for _ in range(plan.repeated)]
                for kind in REPEAT_KINDS
            }


def _scored(
    material: Material, carrier: CarrierKind, plan: Plan, rng: np.random.Generator
) -> _Scores:
    pool = benign.pool(material, carrier, plan.recordings, NOISES, rng)
    depth = PaperSettings().depth
    found = _Scores(pool.owners, {}, {})
    for noise_db, marks in pool.fingerprints.items():
        count = plan.windows // plan.hearings[carrier]
        found.queries[noise_db], similar = windows(similarities(marks), depth, count, rng)
        for weighting in WEIGHTINGS:
            found.scores[noise_db, weighting] = scores(similar, weighting, depth)
    return found


def _takes(material: Material, plan: Plan, piece: _Piece) -> _Compared:
    # All shards draw the same sets; each takes every so-many-th of them.
    same = np.random.default_rng([piece.seed, *b"sets"])
    words = shuffled(benign.word_sets(material), same)[: plan.words]
    sets = [*words, *benign.phrase_sets(material, plan.phrases, same)][piece.index :: SHARDS]
    rng = piece.rng
    dry, heard = zip(*(benign.takes(material, each, rng) for each in sets), strict=True)
    pairs = {"one_person_dry": Pairs.join(dry), "one_person_in_a_room": Pairs.join(heard)}
    return _Compared(pairs, [each.person for each in sets])


def _paper(
    done: Mapping[str, list[_Scores]], rng: np.random.Generator
) -> tuple[list[PaperThreshold], Row, list[Row]]:
    table: list[PaperThreshold] = []
    rows: list[Row] = []
    made: Row = {"target_share": PAPER_SHARE, "depth": PaperSettings().depth, "ci95": []}
    for carrier in CARRIERS:
        first = done[carrier][0]
        made[f"{carrier}_clips"] = len(first.owners)
        made[f"{carrier}_owners"] = len(set(first.owners))
        made[f"{carrier}_windows"] = sum(each.queries[None].size for each in done[carrier])
    for noise_db in NOISES:
        for weighting in WEIGHTINGS:
            found = {
                carrier: _threshold(done[carrier], noise_db, weighting, rng) for carrier in CARRIERS
            }
            row = PaperThreshold(
                weights=weighting,
                depth=PaperSettings().depth,
                input_noise_snr_db=noise_db,
                **{carrier: _rounded(each.value) for carrier, each in found.items()},
            )
            table.append(row)
            cells: Row = {"weights": weighting, "input_noise_db": noise_db}
            ends: Row = dict(cells)
            for carrier, each in found.items():
                ends[carrier] = [_rounded(end) for end in each.ci95]
                cells[carrier] = each.value
                cells[f"{carrier}_95_%"] = " to ".join(f"{end:.4g}" for end in each.ci95)
            rows.append(cells)
            made["ci95"].append(ends)
    return table, made, rows


def _threshold(
    parts: Sequence[_Scores],
    noise_db: float | None,
    weighting: Weighting,
    rng: np.random.Generator,
) -> Threshold:
    values = np.concatenate([part.scores[noise_db, weighting] for part in parts])
    names = [part.owners[query] for part in parts for query in part.queries[noise_db]]
    return paper_threshold(values, numbered(names), PAPER_SHARE, rng)


def _neighbours(
    done: Mapping[str, list[Any]],
) -> tuple[NeighboursLimits, Row, dict[str, list[Row]]]:
    takes: list[_Compared] = done["takes"]
    others: dict[str, Pairs] = done["others"][0]
    means: dict[str, list[float]] = done["households"][0]
    repeated: dict[str, list[Floats]] = done["repeats"][0]
    kinds = {
        name: Pairs.join([each.pairs[name] for each in takes]) for name in takes[0].pairs
    } | others
    if not means:
        raise EarmarkError(
            "no household in the corpus has enough queries for the second ear",
            "add people with several sentences each, or takes of one phrase, 30 or more",
        )
    line = likeness_line([(each.peaks, each.likeness) for each in kinds.values()])
    every_mean = np.concatenate([np.array(values) for values in means.values()])
    every_repeat = np.concatenate([each for parts in repeated.values() for each in parts])
    limits = NeighboursLimits(
        floor=_rounded(line.floor),
        slope=_rounded(line.slope),
        mean=_rounded(mean_limit(every_mean)),
        approved=_rounded(approved_limit(every_repeat)),
    )
    ranges: list[Row] = [
        {"pairs_of": name, **{key: _tidy(value) for key, value in row.items()}}
        for name, each in kinds.items()
        for row in exceedances(line, each.peaks, each.likeness)
    ]
    heard: list[Row] = [
        {"household": kind, "queries": len(values), "highest_mean": max(values)}
        for kind, values in sorted(means.items())
    ]
    again: list[Row] = [
        {
            "repeat": kind,
            "recordings": len(parts),
            "hearings": sum(part.size for part in parts),
            "lowest_likeness": float(min(part.min() for part in parts)),
            "median_likeness": float(np.median(np.concatenate(parts))),
        }
        for kind, parts in repeated.items()
    ]
    people = [person for each in takes for person in each.people]
    made: Row = {
        "takes_target_share": TAKES_SHARE,
        "likeness_margin": LIKENESS_MARGIN,
        "people": len(set(people)),
        "sets_of_takes": len(people),
        "pairs": {name: each.peaks.size for name, each in kinds.items()},
        "exceedances": ranges,
        "mean_target_share": MEAN_SHARE,
        "mean_margin": MEAN_MARGIN,
        "household_queries": int(every_mean.size),
        "highest_mean": _rounded(float(every_mean.max())),
        "approved_target_share": APPROVED_SHARE,
        "repeats": int(every_repeat.size),
    }
    tables = {"pairs_above_the_limit": ranges, "second_ear": heard, "approved_repeats": again}
    return limits, made, tables


def _tidy(value: float | int) -> float | int:
    return _rounded(value) if isinstance(value, float) else value


def _rounded(value: float) -> float:
    """Five digits: less than any of it is known to."""
    return float(f"{value:.5g}")


@lru_cache(maxsize=1)
def _material(data: Path) -> tuple[Material, int]:
    """The clips, each recording once, and how many were left out; read once a process."""
    return distinct(Material.of(Corpus.open(data), "calibrate", _rooms()))


def _rooms() -> list[RoomModel]:
    return [load_room(name) for name in ROOMS]
