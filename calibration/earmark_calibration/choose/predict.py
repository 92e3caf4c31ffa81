"""Predictions: from which level on a replay is found, and how often a live command is refused.

Each trial is held through the measured response and noise, and judged by the product itself. A
louder nonce is easier to find, so the lowest level at which a trial's old nonce is found is
looked for by halves; that gives the detection at every level from the same trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from earmark.nonce import NonceSettings
from earmark_calibration.choose.options import at_level
from earmark_calibration.choose.statistics import share
from earmark_calibration.choose.trial import Trials
from earmark_calibration.record import Estimate

Told = Callable[[str], None]
"""Told what is being done, once a trial."""


@dataclass(frozen=True)
class Detection:
    """Detection of old nonces over the level, for one shape of the nonce.

    Parameters
    ----------
    settings : the shape; its level says nothing.
    levels_dbspl_1m : those that were tried, ascending.
    found_from : for each trial the lowest of them at which the old nonce was found; inf: at none.
    """

    settings: NonceSettings
    levels_dbspl_1m: tuple[float, ...]
    found_from: tuple[float, ...]

    def at(self, level_dbspl_1m: float) -> Estimate:
        """The share that is found at a level."""
        hits = sum(level <= level_dbspl_1m for level in self.found_from)
        return share(hits, len(self.found_from))

    def lowest(self, least: float) -> float | None:
        """The lowest level at which the share is `least` or more; None: at none."""
        enough = (level for level in self.levels_dbspl_1m if self.at(level).value >= least)
        return next(enough, None)


def detection(
    trials: Trials,
    settings: NonceSettings,
    levels_dbspl_1m: Sequence[float],
    count: int,
    told: Told = lambda _: None,
) -> Detection:
    """Find the lowest level for each of `count` trials.

    Parameters
    ----------
    levels_dbspl_1m : ascending.
    """
    found_from = []
    plain = without_speeds(settings)
    for index in range(count):
        told("replays at several levels")
        low, high = 0, len(levels_dbspl_1m)
        while low < high:
            middle = (low + high) // 2
            now = at_level(plain, levels_dbspl_1m[middle])
            script = trials.replay(now, index, "grid")
            if trials.predicted(script, index, "grid", now).found:
                high = middle
            else:
                low = middle + 1
        found_from.append(levels_dbspl_1m[low] if low < len(levels_dbspl_1m) else math.inf)
    return Detection(settings, tuple(levels_dbspl_1m), tuple(found_from))


def detected(
    trials: Trials, settings: NonceSettings, count: int, series: str, told: Told = lambda _: None
) -> int:
    """How many of `count` replays of a series are found."""
    found = 0
    plain = without_speeds(settings)
    for index in range(count):
        told("replays, once more")
        script = trials.replay(plain, index, series)
        found += trials.predicted(script, index, series, plain).found
    return found


def without_speeds(settings: NonceSettings) -> NonceSettings:
    """Without the search at other speeds, which costs most of all.

    None of the replays here has another speed. With it a find needs twice the evidence, where a
    step of 2 dB gives a thousandfold.
    """
    spread = settings.spread.model_copy(update={"max_speed_percent": 0.0})
    return settings.model_copy(update={"spread": spread})


@dataclass(frozen=True)
class Prediction:
    """What settings give here, counted over trials that were not used to choose them.

    Parameters
    ----------
    rejected, live : live commands that the nonce's checks refused, of so many.
    found, stale : replays whose old nonce was found, of so many.
    """

    rejected: int
    live: int
    found: int
    stale: int

    @property
    def false_rejects(self) -> Estimate:
        """Share of live commands that are refused."""
        return share(self.rejected, self.live)

    @property
    def stale_detection(self) -> Estimate:
        """Share of replays that are found."""
        return share(self.found, self.stale)


def predict(
    trials: Trials,
    settings: NonceSettings,
    count: int,
    series: str,
    told: Told = lambda _: None,
) -> Prediction:
    """Hold `count` live trials and as many replays.

    Parameters
    ----------
    series : trials of one series are the same for all settings, and others than of another one.
    """
    rejected = 0
    for index in range(count):
        told("live commands")
        live = trials.live(settings, index, f"{series} live")
        rejected += not trials.predicted(live, index, f"{series} live", settings).allowed
    found = detected(trials, settings, count, f"{series} replay", told)
    return Prediction(rejected, count, found, count)
