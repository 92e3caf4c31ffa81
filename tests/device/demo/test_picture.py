"""What the pictures and the table say is what happened."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from earmark.audio import AudioSettings, microphone_rms
from earmark.demo import RESIDENT, Evening, SceneResult, Sound, chosen, picture, words
from earmark.demo.table import table
from earmark.gate import Decision, Embedder, Reason
from earmark.signal import RATE_HZ

WRONG, RIGHT = (221, 107, 32), (43, 108, 176)
"""Colours of the slots."""


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, listener: Embedder
) -> Iterator[tuple[SceneResult, Sound]]:
    out = tmp_path_factory.mktemp("evening")
    with Evening(out, begins_unix_s=1.8e9, speaker=listener) as evening:
        yield evening.play(chosen(("live",))[-1])  # nobody is enrolled


def strip(result: SceneResult, sound: Sound) -> set[tuple[int, ...]]:
    """The colours in the row of the nonce's slots."""
    row = np.asarray(picture.draw(result, sound))[120]
    return {tuple(int(part) for part in pixel) for pixel in row}


def test_slots_are_marked_right_or_wrong(live: tuple[SceneResult, Sound]) -> None:
    result, sound = live
    assert sound.judgement is not None
    evidence = sound.judgement.evidence
    assert evidence.nonce is not None
    none_wrong = replace(evidence.nonce, wrong_slots=())
    one_wrong = replace(evidence.nonce, wrong_slots=(7,))
    shown = [
        strip(
            result,
            replace(sound, judgement=replace(sound.judgement, evidence=replace(evidence, nonce=n))),
        )
        for n in (none_wrong, one_wrong)
    ]
    assert [WRONG in colours for colours in shown] == [False, True]
    assert all(RIGHT in colours for colours in shown)


def test_a_session_that_nobody_judged_has_a_picture_too(live: tuple[SceneResult, Sound]) -> None:
    result, sound = live
    unjudged = replace(result, decision=Decision.RETRY, reason=Reason.TOO_LONG, findings=())
    colours = strip(unjudged, replace(sound, judgement=None, listening_s=(0.5, 2.0)))
    assert not colours & {RIGHT, WRONG}
    assert strip(unjudged, replace(sound, judgement=None, microphone=np.zeros(0, np.float32)))


def test_the_spectrogram_is_in_db_spl() -> None:
    settings = AudioSettings()
    noise = np.random.default_rng(1).standard_normal(4 * RATE_HZ) * microphone_rms(50.0, settings)
    level = picture.spectrogram_dbspl(noise.astype(np.float32), settings)
    assert level.shape[1] == 257
    total = 10.0 * np.log10(np.mean(np.sum(10.0 ** (level / 10.0), axis=1)))
    assert total == pytest.approx(50.0, abs=0.3)
    tone = np.sqrt(2.0) * microphone_rms(60.0, settings) * np.sin(np.arange(RATE_HZ) * np.pi / 8)
    level = picture.spectrogram_dbspl(tone.astype(np.float32), settings)
    assert level.mean(axis=0).argmax() == 32  # 1 kHz in bins of 31.25 Hz
    assert level.mean(axis=0).max() == pytest.approx(60.0, abs=2.0)  # spread over two bins


def test_every_reason_and_verdict_has_its_words(live: tuple[SceneResult, Sound]) -> None:
    assert set(words.REASONS) == set(Reason)
    said = {words.done(replace(live[0], decision=each)) for each in (*Decision, None)}
    assert len(said) == len(Decision) + 1


def test_who_spoke_is_said_of_what_is_allowed(live: tuple[SceneResult, Sound]) -> None:
    by = {
        who: words.reason(replace(live[0], person=who)).removeprefix("spoken here and now")
        for who in ("Robin", "guest", None)
    }
    assert by == {"Robin": " by Robin", "guest": " by a guest", None: ""}
    replayed = replace(live[0], decision=Decision.REJECT, reason=Reason.REPLAY, person="Robin")
    assert "Robin" not in words.reason(replayed)


def test_an_enrolment_is_not_said_to_be_forwarded(live: tuple[SceneResult, Sound]) -> None:
    result, sound = live
    enrolled = replace(result, scene=chosen(("enrol",))[0], sessions=4, person="Robin")
    assert "forwarded" not in words.done(enrolled)
    assert words.detail(enrolled) == "enrolled from 4 phrases; nothing is forwarded"
    assert enrolled.commands == 0
    assert picture.draw(enrolled, sound).size == picture.SIZE


@pytest.mark.parametrize(("encoding", "symbol"), [("utf-8", "✗ reject"), ("ascii", "x reject")])
def test_the_verdict_is_a_symbol_and_a_word_in_any_encoding(
    encoding: str, symbol: str, live: tuple[SceneResult, Sound]
) -> None:
    rejected = replace(
        live[0],
        decision=Decision.REJECT,
        reason=Reason.REPLAY,
        recorded_at=1.8e9,
        recorded_in="living_room",
        forwarded=None,
    )
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding), width=160)
    console.print(table([rejected], console))
    console.file.flush()
    printed = raw.getvalue().decode(encoding)
    assert symbol in printed
    assert "not as" in printed  # live was expected to be allowed
    assert "in the living room" in printed


def test_a_session_that_never_began_is_no_verdict(live: tuple[SceneResult, Sound]) -> None:
    nothing = replace(live[0], decision=None, reason=None, findings=(), told=None, forwarded=None)
    assert not nothing.as_expected
    assert nothing.to_json()["verdict"] is None
    assert words.reason(nothing) == words.NO_SESSION
    console = Console(file=io.StringIO(), width=80)
    console.print(table([nothing], console))


def test_an_allowed_command_that_did_not_arrive_is_not_as_expected(
    live: tuple[SceneResult, Sound],
) -> None:
    right = replace(live[0], person=RESIDENT)
    assert right.as_expected
    assert not replace(right, forwarded=None).as_expected
    assert not live[0].as_expected, "nobody is enrolled: who spoke is not known"


def test_a_replay_of_what_nobody_recorded_is_refused(tmp_path: Path, listener: Embedder) -> None:
    with (
        Evening(tmp_path, begins_unix_s=1.8e9, speaker=listener) as evening,
        pytest.raises(KeyError, match="live"),
    ):
        evening.play(chosen(("replay",))[-1])
