"""Both layouts are read, and nothing that is tested with is trained on."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.errors import AudioError, EarmarkError
from earmark_host.speaker import clips as module
from earmark_host.speaker.clips import Cache, Clip, load, people, split

from .corpora import librispeech


def manifest(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "role", "speaker"])
        writer.writerows(rows)
    return folder


def made_up(sessions: dict[str, list[int]]) -> dict[str, tuple[Clip, ...]]:
    """Clips of each person, so many in each of their sessions."""
    return {
        person: tuple(
            Clip(person, str(session), Path(f"/x/{person}-{session}-{n:04d}.flac"))
            for session, count in enumerate(counts)
            for n in range(count)
        )
        for person, counts in sessions.items()
    }


class TestPeople:
    def test_librispeech_has_chapters_as_sessions(self, tmp_path: Path) -> None:
        found = people(librispeech(tmp_path, people=2, chapters=2, utterances=3))
        assert list(found) == ["10", "11"]
        assert [clip.session for clip in found["10"]] == ["100"] * 3 + ["101"] * 3

    def test_a_manifest_is_read_by_role(self, tmp_path: Path) -> None:
        rows = [
            ("a/1-22-0000.opus", "speech", "LS1"),
            ("a/x.wav", "speech", "so2"),
            ("a/y.wav", "speech", ""),
            ("b.wav", "background", "B"),
            ("c.wav", "command", "C"),
            ("n.wav", "noise", ""),
        ]
        folder = manifest(tmp_path, rows)
        assert list(people(folder)) == ["LS1", "so2"]
        assert list(people(folder, background=True, commands=True)) == ["B", "C", "LS1", "so2"]
        assert people(folder)["LS1"][0].session == "22"
        assert people(folder)["so2"][0].session == ""

    def test_a_folder_without_clips_says_what_to_give(self, tmp_path: Path) -> None:
        with pytest.raises(EarmarkError, match="LibriSpeech"):
            people(tmp_path)


class TestSplit:
    def test_no_clip_is_on_both_sides_and_none_is_lost(self) -> None:
        whose = made_up({"a": [20], "b": [10, 10, 10], "few": [14]})
        found = split(whose)
        assert not set(found.train) & set(found.test)
        assert set(found.train) | set(found.test) == {*whose["a"], *whose["b"]}
        assert found.people == ("a", "b")
        assert found.labels == {"a": 0, "b": 1}

    def test_several_sessions_are_kept_apart(self) -> None:
        found = split(made_up({"a": [8, 8, 8, 8, 8], "b": [30, 7]}))
        assert found.by_session == ("a", "b")
        assert found.disjoint == "session"
        for person in found.people:
            trained = {clip.session for clip in found.train if clip.person == person}
            tested = {clip.session for clip in found.test if clip.person == person}
            assert tested
            assert not trained & tested

    @pytest.mark.parametrize("sessions", [[20], [30, 1]])
    def test_else_it_is_by_utterance_and_says_so(self, sessions: list[int]) -> None:
        found = split(made_up({"a": sessions, "b": [8, 8, 8]}))
        assert found.by_session == ("b",)
        assert found.disjoint == "utterance"
        assert found.facts()["disjoint"] == "utterance"
        count = sum(clip.person == "a" for clip in found.test)
        assert count == round(0.2 * sum(sessions))

    def test_it_depends_on_neither_the_folder_nor_the_order(self, tmp_path: Path) -> None:
        one = split(people(librispeech(tmp_path / "one")))
        two = split(people(librispeech(tmp_path / "two" / "deeper")))
        assert [clip.key for clip in one.test] == [clip.key for clip in two.test]
        whose = made_up({"a": [20], "b": [20]})
        turned = {person: own[::-1] for person, own in reversed(whose.items())}
        assert set(split(whose).test) == set(split(turned).test)
        assert set(split(whose).test) != set(split(whose, seed=1).test)

    def test_people_are_held_out_or_left_out(self) -> None:
        whose = made_up({name: [16] for name in "abcdefgh"})
        found = split(whose, hold_out=3, most=4)
        assert len(found.held_out) == 3
        assert len(found.people) == 4
        assert not set(found.held_out) & set(found.people)
        assert set(split(whose, most=4).people) != set(found.people)

    def test_two_people_are_needed(self) -> None:
        with pytest.raises(EarmarkError, match="1 people with at least 15"):
            split(made_up({"a": [20], "b": [3]}))


class TestLoading:
    def test_a_clip_is_what_16_bits_hold(self, tmp_path: Path) -> None:
        values = np.array([0.0, 0.5, -1.0, 1.0, 1.5e-5], np.float32)
        soundfile.write(tmp_path / "a.wav", values, 16_000, subtype="FLOAT")
        signal = load(Clip("a", "", tmp_path / "a.wav"))
        assert signal.dtype == np.float32
        np.testing.assert_allclose(signal, values, atol=1.0 / 32768.0)
        assert np.array_equal(signal * 32768.0, np.round(signal * 32768.0))
        assert signal.max() < 1.0 < signal.max() + 1e-4

    def test_a_faster_clip_is_shorter_and_higher_and_of_somebody_else(self, tmp_path: Path) -> None:
        tone = 0.5 * np.sin(2.0 * np.pi * 1000.0 * np.arange(16_000) / 16_000.0)
        soundfile.write(tmp_path / "a.wav", tone, 16_000)
        clip = Clip("a", "", tmp_path / "a.wav")
        cache = Cache()
        assert cache.samples(clip).size == 16_000
        faster = clip.played(1.25)
        assert (faster.person, faster.key) == ("a x1.25", "a x1.25//a.wav")
        heard = cache.samples(faster).astype(float)
        assert heard.size == 12_800
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(heard.size)))
        assert np.argmax(spectrum) * 16_000 / heard.size == pytest.approx(1250.0, abs=2.0)

    def test_what_is_no_speech_at_16_khz_is_refused(self, tmp_path: Path) -> None:
        soundfile.write(tmp_path / "slow.wav", np.ones(10), 8_000)
        soundfile.write(tmp_path / "still.wav", np.zeros(10), 16_000)
        soundfile.write(tmp_path / "nan.wav", np.array([np.nan, 0.1]), 16_000, subtype="FLOAT")
        (tmp_path / "text.wav").write_text("no audio")
        for name, match in [
            ("slow.wav", "8000 Hz"),
            ("still.wav", "silent"),
            ("nan.wav", "not finite"),
            ("text.wav", "decoded"),
            ("none.wav", "decoded"),
        ]:
            with pytest.raises(AudioError, match=match):
                load(Clip("a", "", tmp_path / name))

    def test_the_cache_keeps_what_there_is_room_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clips = []
        for name in "ab":
            soundfile.write(tmp_path / f"{name}.wav", np.full(100, 0.5), 16_000)
            clips.append(Clip(name, "", tmp_path / f"{name}.wav"))
        decoded: list[str] = []
        decode = module.decode
        monkeypatch.setattr(
            module, "decode", lambda clip: (decoded.append(clip.person), decode(clip))[1]
        )
        cache = Cache(limit=250)
        for _ in range(3):
            for clip in clips:
                assert cache.samples(clip).shape == (100,)
        assert decoded == ["a", "b", "b", "b"]
        with pytest.raises(ValueError, match="read-only"):
            cache.samples(clips[0])[0] = 1
