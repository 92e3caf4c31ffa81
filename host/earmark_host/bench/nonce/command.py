"""The command ``earmark-host bench nonce``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from earmark.config import Config
from earmark.errors import ConfigError
from earmark.nonce import NonceSettings
from earmark_host.bench.measuring import measured
from earmark_host.bench.nonce.plots import draw
from earmark_host.bench.nonce.run import Part, run
from earmark_host.bench.work import usual_workers


def bench_nonce(
    data: Path,
    json: Path,
    seed: int,
    quick: bool,
    workers: int | None,
    only: Sequence[str],
    nonce_level_dbspl_1m: float | None,
    waveform: Literal["spread", "bfsk"] | None,
    plots: Path | None,
) -> None:
    """Run the bench, print what it found, write it to `json` and draw it into `plots`.

    Raises
    ------
    EarmarkError
        The corpus lacks something, a file cannot be written, or a part cannot work.
    """
    measured(
        lambda console: run(
            data,
            [Part(name) for name in only] or list(Part),
            quick=quick,
            seed=seed,
            config=_config(nonce_level_dbspl_1m, waveform),
            workers=workers or usual_workers(),
            console=console,
        ),
        json,
        draw,
        plots,
    )


def _config(level_dbspl_1m: float | None, waveform: Literal["spread", "bfsk"] | None) -> Config:
    given = {"level_dbspl_1m": level_dbspl_1m, "waveform": waveform}
    try:
        nonce = NonceSettings.model_validate(
            {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        raise ConfigError(
            f"--nonce-level {level_dbspl_1m:g}: {error.errors()[0]['msg']}",
            "give dB SPL at 1 m within the range of nonce.level_dbspl_1m",
        ) from error
    return Config(nonce=nonce)
