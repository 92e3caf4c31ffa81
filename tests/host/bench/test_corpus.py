"""A corpus is read by role; what is wrong with one is said clearly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ
from earmark_host.bench import Clip, Corpus


def manifest(folder: Path, text: str) -> Path:
    (folder / "manifest.csv").write_text(text, encoding="utf-8")
    return folder


def test_clips_go_by_role_and_never_by_folder(tiny_corpus: Path) -> None:
    corpus = Corpus.open(tiny_corpus)
    assert corpus.counts() == {
        "background": 1,
        "command": 1,
        "music": 1,
        "noise": 1,
        "speech": 1,
    }
    assert [clip.path for clip in corpus.role("music")] == ["speech/c.wav"]
    assert {name: [c.path for c in clips] for name, clips in corpus.people.items()} == {
        "ann": ["music/a.wav"],
        "bob": ["music/b.wav"],
    }
    corpus.require("noise", "background", "music")


def test_a_clip_is_decoded_when_it_is_asked_for(tiny_corpus: Path) -> None:
    corpus = Corpus.open(tiny_corpus)
    signal = corpus.load(corpus.people["ann"][0])
    assert signal.dtype == np.float32
    assert signal.shape == (soundfile.info(tiny_corpus / "music/a.wav").frames,)


def test_people_are_drawn_alike_however_many_clips_they_have(tmp_path: Path) -> None:
    rows = "".join(f"a{n}.wav,speech,ann\n" for n in range(50)) + "b.wav,command,bob\n"
    corpus = Corpus.open(manifest(tmp_path, "path,role,speaker\n" + rows))
    rng = np.random.default_rng(0)
    drawn = [corpus.person(rng) for _ in range(200)]
    assert 70 < drawn.count("bob") < 130
    assert corpus.spoken_by("ann", rng).speaker == "ann"


# -- failures -------------------------------------------------------------------------------


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"manifest\.csv cannot be read .*--data"):
        Corpus.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column path, role, speaker"),
        ("path,role\na.wav,speech\n", "has no column speaker"),
        ("path,role,speaker\n", "lists no files"),
        ("path,role,speaker\na.wav,speech\n", "line 2 is cut short"),
        ("path,role,speaker\n/etc/a.wav,speech,x\n", "line 2 names a file outside the folder"),
        ("path,role,speaker\n../a.wav,speech,x\n", "line 2 names a file outside the folder"),
    ],
)
def test_a_malformed_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EarmarkError, match=message):
        Corpus.open(manifest(tmp_path, text))


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(EarmarkError, match="no CSV file"):
        Corpus.open(tmp_path)


def test_a_missing_role_is_named_with_those_there_are(tmp_path: Path) -> None:
    corpus = Corpus.open(manifest(tmp_path, "path,role,speaker\na.wav,speech,ann\n"))
    with pytest.raises(EarmarkError, match="no clip of the role 'noise', only speech: add clips"):
        corpus.require("noise")
    with pytest.raises(EarmarkError, match="has 1 people, 2 are needed"):
        corpus.require()


def test_a_clip_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    corpus = Corpus.open(manifest(tmp_path, "path,role,speaker\na.wav,speech,ann\n"))
    with pytest.raises(AudioError, match=r"a\.wav cannot be decoded"):
        corpus.load(Clip("a.wav", "speech", "ann"))
    soundfile.write(tmp_path / "a.wav", np.ones(100), 44100)
    with pytest.raises(AudioError, match="convert the corpus to 16000 Hz mono"):
        corpus.load(Clip("a.wav", "speech", "ann"))
    soundfile.write(tmp_path / "a.wav", np.zeros(100), RATE_HZ)
    with pytest.raises(AudioError, match=r"a\.wav is silent"):
        corpus.load(Clip("a.wav", "speech", "ann"))
