"""The card says where a model comes from, how it was made and what it reaches."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest
from tests.host.speaker.corpora import SMALL
from tests.host.speaker.export.nets import lived, trained

from earmark.errors import EarmarkError
from earmark.speaker import Manifest
from earmark_host.speaker.arms import arm
from earmark_host.speaker.checkpoint import Trained
from earmark_host.speaker.clips import Clip, Split
from earmark_host.speaker.export.card import (
    CODE_WIDTH,
    WIDTH,
    Agreement,
    Source,
    card,
    read_json,
    sources,
)
from earmark_host.speaker.schedule import FAST

SPLIT = Split(train=(), test=(), people=("a", "b", "c"), by_session=())
ORIGIN = (
    Source("someone/mirror", "CC BY 4.0 (LibriSpeech)", 2, 40),
    Source("jimbozhang/speechocean762", "free", 1, 12),
)


MANIFEST = Manifest(
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


def done(name: str = "hat10", **recipe: object) -> Trained:
    """A training by the usual recipe, but for `recipe`."""
    said = FAST.described() | {"bf16": True, "arm": asdict(arm(name))} | recipe
    return replace(trained(lived(SMALL, 3), SPLIT), arm=name, recipe=said, steps=FAST.steps)


def written(
    of: Trained | None = None,
    figures: dict[str, object] | None = None,
    cohort: tuple[Source, ...] = (),
) -> str:
    near = Agreement(windows=200, mean=0.9991, least=0.9912, same=0.985)
    return card(MANIFEST, of or done(), 12_345, ORIGIN, near, figures, cohort)


def told(of: Trained | None = None) -> str:
    """The card without its line ends."""
    return " ".join(written(of).split())


def test_the_card_tells_data_licences_recipe_and_agreement() -> None:
    text = told()
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
        assert part in text
    assert "$" not in text
    assert "Yamagishi" not in text  # VCTK was not used


def test_the_arm_is_told_in_words_with_its_numbers() -> None:
    text = told()
    assert "Hybrid adversarial training" in text
    assert "raises cross-entropy + feature scattering + margin, within 0.002 of full scale" in text
    assert "in one step of 1.25 times that, and in the last 2 % of the training in 10 steps" in text
    assert "lowers cross-entropy, on clean clips + attacked ones." in text
    assert "{" not in text
    released = told(done("pgd10-released"))
    assert "raises cross-entropy, within" in released
    assert "on attacked ones, labels smoothed by 0.7." in released
    other = told(done(arm=asdict(replace(arm("hat10"), gamma=2.0))))
    assert "Hybrid" not in other
    assert "numbers of its own. The attack in training raises" in other
    assert "cross-entropy + 2 times feature scattering + margin" in other


def test_a_network_without_defence_is_not_called_robust() -> None:
    text = told(done("standard"))
    assert "No defence: clean audio only" in text
    assert "trained to keep its answer" not in text
    assert "not easily fooled" not in text
    assert "Robust means" not in text
    assert "| eps |" not in text


def test_what_is_off_is_left_out_of_the_recipe() -> None:
    text = written()
    for name in ("drops", "distil", "margin", "arm"):
        assert f"| {name} |" not in text
    assert "| nesterov | yes |" in text
    assert "| drops | 0.3, 0.45 |" in written(done(decay="drops", drops=[0.3, 0.45]))
    assert "| momentum |" not in written(done(optimizer="adamw"))


def test_a_training_that_was_cut_short_is_said() -> None:
    assert "was not over" not in told()
    assert "6000 of 16000 steps were done" in told(replace(done(), steps=6000))


def test_the_teacher_is_named() -> None:
    shape = replace(SMALL, teacher=256)
    text = told(replace(done(distil=2.0), shape=shape))
    assert "that of Resemblyzer" in text
    assert "CAM++" not in text


def test_the_cohort_is_of_people_whom_it_was_not_trained_on() -> None:
    assert "single commands heard across simulated rooms, of people whom the network was not" in (
        told()
    )
    text = written(cohort=(Source("words", "CC BY 4.0 (Speech Commands)", 166, 166),))
    assert "| words | CC BY 4.0 (Speech Commands) | 166 |" in text
    assert "Warden" in text
    assert "Warden" not in written()


def test_lines_are_no_wider_than_they_should_be() -> None:
    code = False
    for line in written().splitlines():
        code ^= line == "```"
        if not line.startswith("|"):
            assert len(line) <= (CODE_WIDTH + 4 if code else WIDTH)
    assert "\n\n\n" not in written()


def test_figures_of_a_report_are_in_the_card() -> None:
    metric = {"name": "closed_worst_int8", "value": 0.631, "unit": "share", "n": 400}
    rate = {"name": "command_cpu_ms", "value": 3.21, "unit": "ms", "ci95": None, "n": 100}
    size = {"name": "model_bytes", "value": 335_400, "unit": "bytes", "ci95": None, "n": 1}
    metrics = [metric | {"ci95": [0.6, 0.66]}, rate, size]
    text = written(figures={"bench": "speaker", "seed": 1, "metrics": metrics})
    assert "By `earmark-host bench speaker`, seed 1." in text
    assert "| `closed_worst_int8` | 63.1 % | 60.0 % to 66.0 % | 400 |" in text
    assert "| `command_cpu_ms` | 3.21 ms | - | 100 |" in text
    assert "| `model_bytes` | 335400 bytes | - | 1 |" in text
    other = written(figures={"bench": "speaker evaluate", "seed": 1, "metrics": metrics})
    assert "By `earmark-host speaker evaluate`, seed 1." in other


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
