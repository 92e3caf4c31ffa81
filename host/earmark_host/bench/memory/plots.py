"""The plots of ``bench memory``, drawn from the tables of its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark_host.bench.drawing import (
    AMBER,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    SKY,
    Look,
    Table,
    draw_all,
    new_figure,
    percent_axis,
)
from earmark_host.bench.statistics import proportion_interval
from earmark_host.memory.simulated import ATTACK_PROFILES

if TYPE_CHECKING:  # 0.5 s to import, and only plots need it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DETECTORS = {
    "neighbours": ("near-copies counted (default)", Look(BLACK, "-", "", 6.0)),
    "official": ("paper, official", Look(ORANGE, "-", "v", 2.4)),
    "raw": ("paper, raw", Look(SKY, ":", "D")),
    "clip": ("paper, clip", Look(BLUE, "-", "s")),
    "mean": ("paper, mean", Look(GREEN, "--", "^")),
}
"""Of the table ``fake_share``: label, look; those that come later lie over the first."""

VARIANTS = {
    (True, False): "official",
    (False, False): "raw",
    (False, True): "clip",
}
"""Variants of the table ``collapse_cause`` (min-max, clipped) that are detectors too."""

COLLAPSE = """\
Why `official` collapses: fakes are like nothing else, so the
score of an attack query falls with the share of its own kind in
the memory. `official` first scales the similarities of a memory
to 0..1 (min-max), which makes one of any benign memory's a 1:
benign scores rise, and with them the limit, which lets one
benign query in a thousand alarm. The falling score meets it
early. `raw` has the same score, and a limit far below.

Unclipped weights (`raw`, `official`) can nearly cancel out, and
then a score has no bound: at about 50 % fakes, and with benign
music, whose limit is thus over what attacks score.

The default looks at each earlier query for itself. Its queries
are counted from the attack's sixth on."""
"""Beside the plot of the collapse; measured in the table ``collapse_cause``."""

CHANNELS = {
    "digital": "by cable",
    "ota20": "over the air, noise at 20 dB",
    "ota10": "over the air, noise at 10 dB",
}
"""Of the table ``attacks_steps``, in the order of the panels."""

ENDED = (
    "An attack ends when it is heard as the target: one that is so before its sixth query is never "
    "noticed."
)
"""Under the plot of the queries to the alarm."""

PAIRS = {
    "What households say": {
        "different_sentences": ("different sentences", Look(GREY, ":")),
        "same_phrase_others": ("one phrase, different people", Look(BLUE, "--")),
        "same_person": ("one command, same person, other takes", Look(BLACK, "-", width=2.2)),
    },
    "An attack's query and an earlier one of it": {
        "digital": ("by cable", Look(BLACK, "-", width=2.2)),
        "ota20": ("over the air, noise at 20 dB", Look(BLUE, "--")),
        "ota10": ("over the air, noise at 10 dB", Look(ORANGE, "-.")),
    },
    "The same by cable, changed by an attacker who evades": {
        "trim_250ms": ("ends trimmed by up to 250 ms", Look(BLACK, ":")),
        "speed_2": ("2 % faster or slower", Look(BLUE, "--")),
        "noise_0": ("own noise, as loud", Look(AMBER, "-")),
        "noise_minus_5": ("own noise, 5 dB louder", Look(ORANGE, "-.", width=2.2)),
    },
}
"""Panels of the histograms: title; for each kind of pairs its label and look."""

EVASIONS = {
    "none": "none",
    "noise_minus": "own noise, {} dB above",
    "noise": "own noise, {} dB below",
    "trim": "ends trimmed by up to {}",
    "speed_steps": "speeds in steps within ±{} %",
    "speed": "speed drawn within ±{} %",
    "eq": "random equaliser, ±{}",
    "gain": "up to {} quieter",
    "band": "another band each time",
    "reverb": "another room, direct sound {} above it",
    "music_bed": "other music, {} dB below",
    "pauses": "pauses of about {}",
}
"""Evasions by how their names begin, the longer beginnings first; {} is the rest of the name."""

DUE = {12: ("by query 12", BLUE, "o"), 20: ("by query 20", ORANGE, "s")}
"""Queries by which an alarm is counted in ``attacks_changed``: label, colour, marker."""


def draw(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw every plot that the report has the tables for, as PNG and SVG.

    Parameters
    ----------
    report : of ``bench memory``, as JSON values.
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
            "fake_share": lambda: _fakes(
                tables.get("fake_share", ()), tables.get("collapse_cause", ())
            ),
            "queries_to_alarm": lambda: _steps(tables.get("attacks_steps", ())),
            "likeness": lambda: _likeness(tables.get("likeness_histogram", ())),
            "evasions": lambda: _evasions(tables.get("attacks_changed", ())),
        },
        folder,
    )


# -- attacks among fakes --------------------------------------------------------------------


def _fakes(rows: Table, causes: Table) -> Figure | None:
    """Queries flagged and attacks noticed against the share of fakes, and the cause."""
    kinds = {
        kind: [row for row in rows if ATTACK_PROFILES[row["attack"]].carrier == kind]
        for kind in ("speech", "music")
    }
    kinds = {kind: mine for kind, mine in kinds.items() if mine}
    if not kinds:
        return None
    columns = len(kinds) + bool(causes)
    figure = new_figure(4.4 * columns, 7.2)
    panels = figure.subplots(2, columns, squeeze=False)
    for column, (kind, mine) in enumerate(kinds.items()):
        names = ", ".join(dict.fromkeys(row["attack"].upper() for row in mine))
        flagged, caught = panels[:, column]
        flagged.set_title(f"{kind} ({names}): queries that alarm, %")
        caught.set_title(f"{kind}: attacks that ever alarm, %")
        for name, (label, look) in DETECTORS.items():
            some = [row for row in mine if row["detector"] == name]
            _line(flagged, *_pooled(some, "flagged_share", "attack_queries", 100.0), label, look)
            _line(caught, *_pooled(some, "caught_share", "streams", 100.0), label, look)
        for axes in (flagged, caught):
            percent_axis(axes)
            _against_fakes(axes)
    if causes:
        _cause(panels[0, -1], causes)
        _against_fakes(panels[0, -1])
        panels[1, -1].set_axis_off()
        panels[1, -1].text(0.0, 1.0, COLLAPSE, va="top", fontsize=9, linespacing=1.35)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=len(DETECTORS),
        frameon=False,
        handlelength=3.0,
    )
    return figure


def _against_fakes(axes: Axes) -> None:
    axes.set_xlabel("fakes among the attacker's queries, %")
    axes.set_xticks(range(0, 101, 20))
    axes.grid(axis="y", color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)


def _cause(axes: Axes, causes: Table) -> None:
    """Scores of attack queries against the limits."""
    for variant, name in VARIANTS.items():
        mine = [row for row in causes if (row["min_max"], row["clipped"]) == variant]
        look = DETECTORS[name][1]
        score = _pooled(mine, "score", "attack_queries")
        limit = _pooled(mine, "threshold", "attack_queries")
        axes.plot(*score, color=look.colour, marker=look.marker, ls="-")
        axes.plot(*limit, color=look.colour, ls="--", lw=1.4)
        if limit[0]:
            axes.annotate(
                f"limit, {name}",
                (limit[0][0], limit[1][0]),
                (0, 3),
                textcoords="offset points",
                color=look.colour,
                fontsize=9,
            )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("speech: median score of attack queries")


def _pooled(
    rows: Table, column: str, weight: str, scale: float = 1.0
) -> tuple[list[float], list[float]]:
    """Share of fakes in percent, and the weighted mean of a column over the rows of each share."""
    x: list[float] = []
    y: list[float] = []
    for share in sorted({row["fake_share"] for row in rows}):
        there = [row for row in rows if row["fake_share"] == share and row[column] is not None]
        total = sum(row[weight] for row in there)
        if total:
            x.append(100.0 * share)
            y.append(scale * sum(row[column] * row[weight] for row in there) / total)
    return x, y


def _line(axes: Axes, x: list[float], y: list[float], label: str, look: Look) -> None:
    if x:
        axes.plot(
            x, y, color=look.colour, ls=look.dashes, marker=look.marker, lw=look.width, label=label
        )


# -- real attacks ---------------------------------------------------------------------------


def _steps(rows: Table) -> Figure | None:
    """Attacks that were noticed and that had won after so many queries, by channel."""
    there = [name for name in CHANNELS if any(row["channel"] == name for row in rows)]
    if not there:
        return None
    figure = new_figure(3.6 * len(there) + 0.6, 4.0)
    panels = figure.subplots(1, len(there), sharex=True, sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, there, strict=True):
        mine = sorted((row for row in rows if row["channel"] == name), key=lambda row: row["query"])
        x = [1.0, *(float(row["query"]) for row in mine)]
        for column, label, look in (
            ("alarmed_share", "noticed", Look(BLUE, "-", width=2.4)),
            ("won_share", "heard as the target, had nobody noticed", Look(ORANGE, "--")),
        ):
            y = [_before(mine, column), *(100.0 * float(row[column]) for row in mine)]
            axes.step(
                x, y, where="post", color=look.colour, ls=look.dashes, lw=look.width, label=label
            )
        axes.set_title(f"{CHANNELS[name]} (n = {mine[0]['runs']})")
        axes.set_xscale("log")
        axes.set_xticks([1, 3, 6, 12, 25, 50, 100, 200, 400])
        axes.set_xticks([], minor=True)
        axes.set_xticklabels(["1", "3", "6", "12", "25", "50", "100", "200", "400"])
        axes.set_xlim(1.0, max(row["query"] for row in rows) * 1.05)
        axes.set_xlabel("queries of the attack")
        axes.grid(axis="x", color=LIGHT, lw=0.5)
        axes.set_axisbelow(True)
        percent_axis(axes)
    panels[0].set_ylabel("attacks, %")
    figure.supxlabel(ENDED, x=0.01, ha="left", fontsize=9)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False
    )
    return figure


def _before(rows: Table, column: str) -> float:
    """At the first query, percent."""
    return 100.0 * float(rows[0][column]) if rows[0]["query"] == 1 else 0.0


def _evasions(rows: Table) -> Figure | None:
    """How many of the attacks that evade were noticed in time; the hardest ones at the bottom."""
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: (-row["by_20"], -row["by_12"]))
    figure = new_figure(9.0, 0.3 * len(rows) + 1.6)
    axes = figure.subplots()
    for number, (due, (label, colour, marker)) in enumerate(DUE.items()):
        shares = [row[f"by_{due}"] / row["n"] for row in rows]
        ends = [proportion_interval(row[f"by_{due}"], row["n"]) for row in rows]
        axes.errorbar(
            [100.0 * share for share in shares],
            [place + 0.26 * (number - 0.5) for place in range(len(rows))],
            xerr=(
                [100.0 * (at - low) for at, (low, _) in zip(shares, ends, strict=True)],
                [100.0 * (high - at) for at, (_, high) in zip(shares, ends, strict=True)],
            ),
            color=colour,
            marker=marker,
            ls="",
            elinewidth=1.0,
            label=label,
        )
    for place, row in enumerate(rows):
        axes.annotate(
            row["win_still_heard"],
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            color=GREY,
        )
    axes.annotate(
        "won ones\nstill heard",
        (1.02, 1.0),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9,
        color=GREY,
    )
    axes.set_yticks(range(len(rows)), [_evasion(row["evasion"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-3.0, 103.0)
    axes.set_xlabel(f"attacks noticed, % (of {rows[0]['n']}, with 95 % intervals)")
    axes.set_title("Noticed in time, by what the attacker does to each query")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="both", color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    return figure


def _evasion(name: str) -> str:
    """What an evasion does, in words; the name itself for one that is not known here."""
    for begin, words in EVASIONS.items():
        if name == begin or name.startswith(f"{begin}_"):
            strength = name[len(begin) + 1 :]
            for unit in ("ms", "db", "d"):
                if strength.endswith(unit):
                    number = strength.removesuffix(unit)
                    strength = f"{number} { {'ms': 'ms', 'db': 'dB', 'd': 'days'}[unit] }"
                    break
            return words.format(strength)
    return name.replace("_", " ")


# -- likeness -------------------------------------------------------------------------------


def _likeness(rows: Table) -> Figure | None:
    """Histograms of likeness over the limit, with a logarithmic height."""
    panels = {
        title: {name: looks for name, looks in kinds.items() if _bars(rows, name)}
        for title, kinds in PAIRS.items()
    }
    panels = {title: kinds for title, kinds in panels.items() if kinds}
    if not panels:
        return None
    figure = new_figure(10.0, 2.3 * len(panels) + 0.6)
    all_axes = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    lowest = 100.0 * min(row["share"] for row in rows)
    for axes, (title, kinds) in zip(all_axes, panels.items(), strict=True):
        axes.axvspan(1.0, 10.0, color=LIGHT, alpha=0.35, lw=0.0)
        for name, (label, look) in kinds.items():
            edges, shares = _outline(_bars(rows, name), lowest / 10.0)
            axes.step(
                edges,
                shares,
                where="post",
                color=look.colour,
                ls=look.dashes,
                lw=look.width,
                label=label,
            )
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.5, 100.0)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylabel("pairs, %")
        axes.set_title(title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    all_axes[0].set_xlim(0.0, max(row["to"] for row in rows) + 0.1)
    all_axes[-1].set_xlabel("likeness / limit (shaded: the detector counts the pair as copies)")
    return figure


def _bars(rows: Table, name: str) -> Table:
    return sorted((row for row in rows if row["pairs"] == name), key=lambda row: row["from"])


def _outline(bars: Table, floor: float) -> tuple[list[float], list[float]]:
    """Corners of a histogram, percent; what has no bar goes down to `floor`, for a log axis."""
    edges: list[float] = []
    shares: list[float] = []
    end: float | None = None
    for bar in bars:
        if bar["from"] != end:
            edges.append(bar["from"] if end is None else end)
            shares.append(floor)
        edges.append(bar["from"])
        shares.append(100.0 * bar["share"])
        end = bar["to"]
    if end is not None:
        edges.append(end)
        shares.append(floor)
    return edges, shares
