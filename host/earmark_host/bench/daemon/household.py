"""A device's settings and state in a folder of its own, with people who are enrolled."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from earmark.config import Config
from earmark.speaker import Person, SpeakerModel, Vault, create_key

FAMILY = 3
"""People who are enrolled: a household. Each is compared with in every session."""

PHRASES = 5
"""Phrases of each: what an enrolment asks for."""


def tree(folder: Path, **sections: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All settings of a device that keeps everything in `folder`.

    Guests may command: the voices here are drawn by chance, and are compared all the same.

    Parameters
    ----------
    sections : settings over those that every device here has.
    """
    found: dict[str, dict[str, Any]] = {
        "device": {"name": "bench", "room": "bench"},
        "audio": {"kind": "simulated"},
        "ledger": {"path": str(folder / "ledger.sqlite")},
        "keys": {"path": str(folder / "keys.json")},
        "memory": {"folder": str(folder / "memory")},
        "speaker": {
            "vault": str(folder / "people.vault"),
            "key_file": str(folder / "people.key"),
            "guests": "always",
        },
        "forward": {"kind": "folder", "folder": str(folder / "commands")},
        "control": {"path": str(folder / "control.sock"), "mute_file": str(folder / "muted")},
    }
    for name, section in sections.items():
        found[name] = {**found.get(name, {}), **section}
    return found


def config(folder: Path, **sections: Mapping[str, Any]) -> Config:
    """The same as the device reads it."""
    return Config.model_validate_json(json.dumps(tree(folder, **sections)), strict=True)


def settle(folder: Path, seed: int) -> list[Person]:
    """Make the key of the voiceprints and enrol a family; who they are."""
    settings = config(folder).speaker
    assert settings.key_file is not None  # see tree()
    create_key(settings.key_file)
    vault = Vault.of(settings, environ={})
    model = SpeakerModel.open(settings.model)
    family = [person(f"Person {number}", number, seed, model) for number in range(FAMILY)]
    for each in family:
        vault.add(each)
    return family


def person(name: str, number: int, seed: int, model: SpeakerModel) -> Person:
    """Somebody with a voice drawn by chance."""
    rng = np.random.default_rng([seed, number])
    phrases = rng.standard_normal((PHRASES, model.cohort.shape[1]))
    phrases /= np.linalg.norm(phrases, axis=1, keepdims=True)
    now = time.time()
    return Person(
        id=f"{number:08x}",
        name=name,
        consent_unix_s=now,
        enrolled_unix_s=now,
        model_id=model.id,
        phrases=phrases.astype(np.float32),
    )
