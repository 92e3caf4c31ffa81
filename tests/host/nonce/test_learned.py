"""The codes are learnt from how alike the slots are, and taken out of a recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray
from scipy import signal as sps

from earmark.signal import RATE_HZ, Signal, rms
from earmark_host.nonce.attacks import Loot, MissingLootError
from earmark_host.nonce.attacks.learned import (
    HEAD,
    LEAD,
    SLOT,
    LearnedCodes,
    Overheard,
    learn,
    recognised,
)

SLOTS = 12
BEFORE = 1000
"""Samples before the first slot."""


def codes(count: int = 4) -> NDArray[np.float64]:
    """Codes between 0.5 and 7 kHz, with a filter that rings both ways."""
    chips = np.random.default_rng(11).choice([-1.0, 1.0], (count, SLOT))
    taps = sps.firwin(129, [500.0, 7000.0], pass_zero=False, fs=RATE_HZ)
    return np.asarray(sps.oaconvolve(chips, taps[None], axes=1))


def session(
    order: list[int], path: NDArray[np.float64], rng: np.random.Generator, noise: float = 0.05
) -> Overheard:
    """A session with these codes, heard through `path`."""
    sound = np.zeros(BEFORE + (len(order) + 2) * SLOT)
    for slot, code in enumerate(order):
        at = BEFORE + slot * SLOT
        piece = codes()[code]
        sound[at : at + piece.size] += piece
    heard = sps.oaconvolve(sound, path)[: sound.size] + noise * rng.standard_normal(sound.size)
    starts = BEFORE + SLOT * np.arange(len(order), dtype=np.float64)
    return Overheard(heard.astype(np.float32), starts)


def paths() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From the device to the recorder near it, and to the other."""
    rng = np.random.default_rng(12)
    near = rng.standard_normal(400) * np.exp(-np.arange(400) / 80.0) * 0.05
    far = rng.standard_normal(1600) * np.exp(-np.arange(1600) / 400.0) * 0.02
    near[3], far[3] = 1.0, 0.3
    return near, far


def heard_before(count: int) -> list[Overheard]:
    rng = np.random.default_rng(13)
    return [session(rng.integers(4, size=SLOTS).tolist(), paths()[0], rng) for _ in range(count)]


def test_the_codes_are_learnt_as_they_sound_near_the_device() -> None:
    learnt = learn(heard_before(3))
    assert learnt.shape[0] == 4
    sound = sps.oaconvolve(codes(), paths()[0][None], axes=1)
    likeness = [
        [float(np.corrcoef(mine[LEAD : LEAD + SLOT], true[:SLOT])[0, 1]) for true in sound]
        for mine in learnt
    ]
    # One each, and nothing else.
    best = np.asarray(likeness)
    assert sorted(np.argmax(best, axis=1).tolist()) == [0, 1, 2, 3]
    assert best.max(axis=1).min() > 0.99


def test_a_slot_that_is_cut_off_is_not_learnt_from() -> None:
    whole = heard_before(1)[0]
    cut = replace(whole, recording=whole.recording[: BEFORE + 2 * SLOT - 10])
    assert learn([cut]).shape[0] == 1
    assert learn([replace(whole, recording=whole.recording[:2000])]).shape[0] == 0


def test_it_is_known_which_code_a_slot_holds_under_speech(loot: Loot) -> None:
    order = [0, 3, 1, 1, 2, 0, 3, 2]
    one = session(order, paths()[1], np.random.default_rng(14))
    speech = loot.clean[: one.recording.size]
    mixed = np.zeros_like(one.recording)
    mixed[: speech.size] = speech * np.float32(3.0 * rms(one.recording) / rms(speech))
    learnt = learn(heard_before(3))
    alone = recognised(one.recording, one.starts, learnt)
    # Equal codes have equal numbers, different ones different numbers.
    assert len(set(zip(order, alone.tolist(), strict=True))) == 4
    assert (alone >= 0).all()
    np.testing.assert_array_equal(
        recognised(one.recording + mixed, one.starts, learnt)[:6], alone[:6]
    )
    assert (recognised(np.zeros_like(one.recording), one.starts, learnt) == -1).all()


def attacked(loot: Loot, clock_ppm: float, with_noise: bool) -> tuple[Loot, Signal]:
    """A sentence with a nonce 15 dB below it, of which slot 1 is the first whole one."""
    rng = np.random.default_rng(15)
    _, far = paths()
    orders = [rng.integers(4, size=SLOTS).tolist() for _ in range(2)]
    pace = 1.0 + clock_ppm * 1e-6
    wet, alone = (
        Overheard(soxr.resample(one.recording, RATE_HZ, RATE_HZ * pace, "VHQ"), one.starts * pace)
        for one in (session(order, far, rng, 0.0) for order in orders)
    )
    first = BEFORE + 1500  # in the middle of slot 0
    size = min(loot.clean.size, wet.recording.size - first)
    clean = loot.clean[:size]
    nonce = wet.recording[first : first + size]
    scale = np.float32(10.0 ** (-15.0 / 20.0) * rms(clean) / rms(nonce))
    made = Loot(
        recording=clean + scale * nonce,
        noise_only=scale * alone.recording[first:],
        reference=None,
        clean=clean,
        wet_nonce=scale * nonce,
    )
    attack = LearnedCodes(
        "learned",
        heard_before(3),
        wet.starts - first,
        alone.starts - first if with_noise else None,
    )
    return made, attack.apply(made, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("clock_ppm", "with_noise", "least_db"),
    [(0.0, True, 15.0), (200.0, True, 15.0), (0.0, False, 8.0)],
)
def test_the_nonce_is_taken_out_and_the_speech_stays(
    loot: Loot, clock_ppm: float, with_noise: bool, least_db: float
) -> None:
    made, out = attacked(loot, clock_ppm, with_noise)
    assert out.dtype == np.float32
    assert out.size == made.recording.size
    left_db = 20.0 * np.log10(rms(out - made.clean) / rms(made.wet_nonce))
    assert left_db < -least_db
    # From the first sample on, though the recording begins in the middle of a slot.
    start = slice(0, HEAD // 2)
    assert rms((out - made.clean)[start]) < 0.5 * rms(made.wet_nonce[start])


def test_without_anything_learnt_the_recording_stays_as_it_is(loot: Loot) -> None:
    starts = SLOT * np.arange(4, dtype=np.float64)
    out = LearnedCodes("learned", [], starts).apply(loot, np.random.default_rng(1))
    np.testing.assert_allclose(out, loot.recording, atol=1e-6)


def test_the_stretch_without_speech_is_missed() -> None:
    starts = SLOT * np.arange(4, dtype=np.float64)
    bare = Loot(*(np.ones(SLOT, np.float32) if k in (0, 3, 4) else None for k in range(5)))
    with pytest.raises(MissingLootError, match="noise_only"):
        LearnedCodes("learned", [], starts, starts).apply(bare, np.random.default_rng(1))
