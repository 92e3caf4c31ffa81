"""A page for people: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from earmark import __version__
from earmark_calibration.declared import Outcome
from earmark_calibration.record import Choice, Option, Record
from earmark_calibration.report import svg, words
from earmark_calibration.report.charts import figures

_TEMPLATES = Path(__file__).parent / "templates"

UNDO = "sudo earmark-calibrate undo"
"""The command that puts the settings back."""

Cells: TypeAlias = tuple[str, str, str]


@cache
def _templates() -> Environment:
    """The templates. All text is escaped: a serial or a setting may hold anything."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "style": _style(),
        "version": __version__,
        "counted": words.counted,
        "date": words.date,
        "day": words.day,
        "difference": words.difference,
        "draw": svg.draw,
        "estimate": words.estimate,
        "limits": words.limits,
        "marginal": words.marginal,
        "name": words.title,
        "number": words.number,
        "passes": words.passes,
        "percent": words.percent,
        "quantity": words.quantity,
        "sample": svg.sample,
        "sentence": words.sentence,
        "setting": words.setting,
        "span_sample": svg.span_sample,
        "tally": words.tally,
        "todo": words.todo,
        "verdict": words.verdict,
    }
    return made


def _style() -> Markup:
    """The style sheet, as it is: it is ours and holds no text from elsewhere."""
    return Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))


def render(template: str, **values: Any) -> str:
    """A page from one of our templates, everything given to it escaped."""
    return _templates().get_template(template).render(**values)


def page(record: Record, json_name: str = "the JSON report") -> str:
    """The HTML page of a record.

    Parameters
    ----------
    json_name : of the file with the same in numbers, as the page names it.
    """
    return render(
        "report.html.jinja",
        record=record,
        # Nothing measured is no reason to be glad.
        state=record.outcome if record.measurements or record.faults else Outcome.MARGINAL,
        json_name=json_name,
        figures=figures(record),
        # The worst first; what is alike stays in the order in which it was measured.
        measurements=sorted(record.measurements, key=lambda item: -item.outcome.gravity),
        choice_rows=_choice_rows(record.choice) if record.choice else [],
        applied=_applied(record),
        undo=_undo(record),
        device_rows=_device_rows(record),
    )


def _applied(record: Record) -> str:
    if record.applied:
        return "The settings were written to the device."
    if record.settings:
        return "The settings were not written to the device: it is as it was."
    return "The device is as it was."


def _undo(record: Record) -> tuple[str, str]:
    """What to say, and the command, if there is something to undo."""
    if record.applied:
        return "The settings from before are kept on the device. To put them back, run there:", UNDO
    return "Nothing was changed, so there is nothing to undo.", ""


def _choice_rows(choice: Choice) -> list[Cells]:
    """The parameters and what they give, before and after; what neither has is left out."""
    before, after = choice.before, choice.after
    keys = list(dict.fromkeys([*after.parameters, *before.parameters]))
    rows = [
        (
            key,
            words.setting(before.parameters.get(key)),
            words.setting(after.parameters.get(key)),
        )
        for key in keys
    ]
    for label, told in (
        ("False rejects, predicted", lambda o: o.false_rejects and words.estimate(o.false_rejects)),
        (
            "False rejects, played",
            lambda o: o.played_current and words.played(o.played_current, "rejected"),
        ),
        (
            "Old nonces found, predicted",
            lambda o: o.stale_detection and words.estimate(o.stale_detection),
        ),
        (
            "Old nonces found, played",
            lambda o: o.played_stale and words.played(o.played_stale, "missed"),
        ),
        ("Loudness at 1 m", _loudness),
        (
            "Over the room's noise",
            lambda o: (
                None if o.over_ambient_db is None else words.quantity(o.over_ambient_db, "dB", 3)
            ),
        ),
    ):
        one, other = told(before), told(after)
        missing = "not played" if "played" in label else "not known"
        if one or other:
            rows.append((label, one or missing, other or missing))
    return rows


def _loudness(option: Option) -> str:
    said = []
    if option.loudness_phon is not None:
        said.append(words.quantity(option.loudness_phon, "phon", 3))
    if option.loudness_sone is not None:
        said.append(words.quantity(option.loudness_sone, "sone", 3))
    return ", ".join(said)


def _device_rows(record: Record) -> list[tuple[str, str, bool]]:
    """(what, text, whether it is set in letters of one width)."""
    device = record.device
    none = "none"
    return [
        ("Serial number", device.serial, True),
        ("Program", f"earmark {device.program_version}", False),
        ("SHA-256 of the program", device.program_sha256 or none, True),
        ("SHA-256 of the settings before", device.settings_sha256 or none, True),
        ("SHA-256 of the speaker model", device.speaker_model_sha256 or none, True),
        ("Audio", " ".join([device.audio_kind, device.audio_device]).strip() or "not named", False),
        ("Measured", words.day(record.when), False),
        ("Sound played and recorded", words.quantity(round(record.sound_s, 1), "s"), False),
        (
            "Where dB SPL come from",
            record.spl_reference or "no reference was given: levels are in dBFS alone",
            False,
        ),
    ]
