"""What is measured of a device in its room, and how.

The modules with signals in and values out are pure; :mod:`rig` alone plays and records, and
:mod:`take` says what is played in which order.
"""

from earmark_calibration.measure.bands import THIRDS, Bands
from earmark_calibration.measure.canceller import Cancelled
from earmark_calibration.measure.catalogue import Catalogue
from earmark_calibration.measure.clock import Clock
from earmark_calibration.measure.noise import Noise, Reference
from earmark_calibration.measure.rig import MAX_SOUND_S, Progress, Rig, SoundSpent
from earmark_calibration.measure.take import Measured, measure

__all__ = [
    "MAX_SOUND_S",
    "THIRDS",
    "Bands",
    "Cancelled",
    "Catalogue",
    "Clock",
    "Measured",
    "Noise",
    "Progress",
    "Reference",
    "Rig",
    "SoundSpent",
    "measure",
]
