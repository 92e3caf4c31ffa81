"""The plots of ``bench nonce``, drawn from the tables of its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    PURPLE,
    SKY,
    Look,
    Table,
    draw_all,
    error_bars,
    new_figure,
    percent_axis,
)

if TYPE_CHECKING:  # 0.5 s to import, and only this command needs it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLACES = {
    ("quiet", 1.0): "1 m, quiet",
    ("quiet", 4.0): "4 m, quiet",
    ("kitchen", 1.0): "1 m, kitchen noise",
    ("kitchen", 4.0): "4 m, kitchen noise",
}
"""Conditions of the peers, the headline first, and what they are called."""

SUCCESS = "messages that came through, %"
NSR = "level over that of the speech at the microphone (NSR), dB"

RECORDERS = {
    "r1": ("R1, bystander at 1 m", BLUE, "o"),
    "r2": ("R2, 20 cm from the mouth", ORANGE, "s"),
    "r3": ("R3, 27 cm from the device", GREEN, "^"),
}
"""Recorders: name, colour, marker."""


LOOKS = {
    "spread, accepted": Look(BLUE, ":", "o"),
    "spread, verified": Look(BLUE, "-", "o", 2.4),
    "spread, blind": Look(SKY, "-", "s", 2.4),
    "bfsk, accepted": Look(GREEN, ":", "^"),
    "bfsk, verified": Look(GREEN, "-", "^", 2.4),
    "ggwave normal, as shipped": Look(ORANGE, (0, (1, 3)), "o", 1.2),
    "ggwave normal": Look(ORANGE, "--", "o"),
    "ggwave normal, fixed length": Look(ORANGE, "-", "o"),
    "ggwave fast, as shipped": Look(AMBER, (0, (1, 3)), "s", 1.2),
    "ggwave fast": Look(AMBER, "--", "s"),
    "ggwave fast, fixed length": Look(AMBER, "-", "s"),
    "minimodem 18 Bd, 4.8/4.2 kHz": Look(PURPLE, "-", "D"),
    "minimodem 30 Bd, 5/1 kHz": Look(PURPLE, ":", "D"),
    "AEOLUS BFSK 1/5 kHz": Look(BLACK, ":", "v"),
    "AEOLUS BFSK 4-5 kHz, 2 hops": Look(BLACK, "-", "v"),
}
"""Receivers of the table ``peers_success``. One that is not here is drawn in grey."""

OURS = ("spread", "bfsk")

KINDS = {
    "Wideband codes (spread)": ("spread",),
    "Hopping tones (bfsk)": ("bfsk",),
    "ggwave": ("ggwave",),
    "AEOLUS to the letter, and minimodem": ("AEOLUS", "minimodem"),
}
"""Panels, and what the names of the receivers in them begin with."""

THEORY = {
    "Wideband codes (spread)": {"theory: 16 orthogonal, 256 ms": "--"},
    "Hopping tones (bfsk)": {"theory: BFSK, 20 bit/s": "--"},
    "AEOLUS to the letter, and minimodem": {"theory: BFSK, 30 bit/s": "--"},
}
"""Curves beside the measurements, and their dashes."""

PARTS = {
    "verify_ms": ("the nonce is verified", BLUE),
    "clean_ms": ("it is cancelled", SKY),
    "search_ms": ("older ones are searched for", GREEN),
}
"""Parts of a verdict in the table ``cpu_by_length``: label, colour."""

FEW = 3
"""Up to so many lines have bands for their intervals; more would cover each other."""

LEVELS = {
    "nsr_50_db": ("50 %", "|"),
    "nsr_90_db": ("90 %", "d"),
    "nsr_99_db": ("99 %", "o"),
}
"""Levels in the table ``peers_levels``: label, marker."""


def draw(
    report: Mapping[str, Any], folder: Path, other: Mapping[str, Any] | None = None
) -> list[Path]:
    """Draw every plot that the report has the tables for, as PNG and SVG.

    Parameters
    ----------
    report : of ``bench nonce``, as JSON values.
    folder : made if it is missing; files of the same names are replaced.
    other : the report of a run with another waveform, to be drawn beside the first.

    Returns
    -------
    The files.

    Raises
    ------
    EarmarkError
        matplotlib is missing, a table lacks a column, there is nothing to draw, or a file
        cannot be written.
    """
    wanted = "give the report of `earmark-host bench nonce`"
    return draw_all(_plots(report, other), folder, wanted)


def _plots(
    report: Mapping[str, Any], other: Mapping[str, Any] | None
) -> dict[str, Callable[[], Figure | None]]:
    tables: Mapping[str, Table] = report.get("tables", {})
    success, curves = tables.get("peers_success", ()), tables.get("peers_theory", ())
    return {
        "success": lambda: _success(success, curves),
        "success_conditions": lambda: _conditions(success),
        "levels": lambda: _levels(tables.get("peers_levels", ())),
        "stale": lambda: _stale(tables.get("stale_by_level", ())),
        "removal": lambda: _removal(tables.get("removal", ())),
        "cpu": lambda: _cpu(tables.get("cpu_by_length", ()), tables.get("cpu_ggwave", ())),
        "waveforms": lambda: None if other is None else _waveforms(report, other),
    }


# -- success against level ------------------------------------------------------------------


def _success(success: Table, curves: Table) -> Figure | None:
    """Success against level at 1 m in quiet: a panel for each kind, with theory; others in grey."""
    here = _at(success, "quiet", 1.0)
    if not here:
        return None
    names = list(dict.fromkeys(row["receiver"] for row in here))
    panels = {title: [n for n in names if n.startswith(begin)] for title, begin in KINDS.items()}
    panels = {title: some for title, some in panels.items() if some}
    figure = new_figure(10.0, 3.4 * -(-len(panels) // 2) + 0.6)
    axes = figure.subplots(-(-len(panels) // 2), 2, sharex=True, sharey=True, squeeze=False).flat
    for panel, (title, some) in zip(axes, panels.items(), strict=False):
        for name in names:
            if name not in some:
                _line(panel, here, name, behind=True)
        for name, dashes in THEORY.get(title, {}).items():
            rows = [row for row in curves if row["curve"] == name]
            x, y = _columns(rows, "nsr_db", "success", 100.0)
            if x:
                panel.plot(x, y, color=BLACK, lw=1.0, ls=dashes, label=name)
        for name in some:
            _line(panel, here, name, bars=len(some) <= FEW)
        panel.set_title(title)
        percent_axis(panel)
        _named_lines(panel)
    figure.suptitle(f"32 bits under speech for 4 s, {PLACES['quiet', 1.0]}", x=0.01, ha="left")
    figure.supxlabel(NSR, fontsize=10)
    figure.supylabel(SUCCESS, fontsize=10)
    return figure


def _conditions(success: Table) -> Figure | None:
    """Small multiples: the same farther away and in noise; of each kind the best."""
    places = [place for place in PLACES if _at(success, *place)]
    if len(places) < 2:
        return None
    figure = new_figure(11.0, 4.2)
    panels = figure.subplots(1, len(places), sharex=True, sharey=True)
    shown = [name for name in LOOKS if name in _shown(_at(success, *places[0]))]
    for axes, place in zip(panels, places, strict=True):
        here = _at(success, *place)
        for name in shown:
            _line(axes, here, name)
        axes.set_title(PLACES[place])
        percent_axis(axes)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=3,
        frameon=False,
        labelcolor="linecolor",
    )
    figure.supxlabel(NSR, fontsize=10)
    panels[0].set_ylabel(SUCCESS)
    return figure


def _levels(levels: Table) -> Figure | None:
    """Which level each receiver needs for half, nine in ten and 99 of 100 payloads."""
    here = [row for row in _at(levels, "quiet", 1.0) if row["nsr_50_db"] is not None]
    if not here:
        return None
    here = sorted(here, key=lambda row: (_known(row["nsr_99_db"]), _known(row["nsr_90_db"])))
    figure = new_figure(9.0, 0.42 * len(here) + 1.4)
    axes = figure.subplots()
    for place, row in enumerate(here):
        look = LOOKS.get(row["receiver"], Look(GREY))
        known = [row[column] for column in LEVELS if row[column] is not None]
        axes.plot([min(known), max(known)], [place, place], color=look.colour, lw=2.0)
        for column, (_, marker) in LEVELS.items():
            if row[column] is not None:
                face = look.colour if marker == "o" else "white"
                axes.plot(row[column], place, marker, ms=7, color=look.colour, mfc=face)
        if row["nsr_99_db"] is None:
            axes.annotate(
                "99 % not reached",
                (max(known), place),
                (10, 0),
                textcoords="offset points",
                va="center",
                color=GREY,
                fontsize=9,
            )
    for label, marker in LEVELS.values():
        face = GREY if marker == "o" else "white"
        axes.plot([], [], marker, ms=7, color=GREY, mfc=face, label=label)
    axes.set_yticks(range(len(here)), [row["receiver"] for row in here])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(here) - 0.5, -0.5)
    axes.grid(axis="x", color=LIGHT, lw=0.5)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=False)
    axes.set_title(f"Level that 32 bits need, {PLACES['quiet', 1.0]}")
    axes.set_xlabel(NSR)
    return figure


def _known(level: float | None) -> float:
    return float("inf") if level is None else level


def _line(axes: Axes, rows: Table, name: str, *, behind: bool = False, bars: bool = False) -> None:
    look = LOOKS.get(name, Look(GREY))
    some = sorted((row for row in rows if row["receiver"] == name), key=lambda row: row["nsr_db"])
    if not some:
        return
    x, y = _columns(some, "nsr_db", "success_share", 100.0)
    if behind:
        axes.plot(x, y, color=LIGHT, lw=0.8, zorder=1)
        return
    axes.plot(
        x, y, color=look.colour, ls=look.dashes, marker=look.marker, lw=look.width, label=name
    )
    if not bars:
        return
    low, high = zip(*(row["ci95"] for row in some), strict=True)
    axes.fill_between(
        x,
        [100.0 * each for each in low],
        [100.0 * each for each in high],
        color=look.colour,
        alpha=0.12,
        lw=0.0,
    )


def _named_lines(axes: Axes) -> None:
    """Names in the colours of the lines, low on the right, where no good waveform comes."""
    axes.legend(
        loc="lower right",
        framealpha=0.8,
        edgecolor="none",
        labelcolor="linecolor",
        fontsize=9,
        handlelength=2.2,
        labelspacing=0.25,
        borderaxespad=0.1,
    )


def _shown(rows: Table) -> list[str]:
    """All of ours, and the best of each other kind."""
    names = [name for name in dict.fromkeys(row["receiver"] for row in rows)]
    shown = [name for name in names if name.startswith(OURS)]
    for kind in ("ggwave", "minimodem", "AEOLUS"):
        shown += _best([row for row in rows if row["receiver"].startswith(kind)])
    return shown


# -- the sessions ---------------------------------------------------------------------------


def _stale(rows: Table) -> Figure | None:
    """Replays recognised, against the loudness of the nonces."""
    if not rows:
        return None
    figure = new_figure(7.5, 4.4)
    axes = figure.subplots()
    for recorder, (label, colour, marker) in RECORDERS.items():
        some = [row for row in rows if row["recorder"] == recorder]
        if some:
            _shares(axes, some, label, colour, marker)
    axes.set_xlabel("loudness of the nonce at 1 m, dB SPL (speech: 60)")
    axes.set_ylabel("replays whose old nonce was found, %")
    axes.set_title("Old nonces found, by where they were recorded")
    axes.legend(loc="lower right", frameon=False, labelcolor="linecolor")
    return figure


def _shares(
    axes: Axes, rows: Table, label: str, colour: str, marker: str, dashes: str = "-"
) -> None:
    """Share found against the loudness of the nonce, with its intervals."""
    rows = sorted(rows, key=lambda row: row["nonce_dbspl_1m"])
    x, y = _columns(rows, "nonce_dbspl_1m", "found_share", 100.0)
    bars = error_bars(rows, "found_share")
    style: dict[str, Any] = {"color": colour, "ls": dashes, "marker": marker, "elinewidth": 1.0}
    axes.errorbar(x, y, yerr=bars, label=label, **style)
    axes.locator_params(axis="x", integer=True, steps=[1, 5, 10])
    percent_axis(axes)


def _removal(rows: Table) -> Figure | None:
    """What each attack leaves of the nonce, and of the speech; the least detected at the bottom."""
    if not rows:
        return None
    recorders = [name for name in RECORDERS if any(row["recorder"] == name for row in rows)]
    first = [row for row in rows if row["recorder"] == rows[0]["recorder"]]
    first = sorted(first, key=lambda row: (-row["detect_share"], _known(row["stoi"])))
    attacks = {row["attack"]: place for place, row in enumerate(first)}
    figure = new_figure(9.5, 0.27 * len(attacks) + 1.7)
    found, left = figure.subplots(1, 2, sharey=True)
    for number, recorder in enumerate(recorders):
        label, colour, marker = RECORDERS[recorder]
        some = [row for row in rows if row["recorder"] == recorder and row["attack"] in attacks]
        # Side by side where several were measured.
        aside = 0.2 * (number - (len(recorders) - 1) / 2.0)
        style: dict[str, Any] = {"color": colour, "marker": marker, "ls": "", "elinewidth": 1.0}
        found.errorbar(
            [100.0 * row["detect_share"] for row in some],
            [attacks[row["attack"]] + aside for row in some],
            xerr=error_bars(some, "detect_share"),
            label=label,
            **style,
        )
        some = [row for row in some if row["stoi"] is not None]
        ends = [row["stoi_ci95"] for row in some]
        left.errorbar(
            [row["stoi"] for row in some],
            [attacks[row["attack"]] + aside for row in some],
            xerr=(
                [max(0.0, row["stoi"] - low) for row, (low, _) in zip(some, ends, strict=True)],
                [max(0.0, high - row["stoi"]) for row, (_, high) in zip(some, ends, strict=True)],
            ),
            **style,
        )
    found.set_yticks(list(attacks.values()), [name.replace("_", " ") for name in attacks])
    found.set_ylim(len(attacks) - 0.5, -0.5)
    found.set_xlim(-3.0, 103.0)
    left.set_xlim(right=1.01)
    found.set_xlabel("replays still detected, %")
    left.set_xlabel("STOI left (1: as without nonce)")
    found.set_title("Detection after the attack")
    left.set_title("Speech after the attack")
    for axes in (found, left):
        axes.grid(axis="both", color=LIGHT, lw=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
    if len(recorders) > 1:
        named = found.get_legend_handles_labels()
        figure.legend(
            *named, loc="outside lower left", ncols=3, frameon=False, labelcolor="linecolor"
        )
    return figure


def _cpu(rows: Table, ggwave: Table) -> Figure | None:
    """CPU time of a verdict against the length of the command, its parts, and ggwave's."""
    if not rows:
        return None
    figure = new_figure(7.5, 4.4)
    axes = figure.subplots()
    rows = sorted(rows, key=lambda row: row["command_s"])
    x = [row["command_s"] for row in rows]
    low = [0.0] * len(x)
    for column, (label, colour) in PARTS.items():
        high = [under + row[column] for under, row in zip(low, rows, strict=True)]
        axes.fill_between(x, low, high, color=colour, alpha=0.35, lw=0.0, label=label)
        low = high
    axes.plot(x, [row["verdict_ms"] for row in rows], "o-", color=BLACK, label="verdict, median")
    modes = dict.fromkeys(row["mode"] for row in ggwave)
    ranked = sorted(modes, key=lambda mode: _longest(ggwave, mode))
    # The cheapest and the dearest: the others lie between.
    for mode, dashes in zip(dict.fromkeys([*ranked[:1], *ranked[-1:]]), ("--", ":"), strict=False):
        some = sorted((row for row in ggwave if row["mode"] == mode), key=lambda r: r["command_s"])
        axes.plot(*_columns(some, "command_s", "cpu_ms"), color=ORANGE, ls=dashes, label=mode)
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("length of the command, s")
    axes.set_ylabel("CPU time on one thread, ms")
    axes.set_title("Cost of a verdict")
    axes.legend(loc="upper left", frameon=False)
    return figure


def _longest(ggwave: Table, mode: str) -> float:
    return float(max(row["cpu_ms"] for row in ggwave if row["mode"] == mode))


def _waveforms(report: Mapping[str, Any], other: Mapping[str, Any]) -> Figure | None:
    """Old nonces found by both waveforms, a panel for each recorder."""
    both = [(_waveform(each), each["tables"].get("stale_by_level", ())) for each in (report, other)]
    if not all(rows for _, rows in both):
        return None
    figure = new_figure(10.0, 3.8)
    panels = figure.subplots(1, len(RECORDERS), sharex=True, sharey=True)
    for axes, (recorder, (label, colour, marker)) in zip(panels, RECORDERS.items(), strict=True):
        for (waveform, rows), dashes in zip(both, ("-", ":"), strict=True):
            some = [row for row in rows if row["recorder"] == recorder]
            _shares(axes, some, waveform, colour, marker, dashes)
        axes.set_title(label)
        axes.set_xlabel("nonce at 1 m, dB SPL")
        axes.legend(loc="lower right", frameon=False)
    panels[0].set_ylabel("replays whose old nonce was found, %")
    return figure


def _waveform(report: Mapping[str, Any]) -> str:
    """Which waveform a report is of."""
    return str(report["conditions"]["nonce"]["waveform"])


# -- helpers --------------------------------------------------------------------------------


def _at(rows: Table, environment: str, distance_m: float) -> Table:
    return [
        row for row in rows if row["environment"] == environment and row["distance_m"] == distance_m
    ]


def _columns(rows: Table, x: str, y: str, scale: float = 1.0) -> tuple[list[float], list[float]]:
    return [float(row[x]) for row in rows], [scale * float(row[y]) for row in rows]


def _best(rows: Table) -> list[str]:
    """The receiver with the most success over all levels; none without rows."""
    total: dict[str, float] = {}
    for row in rows:
        total[row["receiver"]] = total.get(row["receiver"], 0.0) + row["success_share"]
    return [max(total, key=lambda name: total[name])] if total else []
