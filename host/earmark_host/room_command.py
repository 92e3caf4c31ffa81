"""The command ``earmark-host room compute``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earmark.errors import EarmarkError


def compute(
    name: Annotated[str, typer.Option(help="kitchen, living_room, bedroom, or a new name.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
    size_m: Annotated[
        tuple[float, float, float] | None, typer.Option(help="Length, width, height, m.")
    ] = None,
    rt60_s: Annotated[float | None, typer.Option(help="Reverberation time, s.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of positions, images and noise.")] = 1,
    measured: Annotated[
        Path | None,
        typer.Option(help="Measured response (16 kHz mono) for the far paths to the microphone."),
    ] = None,
    credit: Annotated[str, typer.Option(help="Credit and licence of the measured response.")] = "",
) -> None:
    """Compute a room, write it to a file and print its figures."""
    # Here: pyroomacoustics takes a second to load.
    from earmark_host import rooms  # noqa: PLC0415

    try:
        spec = rooms.SHIPPED.get(name)
        if size_m is not None and rt60_s is not None:
            spec = rooms.RoomSpec(name, size_m, rt60_s)
        if spec is None:
            raise ValueError(f"{name} is not a known room: give --size-m and --rt60-s")
        model = rooms.compute_room(spec, seed)
        if measured is not None:
            if not credit:
                raise ValueError("a measured response needs its --credit")
            far = [s for s in model.sources if s.startswith("person") or s == "television"]
            response = rooms.read_response(measured)
            model = rooms.with_measured_room(model, response, far, credit)
        model.save(out)
    except (OSError, ValueError, EarmarkError) as error:
        typer.echo(f"earmark-host room compute: {error}", err=True)
        raise typer.Exit(2) from error
    for line in rooms.describe(model):
        typer.echo(line)
