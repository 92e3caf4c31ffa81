"""How a verdict is heard, seen and logged. The room is told an `Announcement` and no more."""

from earmark.feedback.earcons import earcon
from earmark.feedback.hub import Earcons, Feedback, FeedbackHub, Lights
from earmark.feedback.journal import Entry, Journal
from earmark.feedback.leds import SYSFS as LEDS_FOLDER
from earmark.feedback.leds import Leds
from earmark.feedback.lights import Colour, LightPattern, light
from earmark.feedback.settings import FeedbackSettings
from earmark.feedback.systemd import SOCKET as JOURNAL_SOCKET
from earmark.feedback.systemd import JournalHandler, log_handler

__all__ = [
    "JOURNAL_SOCKET",
    "LEDS_FOLDER",
    "Colour",
    "Earcons",
    "Entry",
    "Feedback",
    "FeedbackHub",
    "FeedbackSettings",
    "Journal",
    "JournalHandler",
    "Leds",
    "LightPattern",
    "Lights",
    "earcon",
    "light",
    "log_handler",
]
