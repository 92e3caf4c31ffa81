"""The choice: of all options that reach the profile's aims the one that adds least loudness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from earmark.nonce import NonceSettings
from earmark_calibration.choose.options import (
    STEP_DB,
    Heard,
    at_level,
    described,
    heard_at_1m,
    levels,
    parameters,
    shapes,
)
from earmark_calibration.choose.predict import (
    Detection,
    Prediction,
    Told,
    detected,
    detection,
    predict,
)
from earmark_calibration.choose.profiles import Aim
from earmark_calibration.choose.thresholds import wrong_share
from earmark_calibration.choose.trial import Trials
from earmark_calibration.record import Curve, CurveKind, Option

GRID_TRIALS = 24
"""Replays for each shape of the nonce, eight from each place: enough to rank them."""

CHECK_TRIALS = 60
"""Replays by which a level is accepted, other ones than those that proposed it."""

FINAL_TRIALS = 80
"""Trials of each kind of the prediction that is reported; none of them has decided anything. With
none of 80 the share is below 4.5 %."""


@dataclass(frozen=True)
class Priced:
    """Settings with what they give and how loud they are."""

    settings: NonceSettings
    prediction: Prediction
    heard: Heard

    def option(self) -> Option:
        """As the record has it, not played yet."""
        return Option(
            parameters=dict(parameters(self.settings)),
            false_rejects=self.prediction.false_rejects,
            stale_detection=self.prediction.stale_detection,
            loudness_phon=self.heard.phon,
            loudness_sone=self.heard.sone,
            over_ambient_db=self.heard.over_ambient_db,
        )


@dataclass(frozen=True)
class Chosen:
    """What was chosen, and among what.

    Parameters
    ----------
    before, after : the settings of today and the choice.
    grid : detection over the level for each shape.
    curves : the trade-off of each shape: detection over loudness.
    met : whether all aims are met, as predicted.
    sentence : why this one.
    """

    before: Priced
    after: Priced
    grid: tuple[Detection, ...]
    curves: tuple[Curve, ...]
    met: bool
    sentence: str


def choose(
    trials: Trials,
    now: NonceSettings,
    aim: Aim,
    told: Callable[[str, float], None] = lambda _what, _share: None,
) -> Chosen:
    """Choose the nonce's band or tones and its level for a place.

    Parameters
    ----------
    now : the settings of today.
    aim : of the profile.
    told : what is being done, and how much of it all is done, 0 to 1.
    """
    kinds = shapes(aimed(now, aim))
    steps = levels(aim.cap_dbspl_1m)
    work = _Work(len(kinds) * GRID_TRIALS + CHECK_TRIALS + 4 * FINAL_TRIALS, told)
    grid = tuple(detection(trials, kind, steps, GRID_TRIALS, work.step) for kind in kinds)
    ranked = sorted(grid, key=lambda each: _cost(each, aim, trials))
    settings = _accepted(trials, ranked[0], aim, work.step)
    before = _priced(trials, now, work.step)
    after = _priced(trials, settings, work.step)
    met = (
        after.prediction.stale_detection.value >= aim.least_detection
        and after.prediction.false_rejects.value <= aim.most_false_rejects
    )
    curves = tuple(_curve(each, number, trials) for number, each in enumerate(grid))
    return Chosen(before, after, grid, curves, met, sentence(before, after, aim))


def aimed(now: NonceSettings, aim: Aim) -> NonceSettings:
    """The settings of today with the limits that the profile asks for."""
    return now.model_copy(
        update={
            "min_covered_s": max(now.min_covered_s, aim.min_covered_s),
            "max_bit_error_rate": wrong_share(now, aim.most_false_accepts),
        }
    )


class _Work:
    """Counts steps, as far as they can be foreseen."""

    def __init__(self, steps: int, told: Callable[[str, float], None]) -> None:
        self._steps = steps
        self._done = 0
        self._told = told

    def step(self, what: str) -> None:
        self._done += 1
        self._told(what, min(1.0, self._done / self._steps))


def _cost(each: Detection, aim: Aim, trials: Trials) -> tuple[bool, float, float]:
    """Options that reach the aim first, by added loudness; the others by what they find."""
    level = each.lowest(aim.least_detection)
    most = each.levels_dbspl_1m[-1]
    added = heard_at_1m(
        at_level(each.settings, most if level is None else level), trials.place
    ).added_sone
    return level is None, added if level is not None else -each.at(most).value, added


def _accepted(trials: Trials, best: Detection, aim: Aim, told: Told) -> NonceSettings:
    """The best shape at the lowest level that other replays confirm."""
    steps = best.levels_dbspl_1m
    level = best.lowest(aim.least_detection)
    at = len(steps) - 1 if level is None else steps.index(level)
    while at < len(steps) - 1:
        settings = at_level(best.settings, steps[at])
        found = detected(trials, settings, CHECK_TRIALS, "check", told)
        if found >= aim.least_detection * CHECK_TRIALS:
            break
        at += 1
    return at_level(best.settings, steps[at])


def _priced(trials: Trials, settings: NonceSettings, told: Told) -> Priced:
    prediction = predict(trials, settings, FINAL_TRIALS, "final", told)
    return Priced(settings, prediction, heard_at_1m(settings, trials.place))


def _curve(each: Detection, number: int, trials: Trials) -> Curve:
    """Predicted detection over the loudness at 1 m."""
    heard = [
        heard_at_1m(at_level(each.settings, level), trials.place).phon
        for level in each.levels_dbspl_1m
    ]
    shape = described(each.settings).rpartition(" at ")[0]
    if each.settings.waveform == "bfsk":
        shape = shape.rpartition(" and ")[0] or shape
    return Curve(
        name=f"trade_off_{number}",
        kind=CurveKind.TRADE_OFF,
        title=("Now: " if number == 0 else "") + shape,
        x_name="loudness level at 1 m",
        x_unit="phon",
        y_name="stale nonces found",
        y_unit="share",
        x=tuple(round(each, 2) for each in heard),
        y=tuple(each.at(level).value for level in each.levels_dbspl_1m),
    )


def sentence(before: Priced, after: Priced, aim: Aim) -> str:
    """Why this one, in one sentence."""
    change = after.heard.phon - before.heard.phon
    louder = (
        "as loud as before"
        if abs(change) < STEP_DB / 4.0
        else f"{abs(change):.0f} phon {'louder' if change > 0 else 'quieter'} than before"
    )
    found = after.prediction.stale_detection.value
    refused = after.prediction.false_rejects.value
    text = (
        f"{described(after.settings)}, {louder}: {100 * found:.0f} % of replays are found "
        f"({100 * before.prediction.stale_detection.value:.0f} % before) and {100 * refused:.0f} % "
        f"of live commands refused"
    )
    text = text[0].upper() + text[1:]
    if found >= aim.least_detection and refused <= aim.most_false_rejects:
        return f"{text}; of the options that reach the profile's aims it is heard least."
    aims = (
        f"the profile asks for {100 * aim.least_detection:.0f} % and at most "
        f"{100 * aim.most_false_rejects:.0f} %"
    )
    capped = after.settings.level_dbspl_1m >= aim.cap_dbspl_1m - STEP_DB / 2.0
    why = f", and its cap of {aim.cap_dbspl_1m:g} dB SPL is reached" if capped else ""
    return f"{text}; {aims}{why}."
