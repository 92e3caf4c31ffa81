"""The comparison of two processors; the other one is emulated by hand only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.host.speaker.corpora import hum

from earmark.signal import RATE_HZ
from earmark_host.speaker.export import arm64_said

TINY = Path(__file__).parents[3] / "device/speaker/data/tiny"


def test_golden_signals_and_clips_are_heard_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, here, there = (tmp_path / f"{name}.npz" for name in ("given", "here", "there"))
    soundfile.write(tmp_path / "a.wav", hum(200.0, 0.4, np.random.default_rng(0)), RATE_HZ)
    arm64_said.given(TINY, [tmp_path / "a.wav"], given)
    arm64_said.said(TINY, given, here)
    with np.load(here) as said, np.load(TINY / "speaker.npz") as numbers:
        rows = dict(said)
        np.testing.assert_allclose(rows["logits"][:-1], numbers["logits"], atol=1e-5)
    with pytest.raises(SystemExit) as ended:
        arm64_said.compare(here, here)
    assert ended.value.code == 0
    count = len(rows["logits"])
    assert f"same top person: {count} of {count}" in capsys.readouterr().out
    rows["logits"][1] = -rows["logits"][1]
    np.savez(there, **rows)
    with pytest.raises(SystemExit) as ended:
        arm64_said.compare(here, there)
    assert ended.value.code == 1


def test_clips_of_another_rate_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    with pytest.raises(SystemExit, match="16 kHz mono"):
        arm64_said.given(TINY, [tmp_path / "a.wav"], tmp_path / "given.npz")
