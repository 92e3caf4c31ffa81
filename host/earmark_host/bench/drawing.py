"""What the plots of all benches share: how they look, how they are saved, what may go wrong.

A plot needs nothing but a report, so that all can be drawn again from a file. What a report has no
table for is left out. Colours are those of Okabe and Ito (2008), told apart by people who are
colour-blind; lines also differ by their dashes, and are named where they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from earmark.errors import EarmarkError

if TYPE_CHECKING:  # 0.5 s to import, and only plots need it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table: TypeAlias = Sequence[Mapping[str, Any]]
"""Rows of a table, as the report has them."""

DPI = 150
"""Of the PNG, pixels an inch: 8 inches are as wide as a page on a screen."""

BLACK, GREY, LIGHT = "#222222", "#767676", "#c9c9c9"
BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#E69F00",
)

STYLE: Any = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": BLACK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": BLACK,
    "ytick.labelcolor": BLACK,
    "text.color": BLACK,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "earmark",  # the same report gives the same file
}


@dataclass(frozen=True)
class Look:
    """How a line looks: colour, dashes, marker, width."""

    colour: str
    dashes: str | tuple[int, tuple[int, ...]] = "-"
    marker: str = "o"
    width: float = 1.8


def draw_all(
    plots: Mapping[str, Callable[[], Figure | None]],
    folder: Path,
    wanted: str = "give the report of a run with such a part",
) -> list[Path]:
    """Draw plots as PNG and SVG.

    Parameters
    ----------
    plots : by the name of the file; one that gives None is left out.
    folder : made if it is missing; files of the same names are replaced.
    wanted : what to do when there is nothing to draw.

    Returns
    -------
    The files.

    Raises
    ------
    EarmarkError
        matplotlib is missing, a table lacks a column, there is nothing to draw, or a file
        cannot be written.
    """
    try:
        import matplotlib  # noqa: PLC0415 - see above
    except ImportError as error:
        raise EarmarkError(
            f"plots cannot be drawn ({error})", "install Earmark with its extra 'host'"
        ) from error
    written: list[Path] = []
    with matplotlib.rc_context(STYLE), _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, plot in plots.items():
            figure = plot()
            if figure is not None:
                written += _saved(figure, folder / name)
    if not written:
        raise EarmarkError("the report has no table that is drawn", wanted)
    return written


def check_drawable(folder: Path) -> None:
    """Find out before the work that plots can be drawn and have a place.

    Raises
    ------
    EarmarkError
        matplotlib is missing, or the folder can be neither made nor written.
    """
    if find_spec("matplotlib") is None:
        raise EarmarkError(
            "plots need matplotlib, which is missing", "install Earmark with its extra 'host'"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EarmarkError(
            f"{folder} cannot be made ({error.strerror})", "give another folder with --plots"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise EarmarkError(f"{folder} cannot be written", "give another folder with --plots")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    from matplotlib.figure import Figure as Made  # noqa: PLC0415 - see above

    return Made(figsize=(width, height))


def error_bars(rows: Table, column: str) -> tuple[list[float], list[float]]:
    """Lengths of the error bars of a share with its ``ci95``, in percent: down, up."""
    down = [100.0 * max(0.0, row[column] - row["ci95"][0]) for row in rows]
    up = [100.0 * max(0.0, row["ci95"][1] - row[column]) for row in rows]
    return down, up


def percent_axis(axes: Axes) -> None:
    """0 to 100 upward, with room for a line at either end."""
    axes.set_ylim(-3.0, 103.0)
    axes.set_yticks(range(0, 101, 25))


def _saved(figure: Figure, path: Path) -> list[Path]:
    png, svg = path.with_suffix(".png"), path.with_suffix(".svg")
    figure.savefig(png, dpi=DPI)
    figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """One clear line in the place of a traceback."""
    try:
        yield
    except OSError as error:
        raise EarmarkError(
            f"{folder} cannot be written ({error.strerror or error})",
            "give another folder with --out or --plots",
        ) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EarmarkError(
            f"a table of the report is not as expected ({type(error).__name__}: {error})",
            "draw it with the version of Earmark that wrote it",
        ) from error
