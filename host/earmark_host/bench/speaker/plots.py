"""The plots of ``bench speaker``, drawn from the tables of its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from earmark_host.bench.drawing import (
    BLACK,
    BLUE,
    GREEN,
    LIGHT,
    ORANGE,
    PURPLE,
    Look,
    Table,
    draw_all,
    error_bars,
    new_figure,
    percent_axis,
)

if TYPE_CHECKING:  # 0.5 s to import, and only plots need it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {
    ("int8", "device"): ("Earmark, as the device decides", Look(BLACK, "-", "", 2.4)),
    ("int8", "cosine"): ("Earmark, cosine", Look(BLUE, "--", "")),
    ("float", "cosine"): ("Earmark in float, cosine", Look(PURPLE, ":", "")),
    ("resemblyzer", "cosine"): ("Resemblyzer (1.4 M parameters)", Look(ORANGE, "-.", "")),
    ("campplus", "cosine"): ("CAM++ (6.9 M parameters)", Look(GREEN, (0, (6, 2)), "")),
}
"""By what hears and how it is scored: label, look."""

TICKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4)
"""Rates that are named on the axes of the curve."""

LOWEST = 0.0005
"""Least rate that is drawn: below, no corpus here has the trials."""


def draw(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw every plot that the report has the tables for, as PNG and SVG.

    Parameters
    ----------
    report : of ``bench speaker``, as JSON values.
    folder : made if it is missing; files of the same names are replaced.

    Returns
    -------
    The files.

    Raises
    ------
    EarmarkError
        See :func:`~earmark_host.bench.drawing.draw_all`.
    """
    tables: Mapping[str, Table] = report.get("tables", {})
    return draw_all(
        {
            "det": lambda: _det(tables.get("open_det", ())),
            "scores": lambda: _scores(tables.get("open_scores", ())),
            "closed_attacks": lambda: _attacks(tables.get("closed_attacks", ())),
            "learning": lambda: _learning(tables.get("open_learning", ())),
            "room": lambda: _room(tables.get("room", ())),
        },
        folder,
    )


def _det(rows: Table) -> Figure | None:
    """Errors of both kinds on normal deviates, where a straight line is a normal distribution."""
    if not rows:
        return None
    figure = new_figure(6.4, 6.0)
    axes = figure.subplots()
    for (ear, scoring), (label, look) in CURVES.items():
        mine = [row for row in rows if (row["heard_by"], row["scored_by"]) == (ear, scoring)]
        if not mine:
            continue
        x, y = (
            ndtri(np.clip([row[column] for row in mine], LOWEST, 1.0 - LOWEST))
            for column in ("far", "missed")
        )
        axes.plot(x, y, color=look.colour, ls=look.dashes, lw=look.width, label=label)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ndtri(TICKS), [f"{100.0 * tick:g}" for tick in TICKS])
    ends = float(ndtri(LOWEST)), float(ndtri(0.6))
    axes.plot(ends, ends, color=LIGHT, lw=0.8, zorder=0)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_xlabel("strangers let in, %")
    axes.set_ylabel("people refused, %")
    axes.set_title("People whom nobody trained on")
    axes.grid(color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=2, frameon=False, handlelength=3.0)
    return figure


def _scores(rows: Table) -> Figure | None:
    """Histograms of the scores of people and of strangers, one panel for each that hears."""
    there = [
        key for key in CURVES if any((row["heard_by"], row["scored_by"]) == key for row in rows)
    ]
    if not there:
        return None
    figure = new_figure(8.0, 1.7 * len(there) + 0.8)
    panels = figure.subplots(len(there), 1, squeeze=False)[:, 0]
    for axes, key in zip(panels, there, strict=True):
        mine = [row for row in rows if (row["heard_by"], row["scored_by"]) == key]
        edges = [*(row["from"] for row in mine), mine[-1]["to"]]
        for column, label, look in (
            ("others_share", "strangers", Look(ORANGE, "--")),
            ("own_share", "the person", Look(BLUE, "-", width=2.2)),
        ):
            heights = [100.0 * row[column] for row in mine]
            axes.stairs(
                heights, edges, color=look.colour, ls=look.dashes, lw=look.width, label=label
            )
        axes.set_title(CURVES[key][0])
        axes.set_ylabel("%")
    panels[-1].set_xlabel("score: cosine, or standard deviations of the cohort")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
    )
    return figure


def _attacks(rows: Table) -> Figure | None:
    """What each attack leaves of the names, in float and in int8."""
    if not rows:
        return None
    names = list(dict.fromkeys(row["attack"] for row in rows if row["attack"] != "worst of all"))
    names.append("worst of all")
    figure = new_figure(8.0, 0.42 * len(names) + 1.4)
    axes = figure.subplots()
    for number, (ear, label, colour, marker) in enumerate(
        (("float", "float", ORANGE, "s"), ("int8", "int8, as on the device", BLUE, "o"))
    ):
        mine = [row for row in rows if row["heard_by"] == ear and row["right_share"] is not None]
        if mine:
            axes.errorbar(
                [100.0 * row["right_share"] for row in mine],
                [names.index(row["attack"]) + 0.26 * (number - 0.5) for row in mine],
                xerr=error_bars(mine, "right_share"),
                color=colour,
                marker=marker,
                ls="",
                elinewidth=1.0,
                label=label,
            )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-3.0, 103.0)
    axes.set_xlabel("clips named rightly, % (with 95 % intervals)")
    axes.set_title("Under attack")
    axes.grid(color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


def _learning(rows: Table) -> Figure | None:
    """Equal error rate over the number of people trained on."""
    if not rows:
        return None
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    bars = [row for row in rows if row["ci95"] is not None]
    axes.errorbar(
        [row["trained_on"] for row in bars],
        [100.0 * row["eer_share"] for row in bars],
        yerr=error_bars(bars, "eer_share"),
        color=BLUE,
        marker="o",
        elinewidth=1.0,
    )
    axes.set_ylim(bottom=0.0)
    _logarithmic(axes, sorted({row["trained_on"] for row in rows}))
    axes.set_xlabel("people trained on")
    axes.set_title("Equal error rate with strangers, %")
    axes.grid(color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)
    return figure


def _logarithmic(axes: Axes, ticks: list[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks([], minor=True)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])


def _room(rows: Table) -> Figure | None:
    """Named rightly over the distance: dry, in the room, and what was forwarded."""
    if not rows:
        return None
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    x = [row["distance_m"] for row in rows]
    for column, label, look in (
        ("dry_share", "the dry clip", Look(ORANGE, ":", "")),
        ("room_share", "in the room, no nonce", Look(GREEN, "--", "s")),
        ("forwarded_share", "forwarded, nonce taken out", Look(BLUE, "-", "o", 2.2)),
    ):
        y = [100.0 * row[column] for row in rows]
        axes.plot(
            x, y, color=look.colour, ls=look.dashes, marker=look.marker, lw=look.width, label=label
        )
    percent_axis(axes)
    axes.set_xlabel("distance from the microphone, m")
    axes.set_title("Clips named rightly, %")
    axes.grid(color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    return figure
