"""Charts: which curves share one, what is marked, and what is said of them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from tests.calibration.report import samples

from earmark_calibration.record import Curve, CurveKind, Option
from earmark_calibration.report.charts import KINDS, figures
from earmark_calibration.report.svg import STYLES, Chart, Line, draw


def line(name: str, kind: CurveKind, axes: str = "frequency/Hz/level/dB", n: int = 40) -> Curve:
    x = [100.0 * (at + 1) for at in range(n)]
    return samples.curve(name, kind, name.upper(), axes, x, [float(at) for at in range(n)])


def charted(*curves: Curve, **update: object) -> list[Chart]:
    record = samples.good().model_copy(update={"curves": curves, **update})
    return [figure.chart for figure in figures(record)]


def test_every_kind_is_drawn() -> None:
    assert list(KINDS) == list(CurveKind)
    kinds = {figure.kind for figure in figures(samples.good())}
    assert kinds == set(CurveKind)


def test_curves_of_one_kind_and_unit_share_a_chart() -> None:
    left, right = line("left", CurveKind.RESPONSE), line("right", CurveKind.RESPONSE)
    (chart,) = charted(left, right)
    assert [each.label for each in chart.lines] == ["LEFT", "RIGHT"]
    assert chart.title == "Frequency response"
    sound = line("spl", CurveKind.RESPONSE, "frequency/Hz/level/dB SPL")
    assert len(charted(left, sound)) == 2


def test_scores_share_a_chart_by_the_first_part_of_their_names() -> None:
    axes = "score//share/share"
    curves = [
        line(name, CurveKind.SCORES, axes) for name in ("nonce.a", "nonce.b", "speaker.a", "c", "d")
    ]
    titles = [(chart.title, len(chart.lines)) for chart in charted(*curves)]
    assert titles == [("Scores: Nonce", 2), ("Scores: SPEAKER.A", 1), ("Scores: score", 2)]


def test_a_threshold_stands_in_its_own_scores() -> None:
    limits = {chart.title: chart.limits for chart in charted(*samples.good().curves)}
    assert [limit.x for limit in limits["Scores: Nonce"]] == [9.2]
    assert [limit.x for limit in limits["Scores: Speaker"]] == [0.43]


def test_more_lines_than_styles_are_two_charts() -> None:
    curves = [line(f"c{n}", CurveKind.DECAY) for n in range(STYLES + 1)]
    assert [len(chart.lines) for chart in charted(*curves)] == [STYLES, 1]


def test_a_curve_that_was_not_measured_is_left_out() -> None:
    curve = line("gone", CurveKind.RESPONSE)
    empty = curve.model_copy(update={"y": (None,) * len(curve.x)})
    assert charted(empty) == []
    nothing = curve.model_copy(update={"x": (), "y": ()})
    assert charted(nothing) == []


def test_the_trade_off_marks_what_was_chosen() -> None:
    axes = "loudness level at 1 m/phon/stale nonces found/share"
    (chart,) = charted(line("trade_off_0", CurveKind.TRADE_OFF, axes))
    (chosen, before) = chart.marks
    assert (chosen.label, chosen.x, chosen.y, chosen.main) == ("chosen", 32.0, 98.5, True)
    assert (before.label, before.x, before.y, before.main) == ("before", 38.0, 99.5, False)
    assert "chosen: 32\u00a0phon, 98.5\u00a0%." in chart.summary


@pytest.mark.parametrize(
    ("axes", "x", "y"),
    [
        ("level/dB SPL/false rejects/share", 36.0, 0.3),
        ("loudness/sone/stale nonces missed/share", 0.5, 1.5),
        ("over ambient/dB/false rejects/share", pytest.approx(2.6), 0.3),
    ],
)
def test_the_axes_say_which_figure_is_meant(axes: str, x: float, y: float) -> None:
    (chart,) = charted(line("trade_off", CurveKind.TRADE_OFF, axes))
    assert (chart.marks[0].x, pytest.approx(chart.marks[0].y)) == (x, y)


def test_where_only_one_axis_is_known_the_choice_is_a_line_across() -> None:
    (chart,) = charted(line("trade_off", CurveKind.TRADE_OFF, "loudness/phon/goodness/points"))
    assert chart.marks == ()
    assert [(limit.label, limit.x) for limit in chart.limits] == [
        ("chosen: 32\u00a0phon", 32.0),
        ("before: 38\u00a0phon", 38.0),
    ]


def test_a_curve_of_one_point_is_a_mark() -> None:
    axes = "a//b/"
    (chart,) = charted(
        line("all", CurveKind.TRADE_OFF, axes), line("best", CurveKind.TRADE_OFF, axes, n=1)
    )
    assert [(mark.label, mark.x, mark.main) for mark in chart.marks] == [("BEST", 100.0, True)]


def test_options_without_an_order_are_not_joined() -> None:
    curve = line("options", CurveKind.TRADE_OFF).model_copy(
        update={"x": (3.0, 1.0, 2.0), "y": (1.0, 2.0, 3.0)}
    )
    (chart,) = charted(curve)
    assert chart.lines[0].dots
    assert not chart.lines[0].joined


def test_the_band_of_the_nonce_is_tinted_over_frequency_alone() -> None:
    charts = {chart.title: chart.spans for chart in charted(*samples.good().curves)}
    (span,) = charts["Frequency response"]
    assert (span.low, span.high) == (700.0, 6500.0)
    assert charts["Impulse response"] == ()
    none = samples.good().choice
    assert none is not None
    without = none.model_copy(update={"after": Option(parameters={})})
    (chart,) = charted(line("r", CurveKind.RESPONSE), choice=without, settings=())
    assert chart.spans == ()


def test_only_distributions_are_filled() -> None:
    axes = "score//share that reaches it/share"
    falling = samples.curve("a", CurveKind.SCORES, "a", axes, [1.0, 2.0, 3.0], [1.0, 0.5, 0.1])
    (chart,) = charted(falling)
    assert not chart.lines[0].filled
    assert all(each.filled for c in charted(*samples.good().curves[-4:]) for each in c.lines)


def drawn(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart, "c-1"))


def test_a_chart_is_sound_markup_with_name_and_summary() -> None:
    evil = '<script>"&'
    chart = Chart(evil, evil, evil, evil, (Line(evil, (1.0, 2.0), (3.0, 4.0)),))
    root = drawn(chart)
    assert root.get("aria-labelledby") == "c-1-t c-1-d"
    assert [root.findtext(tag) for tag in ("title", "desc")] == [evil, evil]
    assert root.find(".//script") is None


def test_lines_are_told_apart_by_their_style() -> None:
    lines = tuple(Line(str(n), (1.0, 2.0), (n, n + 1.0)) for n in range(3))
    root = drawn(Chart("t", "s", "x", "y", lines))
    styles = [p.get("class") for p in root.iter("path") if "line" in (p.get("class") or "")]
    assert styles == ["line s0", "line s1", "line s2"]


def test_a_gap_stays_a_gap_and_a_lonely_point_is_seen() -> None:
    line = Line("l", (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, None, 3.0))
    root = drawn(Chart("t", "s", "x", "y", (line,)))
    paths = [p.get("d") or "" for p in root.iter("path") if p.get("class") == "line s0"]
    assert len(paths) == 2
    assert paths[1].endswith("h0.01")


def test_higher_values_are_drawn_higher() -> None:
    root = drawn(Chart("t", "s", "x", "y", (Line("l", (1.0, 2.0), (0.0, 10.0)),)))
    (path,) = [p.get("d") or "" for p in root.iter("path") if p.get("class") == "line s0"]
    (x0, y0), (x1, y1) = [
        tuple(map(float, part.split())) for part in re.findall(r"[ML]([\d. ]+)", path)
    ]
    assert x0 < x1
    assert y0 > y1
