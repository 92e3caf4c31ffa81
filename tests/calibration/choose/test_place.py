"""A place from its impulse response: known rooms, and paths that nobody measured."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.audio import load_room
from earmark.signal import RATE_HZ
from earmark_calibration.choose.place import LATE_S, SOUND_M_S, Place, place_of

from .rooms import AUDIO, place, response


@pytest.mark.parametrize("room", ["bedroom", "living_room", "kitchen"])
def test_reverberation_time_and_direct_sound_of_shipped_rooms(room: str) -> None:
    found = place(room)
    assert found.rt60_s == pytest.approx(load_room(room).rt60_s, rel=0.15)
    # 7 cm away it is 23 dB louder than at 1 m, less the interpolation between two samples.
    assert abs(found.at_1m[found.direct]) == pytest.approx(1.0 / 0.07, rel=0.15)


@pytest.mark.parametrize("room", ["bedroom", "living_room", "kitchen"])
@pytest.mark.parametrize("path", [("person_1m", "mic"), ("loudspeaker", "r2")])
def test_the_late_sound_of_other_paths_follows_from_the_devices_own(
    room: str, path: tuple[str, str]
) -> None:
    """Within 2 dB of what the simulation computed for the whole way across the room."""
    model = load_room(room)
    heard = model.responses[path].astype(np.float64)
    direct = int(np.argmax(np.abs(heard)))
    truth = float(np.sum(heard[direct + round(LATE_S * RATE_HZ) :] ** 2))
    found = place(room)
    mine = found.path(model.distance_m(*path), np.random.default_rng(1)).astype(np.float64)
    at = int(np.argmax(np.abs(mine[: round(0.01 * RATE_HZ)])))
    late = float(np.sum(mine[at + round(LATE_S * RATE_HZ) :] ** 2))
    assert 10.0 * np.log10(late / truth) == pytest.approx(0.0, abs=2.0)


def test_a_path_begins_with_its_direct_sound_and_is_drawn_anew() -> None:
    found, rng = place(), np.random.default_rng(3)
    one, other = found.path(2.0, rng), found.path(2.0, rng)
    at = round(2.0 / SOUND_M_S * RATE_HZ)
    assert one[at] == pytest.approx(0.5, abs=0.05)
    assert not one[:at].any()
    assert not np.array_equal(one, other)
    with pytest.raises(ValueError, match="positive"):
        found.path(0.0, rng)


def test_noise_has_its_spectrum_and_its_course() -> None:
    steady = place(noise_dbspl=40.0)
    noise = steady.noise(8 * RATE_HZ, np.random.default_rng(4))
    assert np.mean(np.square(noise)) == pytest.approx(steady.noise_psd.sum(), rel=0.05)
    swinging = Place(
        steady.response, 0.1, steady.noise_psd, AUDIO, noise_db=(0.0,) * 8 + (-20.0,) * 8
    )
    loud = swinging.noise(4 * RATE_HZ, np.random.default_rng(5)).reshape(-1, RATE_HZ // 8)
    levels = np.sort(10.0 * np.log10(np.mean(np.square(loud), axis=1)))
    assert levels[-4] - levels[3] == pytest.approx(20.0, abs=4.0)


def test_a_measured_response_is_cut_where_it_sinks_into_noise() -> None:
    rng = np.random.default_rng(6)
    delay = round(0.13 * RATE_HZ)
    clean = np.zeros(2 * RATE_HZ)
    known = response("kitchen")
    clean[delay : delay + known.size] = known
    impulse = clean + 2e-4 * rng.standard_normal(clean.size)
    listened = (1e-3 * rng.standard_normal(4 * RATE_HZ)).astype(np.float32)
    found = place_of(impulse, listened, AUDIO, 20.0)
    truth = place("kitchen")
    assert found.delay_s + found.direct / RATE_HZ == pytest.approx(
        0.13 + truth.direct / RATE_HZ, abs=1e-4
    )
    assert 10.0 * np.log10(found.late_energy / truth.late_energy) == pytest.approx(0.0, abs=1.5)
    assert found.noise_psd.sum() == pytest.approx(1e-6, rel=0.05)
    assert found.drift_ppm == 20.0
    with pytest.raises(ValueError, match="1 s or more"):
        place_of(impulse[:100], listened, AUDIO)


def test_clatter_in_the_measurement_does_not_lengthen_the_room() -> None:
    """A burst 150 ms after the direct sound, as dishes leave in a sweep's division."""
    rng = np.random.default_rng(7)
    known = response("kitchen").astype(np.float64)
    impulse = np.zeros(2 * RATE_HZ)
    impulse[1600 : 1600 + known.size] = known
    impulse += 1e-4 * rng.standard_normal(impulse.size)
    burst = 1600 + round(0.18 * RATE_HZ)
    impulse[burst : burst + 3200] += 0.02 * rng.standard_normal(3200)
    listened = (1e-3 * rng.standard_normal(2 * RATE_HZ)).astype(np.float32)
    found = place_of(impulse, listened, AUDIO)
    assert found.response.size < round(0.25 * RATE_HZ)
    assert found.rt60_s == pytest.approx(place("kitchen").rt60_s, rel=0.25)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"response": np.zeros(4000, np.float32)}, "silent"),
        ({"response": np.ones(10, np.float32)}, "20 ms"),
        ({"noise_psd": np.full(2049, -1.0)}, "negative"),
        ({"noise_psd": np.ones(3)}, "65 bins"),
    ],
)
def test_what_is_no_place_is_refused(change: dict[str, np.ndarray], says: str) -> None:
    known = {"response": response(), "noise_psd": np.ones(2049)}
    with pytest.raises(ValueError, match=says):
        Place(delay_s=0.1, audio=AUDIO, **(known | change))
