"""The commands ``earmark keys show | export | import``: the household secret of the nonces.

Each command imports what it needs when it runs, like those in ``cli.py``, which adds them.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from earmark.errors import EarmarkError

app = typer.Typer(
    help="Share the household secret between devices.", no_args_is_help=True, rich_markup_mode=None
)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (default /etc/earmark/earmark.yaml)."),
]


@app.command("show")
def show(config: ConfigFile = None) -> None:
    """Print the name of the secret and the epochs that are recognised; never the key."""
    from earmark.config import load
    from earmark.nonce import KeyRing

    settings = load(config).keys
    for line in KeyRing.open(settings.path, settings).show(time.time()):
        typer.echo(line)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="New file, mode 0600: it holds the secret.")],
    config: ConfigFile = None,
) -> None:
    """Write the secret to a new file, for the other devices of the household."""
    from earmark.config import load
    from earmark.nonce import KeyRing

    settings = load(config).keys
    ring = KeyRing.open(settings.path, settings)
    try:
        # Never over another file: that one may be open to others, or in use.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(file, flags, 0o600)
    except OSError as error:
        what = f"cannot create {file} ({error.strerror})"
        raise EarmarkError(what, "name a new file in a folder that can be written") from None
    try:
        with open(handle, "wb") as out:
            secret_id = ring.export(out, time.time())
    except OSError as error:
        file.unlink(missing_ok=True)
        raise EarmarkError(f"cannot write {file} ({error.strerror})", "free some space") from None
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    typer.echo(f"Wrote secret {secret_id} to {file}. Delete it when it has been imported.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="File that `earmark keys export` wrote.")],
    config: ConfigFile = None,
) -> None:
    """Take over the household's secret; what the old one marked stays recognised for its time."""
    from earmark.config import load
    from earmark.nonce import KeyRing

    settings = load(config).keys
    ring = KeyRing.open(settings.path, settings)
    try:
        with file.open("rb") as source:
            new = ring.import_(source, time.time())
    except OSError as error:
        what = f"cannot read {file} ({error.strerror})"
        raise EarmarkError(what, "name a file that can be read") from None
    typer.echo("Imported the secret." if new else "This secret was here already.")
