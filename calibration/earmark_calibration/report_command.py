"""The commands ``compare``, ``fleet`` and ``page`` of ``earmark-calibrate``.

``add_to(app)`` adds them. Each imports what it needs when it runs, and raises `EarmarkError`,
which the program prints as one line, exit code 2. Exit code 1 means that something was found.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from earmark.errors import EarmarkError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Report = Annotated[Path, typer.Argument(metavar="REPORT", help="A JSON report.")]

DIFFERS = 1
"""Exit code when reports differ, or when a device stands out."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("compare")(compare)
    app.command("fleet")(fleet)
    app.command("page")(page)


def compare(
    first: Report,
    second: Report,
    as_json: AsJson = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is the same or within tolerance.")
    ] = False,
) -> None:
    """Show what changed between two reports; exit code 1 when something did beyond tolerance."""
    from earmark_calibration.report import comparing as core
    from earmark_calibration.report.writing import read

    found = core.compare(read(first), read(second))
    if as_json:
        typer.echo(core.as_json(found), nl=False)
    else:
        typer.echo(core.as_text(found, everything))
    raise typer.Exit(DIFFERS if found.differs else 0)


def fleet(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with JSON reports.")],
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page there, too.")
    ] = None,
) -> None:
    """Put the reports of many devices side by side; exit code 1 when something stands out."""
    from earmark_calibration.report import fleets as core
    from earmark_calibration.report.fleet_page import fleet_page
    from earmark_calibration.report.folder import read_fleet

    found = read_fleet(folder, _progress)
    if html is not None:
        _write(html, fleet_page(found))
    typer.echo(core.as_json(found) if as_json else core.as_text(found), nl=not as_json)
    raise typer.Exit(DIFFERS if found.stands_out else 0)


def page(
    report: Report,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Where to (default: beside the report)."),
    ] = None,
) -> None:
    """Make the HTML page of a report again."""
    from earmark_calibration.report.page import page as rendered
    from earmark_calibration.report.writing import read

    to = html or report.with_suffix(".html")
    _write(to, rendered(read(report), report.name))
    typer.echo(f"Wrote {to}.")


def _write(file: Path, text: str) -> None:
    from earmark.files import replace_file
    from earmark_calibration.owner import give

    try:
        replace_file(file, text.encode(), give)
    except OSError as error:
        raise EarmarkError(
            f"{file} cannot be written ({error.strerror or error})", "name another file"
        ) from error


def _progress(done: int, of: int) -> None:
    """Where somebody watches and it takes a while."""
    if of >= 200 and sys.stderr.isatty():
        print(f"\r{done} of {of} files", end="\n" if done == of else "", file=sys.stderr)
