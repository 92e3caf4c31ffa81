"""CPU time of naming who gave a command, beside the encoders of others, and the size of the file.

Measured in one process after everything else is over, one thread, everybody by turns: so that what
else the machine does meets all alike, and their ratio holds where the times do not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from earmark.signal import RATE_HZ, Signal
from earmark.speaker import cover
from earmark_host.bench.speaker.ears import Device
from earmark_host.bench.speaker.setup import DEVICE, PARENT, PEERS, Setup
from earmark_host.speaker.clips import load

COMMAND_S = 3.0
"""Length of a command, s: the average interaction of AEOLUS, section 3.2."""

WARM_UP = 3
"""Commands before the first that is timed."""


@dataclass(frozen=True)
class Plan:
    """How many commands are timed."""

    commands: int


FULL = Plan(commands=100)
QUICK = Plan(commands=20)


@dataclass(frozen=True)
class Timed:
    """All of them."""

    plan: Plan


@dataclass(frozen=True)
class Spent:
    """CPU times of each command, s.

    Parameters
    ----------
    by_ear : the whole, by what hears.
    front_end : of the device's, what of it is the log-mel spectrogram.
    model_bytes : size of the device's file.
    """

    by_ear: dict[str, tuple[float, ...]]
    front_end: tuple[float, ...]
    model_bytes: int


Seen: TypeAlias = Spent


def pieces(plan: Plan) -> list[Timed]:
    """There is one."""
    return [Timed(plan)]


def hold(setup: Setup, piece: Timed) -> Spent:
    """Measure."""
    ears = {name: setup.ear(name) for name in (DEVICE, PARENT, *PEERS) if setup.has(name)}
    device = ears[DEVICE]
    times: dict[str, list[float]] = {name: [] for name in ears}
    front: list[float] = []
    for number in range(-WARM_UP, piece.plan.commands):
        said = _command(setup, number + WARM_UP)
        for name, ear in ears.items():
            began = time.process_time()
            ear.hear(said)
            times[name].append(time.process_time() - began)
        if isinstance(device, Device):
            began = time.process_time()
            for window in cover(said, device.model.window_samples):
                device.model.front_end.log_mel(window)
            front.append(time.process_time() - began)
    return Spent(
        {name: tuple(some[WARM_UP:]) for name, some in times.items()},
        tuple(front[WARM_UP:]),
        device.bytes if isinstance(device, Device) else 0,
    )


def _command(setup: Setup, number: int) -> Signal:
    """Exactly so long, of one person after the other."""
    people = list(setup.corpus.values())
    clips = people[number % len(people)]
    said = load(clips[number // len(people) % len(clips)])
    return np.asarray(np.resize(said, round(COMMAND_S * RATE_HZ)), np.float32)
