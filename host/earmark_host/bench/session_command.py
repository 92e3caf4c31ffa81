"""The command ``earmark-host bench session``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from earmark.config import Config
from earmark.errors import ConfigError
from earmark.nonce import NonceSettings
from earmark_host.bench.measuring import measured
from earmark_host.bench.session import FULL, QUICK, Part, run
from earmark_host.bench.work import usual_workers

PIPE_WIDTH = 120
"""Width of the tables where there is no terminal, characters."""


def bench_session(
    data: Path,
    json: Path,
    seed: int,
    quick: bool,
    workers: int | None,
    nonce_level_dbspl_1m: float | None,
    only: str | None,
) -> None:
    """Run the bench, print what it found and write it to `json`.

    Raises
    ------
    EarmarkError
        The corpus lacks something, the file cannot be written, or a part cannot work.
    """
    plan = QUICK if quick else FULL
    if only is not None:
        plan = replace(plan, parts=(Part(only),))
    measured(
        lambda console: run(
            data,
            plan,
            seed=seed,
            config=_config(nonce_level_dbspl_1m),
            workers=workers or usual_workers(),
            console=console,
        ),
        json,
        pipe_width=PIPE_WIDTH,
    )


def _config(nonce_level_dbspl_1m: float | None) -> Config:
    if nonce_level_dbspl_1m is None:
        return Config()
    try:
        return Config(nonce=NonceSettings(level_dbspl_1m=nonce_level_dbspl_1m))
    except ValidationError as error:
        raise ConfigError(
            f"--nonce-level {nonce_level_dbspl_1m:g}: {error.errors()[0]['msg']}",
            "give dB SPL at 1 m within the range of nonce.level_dbspl_1m",
        ) from error
