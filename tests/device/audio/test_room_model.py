"""Room files: what is saved is loaded, what is damaged is refused with a remedy."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from earmark.audio import AudioSettings, RoomModel, SimulatedRoom, load_room, open_port
from earmark.audio.room_model import LEAD, SOUND_M_S, shipped_rooms
from earmark.errors import AudioError
from earmark.signal import RATE_HZ

PEOPLE = [f"person_{distance}m" for distance in ("0.5", "1", "2", "3", "4")]


@pytest.mark.parametrize("name", shipped_rooms())
def test_a_shipped_room_has_everybody_in_their_place(name: str) -> None:
    room = load_room(name)
    assert set(room.sources) == {"loudspeaker", "attacker", "television", *PEOPLE}
    assert set(room.receivers) == {"mic", "r1", "r2", "r3"}
    for person in PEOPLE:
        assert room.distance_m(person) == pytest.approx(float(person[7:-1]), abs=1e-6)
    assert room.distance_m("loudspeaker") == pytest.approx(0.07)
    assert room.distance_m("attacker") == pytest.approx(1.0)
    assert room.distance_m("mic", "r1") == pytest.approx(1.0)
    assert room.distance_m("person_1m", "r1") == pytest.approx(1.0)
    assert room.distance_m("person_1m", "r2") == pytest.approx(0.2)
    assert room.distance_m("mic", "r3") == pytest.approx(0.27)
    places = np.array(list(room.positions.values()))
    assert np.all((places > 0.0) & (places < room.size_m))


@pytest.mark.parametrize("name", shipped_rooms())
def test_direct_sound_comes_after_its_time_of_flight_at_1_over_distance(name: str) -> None:
    room = load_room(name)
    for (source, receiver), response in room.responses.items():
        if (source, receiver) in room.measured:
            continue
        distance = room.distance_m(source, receiver)
        at = LEAD + distance / SOUND_M_S * RATE_HZ
        near = response[round(at) - 3 : round(at) + 4]
        assert abs(int(np.argmax(np.abs(near))) + round(at) - 3 - at) <= 0.6
        # The sum over an interpolated impulse is its gain; reflections may come close.
        if distance < 0.3:
            assert near.sum() == pytest.approx(1.0 / distance, rel=0.15)
        assert np.max(np.abs(response[: max(0, round(at) - LEAD)]), initial=0.0) < 1e-3


def test_a_saved_room_is_loaded_as_it_was(tmp_path: Path) -> None:
    room = load_room("bedroom")
    room.save(tmp_path / "room.npz")
    again = load_room(str(tmp_path / "room.npz"))
    assert (again.name, again.rt60_s, again.size_m, again.positions, again.measured) == (
        room.name,
        room.rt60_s,
        room.size_m,
        room.positions,
        room.measured,
    )
    for pair, response in room.responses.items():
        error = np.sum((again.responses[pair] - response).astype(np.float64) ** 2)
        assert 10.0 * np.log10(error / np.sum(response.astype(np.float64) ** 2) + 1e-12) < -63.0


def test_the_port_opens_on_a_shipped_room() -> None:
    port = open_port(AudioSettings(kind="simulated", room="bedroom"))
    assert isinstance(port, SimulatedRoom)
    assert port.room.name == "bedroom"


def test_a_device_in_service_does_not_load_the_simulation() -> None:
    program = "import sys, earmark.audio; sys.exit('scipy.signal' in sys.modules)"
    path = os.pathsep.join(part for part in sys.path if part)
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": path}
    )


# -- failures -------------------------------------------------------------------------------


def rewritten(path: Path, **changes: object) -> Path:
    """A shipped room with parts of its description or its audio changed."""
    load_room("bedroom").save(path)
    with np.load(path) as members:
        meta, flac = json.loads(members["meta"].tobytes()), members["flac"]
    flac = changes.pop("flac", flac)
    meta.update(changes)
    np.savez(path, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), flac=flac)
    return path


def test_a_missing_room_names_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"cannot be read.*kitchen, living_room"):
        load_room("ballroom")
    with pytest.raises(AudioError, match="cannot be read"):
        load_room(str(tmp_path))


@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_a_truncated_room_is_refused(tmp_path: Path, keep: int) -> None:
    path = rewritten(tmp_path / "room.npz")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(AudioError, match=r"is damaged.*from the repository again"):
        load_room(str(path))


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_room_with_a_changed_byte_is_refused(tmp_path: Path, at: float) -> None:
    path = rewritten(tmp_path / "room.npz")
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(AudioError, match="is damaged"):
        load_room(str(path))


@pytest.mark.parametrize(
    "changes",
    [
        {"paths": []},
        {"paths": [{"source": "loudspeaker"}]},
        {"paths": 3},
        {"rate_hz": 48000},
        {"size_m": [1, 2]},
        {"positions": 1},
        {"flac": np.zeros(100, dtype=np.uint8)},
    ],
)
def test_a_room_with_a_wrong_description_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    with pytest.raises(AudioError, match="is damaged"):
        load_room(str(rewritten(tmp_path / "room.npz", **changes)))


def test_a_room_of_another_version_says_so(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"version 2.*earmark-host room compute"):
        load_room(str(rewritten(tmp_path / "room.npz", version=2)))


def test_a_room_file_is_bounded(tmp_path: Path) -> None:
    large = tmp_path / "large.npz"
    large.write_bytes(bytes(4_000_001))
    with pytest.raises(AudioError, match="larger than"):
        load_room(str(large))
    bomb = io.BytesIO()
    np.savez_compressed(bomb, meta=np.zeros(5_000_000, dtype=np.uint8))
    small = tmp_path / "bomb.npz"
    small.write_bytes(bomb.getvalue())
    assert small.stat().st_size < 100_000
    with pytest.raises(AudioError, match="unpacks to more"):
        load_room(str(small))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (np.zeros(LEAD, dtype=np.float32), "longer than 40"),
        (np.zeros(100), "float32"),
        (np.full(100, np.nan, dtype=np.float32), "not finite"),
        (np.zeros(32_001, dtype=np.float32), "longer than 2.0 s"),
    ],
)
def test_impossible_responses_are_refused(response: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RoomModel("x", 0.3, (3.0, 3.0, 3.0), {}, {("loudspeaker", "mic"): response})


def test_a_room_needs_the_path_from_loudspeaker_to_microphone() -> None:
    with pytest.raises(ValueError, match="from loudspeaker to mic"):
        RoomModel("x", 0.3, (3.0, 3.0, 3.0), {}, {})
