"""The command writes what the attack makes, and says what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.errors import AudioError, EarmarkError
from earmark.signal import RATE_HZ, Signal
from earmark_host.nonce.attack_command import LONGEST_S, attack, listing
from earmark_host.nonce.attacks import ATTACKS, Loot


def write(path: Path, signal: Signal, rate_hz: int = RATE_HZ) -> Path:
    soundfile.write(path, signal, rate_hz, subtype="FLOAT")
    return path


@pytest.fixture
def files(tmp_path: Path, loot: Loot) -> dict[str, Path]:
    """Every signal of the loot in a file of its own."""
    return {
        name: write(tmp_path / f"{name}.wav", value)
        for name, value in vars(loot).items()
        if value is not None
    }


def test_a_listing_has_every_attack_and_what_it_needs() -> None:
    lines = listing()
    assert [line.split()[0] for line in lines] == list(ATTACKS)
    by_name = dict(zip(ATTACKS, lines, strict=True))
    assert "[--noise]" in by_name["gating_stationary"]
    assert "[--reference]" in by_name["reference_mic"]
    assert "[--clean]" in by_name["oracle_mask"]
    assert "[--" not in by_name["bandstop"]


@pytest.mark.parametrize("name", ["bandstop", "gating_stationary", "reference_trained"])
def test_a_file_is_what_the_attack_makes(
    name: str, files: dict[str, Path], tmp_path: Path, loot: Loot
) -> None:
    target = tmp_path / "out.wav"
    said = attack(
        name,
        files["recording"],
        target,
        noise_only=files["noise_only"],
        reference=files["reference"],
        noise_reference=files["noise_reference"],
        seed=7,
    )
    written, rate_hz = soundfile.read(target, dtype="float32")
    assert rate_hz == RATE_HZ
    assert name in said
    np.testing.assert_array_equal(written, ATTACKS[name].apply(loot, np.random.default_rng(7)))


def test_the_oracle_takes_the_nonce_from_the_difference(
    files: dict[str, Path], tmp_path: Path, loot: Loot
) -> None:
    target = tmp_path / "out.wav"
    attack("oracle_mask", files["recording"], target, clean=files["clean"])
    written, _ = soundfile.read(target, dtype="float32")
    expected = ATTACKS["oracle_mask"].apply(loot, np.random.default_rng(1))
    np.testing.assert_allclose(written, expected, atol=1e-5)


def test_the_seed_counts(files: dict[str, Path], tmp_path: Path) -> None:
    made = []
    for seed in (1, 1, 2):
        attack("noise_20db", files["recording"], tmp_path / "out.wav", seed=seed)
        made.append(soundfile.read(tmp_path / "out.wav")[0])
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("gating_stationary", "--noise FILE"),
        ("reference_mic", "--reference FILE"),
        ("oracle_mask", "--clean FILE"),
    ],
)
def test_a_file_that_is_needed_is_asked_for(
    name: str, option: str, files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(EarmarkError, match=option):
        attack(name, files["recording"], tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_an_unknown_name_gets_the_nearest(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(EarmarkError, match=r"bandstpo.*bandstop.*--list"):
        attack("bandstpo", files["recording"], tmp_path / "out.wav")


def test_what_is_read_is_never_written(files: dict[str, Path]) -> None:
    with pytest.raises(EarmarkError, match="read and written"):
        attack("none", files["recording"], files["recording"])


def test_files_that_cannot_be_used_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    half = np.zeros(800, np.float32)
    cases = {
        "missing.wav": None,
        "rate.wav": write(tmp_path / "rate.wav", half, 48_000),
        "stereo.wav": write(tmp_path / "stereo.wav", np.zeros((800, 2), np.float32)),
        "empty.wav": write(tmp_path / "empty.wav", half[:0]),
        "nan.wav": write(tmp_path / "nan.wav", np.full(800, np.nan, np.float32)),
        "long.wav": write(tmp_path / "long.wav", np.zeros(round(LONGEST_S * RATE_HZ) + 1, "f4")),
    }
    for name in cases:
        with pytest.raises(AudioError, match=name):
            attack("none", tmp_path / name, out)
    with pytest.raises(AudioError, match=r"noise_only.* samples"):
        attack("reference_mic", files["recording"], out, reference=files["noise_only"])
    with pytest.raises(AudioError, match="cannot be written"):
        attack("none", files["recording"], tmp_path / "nowhere" / "out.wav")
    with pytest.raises(EarmarkError, match=r"end in \.wav"):
        attack("none", files["recording"], tmp_path / "out.mp3")
    assert not out.exists()
