"""Enrolment through real sessions in a room: what becomes a voiceprint, and what never does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark import enrolling
from earmark.audio import RoomConditions, SimulatedRoom, load_room
from earmark.config import Config
from earmark.control import MuteFile
from earmark.daemon import InlineExecutor
from earmark.demo.clips import Clips
from earmark.enrolling import REQUIRED, Nowhere, Phrases, enrol
from earmark.errors import EarmarkError
from earmark.forward import Command
from earmark.gate import Announcement, Decision, Evidence, Finding, Outcome, Reason, Verdict
from earmark.memory import MemoryStoreError, QueryMemory
from earmark.signal import BLOCK, RATE_HZ, Signal
from earmark.speaker import (
    Enrolment,
    EnrolmentError,
    EnrolmentSettings,
    Prompt,
    Quality,
    Vault,
    create_key,
)

CONSENT_S = 1.8e9
SENTENCES = ("resident_1", "resident_3", "resident_4", "reading_1")
SESSION_S = 5.6
"""From one wake word to the next, s: the longest session has ended."""


@pytest.fixture
def config(tmp_path: Path, speaker_section: dict[str, object]) -> Config:
    return Config.model_validate(
        {
            "ledger": {"path": tmp_path / "ledger.sqlite"},
            "keys": {"path": tmp_path / "keys.json"},
            "memory": {"folder": tmp_path / "memory"},
            "forward": {"folder": tmp_path / "commands"},
            "control": {"mute_file": tmp_path / "muted"},
            "speaker": {**speaker_section, "enrolment": {"phrases": 4, "max_tries": 6}},
        }
    )


@pytest.fixture
def vault(config: Config) -> Vault:
    assert config.speaker.key_file is not None
    create_key(config.speaker.key_file)
    return Vault.of(config.speaker, {})


class Board:
    def __init__(self) -> None:
        self.told: list[Announcement] = []

    def announce(self, told: Announcement) -> None:
        self.told.append(told)


@pytest.fixture
def kitchen(config: Config, clips: Clips) -> Callable[..., SimulatedRoom]:
    """A kitchen in which wake word and sentence are said again and again."""

    def make(*said: Signal, level_dbspl: float = 62.0) -> SimulatedRoom:
        room = SimulatedRoom(load_room("kitchen"), config.audio, RoomConditions(seed=5))
        for number, sentence in enumerate(said):
            at_s = 1.0 + SESSION_S * number
            end_s = room.play_at("person_1m", clips.wake("1").spoken, at_s, 62.0)
            room.play_at("person_1m", sentence, end_s + 0.4, level_dbspl)
        return room

    return make


@pytest.fixture
def held(config: Config, vault: Vault, listener: Any) -> Callable[..., tuple[Any, list[Prompt]]]:
    """An enrolment of Robin in a room; its result and what was asked."""

    def run(room: SimulatedRoom, seconds: float, **more: Any) -> tuple[Any, list[Prompt]]:
        asked: list[Prompt] = []
        more.setdefault("speaker", listener)
        done = enrol(
            config,
            "Robin",
            CONSENT_S,
            asked.append,
            vault=vault,
            opener=lambda: room,
            executor=InlineExecutor(),
            stop=lambda: room.now_s > seconds,
            now=lambda: CONSENT_S + room.now_s,
            **more,
        )
        return done, asked

    return run


def test_it_does_not_wait_for_ever(
    held: Any, kitchen: Any, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolling, "PATIENCE_S", 3.0)
    room = kitchen()
    with pytest.raises(EnrolmentError, match="nobody said the wake word for 3 s: begin again"):
        held(room, 20.0)
    assert room.now_s == pytest.approx(3.0, abs=0.1)
    assert vault.people == ()


def test_four_phrases_through_the_room_become_a_person(
    held: Any, kitchen: Any, clips: Clips, vault: Vault, config: Config, listener: Any
) -> None:
    board, room = Board(), kitchen(*(clips.sentence(name).spoken for name in SENTENCES))
    listener.heard.clear()
    done, asked = held(room, 40.0, outlets=(board,))
    [kept] = vault.people
    assert (kept.id, kept.name, kept.consent_unix_s) == (done.person.id, "Robin", CONSENT_S)
    assert kept.phrases.shape == (4, 32)
    assert [prompt.phrase for prompt in asked] == [1, 2, 3, 4]
    assert [prompt.feedback.quality for prompt in asked[1:] if prompt.feedback] == [Quality.OK] * 3
    assert board.told == [Announcement.WOKEN, Announcement.ALLOWED] * 4
    assert room.now_s < 28.0, "it ends by itself"
    # Each phrase as it was said; the wake word may be in it, by the same person.
    for name, heard in zip(SENTENCES, listener.heard, strict=True):
        beyond_s = (heard.size - clips.sentence(name).spoken.size) / RATE_HZ
        assert -0.2 < beyond_s < config.wake.pre_roll_s + 1.0
    # Nothing left the device, and nothing that was said is on it.
    assert not config.forward.folder.exists()
    with pytest.raises(EarmarkError, match="somebody has that name already"):
        held(kitchen(), 1.0)


def test_a_replayed_phrase_is_not_taken(
    held: Any, kitchen: Any, clips: Clips, vault: Vault, listener: Any
) -> None:
    room = kitchen(clips.sentence("resident_1").spoken)
    room.record("r1")
    with pytest.raises(EnrolmentError, match="not all phrases were said"):
        held(room, 6.0)
    listener.heard.clear()
    replay = kitchen()
    replay.play_at("attacker", room.recording("r1"), 0.2, 64.0)
    board = Board()
    with pytest.raises(EnrolmentError, match="not all phrases were said"):
        held(replay, 9.0, outlets=(board,))
    assert board.told[:2] == [Announcement.WOKEN, Announcement.COULD_NOT_VERIFY]
    assert listener.heard == [], "not even the model heard it"
    assert vault.people == ()


def test_a_jammed_loudspeaker_enrols_nobody(
    held: Any, kitchen: Any, clips: Clips, vault: Vault, listener: Any
) -> None:
    room = kitchen(clips.sentence("resident_1").spoken)
    room.jam_loudspeaker()
    listener.heard.clear()
    with pytest.raises(EnrolmentError, match="not all phrases were said"):
        held(room, 6.0)
    assert listener.heard == []


def test_stopped_it_keeps_nobody_and_lets_go_of_everything(
    held: Any, kitchen: Any, vault: Vault, config: Config
) -> None:
    with pytest.raises(EnrolmentError, match="not all phrases were said: begin again"):
        held(kitchen(), 0.5)
    assert vault.people == ()
    QueryMemory.open(config.memory, os.urandom).close()


def test_beside_a_running_daemon_it_is_refused(held: Any, kitchen: Any, config: Config) -> None:
    memory = QueryMemory.open(config.memory, os.urandom)
    with pytest.raises(MemoryStoreError, match="stop the daemon first"):
        held(kitchen(), 1.0)
    memory.close()


def test_a_muted_microphone_hears_nobody(held: Any, kitchen: Any, config: Config) -> None:
    mute = config.control.mute_file
    assert mute is not None
    MuteFile(mute).keep(True)
    with pytest.raises(EnrolmentError, match=r"is muted: .*earmark unmute"):
        held(kitchen(), 1.0)


def test_a_file_that_ends_enrols_nobody(config: Config, vault: Vault, tmp_path: Path) -> None:
    """From the configuration's own port and model, with a thread for the work."""
    soundfile.write(tmp_path / "in.wav", np.zeros(20 * BLOCK), RATE_HZ)
    audio = config.audio.model_copy(update={"kind": "wav", "wav_in": tmp_path / "in.wav"})
    config = config.model_copy(update={"audio": audio})
    with pytest.raises(EnrolmentError, match="not all phrases were said"):
        enrol(config, "Robin", CONSENT_S, lambda _: None, vault=vault)


# Between the gate and the enrolment


GOOD = {"speech_s": 2.5, "speech_dbfs": -45.0, "noise_dbfs": -70.0, "clipped_share": 0.0}


@pytest.fixture
def phrases(voices: type[Any]) -> Callable[..., tuple[Phrases, Any]]:
    def make(*people: Any, **settings: Any) -> tuple[Phrases, Any]:
        model = voices("Robin")
        known = [model.person(*one) for one in people]
        enrolment = Enrolment(
            EnrolmentSettings(phrases=4, **settings), model, known, "Robin", CONSENT_S
        )
        return Phrases(enrolment, lambda _: None), model

    return make


def offered(phrases: Phrases, **figures: float) -> Reason | None:
    signal = np.zeros(3 * RATE_HZ, np.float32)
    found = Finding("signal", Outcome.PASSED, Reason.FRESH, 20.0, {**GOOD, **figures})
    return phrases.review(Evidence(signal, signal, (0.2, 2.7)), (found,))


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({}, None),
        ({"speech_s": 0.5}, Reason.SPEAKER_UNDETERMINED),
        ({"clipped_share": 0.4}, Reason.CLIPPED),
        ({"speech_dbfs": -80.0}, Reason.TOO_QUIET),
        ({"noise_dbfs": -50.0}, Reason.TOO_QUIET),
    ],
)
def test_the_room_hears_what_can_be_mended(
    phrases: Any, figures: dict[str, float], reason: Reason | None
) -> None:
    between, model = phrases()
    assert offered(between, **figures) is reason
    assert len(model.heard) == (reason is None)


def test_somebody_who_is_known_or_another_voice_in_between_is_refused(
    phrases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.speaker.enrolment.CONSISTENT_FAR", 0.1)  # clear voices
    between, model = phrases(("Bob", "bbbbbbbb"))
    model.speaks = "Bob"
    assert offered(between) is Reason.SPEAKER_UNDETERMINED
    model.speaks = "Robin"
    assert [offered(between) for _ in range(3)] == [None] * 3
    model.speaks = "Eve"
    assert offered(between) is Reason.SPEAKER_UNDETERMINED
    assert not between.over
    model.speaks = "Robin"
    assert offered(between) is None
    assert between.over


def test_after_the_last_phrase_and_after_too_many_tries_nothing_is_taken(phrases: Any) -> None:
    between, model = phrases()
    assert [offered(between) for _ in range(5)] == [None] * 4 + [Reason.SPEAKER_UNDETERMINED]
    assert len(model.heard) == 4
    between, model = phrases(max_tries=6)
    assert [offered(between, speech_s=0.5) for _ in range(7)] == [Reason.SPEAKER_UNDETERMINED] * 7
    assert between.over
    assert isinstance(between.error, EnrolmentError)
    assert model.heard == []


def test_what_ends_an_enrolment_is_told_to_the_caller(
    held: Any, kitchen: Any, clips: Clips, vault: Vault, voices: type[Any]
) -> None:
    class Failing(voices):  # type: ignore[misc]
        def embed(self, signal: Signal) -> Any:
            raise EnrolmentError("of 6 phrases 0 could be used", "try again")

    room = kitchen(clips.sentence("resident_1").spoken)
    with pytest.raises(EnrolmentError, match="of 6 phrases 0 could be used"):
        held(room, 20.0, speaker=Failing())
    assert room.now_s < 9.0, "it ends by itself"
    assert vault.people == ()


def test_every_quality_has_its_answer() -> None:
    from earmark.enrolling import _REASONS

    assert set(_REASONS) == set(Quality) - {Quality.OK}
    assert Reason.FRESH not in _REASONS.values()


def test_the_voice_is_no_condition_and_nothing_goes_anywhere() -> None:
    assert "speaker" not in REQUIRED
    allowed = Verdict(Decision.ALLOW, Reason.FRESH, ())
    command = Command(np.ones(9, np.float32), "s", "d", "p", 0.0, (), allowed)
    assert Nowhere().send(command) is None
    Nowhere().close()
