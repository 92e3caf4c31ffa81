"""The commands ``earmark memory list | approve | forget | wipe``: what the query memory keeps.

Each command imports what it needs when it runs, like those in ``cli.py``, which adds them. All
need the store for themselves, so the daemon must be stopped.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.memory import MemorySettings, QueryMemory

app = typer.Typer(
    help="See what the query memory keeps after alarms, and approve or forget it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (default /etc/earmark/earmark.yaml)."),
]
ClusterId = Annotated[int, typer.Argument(metavar="ID", help="As `earmark memory list` shows it.")]


@app.command("list")
def list_(config: ConfigFile = None) -> None:
    """Print each attack and each approved repeat, the latest last; times are UTC."""
    with _opened(config) as memory:
        clusters = memory.clusters
    if not clusters:
        typer.echo("Nothing is kept: no command was heard again and again.")
        return
    typer.echo(f"{'id':>6}  {'state':8}  {'carrier':7}  {'heard':>5}  {'first':17}  last")
    for one in clusters:
        state = "approved" if one.approved else "attack"
        typer.echo(
            f"{one.id:>6}  {state:8}  {one.carrier:7}  {one.count:>5}  "
            f"{_utc(one.first_unix_s)}  {_utc(one.last_unix_s)}"
        )


@app.command("approve")
def approve(cluster: ClusterId, config: ConfigFile = None) -> None:
    """Let a repeat pass from now on, such as a routine or an advertisement."""
    with _opened(config) as memory, _known(cluster):
        memory.approve(cluster)
    typer.echo(
        f"Approved {cluster}: the same sound passes, memory.neighbours.approved_per_day times."
    )


@app.command("forget")
def forget(cluster: ClusterId, config: ConfigFile = None) -> None:
    """Forget an attack with its queries, or withdraw an approval."""
    with _opened(config) as memory, _known(cluster):
        memory.forget(cluster)
    typer.echo(f"Forgot {cluster}.")


@app.command("wipe")
def wipe(
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
) -> None:
    """Remove all that is remembered (factory reset), also a store that cannot be read."""
    from earmark.config import load
    from earmark.memory import erase

    settings = load(config).memory
    folder = _folder(settings)
    if not yes:
        typer.confirm(f"Remove the query memory in {folder}, approved repeats too?", abort=True)
    erase(settings)
    typer.echo(f"Removed the query memory in {folder}.")


@contextmanager
def _opened(config: Path | None) -> Iterator[QueryMemory]:
    from earmark.config import load
    from earmark.memory import QueryMemory

    settings = load(config).memory
    _folder(settings)
    with closing(QueryMemory.open(settings, os.urandom)) as memory:
        yield memory


def _folder(settings: MemorySettings) -> Path:
    if settings.folder is None:
        raise EarmarkError("memory.folder is null, so nothing is kept", "set it to a folder")
    return settings.folder


@contextmanager
def _known(cluster: int) -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise EarmarkError(
            f"the query memory keeps no {cluster}", "choose one from `earmark memory list`"
        ) from None


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%MZ")
