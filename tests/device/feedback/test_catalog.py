"""The message catalogue: each kind of journal line is explained, with fields that it has."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from earmark.feedback import Entry, Journal
from earmark.gate import Announcement, Decision, Reason, Verdict

CATALOG = Path(__file__).resolve().parents[3] / "systemd" / "earmark.catalog"

BESIDE = {"FORWARD_FAILED": {"EARMARK_SESSION"}}
"""Fields of lines that the journal does not write itself."""


def entries() -> dict[str, tuple[dict[str, str], str]]:
    """For each message id its headers and its text (systemd.io/CATALOG)."""
    text = CATALOG.read_text(encoding="utf-8")
    found = {}
    for part in re.split(r"^-- ", text, flags=re.MULTILINE)[1:]:
        message_id, _, rest = part.partition("\n")
        head, _, body = rest.partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines())
        assert message_id not in found, "twice"
        found[message_id] = (headers, body)
    return found


def test_every_kind_of_line_has_its_entry_and_there_are_no_others() -> None:
    assert set(entries()) == {entry.message_id for entry in Entry}


@pytest.mark.parametrize("entry", list(Entry))
def test_an_entry_has_what_journalctl_wants(entry: Entry) -> None:
    headers, body = entries()[entry.message_id]
    assert set(headers) == {"Subject", "Defined-By"}
    assert headers["Defined-By"] == "Earmark"
    assert body.strip()
    assert max(map(len, body.splitlines())) <= 100


@pytest.mark.parametrize("entry", list(Entry))
def test_the_fields_that_a_text_fills_in_are_in_the_line(
    entry: Entry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    journal = Journal("kitchen", "shelf")
    decisions = {
        Entry.ALLOWED: Verdict(Decision.ALLOW, Reason.FRESH, ()),
        Entry.RETRY: Verdict(Decision.RETRY, Reason.TOO_QUIET, ()),
        Entry.REJECTED: Verdict(Decision.REJECT, Reason.REPLAY, ()),
    }
    if entry in decisions:
        journal.verdict("s1", decisions[entry], Announcement.ALLOWED)
    elif entry is Entry.ANNOUNCED:
        journal.announced(Announcement.MUTED)
    fields = {key for record in caplog.records for key in record.__dict__ if key.isupper()}
    wanted = set(re.findall(r"@([A-Z_]+)@", entries()[entry.message_id][1]))
    assert wanted <= fields | BESIDE.get(entry.name, set())
