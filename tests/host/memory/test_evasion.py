"""Evasions do what they say, to each query anew, and leave the rest of the stream alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ, Signal, gain, rms
from earmark_host.memory.evasion import (
    EVASIONS,
    Evasion,
    Materials,
    with_band_limit,
    with_equaliser,
    with_fakes,
    with_gain,
    with_music_bed,
    with_own_noise,
    with_pauses,
    with_reverb,
    with_speed,
    with_trims,
)
from earmark_host.memory.stream import Query, Stream

SHARES = pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.6, 0.7, 0.9, 0.98])


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(hz: float = 1000.0, seconds: float = 1.0) -> Signal:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.asarray(0.1 * np.sin(2 * np.pi * hz * time), np.float32)


def attack(count: int = 4, signal: Signal | None = None, won_at: int | None = None) -> Stream:
    sound = tone() if signal is None else signal
    queries = [Query(sound, 100.0 + 10.0 * i, snr_db=20.0 - i) for i in range(count)]
    return Stream("attack", "music", queries, won_at, {"victim": "none"})


def clips(count: int) -> list[Signal]:
    """Clips that can be told apart: number n is n + 1 everywhere."""
    return [np.full(4, n + 1, np.float32) for n in range(count)]


MATERIALS = Materials(fakes=[0.01 * tone(300.0)] * 3, music=[tone(440.0), tone(880.0, 0.3)])


@SHARES
def test_the_share_of_fakes_is_as_asked(share: float) -> None:
    hidden = with_fakes(attack(40), clips(3), share, rng())
    fakes = [query.fake for query in hidden.queries]
    assert fakes.count(False) == 40
    assert len(fakes) == pytest.approx(40 / (1 - share), abs=1)


@SHARES
def test_the_share_of_fakes_holds_in_any_long_window(share: float) -> None:
    fakes = np.array(
        [query.fake for query in with_fakes(attack(60), clips(3), share, rng()).queries]
    )
    window = min(fakes.size, max(20, round(6 / (1 - share))))
    real = np.lib.stride_tricks.sliding_window_view(~fakes, window).sum(axis=1)
    assert np.abs(real - window * (1 - share)).max() <= 2.0


def test_the_places_of_the_fakes_are_random() -> None:
    gaps = set()
    one, other = (
        [q.fake for q in with_fakes(attack(30), clips(3), 0.9, rng(s)).queries] for s in (1, 2)
    )
    assert one != other
    real = np.flatnonzero(~np.array(one))
    gaps = set(np.diff(real).tolist())
    assert len(gaps) > 5


def test_the_attack_keeps_its_order_and_its_sound_among_fakes() -> None:
    before = attack(20)
    real = [query for query in with_fakes(before, clips(3), 0.7, rng()).queries if not query.fake]
    assert [query.snr_db for query in real] == [query.snr_db for query in before.queries]
    assert all(a.signal is b.signal for a, b in zip(real, before.queries, strict=True))


def test_won_at_points_to_the_same_query_among_fakes() -> None:
    hidden = with_fakes(attack(20, won_at=13), clips(3), 0.9, rng())
    assert hidden.won_at is not None
    assert hidden.won_at >= 130
    assert hidden.queries[hidden.won_at].snr_db == 20.0 - 13
    assert with_fakes(attack(20), clips(3), 0.9, rng()).won_at is None


def test_each_fake_comes_once_before_any_comes_again() -> None:
    pool = clips(30)
    fakes = [q for q in with_fakes(attack(20), pool, 0.75, rng()).queries if q.fake]
    assert len(fakes) == 60
    numbers = [int(q.signal[0]) for q in fakes]
    counts = np.bincount(numbers, minlength=31)[1:]
    assert counts.max() <= 3
    assert counts.min() >= 1
    assert numbers[:30] != sorted(numbers[:30])


def test_enough_fakes_are_never_repeated() -> None:
    numbers = [
        int(q.signal[0]) for q in with_fakes(attack(), clips(36), 0.9, rng()).queries if q.fake
    ]
    assert len(numbers) == len(set(numbers)) == 36


def test_fakes_are_shared_and_not_copied() -> None:
    pool = clips(2)
    for query in with_fakes(attack(40), pool, 0.98, rng()).queries:
        assert not query.fake or any(query.signal is clip for clip in pool)
        assert not query.fake or query.snr_db is None


def test_fakes_can_be_drawn() -> None:
    hidden = with_fakes(attack(), lambda r: r.standard_normal(8).astype(np.float32), 0.9, rng())
    drawn = [tuple(query.signal) for query in hidden.queries if query.fake]
    assert len(set(drawn)) == len(drawn) == 36
    assert drawn == [tuple(query.signal) for query in hidden.queries if query.fake]


def test_fakes_keep_the_pace() -> None:
    times = [query.at_s for query in with_fakes(attack(5), clips(3), 0.8, rng()).queries]
    assert times == [100.0 + 10.0 * i for i in range(25)]
    alone = [query.at_s for query in with_fakes(attack(1), clips(3), 0.5, rng()).queries]
    assert alone == [100.0, 110.0]


@pytest.mark.parametrize("share", [-0.1, 0.99, 1.0, math.nan])
def test_an_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        with_fakes(attack(), clips(3), share, rng())


def test_fakes_need_clips() -> None:
    with pytest.raises(EarmarkError, match="no clips"):
        with_fakes(attack(), [], 0.5, rng())
    assert len(with_fakes(attack(), [], 0.0, rng()).queries) == 4


def test_pauses_move_the_queries_days_apart() -> None:
    before = attack(30, won_at=3)
    apart = with_pauses(before, 3.0, rng())
    times = np.array([query.at_s for query in apart.queries])
    gaps = (np.diff(times) - 10.0) / 86_400.0
    assert times[0] == 100.0
    assert gaps.min() >= 1.5
    assert gaps.max() <= 4.5
    assert np.ptp(gaps) > 1.0
    assert apart.won_at == 3
    assert apart.queries[5].signal is before.queries[5].signal
    assert apart.queries[5].snr_db == 15.0
    with pytest.raises(ValueError, match="days"):
        with_pauses(before, -1.0, rng())


SOUND: Sequence[tuple[str, Callable[[Stream, np.random.Generator], Stream]]] = (
    ("noise", lambda s, r: with_own_noise(s, 10.0, "pink", r)),
    ("trims", lambda s, r: with_trims(s, 0.2, r)),
    ("speed", lambda s, r: with_speed(s, 4.0, r)),
    ("equaliser", lambda s, r: with_equaliser(s, 12.0, r)),
    ("gain", lambda s, r: with_gain(s, 20.0, r)),
    ("band", with_band_limit),
    ("reverb", lambda s, r: with_reverb(s, 0.3, 0.0, r)),
    ("music", lambda s, r: with_music_bed(s, 5.0, MATERIALS.music, r)),
)


@pytest.mark.parametrize("evade", [e for _, e in SOUND], ids=[name for name, _ in SOUND])
def test_each_query_is_changed_anew_and_the_same_each_time(
    evade: Callable[[Stream, np.random.Generator], Stream],
) -> None:
    loud = attack(3, np.asarray(9.0 * tone(), np.float32), won_at=1)
    changed = evade(loud, rng())
    signals = [query.signal for query in changed.queries]
    assert all(a.size != b.size or not np.array_equal(a, b) for a, b in pairwise(signals))
    assert all(s.dtype == np.float32 and np.abs(s).max() <= 1.0 for s in signals)
    again = evade(loud, rng()).queries[2].signal
    np.testing.assert_array_equal(signals[2], again)
    np.testing.assert_array_equal(signals[2], changed.queries[2].signal)
    other = evade(loud, rng(2)).queries[2].signal
    assert other.size != again.size or not np.array_equal(other, again)
    assert changed.won_at == 1
    assert [q.at_s for q in changed.queries] == [q.at_s for q in loud.queries]
    assert changed.facts["victim"] == "none"
    np.testing.assert_array_equal(loud.queries[2].signal, np.asarray(9.0 * tone(), np.float32))


@pytest.mark.parametrize(("name", "evade"), SOUND)
def test_the_snr_is_kept_only_where_it_is_known(
    name: str, evade: Callable[[Stream, np.random.Generator], Stream]
) -> None:
    assert evade(attack(), rng()).queries[1].snr_db == (19.0 if name == "gain" else None)


def level_db(signal: Signal) -> float:
    return 20.0 * math.log10(rms(signal))


@pytest.mark.parametrize("snr_db", [30.0, 0.0, -5.0])
@pytest.mark.parametrize("colour", ["white", "pink"])
def test_own_noise_has_its_level(snr_db: float, colour: str) -> None:
    noisy = with_own_noise(attack(), snr_db, colour, rng()).queries[0].signal  # type: ignore[arg-type]
    assert level_db(tone()) - level_db(noisy - tone()) == pytest.approx(snr_db, abs=0.05)


def test_own_noise_has_its_colour() -> None:
    slopes = []
    for colour in ("white", "pink"):
        noise = with_own_noise(attack(), 0.0, colour, rng()).queries[0].signal - tone()  # type: ignore[arg-type]
        power = np.abs(np.fft.rfft(noise)) ** 2
        slopes.append(10.0 * math.log10(power[400:500].mean() / power[4000:5000].mean()))
    assert slopes == pytest.approx([0.0, 10.0], abs=1.0)


def test_trims_cut_and_pad_within_their_bounds() -> None:
    ramp = np.linspace(0.1, 0.9, 2 * RATE_HZ, dtype=np.float32)
    starts, ends, pads = [], [], []
    for query in with_trims(attack(60, ramp), 0.25, rng()).queries:
        pad = int(np.argmax(query.signal > 0))
        kept = query.signal[pad:]
        at = int(np.searchsorted(ramp, kept[0]))
        np.testing.assert_array_equal(kept, ramp[at : at + kept.size])
        starts.append(at / RATE_HZ)
        ends.append((ramp.size - at - kept.size) / RATE_HZ)
        pads.append(pad / RATE_HZ)
    for values, most in ((starts, 0.25), (ends, 0.25), (pads, 0.5)):
        assert 0.8 * most < max(values) <= most
        assert min(values) < 0.2 * most


def test_trims_leave_half_a_second() -> None:
    sizes = [q.signal.size for q in with_trims(attack(20), 5.0, rng(), pad_s=0.0).queries]
    assert min(sizes) == RATE_HZ // 2
    short = with_trims(attack(1, tone(seconds=0.3)), 5.0, rng(), pad_s=0.0)
    np.testing.assert_array_equal(short.queries[0].signal, tone(seconds=0.3))


def peak_hz(signal: Signal) -> float:
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(signal.size), 1 << 16))
    return float(np.argmax(spectrum)) * RATE_HZ / (1 << 16)


def test_speed_moves_pitch_and_length_within_its_range() -> None:
    factors = []
    for query in with_speed(attack(25), 4.0, rng()).queries:
        factor = peak_hz(query.signal) / 1000.0
        assert RATE_HZ / query.signal.size == pytest.approx(factor, abs=1e-3)
        factors.append(factor)
    assert 0.9599 <= min(factors) < 0.98
    assert 1.02 < max(factors) <= 1.0401


def test_speed_goes_round_a_ladder() -> None:
    changed = with_speed(attack(6), 4.0, rng(), step=2.0)
    got = [peak_hz(query.signal) for query in changed.queries]
    assert got == pytest.approx([960.0, 980.0, 1000.0, 1020.0, 1040.0, 960.0], abs=0.5)


@pytest.mark.parametrize("percent", [-1.0, 51.0])
def test_an_impossible_speed_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        with_speed(attack(), percent, rng())


def test_the_equaliser_stays_within_its_range_and_is_smooth() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[RATE_HZ // 2] = 0.1
    for query in with_equaliser(attack(8, click), 12.0, rng()).queries:
        curve_db = 20.0 * np.log10(np.abs(np.fft.rfft(query.signal)) / 0.1)
        heard = curve_db[100:8000]
        assert np.abs(heard).max() < 12.5
        assert np.ptp(heard) > 3.0
        assert np.abs(np.diff(heard)).max() < 0.5


def test_the_equaliser_does_not_wrap_around() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[20] = 0.1
    out = with_equaliser(attack(1, click), 12.0, rng()).queries[0].signal
    assert np.abs(out[-1000:]).max() < 1e-4 * np.abs(out).max()


def test_gain_only_lowers() -> None:
    levels = [
        level_db(q.signal) - level_db(tone()) for q in with_gain(attack(40), 20.0, rng()).queries
    ]
    assert -20.01 <= min(levels) < -16.0
    assert -4.0 < max(levels) <= 0.01


def test_a_band_takes_the_ends_away() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[100] = 0.5
    highs = set()
    for query in with_band_limit(attack(6, click), rng()).queries:
        curve_db = 20.0 * np.log10(np.abs(np.fft.rfft(query.signal)) / 0.5 + 1e-9)
        assert curve_db[10] < -30.0
        assert curve_db[7950] < -15.0
        assert curve_db[1000] == pytest.approx(0.0, abs=0.5)
        highs.add(int(np.flatnonzero(curve_db > -3.0)[-1]))
    assert all(2490 <= hz <= 7510 for hz in highs)
    assert len(highs) == 6


def test_reverb_decays_at_its_rate() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[0] = 0.5
    wet = with_reverb(attack(1, click), 0.5, 6.0, rng()).queries[0].signal / 0.5
    assert wet[0] == pytest.approx(1.0, abs=1e-4)
    assert rms(wet[1:]) * math.sqrt(wet.size - 1) == pytest.approx(gain(-6.0), abs=0.01)
    early, late = wet[1:1601], wet[4001:5601]  # a quarter of a second apart
    assert level_db(early) - level_db(late) == pytest.approx(30.0, abs=1.5)


def test_a_room_without_reverberation_is_refused() -> None:
    with pytest.raises(ValueError, match="reverberation"):
        with_reverb(attack(), 0.0, 6.0, rng())


def test_music_lies_under_the_query_at_its_level() -> None:
    mixed = with_music_bed(attack(8), 5.0, [tone(440.0), tone(880.0, 0.3)], rng())
    found = set()
    for query in mixed.queries:
        bed = query.signal - tone()
        assert level_db(tone()) - level_db(bed) == pytest.approx(5.0, abs=0.05)
        found.add(round(peak_hz(bed), -1))
    assert found == {440.0, 880.0}


def test_music_is_needed() -> None:
    with pytest.raises(EarmarkError, match="no music"):
        with_music_bed(attack(), 5.0, [], rng())


@pytest.mark.parametrize("evasion", EVASIONS.values(), ids=list(EVASIONS))
def test_every_evasion_of_the_registry_works(evasion: Evasion) -> None:
    assert EVASIONS[evasion.name] is evasion
    before = attack(3, won_at=2)
    after = evasion.apply(before, MATERIALS, rng())
    real = [query for query in after.queries if not query.fake]
    assert len(real) == 3
    assert after.won_at is not None
    assert after.queries[after.won_at].fake is False
    assert after.name == before.name
    done = after.facts.get("evasions", [])
    assert isinstance(done, list)
    assert len(done) == (evasion.name != "none")
    json.dumps(after.facts)
    assert "evasions" not in before.facts


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("noise_minus_5", lambda q: level_db(tone()) - level_db(q.signal - tone()) < -4.9),
        ("noise_20", lambda q: 19.9 < level_db(tone()) - level_db(q.signal - tone()) < 20.1),
        ("speed_steps_4", lambda q: peak_hz(q.signal) == pytest.approx(980.0, abs=0.5)),
        ("trim_250ms", lambda q: 0.5 * RATE_HZ <= q.signal.size <= 1.5 * RATE_HZ),
    ],
)
def test_names_say_the_strength(name: str, check: Callable[[Query], bool]) -> None:
    assert check(EVASIONS[name].apply(attack(), MATERIALS, rng()).queries[1])


def test_the_registry_has_the_shares_of_fakes_in_its_names() -> None:
    for percent in (25, 50, 60, 70, 80, 90, 95, 98):
        hidden = EVASIONS[f"fakes_{percent}"].apply(attack(20), MATERIALS, rng())
        share = np.mean([query.fake for query in hidden.queries])
        assert share == pytest.approx(percent / 100.0, abs=0.02)


def test_evasions_can_be_put_one_after_the_other() -> None:
    noisy = EVASIONS["noise_10"].apply(attack(10, won_at=4), MATERIALS, rng(1))
    hidden = EVASIONS["fakes_90"].apply(noisy, MATERIALS, rng(2))
    moved = EVASIONS["trim_250ms"].apply(hidden, MATERIALS, rng(3))
    assert moved.facts["evasions"] == [
        "own pink noise at 10 dB",
        "90% fake queries",
        "trims up to 0.25 s, silence up to 0.5 s",
    ]
    assert moved.won_at == hidden.won_at
    assert [query.fake for query in moved.queries] == [query.fake for query in hidden.queries]
