"""The prediction is verified: the chosen nonce is played, and the product judges what is heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from earmark.errors import EarmarkError
from earmark.nonce import NonceSettings
from earmark.signal import RATE_HZ, Signal
from earmark_calibration.choose.predict import Prediction
from earmark_calibration.choose.statistics import agrees, expected
from earmark_calibration.choose.trial import Script, Seen, Trials
from earmark_calibration.record import Played

PAIRS = 12
"""Live commands that are played, and as many replays: some 85 s of sound. With no failure in 12 the
share of failures is below 27 %: enough to notice that a prediction is wrong altogether, and all
that a household's patience allows. The bulk of the evidence is the prediction."""


RING_OUT_S = 0.3
"""Silence after a trial, s, on top of the round trip. What still sounds of its nonce would be an
old one in the next recording, and would be found."""


@dataclass(frozen=True)
class Trial:
    """One trial that was played.

    Parameters
    ----------
    stale : a replay; else a live command.
    accepted : the current nonce was.
    passed : it came out as it should: the command allowed, or the old nonce found.
    reason : of the verdict.
    recorder : where the replay was recorded; "" for a live command.
    evidence : decimal logarithm of the evidence for an old nonce.
    suppression_db : how far the canceller lowered the current one.
    """

    stale: bool
    accepted: bool
    passed: bool
    reason: str
    recorder: str
    evidence: float
    suppression_db: float


def plan(trials: Trials, settings: NonceSettings, number: int) -> Script:
    """The script of trial `number`: live commands and replays in turn."""
    if number % 2:
        return trials.replay(settings, number // 2, "played replay")
    return trials.live(settings, number // 2, "played live")


def hold(
    trials: Trials,
    settings: NonceSettings,
    number: int,
    play: Callable[[Signal], Signal],
) -> tuple[Trial, Seen, Script]:
    """Play trial `number` and judge it.

    Parameters
    ----------
    play : plays a signal and returns what was recorded meanwhile, as long.

    Raises
    ------
    EarmarkError
        The recording is shorter than what was played.
    """
    script = plan(trials, settings, number)
    silence = np.zeros(round((trials.place.delay_s + RING_OUT_S) * RATE_HZ), np.float32)
    recording = play(np.concatenate([script.drive, silence]))
    if recording.size < script.drive.size:
        raise EarmarkError(
            "the recording of a trial is too short", "run earmark doctor: the stream loses sound"
        )
    seen = trials.judge(script, recording[: script.drive.size], settings)
    stale = seen.judgement.evidence.stale
    trial = Trial(
        stale=script.old is not None,
        accepted=seen.accepted,
        passed=seen.found if script.old is not None else seen.allowed,
        reason=seen.reason,
        recorder=script.recorder,
        evidence=0.0 if stale is None else round(stale.score, 2),
        suppression_db=round(seen.judgement.evidence.suppression_db, 2),
    )
    return trial, seen, script


@dataclass(frozen=True)
class Verdict:
    """What playing says about a prediction.

    Parameters
    ----------
    current, stale : trials and failures of live commands and of replays.
    current_expected, stale_expected : least and most failures that the prediction allows.
    agrees : both are within.
    """

    current: Played
    stale: Played
    current_expected: tuple[int, int]
    stale_expected: tuple[int, int]
    agrees: bool


def compare(prediction: Prediction, played: list[Trial]) -> Verdict:
    """Hold the prediction against what was played."""
    live = [trial for trial in played if not trial.stale]
    old = [trial for trial in played if trial.stale]
    refused = sum(not trial.passed for trial in live)
    missed = sum(not trial.passed for trial in old)
    unseen = prediction.stale - prediction.found
    return Verdict(
        Played(n=len(live), failures=refused),
        Played(n=len(old), failures=missed),
        expected(prediction.rejected, prediction.live, len(live)),
        expected(unseen, prediction.stale, len(old)),
        agrees(prediction.rejected, prediction.live, refused, len(live))
        and agrees(unseen, prediction.stale, missed, len(old)),
    )
