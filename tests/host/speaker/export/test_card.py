"""The card says where a model comes from, how it was made and what it reaches."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from tests.host.speaker.corpora import SMALL
from tests.host.speaker.export.nets import lived, trained

from earmark.errors import EarmarkError
from earmark.speaker import Manifest
from earmark_host.speaker.clips import Clip, Split
from earmark_host.speaker.export.card import Agreement, Source, card, read_json, sources

SPLIT = Split(train=(), test=(), people=("a", "b", "c"), by_session=())
ORIGIN = (
    Source("someone/mirror", "CC BY 4.0 (LibriSpeech)", 2, 40),
    Source("jimbozhang/speechocean762", "free", 1, 12),
)


def text(figures: dict[str, object] | None = None) -> str:
    manifest = Manifest(
        format=1,
        name="a model",
        created=date(2026, 1, 2),
        front_end=SMALL.front_end,
        window_frames=24,
        embedding=8,
        classes=3,
        sha256={"speaker.tflite": "ab" * 32, "speaker.npz": "cd" * 32},
        tolerance_cosine=0.99,
        decision={},
    )
    near = Agreement(windows=200, mean=0.9991, least=0.9912, same=0.985)
    return card(manifest, trained(lived(SMALL, 3), SPLIT), 12_345, ORIGIN, near, figures)


def test_the_card_tells_data_licences_recipe_and_agreement() -> None:
    written = text()
    for part in (
        "# a model",
        "id `abababababababab`",
        "| someone/mirror | CC BY 4.0 (LibriSpeech) | 2 | 40 |",
        "Panayotov",
        "Zhang et al.",
        "Arm `hat10`, seed 3",
        "| eps | 0.002 |",
        "0.9991 (mean)",
        "98.5 %",
        "Not measured yet",
        "No other model was used",
    ):
        assert part in written
    assert "$" not in written
    assert "Yamagishi" not in written  # VCTK was not used


def test_figures_of_a_report_are_in_the_card() -> None:
    metric = {"name": "closed_worst_int8", "value": 0.631, "unit": "share", "n": 400}
    rate = {"name": "command_cpu_ms", "value": 3.21, "unit": "ms", "ci95": None, "n": 100}
    written = text(
        {"bench": "speaker", "seed": 1, "metrics": [metric | {"ci95": [0.6, 0.66]}, rate]}
    )
    assert "| `closed_worst_int8` | 63.1 % | 60.0 % to 66.0 % | 400 |" in written
    assert "| `command_cpu_ms` | 3.21 ms | - | 100 |" in written


def test_sources_are_read_from_the_manifest_of_the_corpus(tmp_path: Path) -> None:
    clips = [Clip(person, "", tmp_path / f"{person}{k}.flac") for person in "ab" for k in range(2)]
    assert sources(tmp_path, clips) == (Source("LibriSpeech (openslr.org/12)", "CC BY 4.0", 2, 4),)
    rows = [f"{clip.path.name},speech,{clip.person},here,CC0" for clip in clips[:3]]
    rows.append(f"{clips[3].path.name},speech,b,,")
    head = "path,role,speaker,source,licence"
    (tmp_path / "manifest.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    assert sources(tmp_path, clips) == (
        Source("here", "CC0", 2, 3),
        Source("not stated", "not stated", 1, 1),
    )


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(EarmarkError, match="cannot be read"):
        read_json(path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(EarmarkError, match="no JSON"):
        read_json(path)
    path.write_text("[1]", encoding="utf-8")
    with pytest.raises(EarmarkError, match="no JSON object"):
        read_json(path)
    path.write_text(json.dumps({"a": 1}), encoding="utf-8")
    assert read_json(path) == {"a": 1}
