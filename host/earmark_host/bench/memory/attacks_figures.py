"""What the attacks come to: queries to the alarm, wins that were stopped, who gets away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark.memory import Sign
from earmark_host.bench.memory.attacks import FLAGS, PAPER_QUERIES, ModelSeen, Plan, RunSeen, Seen
from earmark_host.bench.memory.attacks_adaptive import DefendedSeen, EvadedSeen, RestartSeen
from earmark_host.bench.memory.attacks_run import Alarm
from earmark_host.bench.memory.attacks_steps import steps
from earmark_host.bench.report import Metric, Row, share_columns
from earmark_host.memory.staging import ChannelName

WITHIN: dict[ChannelName, int] = {"digital": 12, "ota20": 12, "ota10": 20}
"""By which query of an attack the alarm is due."""


HOPELESS = 6
"""Wins at this query or before: five near-copies come first, so no alarm can be earlier than the
6th query, and one at the winning query itself is not counted as before it."""


def figures(
    results: Sequence[Seen], plan: Plan, seed: int
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Count."""
    del seed
    runs = [each for each in results if isinstance(each, RunSeen)]
    won = [run for run in runs if run.won is not None]
    metrics = [
        *(_due(channel, due, runs) for channel, due in WITHIN.items()),
        *(_among_fakes(percent, runs) for percent in plan.fakes),
        *_stopped(won),
        Metric.share("won_within_6", sum(run.won <= HOPELESS for run in won if run.won), len(won)),
        Metric.quantile("queries_to_alarm", _alarms(runs), 0.5, "queries"),
        Metric.quantile("queries_to_win", [run.won for run in won if run.won], 0.5, "queries"),
        Metric.share("attacks_that_win", len(won), len(runs)),
    ]
    tables = {
        "attacked_model": [
            {
                "words": len(each.words),
                "word_right_share": each.accuracy,
                "words_tried": each.commands,
                "other_right_share": each.other_accuracy,
                "others_tried": each.others,
            }
            for each in results
            if isinstance(each, ModelSeen)
        ],
        "attacks": _attacks(runs),
        "attacks_steps": steps(runs),
        "attacks_not_caught_in_time": [_row(run) for run in runs if _late(run)],
        "attacks_paper": _paper(runs),
        "attacks_changed": _changed([each for each in results if isinstance(each, EvadedSeen)]),
        "attacks_on_defended": _defended(
            [each for each in results if isinstance(each, DefendedSeen)]
        ),
        "attacks_begun_anew": _anew(
            [one for each in results if isinstance(each, list) for one in each]
        ),
    }
    return metrics, tables


def by(alarm: Alarm | None, query: int) -> bool:
    """Whether the alarm came at this query of the attack or before."""
    return alarm is not None and alarm.query <= query


def stopped(run: RunSeen) -> bool:
    """Whether an attack that won would have been withheld at an earlier query."""
    return run.won is not None and by(run.alarm, run.won - 1)


def _due(channel: ChannelName, due: int, runs: Sequence[RunSeen]) -> Metric:
    mine = [run for run in runs if run.trial.scene.channel == channel]
    return Metric.share(
        f"alarm_by_{due}_{channel}", sum(by(run.alarm, due) for run in mine), len(mine)
    )


def _stopped(won: Sequence[RunSeen]) -> list[Metric]:
    """Wins with an earlier alarm: of all, and for each recogniser."""
    groups = {"stopped_before_win": list(won)}
    for run in won:
        groups.setdefault(f"stopped_before_win_{run.trial.scene.victim}", []).append(run)
    return [Metric.share(name, sum(map(stopped, some)), len(some)) for name, some in groups.items()]


def _among_fakes(percent: int, runs: Sequence[RunSeen]) -> Metric:
    alarms = [run.fakes[percent] for run in runs if percent in run.fakes]
    return Metric.share(
        f"alarm_by_12_fake_{percent}", sum(by(alarm, 12) for alarm in alarms), len(alarms)
    )


def _alarms(runs: Sequence[RunSeen]) -> list[float]:
    return [float(run.alarm.query) for run in runs if run.alarm is not None]


def _late(run: RunSeen) -> bool:
    """The alarm was not there when it was due, or not before the win."""
    due = WITHIN[run.trial.scene.channel]
    return not by(run.alarm, due) or (run.won is not None and not stopped(run))


def _row(run: RunSeen) -> Row:
    return {
        "victim": run.trial.scene.victim,
        "attack": run.trial.attack,
        "carrier": run.trial.scene.carrier,
        "channel": run.channel,
        "number": run.trial.index,
        "queries": run.queries,
        "won_at": run.won,
        "alarm_at": None if run.alarm is None else run.alarm.query,
        "sparse": run.sparse,
    }


def _attacks(runs: Sequence[RunSeen]) -> list[Row]:
    """By recogniser, attack and channel."""
    rows: list[Row] = []
    keys = dict.fromkeys(
        (run.trial.scene.victim, run.trial.attack, run.trial.scene.channel) for run in runs
    )
    for victim, attack, channel in sorted(keys):
        mine = [
            run
            for run in runs
            if (run.trial.scene.victim, run.trial.attack, run.trial.scene.channel)
            == (victim, attack, channel)
        ]
        won = [run for run in mine if run.won is not None]
        snrs_db = [run.snr_db for run in won if run.snr_db is not None]
        rows.append(
            {
                "victim": victim,
                "attack": attack,
                "channel": channel,
                "runs": len(mine),
                "wins": len(won),
                "queries_to_win": _median([run.won for run in won if run.won]),
                "won_within_6": sum(run.won is not None and run.won <= HOPELESS for run in won),
                "snr_at_win_db": _median(snrs_db),
                "stopped_before_win": sum(map(stopped, won)),
                "queries_to_alarm": _median(_alarms(mine)),
                "latest_alarm": max(_alarms(mine), default=None),
                **share_columns(
                    sum(by(run.alarm, WITHIN[channel]) for run in mine), len(mine), "in_time_share"
                ),
            }
        )
    return rows


def _paper(runs: Sequence[RunSeen]) -> list[Row]:
    """The paper's detector on the same attacks, beside the default."""
    shown = {
        f"paper, {flags.weights}": [run.paper[index] for run in runs]
        for index, flags in enumerate(FLAGS)
    }
    shown["neighbours"] = [
        run.alarm.query if run.alarm is not None and run.alarm.query <= PAPER_QUERIES else None
        for run in runs
    ]
    wins = [run.won for run in runs]
    won = sum(win is not None for win in wins)
    rows: list[Row] = []
    for name, alarms in shown.items():
        before = sum(
            alarm is not None and win is not None and alarm < win
            for alarm, win in zip(alarms, wins, strict=True)
        )
        rows.append(
            {
                "detector": name,
                "attacks": len(runs),
                "alarms": sum(alarm is not None for alarm in alarms),
                "first_alarm": _median([alarm for alarm in alarms if alarm is not None]),
                **share_columns(before, won, "stopped_before_win_share"),
            }
        )
    return rows


def _changed(seen: Sequence[EvadedSeen]) -> list[Row]:
    rows: list[Row] = []
    for name in seen[0].alarms if seen else ():
        alarms = [each.alarms[name] for each in seen]
        heard = [each.heard[name] for each in seen if name in each.heard]
        rows.append(
            {
                "evasion": name,
                "by_12": sum(by(alarm, 12) for alarm in alarms),
                "by_20": sum(by(alarm, 20) for alarm in alarms),
                "first_alarm": _median([alarm.query for alarm in alarms if alarm is not None]),
                "by_second_ear": sum(
                    alarm is not None and alarm.sign is Sign.MEAN for alarm in alarms
                ),
                **share_columns(
                    sum(alarm is not None for alarm in alarms), len(alarms), "by_60_share"
                ),
                "win_still_heard": f"{sum(heard)} of {len(heard)}",
            }
        )
    return rows


def _defended(seen: Sequence[DefendedSeen]) -> list[Row]:
    rows: list[Row] = []
    for key in sorted({(each.trial.attack, each.trial.scene.channel) for each in seen}):
        mine = [each for each in seen if (each.trial.attack, each.trial.scene.channel) == key]
        won = [each for each in mine if each.won is not None]
        early = [each for each in won if each.alarm is None]
        rows.append(
            {
                "attack": key[0],
                "channel": key[1],
                "wins": len(won),
                "wins_before_alarm": len(early),
                "queries_to_win": _median([each.won for each in won if each.won]),
                "snr_at_win_db": _median([each.snr_db for each in won if each.snr_db is not None]),
                "first_withheld": _median([each.alarm for each in mine if each.alarm is not None]),
                "answered_each": float(np.mean([each.queries - each.withheld for each in mine])),
                **share_columns(len(won), len(mine), "win_share"),
            }
        )
    return rows


def _anew(seen: Sequence[RestartSeen]) -> list[Row]:
    """Attackers who were noticed, and who begin again; nothing where nobody was."""
    noticed = [each for each in seen if each.first is not None]
    if not noticed:
        return []
    rows: list[Row] = []
    for when, alarms, benign, withheld in (
        ("at once", [each.at_once for each in noticed], 0, 0),
        (
            "after days",
            [each.after_days for each in noticed],
            noticed[0].benign,
            noticed[0].withheld,
        ),
    ):
        rows.append(
            {
                "begins_anew": when,
                "noticed_before": len(noticed),
                "queries_in_between": benign,
                "of_them_withheld": withheld,
                "first_withheld": _median([alarm for alarm in alarms if alarm is not None]),
                "latest": max((alarm for alarm in alarms if alarm is not None), default=None),
                "never": sum(alarm is None for alarm in alarms),
                **share_columns(
                    sum(alarm == 1 for alarm in alarms), len(alarms), "at_first_query_share"
                ),
            }
        )
    return rows


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
