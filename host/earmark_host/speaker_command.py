"""The commands ``earmark-host speaker …``: each loads what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    help="Train, attack and export the speaker model.", no_args_is_help=True, rich_markup_mode=None
)


def _list(wanted: bool) -> None:
    from earmark_host.speaker.arms import ARMS, SAME

    if not wanted:
        return
    for arm in ARMS.values():
        typer.echo(f"{arm.name:16}{arm.doc}")
    for name, other in SAME.items():
        typer.echo(f"{name:16}Ablation: the same as {other}")
    raise typer.Exit


@app.command("train")
def _train(
    data: Annotated[
        Path,
        typer.Option(help="Corpus with a manifest.csv, or LibriSpeech's own folders."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoints; made if missing.")],
    arm: Annotated[
        str, typer.Option(help="standard, fgsm, pgd10, fs10, hat10, ...; see --list.")
    ] = "hat10",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    shape: Annotated[
        Literal["device", "paper", "paper-floored"], typer.Option(help="Of the network.")
    ] = "device",
    schedule: Annotated[
        Literal["fast", "paper"], typer.Option(help="Ours for a CPU, or the paper's.")
    ] = "fast",
    epochs: Annotated[int | None, typer.Option(min=1, help="How often each clip is heard.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of epochs.")] = None,
    batch: Annotated[
        int | None, typer.Option(min=2, max=4096, help="Crops per step, over all processes.")
    ] = None,
    teacher: Annotated[
        Literal["campplus", "resemblyzer", "none"], typer.Option(help="An encoder to learn from.")
    ] = "none",
    extra: Annotated[
        bool, typer.Option("--extra", help="Also learn from the teacher who has one clip.")
    ] = False,
    least: Annotated[int, typer.Option(min=6, help="Utterances a person needs.")] = 15,
    people: Annotated[int | None, typer.Option(min=2, help="No more people than this.")] = None,
    hold_out: Annotated[
        int, typer.Option(min=0, help="Keep so many people out, as strangers for a test.")
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(help="A checkpoint whose weights to begin with: a training after another."),
    ] = None,
    bf16: Annotated[
        bool | None,
        typer.Option("--bf16/--no-bf16", help="In bfloat16 [default: where that is fast]"),
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=256, help="On a CPU; more are slower on a busy one.")
    ] = 1,
    cache_gb: Annotated[
        float, typer.Option(min=0.0, help="Memory for decoded clips, GiB; 1 holds 9 hours.")
    ] = 2.0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value: a detail of the network or of the recipe."),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", is_eager=True, callback=_list, help="Name all arms.")
    ] = False,
) -> None:
    """Train a network against attacks; with torchrun, on several GPUs."""
    from earmark_host.speaker.train_command import Options, run

    run(
        Options(
            data=data,
            out=out,
            arm=arm,
            seed=seed,
            shape=shape,
            schedule=schedule,
            epochs=epochs,
            steps=steps,
            batch=batch,
            teacher=teacher,
            extra=extra,
            least=least,
            most=people,
            hold_out=hold_out,
            resume=resume,
            start=start,
            bf16=bf16,
            threads=threads,
            cache_gb=cache_gb,
            changes=tuple(set_ or ()),
        )
    )


@app.command("evaluate")
def _evaluate(
    data: Annotated[Path, typer.Option(help="The corpus that the models were trained on.")],
    model: Annotated[
        list[str],
        typer.Option(help="A checkpoint, or ARM=CHECKPOINT; may be given several times."),
    ],
    json: Annotated[Path, typer.Option(help="The report to write.")],
    markdown: Annotated[Path | None, typer.Option(help="The same as tables of text.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Few clips, weak attacks.")] = False,
    clips: Annotated[
        int | None, typer.Option(min=1, help="How many clips [default: one of each person]")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for plots, PNG and SVG; made if missing.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=256, help="On a CPU; more are slower on a busy one.")
    ] = 1,
    tables: Annotated[
        bool,
        typer.Option("--tables", help="Only the paper's attacks and ART: a tenth of the cost."),
    ] = False,
) -> None:
    """Attack trained networks in every way, beside the paper's figures."""
    from earmark_host.speaker.evaluate_command import evaluate

    evaluate(data, model, json, markdown, seed, quick, clips, plots, threads, tables)


@app.command("export")
def _export(
    checkpoint: Annotated[Path, typer.Option(help="What `speaker train` wrote: model.pt.")],
    data: Annotated[Path, typer.Option(help="The corpus that it was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder of the model; made if missing.")] = Path(
        "models"
    ),
    name: Annotated[
        str | None, typer.Option(help="Of the model [default: earmark-speaker-ARM]")
    ] = None,
    representative: Annotated[
        int, typer.Option(min=10, help="Windows from which the ranges of int8 are set.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the windows that are drawn.")] = 1,
    decision: Annotated[
        Path | None, typer.Option(help="JSON: constants of the decision, for the manifest.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="JSON: figures of an evaluation, for the card.")
    ] = None,
) -> None:
    """Turn a trained network into the device's int8 file, with its card and its manifest."""
    from earmark_host.speaker.export_command import run

    run(checkpoint, data, out, name, representative, seed, decision, figures)
