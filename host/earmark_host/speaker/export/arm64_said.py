"""What a model says to some recordings: run here and on another processor, and compared.

Run as a file, by ``arm64.sh``, with nothing but the device's code beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from earmark.speaker import SpeakerModel

LEAST_COSINE = 0.999
"""Least cosine between two processors' embeddings of a recording."""


def given(model: Path, clips: list[Path], out: Path) -> None:
    """Put the golden signals and `clips` (16 kHz mono) into one file, as 16-bit samples."""
    import soundfile  # noqa: PLC0415  # not on the other side

    with np.load(model / "speaker.npz", allow_pickle=False) as numbers:
        signals = list(numbers["signal"])
    for clip in clips:
        samples, rate = soundfile.read(clip, dtype="int16")
        if rate != 16_000 or samples.ndim != 1:
            sys.exit(f"{clip} is not 16 kHz mono: convert it")
        signals.append(samples)
    np.savez(out, *signals)


def said(model: Path, signals: Path, out: Path) -> None:
    """Write what the model in the folder `model` says to each signal."""
    opened = SpeakerModel.open(model)
    with np.load(signals, allow_pickle=False) as held:
        heard = [held[name].astype(np.float32) / np.float32(32768.0) for name in held.files]
    found = [opened.outputs(signal) for signal in heard]
    np.savez(
        out,
        embedding=np.stack([embedding for embedding, _ in found]),
        logits=np.stack([logits for _, logits in found]),
    )


def compare(here: Path, there: Path) -> None:
    """Say how near the two are; exit code 1 where a top person differs or a cosine is low."""
    with np.load(here) as ours, np.load(there) as theirs:
        same = ours["logits"].argmax(axis=1) == theirs["logits"].argmax(axis=1)
        one, other = ours["embedding"], theirs["embedding"]
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = (one * other).sum(axis=1) / lengths
    print(
        f"same top person: {same.sum()} of {same.size}; cosine of the embeddings: "
        f"{cosine.mean():.6f}, least {cosine.min():.6f}; equal to the bit: "
        f"{(one == other).all(axis=1).sum()}"
    )
    sys.exit(0 if same.all() and cosine.min() >= LEAST_COSINE else 1)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    if what == "given":
        given(Path(paths[0]), [Path(path) for path in paths[2:]], Path(paths[1]))
    elif what == "said":
        said(Path(paths[0]), Path(paths[1]), Path(paths[2]))
    else:
        compare(Path(paths[0]), Path(paths[1]))
