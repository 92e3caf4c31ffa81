"""The commands ``earmark-host package …``: each loads what it needs when it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make packages for devices.", no_args_is_help=True, rich_markup_mode=None)

Python = Annotated[str, typer.Option(help="Of the device: 3.11 on Debian 12.")]
Wheels = Annotated[Path, typer.Option(help="Folder of wheels; what it lacks is downloaded there.")]


@app.command("deb")
def _deb(
    arch: Annotated[str, typer.Option(help="Of the device: amd64 or arm64.")] = "arm64",
    out: Annotated[Path, typer.Option(help="Folder for the package; made if missing.")] = Path(
        "dist"
    ),
    python: Python = "3.11",
    wheels: Wheels = Path("out/wheels"),
    part: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this one: device or calibrate."),
    ] = None,
    maintainer: Annotated[
        str | None, typer.Option(help="Who answers for it: 'Name <name@example.org>'.")
    ] = None,
) -> None:
    """Make installable .debs: the device part, and the technician's tool that goes beside it."""
    from earmark_host.package.control import MAINTAINER
    from earmark_host.package.deb import build_deb
    from earmark_host.package.part import PARTS, part_of
    from earmark_host.package.project import Project
    from earmark_host.package.target import Target

    project, target = Project.open(), Target.of(arch, python)
    for one in PARTS if part is None else (part_of(part),):
        made = build_deb(
            project,
            target,
            out,
            wheels,
            part=one,
            environ=os.environ,
            maintainer=maintainer or MAINTAINER,
        )
        typer.echo(f"{made.path}  {made.size_bytes / 1e6:.1f} MB, {made.wheels} wheels inside")
        typer.echo(f"SHA-256 {made.sha256}")


@app.command("lock")
def _lock(python: Python = "3.11", wheels: Wheels = Path("out/wheels")) -> None:
    """Choose and pin the wheels that the packages have, after pyproject.toml has changed."""
    from earmark_host.package.lock import path_of
    from earmark_host.package.part import CALIBRATE, DEVICE
    from earmark_host.package.pip import resolve
    from earmark_host.package.project import Project
    from earmark_host.package.target import Arch

    project = Project.open()
    device = resolve(project, python, wheels)
    beside = resolve(project, python, wheels, part=CALIBRATE, beside=device)
    for part, lock in ((DEVICE, device), (CALIBRATE, beside)):
        path = path_of(python, part)
        path.write_text(lock.to_json(), encoding="utf-8")
        typer.echo(f"{path}  {len(lock.wheels[Arch.AMD64])} wheels for each of {', '.join(Arch)}")
