"""``earmark demo``: plays the evening, draws it, prints the table, writes the report."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rich.console import Console

from earmark.demo import picture
from earmark.demo.evening import COMMANDS, Evening, SceneResult
from earmark.demo.scenes import EVENING, Scene
from earmark.demo.table import summary, table
from earmark.errors import EarmarkError
from earmark.gate import Embedder

OUT = Path("earmark-demo")
"""Where pictures, forwarded commands and the journal go, below the working folder."""

JOURNAL = "journal.log"
"""The journal of all devices: what a real one writes to systemd's."""


def run_demo(
    scenes: Sequence[Scene] = EVENING,
    *,
    out: Path = OUT,
    json_file: Path | None = None,
    seed: int = 1,
    real_time: bool = False,
    console: Console | None = None,
    speaker: Embedder | None = None,
) -> int:
    """Play `scenes`, print a table, leave a picture of each in `out`.

    Parameters
    ----------
    scenes : in the order in which they are played.
    out : folder for the results, made when it is missing.
    json_file : where the results go as JSON, an array with one object a scene.
    seed : of all noise. The nonces are fresh in every run.
    real_time : take as long as the audio does.
    console : what is printed on.
    speaker : the speaker model; the one that ships when None.

    Returns
    -------
    0, or 1 when a scene did not end as it should.

    Raises
    ------
    EarmarkError
        A part cannot work, or the results cannot be written.
    """
    console = console or Console()
    began_s = time.monotonic()
    results: list[SceneResult] = []
    with _written(out):
        out.mkdir(parents=True, exist_ok=True)
    if json_file is not None:
        with _written(json_file):  # now, not after half a minute of work
            json_file.parent.mkdir(parents=True, exist_ok=True)
            json_file.open("a").close()
    with (
        _journal(out / JOURNAL),
        Evening(
            out,
            begins_unix_s=_half_past_seven(),
            seed=seed,
            real_time=real_time,
            speaker=speaker,
        ) as evening,
        console.status("") as status,
    ):
        for scene in scenes:
            status.update(f"{scene.title} ...")
            result, sound = evening.play(scene)
            with _written(out):
                picture.save(out / f"{scene.name}.png", result, sound)
            results.append(result)
    if json_file is not None:
        text = json.dumps([result.to_json() for result in results], indent=2, allow_nan=False)
        with _written(json_file):
            json_file.write_text(text + "\n", encoding="utf-8")
    console.print(table(results, console))
    console.print(summary(results, time.monotonic() - began_s))
    _print_places(console, out, results, json_file)
    return 0 if all(result.as_expected for result in results) else 1


def _print_places(
    console: Console, out: Path, results: Sequence[SceneResult], json_file: Path | None
) -> None:
    forwarded = sum(each.commands for each in results)
    places = [
        f"Pictures: {out / '<scene>.png'}",
        f"Forwarded commands ({forwarded} in this run): {out / COMMANDS}",
        f"Journal: {out / JOURNAL}",
    ]
    if json_file is not None:
        places.append(f"Report: {json_file}")
    for line in places:
        # As it is: a path must not be taken for markup, cut or coloured.
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _half_past_seven() -> float:
    """Today, 19:30 at this device, UTC, s."""
    today = datetime.now().astimezone()
    return today.replace(hour=19, minute=30, second=0, microsecond=0).timestamp()


@contextmanager
def _journal(path: Path) -> Iterator[None]:
    """Send what the devices log to a file instead of the terminal."""
    logger = logging.getLogger("earmark")
    with _written(path):
        handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    before = (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
        logger.removeHandler(handler)
        handler.close()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn a failure to write into one clear line."""
    try:
        yield
    except OSError as error:
        raise EarmarkError(
            f"{path} cannot be written ({error.strerror or type(error).__name__})",
            "free some space, or name another place with --out or --json",
        ) from error
