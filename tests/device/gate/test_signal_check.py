"""The check of the recording itself, on noise and on tones that come and go like syllables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earmark.gate import (
    Evidence,
    Finding,
    Outcome,
    Reason,
    SignalCheck,
    SignalCheckSettings,
)
from earmark.signal import RATE_HZ, Signal, gain

SETTINGS = SignalCheckSettings()
START_S, END_S = 0.5, 2.5


def syllables(level_dbfs: float) -> Signal:
    """Two seconds of a 200 Hz tone with harmonics, 4 bursts a second, in 3 s of silence."""
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * 200 * k * t) / k for k in range(1, 8))
    on = (t > START_S) & (t < END_S) & ((t * 4) % 1 < 0.6)
    speech = tone * on
    return (speech * gain(level_dbfs) / np.sqrt(np.mean(speech[on] ** 2))).astype(np.float32)


def noise(level_dbfs: float, seed: int = 1) -> Signal:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(3 * RATE_HZ) * gain(level_dbfs)).astype(np.float32)


def examine(
    cleaned: Signal,
    speech: tuple[float, float] | None = (START_S, END_S),
    recording: Signal | None = None,
    capped: bool = False,
) -> Finding:
    evidence = Evidence(cleaned if recording is None else recording, cleaned, speech, capped)
    return SignalCheck(SETTINGS).examine(evidence)


@pytest.mark.parametrize("snr_db", [6.0, 12.0, 30.0])
def test_a_command_above_the_noise_passes_with_its_snr_as_the_score(snr_db: float) -> None:
    finding = examine(syllables(-30.0) + noise(-30.0 - snr_db))

    assert (finding.check, finding.outcome, finding.reason) == (
        "signal",
        Outcome.PASSED,
        Reason.FRESH,
    )
    # Speech and noise over the noise. Frames within 25 dB of the loudest are active: with
    # more noise than that the gaps count too, and speech fills 0.6 of the time.
    share = 0.6 if snr_db < 25.0 else 1.0
    expected = 10 * math.log10(share * 10 ** (snr_db / 10) + 1)
    assert finding.score == pytest.approx(expected, abs=0.8)
    assert finding.detail["speech_s"] == pytest.approx(END_S - START_S)


def test_noise_alone_is_too_quiet() -> None:
    finding = examine(noise(-40.0))

    assert (finding.outcome, finding.reason) == (Outcome.FAILED, Reason.TOO_QUIET)
    assert 0.0 <= finding.score < 1.0


def test_nobody_heard_is_no_speech() -> None:
    finding = examine(noise(-40.0), speech=None)

    assert (finding.outcome, finding.reason) == (Outcome.FAILED, Reason.NO_SPEECH)


def test_a_click_is_no_speech() -> None:
    assert examine(syllables(-20.0), speech=(0.5, 0.6)).reason is Reason.NO_SPEECH


def test_overdriven_speech_is_clipped() -> None:
    loud = np.clip(syllables(-2.0) * 2, -1, 1) + noise(-60.0)

    finding = examine(loud)

    assert (finding.outcome, finding.reason) == (Outcome.FAILED, Reason.CLIPPED)
    assert finding.detail["clipped_share"] > SETTINGS.max_clipped_share


def test_clipping_is_looked_for_in_the_recording_and_not_in_what_was_cleaned() -> None:
    cleaned = syllables(-20.0) + noise(-60.0)
    recording = np.sign(cleaned).astype(np.float32)

    assert examine(cleaned, recording=recording).reason is Reason.CLIPPED


def test_a_single_peak_at_full_scale_is_not_clipping() -> None:
    cleaned = syllables(-20.0) + noise(-60.0)
    cleaned[RATE_HZ] = 1.0

    assert examine(cleaned).reason is Reason.FRESH


def test_a_capped_command_is_too_long_before_anything_else() -> None:
    loud = np.clip(syllables(6.0), -1, 1)

    assert examine(loud, capped=True).reason is Reason.TOO_LONG


def test_digital_silence_around_speech_passes() -> None:
    assert examine(syllables(-30.0)).reason is Reason.FRESH


class TestFailures:
    """Evidence that is none."""

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_a_value_that_is_no_number_is_a_fault(self, bad: float) -> None:
        cleaned = syllables(-30.0) + noise(-60.0)
        cleaned[RATE_HZ] = bad

        finding = examine(cleaned)

        assert (finding.outcome, finding.reason) == (Outcome.UNDETERMINED, Reason.FAULT)
        assert math.isfinite(finding.score)

    def test_an_empty_recording_is_no_speech(self) -> None:
        empty = np.zeros(0, np.float32)
        assert examine(empty, speech=(0.0, 0.0)).reason is Reason.NO_SPEECH

    def test_all_zero_is_too_quiet(self) -> None:
        assert examine(np.zeros(RATE_HZ * 3, np.float32)).reason is Reason.TOO_QUIET

    def test_evidence_refuses_other_types_and_shapes(self) -> None:
        good = np.zeros(320, np.float32)
        with pytest.raises(ValueError, match="float32"):
            Evidence(good.astype(np.float64), good, None)
        with pytest.raises(ValueError, match="1-D"):
            Evidence(good, np.zeros((320, 1), np.float32), None)
        with pytest.raises(ValueError, match="differ"):
            Evidence(good, good[:-1], None)

    @pytest.mark.parametrize("speech", [(-0.1, 0.01), (0.01, 0.5), (0.02, 0.01), (math.nan, 0.01)])
    def test_evidence_refuses_speech_outside_the_recording(
        self, speech: tuple[float, float]
    ) -> None:
        good = np.zeros(320, np.float32)
        with pytest.raises(ValueError, match="speech"):
            Evidence(good, good, speech)
