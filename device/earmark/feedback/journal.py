"""The journal: one structured line an event, and nothing in it that was said.

A line goes through the standard logging module. Its message is ``key=value`` pairs, readable
anywhere; the same fields are attached for a handler that knows the systemd journal
(``python-systemd``'s ``JournalHandler`` takes them as they are): ``MESSAGE_ID`` and one
``EARMARK_...`` field for each. ``journalctl MESSAGE_ID=...`` then finds every rejection.

Only the keys of :data:`FIELDS` get in, each with values of its own kind. An array, bytes, a
list, a long text or a string of bits cannot.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeAlias

from earmark.gate import Announcement, Decision, Finding, Reason, Verdict

Value: TypeAlias = str | int | float | bool


class Entry(Enum):
    """A kind of journal line: its name and its MESSAGE_ID, fixed for ever.

    Each has an entry in ``systemd/earmark.catalog``, which ``journalctl -x`` shows beside it.
    """

    ALLOWED = ("allowed", "dbd1e498cc084d2584a73c7aad801a0c")
    RETRY = ("retry", "d18707f74c9b44e7b4b728cd0097fcf5")
    REJECTED = ("rejected", "5bb068b2fb6c4aee872ee61915fb9de1")
    ANNOUNCED = ("announced", "7148738bae7f47eb8f6b588a51f76073")
    FORWARD_FAILED = ("forward_failed", "198d1a960b1b4cacbc0af8c61ded611e")
    STARTED = ("started", "e65dfbb854e14eca85cd4c5ed5adcec2")
    STOPPED = ("stopped", "82155f41993c422aa4712f78db990043")
    RELOADED = ("reloaded", "23124c4a159e414c84223e391a2247cd")
    RELOAD_FAILED = ("reload_failed", "858e49454e514926a399a94d72abff41")
    CARD_LOST = ("card_lost", "cc2ea3c7496a49eca31edab1edcae28c")
    CARD_BACK = ("card_back", "70024897c460447c9f87c31b5d91661c")

    @property
    def message_id(self) -> str:
        """128 bits in hexadecimal, as the journal wants them."""
        return self.value[1]


MAX_NUMBER = 1_000_000
"""Largest number written: above any count, level or score, and too small for 32 bits."""


def _token(value: object) -> Value:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.:+-]{1,64}", value):
        raise ValueError("not a word of 1 to 64 letters, digits and _.:+-")
    if re.fullmatch(r"[01]{8,}", value):
        raise ValueError("looks like the bits of a nonce")
    return value


def _text(value: object) -> Value:
    if not isinstance(value, str) or not 1 <= len(value) <= 64 or not value.isprintable():
        raise ValueError("not 1 to 64 printable characters")
    if re.fullmatch(r"[01\s]{8,}", value):
        raise ValueError("looks like the bits of a nonce")
    return value


def _number(value: object) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    if math.isfinite(value) and abs(value) > MAX_NUMBER:
        raise ValueError(f"beyond {MAX_NUMBER}")
    return float(value) if isinstance(value, float) else int(value)


def _flag(value: object) -> Value:
    if not isinstance(value, bool):
        raise ValueError("not true or false")
    return value


FIELDS: Mapping[str, Callable[[object], Value]] = {
    "session": _token,
    "decision": _token,
    "reason": _token,
    "announcement": _token,
    "error": _token,
    "device": _text,
    "place": _text,
    "forwarded": _flag,
    "latency_s": _number,
    # From the findings' details, after the check's name: `stale_recorded_session`.
    "outcome": _token,
    "score": _number,
    "recorded_session": _token,
    "recorded_utc": _token,
    "recorded_device": _text,
    "recorded_place": _text,
    "sign": _token,
    "carrier": _token,
    "count": _number,
    "first_utc": _token,
    "copies": _number,
    "speed_percent": _number,
    "cluster": _number,
    # Who spoke: the identifier of an enrolled person, never the name.
    "person": _token,
    "threshold": _number,
    "searched": _number,
    "self_noise_db": _number,
    "bit_errors": _number,
    "bits_received": _number,
    "slots": _number,
    "slot_errors": _number,
    "contrast": _number,
    "offset_s": _number,
    "suppression_db": _number,
    "snr_db": _number,
    "drift_ppm": _number,
    "shift_hz": _number,
    "covered_s": _number,
    "uncovered_s": _number,
    "speech_s": _number,
    "speech_dbfs": _number,
    "noise_dbfs": _number,
    "clipped_share": _number,
}
"""The keys that get in, each with what makes sure of its value."""

_DETAILS = frozenset(FIELDS) - {
    *("session", "decision", "reason", "announcement", "error", "device", "place"),
    *("forwarded", "latency_s", "outcome", "score"),
}
"""The keys of a finding's detail that are copied; all others stay behind."""

_OF_DECISION = {
    Decision.ALLOW: (Entry.ALLOWED, logging.INFO),
    Decision.RETRY: (Entry.RETRY, logging.INFO),
    Decision.REJECT: (Entry.REJECTED, logging.WARNING),
}


class Journal:
    """Writes the lines.

    Parameters
    ----------
    device, place : which device this is, and where it stands; in every line.
    logger : where the lines go; ``earmark.journal`` unless told otherwise.

    Raises
    ------
    ValueError
        The device or the place cannot stand in a journal line.
    """

    def __init__(self, device: str, place: str, logger: logging.Logger | None = None) -> None:
        self._own = {"device": _checked("device", device), "place": _checked("place", place)}
        self._logger = logger or logging.getLogger("earmark.journal")

    def write(self, entry: Entry, level: int = logging.INFO, **fields: object) -> None:
        """Write one line with `fields`, whose keys must be in :data:`FIELDS`.

        Raises
        ------
        ValueError
            A key is not allowed, or its value is not of its kind. The value is not repeated.
        """
        self._write(entry, level, {key: _checked(key, value) for key, value in fields.items()})

    def verdict(self, session: str, verdict: Verdict, told: Announcement) -> None:
        """Write a verdict with the reason in full, every check's score and what the room heard.

        Details of a finding that are not in :data:`FIELDS`, or not of their kind, are left out:
        a check must not be able to keep a verdict out of the journal.
        """
        entry, level = _OF_DECISION[verdict.decision]
        fields: dict[str, Value] = {
            "session": _checked("session", session),
            "decision": verdict.decision.value,
            "reason": verdict.reason.value,
            "announcement": told.value,
        }
        for finding in verdict.findings:
            fields |= _of_finding(finding)
        self._write(entry, logging.ERROR if verdict.reason is Reason.FAULT else level, fields)

    def announced(self, told: Announcement) -> None:
        """Write what the room was told apart from a verdict."""
        level = logging.ERROR if told is Announcement.FAULT else logging.INFO
        self.write(Entry.ANNOUNCED, level, announcement=told.value)

    def _write(self, entry: Entry, level: int, fields: Mapping[str, Value]) -> None:
        shown = {key: _shown(value) for key, value in {**self._own, **fields}.items()}
        pairs = " ".join(
            f'{key}="{value}"' if " " in value or '"' in value else f"{key}={value}"
            for key, value in shown.items()
        )
        self._logger.log(
            level,
            "%s %s",
            entry.value[0],
            pairs,
            extra={
                "MESSAGE_ID": entry.message_id,
                **{f"EARMARK_{key.upper()}": value for key, value in shown.items()},
            },
        )


def _of_finding(finding: Finding) -> dict[str, Value]:
    """Return the fields of one finding, each under the check's name."""
    if not re.fullmatch(r"[a-z][a-z_]{0,31}", finding.check):
        return {}
    offered = {
        "outcome": finding.outcome.value,
        "reason": finding.reason.value,
        "score": finding.score,
        **{key: value for key, value in finding.detail.items() if key in _DETAILS},
    }
    fields: dict[str, Value] = {}
    for key, value in offered.items():
        try:
            fields[f"{finding.check}_{key}"] = FIELDS[key](value)
        except ValueError:
            continue
    return fields


def _checked(key: str, value: object) -> Value:
    if key not in FIELDS:
        raise ValueError(f"{key} is not a field of the journal")
    try:
        return FIELDS[key](value)
    except ValueError as error:
        raise ValueError(f"journal field {key}: {error}") from None


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value).replace("\\", "\\\\").replace('"', '\\"')
