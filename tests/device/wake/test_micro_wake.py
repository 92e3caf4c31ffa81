"""The wake word on the recordings that ship."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from earmark.demo.clips import ClipKind, Clips, load_clips
from earmark.errors import AudioError, ConfigError, EarmarkError
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal, active_level_dbfs, gain
from earmark.wake import ButtonWake, MicroWake, WakeDetector, WakeKind, WakeSettings, wake_detector


@cache
def clips() -> Clips:
    return load_clips()


def at(signal: Signal, level_dbfs: float) -> Signal:
    return signal * np.float32(gain(level_dbfs - active_level_dbfs(signal)))


def room(*parts: Signal, noise_dbfs: float = -75.0) -> Signal:
    """`parts` one after the other in a quiet room."""
    signal = np.concatenate(parts)
    noise = np.random.default_rng(1).standard_normal(signal.size) * gain(noise_dbfs)
    return signal + noise.astype(np.float32)


def silence(length_s: float) -> Signal:
    return np.zeros(round(length_s * RATE_HZ), dtype=np.float32)


def detections(wake: WakeDetector, signal: Signal) -> list[float]:
    """The ends of the blocks in which the wake word was reported, s."""
    blocks = signal[: signal.size // BLOCK * BLOCK].reshape(-1, BLOCK)
    return [(index + 1) * BLOCK_S for index, block in enumerate(blocks) if wake.heard(block)]


@pytest.mark.parametrize("level_dbfs", [-20.0, -46.0, -60.0])
def test_each_shipped_wake_word_is_heard_once_at_any_level(level_dbfs: float) -> None:
    wake = MicroWake(WakeSettings())
    settings = WakeSettings()
    for clip in clips().all(ClipKind.WAKE):
        wake.reset()
        lead_s = 1.0
        found = detections(
            wake,
            room(
                silence(lead_s),
                at(clip.signal, level_dbfs),
                silence(1.5),
                noise_dbfs=min(level_dbfs - 25.0, -75.0),
            ),
        )
        assert len(found) == 1, clip.name
        # The pre-roll reaches back to the end of the word: nothing of a command is lost.
        assert found[0] - settings.pre_roll_s < lead_s + clip.spoken_s[1] < found[0] + 0.2


def test_a_second_word_after_the_refractory_time_is_heard() -> None:
    wake = MicroWake(WakeSettings())
    word = at(clips().wake("1").signal, -40.0)
    assert len(detections(wake, room(word, silence(1.0), word, silence(0.5)))) == 2


def test_a_second_word_within_the_refractory_time_is_not() -> None:
    word = at(clips().wake("1").spoken, -40.0)
    signal = room(silence(0.5), word, silence(0.6), word, silence(1.0))
    assert len(detections(MicroWake(WakeSettings(refractory_s=0.0)), signal)) == 2
    assert len(detections(MicroWake(WakeSettings(refractory_s=3.0)), signal)) == 1


def test_other_speech_and_noise_do_not_trigger() -> None:
    wake = MicroWake(WakeSettings())
    for clip in clips().all(ClipKind.COMMAND) + clips().all(ClipKind.WORD):
        assert detections(wake, room(at(clip.signal, -40.0))) == [], clip.name
    assert detections(wake, clips().television()[: 12 * RATE_HZ]) == []
    assert detections(wake, clips().noise().signal[: 5 * RATE_HZ]) == []


def test_overdriven_input_saturates_instead_of_wrapping() -> None:
    wake = MicroWake(WakeSettings(gain_db=20.0))
    signal = room(silence(0.5), at(clips().wake("5").signal, -14.0), silence(1.0))
    assert len(detections(wake, signal)) == 1


def test_the_kind_decides_the_detector() -> None:
    assert isinstance(wake_detector(WakeSettings()), MicroWake)
    assert isinstance(wake_detector(WakeSettings(kind=WakeKind.BUTTON)), ButtonWake)


def test_an_unknown_model_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="alexa, hey_jarvis, hey_mycroft, okay_nabu"):
        MicroWake(WakeSettings(model="hello"))


def test_a_missing_native_library_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from pymicro_wakeword import MicroWakeWord

    def fail(*_: object) -> None:
        raise OSError("libtensorflowlite_c.so: cannot open shared object file")

    monkeypatch.setattr(MicroWakeWord, "from_builtin", fail)
    with pytest.raises(EarmarkError, match=r"libtensorflowlite_c.*reinstall"):
        MicroWake(WakeSettings())


def test_a_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymicro_wakeword", None)
    with pytest.raises(EarmarkError, match="reinstall with 'pip install"):
        MicroWake(WakeSettings())


def test_a_block_of_another_length_is_refused() -> None:
    with pytest.raises(AudioError, match="feed blocks of 320 samples"):
        MicroWake(WakeSettings()).heard(np.zeros(160, dtype=np.float32))
