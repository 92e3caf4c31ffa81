"""A device in the simulated living room, with somebody in front of it.

It is the product's own loop, gate and forwarder; simulated are room, person and attacker. A session
takes as long as it computes, not as long as it sounds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from earmark.audio import AudioPort, Paced, RoomConditions, SimulatedRoom, load_room
from earmark.config import Config
from earmark.daemon import InlineExecutor, build
from earmark.demo.clips import load_clips
from earmark.gate import Announcement
from earmark.judging import Judgement
from earmark.loop import SILENCE
from earmark.session import State
from earmark.signal import BLOCK_S, RATE_HZ, Signal

LEAD_S = 1.2
"""Quiet before anybody speaks, s: the wake word's front end settles on the noise of the room."""

PAUSE_S = 0.4
"""Between wake word and command, s."""

TAIL_S = 0.5
"""What the attacker leaves after the command, s, and what is heard after a session."""

LONGEST_S = 25.0
"""Longest session, s: a replay of 6 s, its verdict, the answer."""

PERSON_DBSPL, REPLAY_DBSPL = 62.0, 66.0
"""How loud person and attacker are, dB SPL at 1 m."""


class Speaker:
    """A device.

    Parameters
    ----------
    folder : for its state.
    forward : its setting of that name.
    """

    def __init__(self, folder: Path, forward: Mapping[str, Any]) -> None:
        self.told: list[Announcement] = []
        self.woken: Callable[[], None] = lambda: None
        """Called when it has heard the wake word, before anything else is heard."""
        self.judged: list[Judgement] = []
        self._clips = load_clips()
        self._tape: Signal | None = None
        self._played: list[Signal] = []
        self._seeds = itertools.count(1)
        self._config = Config.model_validate(
            {
                "device": {"name": "kitchen-speaker", "room": "Kitchen"},
                "audio": {"kind": "simulated", "room": "living_room"},
                "ledger": {"path": folder / "ledger.sqlite"},
                "keys": {"path": folder / "keys.json"},
                "memory": {"folder": folder / "memory"},
                "gate": {"required": ["signal", "nonce", "stale", "memory"]},
                "session": {"forward_s": 30.0},
                "forward": forward,
            }
        )
        self._loop = build(
            self._config,
            executor=InlineExecutor(),
            outlets=(self,),
            observer=lambda judgement, _: self.judged.append(judgement),
        )

    def announce(self, told: Announcement) -> None:
        self.told.append(told)
        if told is Announcement.WOKEN:
            self.woken()

    def hears(self, command: str) -> str:
        """A person says the wake word and a command; the verdict, as ``allow/fresh``."""
        room = self._room()
        end_s = room.play_at("person_1m", self._clips.wake("1").spoken, LEAD_S, PERSON_DBSPL)
        spoken = self._clips.command(command).spoken
        end_s = room.play_at("person_1m", spoken, end_s + PAUSE_S, PERSON_DBSPL)
        room.record("r1")
        verdict = self._session(room)
        self._tape = room.recording("r1")[: round((end_s + TAIL_S) * RATE_HZ)]
        return verdict

    def hears_it_again(self) -> str:
        """An attacker plays what somebody has recorded of that; the verdict."""
        assert self._tape is not None, "nothing was recorded yet"
        room = self._room()
        room.play_at("attacker", self._tape, LEAD_S, REPLAY_DBSPL)
        return self._session(room)

    def stays(self, seconds: float) -> Signal:
        """Nobody speaks for a while in real time; what was played since the last session began."""
        room = Paced(self._room(), time.monotonic, time.sleep)
        for _ in range(round(seconds / BLOCK_S)):
            self._step(room)
        return np.concatenate(self._played)

    def close(self) -> None:
        """Close it and its links."""
        self._loop.close()

    def _step(self, port: AudioPort) -> None:
        play = self._played[-1] if self._played else SILENCE
        self._played.append(self._loop.step(port.exchange(play)))

    def _room(self) -> SimulatedRoom:
        conditions = RoomConditions(ambient_dbspl=35.0, seed=next(self._seeds))
        return SimulatedRoom(load_room("living_room"), self._config.audio, conditions)

    def _session(self, room: SimulatedRoom) -> str:
        count, left_s = len(self.judged), TAIL_S
        self.told.clear()
        self._played.clear()
        while room.now_s < LONGEST_S and left_s > 0.0:
            self._step(room)
            if len(self.judged) > count and self._loop.state in (State.IDLE, State.LOCKED):
                left_s -= BLOCK_S
        assert len(self.judged) == count + 1, f"no verdict, the room was told {self.told}"
        verdict = self.judged[-1].verdict
        return f"{verdict.decision.value}/{verdict.reason.value}"
