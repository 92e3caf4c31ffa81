"""Makes ``data/hums``: trains a tiny network on people who hum, and exports it.

The corpus is made the same way in the tests, so that they know what was trained on.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import soundfile
import torch
from rich.console import Console
from tests.host.speaker.corpora import SMALL, hum

from earmark.signal import RATE_HZ
from earmark_host.speaker.arms import arm
from earmark_host.speaker.checkpoint import Trained, load
from earmark_host.speaker.clips import people, split
from earmark_host.speaker.export.export import Options, export
from earmark_host.speaker.schedule import FAST
from earmark_host.speaker.train import Material, Plan, train

DATA = Path(__file__).resolve().parent / "data"

KNOWN, STRANGERS = 20, 4
"""People who are trained on (a cohort has no fewer), and others."""

SHAPE = replace(SMALL, channels=(24, 32), pooling="mean")


def choir(folder: Path) -> Path:
    """24 people, two chapters each, five utterances of .3 s in each."""
    rng = np.random.default_rng(7)
    for person in range(KNOWN + STRANGERS):
        for chapter in range(2):
            place = folder / "choir" / f"{person + 10}" / f"{chapter + 100}"
            place.mkdir(parents=True)
            for number in range(5):
                name = f"{person + 10}-{chapter + 100}-{number:04d}.flac"
                soundfile.write(place / name, hum(100.0 * 1.1**person, 0.3, rng), RATE_HZ)
    return folder


def trained(folder: Path, out: Path, steps: int) -> Trained:
    """A network that knows the first people."""
    everyone = people(folder)
    names = sorted(everyone)[:KNOWN]
    material = Material(split({name: everyone[name] for name in names}, least=10))
    recipe = replace(FAST, steps=steps, batch=40, ascent=20, clean=1.0, ramp=0.0, full=0.0)
    return train(material, Plan(arm("standard"), SHAPE, recipe, 1), out, Console(quiet=True))


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        corpus = choir(Path(scratch) / "corpus")
        trained(corpus, Path(scratch) / "out", 600)
        out = DATA / "hums"
        shutil.rmtree(out, ignore_errors=True)
        (out / "arms").mkdir(parents=True)
        shutil.copy(Path(scratch) / "out" / "model.pt", out / "arms" / "shipped.pt")
        made = load(out / "arms" / "shipped.pt")
        done = export(made, Options(corpus, out, "hums", created=date(2026, 1, 1)))
        (out / "README.md").unlink()
        print(done)


if __name__ == "__main__":
    main()
