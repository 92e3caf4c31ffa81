"""Sessions as the bench of the daemon sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.errors import EarmarkError
from earmark_host.bench.daemon import household, latency, soak
from earmark_host.bench.daemon.held import Told, stream
from earmark_host.bench.daemon.theatre import Held, Pace, Play


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    folder = tmp_path_factory.mktemp("home")
    household.settle(folder, 1)
    return list(stream(Play(folder, None, 4, Pace.FAST, 2)))


def test_people_are_let_in_and_nothing_is_lost(told: list[Told]) -> None:
    assert [one.held.number for one in told] == [0, 1]
    assert all(one.held.whole for one in told)
    assert [one.held.decision for one in told] == ["allow", "allow"]
    assert all(one.memory_mb > 20.0 for one in told)


def test_the_end_is_heard_after_it_and_judged_after_that(told: list[Told]) -> None:
    for one in told:
        held = one.held
        assert held.quiet_s is not None
        assert held.ended_s is not None
        assert held.spoken_s < held.quiet_s <= held.ended_s < held.spoken_s + 4.0
        assert held.judging_s is not None
        assert held.cpu_s is not None
        assert held.cpu_s > 0.0


def test_a_run_can_be_repeated(told: list[Told], tmp_path: Path) -> None:
    """The nonces are other ones; what is said, and when, is the same."""
    household.settle(tmp_path, 1)
    again = list(stream(Play(tmp_path, None, 4, Pace.FAST, 1)))
    assert again[0].held.spoken_s == told[0].held.spoken_s


def test_what_its_process_cannot_do_is_told_here(tmp_path: Path) -> None:
    """There is no key for the voiceprints."""
    (tmp_path / "people.vault").write_bytes(b"not a vault")
    with pytest.raises(EarmarkError):
        list(stream(Play(tmp_path, None, 4, Pace.FAST, 1)))


def held(number: int, **changed: object) -> Held:
    one = Held(number, 10.0, True, 10.75, 10.8, 0.15, 0.1, "fresh", "allow", True)
    for name, value in changed.items():
        setattr(one, name, value)
    return one


def test_a_delay_is_the_sum_of_its_parts() -> None:
    metrics, tables = latency.figures([held(n) for n in range(3)] + [held(3, lost=True)])
    value = {metric.name: metric.value for metric in metrics}
    assert value["verdict_ms_median"] == pytest.approx(950.0)
    assert value["endpoint_ms_median"] == pytest.approx(750.0)
    assert value["nonce_ms_p99"] == pytest.approx(50.0)
    assert value["judging_ms_p99"] == pytest.approx(150.0)
    assert value["judging_over_300_ms"] == 0.0
    assert value["latency_lost_sessions"] == 0.25
    assert tables["latency"] == [{"reason": "fresh", "n": 4}]


@pytest.mark.parametrize(
    "changed",
    [
        {"begun": False},
        {"lost": True},
        {"sent": False},
        {"decision": "reject"},  # and yet it was sent
        {"decision": None},
    ],
)
def test_a_session_is_lost_when_any_of_it_is(changed: dict[str, object]) -> None:
    metrics, _ = soak.figures([Told(held(0), 100.0), Told(held(1, **changed), 100.0)], seed=1)
    assert metrics[0].name == "soak_lost_sessions"
    assert metrics[0].value == 0.5


@pytest.mark.parametrize("leak_mb", [0.0, 0.05])
def test_growth_is_found_and_only_where_there_is_some(leak_mb: float) -> None:
    told = [Told(held(n), 100.0 + leak_mb * n + (n * 7 % 5)) for n in range(400)]
    metrics, tables = soak.figures(told, seed=1)
    slope = next(metric for metric in metrics if "growth" in metric.name)
    assert slope.value == pytest.approx(1000.0 * leak_mb, abs=3.0)
    assert slope.ci95 is not None
    assert (slope.ci95[0] > 10.0) is (leak_mb > 0.0)
    assert len(tables["soak"]) == 10
