"""The recordings that ship: listed, licensed, unaltered and small."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.demo.clips import ASSETS, ClipKind, load_clips
from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ, active_level_dbfs, level_dbfs

ALLOWED = {"Apache-2.0", "CC-BY-4.0"}
"""Licences that let anyone redistribute, with credit."""

MANIFEST = json.loads((ASSETS / "manifest.json").read_text(encoding="utf-8"))
ENTRIES = MANIFEST["clips"]


def test_every_asset_is_listed_and_credited() -> None:
    files = {path.name for path in ASSETS.iterdir()}
    assert files == {entry["file"] for entry in ENTRIES} | {"manifest.json", "CREDITS.md"}
    credits_text = (ASSETS / "CREDITS.md").read_text(encoding="utf-8")
    assert [entry["file"] for entry in ENTRIES if f"| {entry['file']} |" not in credits_text] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_an_asset_is_what_the_manifest_says(entry: dict[str, object]) -> None:
    path = ASSETS / str(entry["file"])
    assert entry["licence"] in ALLOWED
    assert all(entry[key] for key in ("source", "orig", "changes"))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
    samples, rate_hz = soundfile.read(path)
    assert (rate_hz, samples.ndim) == (RATE_HZ, 1)
    assert samples.size / RATE_HZ == pytest.approx(entry["duration_s"], abs=0.001)
    assert np.mean(np.abs(samples) > 0.99) < 1e-4  # not clipped
    start, end = entry["spoken_s"]  # type: ignore[misc]
    assert 0.0 <= start < end <= samples.size / RATE_HZ + 0.005


def test_all_together_are_small() -> None:
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 2_500_000


def test_there_is_enough_for_a_household() -> None:
    clips = load_clips()
    assert len(clips.all(ClipKind.WAKE)) >= 6
    commands = clips.all(ClipKind.COMMAND)
    assert len(commands) >= 8
    assert len({clip.speaker for clip in commands}) >= 4
    assert all(1.0 <= clip.spoken.size / RATE_HZ <= 5.0 for clip in commands)
    assert clips.television().size >= 30 * RATE_HZ
    talkers = {clip.speaker for clip in clips.all(ClipKind.TELEVISION)}
    assert not talkers & {clip.speaker for clip in commands}
    assert clips.noise().signal.size >= 10 * RATE_HZ


def test_the_spoken_part_holds_the_speech() -> None:
    for clip in load_clips().all(ClipKind.WAKE):
        start, end = (round(time_s * RATE_HZ) for time_s in clip.spoken_s)
        rest = np.concatenate((clip.signal[:start], clip.signal[end:]))
        assert clip.spoken.dtype == np.float32
        assert level_dbfs(clip.spoken) > level_dbfs(rest) + 20.0, clip.name


def test_a_phrase_is_one_voice_at_one_level() -> None:
    clips = load_clips()
    phrase = clips.phrase("a", "go", "left", "five", pause_s=0.2)
    words = [clips.word("a", word).spoken.size for word in ("go", "left", "five")]
    assert phrase.size == sum(words) + 2 * round(0.2 * RATE_HZ)
    assert active_level_dbfs(phrase[: words[0]]) == pytest.approx(-26.0, abs=0.1)
    assert active_level_dbfs(phrase[-words[2] :]) == pytest.approx(-26.0, abs=0.1)


# What goes wrong.


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the manifest with one clip."""
    folder = tmp_path / "assets"
    folder.mkdir()
    entry = ENTRIES[0]
    shutil.copy(ASSETS / entry["file"], folder)
    (folder / "manifest.json").write_text(json.dumps({"rate_hz": RATE_HZ, "clips": [entry]}))
    assert load_clips(folder).wake(entry["name"]).text == "alexa"
    return folder


def test_an_altered_clip_is_refused(copy: Path) -> None:
    path = copy / ENTRIES[0]["file"]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EarmarkError, match=r"wake_1\.opus was altered.*reinstall"):
        load_clips(copy)


def test_a_missing_clip_or_manifest_is_named(copy: Path) -> None:
    (copy / ENTRIES[0]["file"]).unlink()
    with pytest.raises(EarmarkError, match=r"wake_1\.opus cannot be read"):
        load_clips(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(EarmarkError, match=r"manifest\.json cannot be read"):
        load_clips(copy)


@pytest.mark.parametrize("file", ["../../secret.opus", "wake_1.wav"])
def test_a_manifest_may_not_name_other_files(copy: Path, file: str) -> None:
    text = (copy / "manifest.json").read_text().replace(ENTRIES[0]["file"], file)
    (copy / "manifest.json").write_text(text)
    with pytest.raises(EarmarkError, match=r"damaged at 'clips\.0\.file'"):
        load_clips(copy)


def test_an_endless_clip_is_not_read_to_its_end(copy: Path) -> None:
    with (copy / ENTRIES[0]["file"]).open("ab") as file:
        file.truncate(1 << 32)  # sparse
    with pytest.raises(EarmarkError, match="larger than any clip"):
        load_clips(copy)


@pytest.mark.parametrize(("rate_hz", "channels"), [(48_000, 1), (RATE_HZ, 2)])
def test_another_rate_or_two_channels_are_refused(copy: Path, rate_hz: int, channels: int) -> None:
    path = copy / "wake_1.flac"
    soundfile.write(path, np.zeros((rate_hz, channels)), rate_hz)
    entry = ENTRIES[0] | {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (copy / "manifest.json").write_text(json.dumps({"rate_hz": RATE_HZ, "clips": [entry]}))
    with pytest.raises(AudioError, match="not mono at 16000 Hz"):
        load_clips(copy)


def test_a_file_that_is_not_audio_is_refused(copy: Path) -> None:
    path = copy / ENTRIES[0]["file"]
    path.write_bytes(b"not audio")
    entry = ENTRIES[0] | {"sha256": hashlib.sha256(b"not audio").hexdigest()}
    (copy / "manifest.json").write_text(json.dumps({"rate_hz": RATE_HZ, "clips": [entry]}))
    with pytest.raises(AudioError, match="cannot be decoded"):
        load_clips(copy)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="no command clip 'cake'; there are toast, bread"):
        load_clips().command("cake")
