"""CPU time of a verdict, and of ggwave on the same recording.

Measured in one process after everything else is over, one thread, the two in turn. The ledger
is in memory; nothing is found, so that nothing of it is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from earmark.errors import EarmarkError
from earmark.judging import Recorded
from earmark.nonce import Playing, clean, recall
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.nonce.remembered import earlier, judge, memory
from earmark_host.bench.nonce.setup import NOW_S, Setup
from earmark_host.bench.nonce.take import REACTION_S, Scene, draw_hardware, perform, whole_nonce_s
from earmark_host.bench.report import Metric, Row
from earmark_host.bench.stage import Environment

HEADLINE_S = 3.0
"""Length of the command of the headline figures, s: the average interaction of AEOLUS, 3.2."""

COMMANDS_S = (1.5, HEADLINE_S, 6.0, 12.0)
"""Lengths of the commands, s: four doublings show whether the cost is linear."""

GGWAVE = "ggwave normal, one pass"
"""The cheapest use of ggwave: as its own example decodes, each recording read once."""


@dataclass(frozen=True)
class Plan:
    """How often each is measured: at the headline's length, and at the others."""

    name: str
    headline: int
    others: int


FULL = Plan("full", headline=40, others=16)
QUICK = Plan("quick", headline=20, others=2)


@dataclass(frozen=True)
class Length:
    """Commands of `seconds` to measure, so many."""

    seconds: float
    count: int


@dataclass(frozen=True)
class Spent:
    """CPU time on one recording, s.

    Parameters
    ----------
    command_s, recording_s : what was judged.
    own_clocks : loudspeaker and microphone differed, so that the canceller had to resample.
    verdict_s : the whole decision.
    verify_s, clean_s, search_s : its parts, once more.
    ggwave_s : by the name of ggwave's mode.
    """

    command_s: float
    recording_s: float
    own_clocks: bool
    verdict_s: float
    verify_s: float
    clean_s: float
    search_s: float
    ggwave_s: tuple[tuple[str, float], ...]


def pieces(plan: Plan) -> list[Length]:
    """The lengths, the headline's first."""
    return [
        Length(HEADLINE_S, plan.headline),
        *(Length(seconds, plan.others) for seconds in COMMANDS_S if seconds != HEADLINE_S),
    ]


def hold(setup: Setup, asked: Length) -> tuple[Spent, ...]:
    """Live sessions in a quiet room, judged and decoded in turn; the first warms up."""
    return tuple(_spent(setup, asked.seconds, index) for index in range(-1, asked.count))[1:]


def figures(
    results: Sequence[tuple[Spent, ...]], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Medians with their intervals, by length and by part."""
    by_length = sorted((some for some in results if some), key=lambda some: some[0].command_s)
    headline = [each for some in by_length for each in some if each.command_s == HEADLINE_S]
    ggwave = [seconds for each in headline for name, seconds in each.ggwave_s if name == GGWAVE]
    metrics = [
        Metric.quantile("verify_cpu_ms_3s", [1e3 * each.verdict_s for each in headline], 0.5, "ms"),
        Metric.quantile("ggwave_cpu_ms_3s", [1e3 * seconds for seconds in ggwave], 0.5, "ms"),
    ]
    modes = [name for name, _ in headline[0].ggwave_s] if headline else []
    return metrics, {
        "cpu_by_length": [_row(some, {"command_s": some[0].command_s}) for some in by_length],
        "cpu_by_clock": [
            _row(some, {"command_s": HEADLINE_S, "clocks": "two" if two else "one"})
            for two in (False, True)
            if (some := [each for each in headline if each.own_clocks is two])
        ],
        "cpu_ggwave": [
            {
                "mode": mode,
                "command_s": some[0].command_s,
                "cpu_ms": _median_ms([dict(each.ggwave_s)[mode] for each in some]),
            }
            for mode in modes
            for some in by_length
        ],
    }


def _row(some: Sequence[Spent], first: Row) -> Row:
    verdict_ms = [1e3 * each.verdict_s for each in some]
    audio_s = sum(each.recording_s for each in some) / len(some)
    return first | {
        "recording_s": round(audio_s, 2),
        "verdict_ms": float(np.median(verdict_ms)),
        "verdict_ms_p95": float(np.quantile(verdict_ms, 0.95)),
        "verify_ms": _median_ms([each.verify_s for each in some]),
        "clean_ms": _median_ms([each.clean_s for each in some]),
        "search_ms": _median_ms([each.search_s for each in some]),
        "ms_per_s_of_audio": float(np.median(verdict_ms)) / audio_s,
        "n": len(some),
    }


def _median_ms(seconds: Sequence[float]) -> float:
    return 1e3 * float(np.median(seconds))


def _spent(setup: Setup, command_s: float, index: int) -> Spent:
    rng = setup.rng(f"cpu {command_s:g}", index + 1)
    own_clocks = index % 2 == 1
    room = setup.room(rng)
    person, said = _said(setup, command_s, rng)
    carrier = setup.source().draw(rng.bytes, NOW_S)
    scene = Scene(
        room=room,
        said=said,
        source="person_1m",
        level_dbspl_1m=Environment.QUIET.speech_dbspl_1m,
        begin_s=float(rng.uniform(*REACTION_S)),
        environment=Environment.QUIET,
        person=person,
        hardware=draw_hardware(rng, own_clocks),
        nonce_dbspl_1m=setup.config.nonce.level_dbspl_1m,
        seed=int(rng.integers(2**31)),
    )
    take = perform(
        scene,
        carrier,
        setup.corpus,
        setup.config.audio,
        least_s=whole_nonce_s(carrier, scene.hardware),
    )
    recorded = take.judged(rng.bytes(16).hex(), NOW_S)
    remembered = memory(setup, earlier(setup), NOW_S)
    judgement = judge(setup.config, remembered).judge(recorded)
    ggwave_s = tuple((name, _decoding_s(read, take.recording)) for name, read in _ggwave())
    verify_s, clean_s, search_s = _parts(setup, recorded)
    return Spent(
        command_s=command_s,
        recording_s=take.recording.size / RATE_HZ,
        own_clocks=own_clocks,
        verdict_s=judgement.cpu_s,
        verify_s=verify_s,
        clean_s=clean_s,
        search_s=search_s,
        ggwave_s=ggwave_s,
    )


def _said(setup: Setup, seconds: float, rng: np.random.Generator) -> tuple[str, Signal]:
    """Sentences of one length, one after the other."""
    person, _, said = setup.sentence(rng)
    parts = [said]
    while sum(part.size for part in parts) < seconds * RATE_HZ:
        parts.append(setup.sentence(rng)[2])
    return person, np.concatenate(parts)[: round(seconds * RATE_HZ)]


def _parts(setup: Setup, recorded: Recorded) -> tuple[float, float, float]:
    """CPU time of verification, cancelling and search, s: what the judge does, step by step."""
    nonce, carrier = setup.config.nonce, recorded.carrier
    began = time.thread_time()
    report = carrier.verify(recorded.recording, recorded.played_at_s, recorded.slots)
    verified = time.thread_time()
    cleaned = clean(
        recorded.recording, recorded.played, recorded.played_at_s, report, carrier, nonce
    )
    after = time.thread_time()
    playing = Playing(recorded.session, carrier, recorded.slots, report)
    remembered = memory(setup, earlier(setup), NOW_S)
    recall(cleaned.signal, playing, remembered, nonce, recorded.speech)
    return verified - began, after - verified, time.thread_time() - after


def _ggwave() -> Sequence[tuple[str, Callable[[Signal], object]]]:
    """Its modes, and the cheapest way to use it."""
    try:
        from earmark_host.nonce.peers import (  # noqa: PLC0415 - for this part alone
            GGWAVE_FAST,
            GGWAVE_FAST_FIXED,
            GGWAVE_NORMAL,
            GGWAVE_NORMAL_FIXED,
            Ggwave,
            Protocol,
        )
    except ImportError as error:
        raise EarmarkError(
            f"ggwave cannot be measured ({error})", "install Earmark with its extra 'host'"
        ) from error
    modes = (
        Ggwave(GGWAVE, Protocol.NORMAL, fixed=False, passes=1),
        GGWAVE_NORMAL,
        GGWAVE_NORMAL_FIXED,
        GGWAVE_FAST,
        GGWAVE_FAST_FIXED,
    )
    return [(mode.name, mode.decode) for mode in modes]


def _decoding_s(decode: Callable[[Signal], object], recording: Signal) -> float:
    began = time.thread_time()
    decode(recording)
    return time.thread_time() - began
