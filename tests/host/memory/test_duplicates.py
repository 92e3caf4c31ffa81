"""One recording under two names is found, another take of the same word is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy import signal as sps

from earmark.audio import load_room
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip, Corpus
from earmark_host.memory.duplicates import SAME, distinct, groups, pairs
from earmark_host.memory.material import Material


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def take(seed: int, pitch_hz: float = 120.0) -> Signal:
    """A vowel of 0.7 s: harmonics with formants, a wandering pitch and some breath."""
    random = rng(seed)
    count = round(0.7 * RATE_HZ)
    wander = sps.lfilter([1.0], [1.0, -0.9995], random.normal(0.0, 0.02, count))
    phase = 2.0 * np.pi * np.cumsum(pitch_hz + wander) / RATE_HZ
    tones = sum(np.cos(k * phase + random.uniform(0.0, 6.3)) / k for k in range(1, 30))
    sound = np.asarray(tones) * np.hanning(count) + random.normal(0.0, 0.02, count)
    return (0.1 * sound).astype(np.float32)


def clip(name: str, label: str = "alexa") -> Clip:
    return Clip(name, "wakeword", "", label)


def again(signal: Signal) -> Signal:
    """Cut elsewhere, quieter, the other way up, with other noise."""
    moved = np.concatenate([np.zeros(1_234, np.float32), -0.3 * signal[500:]])
    return (moved + rng(9).normal(0.0, 0.0002, moved.size)).astype(np.float32)


def test_a_copy_is_found_and_a_take_is_not() -> None:
    first = take(1)
    found = list(pairs([first, take(2), again(first), take(3, 180.0)]))
    assert [(a, b) for a, b, _ in found] == [(0, 2)]
    assert SAME + 0.1 < found[0][2] <= 1.01


def test_takes_of_one_voice_are_far_below_the_limit() -> None:
    takes = [take(seed) for seed in range(6)]
    assert max(alike for _, _, alike in pairs(takes, 0.0)) < SAME - 0.1


def test_the_correlation_of_a_signal_with_itself_is_one() -> None:
    one = take(4)
    assert [alike for _, _, alike in pairs([one, one])] == [pytest.approx(1.0, abs=0.01)]


def test_who_is_the_same_as_a_member_is_in_the_group() -> None:
    one, other = take(1), take(2)
    signals = [one, other, again(one), again(other), 0.5 * one]
    clips = [clip(name) for name in "abcde"]
    assert [[each.path for each in group] for group in groups(clips, signals)] == [
        ["a", "c", "e"],
        ["b", "d"],
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert groups([clip("a")][:count], [take(1)][:count]) == []


def test_a_material_keeps_each_wake_word_once(tmp_path: Path) -> None:
    one = take(1)
    sounds = {
        "a.wav": (one, "wakeword", "alexa", ""),
        "b.wav": (again(one), "wakeword", "alexa", ""),
        "c.wav": (take(2), "wakeword", "alexa", ""),
        "d.wav": (0.5 * one, "wakeword", "jarvis", ""),
        "e.wav": (take(3), "wakeword", "jarvis", ""),
        "f.wav": (one, "command", "go", "ann"),
        "g.wav": (one, "command", "go", "ann"),
        "s.wav": (take(5), "speech", "", "ann"),
    }
    lines = ["path,role,speaker,label"]
    for name, (signal, role, label, speaker) in sounds.items():
        soundfile.write(tmp_path / name, signal, RATE_HZ)
        lines.append(f"{name},{role},{speaker},{label}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    material = Material.of(Corpus.open(tmp_path), None, [load_room("bedroom")])
    left, gone = distinct(material)
    assert gone == 2
    assert {label: [each.path for each in takes] for label, takes in left.phrases.items()} == {
        "go": ["f.wav", "g.wav"],
        "alexa": ["a.wav", "c.wav"],
    }, "jarvis has one take left; what named people say is not looked at"
