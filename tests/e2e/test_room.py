"""The virtual room checks itself: what the other tests measure is measured in a room."""

from __future__ import annotations

import pytest
from tests.e2e.room import ATTACKER, LOUDSPEAKER, PERSON, VirtualRoom
from tests.e2e.server import AudioServer


def test_the_microphone_hears_what_the_responses_say(room: VirtualRoom) -> None:
    """recording = playback * RIR1 + speech * RIR2, to the last bit but one."""
    assert set(room.checked) == {LOUDSPEAKER, PERSON}
    assert all(probe.exact for probe in room.checked.values())


def test_with_the_noise_on_there_is_that_noise_and_nothing_else(room: VirtualRoom) -> None:
    probe = room.probe(ATTACKER)
    assert probe.gain_db == pytest.approx(0.0, abs=0.1)
    # A chirp of 74 dB SPL at 1 m over the 35 dB SPL of a quiet home.
    assert -45.0 < probe.residual_db < -25.0


def test_a_machine_without_a_sound_server_is_told_what_to_install(
    room: VirtualRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    server = AudioServer(room.folder / "none", "air")
    with pytest.raises(AssertionError, match=r"lacks .*pipewire-bin.*wireplumber.*\.ci/setup-room"):
        server.start()
