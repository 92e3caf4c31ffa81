"""The bench of the wake word and the endpointer, on clips that ship."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earmark.demo.clips import ClipKind, load_clips
from earmark.errors import EarmarkError
from earmark_host.bench.report import Report
from earmark_host.bench.wake import GAPS_MS, run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from .conftest import write_corpus

    shipped = load_clips()
    words = shipped.all(ClipKind.WAKE)[:2]
    return write_corpus(
        tmp_path_factory.mktemp("words"),
        [
            ("1.wav", "wakeword:alexa", "", words[0].signal),
            ("2.wav", "wakeword:alexa", "", words[1].signal),
            ("3.wav", "wakeword:view glass", "", shipped.all(ClipKind.COMMAND)[2].signal),
            ("4.wav", "speech", "ann", shipped.all(ClipKind.COMMAND)[0].signal),
            ("5.wav", "command", "bob", shipped.all(ClipKind.WORD)[0].signal),
        ],
    )


@pytest.fixture(scope="module")
def report(corpus: Path) -> Report:
    return run(corpus, seed=1, quick=True)


def test_the_wake_word_is_heard_and_nothing_else(report: Report) -> None:
    for gap_ms in GAPS_MS:
        assert report.metric(f"wake_found_gap_{gap_ms}ms").n == 2
    assert report.metric("wake_found_gap_1000ms").value == 1.0
    assert report.metric("wake_other_words").value == 0.0
    assert report.metric("wake_other_words").n == 1
    delay_s = report.metric("wake_delay_s_p50").value
    assert delay_s is not None
    assert -0.3 < delay_s < 0.5


def test_a_sentence_and_a_word_are_found_with_their_ends(report: Report) -> None:
    for role in ("speech", "command"):
        assert report.metric(f"endpoint_unheard_{role}").value == 0.0
        assert report.metric(f"endpoint_cut_{role}").value == 0.0
        late_s = report.metric(f"endpoint_late_s_p50_{role}").value
        assert late_s is not None
        assert 0.3 < late_s < 1.5


def test_the_report_is_of_the_common_form(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path / "wake.json")
    written = json.loads((tmp_path / "wake.json").read_text())
    assert list(written) == ["bench", "version", "seed", "data", "conditions", "metrics", "tables"]
    assert written["bench"] == "wake"


def test_a_run_can_be_repeated(corpus: Path, report: Report) -> None:
    assert run(corpus, seed=1, quick=True).to_json() == report.to_json()


def test_a_corpus_without_wake_words_is_refused(tiny_corpus: Path) -> None:
    with pytest.raises(EarmarkError, match="no clip of the role 'wakeword'"):
        run(tiny_corpus, seed=1, quick=True)
