"""What a bench found: figures with intervals, tables, and the conditions they hold under.

Every bench writes the same JSON: ``{bench, version, seed, data, conditions, metrics: [{name,
value, unit, ci95: [low, high], n}], tables: {name: [{column: value, ...}, ...]}}``. Names of
metrics are stable from version to version, so that runs can be compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from earmark import __version__
from earmark.errors import EarmarkError
from earmark_host.bench.statistics import (
    Interval,
    proportion_interval,
    quantile_interval,
    ratio_interval,
)

Row: TypeAlias = dict[str, Any]
"""One line of a table: JSON values by column."""


@dataclass(frozen=True)
class Metric:
    """One figure.

    Parameters
    ----------
    name : stable, lower case with underscores.
    value : the figure; None where there was nothing to measure.
    unit : ``share`` for a proportion in 0..1, else the unit.
    ci95 : its two-sided 95 % interval; None with no value.
    n : how many independent observations it rests on.
    """

    name: str
    value: float | None
    unit: str
    ci95: Interval | None
    n: int

    @classmethod
    def share(cls, name: str, hits: int, n: int) -> Metric:
        """`hits` of `n`, with the exact interval."""
        if n == 0:
            return cls(name, None, "share", None, 0)
        return cls(name, hits / n, "share", proportion_interval(hits, n), n)

    @classmethod
    def ratio(
        cls,
        name: str,
        parts: Sequence[float],
        wholes: Sequence[float],
        rng: np.random.Generator,
    ) -> Metric:
        """The sum of `parts` over that of `wholes`, with a bootstrap interval over the groups.

        `n` is the number of units, the sum of `wholes`.
        """
        units = round(sum(wholes))
        if units == 0:
            return cls(name, None, "share", None, 0)
        value = sum(parts) / sum(wholes)
        return cls(name, value, "share", ratio_interval(parts, wholes, rng), units)

    @classmethod
    def quantile(cls, name: str, values: Sequence[float], share: float, unit: str) -> Metric:
        """A quantile of a sample, with the interval from its order statistics."""
        if not values:
            return cls(name, None, unit, None, 0)
        value = float(np.quantile(np.asarray(values), share))
        return cls(name, value, unit, quantile_interval(values, share), len(values))

    def to_json(self) -> Row:
        """The metric as JSON values."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "ci95": None if self.ci95 is None else list(self.ci95),
            "n": self.n,
        }


def share_columns(hits: int, n: int, name: str = "share") -> Row:
    """Columns for a share in a table: the share, its interval, n."""
    low, high = proportion_interval(hits, n)
    return {name: hits / n if n else None, "ci95": [low, high], "n": n}


@dataclass(frozen=True)
class Report:
    """The result of one bench.

    Parameters
    ----------
    bench : which one.
    seed : of everything random in it.
    data : which corpus.
    conditions : what the figures hold under: levels, rooms, plan, machine.
    metrics, tables : the figures.
    """

    bench: str
    seed: int
    data: Mapping[str, Any]
    conditions: Mapping[str, Any]
    metrics: Sequence[Metric]
    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    def metric(self, name: str) -> Metric:
        """The metric of that name (KeyError: there is none)."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def to_json(self) -> Row:
        """The whole report as JSON values."""
        return {
            "bench": self.bench,
            "version": __version__,
            "seed": self.seed,
            "data": dict(self.data),
            "conditions": dict(self.conditions),
            "metrics": [metric.to_json() for metric in self.metrics],
            "tables": {name: list(rows) for name, rows in self.tables.items()},
        }

    def write(self, path: Path) -> None:
        """Write the report, whole or not at all.

        Raises
        ------
        EarmarkError
            The file cannot be written.
        """
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(text + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise EarmarkError(
                f"{path} cannot be written ({error.strerror})", "give another file with --json"
            ) from error

    def show(self, console: Console) -> None:
        """Print the figures and the tables."""
        title = f"bench {self.bench}, seed {self.seed}"
        figures = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        figures.add_column("metric")
        for name in ("value", "95 % interval", "n"):
            figures.add_column(name, justify="right")
        for metric in self.metrics:
            figures.add_row(
                metric.name,
                _figure(metric.value, metric.unit),
                _interval(metric.ci95, metric.unit),
                str(metric.n),
            )
        console.print(figures)
        for title, rows in self.tables.items():
            console.print(_table(title, rows))


def check_writable(path: Path) -> None:
    """Find out before the work that its report will have no place.

    Raises
    ------
    EarmarkError
        The folder is missing or cannot be written, or the path is a folder.
    """
    if path.is_dir():
        raise EarmarkError(f"{path} is a folder", "give a file with --json")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise EarmarkError(
            f"{path.parent} is missing or cannot be written",
            "make it, or give another file with --json",
        )


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "share":
        return f"{100.0 * value:.2f} %"
    return f"{value:.4g} {unit}"


def _interval(interval: Interval | None, unit: str) -> str:
    if interval is None:
        return "-"
    return " to ".join(_figure(end, unit) for end in interval)


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table(
        title=title.replace("_", " "), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in rows[0] if rows else ():
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, value) for column, value in row.items()))
    return table


def _cell(column: str, value: object) -> str:
    if value is None:
        return "-"
    if column == "ci95" and isinstance(value, list):
        return " to ".join(f"{100.0 * end:.1f}" for end in value) + " %"
    if column.endswith("share") or column == "frr":
        return f"{100.0 * float(str(value)):.1f} %"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
