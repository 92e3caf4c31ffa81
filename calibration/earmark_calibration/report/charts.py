"""Which charts a record gives: curves that belong together share one. Pure.

- Curves of one kind with the same axes share a chart; scores only when the part of their names
  before a dot is the same (``nonce.current`` and ``nonce.random``), or none has any.
- A curve of one point is a mark, named by its title. Where a trade-off has none, the choice says
  where chosen and before lie: as points where both axes are known, else as lines across.
- Thresholds stand in the scores whose first part of the name is theirs (``nonce.accept``).
- Over frequency, the band of the chosen nonce is tinted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from earmark_calibration.record import Choice, Curve, CurveKind, Option, Record
from earmark_calibration.report import words
from earmark_calibration.report.axis import ascends
from earmark_calibration.report.svg import STYLES, Chart, Limit, Line, Mark, Span

FEW = 16
"""A curve of so few points shows each as a dot: between them nothing was measured."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How curves of one kind are shown."""

    title: str
    says: str
    """What it is and what a good one looks like, in a sentence or two."""
    log_x: bool = False
    filled: bool = False
    least: float = 0.0
    """Smallest range of the y axis, so that small ripples look small."""


KINDS: Mapping[CurveKind, Kind] = {
    CurveKind.RESPONSE: Kind(
        "Frequency response",
        "How loud each pitch arrives at the microphone. A hole is a pitch at which the nonce is "
        "weak; a smooth slope does no harm.",
        log_x=True,
        least=20.0,
    ),
    CurveKind.DISTORTION: Kind(
        "Distortion",
        "What the loudspeaker adds that was not played. High values mean that it plays too loud "
        "or is damaged.",
        log_x=True,
    ),
    CurveKind.NOISE_SPECTRUM: Kind(
        "Background noise by pitch",
        "The room while nothing is played. A peak is a hum or a whistle: a fan, a fridge, a lamp.",
        log_x=True,
        least=20.0,
    ),
    CurveKind.NOISE_OVER_TIME: Kind(
        "Background noise over time",
        "The same room, moment by moment. Bursts are somebody talking, a door, a passing car: "
        "measure again when it is calm.",
        least=20.0,
    ),
    CurveKind.IMPULSE_RESPONSE: Kind(
        "Impulse response",
        "A click as it arrives: first straight from the loudspeaker, then as echoes of the room.",
    ),
    CurveKind.DECAY: Kind(
        "Decay of sound",
        "How fast a sound dies away. A steep, straight line is a dry room; a shallow one echoes.",
        least=20.0,
    ),
    CurveKind.FREQUENCY_SHIFT: Kind(
        "Frequency shift",
        "How much a pitch arrives too high or too low. All of it is near 0 on sound hardware.",
        log_x=True,
        least=1.0,
    ),
    CurveKind.TRADE_OFF: Kind(
        "Trade-off",
        "What could have been chosen: a nonce that is heard less is found less often. Each dot was "
        "computed for this device in this room.",
    ),
    CurveKind.SCORES: Kind(
        "Scores",
        "Which scores the right and the wrong get. The further apart the curves are, the fewer "
        "mistakes a threshold between them makes.",
        filled=True,
    ),
}
"""Every kind has one; a test says so."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with what stands around it."""

    key: str
    kind: CurveKind
    chart: Chart
    says: str

    @property
    def legend(self) -> bool:
        """Whether the lines must be named beside the chart."""
        return len(self.chart.lines) > 1 or bool(self.chart.spans)


Group: TypeAlias = tuple[str, ...]


def figures(record: Record) -> list[Figure]:
    """The charts of a record, in the order of `KINDS`."""
    made: list[Figure] = []
    for kind in KINDS:
        groups: dict[Group, list[Curve]] = {}
        for curve in record.curves_of(kind):
            if any(value is not None for value in curve.y):
                groups.setdefault(_group(curve), []).append(curve)
        for curves in groups.values():
            for part in _parts(curves):
                alone = len(groups) == 1 and len(part) == len(curves)
                key = f"chart-{len(made) + 1}"
                made.append(_figure(key, kind, part, record, alone))
    return made


def _family(name: str) -> str:
    """What stands before the first dot of a name; "" without one."""
    return name.partition(".")[0] if "." in name else ""


def _group(curve: Curve) -> Group:
    family = _family(curve.name) if curve.kind is CurveKind.SCORES else ""
    return (family, curve.x_name, curve.x_unit, curve.y_name, curve.y_unit)


def _parts(curves: Sequence[Curve]) -> Iterable[Sequence[Curve]]:
    """No more lines in a chart than there are styles; its marks stay with the first."""
    lines = [curve for curve in curves if len(curve.x) > 1]
    marks = [curve for curve in curves if len(curve.x) == 1]
    for at in range(0, max(len(lines), 1), STYLES):
        yield [*lines[at : at + STYLES], *(marks if at == 0 else [])]


def _figure(
    key: str, kind: CurveKind, curves: Sequence[Curve], record: Record, alone: bool
) -> Figure:
    look = KINDS[kind]
    first = curves[0]
    lines = [curve for curve in curves if len(curve.x) > 1]
    singles = [curve for curve in curves if len(curve.x) == 1]
    title = look.title
    if not alone:  # what tells it from the other charts of its kind
        own = first.title if len(lines) == 1 else words.title(_family(first.name))
        title += f": {own or first.x_name}"
    marks = tuple(
        Mark(c.title, _x(c)[0], y, main=n == 0)
        for n, c in enumerate(singles)
        if (y := _y(c)[0]) is not None
    )
    limits: tuple[Limit, ...] = ()
    if kind is CurveKind.TRADE_OFF and not marks and record.choice is not None:
        marks, limits = _chosen(record.choice, first)
    if kind is CurveKind.SCORES:
        limits = tuple(
            Limit(f"threshold {words.quantity(item.value, item.unit)}", item.value)
            for item in record.thresholds
            if _family(item.name) == _family(first.name) != "" and item.unit == first.x_unit
        )
    chart = Chart(
        title=title,
        summary="",
        x_label=_label(first.x_name, first.x_unit),
        y_label=_label(first.y_name, first.y_unit),
        lines=tuple(_line(c, look) for c in lines),
        marks=marks,
        limits=limits,
        spans=_band(record) if first.x_unit == "Hz" else (),
        log_x=look.log_x and first.x_unit == "Hz",
        least=look.least if first.y_unit.startswith("dB") or first.y_unit == "Hz" else 0.0,
    )
    return Figure(key, kind, replace(chart, summary=_summary(chart, curves)), look.says)


def _line(curve: Curve, look: Kind) -> Line:
    choices = curve.kind is CurveKind.TRADE_OFF
    x, y = _x(curve), _y(curve)
    return Line(
        curve.title or curve.name,
        x,
        y,
        filled=look.filled and _hill(y),
        dots=choices or len(x) <= FEW,
        joined=not choices or ascends(x),
    )


def _hill(y: Sequence[float | None]) -> bool:
    """Whether a curve begins and ends low: a distribution, and not a share that reaches a score."""
    first, last, top = y[0], y[-1], max(value for value in y if value is not None)
    return all(end is not None and abs(end) < 0.5 * top for end in (first, last))


def _x(curve: Curve) -> list[float]:
    return [x * 100.0 for x in curve.x] if curve.x_unit == "share" else list(curve.x)


def _y(curve: Curve) -> list[float | None]:
    if curve.y_unit != "share":
        return list(curve.y)
    return [None if y is None else y * 100.0 for y in curve.y]


def _unit(unit: str) -> str:
    return "%" if unit == "share" else unit


def _label(name: str, unit: str) -> str:
    return f"{name} ({_unit(unit)})" if unit else name


def _band(record: Record) -> tuple[Span, ...]:
    """The band of the nonce as chosen, or as the settings have it after the run."""
    known: dict[str, object] = {item.key: item.after for item in record.settings}
    if record.choice is not None:
        known |= record.choice.after.parameters
    for key, low in known.items():
        if not key.endswith("band_low_hz"):
            continue
        high = known.get(key.replace("band_low_hz", "band_high_hz"))
        if isinstance(low, int | float) and isinstance(high, int | float) and 0 < low < high:
            return (Span("band of the nonce", float(low), float(high)),)
    return ()


def _chosen(choice: Choice, curve: Curve) -> tuple[tuple[Mark, ...], tuple[Limit, ...]]:
    """The chosen point and the one before, as far as the axes say which figures are meant."""
    marks, limits = [], []
    for option, label, main in ((choice.after, "chosen", True), (choice.before, "before", False)):
        x = _along(option, curve.x_name, curve.x_unit)
        y = _along(option, curve.y_name, curve.y_unit)
        if x is not None and y is not None:
            marks.append(Mark(label, x, y, main))
        elif x is not None:
            limits.append(Limit(f"{label}: {words.quantity(x, curve.x_unit, 3)}", x))
    return tuple(marks), tuple(limits)


def _along(option: Option, name: str, unit: str) -> float | None:
    """The figure of an option that an axis shows."""
    value: float | None = None
    share = 100.0 if unit == "share" else 1.0
    if unit == "phon":
        value = option.loudness_phon
    elif unit == "sone":
        value = option.loudness_sone
    elif "ambient" in name and unit == "dB":
        value = option.over_ambient_db
    elif "reject" in name and option.false_rejects is not None:
        value = option.false_rejects.value * share
    elif "stale" in name and option.stale_detection is not None:
        value = option.stale_detection.value * share
        if "miss" in name:
            value = share - value
    elif unit == "dB SPL":
        level = option.parameters.get("nonce.level_dbspl_1m")
        value = float(level) if isinstance(level, int | float) else None
    return value


def _summary(chart: Chart, curves: Sequence[Curve]) -> str:
    """What is to be seen, for those who do not see it."""
    first = curves[0]
    x_unit, y_unit = _unit(first.x_unit), _unit(first.y_unit)
    said = [f"{chart.y_label} over {chart.x_label}."]
    for line in chart.lines:
        known = [(y, x) for x, y in zip(line.x, line.y, strict=True) if y is not None]
        ends = [
            f"{which} {words.quantity(y, y_unit, 3)} at {words.quantity(x, x_unit, 3)}"
            for which, (y, x) in (("lowest", min(known)), ("highest", max(known)))
        ]
        said.append(f"{line.label}: {', '.join(ends)}.")
    said += [
        f"{mark.label}: {words.quantity(mark.x, x_unit, 3)}, {words.quantity(mark.y, y_unit, 3)}."
        for mark in chart.marks
    ]
    said += [f"{limit.label}." for limit in chart.limits]
    said += [
        f"{span.label}: {words.number(span.low)} to {words.quantity(span.high, x_unit)}."
        for span in chart.spans
    ]
    return " ".join(said)
