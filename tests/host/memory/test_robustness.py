"""Each change does what its name says, and the table counts what it is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from earmark.audio.room_model import RoomModel, load_room
from earmark.signal import RATE_HZ, Signal, level_dbfs
from earmark_host.bench.corpus import Clip
from earmark_host.memory import robustness
from earmark_host.memory.robustness import DIFFERENT, RETAKE, Pair, pairs, shares, takes

CONDITIONS = [
    "noise_20db",
    "noise_10db",
    "noise_0db",
    "room_20db",
    "room_10db",
    "trim_100ms",
    "trim_250ms",
    "speed_1pc",
    "speed_2pc",
    "speed_4pc",
    "opus_16kbit",
    "lowpass_3400hz",
    "different",
]
ROOM = load_room("bedroom")


def tone(hz: float, seconds: float = 1.0) -> Signal:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.2 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


@pytest.fixture
def no_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opus is slow, and most tests are not about it."""
    monkeypatch.setattr(robustness, "_coded", lambda signal, rng: signal)


def strongest_hz(signal: Signal) -> float:
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(signal.size)))
    return float(np.argmax(spectrum)) * RATE_HZ / signal.size


@pytest.fixture(scope="module")
def made() -> dict[str, Pair]:
    clips = [tone(500.0), tone(700.0)]
    found = pairs(clips, [ROOM], np.random.default_rng(1), [(tone(300.0), tone(310.0))])
    return {
        pair.condition: pair for pair in found if pair.a is clips[0] or pair.condition == RETAKE
    }


def test_all_conditions_are_there_and_the_takes_come_last(made: dict[str, Pair]) -> None:
    assert list(made) == [*CONDITIONS, RETAKE]


@pytest.mark.usefixtures("no_codec")
def test_without_rooms_their_conditions_are_left_out() -> None:
    found = pairs([tone(500.0), tone(700.0)], [], np.random.default_rng(1))
    conditions = [pair.condition for pair in found]
    assert conditions == 2 * [name for name in CONDITIONS if not name.startswith("room")]


@pytest.mark.parametrize("snr_db", [20, 10, 0])
def test_noise_has_the_level_of_its_name(made: dict[str, Pair], snr_db: int) -> None:
    _, a, b = made[f"noise_{snr_db}db"]
    scale = float(np.dot(a, b) / np.dot(a, a))  # below 1 where it would have clipped
    assert level_dbfs(scale * a) - level_dbfs(b - scale * a) == pytest.approx(snr_db, abs=0.2)
    assert np.abs(b).max() <= 1.0


def test_the_loudest_noise_does_not_clip() -> None:
    loud = robustness.add_noise(5.0 * tone(500.0), np.random.default_rng(2), 0.0)
    assert np.abs(loud).max() == pytest.approx(1.0)


def test_a_room_is_its_response_from_the_time_of_flight_on() -> None:
    click = np.zeros(RATE_HZ // 2, np.float32)
    click[0] = 1.0
    heard = robustness.in_room(click, ROOM, "person_2m")
    assert heard.shape == click.shape
    assert heard.dtype == np.float32
    assert np.argmax(np.abs(heard)) == pytest.approx(2.0 / 343.0 * RATE_HZ, abs=3)


@pytest.mark.usefixtures("no_codec")
def test_a_room_is_heard_from_all_its_places_but_the_device_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: set[str] = set()

    def spy(signal: Signal, room: RoomModel, source: str) -> Signal:
        drawn.add(source)
        return signal

    monkeypatch.setattr(robustness, "in_room", spy)
    list(pairs([tone(500.0, 0.3)] * 40, [ROOM], np.random.default_rng(6)))
    assert drawn == set(ROOM.sources) - {"loudspeaker"}


def test_a_trim_takes_from_the_beginning(made: dict[str, Pair]) -> None:
    for ms in (100, 250):
        _, a, b = made[f"trim_{ms}ms"]
        assert np.array_equal(b, a[16 * ms :])


def test_speed_moves_pitch_and_length() -> None:
    for percent in (4.0, -4.0):
        changed = robustness.change_speed(tone(1000.0, 2.0), percent)
        factor = 1.0 + percent / 100.0
        assert changed.size == pytest.approx(2 * RATE_HZ / factor, abs=2)
        assert strongest_hz(changed) == pytest.approx(1000.0 * factor, abs=1.0)


@pytest.mark.usefixtures("no_codec")
def test_speed_goes_both_ways() -> None:
    found = pairs([tone(500.0), tone(700.0)] * 8, [], np.random.default_rng(3))
    sizes = {pair.b.size for pair in found if pair.condition == "speed_4pc"}
    assert len(sizes) == 2
    assert min(sizes) < RATE_HZ < max(sizes)


@pytest.mark.usefixtures("no_codec")
def test_the_low_pass_keeps_the_voice_and_takes_the_rest() -> None:
    for hz, low, high in ((1000.0, -0.5, 0.5), (6800.0, -90.0, -30.0)):
        a = tone(hz)
        made = {pair.condition: pair.b for pair in pairs([a, a], [], np.random.default_rng(4))}
        assert low < level_dbfs(made["lowpass_3400hz"]) - level_dbfs(a) < high


def test_opus_changes_a_little(made: dict[str, Pair]) -> None:
    _, a, b = made["opus_16kbit"]
    assert b.shape == a.shape
    assert 1e-5 < float(np.mean((a - b) ** 2) / np.mean(a**2)) < 0.2


@pytest.mark.usefixtures("no_codec")
def test_a_different_clip_is_never_the_same() -> None:
    clips = [tone(hz) for hz in (400.0, 500.0, 600.0)]
    for seed in range(5):
        for condition, a, b in pairs(clips, [], np.random.default_rng(seed)):
            if condition == DIFFERENT:
                assert a is not b
                assert any(b is clip for clip in clips)
    with pytest.raises(ValueError, match="two clips"):
        list(pairs(clips[:1], [], np.random.default_rng(1)))


@pytest.mark.usefixtures("no_codec")
def test_the_same_seed_makes_the_same_pairs() -> None:
    clips = [tone(500.0), tone(700.0)]
    one, two = (list(pairs(clips, [ROOM], np.random.default_rng(5))) for _ in range(2))
    assert all(np.array_equal(x.b, y.b) for x, y in zip(one, two, strict=True))


class Lengths:
    """A fingerprint is a length; alike are those of one length."""

    name = "lengths"

    def fingerprint(self, signal: Signal) -> int:
        return signal.size

    def similarity(self, a: int, b: int) -> float:
        return min(a, b) / max(a, b)

    def similarities(self, a: int, many: Sequence[int]) -> NDArray[np.float64]:
        return np.array([self.similarity(a, b) for b in many])


def test_the_table_counts_pairs_above_the_threshold() -> None:
    sound = np.ones(100, np.float32)
    given = [Pair("trim", sound, sound[:n]) for n in (100, 90, 80, 50)]
    given += [Pair("same", sound[:50], sound[:50]), Pair("trim", sound[:20], sound[:10])]
    table = shares(Lengths(), 0.8, given)
    assert list(table) == ["trim", "same"]
    assert (table["trim"].above, table["trim"].pairs) == (2, 5)  # 0.8 itself is not above
    assert table["trim"].value == 0.4
    assert table["trim"].median == pytest.approx(0.8)
    assert table["same"].value == 1.0


def test_takes_are_of_one_person_and_the_same_words() -> None:
    rows = [
        ("a1", "ann", "on", ""),
        ("b1", "bob", "on", ""),
        ("a2", "ann", "off", ""),
        ("a3", "ann", "on", ""),
        ("a4", "ann", "on", ""),
        ("x1", "", "on", ""),
        ("x2", "", "on", ""),
        ("c1", "cyd", "", "good night"),
        ("c2", "cyd", "", "good night"),
        ("d1", "dan", "", ""),
        ("d2", "dan", "", ""),
    ]
    clips = [Clip(path, "command", who, label, text) for path, who, label, text in rows]
    found = [(one.path, other.path) for one, other in takes(clips)]
    assert found == [("a1", "a3"), ("c1", "c2")]
