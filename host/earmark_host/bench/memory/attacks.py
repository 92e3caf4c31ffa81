"""Real attacks on real recognisers, as an undefended device hears them.

Each attack is run to its win or to the end of its budget on a device without a detector, recorded
as the device heard it, and shown to the detectors afterwards: so a win is a win, and what would
have been withheld before it can be counted. Who knows the detector and evades it is in
:mod:`earmark_host.bench.memory.attacks_adaptive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import TypeAlias, get_args

import numpy as np

from earmark.memory import CarrierKind
from earmark.memory.paper import PaperSettings
from earmark_host.bench.corpus import Clip
from earmark_host.bench.memory.attacks_adaptive import (
    Defended,
    DefendedSeen,
    Evaded,
    EvadedSeen,
    Restart,
    RestartSeen,
    defended,
    evaded,
    restart,
)
from earmark_host.bench.memory.attacks_run import Alarm, Trial, fakes, first_alarm
from earmark_host.bench.memory.hidden import hidden
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.watch import Marked, marked, score_paper
from earmark_host.memory.staging import ChannelName, Scene, VictimName, victim
from earmark_host.memory.victims import OTHER
from earmark_host.memory.victims.keyword import KeywordModel

FLAGS: tuple[PaperSettings, ...] = (
    PaperSettings(weights="clip"),
    PaperSettings(weights="raw"),
    PaperSettings(weights="mean"),
    PaperSettings(weights="official"),
)
"""The readings of the paper's detector that are shown the attacks."""

PAPER_QUERIES = 150
"""Queries of an attack that the paper's detector is shown: its memory of 75 twice."""

FAKED_QUERIES = 20
"""Queries of an attack that are hidden among fakes: with 98 % of them a stream of 1,000."""

FAKED: tuple[ChannelName, ...] = ("digital", "ota20")
"""Where attacks are hidden among fakes."""

CARRIERS: tuple[CarrierKind, ...] = get_args(CarrierKind)
CHANNELS: tuple[ChannelName, ...] = get_args(ChannelName)


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    attacks, runs : on the keyword model, and how often each with each carrier and channel.
    sphinx_attacks, sphinx_runs : the same for pocketsphinx, which takes ten times as long.
    queries, sphinx_queries : budget of an attack.
    words : most commands that the keyword model learns from; None: all.
    fakes : shares of fake queries, %.
    evaded : attacks of each carrier and of the channels of FAKED that are changed in every way.
    defended : attacks by each attacker who uses the verdicts, of each carrier and such channel.
    restarts : attackers who begin anew after their alarm.
    benign : queries of the household in between.
    """

    attacks: tuple[str, ...]
    runs: int
    sphinx_attacks: tuple[str, ...]
    sphinx_runs: int
    queries: int
    sphinx_queries: int
    words: int | None
    fakes: tuple[int, ...]
    evaded: int
    defended: int
    restarts: int
    benign: int


FULL = Plan(
    attacks=("nes", "simba", "square", "genetic"),
    runs=6,
    sphinx_attacks=("nes", "genetic"),
    sphinx_runs=2,
    queries=300,
    sphinx_queries=150,
    words=None,
    fakes=(0, 25, 50, 60, 70, 80, 90, 95, 98),
    evaded=6,
    defended=2,
    restarts=24,
    benign=2_000,
)
QUICK = Plan(
    attacks=("simba", "genetic"),
    runs=1,
    sphinx_attacks=(),
    sphinx_runs=0,
    queries=120,
    sphinx_queries=0,
    words=300,
    fakes=(0, 60),
    evaded=1,
    defended=0,
    restarts=4,
    benign=50,
)

EVASIVE = ("oars_nes", "oars_simba", "oars_square")
"""The attackers who use the verdicts."""


@dataclass(frozen=True)
class Run:
    """One attack on an undefended device."""

    trial: Trial
    queries: int
    fakes: tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """The keyword model, before anybody attacks it; see :class:`Trial` for `words`."""

    words: int | None


Piece: TypeAlias = Run | Evaded | Defended | Restart | Model


@dataclass(frozen=True)
class RunSeen:
    """How an attack went, and who would have noticed.

    Parameters
    ----------
    queries : how many there were.
    won : number of the query that was heard as the target, from 1; None: none was.
    snr_db : of that query, carrier over perturbation, dB.
    alarm : of the default detector.
    sparse : queries among the first :data:`PAPER_QUERIES` that have too few peaks for it.
    paper : number of the first query that alarms each of :data:`FLAGS`, from 1, of the first
        :data:`PAPER_QUERIES`.
    fakes : by the share of fakes in %, the first alarm; None for none.
    target, channel : what was wanted, through what.
    """

    trial: Trial
    queries: int
    won: int | None
    snr_db: float | None
    alarm: Alarm | None
    sparse: int
    paper: tuple[int | None, ...]
    fakes: dict[int, Alarm | None]
    target: str
    channel: str


@dataclass(frozen=True)
class ModelSeen:
    """How good it is on people whom it has not heard.

    Parameters
    ----------
    words : what it hears.
    accuracy, commands : share of their commands that it hears rightly, and how many those are.
    other_accuracy, others : the same of what is no command.
    """

    words: tuple[str, ...]
    accuracy: float
    commands: int
    other_accuracy: float
    others: int


Seen: TypeAlias = RunSeen | EvadedSeen | DefendedSeen | list[RestartSeen] | ModelSeen


def pieces(plan: Plan) -> list[Piece]:
    """The longest come first."""

    def trials(
        name: VictimName, attacks: Sequence[str], channels: Sequence[ChannelName], runs: int
    ) -> list[Trial]:
        return [
            Trial(Scene(name, carrier, channel), attack, index, plan.words)
            for channel, index, carrier, attack in product(
                reversed(channels), range(runs), CARRIERS, attacks
            )
        ]

    sample = [
        Trial(
            Scene("keyword", carrier, channel),
            plan.attacks[index % len(plan.attacks)],
            index,
            plan.words,
        )
        for channel, carrier, index in product(FAKED, CARRIERS, range(plan.evaded))
    ]
    return [
        Model(plan.words),
        Restart(plan.attacks, plan.restarts, plan.benign, plan.words),
        *(
            Run(trial, plan.sphinx_queries, plan.fakes)
            for trial in trials("sphinx", plan.sphinx_attacks, CHANNELS, plan.sphinx_runs)
        ),
        *(Evaded(trial, plan.queries) for trial in sample),
        *(
            Defended(trial, plan.queries)
            for trial in trials("keyword", EVASIVE, FAKED, plan.defended)
        ),
        *(
            Run(trial, plan.queries, plan.fakes)
            for trial in trials("keyword", plan.attacks, CHANNELS, plan.runs)
        ),
    ]


def hold(setup: Setup, piece: Piece) -> Seen:
    """One piece; a function of its arguments alone."""
    if isinstance(piece, Evaded):
        return evaded(setup, piece)
    if isinstance(piece, Defended):
        return defended(setup, piece)
    if isinstance(piece, Restart):
        return restart(setup, piece)
    if isinstance(piece, Model):
        return _model(setup, piece)
    return _run(setup, piece)


def _model(setup: Setup, piece: Model) -> ModelSeen:
    model = victim("keyword", setup.data, setup.seed, piece.words)
    assert isinstance(model, KeywordModel)
    return ModelSeen(
        words=tuple(label for label in model.labels if label != OTHER),
        accuracy=model.accuracy,
        commands=model.held_out_n,
        other_accuracy=model.other_accuracy,
        others=model.other_n,
    )


def _run(setup: Setup, piece: Run) -> RunSeen:
    trial = piece.trial
    attempt, rng = trial.begin(setup)
    stream = attempt.run(trial.attack, piece.queries, rng)
    won = stream.won_at
    shown = list(marked(stream.queries[:PAPER_QUERIES], rng))
    rest = marked(stream.queries[PAPER_QUERIES:], rng)
    return RunSeen(
        trial=trial,
        queries=len(stream.queries),
        won=None if won is None else won + 1,
        snr_db=None if won is None else stream.queries[won].snr_db,
        alarm=first_alarm(chain(shown, rest), setup),
        sparse=sum(len(mark.neighbours) < setup.settings.neighbours.min_peaks for mark in shown),
        paper=tuple(_paper_alarm(shown, flags, setup) for flags in FLAGS),
        fakes=_among_fakes(piece, shown[:FAKED_QUERIES], attempt.clip, setup, rng),
        target=attempt.target,
        channel=attempt.channel.name,
    )


def _paper_alarm(stream: Sequence[Marked], flags: PaperSettings, setup: Setup) -> int | None:
    reports = score_paper(stream, flags, setup.thresholds)
    return next((number for number, report in enumerate(reports, 1) if report.alarm), None)


def _among_fakes(
    piece: Run, attack: Sequence[Marked], carrier: Clip, setup: Setup, rng: np.random.Generator
) -> dict[int, Alarm | None]:
    channel = piece.trial.scene.channel
    if channel not in FAKED or not piece.fakes:
        return {}
    most = round(FAKED_QUERIES / (1.0 - max(piece.fakes) / 100.0))
    others = [fake.mark for fake in fakes(setup, channel, most) if fake.clip != carrier]
    found: dict[int, Alarm | None] = {}
    for percent in piece.fakes:
        stream = hidden(attack, others, percent / 100.0, rng)
        # A fake that comes twice would be a near-copy itself.
        if len(stream) - len(attack) <= len(others):
            found[percent] = first_alarm(stream, setup)
    return found
