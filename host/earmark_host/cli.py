"""The command line of the maker's workstation: ``earmark-host``.

Each command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from earmark import __version__
from earmark.errors import EarmarkError

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


def main() -> None:
    """Run the command line. A failure with a remedy is one line on stderr, exit code 2."""
    try:
        app()
    except EarmarkError as error:
        print("earmark-host:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
