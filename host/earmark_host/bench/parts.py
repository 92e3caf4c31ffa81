"""The parts of a bench: how each is found, run and counted, and how their results are joined.

A part is a module of a bench's folder with a ``Plan`` (instances ``FULL`` and ``QUICK``),
``pieces(plan)``, ``hold(setup, piece)`` and ``figures(results, plan, seed)``; the last may be in
``<part>_figures``. Parts are imported when they are run: each has needs of its own.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Protocol

from earmark_host.bench.report import Metric, Row
from earmark_host.bench.work import Workers


class Seeded(Protocol):
    """What all pieces of a bench share: picklable."""

    @property
    def seed(self) -> int:
        """Of the run."""
        ...


@dataclass(frozen=True)
class Held:
    """A part that was run.

    Parameters
    ----------
    part : its name.
    plan : its plan.
    kinds, cpu_s : of each piece: what it is, and the CPU time that it took in its process, s.
    took_s : the whole part by the wall clock, s.
    """

    part: str
    plan: object
    kinds: Sequence[str]
    cpu_s: Sequence[float]
    metrics: Sequence[Metric]
    tables: dict[str, list[Row]]
    took_s: float


def trials(package: str, part: str) -> ModuleType:
    """The module with the plan and the pieces of a part of the bench in `package`."""
    return import_module(f"{package}.{part}")


def figures(package: str, part: str) -> ModuleType:
    """The module that counts."""
    own = f"{package}.{part}_figures"
    return trials(package, part) if find_spec(own) is None else import_module(own)


def run_part(
    pool: Workers,
    package: str,
    part: str,
    setup: Seeded,
    quick: bool,
    fit: Callable[[Any], Any] = lambda plan: plan,
) -> Held:
    """Hold all pieces of a part in the worker processes, and count.

    Parameters
    ----------
    fit : makes the plan that is held of the part's own.
    """
    began = time.monotonic()
    module = trials(package, part)
    plan = fit(module.QUICK if quick else module.FULL)
    pieces = module.pieces(plan)
    done = pool.run(part, partial(_hold, package, part, setup), pieces)
    metrics, tables = figures(package, part).figures(
        [result for result, _ in done], plan, setup.seed
    )
    return Held(
        part=part,
        plan=plan,
        kinds=[type(piece).__name__ for piece in pieces],
        cpu_s=[cpu_s for _, cpu_s in done],
        metrics=metrics,
        tables=tables,
        took_s=time.monotonic() - began,
    )


def _hold(package: str, part: str, setup: Seeded, piece: object) -> tuple[Any, float]:
    """One piece, and the CPU time that it took, s. In a worker."""
    began = time.process_time()
    result = trials(package, part).hold(setup, piece)
    return result, time.process_time() - began


def conditions(held: Sequence[Held], *, quick: bool, workers: int, took_s: float) -> dict[str, Any]:
    """What all figures of a bench hold under: its plans, the machine, how long it took."""
    return {
        "plan": "quick" if quick else "full",
        "parts": {each.part: plain(each.plan) for each in held},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "workers": workers,
        "took_s": round(took_s, 1),
        "parts_took_s": {each.part: round(each.took_s, 1) for each in held},
    }


def joined(held: Sequence[Held]) -> dict[str, list[Row]]:
    """The tables of all parts, and what the bench itself cost."""
    tables: dict[str, list[Row]] = {}
    for each in held:
        if twice := tables.keys() & each.tables.keys():
            raise ValueError(f"two parts have a table {', '.join(sorted(twice))}")
        tables |= each.tables
    tables["cost_cpu"] = [row for each in held for row in _cost(each)]
    return tables


def _cost(held: Held) -> list[Row]:
    """What the bench itself cost, by the kinds of its pieces."""
    by_kind: dict[str, list[float]] = {}
    for kind, cpu_s in zip(held.kinds, held.cpu_s, strict=True):
        by_kind.setdefault(kind, []).append(cpu_s)
    return [
        {
            "part": held.part,
            "kind": kind,
            "pieces": len(some),
            "cpu_s_each": sum(some) / len(some),
            "cpu_s": sum(some),
        }
        for kind, some in by_kind.items()
    ]


def plain(value: Any) -> Any:
    """Make a plan JSON: dataclasses by field, enums by value, everything else as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, dict):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
