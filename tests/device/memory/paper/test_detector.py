"""The paper's detector: memory, policies, thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.memory.carrier import CarrierKind
from earmark.memory.paper import PaperDetector, PaperFingerprint, PaperReport, PaperSettings

SAME = PaperFingerprint(np.array([1, 2, 3, 4], np.uint16))
HALF = PaperFingerprint(np.array([3, 4, 5, 6], np.uint16))  # cosine with SAME: .5


def other(number: int) -> PaperFingerprint:
    """One that nothing else is like."""
    return PaperFingerprint(np.array([1000 + number], np.uint16))


def detector(speech: float = 0.4, music: float = 0.8, **settings: Any) -> PaperDetector:
    chosen = {"depth": 5, "weights": "mean", "young": "wait"} | settings
    return PaperDetector(PaperSettings.model_validate(chosen), {"speech": speech, "music": music})


def run(
    device: PaperDetector, *queries: PaperFingerprint, carrier: CarrierKind = "speech"
) -> list[PaperReport]:
    return [device.examine(query, carrier) for query in queries]


def test_waits_until_the_memory_is_full() -> None:
    reports = run(detector(), *[SAME] * 6)
    assert [report.score for report in reports] == [None] * 5 + [1.0]
    assert [report.remembered for report in reports] == [0, 1, 2, 3, 4, 5]
    assert [report.alarm for report in reports] == [False] * 5 + [True]


def test_scores_what_is_there() -> None:
    first, second, third = run(detector(young="score"), SAME, HALF, SAME)
    assert first == PaperReport(None, 0.4, False, 0)
    assert second == PaperReport(0.5, 0.4, True, 1)
    assert third == PaperReport(None, 0.4, False, 0)  # the alarm has emptied the memory


def test_only_a_score_above_the_threshold_alarms() -> None:
    assert not run(detector(speech=0.5, young="score"), SAME, HALF)[1].alarm
    assert run(detector(speech=0.4999, young="score"), SAME, HALF)[1].alarm


def test_each_carrier_has_its_threshold() -> None:
    speech = run(detector(young="score"), SAME, HALF, carrier="speech")[1]
    music = run(detector(young="score"), SAME, HALF, carrier="music")[1]
    assert (speech.threshold, speech.alarm) == (0.4, True)
    assert (music.threshold, music.alarm) == (0.8, False)


def test_the_query_itself_is_remembered_after_it_was_scored() -> None:
    reports = run(detector(young="score", speech=1.5), SAME, other(1), SAME)
    assert [report.score for report in reports] == [None, 0.0, 0.5]


def test_the_oldest_is_forgotten_first() -> None:
    fillers = [other(number) for number in range(5)]
    device = detector(speech=2.0)
    run(device, SAME, *fillers[:4])
    assert device.examine(SAME, "speech").score == pytest.approx(1 / 5)  # the first is still there
    device = detector(speech=2.0)
    run(device, SAME, *fillers)
    assert device.examine(SAME, "speech").score == 0.0


SOME = 1.0 - (2.0 / 3.0) ** 0.5


@pytest.mark.parametrize(
    ("depth", "wanted"),
    [
        # l = 2, 3, 4: one neighbour on either side, one, two. (.5, 1): mean .75, std .25 -> 2/3;
        # (.5, 1, 0), for the second and the third: mean .5, std sqrt(1/6) -> 1 - sqrt(2/3).
        (40, (0.5 * 2 / 3 + 1.0 * SOME + 0.0 * SOME) / (2 / 3 + 2 * SOME)),
        # l = 2, 2, 2: the third has (1, 0): mean .5, std .5 -> 0.
        (20, (0.5 * 2 / 3 + 1.0 * SOME) / (2 / 3 + SOME)),
    ],
)
def test_similarities_are_weighted_oldest_first(depth: int, wanted: float) -> None:
    device = detector(depth=depth, weights="clip", young="score", speech=2.0)
    run(device, HALF, SAME, other(1))
    assert device.examine(SAME, "speech").score == pytest.approx(wanted, abs=1e-6)


def test_an_attack_alarms_every_depth_and_one_queries() -> None:
    """So that a_n > d_n k, and the paper's success rate stays below 1 (Eq. 13)."""
    reports = run(detector(), *[SAME] * 60)
    assert [at for at, report in enumerate(reports, start=1) if report.alarm] == [*range(6, 61, 6)]


def test_a_memory_that_is_kept_alarms_on_every_further_query() -> None:
    reports = run(detector(clear_on_alarm=False), *[SAME] * 9)
    assert [report.alarm for report in reports] == [False] * 5 + [True] * 4
    assert reports[-1].remembered == 5


def test_the_carrier_of_a_query_does_not_part_the_memory() -> None:
    device = detector(young="score")
    device.examine(SAME, "music")
    assert device.examine(SAME, "speech").alarm


@pytest.mark.parametrize("thresholds", [{}, {"speech": 0.1}, {"speech": 0.1, "music": np.nan}])
def test_both_thresholds_are_needed(thresholds: dict[CarrierKind, float]) -> None:
    with pytest.raises(ValueError, match="threshold for"):
        PaperDetector(PaperSettings(), thresholds)


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": 4},
        {"depth": 1001},
        {"input_noise_snr_db": 20.0},
        {"input_noise_snr_db": 80.0},
        {"weights": "median"},
        {"young": "guess"},
        {"threshold": 0.2},
    ],
    ids=str,
)
def test_settings_out_of_range_or_unknown_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PaperSettings.model_validate(wrong)
