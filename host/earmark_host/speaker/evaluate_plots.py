"""The plots of an evaluation, drawn from the tables of its report: the paper's Fig. 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark_host.bench.drawing import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Look,
    Table,
    draw_all,
    error_bars,
    new_figure,
    percent_axis,
)

if TYPE_CHECKING:  # 0.5 s to import, and only plots need it
    from matplotlib.figure import Figure

LOOKS = {
    "standard": Look(GREY, ":", "x"),
    "fgsm": Look(AMBER, "-.", "v"),
    "pgd10": Look(BLUE, "--", "s"),
    "fs10": Look(GREEN, "-.", "^"),
    "hat10": Look(BLACK, "-", "o", 2.4),
    "hat10-released": Look(ORANGE, "-", "D"),
    "pgd10-released": Look(SKY, "--", "P"),
}
"""Of the arms."""

OTHER = Look(PURPLE, ":", ".")
"""Of any other arm."""

TICKS = (0.0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.02, 0.05, 0.1)
"""Of eps: even up to the paper's largest, then in its logarithm."""


def draw(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw what the report has tables for, as PNG and SVG; raises like `draw_all`."""
    tables = report["tables"]
    plots = {
        "speaker_eps": partial(
            _lines, tables.get("figure_1", ()), "eps", "eps, the most that a sample is changed"
        ),
        "speaker_iterations": partial(
            _lines, tables.get("figure_2", ()), "iterations", "steps of PGD at one eps"
        ),
    }
    return draw_all(plots, folder, "give the report of earmark-host speaker evaluate")


def _lines(rows: Table, column: str, label: str) -> Figure | None:
    """Percent recognised over `column`, one line a subject."""
    if not rows:
        return None
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    for arm, seed in dict.fromkeys((row["arm"], row["seed"]) for row in rows):
        mine = [row for row in rows if (row["arm"], row["seed"]) == (arm, seed)]
        look = LOOKS.get(arm, OTHER)
        axes.errorbar(
            [row[column] for row in mine],
            [100.0 * row["share"] for row in mine],
            yerr=error_bars(mine, "share"),
            label=f"{arm}, seed {seed}",
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker,
            linewidth=look.width,
            elinewidth=0.8,
        )
    if column == "eps":
        # From 0 on, the paper's range at its scale and what lies beyond it in the same picture.
        axes.set_xscale("symlog", linthresh=0.01)
        axes.set_xlim(left=0.0)
        most = max(row[column] for row in rows)
        shown = [eps for eps in TICKS if eps <= most]
        axes.set_xticks(shown, [f"{eps:g}" for eps in shown])
        axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel("recognised, %")
    percent_axis(axes)
    axes.legend(frameon=False, fontsize=8.0)
    return figure
