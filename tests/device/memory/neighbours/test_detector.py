"""The detector that counts near-copies: when it alarms, what it says, what it remembers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.demo.clips import ClipKind, Clips
from earmark.memory.carrier import CarrierKind
from earmark.memory.entries import Cluster, Remembered
from earmark.memory.neighbours import (
    ALARMS,
    Fingerprint,
    Learnt,
    Neighbours,
    NeighboursDetector,
    NeighboursLimits,
    NeighboursSettings,
    Sign,
    fingerprint,
    likeness,
)
from earmark.signal import RATE_HZ, rms

LIMITS = NeighboursLimits(floor=0.1, slope=1.8, mean=0.03, approved=0.6)
"""For 120 peaks .264: copies of which 20 % of the peaks changed have some .65, others .15."""

START_S = 1.8e9
MINUTE_S = 60.0
DAY_S = 86_400.0


@dataclass
class Device:
    """A detector and what would be stored; a query each minute."""

    detector: NeighboursDetector
    queries: list[Remembered] = field(default_factory=list)
    kept: dict[int, Cluster] = field(default_factory=dict)
    number: int = 0
    now_s: float = START_S
    learnt: Learnt = field(default_factory=lambda: Learnt(None, None))

    def hears(self, one: Fingerprint, carrier: CarrierKind = "speech") -> Neighbours:
        found, self.learnt = self.detector.examine(self.number, one, carrier, self.now_s)
        self.now_s += MINUTE_S
        if self.learnt.query is not None:
            assert self.learnt.query.number == self.number
            self.queries.append(self.learnt.query)
            self.number += 1
        if self.learnt.cluster is not None:
            self.put(self.learnt.cluster)
        return found

    def signs(self, many: Iterable[Fingerprint]) -> list[Sign]:
        return [self.hears(one).sign for one in many]

    def forgets(self, cluster_id: int, last: int) -> None:
        """What a query memory does with a cluster that the owner wants forgotten."""
        self.detector.drop(cluster_id)
        del self.kept[cluster_id]
        self.queries = [q for q in self.queries[-last:] if q.cluster != cluster_id]

    def approves(self, cluster_id: int, last: int) -> None:
        """What it does with one that the owner approves."""
        self.put(self.detector.approve(cluster_id))
        self.queries = [q for q in self.queries[-last:] if q.cluster != cluster_id]

    def put(self, cluster: Cluster) -> None:
        self.kept.pop(cluster.id, None)
        self.kept[cluster.id] = cluster

    def restarted(self, settings: NeighboursSettings) -> Device:
        """Another detector with what was stored of this one."""
        detector = NeighboursDetector(settings, LIMITS)
        queries = self.queries[-settings.last :]
        detector.restore(queries, self.kept.values())
        return Device(detector, list(queries), dict(self.kept), self.number, self.now_s)


def settings(**chosen: Any) -> NeighboursSettings:
    return NeighboursSettings.model_validate({"speeds_percent": (), **chosen})


def device(limits: NeighboursLimits = LIMITS, **chosen: Any) -> Device:
    return Device(NeighboursDetector(settings(**chosen), limits))


@dataclass
class Series:
    """Near-copies of one sound, and sounds that are unlike all others."""

    peaks: Any
    rng: np.random.Generator
    carrier: Fingerprint

    def copy(self, share: float = 0.2) -> Fingerprint:
        one: Fingerprint = self.peaks.changed(self.carrier, self.rng, share)
        return self.peaks.later(one, int(self.rng.integers(30)))

    def fake(self) -> Fingerprint:
        return self.peaks.drawn(self.rng)

    def copies(self, count: int) -> list[Fingerprint]:
        return [self.copy() for _ in range(count)]

    def fakes(self, count: int) -> list[Fingerprint]:
        return [self.fake() for _ in range(count)]


@pytest.fixture
def series(peaks: Any, rng: np.random.Generator) -> Series:
    return Series(peaks, rng, peaks.drawn(rng))


def attacked(series: Series, home: Device) -> Neighbours:
    """Six copies; the alarm."""
    *before, alarm = [home.hears(one) for one in series.copies(6)]
    assert not any(found.alarm for found in before)
    assert alarm.sign is Sign.COPIES
    return alarm


# The alarm


@pytest.mark.parametrize("copies", [2, 5, 9])
def test_the_alarm_comes_with_the_query_that_has_so_many_copies(
    series: Series, copies: int
) -> None:
    home = device(copies=copies)
    found = [home.hears(one) for one in series.copies(copies + 1)]
    assert [each.copies for each in found] == list(range(copies + 1))
    assert [each.sign for each in found] == [Sign.NEW] * copies + [Sign.COPIES]
    assert [each.alarm for each in found] == [False] * copies + [True]


def test_fakes_in_between_do_not_matter(series: Series) -> None:
    home = device()
    for number in range(6):
        found = home.hears(series.copy())
        assert found.alarm == (number == 5)
        assert home.signs(series.fakes(25)) == [Sign.NEW] * 25
    assert found.count == 6


def test_what_is_older_than_the_last_is_forgotten(series: Series) -> None:
    home = device(last=50)
    signs = []
    for _ in range(8):  # each has the four before it among the last 50, never five
        signs += home.signs([series.copy(), *series.fakes(10)])
    assert set(signs) == {Sign.NEW}


def test_the_oldest_of_the_last_counts(series: Series) -> None:
    """The copies stand at 1, 11, .. 41 of the 50 that are remembered, and at 51."""
    home = device(last=50)
    for number in range(6):
        found = home.hears(series.copy())
        if number < 5:
            home.signs(series.fakes(9))
    assert found.sign is Sign.COPIES
    assert found.copies == 5
    assert home.learnt.cluster is not None
    assert home.learnt.cluster.exemplars[-1] == home.queries[-1].fingerprint
    assert len(home.learnt.cluster.exemplars) in (5, 6)


def test_different_people_and_sounds_never_alarm(clips: Clips) -> None:
    home = Device(NeighboursDetector(NeighboursSettings(), LIMITS))
    spoken = [clip.spoken for kind in ClipKind for clip in clips.all(kind)]
    marked = [fingerprint(each[: 4 * RATE_HZ]) for each in spoken if each.size > RATE_HZ]
    assert len(marked) > 10
    assert set(home.signs(marked)) == {Sign.NEW}


def test_a_crafted_series_of_real_speech_alarms_at_any_speed(
    clips: Clips, rng: np.random.Generator
) -> None:
    home = Device(NeighboursDetector(NeighboursSettings(), LIMITS))
    speech = clips.command("lobsters").spoken
    found = []
    for percent, fake in (
        (0.0, "toast"),
        (3.0, "bread"),
        (1.5, "table"),
        (0.0, "bedtime"),
        (1.5, "beatrice"),
        (3.0, "mop_it_up"),
    ):
        marked = fingerprint(_noisy(speech, 15.0, rng)).at_speed(1.0 + percent / 100.0)
        found.append(home.hears(marked))
        assert home.hears(fingerprint(clips.command(fake).spoken)).sign is Sign.NEW
    assert [each.sign for each in found] == [Sign.NEW] * 5 + [Sign.COPIES]
    assert (found[1].nearest, found[1].speed_percent) == (0, 3.0)
    assert found[1].likeness > 0.4


def _noisy(signal: Any, snr_db: float, rng: np.random.Generator) -> Any:
    noise = rng.standard_normal(signal.size, dtype=np.float32)
    return signal + noise * np.float32(rms(signal) * 10.0 ** (-snr_db / 20.0))


# What an alarm says


def test_a_new_query_says_nothing(series: Series) -> None:
    home = device()
    found = home.hears(series.fake(), "music")
    assert found == Neighbours(Sign.NEW, 0, None, 0.0, 0.0, None, None, 1, START_S, "music")
    query = home.learnt.query
    assert query is not None
    assert (query.number, query.at_unix_s, query.carrier) == (0, START_S, "music")
    assert (query.nearest, query.similarity, query.cluster) == (None, 0.0, 0)
    assert home.learnt.cluster is None


def test_each_query_is_linked_to_its_nearest(series: Series) -> None:
    home = device()
    home.signs([series.fake(), series.copy(0.5), series.fake(), series.carrier])
    found = home.hears(series.copy(0.1))
    assert found.copies == 2
    assert found.nearest == 3
    assert found.likeness > 0.8
    query = home.learnt.query
    assert query is not None
    assert (query.nearest, query.similarity, query.cluster) == (3, found.likeness, 1)
    assert query.fingerprint == home.queries[-1].fingerprint


def test_an_alarm_tells_carrier_count_and_first_time(series: Series) -> None:
    home = device()
    home.signs(series.fakes(3))
    first_s = home.now_s
    for number in range(6):
        found = home.hears(series.copy(), "music" if number == 0 else "speech")
        assert (found.count, found.first_unix_s, found.carrier) == (number + 1, first_s, "music")
        last_s = home.now_s - MINUTE_S
        home.signs(series.fakes(2))
    assert found.sign is Sign.COPIES
    assert found.cluster == 3
    kept = home.detector.clusters
    assert [(each.id, each.carrier, each.count) for each in kept] == [(3, "music", 6)]
    assert (kept[0].first_unix_s, kept[0].last_unix_s) == (first_s, last_s)
    assert not kept[0].approved
    numbers = (3, 6, 9, 12, 15, 18)
    assert kept[0].exemplars == tuple(home.queries[at].fingerprint for at in numbers)


def test_two_attacks_at_once_are_told_apart(series: Series, peaks: Any) -> None:
    other = replace(series, carrier=peaks.drawn(series.rng))
    home = device()
    for number in range(6):
        mine, its = home.hears(series.copy()), home.hears(other.copy())
        assert mine.count == its.count == number + 1
    assert mine.alarm
    assert its.alarm
    assert (mine.cluster, its.cluster) == (0, 1)
    assert (mine.first_unix_s, its.first_unix_s) == (START_S, START_S + MINUTE_S)


def test_a_drift_is_one_family(series: Series, peaks: Any) -> None:
    """Each is a copy of the one before; the tenth has nothing of the first."""
    home = device(copies=20)
    one = first = series.carrier
    for number in range(12):
        found = home.hears(one)
        assert found.count == number + 1
        one = peaks.changed(one, series.rng, 0.3)
    assert found.copies < 6
    assert found.first_unix_s == START_S
    assert found.cluster == 0
    found = home.hears(first)
    assert (found.nearest, found.count) == (0, 13)


def test_a_family_lives_on_when_its_first_query_is_forgotten(series: Series) -> None:
    home = device(last=50, copies=20)
    for number in range(8):
        found = home.hears(series.copy())
        assert (found.count, found.first_unix_s) == (number + 1, START_S)
        home.signs(series.fakes(11))
    assert found.cluster == 0
    home.signs(series.fakes(50))
    late_s = home.now_s
    found = home.hears(series.copy())
    assert (found.count, found.first_unix_s, found.cluster) == (1, late_s, None)


def test_what_is_forgotten_takes_no_memory(series: Series) -> None:
    home = device(last=50)
    home.signs([*series.copies(3), *series.fakes(60), *series.copies(2)])
    detector = home.detector
    assert len(detector._queries) == 50
    assert set(detector._families) == {query.cluster for query in detector._queries.values()}


def test_a_cluster_has_eight_exemplars_at_most(series: Series) -> None:
    home = device(copies=12)
    for one in series.copies(12):
        assert not home.hears(one).alarm
    assert home.hears(series.copy()).copies == 12
    [kept] = home.detector.clusters
    assert kept.exemplars == tuple(each.fingerprint for each in home.queries[-8:])


# What is kept


def test_a_copy_of_what_is_kept_is_withheld_at_once(series: Series) -> None:
    home = device(last=50)
    alarm = attacked(series, home)
    home.signs(series.fakes(60))
    found = home.hears(series.copy(), "music")
    assert found.sign is Sign.KEPT
    assert found.alarm
    assert (found.copies, found.count, found.cluster) == (0, 7, alarm.cluster)
    assert (found.first_unix_s, found.carrier) == (START_S, "speech")
    assert 0.5 < found.likeness < 1.0
    assert home.learnt.cluster == home.detector.clusters[0]
    assert home.learnt.cluster.count == 7
    assert home.learnt.cluster.last_unix_s == home.now_s - MINUTE_S
    assert home.learnt.query is not None, "it is a query too"
    assert home.learnt.cluster.exemplars[-1] == home.learnt.query.fingerprint
    assert home.hears(series.copy()).copies == 1


def test_what_is_withheld_as_a_copy_of_what_is_kept_belongs_to_it(series: Series) -> None:
    """So that it goes with it when the owner has it forgotten."""
    home = device(last=50)
    alarm = attacked(series, home)
    home.signs(series.fakes(60))
    for _ in range(6):
        assert home.hears(series.copy()).sign is Sign.KEPT
        assert home.learnt.query is not None
        assert home.learnt.query.cluster == alarm.cluster
    home.forgets(alarm.cluster or 0, 50)
    assert home.hears(series.copy()).sign is Sign.NEW


def test_an_attack_that_drifts_away_from_its_alarm_stays_withheld(
    series: Series, peaks: Any
) -> None:
    home = device(last=50)
    attacked(series, home)
    one = series.carrier
    for _ in range(20):
        one = peaks.changed(one, series.rng, 0.15)
        assert home.hears(one).alarm
        home.signs(series.fakes(3))
    assert home.hears(series.carrier).alarm, "the first exemplar stays"


def test_a_restart_changes_nothing(series: Series) -> None:
    home = device()
    home.signs([*series.copies(3), *series.fakes(9), *series.copies(2)])
    again = home.restarted(settings())
    found = again.hears(series.copy())
    assert (found.sign, found.count, found.first_unix_s) == (Sign.COPIES, 6, START_S)
    once_more = again.restarted(settings())
    assert once_more.detector.clusters == again.detector.clusters
    found = once_more.hears(series.copy())
    assert (found.sign, found.count, found.cluster) == (Sign.KEPT, 7, 0)


def test_what_no_detector_wrote_is_not_taken_in() -> None:
    query = Remembered(0, 0.0, b"\0\0\xff", "speech", None, 0.0, None)
    cluster = Cluster(0, "speech", 0.0, 0.0, 1, False, (b"\0\0\0", b"\0"))
    for queries, clusters in (([query], []), ([], [cluster])):
        with pytest.raises(ValueError, match=r"peak|fingerprint"):
            device().detector.restore(queries, clusters)


@pytest.mark.parametrize("seed", range(3))
def test_after_any_restart_the_same_answers(peaks: Any, seed: int) -> None:
    """Three attacks, fakes, sparse queries; the owner approves and has things forgotten."""
    rng = np.random.default_rng(seed)
    chosen = settings(last=60, second_ear_depth=30, approved_per_day=1000, max_clusters=2)
    home = Device(NeighboursDetector(chosen, LIMITS))
    all_series = [Series(peaks, rng, peaks.drawn(rng)) for _ in range(3)]
    copies: list[Device] = []
    seen = set()
    for step in range(150):
        one = _any_of(all_series, peaks, rng)
        if step % 60 == 50:
            copies.append(home.restarted(chosen))
        action = rng.random()
        kept = sorted(home.kept)
        for each in (home, *copies):
            if kept and action < 0.08:
                each.approves(kept[0], chosen.last)
            elif kept and action > 0.98:
                each.forgets(kept[-1], chosen.last)
        found = home.hears(one)
        _evict(home)
        seen.add(found.sign)
        for each in copies:
            other = each.hears(one)
            _evict(each)
            if other.first_unix_s != found.first_unix_s:
                # What a restart cannot know: what was linked to queries that are forgotten.
                assert other.count < found.count
                assert other.first_unix_s > found.first_unix_s
                other = replace(other, count=found.count, first_unix_s=found.first_unix_s)
            # Two may be equally alike.
            assert replace(other, nearest=None) == replace(found, nearest=None)
    assert {Sign.NEW, Sign.COPIES, Sign.KEPT, Sign.APPROVED, Sign.SPARSE} <= seen


def _any_of(all_series: list[Series], peaks: Any, rng: np.random.Generator) -> Fingerprint:
    kind = rng.random()
    series = all_series[int(rng.integers(len(all_series)))]
    if kind < 0.05:
        return peaks.drawn(rng, 5)  # type: ignore[no-any-return]
    return series.copy(float(rng.uniform(0.1, 0.3))) if kind < 0.55 else series.fake()


def _evict(home: Device) -> None:
    """What a store does when it has too many."""
    home.kept = {each.id: each for each in home.detector.clusters}


# What the owner approves


def test_an_approved_repeat_passes_so_often_a_day(series: Series) -> None:
    home = device(approved_per_day=3)
    alarm = attacked(series, home)
    assert alarm.cluster is not None
    approved = home.detector.approve(alarm.cluster)
    assert approved.approved
    assert home.detector.clusters == (approved,)
    found = home.hears(series.carrier)
    assert found.sign is Sign.APPROVED
    assert not found.alarm
    assert (found.count, found.first_unix_s, found.cluster) == (6, START_S, alarm.cluster)
    assert home.learnt == Learnt(None, None)
    signs = home.signs([series.carrier] * 4)
    assert signs == [Sign.APPROVED] * 2 + [Sign.OVERHEARD] * 2
    assert Sign.OVERHEARD in ALARMS
    home.now_s += DAY_S
    assert home.hears(series.carrier).sign is Sign.APPROVED


def test_only_the_same_sound_passes_and_no_other_near_copy(series: Series) -> None:
    home = device()
    alarm = attacked(series, home)
    home.detector.approve(alarm.cluster or 0)
    far = series.copy(0.55)
    alike = max(
        likeness(far, Fingerprint.from_bytes(one)) for one in home.detector.clusters[0].exemplars
    )
    assert LIMITS.likeness(120) < alike < LIMITS.approved
    assert home.hears(far).sign is Sign.NEW


def test_an_attack_made_of_an_approved_repeat_does_not_take_its_place(series: Series) -> None:
    """The owner sees both, and with the attack forgotten the repeat passes again."""
    home = device()
    alarm = attacked(series, home)
    home.detector.approve(alarm.cluster or 0)
    repeat = home.detector.clusters[0]
    far = replace(series, carrier=series.copy(0.55))
    for _ in range(6):
        found = home.hears(far.copy(0.1))
    assert found.alarm
    assert repeat in home.detector.clusters
    [attack] = [each for each in home.detector.clusters if each != repeat]
    assert attack.id != repeat.id
    assert not attack.approved


def test_who_crafts_an_attack_out_of_an_approved_repeat_is_counted(series: Series) -> None:
    home = device(last=50)
    alarm = attacked(series, home)
    home.detector.approve(alarm.cluster or 0)
    home.signs(series.fakes(60))
    far = replace(series, carrier=series.copy(0.5))
    signs = home.signs(far.copy(0.1) for _ in range(7))
    assert signs == [Sign.NEW] * 5 + [Sign.COPIES, Sign.KEPT]


def test_only_what_is_kept_can_be_approved(series: Series) -> None:
    home = device()
    home.signs(series.copies(3))
    with pytest.raises(KeyError):
        home.detector.approve(0)


def test_of_too_many_clusters_the_oldest_attack_goes(peaks: Any, rng: np.random.Generator) -> None:
    home = device(max_clusters=2)
    many = [Series(peaks, rng, peaks.drawn(rng)) for _ in range(3)]
    alarms = [attacked(each, home) for each in many]
    assert [each.id for each in home.detector.clusters] == [each.cluster for each in alarms[1:]]


def test_wiped_nothing_is_known(series: Series) -> None:
    home = device(second_ear_depth=25)
    home.signs(series.fakes(20))
    attacked(series, home)
    home.detector.wipe()
    assert home.detector.clusters == ()
    home.number = 0
    found = home.hears(series.copy())
    assert (found.sign, found.copies, found.count, found.mean) == (Sign.NEW, 0, 1, None)


# Too few peaks


def test_too_few_peaks_tell_nothing(peaks: Any, rng: np.random.Generator) -> None:
    home = device(min_peaks=10)
    one = peaks.drawn(rng, 9)
    for _ in range(8):
        found = home.hears(one, "music")
        at_s = home.now_s - MINUTE_S
        assert found == Neighbours(Sign.SPARSE, 0, None, 0.0, 0.0, None, None, 1, at_s, "music")
        assert not found.alarm
        assert home.learnt == Learnt(None, None)
    assert home.hears(peaks.at()).sign is Sign.SPARSE
    assert home.hears(peaks.drawn(rng, 10)).sign is Sign.NEW


# The second ear


def test_what_noise_hides_from_the_count_the_second_ear_hears(
    clips: Clips, rng: np.random.Generator
) -> None:
    """The attacker's noise is 9 dB louder than the command: no copies, but a mean of .15."""
    home = device(second_ear_depth=30)
    speech = clips.command("lobsters").spoken
    found = [home.hears(fingerprint(_noisy(speech, -9.0, rng))) for _ in range(11)]
    assert [each.copies for each in found] == [0] * 11
    assert [each.mean for each in found[:10]] == [None] * 10
    assert found[10].sign is Sign.MEAN
    assert found[10].alarm
    assert found[10].mean is not None
    assert found[10].mean > 0.03
    [kept] = home.detector.clusters
    assert (kept.id, kept.count, kept.approved) == (10, 1, False)
    assert kept.exemplars == (home.queries[10].fingerprint,)
    assert home.learnt.cluster == kept
    assert found[10].cluster == 10, "what is kept can be approved"


def test_the_mean_alarms_over_its_limit_only(peaks: Any, rng: np.random.Generator) -> None:
    one = peaks.drawn(rng, 100)
    shared = list(zip(one.frames[::20].tolist(), one.bins[::20].tolist(), strict=True))
    others = [peaks.at(*shared, *((700 + n, b) for b in range(0, 230, 5))) for n in range(9)]
    # Five of 100 and of 51 peaks are the same: .070 each.
    value = 5.0 / np.sqrt(100 * 51)
    for limit, sign in ((value + 1e-9, Sign.NEW), (value - 1e-9, Sign.MEAN)):
        limits = NeighboursLimits(floor=1.0, slope=1.0, mean=limit, approved=0.6)
        home = device(limits, second_ear_depth=27)
        for each in others:
            home.hears(each)
        found = home.hears(one)
        assert found.mean == pytest.approx(value)
        assert found.sign is sign


def test_copies_do_not_count_for_the_mean(series: Series) -> None:
    home = device(second_ear_depth=25)
    home.signs([*series.fakes(20), *[series.carrier] * 4])
    found = home.hears(series.carrier)
    assert found.copies == 4
    assert found.mean is not None
    assert found.mean < 0.01
    assert found.sign is Sign.NEW


# Settings


def test_alarms_are_these() -> None:
    assert {Sign.COPIES, Sign.KEPT, Sign.MEAN, Sign.OVERHEARD} == ALARMS
    assert {sign for sign in Sign if sign not in ALARMS} == {
        Sign.NEW,
        Sign.APPROVED,
        Sign.SPARSE,
    }


def test_the_sixth_of_a_series_among_a_thousand_is_the_default() -> None:
    chosen = NeighboursSettings()
    assert (chosen.copies, chosen.last) == (5, 1000)
    assert sorted(chosen.speeds_percent) == sorted(-each for each in chosen.speeds_percent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"copies": 1},
        {"copies": 21},
        {"last": 49},
        {"last": 10_001},
        {"min_peaks": 3},
        {"second_ear_depth": 24},
        {"max_clusters": 0},
        {"approved_per_day": 0},
        {"speeds_percent": (1.0,) * 13},
        {"tau": 0.4},
    ],
    ids=str,
)
def test_settings_out_of_range_or_unknown_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NeighboursSettings.model_validate(wrong)
