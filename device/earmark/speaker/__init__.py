"""The speaker model: who speaks, and not fooled by perturbations."""

from earmark.speaker.decision import (
    Cohort,
    Criterion,
    Likeness,
    Match,
    Rate,
    Reliability,
    Roster,
)
from earmark.speaker.enrolment import (
    Enrolled,
    Enrolment,
    EnrolmentError,
    Feedback,
    Phrase,
    Prompt,
    Quality,
)
from earmark.speaker.frontend import (
    DEVICE,
    PAPER,
    PAPER_FLOORED,
    FrontEnd,
    LogMel,
    hann,
    mel_filters,
)
from earmark.speaker.interpreter import Network
from earmark.speaker.manifest import Manifest, SpeakerModelError
from earmark.speaker.model import SpeakerModel, cover, level_gain_db, levelled, window_starts
from earmark.speaker.people import PeopleError, Person, checked_name, export, named, utc
from earmark.speaker.settings import EnrolmentSettings, SpeakerSettings
from earmark.speaker.vault import Vault, VaultError, wipe
from earmark.speaker.vault_key import VaultKeyError, create_key, load_key

__all__ = [
    "DEVICE",
    "PAPER",
    "PAPER_FLOORED",
    "Cohort",
    "Criterion",
    "Enrolled",
    "Enrolment",
    "EnrolmentError",
    "EnrolmentSettings",
    "Feedback",
    "FrontEnd",
    "Likeness",
    "LogMel",
    "Manifest",
    "Match",
    "Network",
    "PeopleError",
    "Person",
    "Phrase",
    "Prompt",
    "Quality",
    "Rate",
    "Reliability",
    "Roster",
    "SpeakerModel",
    "SpeakerModelError",
    "SpeakerSettings",
    "Vault",
    "VaultError",
    "VaultKeyError",
    "checked_name",
    "cover",
    "create_key",
    "export",
    "hann",
    "level_gain_db",
    "levelled",
    "load_key",
    "mel_filters",
    "named",
    "utc",
    "window_starts",
    "wipe",
]
