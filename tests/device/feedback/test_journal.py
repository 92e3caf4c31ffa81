"""The journal: complete, structured, and closed to anything that was said."""

from __future__ import annotations

import logging
import math
import re
import socket
import uuid
from pathlib import Path

import numpy as np
import pytest

from earmark.feedback import Entry, Journal, JournalHandler, log_handler
from earmark.feedback.journal import FIELDS
from earmark.feedback.systemd import PrefixFormatter, priority, stderr_is_journal
from earmark.gate import Announcement, Decision, Finding, Outcome, Reason, Verdict

BITS = "01101100110000111010110000110101"


class Kept(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def journal(kept: Kept) -> Journal:
    logger = logging.Logger("test", logging.DEBUG)
    logger.addHandler(kept)
    return Journal("kitchen", "on the shelf", logger)


def replayed(**detail: object) -> Verdict:
    return Verdict(
        Decision.REJECT,
        Reason.REPLAY,
        (
            Finding("signal", Outcome.PASSED, Reason.FRESH, 21.5, {"speech_s": 1.25}),
            Finding("stale", Outcome.FAILED, Reason.REPLAY, 31.25, detail),
        ),
    )


def test_a_verdict_is_one_line_with_every_figure(journal: Journal, kept: Kept) -> None:
    verdict = replayed(recorded_session="s17", recorded_utc="2026-01-02T03:04:05Z")
    journal.verdict("s42", verdict, Announcement.COULD_NOT_VERIFY)

    (record,) = kept.records
    assert record.getMessage() == (
        'rejected device=kitchen place="on the shelf" session=s42 decision=reject reason=replay'
        " announcement=could_not_verify signal_outcome=passed signal_reason=fresh"
        " signal_score=21.5 signal_speech_s=1.25 stale_outcome=failed stale_reason=replay"
        " stale_score=31.25 stale_recorded_session=s17 stale_recorded_utc=2026-01-02T03:04:05Z"
    )
    assert record.__dict__["MESSAGE_ID"] == Entry.REJECTED.message_id
    assert record.__dict__["EARMARK_SESSION"] == "s42"
    assert record.__dict__["EARMARK_STALE_SCORE"] == "31.25"
    assert record.levelno == logging.WARNING


def test_how_much_of_the_nonce_was_left_is_written(journal: Journal, kept: Kept) -> None:
    journal.verdict("s1", replayed(searched=3, self_noise_db=0.4), Announcement.COULD_NOT_VERIFY)
    assert kept.records[0].getMessage().endswith("stale_searched=3 stale_self_noise_db=0.4")


def test_an_alarm_of_the_memory_names_carrier_count_and_first_time(
    journal: Journal, kept: Kept
) -> None:
    detail: dict[str, object] = {
        "sign": "copies",
        "carrier": "speech",
        "count": 6,
        "first_utc": "2026-01-02T03:04:05Z",
        "copies": 5,
        "speed_percent": -1.5,
        "cluster": 17,
        "fingerprint": "00a1",
    }
    finding = Finding("memory", Outcome.FAILED, Reason.QUERY_ATTACK, 0.75, detail)
    verdict = Verdict(Decision.REJECT, Reason.QUERY_ATTACK, (finding,))
    journal.verdict("s42", verdict, Announcement.COULD_NOT_VERIFY)

    (record,) = kept.records
    assert record.getMessage() == (
        'rejected device=kitchen place="on the shelf" session=s42 decision=reject'
        " reason=query_attack announcement=could_not_verify memory_outcome=failed"
        " memory_reason=query_attack memory_score=0.75 memory_sign=copies memory_carrier=speech"
        " memory_count=6 memory_first_utc=2026-01-02T03:04:05Z memory_copies=5"
        " memory_speed_percent=-1.5 memory_cluster=17"
    )
    assert record.__dict__["EARMARK_MEMORY_COUNT"] == "6"


def test_who_spoke_is_written_as_an_id_and_a_name_is_left_out(journal: Journal, kept: Kept) -> None:
    found: dict[str, object] = {"person": "5eccc4c1", "threshold": 2.5, "name": "Ada"}
    for detail in (found, found | {"person": "Ada Löf"}):
        finding = Finding("speaker", Outcome.PASSED, Reason.FRESH, 7.5, detail)
        verdict = Verdict(Decision.ALLOW, Reason.FRESH, (finding,))
        journal.verdict("s1", verdict, Announcement.ALLOWED)
    first, second = (record.getMessage() for record in kept.records)
    figures = "speaker_score=7.5 speaker_person=5eccc4c1 speaker_threshold=2.5"
    assert first.endswith(figures)
    assert "Ada" not in first + second


@pytest.mark.parametrize(
    ("decision", "reason", "entry", "level"),
    [
        (Decision.ALLOW, Reason.FRESH, Entry.ALLOWED, logging.INFO),
        (Decision.RETRY, Reason.TOO_QUIET, Entry.RETRY, logging.INFO),
        (Decision.RETRY, Reason.FAULT, Entry.RETRY, logging.ERROR),
        (Decision.REJECT, Reason.INTERFERENCE, Entry.REJECTED, logging.WARNING),
    ],
)
def test_each_decision_has_its_message_id_and_level(
    journal: Journal, kept: Kept, decision: Decision, reason: Reason, entry: Entry, level: int
) -> None:
    journal.verdict("s1", Verdict(decision, reason, ()), Announcement.FAULT)

    assert kept.records[0].__dict__["MESSAGE_ID"] == entry.message_id
    assert kept.records[0].levelno == level
    assert f"reason={reason.value}" in kept.records[0].getMessage()


def test_message_ids_are_random_uuids_and_differ() -> None:
    ids = [uuid.UUID(hex=entry.message_id) for entry in Entry]
    assert len(set(ids)) == len(ids)
    assert all(each.version == 4 for each in ids)


def test_announcements_and_other_events_are_written(journal: Journal, kept: Kept) -> None:
    journal.announced(Announcement.MUTED)
    journal.announced(Announcement.FAULT)
    journal.write(Entry.FORWARD_FAILED, logging.ERROR, session="s1", error="ForwardError")

    assert [r.levelno for r in kept.records] == [logging.INFO, logging.ERROR, logging.ERROR]
    assert "announcement=muted" in kept.records[0].getMessage()
    assert kept.records[2].getMessage().endswith("session=s1 error=ForwardError")


def test_quotes_cannot_forge_a_field(kept: Kept) -> None:
    logger = logging.Logger("test")
    logger.addHandler(kept)
    Journal('k" decision=allow x="', "shelf", logger).announced(Announcement.READY)
    assert 'device="k\\" decision=allow x=\\""' in kept.records[0].getMessage()


SECRETS = [
    np.zeros(16, np.float32),
    np.float32(0.5),
    np.int64(0x6CC3AC35),
    b"\x6c\xc3\xac\x35",
    bytearray(4),
    [0, 1, 1, 0],
    (0.1, 0.2),
    {"a": 1},
    {1, 2},
    None,
    object(),
    1 + 2j,
    BITS,
    int(BITS, 2),
    "turn on the lights in the living room and then play some music for me please",
    "two\nlines",
    "\x1b[2J",
    "",
]


@pytest.mark.parametrize("key", FIELDS)
@pytest.mark.parametrize(
    "secret", SECRETS, ids=[type(s).__name__ + str(i) for i, s in enumerate(SECRETS)]
)
def test_no_field_takes_a_secret(journal: Journal, kept: Kept, key: str, secret: object) -> None:
    with pytest.raises(ValueError, match=f"journal field {key}") as error:
        journal.write(Entry.ALLOWED, **{key: secret})

    assert kept.records == []
    for text in (BITS, "lights", "x6c"):
        assert text not in str(error.value)


@pytest.mark.parametrize("key", ["audio", "text", "transcript", "payload", "MESSAGE", "message"])
def test_no_other_key_gets_in(journal: Journal, kept: Kept, key: str) -> None:
    with pytest.raises(ValueError, match="not a field"):
        journal.write(Entry.ALLOWED, **{key: "word"})
    assert kept.records == []


@pytest.mark.parametrize(
    "secret", SECRETS, ids=[type(s).__name__ + str(i) for i, s in enumerate(SECRETS)]
)
def test_a_finding_s_secret_stays_out_and_its_verdict_gets_in(
    journal: Journal, kept: Kept, secret: object
) -> None:
    detail = {"transcript": "lights", "payload": secret} | dict.fromkeys(FIELDS, secret)
    journal.verdict("s1", replayed(**detail), Announcement.COULD_NOT_VERIFY)

    (record,) = kept.records
    written = record.getMessage() + repr(
        {
            k: v
            for k, v in record.__dict__.items()
            if k not in logging.LogRecord("", 0, "", 0, "", (), None).__dict__
        }
    )
    assert "stale_score=31.25" in written
    assert "stale_reason=replay" in written
    for key in set(FIELDS) - {"outcome", "reason", "score"}:
        assert f"stale_{key}=" not in written
    assert "lights" not in written
    assert BITS not in written
    assert str(int(BITS, 2)) not in written


def test_a_check_with_a_strange_name_or_score_cannot_stop_the_line(
    journal: Journal, kept: Kept
) -> None:
    findings = (
        Finding("x y\nz", Outcome.FAILED, Reason.FAULT, 1.0),
        Finding("nonce", Outcome.UNDETERMINED, Reason.FAULT, math.nan),
    )
    journal.verdict("s1", Verdict(Decision.RETRY, Reason.FAULT, findings), Announcement.FAULT)
    assert (
        kept.records[0]
        .getMessage()
        .endswith("nonce_outcome=undetermined nonce_reason=fault nonce_score=nan")
    )
    assert "\n" not in kept.records[0].getMessage()


@pytest.mark.parametrize("name", ["", "a" * 65, "two\nlines", BITS])
def test_a_device_name_that_cannot_stand_in_a_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="journal field device"):
        Journal(name, "shelf")


class TestSystemd:
    """Towards the systemd journal."""

    def record(self, level: int, text: str = "rejected a=b", **extra: str) -> logging.LogRecord:
        made = logging.LogRecord("earmark", level, __file__, 1, text, (), None)
        made.__dict__.update(extra)
        return made

    def test_priorities(self) -> None:
        levels = [logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, 1]
        assert [priority(level) for level in levels] == [2, 3, 4, 6, 7, 7]

    def test_every_line_has_the_prefix(self) -> None:
        text = PrefixFormatter().format(self.record(logging.WARNING, "one\ntwo"))
        assert text == "<4>one\n<4>two"

    def test_fields_arrive_at_the_journal_s_socket(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(tmp_path / "socket"))
            server.settimeout(5)
            handler = JournalHandler(tmp_path / "socket")
            handler.emit(self.record(logging.WARNING, MESSAGE_ID="abc", EARMARK_SESSION="s1"))
            handler.emit(self.record(logging.ERROR, "one\ntwo"))
            first, second = server.recv(65536), server.recv(65536)
            handler.close()

        assert set(first.splitlines()) == {
            b"MESSAGE=rejected a=b",
            b"PRIORITY=4",
            b"SYSLOG_IDENTIFIER=earmark",
            b"MESSAGE_ID=abc",
            b"EARMARK_SESSION=s1",
        }
        assert b"MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n" in second

    def test_a_journal_that_went_away_or_is_full_does_no_harm(self, tmp_path: Path) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        server.bind(str(tmp_path / "socket"))
        handler = JournalHandler(tmp_path / "socket")
        for _ in range(1000):  # nobody reads: the queue fills up, and nothing may block
            handler.emit(self.record(logging.INFO))
        server.close()
        handler.emit(self.record(logging.INFO))
        handler.close()

    def test_stderr_elsewhere_gets_plain_lines(self) -> None:
        assert not stderr_is_journal({})
        assert not stderr_is_journal({"JOURNAL_STREAM": "1:1"})
        handler = log_handler({})
        line = handler.format(self.record(logging.WARNING))
        assert re.fullmatch(r"\d{4}-\S+ \S+ WARNING rejected a=b", line)

    def test_stderr_in_the_journal_gets_the_socket_or_else_prefixes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (tmp_path / "stderr").open("w") as file:
            monkeypatch.setattr("sys.stderr", file)
            status = (tmp_path / "stderr").stat()
            environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
            fallback = log_handler(environ, tmp_path / "nobody")
            assert fallback.format(self.record(logging.ERROR)) == "<3>rejected a=b"

            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
                server.bind(str(tmp_path / "socket"))
                handler = log_handler(environ, tmp_path / "socket")
                assert isinstance(handler, JournalHandler)
                handler.close()
