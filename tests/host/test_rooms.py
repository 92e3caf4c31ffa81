"""Computed rooms have the asked reverberation, and the same seed gives the same room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

pytest.importorskip("pyroomacoustics")

from earmark.audio import RoomModel, load_room, shipped_rooms
from earmark.errors import AudioError
from earmark_host.room_command import compute
from earmark_host.rooms import (
    RoomSpec,
    compute_room,
    direct_to_reverberant_db,
    measure_rt60_s,
    random_spec,
    read_response,
    with_measured_room,
)

SPEC = RoomSpec("study", (5.0, 4.0, 2.5), 0.3)


@pytest.fixture(scope="module")
def room() -> RoomModel:
    return compute_room(SPEC, 3)


def test_reverberation_time_is_what_was_asked_for(room: RoomModel) -> None:
    assert len(room.sources) == 8
    for source in room.sources:
        if source != "loudspeaker":  # so near that its decay begins with a step
            rt60_s = measure_rt60_s(room.responses[source, "mic"])
            assert rt60_s == pytest.approx(SPEC.rt60_s, rel=0.15)


def test_direct_sound_weighs_less_with_distance(room: RoomModel) -> None:
    ratios = [
        direct_to_reverberant_db(room.responses[name, "mic"], room.distance_m(name))
        for name in ("loudspeaker", "person_0.5m", "person_1m", "person_4m")
    ]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[0] > 15.0


def test_the_same_seed_gives_the_same_room(room: RoomModel) -> None:
    again, other = compute_room(SPEC, 3), compute_room(SPEC, 4)
    assert again.positions == room.positions != other.positions
    for pair, response in room.responses.items():
        np.testing.assert_array_equal(again.responses[pair], response)


def test_random_rooms_are_within_their_ranges() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        spec = random_spec(rng)
        length, width, height = spec.size_m
        assert 3.0 <= length <= 8.0
        assert 2.5 <= width <= 6.0
        assert 2.4 <= height <= 3.0
        assert 0.2 <= spec.rt60_s <= 0.6


def test_a_small_room_leaves_out_who_does_not_fit() -> None:
    small = compute_room(RoomSpec("closet", (3.0, 2.5, 2.4), 0.3), 1)
    assert "person_4m" not in small.sources
    assert "person_1m" in small.sources


def test_measured_reverberation_replaces_only_the_named_paths(room: RoomModel) -> None:
    rng = np.random.default_rng(0)
    decay = 10.0 ** (-3.0 * np.arange(8000) / 16000 / 0.5)
    response = (0.05 * rng.standard_normal(8000) * decay).astype(np.float32)
    response[10] = 1.0
    mixed = with_measured_room(room, response, ["person_2m"], "somebody's cellar.")
    assert mixed.measured == {("person_2m", "mic")}
    assert mixed.provenance.startswith("somebody's cellar. The other paths computed")
    assert mixed.responses["person_1m", "mic"] is room.responses["person_1m", "mic"]
    whole = mixed.responses["person_2m", "mic"]
    assert measure_rt60_s(whole) == pytest.approx(0.5, rel=0.1)
    assert int(np.argmax(np.abs(whole))) == round(40 + 2.0 / 343.0 * 16000)


def test_the_shipped_rooms_are_small_enough() -> None:
    folder = Path(__import__("earmark.audio").audio.__file__).parent / "rooms"
    assert {path.stem for path in folder.glob("*.npz")} == set(shipped_rooms())
    assert sum(path.stat().st_size for path in folder.glob("*.npz")) < 1_200_000


# -- the command and its failures -----------------------------------------------------------


@pytest.fixture(scope="module")
def command() -> typer.Typer:
    app = typer.Typer()
    app.command()(compute)
    return app


def test_the_command_writes_a_room_that_loads(command: typer.Typer, tmp_path: Path) -> None:
    out = tmp_path / "study.npz"
    options = ["--name", "study", "--size-m", "5", "4", "2.5", "--rt60-s", "0.2", "--out", str(out)]
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 0, result.output
    assert "person_1m" in result.output
    assert load_room(str(out)).name == "study"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "attic"], "give --size-m and --rt60-s"),
        (["--name", "attic", "--size-m", "1", "1", "2", "--rt60-s", "0.3"], "2 to 15 m"),
        (["--name", "attic", "--size-m", "5", "4", "2.5", "--rt60-s", "9"], "0.15 to 1.0 s"),
    ],
)
def test_impossible_rooms_are_refused(
    command: typer.Typer, tmp_path: Path, options: list[str], message: str
) -> None:
    result = CliRunner().invoke(command, [*options, "--out", str(tmp_path / "x.npz")])
    assert result.exit_code == 2
    assert message in result.output


def test_a_measured_response_of_another_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rir.wav"
    soundfile.write(path, np.zeros(100), 48000)
    with pytest.raises(AudioError, match=r"sox .* -r 16000"):
        read_response(path)
    with pytest.raises(AudioError, match="cannot be read"):
        read_response(tmp_path / "missing.wav")
