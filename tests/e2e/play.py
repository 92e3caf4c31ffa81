"""What people do in the room, with a device in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import correlate
from tests.e2e.device import Device
from tests.e2e.room import AMBIENT_DBSPL, PERSON, SETTINGS, VirtualRoom
from tests.e2e.scene import LEVEL_DBSPL, Scene, at_device, undisturbed
from tests.e2e.server import RATE_HZ

from earmark.audio import loudspeaker_dbfs, microphone_rms
from earmark.demo.clips import Clips
from earmark.feedback import FeedbackSettings, earcon
from earmark.gate import Announcement
from earmark.signal import RATE_HZ as DEVICE_HZ
from earmark.signal import active_level_dbfs
from earmark.speaker import (
    Criterion,
    Enrolment,
    Phrase,
    Quality,
    SpeakerModel,
    SpeakerSettings,
    Vault,
    create_key,
)

CARDS = ("sounddevice", "pyaudio")
"""The libraries through which a device may reach its sound card."""

RESIDENT = "Robin"
"""Who is enrolled."""

PHRASES = ("resident_1", "resident_3", "resident_4", "reading_1")
"""What the resident says to enrol. `resident_2` is by the same reader, every other command by
somebody else."""


EARCON_S = 1.0
"""When an announcement has been heard to its end, s: 0.5 s at most, and the server's buffers."""


def nothing() -> None:
    """Nothing more is looked at."""


def says(
    room: VirtualRoom,
    one: Device,
    clips: Clips,
    command: str,
    verdict: str = "allow/fresh",
    then: Callable[[], None] = nothing,
) -> Scene:
    """A person gives a command, and the verdict is this.

    Parameters
    ----------
    then : goes on with the scene, with assertions of its own.
    """

    def play(scene: Scene) -> None:
        before = len(one.verdicts())
        scene.speak(clips.wake("1"), clips.sentence(command))
        one.wait_for(lambda: len(one.verdicts()) > before, "a verdict on what was said")
        assert one.verdicts()[before] == verdict, one.log
        then()

    return undisturbed(room, play, starved(one))


def starved(one: Device) -> Callable[[], str | None]:
    """Says from now on whether the device was kept from its card: it gets most of the processor
    where that is permitted, so a block that comes late is the machine's doing."""

    def lost() -> tuple[int, int]:
        card = one.status()["card"]
        return card["late_blocks"], card["lost_count"]

    before = lost()

    def late() -> str | None:
        if not one.running:
            return None
        blocks, streams = (now - then for now, then in zip(lost(), before, strict=True))
        return f"the device lost {blocks} blocks, {streams} streams" if blocks + streams else None

    return late


def enrolled(folder: Path, room: VirtualRoom, clips: Clips) -> dict[str, Any]:
    """The resident enrols; the section `speaker` of a device that knows nobody else.

    By the product's own enrolment, from phrases as the device's microphone hears them. That they
    are said in sessions is tested elsewhere, in the simulated room.
    """
    section = {
        "vault": str(folder / "people.vault"),
        "key_file": str(folder / "people.key"),
        "enrolment": {"phrases": len(PHRASES)},
    }
    settings = SpeakerSettings.model_validate(section)
    assert settings.key_file is not None
    create_key(settings.key_file)
    model = SpeakerModel.open()
    criterion = Criterion.calibrated(settings.far_target, model.decision)
    enrolment = Enrolment(settings.enrolment, model, (), RESIDENT, time.time(), criterion)
    noise_dbfs = 20.0 * float(np.log10(microphone_rms(AMBIENT_DBSPL, SETTINGS)))
    for name in PHRASES:
        said = room.emitted(clips.sentence(name).spoken, LEVEL_DBSPL)
        heard = at_device(room.heard(PERSON, said))
        length_s, level = heard.size / DEVICE_HZ, active_level_dbfs(heard)
        told = enrolment.offer(Phrase(heard, length_s, level, noise_dbfs, 0.0))
        assert told.quality is Quality.OK, f"{name}: {told.quality}"
    Vault.of(settings, {}).add(enrolment.finish(time.time(), np.random.default_rng().bytes).person)
    return section


def played(scene: Scene, told: Announcement) -> bool:
    """Whether the device's loudspeaker has played the earcon of an announcement, whole."""
    level_dbfs = loudspeaker_dbfs(FeedbackSettings().earcon_level_dbspl_1m, SETTINGS)
    wanted = earcon(told, level_dbfs).astype(np.float64)
    recorded = at_device(scene.loudspeaker).astype(np.float64)
    scores = correlate(recorded, wanted, mode="valid", method="fft")
    energy = np.cumsum(np.concatenate([[0.0], recorded**2]))
    norms = np.sqrt(np.maximum(energy[wanted.size :] - energy[: -wanted.size], 1e-9))
    return float(np.max(scores / norms)) / float(np.linalg.norm(wanted)) > 0.95


def silent(scene: Scene) -> bool:
    """Whether the device's loudspeaker has played nothing at all in a scene."""
    assert scene.loudspeaker.size > RATE_HZ
    return not np.any(scene.loudspeaker)
