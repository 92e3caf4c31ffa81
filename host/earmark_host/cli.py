"""The command line of the maker's workstation: ``earmark-host``.

Each command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from earmark import __version__
from earmark.errors import EarmarkError
from earmark_host.room_command import compute

app = typer.Typer(
    name="earmark-host",
    help="Measure, train and package Earmark on a workstation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
bench_app = typer.Typer(
    help="Measure Earmark on a corpus.", no_args_is_help=True, rich_markup_mode=None
)
room_app = typer.Typer(
    help="Make the room responses that ship.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(bench_app, name="bench")
app.add_typer(room_app, name="room")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"earmark-host {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


room_app.command("compute")(compute)


@bench_app.command("session")
def _bench_session(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few sessions, within 90 s.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; two where there are two cores.")
    ] = None,
    nonce_level: Annotated[
        float | None,
        typer.Option(help="Loudness of the nonce, dB SPL at 1 m [default: the settings']"),
    ] = None,
    only: Annotated[
        Literal["live", "no_nonce", "replay"] | None, typer.Option(help="Only these sessions.")
    ] = None,
) -> None:
    """Hold many sessions in simulated rooms: false rejects, replays let in, CPU time."""
    from earmark_host.bench.session_command import bench_session

    bench_session(data, json, seed, quick, workers, nonce_level, only)


@bench_app.command("wake")
def _bench_wake(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, within 90 s.")] = False,
) -> None:
    """Play wake words and commands to the detectors: what is heard, when, and what is missed."""
    from rich.console import Console

    from earmark_host.bench.report import check_writable
    from earmark_host.bench.wake import run

    check_writable(json)
    report = run(data, seed=seed, quick=quick)
    report.write(json)
    report.show(Console())


def main() -> None:
    """Run the command line. A failure with a remedy is one line on stderr, exit code 2."""
    try:
        app()
    except EarmarkError as error:
        print("earmark-host:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
