"""From a checkpoint to the files that a device loads, checked by the device's own code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earmark.errors import EarmarkError
from earmark.speaker import Manifest, Network, SpeakerModel
from earmark.speaker.manifest import FORMAT, MANIFEST, NETWORK, NUMBERS
from earmark.speaker.model import hear
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import SCALE, Cache, people
from earmark_host.speaker.export.card import Agreement, card, sources
from earmark_host.speaker.export.convert import to_tflite
from earmark_host.speaker.export.fold import fold, outputs
from earmark_host.speaker.export.folded import Folded
from earmark_host.speaker.export.material import (
    Outputs,
    cohort,
    golden,
    strangers,
    training_clips,
    windows,
)
from earmark_host.speaker.reverb import Rooms

CARD = "README.md"
"""The model card."""

MAX_NETWORK_BYTES = 400_000
"""Largest network that is exported, bytes: what the product gives it."""

LEAST_COSINE = 0.99
"""Least mean cosine between the logits of float and int8: a good export has 0.998 or more."""

TOLERANCE_COSINE = 0.99
"""Least cosine of an embedding on a device to the golden one. One rounding apart in each layer
leaves 0.999; a file that the runtime misreads has 0.67."""

ROOMS_SEED = 6
"""Of the rooms that the cohort is heard in: others than those of the training."""

ROOMS = 6
"""Rooms that the cohort is heard in, from four distances in each."""

CHECKED = 200
"""Windows that float and int8 are compared on."""


@dataclass(frozen=True)
class Options:
    """What to export, and how.

    Parameters
    ----------
    data : folder of the corpus that it was trained on.
    out : folder for the files.
    name : of the model, for people.
    representative : windows from which the ranges of int8 are found.
    seed : draws them.
    decision : constants of the decision that were calibrated for this model.
    figures : a report of ``earmark-host bench speaker`` for the card; None without.
    created : the day to write into the manifest.
    """

    data: Path
    out: Path
    name: str
    representative: int = 500
    seed: int = 1
    decision: Mapping[str, Any] | None = None
    figures: Mapping[str, Any] | None = None
    created: date | None = None


@dataclass(frozen=True)
class Exported:
    """What was written: size of the network in bytes, its nearness to float, and its id."""

    size: int
    agreement: Agreement
    identity: str
    people: int


def export(trained: Trained, options: Options) -> Exported:
    """Write the network, its numbers, its manifest and its card to a folder.

    Raises
    ------
    EarmarkError
        It is another corpus than the network was trained on, the network is too large or int8 is
        too far from float, TensorFlow is missing, or the folder cannot be written.
    """
    network, front_end = fold(trained.net), trained.shape.front_end
    if network.dimensions == network.classes:
        raise EarmarkError(
            f"embedding and people are both {network.classes}: a device tells the network's "
            "outputs apart by their sizes",
            "train with an embedding of another size",
        )
    cache, rng = Cache(), np.random.default_rng(options.seed)
    extra = set(trained.split.get("extra_people", ()))
    everyone = people(options.data, background=True, commands=True)
    clips = training_clips(trained, people(options.data))
    heard = windows(clips, front_end, network.frames, options.representative, cache, rng)
    content = to_tflite(network, heard)
    if len(content) > MAX_NETWORK_BYTES:
        raise EarmarkError(
            f"the network takes {len(content)} bytes, more than {MAX_NETWORK_BYTES}",
            "train a shape with fewer channels",
        )
    runner = Network(content, (network.frames, network.mels), network.dimensions, network.classes)
    kept = set(trained.split.get("test_clips", ()))
    test = {
        person: own
        for person in trained.people
        if (own := tuple(clip for clip in everyone[person] if clip.key in kept))
    }
    agreement = agree(
        network, runner, windows(test or clips, front_end, network.frames, CHECKED, cache, rng)
    )
    if agreement.mean < LEAST_COSINE:
        raise EarmarkError(
            f"the logits of int8 and float have a mean cosine of {agreement.mean:.4f}, must have "
            f"{LEAST_COSINE}",
            "give more windows with --representative",
        )
    window = front_end.samples(network.frames)
    hears = partial(hear, runner, front_end, window)
    rooms = Rooms.computed(cache, ROOMS_SEED, ROOMS)
    others = strangers(trained, everyone)
    numbers = _numbers(
        hears,
        golden(window, hears),
        cohort(others, rooms.samples, hears),
    )
    manifest = Manifest(
        format=FORMAT,
        name=options.name,
        created=options.created or date.today(),
        front_end=front_end,
        window_frames=network.frames,
        embedding=network.dimensions,
        classes=network.classes,
        sha256={NETWORK: _sha256(content), NUMBERS: _sha256(numbers)},
        tolerance_cosine=TOLERANCE_COSINE,
        decision=dict(options.decision or {}),
    )
    used = [clip for own in clips.values() for clip in own]
    used += [everyone[person][0] for person in sorted(extra & set(everyone))]
    text = card(
        manifest,
        trained,
        len(content),
        sources(options.data, used),
        agreement,
        options.figures,
        sources(options.data, others),
    )
    described = json.dumps(manifest.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
    _write(
        options.out,
        {
            NETWORK: content,
            NUMBERS: numbers,
            MANIFEST: described.encode(),
            CARD: text.encode(),
        },
    )
    identity = SpeakerModel.open(options.out).id
    return Exported(len(content), agreement, identity, network.classes)


def agree(network: Folded, runner: Network, features: NDArray[np.float32]) -> Agreement:
    """Compare float and int8 on windows of log-mel frames, shape (n, frames, mels)."""
    with torch.no_grad():
        wanted = outputs(network, torch.from_numpy(features))[1].numpy()
    found = np.stack([runner.run(window)[1] for window in features])
    lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(found, axis=1)
    cosine = (wanted * found).sum(axis=1) / np.maximum(lengths, 1e-12)
    same = wanted.argmax(axis=1) == found.argmax(axis=1)
    return Agreement(len(features), float(cosine.mean()), float(cosine.min()), float(same.mean()))


def _numbers(hears: Outputs, signals: NDArray[np.int16], others: NDArray[np.float16]) -> bytes:
    said = [hears(signal.astype(np.float32) / np.float32(SCALE)) for signal in signals]
    file = io.BytesIO()
    np.savez_compressed(
        file,
        signal=signals,
        embedding=np.stack([embedding for embedding, _ in said]),
        logits=np.stack([logits for _, logits in said]),
        cohort=others,
    )
    return file.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """All files, once a device's code has accepted them; each whole or not at all.

    Should it end in between, the SHA-256 in the manifest do not fit, and no device takes it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as made:
            for name, content in files.items():
                (Path(made) / name).write_bytes(content)
            SpeakerModel.open(Path(made))
            for name in files:
                os.replace(Path(made) / name, folder / name)
    except OSError as error:
        raise EarmarkError(
            f"{folder} cannot be written ({error.strerror})", "give another with --out"
        ) from error
