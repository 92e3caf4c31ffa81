"""The command line of the technician: ``earmark-calibrate``.

Exit codes: 0 calibrated, all passes or is marginal (with --dry-run: would be); 1 measured, and
something fails: see the report, nothing was written; 2 it could not run: settings, preflight,
hardware, files; 3 the settings were not agreed to; 130 interrupted: go on with --resume.
"""

from __future__ import annotations

import getpass
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark import __version__
from earmark.errors import EarmarkError, one_line
from earmark_calibration import report_command

if TYPE_CHECKING:
    from earmark.audio import AudioPort
    from earmark.config import Config
    from earmark.doctor import Found
    from earmark_calibration.run import Done

FAILS, REFUSED, NOT_AGREED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="earmark-calibrate",
    help="Measure a device where it stands, choose its settings, prove them, and report.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Exit codes: 0 calibrated; 1 something fails, nothing was written; 2 could not run; "
    "3 not agreed to; 130 interrupted, go on with --resume.",
)

report_command.add_to(app)

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (default /etc/earmark/earmark.yaml)."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"earmark-calibrate {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def calibrate(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    config: ConfigFile = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="What matters most: quiet, normal or payment.")
    ] = "normal",
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the reports and of the run's state.")
    ] = Path("earmark-calibration"),
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who signs off (default: the user).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write the settings without asking.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure, choose and report, but write no settings.")
    ] = False,
    meter_dbspl: Annotated[
        float | None,
        typer.Option(
            metavar="DB",
            min=10.0,
            max=110.0,
            help="What a sound-level meter (unweighted) beside the microphone reads.",
        ),
    ] = None,
    raw: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the recordings there; else none is.")
    ] = None,
    serial: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Serial number (default: the machine's).")
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="In the built-in room, without hardware.")
    ] = False,
    room: Annotated[
        str, typer.Option(metavar="NAME", help="Which built-in room, or a .npz file.")
    ] = "living_room",
    ambient_dbspl: Annotated[
        float, typer.Option(metavar="DB", min=0.0, max=80.0, help="Its noise (pink), dB SPL.")
    ] = 35.0,
    seed: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Of the trials that are drawn.")
    ] = 1,
) -> None:
    """Measure, choose and prove, then write the settings when they are agreed to."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from earmark_calibration.live import Screen
    from earmark_calibration.record import Profile
    from earmark_calibration.run import Calibration, Wish, new_state
    from earmark_calibration.state import resumed

    if profile not in list(Profile):
        raise EarmarkError(f"there is no profile {profile!r}", "take quiet, normal or payment")
    settings, real = _settings(config, room, simulated)
    out = out.absolute()  # it is named where --resume has to find it again
    wish = Wish(
        profile=Profile(profile),
        out=out,
        by=by or os.environ.get("SUDO_USER") or _user(),
        config_path=config,
        # What suits a simulated room is never written to a real device.
        dry=dry_run or (simulated and real),
        hardware=not simulated,
        meter_dbspl=meter_dbspl,
        raw=raw,
        serial=serial or ("simulated" if simulated else None),
    )
    state = (
        resumed(out, settings, wish.profile) if resume else new_state(settings, wish.profile, seed)
    )
    opener = _opener(settings, simulated, ambient_dbspl, seed)
    try:
        with Screen(Console(stderr=True), yes=yes, quiet=as_json) as screen:
            done = Calibration(settings, wish, opener, screen, state).run()
            if done.record is not None:
                screen.summary(done.record)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("Interrupted; nothing was changed. Go on with --resume.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(_told(done, wish.dry, as_json))


@app.command()
def undo(
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
) -> None:
    """Take back what the calibration wrote: the settings of before apply again."""
    from earmark_calibration.settings import signed_off
    from earmark_calibration.settings import undo as undone

    signed = signed_off(config)
    if signed is not None and not yes:
        for change in signed.changes:
            typer.echo(f"{change.key}: {change.after} -> {change.before}")
        typer.confirm("Put these back?", abort=True)
    signed = undone(config)
    typer.echo(
        f"Undone: the calibration signed off by {signed.who} at {signed.when.isoformat()}. Restart "
        "Earmark: sudo systemctl restart earmark"
    )


@app.command()
def show(config: ConfigFile = None) -> None:
    """Print who signed off the settings in effect, when, and what they changed."""
    from earmark_calibration.settings import signed_off

    signed = signed_off(config)
    if signed is None:
        typer.echo("Nothing is calibrated here, or the drop-in was changed by hand.")
        raise typer.Exit(FAILS)
    typer.echo(f"Signed off by {signed.who} at {signed.when.isoformat()}, for {signed.profile}.")
    typer.echo(f"Report: SHA-256 {signed.report_sha256}")
    for change in signed.changes:
        typer.echo(f"{change.key}: {change.before} -> {change.after}")


@app.command()
def prove(
    seed: Annotated[int, typer.Option(min=0, max=1_000_000, help="Of all that is drawn.")] = 5,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there.")
    ] = None,
    trials: Annotated[
        int, typer.Option(min=6, max=2000, help="Replays and live commands in each room.")
    ] = 60,
    place: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this place; may be repeated.")
    ] = None,
) -> None:
    """Prove the choice in simulated rooms with real attackers; exit code 1 when it fails."""
    from earmark_calibration.proof import prove as proven

    raise typer.Exit(proven(seed, trials, json_file, tuple(place or ()), typer.echo))


def _settings(path: Path | None, room: str, simulated: bool) -> tuple[Config, bool]:
    """The settings to calibrate with, and whether those on the disk are of a real device."""
    from earmark.config import Config, load

    if not simulated:
        return load(path), True
    settings = Config() if path is None else load(path)
    real = settings.audio.kind != "simulated"
    audio = settings.audio.model_copy(update={"kind": "simulated", "room": room})
    return settings.model_copy(update={"audio": audio}), real


def _opener(
    settings: Config, simulated: bool, ambient_dbspl: float, seed: int
) -> Callable[[], AudioPort]:
    from earmark.audio import RoomConditions, SimulatedRoom, load_room, open_port

    if settings.audio.kind != "simulated":
        return lambda: open_port(settings.audio)
    noise = ambient_dbspl if simulated else 35.0
    conditions = RoomConditions(ambient_dbspl=noise, seed=seed)
    return lambda: SimulatedRoom(load_room(settings.audio.room), settings.audio, conditions)


def _told(done: Done, dry: bool, as_json: bool) -> int:
    """Say how it ended; the exit code."""
    from earmark_calibration.declared import Outcome

    if done.record is None:
        raise EarmarkError(
            "the device cannot be calibrated as it is",
            "; ".join(one.do for one in _stops(done) if one.do) or "see above",
        )
    if as_json:
        typer.echo(done.record.to_json(), nl=False)
    elif done.written is not None:
        typer.echo(f"Report: {done.written.html}")
    if done.record.outcome is Outcome.FAIL:
        return FAILS
    if done.applied and not as_json:
        typer.echo("Settings written. Restart Earmark: sudo systemctl restart earmark")
    return 0 if done.applied or dry else NOT_AGREED


def _stops(done: Done) -> list[Found]:
    from earmark_calibration.preflight import stops

    return stops(done.findings)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, no name for it
        return str(os.getuid())


def _stopped(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line. A failure with a remedy is one line on stderr, exit code 2."""
    # Before numpy loads: see earmark.cli.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stopped)
    try:
        app()
    except EarmarkError as error:
        print("earmark-calibrate:", one_line(error), file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
