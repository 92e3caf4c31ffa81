"""Numbers, limits and names as people read them. Pure text, no markup."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from earmark_calibration.declared import Outcome
from earmark_calibration.record import Estimate, Measurement, Played, Record, Value

MINUS = "\u2212"
"""A minus as wide as a plus; a hyphen is easily overlooked."""

SPACE = "\u00a0"
"""Between a number and its unit, where no line may break."""

_LONGEST_UNIT = 4
"""Letters of a unit that stays on the line of its number; longer ones, but for levels, are words
and may stand on the next."""

_SHORT = {
    "rt60": "RT60",
    "snr": "SNR",
    "thd": "THD",
    "dbspl": "dB SPL",
    "dbfs": "dBFS",
    "hz": "Hz",
}
"""Abbreviations that a name has in lower case."""


def number(value: float, digits: int = 4) -> str:
    """`value` with `digits` significant digits; below 0.0001 and from 1e9 on as ``1.2e-7``."""
    if not math.isfinite(value):
        return "none"
    size = abs(value)
    if size and not 1e-4 <= size < 1e9:
        mantissa, _, power = f"{value:.{digits - 2}e}".partition("e")
        text = f"{float(mantissa):g}e{int(power)}"
    elif size >= 10 ** (digits - 1):
        text = f"{value:,.0f}".replace(",", "\u202f")  # thin: 12 000, the same in every language
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", MINUS) if float(value) else "0"


def percent(share: float) -> str:
    """0.0012 as ``0.12 %``."""
    return quantity(share, "share", 3)


def _scaled(unit: str, size: float) -> tuple[float, str]:
    """Factor and unit in which a value of that size is read with ease."""
    if unit == "share":
        return 100.0, "%"
    if unit == "s" and 0.0 < size < 0.1:
        return 1000.0, "ms"
    return 1.0, unit


def quantity(value: float | None, unit: str, digits: int = 4) -> str:
    """A value with its unit; None is ``not measured``. Shares are in %, short times in ms."""
    if value is None:
        return "not measured"
    factor, unit = _scaled(unit, abs(value))
    said = number(value * factor, digits)
    return f"{said}{_gap(unit)}{unit}"


def _gap(unit: str) -> str:
    """What stands between a number and its unit."""
    if not unit:
        return ""
    return SPACE if len(unit) <= _LONGEST_UNIT or unit.startswith("dB") else " "


def difference(value: float, unit: str) -> str:
    """How far two values are apart: of levels, in dB without their reference."""
    return quantity(value, "dB" if unit.startswith("dB") else unit, 3)


def limits(low: float | None, high: float | None, unit: str) -> str:
    """A band in words: ``0 to 0.4 s``, ``at most 300 ppm``, ``no limit``."""
    if low is None and high is None:
        return "no limit"
    if low is None:
        return f"at most {quantity(high, unit)}"
    if high is None:
        return f"at least {quantity(low, unit)}"
    factor, shown = _scaled(unit, max(abs(low), abs(high)))
    return f"{number(low * factor)} to {number(high * factor)}{_gap(shown)}{shown}"


def passes(item: Measurement) -> str:
    """The band that passes."""
    return limits(item.pass_low, item.pass_high, item.unit)


def marginal(item: Measurement) -> str:
    """The wider band that is just acceptable; "" when there is none."""
    same = (item.marginal_low, item.marginal_high) == (item.pass_low, item.pass_high)
    return "" if same else limits(item.marginal_low, item.marginal_high, item.unit)


def estimate(given: Estimate | None) -> str:
    """A share with its interval and what it rests on."""
    if given is None:
        return "not known"
    of = f"of {number(given.n, 9)}" if given.n else "by the model"
    between = f"{number(given.low * 100.0, 3)} to {percent(given.high)}"
    return f"{percent(given.value)} ({between}, {of})"


def played(given: Played | None, failed: str) -> str:
    """What playing showed, as ``0 of 24 rejected``."""
    if given is None or not given.n:
        return "not played"
    return f"{given.failures} of {given.n} {failed}"


def setting(value: Value) -> str:
    """The value of a setting as the YAML has it, but for the minus."""
    match value:
        case None:
            return "not set"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number(value, 6)
        case str():
            return value or '""'


def title(name: str) -> str:
    """``round_trip_delay`` as ``Round trip delay``, ``rt60`` as ``RT60``."""
    words = [_SHORT.get(word, word) for word in name.replace(".", ": ").replace("_", " ").split()]
    said = " ".join(_SHORT.get(word.rstrip(":"), word) for word in words)
    return said[:1].upper() + said[1:]


def day(when: datetime) -> str:
    """Date and time, in UTC: devices and readers live in different places."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def date(when: datetime) -> str:
    """The day alone, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d")


def counted(count: int, one: str, many: str = "") -> str:
    """``1 report``, ``2 reports``."""
    return f"{number(count, 15)} {one if count == 1 else many or one + 's'}"


def verdict(record: Record) -> str:
    """The verdict in one short sentence."""
    match record.outcome:
        case Outcome.PASS if not record.measurements:
            return "Nothing was measured."
        case Outcome.PASS:
            return "This device is ready."
        case Outcome.MARGINAL:
            return "This device works, but it could work better."
        case Outcome.FAIL:
            return "This device is not ready."


def tally(record: Record) -> str:
    """How many measurements came out how, and how many faults there are."""
    count = {
        outcome: sum(item.outcome is outcome for item in record.measurements) for outcome in Outcome
    }
    said = f"Of {counted(len(record.measurements), 'measurement')}, {count[Outcome.PASS]} pass"
    said += f", {count[Outcome.MARGINAL]} marginal, {count[Outcome.FAIL]} fail."
    if record.faults:
        said += f" {counted(len(record.faults), 'fault')} found."
    return said


def plain(text: str) -> str:
    """`text` for a terminal: on one line, and nothing in it moves the cursor."""
    return "".join(each if each.isprintable() else " " for each in text)


def sentence(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    clean = " ".join(text.split())
    if not clean:
        return ""
    return clean[0].upper() + clean[1:] + ("" if clean[-1] in ".!?" else ".")


def todo(record: Record) -> list[str]:
    """What the technician should do, the most urgent first; the same advice is given once."""
    faults = list(dict.fromkeys(sentence(fault.advice) for fault in record.faults))
    found: dict[str, list[str]] = {}
    for item in sorted(record.measurements, key=lambda item: -item.outcome.gravity):
        advice = sentence(item.advice)
        if item.outcome is not Outcome.PASS and advice and advice not in faults:
            value = "" if item.value is None else f" ({quantity(item.value, item.unit)})"
            found.setdefault(advice, []).append(title(item.name) + value)
    return faults + [f"{', '.join(names)}: {advice}" for advice, names in found.items()]
