"""The command line of a device: ``earmark``.

Each command imports what it needs when it runs, so that ``earmark --help`` is quick on a Pi.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, Annotated, cast

import typer

from earmark import __version__, keys_command, memory_command, people_command, service_command
from earmark.errors import EarmarkError, one_line

app = typer.Typer(
    name="earmark",
    help="Earmark forwards a spoken command only when it is fresh and by whom it may be.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(
    help="Show and check the settings.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(config_app, name="config")
ledger_app = typer.Typer(
    help="Share issued nonces between devices.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(ledger_app, name="ledger")
app.add_typer(keys_command.app, name="keys")
app.add_typer(memory_command.app, name="memory")
app.add_typer(people_command.app, name="people")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (default /etc/earmark/earmark.yaml)."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"earmark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


@app.command()
def run(config: ConfigFile = None) -> None:
    """Guard the microphone until stopped (SIGTERM or Ctrl-C); SIGHUP reloads the settings."""
    import logging

    from earmark.config import load
    from earmark.feedback import log_handler
    from earmark.service import serve

    settings = load(config)
    logging.basicConfig(level=logging.INFO, handlers=[log_handler(os.environ)])
    serve(settings, lambda: load(config))


service_command.add_to(app)


@app.command()
def demo(
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the results there: an array, an object a scene."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for pictures, forwarded commands, journal.")
    ] = Path("earmark-demo"),
    seed: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Of all noise. Nonces are always fresh.")
    ] = 1,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="Take as long as the audio does.")
    ] = False,
    scene: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this one, and what it replays; may be repeated."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only the main scenes.")] = False,
) -> None:
    """Play a household evening in simulated rooms; exit code 1 when a scene ends unexpectedly."""
    from earmark.demo import EVENING, QUICK, chosen, run_demo

    names = (*(scene or ()), *(QUICK if quick else ()))
    raise typer.Exit(
        run_demo(
            chosen(names) if names else EVENING,
            out=out,
            json_file=json,
            seed=seed,
            real_time=real_time,
        )
    )


@ledger_app.command("export")
def ledger_export(
    file: Annotated[Path, typer.Argument(help="File to write, mode 0600: it holds secrets.")],
    config: ConfigFile = None,
) -> None:
    """Write this device's nonces to a file, for the other devices of the household."""
    from earmark.config import load
    from earmark.nonce import Ledger

    settings = load(config).ledger
    with Ledger.open(settings.path, settings) as ledger, _opened(file, "wb") as out:
        count = ledger.export(out)
    typer.echo(f"Wrote {count} nonces to {file}. Delete it when it has been imported.")


@ledger_app.command("import")
def ledger_import(
    file: Annotated[Path, typer.Argument(help="File that `earmark ledger export` wrote.")],
    config: ConfigFile = None,
) -> None:
    """Add another device's nonces: a recording made there is then recognised here."""
    from earmark.config import load
    from earmark.nonce import Ledger

    settings = load(config).ledger
    with Ledger.open(settings.path, settings) as ledger, _opened(file, "rb") as source:
        count = ledger.import_(source)
    typer.echo(f"Imported {count} nonces that were not known here yet.")


def _opened(file: Path, mode: str) -> IO[bytes]:
    """Open a file that the user named; what is written is for its owner only."""
    try:
        return cast(
            IO[bytes], open(file, mode, opener=lambda path, flags: os.open(path, flags, 0o600))
        )
    except OSError as error:
        raise EarmarkError(
            f"cannot open {file} ({error.strerror})", "name a file that can be opened"
        ) from error


@config_app.command("show")
def config_show(config: ConfigFile = None) -> None:
    """Print the settings in effect, and the file and line of each that a file sets."""
    from earmark.config import load, show

    typer.echo(show(load(config)), nl=False)


@config_app.command("check")
def config_check(config: ConfigFile = None) -> None:
    """Read the settings; exit code 2 and one line when something is wrong."""
    from earmark.config import load

    load(config)
    typer.echo("The settings are valid.")


def main() -> None:
    """Run the command line. A failure with a remedy is one line on stderr, exit code 2."""
    # Before numpy loads: the threads of its BLAS wait by spinning, and products as small as ours
    # then take ten times the CPU (a decision 300 ms instead of 30 on two cores).
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        app()
    except EarmarkError as error:
        print("earmark:", one_line(error), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
