"""Wake word, pre-roll and endpointing on the stream of 20 ms blocks."""

from __future__ import annotations

from earmark.wake.button import ButtonWake, ScriptedWake
from earmark.wake.detector import Endpointer, SpeechSpan, WakeDetector
from earmark.wake.endpoint import MicroEndpointer
from earmark.wake.micro import MicroWake
from earmark.wake.preroll import PreRoll
from earmark.wake.settings import EndpointSettings, WakeKind, WakeSettings

__all__ = [
    "ButtonWake",
    "EndpointSettings",
    "Endpointer",
    "MicroEndpointer",
    "MicroWake",
    "PreRoll",
    "ScriptedWake",
    "SpeechSpan",
    "WakeDetector",
    "WakeKind",
    "WakeSettings",
    "wake_detector",
]


def wake_detector(settings: WakeSettings) -> WakeDetector:
    """The detector of the kind that the settings ask for.

    Raises
    ------
    EarmarkError
        See :class:`MicroWake`.
    """
    return ButtonWake() if settings.kind is WakeKind.BUTTON else MicroWake(settings)
