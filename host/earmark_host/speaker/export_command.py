"""The command ``earmark-host speaker export``."""

from __future__ import annotations

from pathlib import Path

import torch
import typer

from earmark_host.speaker.checkpoint import load
from earmark_host.speaker.export.card import read_json
from earmark_host.speaker.export.export import Options, export


def run(
    checkpoint: Path,
    data: Path,
    out: Path,
    name: str | None = None,
    representative: int = 500,
    seed: int = 1,
    decision: Path | None = None,
    figures: Path | None = None,
) -> None:
    """Export a network for the device, and say how large it is and how near to float.

    Raises
    ------
    EarmarkError
        A file cannot be read or written, or the network cannot be exported: see
        :func:`~earmark_host.speaker.export.export.export`.
    """
    torch.set_num_threads(1)
    trained = load(checkpoint)
    done = export(
        trained,
        Options(
            data=data,
            out=out,
            name=name or f"earmark-speaker-{trained.arm}",
            representative=representative,
            seed=seed,
            decision=None if decision is None else read_json(decision),
            figures=None if figures is None else read_json(figures),
        ),
    )
    near = done.agreement
    typer.echo(
        f"{out}: {done.identity}, {done.people} people, {done.size} bytes; int8 beside float on "
        f"{near.windows} windows: cosine of the logits {near.mean:.4f} (least {near.least:.4f}), "
        f"the same top person in {100.0 * near.same:.1f} %"
    )
