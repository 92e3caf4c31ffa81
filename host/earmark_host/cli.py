"""The command line of the maker's workstation: ``earmark-host``.

Each command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from earmark import __version__
from earmark.errors import EarmarkError
from earmark_host.package_command import app as package_app
from earmark_host.room_command import compute
from earmark_host.speaker_command import app as speaker_app

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
attack_app = typer.Typer(
    help="Do to a recording what an attacker would.", no_args_is_help=True, rich_markup_mode=None
)
memory_app = typer.Typer(
    help="Make the query memory's table of thresholds.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(bench_app, name="bench")
app.add_typer(attack_app, name="attack")
app.add_typer(room_app, name="room")
app.add_typer(memory_app, name="memory")
app.add_typer(speaker_app, name="speaker")
app.add_typer(package_app, name="package")


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


class NoncePart(StrEnum):
    """Parts of ``bench nonce``; here, so that they are known without loading them."""

    SESSIONS = "sessions"
    PEERS = "peers"
    REMOVAL = "removal"
    QUALITY = "quality"
    CPU = "cpu"


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


@bench_app.command("nonce")
def _bench_nonce(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few sessions, within 90 s.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; two where there are two cores.")
    ] = None,
    only: Annotated[
        list[NoncePart] | None,
        typer.Option(help="Only this part; may be given several times."),
    ] = None,
    nonce_level: Annotated[
        float | None,
        typer.Option(help="Loudness of the nonce, dB SPL at 1 m [default: the settings']"),
    ] = None,
    waveform: Annotated[
        Literal["spread", "bfsk"] | None,
        typer.Option(help="What the device plays [default: the settings']"),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for plots, PNG and SVG; made if missing.")
    ] = None,
) -> None:
    """Find the nonce at its limit: false rejects, replays, removal, what is left of it, peers."""
    from earmark_host.bench.nonce.command import bench_nonce

    bench_nonce(data, json, seed, quick, workers, only or (), nonce_level, waveform, plots)


class MemoryPart(StrEnum):
    """Parts of ``bench memory``; here, so that they are known without loading them."""

    HOUSEHOLDS = "households"
    SIMULATED = "simulated"
    ATTACKS = "attacks"
    PEERS = "peers"
    LIKENESS = "likeness"
    CPU = "cpu"


@bench_app.command("memory")
def _bench_memory(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few streams, within 2 minutes.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; two where there are two cores.")
    ] = None,
    only: Annotated[
        list[MemoryPart] | None,
        typer.Option(help="Only this part; may be given several times."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for plots, PNG and SVG; made if missing.")
    ] = None,
) -> None:
    """Watch households and attackers: false alarms, queries to the alarm, evasion, peers, CPU."""
    from earmark_host.bench.memory.command import bench_memory

    bench_memory(data, json, seed, quick, workers, only or (), plots)


class SpeakerPart(StrEnum):
    """Parts of ``bench speaker``; here, so that they are known without loading them."""

    CLOSED = "closed"
    OPEN = "open"
    ROOM = "room"
    LEARNING = "learning"
    CPU = "cpu"


@bench_app.command("speaker")
def _bench_speaker(
    data: Annotated[
        Path, typer.Option(help="Corpus with a manifest.csv, or LibriSpeech's own folders.")
    ],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; two where there are two cores.")
    ] = None,
    only: Annotated[
        list[SpeakerPart] | None,
        typer.Option(help="Only this part; may be given several times."),
    ] = None,
    arms: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints [default: arms, below the model's folder]"),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model [default: the one that ships]")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for plots, PNG and SVG; made if missing.")
    ] = None,
    attacked: Annotated[
        int | None,
        typer.Option(min=1, help="Attack at most so many clips: hours less, wider intervals."),
    ] = None,
) -> None:
    """Hear known people and strangers, clean and attacked: accuracy, equal error rate, CPU."""
    from earmark_host.bench.speaker.command import bench_speaker

    bench_speaker(data, json, seed, quick, workers, only or (), arms, model, plots, attacked)


@bench_app.command("plots")
def _bench_plots(
    report: Annotated[Path, typer.Argument(help="What `bench nonce --json` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for PNG and SVG; made if missing.")],
    other: Annotated[
        Path | None, typer.Option(help="A report with the other waveform, drawn beside it.")
    ] = None,
) -> None:
    """Draw the plots of a report of bench nonce."""
    from earmark_host.bench.nonce.plots_command import bench_plots

    bench_plots(report, out, other)


@attack_app.command("nonce")
def _attack_nonce(
    name: Annotated[str | None, typer.Argument(help="Which attack; see --list.")] = None,
    source: Annotated[Path | None, typer.Argument(help="Recording, 16 kHz mono.")] = None,
    target: Annotated[Path | None, typer.Argument(help="WAV file to write.")] = None,
    noise: Annotated[
        Path | None, typer.Option(help="The same recorder with nonce but without speech.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="A second recorder near the device, meanwhile.")
    ] = None,
    noise_reference: Annotated[
        Path | None, typer.Option(help="What the second recorder heard during --noise.")
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(help="The same recording without nonce: what an oracle knows.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is random.")] = 1,
    list_: Annotated[bool, typer.Option("--list", help="Name all attacks.")] = False,
) -> None:
    """Take the nonce out of a recording, or try to."""
    from earmark_host.nonce.attack_command import attack, listing

    if list_:
        for line in listing():
            typer.echo(line)
        return
    if name is None or source is None or target is None:
        raise EarmarkError(
            "an attack needs its name, a recording and a file to write",
            "earmark-host attack nonce NAME IN.wav OUT.wav; --list names them",
        )
    typer.echo(attack(name, source, target, noise, reference, clean, seed, noise_reference))


@memory_app.command("calibrate")
def _memory_calibrate(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    out: Annotated[Path, typer.Option(help="The table to write.")] = Path("thresholds.json"),
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Little audio, within 60 s.")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes; two where there are two cores.")
    ] = None,
) -> None:
    """Find the query memory's thresholds on people's benign audio, half of whom are held back."""
    from earmark_host.memory.calibrate_command import calibrate

    calibrate(data, out, seed, quick, workers)


@memory_app.command("fit-carrier")
def _memory_fit_carrier(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
) -> None:
    """Fit what tells speech from music, and try it on the people and tunes held back."""
    import numpy as np

    from earmark_host.bench.corpus import Corpus
    from earmark_host.memory.fit_carrier import accuracy, examples, fit

    corpus = Corpus.open(data)
    coefficients = fit(examples(corpus, "calibrate", np.random.default_rng(0)))
    typer.echo(str(coefficients))
    held_back = examples(corpus, "held_back", np.random.default_rng(1))
    for (kind, condition), (right, n) in accuracy(held_back, coefficients).items():
        typer.echo(f"{kind:6}  {condition:10}  {100.0 * right / n:5.1f} % of {n}")


@attack_app.command("memory")
def _attack_memory(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    out: Annotated[Path, typer.Option(help="Folder for what the device heard; new or empty.")],
    attack: Annotated[str, typer.Option(help="nes, simba, square, genetic, oars_nes, ...")],
    victim: Annotated[
        Literal["keyword", "sphinx"], typer.Option(help="The recogniser under attack.")
    ] = "keyword",
    carrier: Annotated[
        Literal["speech", "music"], typer.Option(help="What the attack starts from.")
    ] = "speech",
    channel: Annotated[
        Literal["digital", "ota20", "ota10"],
        typer.Option(help="A cable, or a room with noise 20 or 10 dB below."),
    ] = "digital",
    queries: Annotated[int, typer.Option(help="Most queries.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    defended: Annotated[
        bool, typer.Option("--defended", help="The device withholds what its detector notices.")
    ] = False,
) -> None:
    """Craft a command query by query, and save all that the device heard."""
    from earmark_host.memory.attack_memory_command import attack_memory
    from earmark_host.memory.staging import Scene

    scene = Scene(victim, carrier, channel)
    for line in attack_memory(data, out, scene, attack, queries, seed, defended):
        typer.echo(line)


class DaemonPart(StrEnum):
    """Parts of ``bench daemon``; here, so that they are known without loading them."""

    LATENCY = "latency"
    IDLE = "idle"
    SOAK = "soak"
    KILL = "kill"


@bench_app.command("daemon")
def _bench_daemon(
    data: Annotated[Path, typer.Option(help="Folder of the corpus, with its manifest.csv.")],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Little of all, in some minutes.")] = False,
    only: Annotated[
        list[DaemonPart] | None,
        typer.Option(help="Only this part; may be given several times."),
    ] = None,
    peer: Annotated[
        Path | None,
        typer.Option(
            help="Python interpreter that has wyoming-satellite and wyoming-microwakeword."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, max=1440.0, help="Soak for so long, in real time."),
    ] = None,
) -> None:
    """Measure the whole daemon: delay of a verdict, CPU and memory, long runs, kill -9."""
    from earmark_host.bench.daemon.command import bench_daemon

    bench_daemon(data, json, seed, quick, only or (), peer, minutes)


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
