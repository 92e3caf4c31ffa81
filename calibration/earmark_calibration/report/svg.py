"""One chart as an inline SVG. Pure: a description in, text out.

It scales to the width that it gets, takes its colours from the page (light, dark, print) and
tells lines apart by dashes and marks by shapes too, not by colour alone. Screen readers get its
title and a sentence that says what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from earmark_calibration.report.axis import Axis, linear, logarithmic, runs, thin
from earmark_calibration.report.words import MINUS, number

WIDTH, HEIGHT = 320.0, 220.0
"""Of the picture in its own units, which are CSS pixels on a phone 360 px wide."""

_TEXT = 12.0
"""Size of the letters in these units."""

_WIDTHS = (("ijl.,:;|!'()[]ftr ", 4.9), ("mwMW%@", 11.8), (MINUS + "\u2026", 12.0))
"""Widths of letters that differ from the others, in these units."""

_LETTER = 7.8
"""Width of the other letters. All are those of DejaVu Sans, the widest of the usual fonts."""

_CAPITAL = 9.4

_RIGHT, _TOP, _BOTTOM = 10.0, 24.0, 40.0
"""Margins: the last tick's label, the name of the y axis, ticks and name of the x axis."""

STYLES = 8
"""Colours with dashes that the page defines; a chart with more lines begins anew."""


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line; a y of None is a gap."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    filled: bool = False
    """Whether the area down to 0 is tinted, as for a distribution."""
    dots: bool = False
    """Whether each point is marked: few points, each a thing of its own."""
    joined: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with a name beside it. `main` is the one to look at."""

    label: str
    x: float
    y: float
    main: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A vertical line with its name, such as a threshold."""

    label: str
    x: float


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the x axis that is tinted, such as the nonce's band."""

    label: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows.

    Parameters
    ----------
    title, summary : for people, and for those who hear the page: what it is, what is to be seen.
    x_label, y_label : names of the axes with their units.
    least : the smallest range of the y axis.
    """

    title: str
    summary: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    limits: tuple[Limit, ...] = ()
    spans: tuple[Span, ...] = ()
    log_x: bool = False
    log_y: bool = False
    least: float = 0.0


def draw(chart: Chart, key: str) -> Markup:
    """The chart as an ``<svg>`` element.

    Parameters
    ----------
    key : unique on the page; letters, digits and hyphens.
    """
    y_values = [v for line in chart.lines for v in line.y if v is not None]
    y_values += [mark.y for mark in chart.marks]
    if any(line.filled for line in chart.lines):
        y_values.append(0.0)
    top = _TOP + (_TEXT + 3.0) * len(chart.limits)
    bottom = HEIGHT - _BOTTOM
    if chart.log_y:
        y_axis = logarithmic(y_values, bottom, top)
    else:
        y_axis = linear(y_values, bottom, top, ticks=4, least=chart.least)
    left = 9.0 + max((_wide(_tick(tick)) for tick in y_axis.ticks), default=_LETTER)

    x_values = [value for line in chart.lines for value in line.x]
    x_values += [mark.x for mark in chart.marks] + [limit.x for limit in chart.limits]
    x_axis = (
        logarithmic(x_values, left, WIDTH - _RIGHT)
        if chart.log_x
        else _tight(x_values, left, WIDTH - _RIGHT)
    )
    parts = [
        Markup(
            '<svg class="chart" role="img" viewBox="0 0 {} {}" aria-labelledby="{}-t {}-d">'
            '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>'
        ).format(_n(WIDTH), _n(HEIGHT), key, key, key, chart.title, key, chart.summary)
    ]
    parts += _spans(chart.spans, x_axis, top, bottom)
    parts += _grid(chart, x_axis, y_axis)
    parts += _lines(chart.lines, x_axis, y_axis)
    parts += _limits(chart.limits, x_axis, bottom)
    parts += _marks(chart.marks, x_axis, y_axis)
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def sample(style: int, filled: bool = False) -> Markup:
    """A short piece of a line, for the legend."""
    tint = Markup('<rect class="area s{}" x="0" y="1" width="26" height="10"/>').format(style)
    return Markup(
        '<svg class="sample" viewBox="0 0 26 12" aria-hidden="true">{}'
        '<path class="line s{}" d="M0 {}H26"/></svg>'
    ).format(tint if filled else "", style, 1 if filled else 6)


def span_sample() -> Markup:
    """A tinted piece, for the legend."""
    return Markup(
        '<svg class="sample" viewBox="0 0 26 12" aria-hidden="true">'
        '<rect class="span" x="0.5" y="0.5" width="25" height="11"/></svg>'
    )


def _tight(values: Sequence[float], start: float, end: float) -> Axis:
    """A linear axis that ends where the values do: time and scores need no air."""
    loose = linear(values, start, end, ticks=5)
    if not values or not loose.low < max(values) <= loose.high:
        return loose
    low = max(loose.low, min(values)) if min(values) < max(values) else loose.low
    high = max(values) if low < max(values) else loose.high
    held = tuple(tick for tick in loose.ticks if low - 1e-9 <= tick <= high + 1e-9)
    return Axis(low, high, start, end, held) if len(held) >= 2 else loose


def _grid(chart: Chart, x_axis: Axis, y_axis: Axis) -> list[Markup]:
    left, right, top, bottom = x_axis.start, x_axis.end, y_axis.end, y_axis.start
    parts = []
    for tick in y_axis.ticks:
        y = y_axis.place(tick)
        parts.append(
            Markup(
                '<path class="grid" d="M{} {}H{}"/><text class="end" x="{}" y="{}">{}</text>'
            ).format(_n(left), _n(y), _n(right), _n(left - 5), _n(y + 4), _tick(tick))
        )
    free_from = 0.0
    for tick in x_axis.ticks:
        x = x_axis.place(tick)
        parts.append(
            Markup('<path class="grid" d="M{} {}V{}"/>').format(_n(x), _n(top), _n(bottom))
        )
        half = _wide(_tick(tick)) / 2
        if x - half < free_from or x + half > WIDTH:
            continue
        free_from = x + half + 3.0
        parts.append(
            Markup('<text class="mid" x="{}" y="{}">{}</text>').format(
                _n(x), _n(bottom + 15), _tick(tick)
            )
        )
    parts.append(
        Markup(
            '<path class="frame" d="M{} {}V{}H{}"/><text class="name" x="2" y="12">{}</text>'
            '<text class="name mid" x="{}" y="{}">{}</text>'
        ).format(
            _n(left),
            _n(top),
            _n(bottom),
            _n(right),
            _fit(chart.y_label, WIDTH - 4),
            _n((left + right) / 2),
            _n(HEIGHT - 7),
            _fit(chart.x_label, WIDTH - left),
        )
    )
    return parts


def _lines(lines: Sequence[Line], x_axis: Axis, y_axis: Axis) -> list[Markup]:
    parts = []
    for n, line in enumerate(lines):
        for run in runs(thin(line.x, line.y)):
            places = [(x_axis.place(x), y_axis.place(y)) for x, y in run]
            if line.dots:
                parts += [
                    Markup('<circle class="dot s{}" cx="{}" cy="{}" r="2.6"/>').format(
                        n % STYLES, _n(x), _n(y)
                    )
                    for x, y in places
                ]
            if not line.joined:
                continue
            path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)
            if line.filled:
                floor = _n(y_axis.place(0.0))
                area = f"{path}L{_n(places[-1][0])} {floor}L{_n(places[0][0])} {floor}Z"
                parts.append(Markup('<path class="area s{}" d="{}"/>').format(n % STYLES, area))
            if len(run) == 1:  # between two gaps: a line of no length would not be seen
                path += "h0.01"
            parts.append(Markup('<path class="line s{}" d="{}"/>').format(n % STYLES, path))
    return parts


def _spans(spans: Sequence[Span], x_axis: Axis, top: float, bottom: float) -> list[Markup]:
    parts = []
    for span in spans:
        low, high = x_axis.place(span.low), x_axis.place(span.high)
        if high > low:
            parts.append(
                Markup('<rect class="span" x="{}" y="{}" width="{}" height="{}"/>').format(
                    _n(low), _n(top), _n(high - low), _n(bottom - top)
                )
            )
    return parts


def _limits(limits: Sequence[Limit], x_axis: Axis, bottom: float) -> list[Markup]:
    parts = []
    middle = (x_axis.start + x_axis.end) / 2
    for row, limit in enumerate(limits):
        x = x_axis.place(limit.x)
        y = _TOP + (_TEXT + 3.0) * row
        side, gap = ("", 4.0) if x < middle else ("end", -4.0)
        room = x_axis.end - x if x < middle else x - 2.0
        parts.append(
            Markup(
                '<path class="limit" d="M{} {}V{}"/><text class="tag {}" x="{}" y="{}">{}</text>'
            ).format(
                _n(x),
                _n(y),
                _n(bottom),
                side,
                _n(x + gap),
                _n(y + 9),
                _fit(limit.label, room - 4.0, bold=True),
            )
        )
    return parts


def _marks(marks: Sequence[Mark], x_axis: Axis, y_axis: Axis) -> list[Markup]:
    """Shapes with names above them; a name that would lie on another's moves up, or below."""
    parts = []
    taken: list[tuple[float, float, float]] = []
    for mark in sorted(marks, key=lambda mark: not mark.main):
        x, y = x_axis.place(mark.x), y_axis.place(mark.y)
        if mark.main:
            shape = Markup('<path class="mark main" d="M{} {}l7 7l-7 7l-7 -7Z"/>').format(
                _n(x), _n(y - 7)
            )
        else:
            shape = Markup('<circle class="mark" cx="{}" cy="{}" r="5.5"/>').format(_n(x), _n(y))
        label = _fit(mark.label, x_axis.end - x_axis.start - 6.0, bold=True)
        half = _wide(label, bold=True) / 2
        middle = min(max(x, x_axis.start + half + 3.0), x_axis.end - half)
        base = y - 12.0
        for offset in (-12.0, -27.0, 21.0, -42.0, 36.0):
            tried = y + offset
            inside = y_axis.end + 10.0 <= tried <= y_axis.start - 3.0
            if inside and not any(
                abs(tried - at) < 14.0 and middle - half < end and middle + half > start
                for at, start, end in taken
            ):
                base = tried
                break
        taken.append((base, middle - half, middle + half))
        parts.append(shape)
        parts.append(
            Markup('<text class="tag mid" x="{}" y="{}">{}</text>').format(
                _n(middle), _n(base), label
            )
        )
    return parts


def _tick(value: float) -> str:
    """The label of a tick: short, thousands as ``k``."""
    if 1000.0 <= abs(value) < 1e6:
        return f"{value / 1000.0:.4g}k".replace("-", MINUS)
    return number(float(f"{value:.6g}"), 4)


def _wide(text: str, bold: bool = False) -> float:
    """Width of `text` at most, in the picture's units."""
    total = 0.0
    for letter in text:
        usual = _CAPITAL if letter.isupper() or ord(letter) > 0x2FF else _LETTER
        total += next((width for some, width in _WIDTHS if letter in some), usual)
    return total * (1.13 if bold else 1.0)


def _fit(text: str, room: float, bold: bool = False) -> str:
    """`text`, cut where it would leave the picture; the description has the whole of it."""
    if _wide(text, bold) <= room:
        return text
    cut = text[: int(room)]
    while cut and _wide(cut + "\u2026", bold) > room:
        cut = cut[:-1]
    return cut + "\u2026"


def _n(value: float) -> str:
    """A coordinate to a tenth: the eye sees no more, and the file stays small."""
    return f"{value:.1f}".removesuffix(".0")
