"""An evaluation as Markdown, the paper's figures beside ours; from the report alone.

The paper is Pal et al. 2021: 251 people of LibriSpeech with 25 minutes each. Ours have other people
and less of each, so its figures are beside ours and not a target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from earmark.errors import EarmarkError

Rows: TypeAlias = Sequence[Mapping[str, Any]]

COLUMNS = (
    "clean",
    "fgsm",
    *(f"{goal}{steps}" for goal in ("pgd", "cw", "fs") for steps in (10, 20, 40)),
)
"""Of the paper's Table 1."""

PAPER_TABLE_1: Mapping[str, Sequence[float]] = {
    "standard": (99.55, 6.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "fgsm": (97.64, 57.04, 14.86, 11.05, 9.59, 17.01, 14.13, 12.37, 81.19, 79.13, 77.5),
    "pgd10": (97.30, 88.78, 78.22, 76.62, 75.55, 77.42, 76.00, 75.34, 96.57, 96.57, 96.35),
    "fs10": (96.12, 82.85, 60.69, 55.28, 53.19, 38.45, 35.68, 32.54, 96.81, 96.51, 96.47),
    "hat10": (97.68, 90.06, 81.12, 79.60, 78.84, 80.12, 79.18, 78.52, 96.95, 96.90, 96.67),
}
"""Percent recognised at eps .002, by arm; in the order of :data:`COLUMNS`."""

PAPER_TABLE_2: Mapping[tuple[str, str, str], float] = {
    ("standard", "pgd40", "pgd10"): 97.30,
    ("standard", "pgd40", "hat10"): 97.58,
    ("standard", "cw40", "pgd10"): 97.32,
    ("standard", "cw40", "hat10"): 97.54,
    ("fs10", "pgd40", "pgd10"): 96.47,
    ("fs10", "pgd40", "hat10"): 97.06,
    ("fs10", "cw40", "pgd10"): 96.74,
    ("fs10", "cw40", "hat10"): 97.19,
}
"""Percent recognised, by source, attack and target."""

PAPER_ADVANTAGE: Mapping[str, float] = {"pgd40": 3.29, "cw40": 3.18}
"""Points of HAT over PGD training in the paper, one training each."""


def markdown(report: Mapping[str, Any]) -> str:
    """The whole text.

    Parameters
    ----------
    report : what ``earmark-host speaker evaluate --json`` wrote.

    Raises
    ------
    EarmarkError
        A table or a column is missing.
    """
    try:
        parts = [_head(report), *(part(report["tables"]) for part in _PARTS)]
    except (KeyError, TypeError, IndexError) as error:
        raise EarmarkError(
            f"the report is not as expected ({type(error).__name__}: {error})",
            "make it again with this version of Earmark",
        ) from error
    return "\n\n".join(part for part in parts if part) + "\n"


def write(report: Mapping[str, Any], path: Path) -> None:
    """Write the text, whole or not at all.

    Raises
    ------
    EarmarkError
        The file cannot be written, or the report lacks something.
    """
    text = markdown(report)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise EarmarkError(
            f"{path} cannot be written ({error.strerror})", "give another file with --markdown"
        ) from error


def _head(report: Mapping[str, Any]) -> str:
    about, data = report["conditions"], report["data"]
    disjoint = {
        "session": "from sessions that nobody was trained on",
        "utterance": "utterances that nobody was trained on, but for some people from the same "
        "session as the training",
    }[data["disjoint"]]
    quick = (
        "**A quick run: its attacks are weaker than the names say, and nothing follows from it.**"
        "\n\n"
        if about["quick"]
        else ""
    )
    if about.get("tables_only"):
        quick += (
            "**Only the attacks of the paper, and ART: the worst case would be lower with "
            "AutoAttack, restarts and black-box attacks.**\n\n"
        )
    return (
        f"# Robustness of the speaker model\n\n{quick}{data['clips']} held-out clips of "
        f"{data['people']} people, {disjoint}; whole clips, raw sound, changed by at most "
        f"{about['plan']['eps']:g} of full scale (median "
        f"{data['median_snr_db']:.0f} dB below the clip) and rounded to 16 bits within that. Seed "
        f"{report['seed']}. Percent recognised, with the exact 95 % interval; *in italics* the "
        "paper's, from 251 people of LibriSpeech with 25 minutes each."
    )


def _table_1(tables: Mapping[str, Rows]) -> str:
    rows = tables["table_1"]
    body = []
    for arm, seed in _subjects(rows):
        cells = {row["attack"]: _share(row) for row in _of(rows, arm, seed)}
        known = PAPER_TABLE_1.get(arm, ())
        names = [*COLUMNS, *(name for name in cells if name not in COLUMNS)]
        paper = dict(zip(COLUMNS, known, strict=False))
        shown = [_beside(cells.get(name, "-"), paper.get(name)) for name in names]
        body.append((names, [f"{arm}, seed {seed}", *shown]))
    if not body:
        return ""
    names = max((names for names, _ in body), key=len)
    return _table("White-box attacks (Table 1)", ["arm", *names], [line for _, line in body])


def _worst(tables: Mapping[str, Rows]) -> str:
    rows = tables["worst"]
    body = [
        [f"{arm}, seed {seed}", *(_share(row) for row in _of(rows, arm, seed))]
        for arm, seed in _subjects(rows)
    ]
    return _table(
        "Worst case, clip by clip",
        ["arm", "clean", "after all white-box attacks", "after all attacks"],
        body,
        "A clip that any attack broke counts as broken.",
    )


def _attacks(tables: Mapping[str, Rows]) -> str:
    body = [
        [
            f"{row['arm']}, seed {row['seed']}",
            row["attack"],
            row["kind"],
            _share(row, "alone_share"),
            str(row["n"]),
            row["broke_of_those_left"],
            f"{100.0 * row['left_share']:.1f}",
        ]
        for row in tables["attacks"]
    ]
    return _table(
        "Every attack",
        ["arm", "attack", "kind", "alone", "of clips", "broke of those left", "left"],
        body,
        "`alone`: recognised under this attack, of all clips or of a random sample; a dash where "
        "it was only tried on what the others had left. `left`: recognised after this and all "
        "attacks above it. `pgd100x5` has five restarts and steps of eps/10; `<` names the model "
        "that the examples were crafted on. AutoAttack is its standard without Square, which "
        "draws squares in pictures and does nothing to sound; `square` is a search over tones "
        "and stretches of time in its place.",
    )


def _table_2(tables: Mapping[str, Rows]) -> str:
    body = []
    for row in tables["table_2"]:
        source = row["source"].partition("/")[0]
        paper = PAPER_TABLE_2.get((source, row["attack"], row["arm"]))
        who = f"{row['arm']}, seed {row['seed']}"
        body.append([row["source"], row["attack"], who, _beside(_share(row), paper)])
    return _table("Transfer (Table 2)", ["crafted on", "attack", "tried on", "recognised"], body)


def _figure_1(tables: Mapping[str, Rows]) -> str:
    return _wide(
        "PGD with rising eps (Fig. 1)",
        tables["figure_1"],
        "eps",
        "The best iterate counts. What is broken at one eps is at a larger one too, as its ball "
        "holds the smaller one.",
    )


def _figure_2(tables: Mapping[str, Rows]) -> str:
    return _wide("PGD with more steps (Fig. 2)", tables["figure_2"], "iterations", "")


def _figure_3(tables: Mapping[str, Rows]) -> str:
    return _table(
        "Ablation of the attack's losses (Fig. 3): hat10 less the arm, points",
        ["arm", "under", "points", "by clips", "by trainings", "seeds"],
        [[row["beside"], *_points(row)] for row in tables["figure_3"]],
    )


def _advantage(tables: Mapping[str, Rows]) -> str:
    body = []
    for row in tables["advantage"]:
        points = _points(row)
        if (row["arm"], row["beside"]) == ("hat10", "pgd10"):
            points[1] = _beside(points[1], PAPER_ADVANTAGE.get(row["under"]), "{:+.2f}")
        body.append([row["arm"], row["beside"], *points])
    return _table(
        "One arm less another on the same clips, points",
        ["arm", "less", "under", "points", "by clips", "by trainings", "seeds"],
        body,
        "Two 95 % intervals: what other clips would give (bootstrap), and what other trainings "
        "would (Student's, over the seeds).",
    )


def _independent(tables: Mapping[str, Rows]) -> str:
    body = [
        [
            f"{row['arm']}, seed {row['seed']}",
            row["attack"],
            f"{100.0 * row['ours_share']:.1f}",
            f"{100.0 * row['art_share']:.1f}",
            f"{row['points_apart']:.2f}",
            f"{100.0 * row['same_outcome_share']:.1f} %",
            "yes" if row["within_a_point"] else "**no**",
        ]
        for row in tables["independent"]
    ]
    return _table(
        "Our PGD and that of the Adversarial Robustness Toolbox",
        ["arm", "attack", "ours", "ART", "apart", "same outcome", "within a point"],
        body,
    )


def _air(tables: Mapping[str, Rows]) -> str:
    body = [
        [
            f"{row['arm']}, seed {row['seed']}",
            "clip as it is" if row["attack"] == "none" else row["attack"],
            "-" if row["attack"] == "none" else "with the room" if row["room_known"] else "without",
            _share(row),
        ]
        for row in tables["over_the_air"]
    ]
    return _table(
        "Over the air",
        ["arm", "played", "crafted", "recognised"],
        body,
        "Played by a loudspeaker 1 m from the device, in rooms that ship, one a clip; no noise.",
    )


def _masking(tables: Mapping[str, Rows]) -> str:
    body = [
        [
            f"{row['arm']}, seed {row['seed']}",
            row["check"],
            "yes" if row["passed"] else "**no**",
            _percent(row["stronger_share"]),
            _percent(row["weaker_share"]),
            str(row["n"]),
            "-" if row["broke_what_white_left"] is None else str(row["broke_what_white_left"]),
        ]
        for row in tables["masking"]
    ]
    return _table(
        "Are gradients masked?",
        ["arm", "check", "holds", "stronger", "weaker", "clips", "broke what white-box left"],
        body,
        "White-box is the worst case over all white-box attacks.",
    )


def _cost(tables: Mapping[str, Rows]) -> str:
    total: dict[str, list[float]] = {}
    for row in tables["cost_cpu"]:
        spent = total.setdefault(row["attack"], [0.0, 0.0])
        spent[0] += row["cpu_s"]
        spent[1] += row["clips"]
    body = [
        [name, f"{cpu_s:.0f}", f"{cpu_s / clips:.2f}" if clips else "-"]
        for name, (cpu_s, clips) in total.items()
    ]
    return _table("What it cost", ["attack", "CPU s", "CPU s a clip"], body)


_PARTS: Sequence[Callable[[Mapping[str, Rows]], str]] = (
    _worst,
    _table_1,
    _advantage,
    _table_2,
    _attacks,
    _figure_1,
    _figure_2,
    _figure_3,
    _independent,
    _masking,
    _air,
    _cost,
)


def _subjects(rows: Rows) -> list[tuple[str, int]]:
    return list(dict.fromkeys((row["arm"], row["seed"]) for row in rows))


def _of(rows: Rows, arm: str, seed: int) -> list[Mapping[str, Any]]:
    return [row for row in rows if (row["arm"], row["seed"]) == (arm, seed)]


def _wide(title: str, rows: Rows, column: str, note: str) -> str:
    """One line an arm, one column a value of `column`."""
    values = sorted({row[column] for row in rows})
    body = []
    for arm, seed in _subjects(rows):
        cells = {row[column]: f"{100.0 * row['share']:.1f}" for row in _of(rows, arm, seed)}
        body.append([f"{arm}, seed {seed}", *(cells.get(value, "0.0") for value in values)])
    return _table(title, ["arm", *(f"{value:g}" for value in values)], body, note)


def _points(row: Mapping[str, Any]) -> list[str]:
    seeds = (
        "-"
        if row["low_by_seeds"] is None
        else f"{row['low_by_seeds']:+.1f} to {row['high_by_seeds']:+.1f}"
    )
    return [
        row["under"],
        f"{row['points']:+.2f}",
        f"{row['low_by_clips']:+.1f} to {row['high_by_clips']:+.1f}",
        seeds,
        row["seeds"],
    ]


def _share(row: Mapping[str, Any], column: str = "share") -> str:
    if row[column] is None:
        return "-"
    low, high = row["ci95"]
    return f"{100.0 * row[column]:.1f} ({100.0 * low:.1f}-{100.0 * high:.1f})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100.0 * share:.1f}"


def _beside(ours: str, paper: float | None, form: str = "{:.2f}") -> str:
    return ours if paper is None else f"{ours} *{form.format(paper)}*"


def _table(
    title: str, columns: Sequence[str], body: Sequence[Sequence[str]], note: str = ""
) -> str:
    if not body:
        return ""
    lines = [f"## {title}", "", _line(columns), _line(["---"] * len(columns))]
    lines += [_line(row) for row in body]
    return "\n".join([*lines, *(["", note] if note else [])])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
