"""Many reports side by side: which devices stand out, and which change over time. Pure.

- Outlier: among the newest reports of all devices, a value further from the median than chance
  takes one of them, in standard deviations from the median absolute deviation, and by more than
  two runs differ by themselves. Half of the devices may be odd and do not hide it.
- Drift: a device whose reports rise or fall steadily (Kendall's test), by more than the
  tolerance; the rate is Theil's and Sen's, which single odd runs do not move.
- Step: its newest report is away from the median of its earlier ones by more than the tolerance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from earmark_calibration.declared import Outcome
from earmark_calibration.record import Measurement, Record
from earmark_calibration.report import words
from earmark_calibration.report.tolerance import tolerance

SCHEMA = "earmark-fleet/1"
"""Name and version of what `as_json` gives."""

FALSE_OUTLIERS = 0.01
"""How often a measurement of a fleet may accuse a sound device, at most, if values are normal."""

_FREEDOM = 0.45
"""Degrees of freedom of the median absolute deviation, per value less one: with these, simulated
fleets of 8 to 300 normal devices had a false outlier in 0.2 to 1.2 % (a test repeats it)."""

MIN_DEVICES = 8
"""With fewer values a median absolute deviation is too rough to accuse a device by."""

MIN_REPORTS = 6
"""Least reports for a drift: with 5 even a perfect order comes by chance once in 60 times."""

DRIFT_P = 0.01
"""Two-sided p of Kendall's test below which an order counts as a drift."""

_TO_SIGMA = 1.4826
"""From the median absolute deviation to a standard deviation, of normal values."""

_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What a fleet keeps of one report: its measurements, not its curves."""

    file: str
    serial: str
    when: datetime
    outcome: Outcome
    program_version: str
    faults: tuple[str, ...]
    measurements: tuple[Measurement, ...]

    @classmethod
    def of(cls, record: Record, file: str) -> Entry:
        """The entry of a report in `file`."""
        return cls(
            file,
            record.device.serial,
            record.when,
            record.outcome,
            record.device.program_version,
            tuple(fault.kind.value for fault in record.faults),
            # Without the sentences, which are the same a thousand times.
            tuple(m.model_copy(update={"doc": "", "advice": ""}) for m in record.measurements),
        )


class Why(StrEnum):
    """Why a value stands out."""

    OUTLIER = "outlier"
    DRIFT = "drift"
    STEP = "step"


@dataclass(frozen=True, slots=True)
class Finding:
    """A value that stands out.

    Parameters
    ----------
    value : the newest one.
    usual : the median that it is compared with; for a drift, where it began.
    away : how much it differs, in the unit; for a drift over all its time.
    per_day : for a drift, the rate; days_left : until it leaves its limits at that rate, if ever.
    """

    serial: str
    why: Why
    name: str
    unit: str
    value: float
    usual: float
    away: float
    per_day: float | None = None
    days_left: float | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """How one measurement is spread over the newest reports of the devices."""

    name: str
    unit: str
    n: int
    median: float
    sigma: float
    """Robust standard deviation."""
    low: float
    high: float
    not_measured: int
    failing: int


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that is a report, or was meant to be, and could not be read."""

    file: str
    why: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One device: its reports from the first to the newest, and what stands out."""

    serial: str
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]

    @property
    def newest(self) -> Entry:
        """Its newest report."""
        return self.entries[-1]

    @property
    def stands_out(self) -> bool:
        """Whether somebody should look at it."""
        return self.newest.outcome is Outcome.FAIL or bool(self.findings)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Many devices; those to look at first come first."""

    units: tuple[Unit, ...]
    spreads: tuple[Spread, ...]
    unread: tuple[Unread, ...] = ()
    foreign: int = 0
    """JSON files that are no reports of a calibration."""
    repeated: int = 0
    """Copies of a report that was read already; each counts once."""

    @property
    def stands_out(self) -> bool:
        """Whether there is anything to look at."""
        return bool(self.unread) or any(unit.stands_out for unit in self.units)


def fleet(entries: Iterable[Entry], unread: Sequence[Unread] = (), foreign: int = 0) -> Fleet:
    """Put reports side by side.

    Parameters
    ----------
    entries : in any order; the same report twice counts once.
    unread, foreign : what was found beside them.
    """
    unique: dict[tuple[Any, ...], Entry] = {}
    total = 0
    for entry in entries:
        total += 1
        unique.setdefault((entry.serial, entry.when, entry.measurements, entry.faults), entry)
    ordered = sorted(unique.values(), key=lambda entry: (entry.serial, entry.when, entry.file))
    devices = {serial: tuple(own) for serial, own in groupby(ordered, key=lambda e: e.serial)}
    newest = [own[-1] for own in devices.values()]
    found: dict[str, list[Finding]] = {serial: [] for serial in devices}
    spreads = []
    for name, unit in _names(newest):
        spread, outliers = _spread(newest, name, unit)
        spreads.append(spread)
        for finding in outliers:
            found[finding.serial].append(finding)
    for serial, own in devices.items():
        found[serial] += _changes(own)
    units = [Unit(serial, own, tuple(found[serial])) for serial, own in devices.items()]
    units.sort(key=lambda unit: (-unit.newest.outcome.gravity, -len(unit.findings), unit.serial))
    return Fleet(tuple(units), tuple(spreads), tuple(unread), foreign, total - len(ordered))


def _names(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """(name, unit) of all measurements, in the order of the reports; two units are two rows."""
    return list(dict.fromkeys((m.name, m.unit) for entry in entries for m in entry.measurements))


def _measured(entry: Entry, name: str, unit: str) -> Measurement | None:
    return next((m for m in entry.measurements if (m.name, m.unit) == (name, unit)), None)


def robust_sigma(values: NDArray[np.float64]) -> float:
    """Standard deviation from the median absolute deviation.

    For a small sample it is too small on average; n / (n - 0.8) mends that (Croux and Rousseeuw,
    COMPSTAT 1992).
    """
    n = values.size
    mad = float(np.median(np.abs(values - np.median(values))))
    return _TO_SIGMA * mad * n / (n - 0.8)


def far(n: int) -> float:
    """How many robust standard deviations from the median make an outlier among `n` values.

    The one that the furthest of `n` normal values passes in `FALSE_OUTLIERS` of all cases: the
    usual 3.5 would accuse one in 9 measurements, whatever the size of the fleet.
    """
    tail = FALSE_OUTLIERS / 2.0 / n
    return float(stats.t.isf(tail, _FREEDOM * (n - 1)))


def _spread(newest: Sequence[Entry], name: str, unit: str) -> tuple[Spread, list[Finding]]:
    rows = [(entry, m) for entry in newest if (m := _measured(entry, name, unit)) is not None]
    known = [(entry.serial, m.value) for entry, m in rows if m.value is not None]
    failing = sum(m.outcome is Outcome.FAIL for _, m in rows)
    missing = len(rows) - len(known)
    if not known:
        nan = float("nan")
        return Spread(name, unit, 0, nan, nan, nan, nan, missing, failing), []
    values = np.array([value for _, value in known], np.float64)
    median, sigma = float(np.median(values)), robust_sigma(values)
    outliers = []
    if values.size >= MIN_DEVICES:
        limit = far(values.size) * sigma
        for serial, value in known:
            away = value - median
            if abs(away) > max(limit, tolerance(name, unit).of(value, median)):
                outliers.append(Finding(serial, Why.OUTLIER, name, unit, value, median, away))
    spread = Spread(
        name,
        unit,
        values.size,
        median,
        sigma,
        float(values.min()),
        float(values.max()),
        missing,
        failing,
    )
    return spread, outliers


def series(entries: Sequence[Entry], name: str, unit: str) -> tuple[list[float], list[float]]:
    """Days since the first report, and the values, where it was measured."""
    days, values = [], []
    for entry in entries:
        item = _measured(entry, name, unit)
        if item is not None and item.value is not None:
            days.append((entry.when - entries[0].when).total_seconds() / _DAY_S)
            values.append(item.value)
    return days, values


def _changes(entries: Sequence[Entry]) -> list[Finding]:
    """Drifts and steps of one device."""
    found = []
    serial = entries[0].serial
    for name, unit in _names(entries[-1:]):
        item = _measured(entries[-1], name, unit)
        days, values = series(entries, name, unit)
        if item is None or item.value is None or len(values) < 2:
            continue
        within = tolerance(name, unit)
        drift = _drift(days, values)
        if drift is not None:
            rate, start = drift
            away = rate * (days[-1] - days[0])
            if abs(away) > within.of(start, start + away):
                left = _days_left(item, rate)
                found.append(
                    Finding(serial, Why.DRIFT, name, unit, item.value, start, away, rate, left)
                )
                continue
        usual = float(np.median(values[:-1]))
        away = item.value - usual
        if abs(away) > within.of(item.value, usual):
            found.append(Finding(serial, Why.STEP, name, unit, item.value, usual, away))
    return found


def _drift(days: Sequence[float], values: Sequence[float]) -> tuple[float, float] | None:
    """(change a day, value at the first day) of a steady change; None when there is none."""
    if len(values) < MIN_REPORTS or days[-1] <= days[0] or len(set(values)) < 2:
        return None
    if stats.kendalltau(days, values).pvalue >= DRIFT_P:
        return None
    rate, intercept, _, _ = stats.theilslopes(values, days)
    return float(rate), float(intercept + rate * days[0])


def _days_left(item: Measurement, per_day: float) -> float | None:
    """Until the value leaves what is acceptable, at this rate; None: never, or it has."""
    if item.value is None or item.outcome is Outcome.FAIL:
        return None
    edge = item.marginal_high if per_day > 0 else item.marginal_low
    return None if edge is None else max((edge - item.value) / per_day, 0.0)


def as_json(found: Fleet) -> str:
    """The fleet for programs, with a newline at its end. What is not a number is null."""
    body = {
        "schema": SCHEMA,
        "stands_out": found.stands_out,
        "reports": sum(len(unit.entries) for unit in found.units),
        "devices": [_unit_json(unit) for unit in found.units],
        "measurements": [_finite(asdict(spread)) for spread in found.spreads],
        "unread": [asdict(each) for each in found.unread],
        "foreign": found.foreign,
        "repeated": found.repeated,
    }
    return json.dumps(body, indent=2, allow_nan=False) + "\n"


def _unit_json(unit: Unit) -> dict[str, Any]:
    newest = unit.newest
    return {
        "serial": unit.serial,
        "outcome": newest.outcome.value,
        "stands_out": unit.stands_out,
        "reports": len(unit.entries),
        "first": unit.entries[0].when.isoformat(),
        "newest": newest.when.isoformat(),
        "file": newest.file,
        "program_version": newest.program_version,
        "faults": list(newest.faults),
        "values": {m.name: m.value for m in newest.measurements},
        "findings": [
            {key: value for key, value in asdict(each).items() if key != "serial"}
            for each in unit.findings
        ],
    }


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and not np.isfinite(value) else value
        for key, value in row.items()
    }


def told(finding: Finding) -> str:
    """A finding in words."""
    name, unit = words.title(finding.name), finding.unit
    value, usual = words.quantity(finding.value, unit, 3), words.quantity(finding.usual, unit, 3)
    match finding.why:
        case Why.OUTLIER:
            return f"{name}: {value}, where {usual} is usual"
        case Why.STEP:
            return f"{name}: {value}, after {usual} before"
        case Why.DRIFT:
            way = "rises" if finding.away > 0 else "falls"
            monthly = words.difference(abs(finding.per_day or 0.0) * 30.0, unit)
            said = f"{name}: {way} by {monthly} in 30 days, {value} now"
            if finding.days_left is not None and finding.days_left < 3650:
                said += f"; leaves its limits in {words.counted(round(finding.days_left), 'day')}"
            return said


def summary(found: Fleet) -> str:
    """The whole in a sentence or two."""
    reports = sum(len(unit.entries) for unit in found.units)
    count = {outcome: 0 for outcome in Outcome}
    for unit in found.units:
        count[unit.newest.outcome] += 1
    said = (
        f"{words.counted(len(found.units), 'device')}, {words.counted(reports, 'report')}: "
        f"{count[Outcome.PASS]} pass, {count[Outcome.MARGINAL]} marginal, "
        f"{count[Outcome.FAIL]} fail."
    )
    odd = sum(bool(unit.findings) for unit in found.units)
    said += f" {words.counted(odd, 'device stands', 'devices stand')} out or changed."
    if found.repeated:
        said += f" {words.counted(found.repeated, 'copy', 'copies')} counted once."
    if found.foreign:
        said += f" {words.counted(found.foreign, 'other JSON file')} passed over."
    if found.unread:
        said += f" {words.counted(len(found.unread), 'file')} could not be read."
    return said


MOST_TEXT_ROWS = 200
"""Devices that a text or a page lists: what a person looks through. The JSON has all."""


def as_text(found: Fleet) -> str:
    """The fleet for people at a terminal."""
    lines = [summary(found), ""]
    shown = found.units[:MOST_TEXT_ROWS]
    width = min(max((len(unit.serial) for unit in shown), default=0), 40)
    lines.append(f"{'device':{width}}  {'newest':10}  {'result':8}  reports  stands out")
    for unit in shown:
        serial = words.plain(unit.serial)
        serial = serial if len(serial) <= width else serial[: width - 1] + "\u2026"
        notes = [fault.replace("_", " ") for fault in unit.newest.faults]
        notes += [f"{each.why}: {words.plain(told(each))}" for each in unit.findings]
        lines.append(
            f"{serial:{width}}  {unit.newest.when:%Y-%m-%d}  {unit.newest.outcome:8}  "
            f"{len(unit.entries):7}  {notes[0] if notes else ''}".rstrip()
        )
        lines += [" " * (width + 33) + note for note in notes[1:]]
    if len(found.units) > len(shown):
        lines.append(left_out(found))
    rows = [("measurement", "median", "spread", "from", "to")]
    for row in found.spreads:
        median, low, high = (
            words.quantity(v, row.unit, 3) if row.n else "" for v in (row.median, row.low, row.high)
        )
        spread = words.difference(row.sigma, row.unit) if row.n else "not measured"
        rows.append((row.name, median, spread, low, high))
    lines += ["", *_aligned(rows)]
    if found.unread:
        lines += ["", "not read:"]
        lines += [f"  {words.plain(each.why)}" for each in found.unread[:MOST_TEXT_ROWS]]
    return "\n".join(lines)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be: the first to the left, numbers to the right."""
    rows = [[words.plain(cell) for cell in row] for row in rows]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, wide, strict=True))
        )
        for row in rows
    ]


def left_out(found: Fleet) -> str:
    """What to say about the devices that are not listed."""
    rest = found.units[MOST_TEXT_ROWS:]
    if not rest:
        return ""
    odd = sum(unit.stands_out for unit in rest)
    return f"and {words.counted(len(rest), 'device')} more, of which {odd} stand out: see the JSON"
