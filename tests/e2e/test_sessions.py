"""The daemon on a real audio server: people speak, somebody plays it again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.e2e.device import Device
from tests.e2e.play import CARDS, says, starved
from tests.e2e.room import ATTACKER, PERSON, VirtualRoom
from tests.e2e.scene import WINDOW_S, Scene, at_device, matches, undisturbed
from tests.e2e.server import RATE_HZ

from earmark.demo.clips import Clips

REPLAY_DBSPL = 66.0
"""How loud the attacker plays, dB SPL at 1 m: louder than the person was."""

TAPE_S = 0.5
"""What the attacker leaves after the command, s."""


@pytest.mark.parametrize("kind", CARDS)
def test_a_live_command_is_forwarded_whole_and_its_replay_is_rejected(
    kind: str, room: VirtualRoom, clips: Clips, device: Callable[..., Device]
) -> None:
    one = device(audio={"kind": kind, "device": "room"})

    def arrives() -> None:
        one.wait_for(lambda: len(one.commands()) == 1, "the command to be forwarded")

    tape = says(room, one, clips, "bread", then=arrives)
    [(entry, forwarded)] = one.commands()
    assert entry["verdict"] == "allow"
    whole_and_aligned(room, tape, clips, forwarded)

    heard = at_device(tape.microphone)
    recording = heard[: round((tape.end_s(PERSON) + TAPE_S) * 16_000)]

    def replay(scene: Scene) -> None:
        before = len(one.verdicts())
        scene.say(ATTACKER, room.emitted(recording, REPLAY_DBSPL))
        one.wait_for(lambda: len(one.verdicts()) > before, "a verdict on the replay")
        assert one.verdicts()[before] == "reject/replay", one.log

    undisturbed(room, replay, starved(one))
    status, _ = one.terminate()
    assert status == 0
    assert len(one.commands()) == 1
    told, streams = (one.log.count(text) for text in (": the round trip takes", " has started"))
    assert 1 <= told <= streams  # once for each; there is another one only where one was lost


def whole_and_aligned(room: VirtualRoom, tape: Scene, clips: Clips, forwarded: np.ndarray) -> None:
    """The first and the last word are there, and not a sample is missing between them."""
    command = clips.command("bread")
    start_s, end_s = command.spoken_s
    spoken = room.emitted(command.signal, 62.0)[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    wanted = at_device(room.heard(PERSON, spoken))[: round((end_s - start_s) * 16_000)]
    found = matches(forwarded, wanted, 16_000)
    assert len(found) >= (end_s - start_s) / WINDOW_S - 2
    lags = [at for at, _ in found]
    assert max(lags) - min(lags) <= 1, found
    assert 0 <= lags[0] <= forwarded.size - wanted.size, found
    assert min(score for _, score in found) > 0.8, found
