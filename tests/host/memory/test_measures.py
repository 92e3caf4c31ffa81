"""The paper's measures, and what they can reach."""

from __future__ import annotations

import numpy as np
import pytest

from earmark_host.memory.measures import dsr, dsr_ceiling, fsnr_db, snr_db
from earmark_host.memory.stream import Query, Stream

CLIP = np.ones(160, np.float32)


def test_dsr_is_equation_13() -> None:
    assert dsr(2, 300, 75) == pytest.approx(0.5)
    assert dsr(0, 300, 75) == 0.0


def test_dsr_is_cut_at_one() -> None:
    assert dsr(4, 300, 75) == 1.0
    assert dsr(40, 300, 75) == 1.0


@pytest.mark.parametrize("wrong", [(1, 0, 75), (1, 300, 0), (-1, 300, 75), (301, 300, 75)])
def test_dsr_refuses_impossible_counts(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="detections"):
        dsr(*wrong)


def alarms_of_a_perfect_detector(queries: int, enough: int) -> int:
    """Count them by hand: remember, alarm as soon as allowed, forget all."""
    remembered = alarms = 0
    for _ in range(queries):
        if remembered >= enough:
            alarms, remembered = alarms + 1, 0
        else:
            remembered += 1
    return alarms


@pytest.mark.parametrize("queries", [1, 2, 3, 74, 75, 76, 77, 150, 151, 152, 300, 304, 1000])
def test_the_ceiling_is_what_a_perfect_detector_reaches(queries: int) -> None:
    for young, enough in (("wait", 75), ("score", 1)):
        alarms = alarms_of_a_perfect_detector(queries, enough)
        assert dsr_ceiling(queries, 75, young) == dsr(alarms, queries, 75)


def test_the_ceiling_under_waiting_is_below_what_the_paper_claims() -> None:
    assert dsr_ceiling(300, 75, "wait") == pytest.approx(0.75)
    assert dsr_ceiling(150, 75, "wait") == pytest.approx(0.5)
    assert dsr_ceiling(300, 75, "score") == dsr_ceiling(150, 75, "score") == 1.0


def test_snr_is_the_ratio_of_the_amplitudes() -> None:
    assert snr_db(CLIP, 0.1 * CLIP) == pytest.approx(20.0, abs=1e-4)
    assert snr_db(0.1 * CLIP, CLIP) == pytest.approx(-20.0, abs=1e-4)


@pytest.mark.parametrize("silent", [0, 1])
def test_snr_needs_both_parts(silent: int) -> None:
    parts = [CLIP, CLIP]
    parts[silent] = np.zeros(160, np.float32)
    with pytest.raises(ValueError, match="silent"):
        snr_db(*parts)


def stream() -> Stream:
    queries = [
        Query(CLIP, 0.0),
        Query(CLIP, 1.0, fake=True),
        Query(CLIP, 2.0, snr_db=30.0),
        Query(CLIP, 3.0, snr_db=20.0),
    ]
    return Stream("test", "speech", queries)


def test_fsnr_is_that_of_the_first_alarm() -> None:
    assert fsnr_db(stream(), [3, 2]) == 30.0
    assert fsnr_db(stream(), [3]) == 20.0


def test_fsnr_passes_over_fakes() -> None:
    assert fsnr_db(stream(), [1, 3]) == 20.0


def test_fsnr_is_not_known_without_an_alarm_or_a_perturbation() -> None:
    assert fsnr_db(stream(), []) is None
    assert fsnr_db(stream(), [1]) is None
    assert fsnr_db(stream(), [0, 2]) is None
