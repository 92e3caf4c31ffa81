"""The manifest and the files beside it: what is not exactly right is refused, with a remedy."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest

from earmark.speaker import SpeakerModelError
from earmark.speaker.manifest import MAX_BYTES, read_file, read_manifest, read_sealed

FILES = ["speaker.json", "speaker.npz", "speaker.tflite"]


def test_it_is_read(model_folder) -> None:
    manifest = read_manifest(model_folder.path)
    assert (manifest.name, manifest.created) == ("tiny", date(2026, 1, 1))
    assert (manifest.embedding, manifest.classes) == (8, 5)
    assert manifest.front_end.mels == 6
    assert manifest.window_samples == 64 + 15 * 32
    assert manifest.decision == {"tests_only": 1.5}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"format": 2}, "format 1"),
        ({"format": "1"}, "format"),
        ({"name": ""}, "name"),
        ({"created": "yesterday"}, "created"),
        ({"window_frames": 1}, "window_frames"),
        ({"window_frames": 1_000_000}, "window_frames"),
        ({"embedding": 0}, "embedding"),
        ({"classes": 10**9}, "classes"),
        ({"classes": 8}, "told apart by size"),
        ({"tolerance_cosine": 0.5}, "tolerance_cosine"),
        ({"tolerance_cosine": 1.1}, "tolerance_cosine"),
        ({"sha256": {}}, "sha256"),
        ({"sha256": {"speaker.tflite": "0" * 64, "speaker.npz": "0" * 63}}, "speaker.npz"),
        ({"sha256": {"speaker.tflite": "0" * 64, "speaker.npz": "G" * 64}}, "hexadecimal"),
        ({"sha256": {"speaker.tflite": "0" * 64, "../passwd": "0" * 64}}, "speaker.npz"),
        ({"decision": None}, "decision"),
        ({"more": 1}, "more"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name(model_folder, wrong, told) -> None:
    model_folder.declare(**wrong)
    with pytest.raises(SpeakerModelError, match=told) as caught:
        read_manifest(model_folder.path)
    assert "speaker.json" in caught.value.what
    assert caught.value.do


@pytest.mark.parametrize(
    "wrong", [{"hop": 0}, {"hop": 10.5}, {"fft": "64"}, {"floor": 0.0}, {"more": 1}], ids=str
)
def test_a_wrong_front_end_is_refused(model_folder, wrong) -> None:
    model_folder.declare(front_end=model_folder.manifest["front_end"] | wrong)
    with pytest.raises(SpeakerModelError, match="front_end"):
        read_manifest(model_folder.path)


@pytest.mark.parametrize("key", ["front_end", "sha256", "tolerance_cosine", "format"])
def test_nothing_may_be_missing(model_folder, key) -> None:
    manifest = model_folder.manifest
    del manifest[key]
    (model_folder.path / "speaker.json").write_text(json.dumps(manifest))
    with pytest.raises(SpeakerModelError, match=key):
        read_manifest(model_folder.path)


def test_whole_numbers_stand_for_real_ones(model_folder) -> None:
    model_folder.declare(front_end=model_folder.manifest["front_end"] | {"pre_emphasis": 0})
    assert read_manifest(model_folder.path).front_end.pre_emphasis == 0.0


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 50_000], ids=range(5))
def test_what_is_no_manifest_is_refused(model_folder, raw: bytes) -> None:
    (model_folder.path / "speaker.json").write_bytes(raw)
    with pytest.raises(SpeakerModelError, match=r"speaker\.json"):
        read_manifest(model_folder.path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_up_to_its_limit(model_folder, name: str) -> None:
    path = model_folder.path / name
    path.write_bytes(bytes(MAX_BYTES[name]))
    assert len(read_file(model_folder.path, name)) == MAX_BYTES[name]
    path.write_bytes(bytes(MAX_BYTES[name] + 1))
    with pytest.raises(SpeakerModelError, match=f"larger than {MAX_BYTES[name]}"):
        read_file(model_folder.path, name)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_refused_and_not_waited_for(model_folder, name: str, make) -> None:
    (model_folder.path / name).unlink()
    make(model_folder.path / name)
    with pytest.raises(SpeakerModelError, match=r"no file|cannot be read"):
        read_file(model_folder.path, name)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_single_changed_bit_is_seen(model_folder, name: str) -> None:
    manifest = read_manifest(model_folder.path)
    path = model_folder.path / name
    raw = bytearray(path.read_bytes())
    assert read_sealed(model_folder.path, name, manifest) == raw
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SpeakerModelError, match="SHA-256") as caught:
        read_sealed(model_folder.path, name, manifest)
    assert "earmark-host speaker export" in caught.value.do
