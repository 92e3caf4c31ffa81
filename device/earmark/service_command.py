"""The commands `earmark status | mute | unmute | doctor`: how the service is, from outside.

They ask the running daemon at its control socket. Each imports what it needs when it runs, like
those in ``cli.py``, which adds them.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.config import Config
    from earmark.doctor import Found

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (default /etc/earmark/earmark.yaml)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SIGNS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("status")(status)
    app.command("mute")(mute)
    app.command("unmute")(unmute)
    app.command("doctor")(doctor)


def status(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print how the running daemon is: state, sessions, sound card, people, versions."""
    from earmark.config import load
    from earmark.control import Request, ask

    found = ask(_socket(load(config)), Request.STATUS)["status"]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, text in _told(found):
        typer.echo(f"{name:10} {text}")


def mute(config: ConfigFile = None) -> None:
    """Switch the microphone off; it stays off over restarts, until `earmark unmute`."""
    _switch(config, off=True)


def unmute(config: ConfigFile = None) -> None:
    """Switch the microphone on again."""
    _switch(config, off=False)


def doctor(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Look for what keeps Earmark from working; exit code 1 when something does.

    Without root, files of the service are looked at by the running daemon, where there is one.
    """
    from earmark.config import load
    from earmark.doctor import Grade, around, guarded, within
    from earmark.doctor import settings as sources

    read: list[Config] = []

    def settings() -> list[Found]:
        read.append(load(config))
        return list(sources(config))

    found = guarded("settings", settings)
    loaded = read[0] if read else None
    found += around(loaded)
    if loaded is not None:
        asked, seen = _asked(loaded)
        found += seen if seen is not None else within(loaded)
        found.append(asked)
    failed = any(one.grade is Grade.FAIL for one in found)
    if as_json:
        report = {"ok": not failed, "findings": [one.as_json() for one in found]}
        typer.echo(json.dumps(report, indent=2))
    else:
        for one in found:
            typer.echo(f"{_SIGNS[one.grade.value]}  {one.name:13}  {one.found}")
            if one.do:
                typer.echo(f"{'':6}{'':13}  -> {one.do}")
    raise typer.Exit(1 if failed else 0)


def _socket(settings: Config) -> Path:
    if settings.control.path is None:
        raise EarmarkError(
            "the daemon has no control socket (control.path is null)", "set it to a path"
        )
    return settings.control.path


def _switch(config: Path | None, *, off: bool) -> None:
    from earmark.config import load
    from earmark.control import Request, ask

    path = _socket(load(config))
    answer = ask(path, Request.MUTE if off else Request.UNMUTE)
    typer.echo("The microphone is off." if off else "The microphone is on.")
    if "warning" in answer:
        typer.echo(f"But {answer['warning']}", err=True)


def _asked(settings: Config) -> tuple[Found, list[Found] | None]:
    """What is known of the daemon, and what it found itself, None where it was not asked."""
    from earmark.control import NoAccess, NoDaemon, Request, ask
    from earmark.doctor import Found, Grade

    try:
        path = _socket(settings)
        state = ask(path, Request.STATUS)["status"]
        seen = [Found.from_json(one) for one in ask(path, Request.DOCTOR)["findings"]]
        return _daemon(state, path), seen
    except EarmarkError as error:
        unasked = isinstance(error, NoDaemon | NoAccess) or settings.control.path is None
        grade = Grade.WARN if unasked else Grade.FAIL
        return Found("daemon", grade, error.what, error.do), None
    except (KeyError, TypeError, ValueError):
        do = "restart it, so that it has the version of this command"
        return Found("daemon", Grade.FAIL, "the daemon's answer is not understood", do), None


def _daemon(state: Mapping[str, Any], path: Path) -> Found:
    from earmark.doctor import Found, Grade

    lost = state["card"]["lost"]
    text = f"{state['state']} for {_span(state['state_s'])}, listens at {path}"
    if lost:
        do = "plug the sound card in, or look at the sound server; it is opened again by itself"
        return Found("daemon", Grade.FAIL, f"{text}; {lost}", do)
    if state["muted"]:
        return Found("daemon", Grade.WARN, f"{text}; muted", "earmark unmute")
    return Found("daemon", Grade.OK, text)


def _told(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The lines of a status, for people."""
    sessions, card, ledger = found["sessions"], found["card"], found["ledger"]
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sessions.items())
    reasons = ", ".join(f"{count} {name}" for name, count in found["reasons"].items())
    entries, size = _or_unknown(ledger["entries"]), _or_unknown(ledger["bytes"])
    lines = [
        ("state", f"{found['state']} since {found['since_utc']} ({_span(found['state_s'])})"),
        ("device", f"{found['device']}, {found['room']}"),
        ("running", _span(found["running_s"])),
        ("muted", "yes" if found["muted"] else "no"),
        ("sessions", counts + (f" ({reasons})" if reasons else "")),
        (
            "card",
            f"{card['kind']} {card['device'] or '(default)'}: {card['lost'] or 'works'}; "
            f"lost {card['lost_count']} times, {card['late_blocks']} blocks late",
        ),
        ("model", found["model"] or "none"),
        ("people", _or_unknown(found["people"])),
        ("ledger", f"{entries} nonces, {size} bytes"),
        ("versions", ", ".join(f"{name} {text}" for name, text in found["versions"].items())),
    ]
    if found["lock_left_s"]:
        lines.insert(1, ("locked", f"for {_span(found['lock_left_s'])} more"))
    if found["reload"] is not None:
        lines.append(("reload", _reload(found["reload"])))
    return lines


def _reload(last: Mapping[str, Any]) -> str:
    if not last["ok"]:
        return f"{last['utc']}: failed, {last['error']}: {last['do']}"
    text = f"{last['utc']}: changed {', '.join(last['changed']) or 'nothing'}"
    waiting = ", ".join(last["restart"])
    return f"{text}; a restart is needed for {waiting}" if waiting else text


def _or_unknown(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _span(seconds: float) -> str:
    """A length of time for people: the two largest of days, hours, minutes, seconds."""
    left = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
