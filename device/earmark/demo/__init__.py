"""A household evening in simulated rooms, with real speech: what `earmark demo` shows."""

from earmark.demo.clips import ASSETS, Clip, ClipKind, Clips, load_clips
from earmark.demo.command import OUT, run_demo
from earmark.demo.evening import Evening, SceneResult, Sound
from earmark.demo.scenes import (
    EVENING,
    QUICK,
    RESIDENT,
    Enrols,
    Expected,
    Replays,
    Scene,
    Speaks,
    Varies,
    chosen,
)

__all__ = [
    "ASSETS",
    "EVENING",
    "OUT",
    "QUICK",
    "RESIDENT",
    "Clip",
    "ClipKind",
    "Clips",
    "Enrols",
    "Evening",
    "Expected",
    "Replays",
    "Scene",
    "SceneResult",
    "Sound",
    "Speaks",
    "Varies",
    "chosen",
    "load_clips",
    "run_demo",
]
