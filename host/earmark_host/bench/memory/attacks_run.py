"""What the pieces of the attacks share: a recorded attack, the first alarm in it, the fakes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import tee

import numpy as np

from earmark.memory.neighbours import Sign, fingerprint
from earmark_host.bench.corpus import Clip
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.watch import Marked, count_neighbours
from earmark_host.memory.random_streams import recordings
from earmark_host.memory.staging import Attempt, ChannelName, Scene, attempt, channel_for, victim


@dataclass(frozen=True)
class Trial:
    """One attack.

    Parameters
    ----------
    scene : who is attacked, with what, through what.
    attack : name in ``ATTACKS``.
    index : number of the trial of this kind.
    words : most commands that the keyword model learns from; None: all.
    """

    scene: Scene
    attack: str
    index: int
    words: int | None

    def begin(self, setup: Setup) -> tuple[Attempt, np.random.Generator]:
        """The attack set up, and the generator of the rest: the same each time."""
        scene = self.scene
        cell = f"{self.attack} on {scene.victim}, {scene.carrier}, {scene.channel}"
        rng = setup.rng(cell, self.index)
        model = victim(scene.victim, setup.data, setup.seed, self.words)
        return attempt(scene, model, setup.material, rng), rng


@dataclass(frozen=True)
class Alarm:
    """The first alarm at a query that is no fake.

    Parameters
    ----------
    query : number of the attack's query, from 1; fakes are not counted.
    sign : why.
    """

    query: int
    sign: Sign


def first_alarm(marks: Iterable[Marked], setup: Setup) -> Alarm | None:
    """Show a stream to the default detector until it alarms; None: it does not."""
    stream, shown = tee(marks)
    queries = 0
    for mark, found in zip(
        stream, count_neighbours(shown, setup.settings, setup.thresholds), strict=True
    ):
        queries += not mark.fake
        if found.alarm and not mark.fake:
            return Alarm(queries, found.sign)
    return None


@dataclass(frozen=True)
class Fake:
    """A clip that has nothing to do with an attack, as the device heard it."""

    clip: Clip
    mark: Marked


@lru_cache(maxsize=2)
def fakes(setup: Setup, channel: ChannelName, most: int) -> Sequence[Fake]:
    """Clips of people of this fold, each through a channel of its own; made once a process."""
    rng = setup.rng(f"fakes, {channel}", 0)
    found = []
    for clip, _ in recordings(setup.material, "speech", rng)[:most]:
        way = channel_for(channel, setup.material, rng)
        heard = way(setup.material.load(clip), rng)
        found.append(Fake(clip, Marked(fingerprint(heard), {}, "speech", 0.0, True, None)))
    return found
