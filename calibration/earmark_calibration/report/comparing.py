"""What changed between two reports, and whether it is more than two runs differ by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark_calibration.record import (
    Curve,
    CurveKind,
    Estimate,
    Measurement,
    Option,
    Record,
    Threshold,
    Value,
)
from earmark_calibration.report import words
from earmark_calibration.report.tolerance import Tolerance, tolerance

SCHEMA = "earmark-compare/1"
"""Name and version of what `as_json` gives."""


class What(StrEnum):
    """What differs."""

    DEVICE = "device"
    FAULT = "fault"
    MEASUREMENT = "measurement"
    CURVE = "curve"
    CHOICE = "choice"
    THRESHOLD = "threshold"
    SETTING = "setting"


class Status(StrEnum):
    """How two values compare."""

    SAME = "same"
    WITHIN = "within tolerance"
    BEYOND = "beyond tolerance"
    CHANGED = "changed"
    """Values that have no tolerance, such as a setting."""
    GONE = "only in the first"
    NEW = "only in the second"

    @property
    def counts(self) -> bool:
        """Whether the two reports differ by it."""
        return self not in (Status.SAME, Status.WITHIN)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in both reports.

    Parameters
    ----------
    name : of the measurement, curve, threshold, setting, or what of the device.
    before, after : its values in the first and in the second report; None where there is none.
    unit : of numbers.
    change : after less before, for numbers; of a curve its largest deviation.
    allowed : the tolerance, in the same unit; None where there is none.
    note : what else there is to say, such as ``pass -> marginal``.
    """

    what: What
    name: str
    status: Status
    before: Value = None
    after: Value = None
    unit: str = ""
    change: float | None = None
    allowed: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports side by side; `differences` holds what is the same, too."""

    first: Record
    second: Record
    differences: tuple[Difference, ...]

    @property
    def differs(self) -> bool:
        """Whether anything changed that counts."""
        return any(each.status.counts for each in self.differences)


@dataclass(frozen=True, slots=True)
class Compared:
    """How curves of a kind are compared: within `low`..`high` each point has the tolerance."""

    allowed: float
    low: float = -np.inf
    high: float = np.inf


CURVES: Mapping[CurveKind, Compared] = {
    # Where the response is promised to be known within 1 dB.
    CurveKind.RESPONSE: Compared(2.0, 200.0, 7000.0),
    CurveKind.NOISE_SPECTRUM: Compared(6.0),  # dB, as the level of the noise
    CurveKind.FREQUENCY_SHIFT: Compared(1.0),  # Hz
}
"""The other kinds follow chance point by point; measurements tell what there is in them."""


def compare(first: Record, second: Record) -> Comparison:
    """Compare `second` with `first`, which is taken for the earlier one, whatever their times."""
    found = chain(
        _device(first, second),
        _faults(first, second),
        _pairs(What.MEASUREMENT, _named(first.measurements), _named(second.measurements)),
        _pairs(What.CURVE, _named(first.curves), _named(second.curves)),
        _choice(first, second),
        _pairs(What.THRESHOLD, _named(first.thresholds), _named(second.thresholds)),
        _settings(first, second),
    )
    return Comparison(first, second, tuple(found))


def _named(items: Any) -> dict[str, Any]:
    return {item.name: item for item in items}


def _pairs(what: What, first: dict[str, Any], second: dict[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name), second.get(name)
        if isinstance(a, Measurement) and isinstance(b, Measurement):
            yield _measurement(a, b)
        elif isinstance(a, Threshold) and isinstance(b, Threshold):
            yield from _threshold(a, b)
        elif isinstance(a, Curve) and isinstance(b, Curve):
            yield from _curve(a, b)
        elif isinstance(a, Measurement | Threshold):
            yield Difference(what, name, Status.GONE, a.value, None, a.unit)
        elif isinstance(b, Measurement | Threshold):
            yield Difference(what, name, Status.NEW, None, b.value, b.unit)


def _exact(what: What, name: str, before: Value, after: Value) -> Difference:
    same = before == after and isinstance(before, bool) == isinstance(after, bool)
    return Difference(what, name, Status.SAME if same else Status.CHANGED, before, after)


def _device(first: Record, second: Record) -> Iterator[Difference]:
    for name in type(first.device).model_fields:
        yield _exact(What.DEVICE, name, getattr(first.device, name), getattr(second.device, name))
    yield _exact(What.DEVICE, "profile", first.profile.value, second.profile.value)
    yield _exact(What.DEVICE, "spl_reference", first.spl_reference, second.spl_reference)


def _faults(first: Record, second: Record) -> Iterator[Difference]:
    before = {fault.kind.value: fault.advice for fault in first.faults}
    after = {fault.kind.value: fault.advice for fault in second.faults}
    for kind in dict.fromkeys([*before, *after]):
        status = (
            Status.NEW if kind not in before else Status.GONE if kind not in after else Status.SAME
        )
        yield Difference(What.FAULT, kind, status, before.get(kind), after.get(kind))


def _missing(before: object, after: object) -> Status:
    """Of two of which one, or both, are None."""
    if before is after:
        return Status.SAME
    return Status.GONE if after is None else Status.NEW


def _number(
    what: What,
    name: str,
    before: float | None,
    after: float | None,
    unit: str,
    within: Tolerance,
    note: str = "",
) -> Difference:
    if before is None or after is None:
        status = _missing(before, after)
        return Difference(what, name, status, before, after, unit, note=note)
    change, allowed = after - before, within.of(before, after)
    status = (
        Status.SAME if not change else Status.WITHIN if abs(change) <= allowed else Status.BEYOND
    )
    return Difference(what, name, status, before, after, unit, change, allowed, note)


def _measurement(a: Measurement, b: Measurement) -> Difference:
    if a.unit != b.unit:
        note = f"{words.quantity(a.value, a.unit)} and {words.quantity(b.value, b.unit)}: two units"
        return Difference(What.MEASUREMENT, a.name, Status.CHANGED, a.value, b.value, note=note)
    note = "" if a.outcome is b.outcome else f"{a.outcome} -> {b.outcome}"
    limits = [(m.pass_low, m.pass_high, m.marginal_low, m.marginal_high) for m in (a, b)]
    if limits[0] != limits[1]:
        note = f"{note}; the limits changed".removeprefix("; ")
    return _number(
        What.MEASUREMENT, a.name, a.value, b.value, a.unit, tolerance(a.name, a.unit), note
    )


def _shares(what: What, name: str, a: Estimate | None, b: Estimate | None) -> Iterator[Difference]:
    """Shares of trials differ when no value is in both intervals."""
    if a is None or b is None:
        if a is not b:
            before, after = a.value if a else None, b.value if b else None
            yield Difference(what, name, _missing(a, b), before, after, "share")
        return
    apart = a.high < b.low or b.high < a.low
    status = Status.BEYOND if apart else Status.WITHIN if a.value != b.value else Status.SAME
    note = f"{words.estimate(a)} -> {words.estimate(b)}" if status is not Status.SAME else ""
    yield Difference(what, name, status, a.value, b.value, "share", b.value - a.value, note=note)


def _threshold(a: Threshold, b: Threshold) -> Iterator[Difference]:
    if a.unit != b.unit:
        note = f"{words.quantity(a.value, a.unit)} and {words.quantity(b.value, b.unit)}: two units"
        yield Difference(What.THRESHOLD, a.name, Status.CHANGED, a.value, b.value, note=note)
        return
    within = tolerance(a.name, a.unit)
    yield _number(What.THRESHOLD, a.name, a.value, b.value, a.unit, within)
    yield from _shares(What.THRESHOLD, f"{a.name} FRR", a.frr, b.frr)
    yield from _shares(What.THRESHOLD, f"{a.name} FAR", a.far, b.far)


def _curve(a: Curve, b: Curve) -> Iterator[Difference]:
    """The largest deviation where both were measured, with its place."""
    how = CURVES.get(a.kind)
    if how is None or a.kind is not b.kind:
        return
    if (a.x_unit, a.y_unit) != (b.x_unit, b.y_unit):
        note = f"{a.y_unit} and {b.y_unit}: two units"
        yield Difference(What.CURVE, a.name, Status.CHANGED, note=note)
        return
    xa, ya = _points(a)
    xb, yb = _points(b)
    if not xa.size or not xb.size:
        return
    shared = (xa >= max(how.low, xb[0])) & (xa <= min(how.high, xb[-1]))
    if not shared.any():
        return
    off = np.interp(xa[shared], xb, yb) - ya[shared]
    at = int(np.argmax(np.abs(off)))
    change = float(off[at])
    status = Status.BEYOND if abs(change) > how.allowed else Status.WITHIN
    outside = int(np.count_nonzero(np.abs(off) > how.allowed))
    place = words.quantity(float(xa[shared][at]), a.x_unit, 3)
    note = f"largest at {place}; {outside} of {off.size} points beyond"
    yield Difference(
        What.CURVE,
        a.name,
        status if change else Status.SAME,
        unit=a.y_unit,
        change=change,
        allowed=how.allowed,
        note=note,
    )


def _points(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = sorted((x, y) for x, y in zip(curve.x, curve.y, strict=True) if y is not None)
    x = np.array([point[0] for point in known], np.float64)
    return x, np.array([point[1] for point in known], np.float64)


def _choice(first: Record, second: Record) -> Iterator[Difference]:
    if first.choice is None and second.choice is None:
        return
    a = first.choice.after if first.choice else Option(parameters={})
    b = second.choice.after if second.choice else Option(parameters={})
    for key in dict.fromkeys([*a.parameters, *b.parameters]):
        yield _exact(What.CHOICE, key, a.parameters.get(key), b.parameters.get(key))
    yield from _shares(What.CHOICE, "false_rejects", a.false_rejects, b.false_rejects)
    yield from _shares(What.CHOICE, "stale_detection", a.stale_detection, b.stale_detection)
    for name, unit in (("loudness_phon", "phon"), ("over_ambient_db", "dB")):
        yield _number(
            What.CHOICE, name, getattr(a, name), getattr(b, name), unit, tolerance(name, unit)
        )


def _settings(first: Record, second: Record) -> Iterator[Difference]:
    """What the device had after each run, as far as the runs changed it."""
    before = {item.key: item.after for item in first.settings}
    after = {item.key: item.after for item in second.settings}
    # A setting that the second run left as the first had written it is not in its list.
    for key in dict.fromkeys([*before, *after]):
        if key in before and key in after:
            yield _exact(What.SETTING, key, before[key], after[key])
        elif key in after:
            yield _exact(What.SETTING, key, _before(second, key), after[key])


def _before(record: Record, key: str) -> Value:
    return next(item.before for item in record.settings if item.key == key)


def as_json(found: Comparison) -> str:
    """The comparison for programs, with a newline at its end."""
    return (
        json.dumps(
            {
                "schema": SCHEMA,
                "first": _head(found.first),
                "second": _head(found.second),
                "differs": found.differs,
                "differences": [asdict(each) for each in found.differences],
            },
            indent=2,
        )
        + "\n"
    )


def _head(record: Record) -> dict[str, str]:
    return {
        "serial": record.device.serial,
        "when": record.when.isoformat(),
        "outcome": record.outcome.value,
    }


def as_text(found: Comparison, everything: bool = False) -> str:
    """The comparison for people: what counts, or `everything`."""
    first, second = found.first, found.second
    lines = [
        f"first:  {words.plain(first.device.serial)}, {words.day(first.when)}, {first.outcome}",
        f"second: {words.plain(second.device.serial)}, {words.day(second.when)}, {second.outcome}",
    ]
    if second.when < first.when:
        lines.append("The second is the earlier one.")
    for what in What:
        shown = [
            each
            for each in found.differences
            if each.what is what and (everything or each.status.counts)
        ]
        if shown:
            lines += ["", f"{what.value}:"]
            lines += [f"  {'!' if each.status.counts else ' '} {_line(each)}" for each in shown]
    rest = sum(not each.status.counts for each in found.differences)
    count = sum(each.status.counts for each in found.differences)
    lines += ["", f"{count} differ, {rest} are the same or within tolerance."]
    return "\n".join(lines)


def _line(each: Difference) -> str:
    if each.what is What.FAULT:
        return f"{each.name}: {each.status}"
    if each.what is What.CURVE and each.change is None:
        return f"{each.name}: {each.note}"
    if each.change is not None and each.what is What.CURVE:
        said = f"{each.name}: deviates by up to {_signed(each.change, each.unit)}"
    elif each.unit or isinstance(each.change, float):
        said = f"{each.name}: {_value(each.before, each.unit)} -> {_value(each.after, each.unit)}"
        if each.change:
            said += f" ({_signed(each.change, each.unit)})"
    else:
        said = f"{each.name}: {words.setting(each.before)} -> {words.setting(each.after)}"
    extra = [each.status.value if each.status not in (Status.CHANGED, Status.SAME) else ""]
    if each.allowed is not None and each.status is not Status.SAME:
        extra[0] += f" of {words.difference(each.allowed, each.unit)}"
    extra.append(each.note)
    return words.plain("; ".join([said, *(part for part in extra if part)]))


def _value(value: Value, unit: str) -> str:
    if value is None:
        return "none"
    return words.quantity(value, unit) if isinstance(value, int | float) else str(value)


def _signed(change: float, unit: str) -> str:
    said = words.difference(change, unit)
    return said if change < 0 else f"+{said}"
