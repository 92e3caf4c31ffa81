"""Taking the nonce out: how deep, and that it leaves the rest alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from scipy.signal import butter, fftconvolve, sosfiltfilt

from earmark.demo.clips import load_clips
from earmark.nonce import (
    Bfsk,
    BfskCarrier,
    Carrier,
    Cleaned,
    LiveCanceller,
    Nonce,
    NoncePlayer,
    NonceSettings,
    SpreadCarrier,
    clean,
)
from earmark.nonce.cancel import (
    CG_STEPS,
    FIRST_S,
    Clock,
    _conjugate_gradients,
    as_heard,
    estimate_path,
    stretch,
)
from earmark.signal import BLOCK, RATE_HZ, Signal

NonceOf = Callable[..., Nonce]
Make = Callable[..., Signal]

DELAY_S = 0.137
PLAYED_S = 3.0
COVERED = slice(round(DELAY_S * RATE_HZ), round((DELAY_S + PLAYED_S) * RATE_HZ))

CarrierOf = Callable[[int], Carrier]


@pytest.fixture(scope="module", params=["tones", "codes"])
def carrier_of(
    request: pytest.FixtureRequest,
    nonce_of: NonceOf,
    in_tones: Callable[..., BfskCarrier],
    in_codes: Callable[..., SpreadCarrier],
) -> CarrierOf:
    """A nonce of each kind, from a seed."""
    if request.param == "codes":
        return in_codes
    return lambda seed: in_tones(nonce_of(seed))


def slots_of(carrier: Carrier) -> int:
    """So many slots that they last `PLAYED_S`: 60 tones, or 12 codes (3.07 s)."""
    return math.ceil(PLAYED_S / carrier.slot_s)


def in_speech_band(carrier: Carrier) -> bool:
    return carrier.band_hz[0] < 2000.0


def room(seed: int) -> Signal:
    """An echo path: direct sound, and 20 dB below a room of RT60 0.4 s."""
    decay = 10.0 ** (-3.0 * np.arange(round(0.3 * RATE_HZ)) / RATE_HZ / 0.4)
    taps = np.random.default_rng(seed).standard_normal(decay.size) * decay
    taps *= 0.1 / np.sqrt(np.sum(taps**2))
    taps[:32] = 0.0
    taps[10] = 1.0
    return taps.astype(np.float32)


@cache
def speech() -> Signal:
    spoken = load_clips().command("toast").spoken
    # 13 dB below the nonce: a person of 60 dB SPL at 1 m, the loudspeaker at 7 cm.
    return (spoken / np.sqrt(np.mean(spoken**2)) * 0.1 * 10.0 ** (-13.0 / 20.0)).astype(np.float32)


def power_db(signal: Signal) -> float:
    return float(10.0 * np.log10(np.mean(signal.astype(np.float64) ** 2)))


@dataclass(frozen=True, eq=False)
class Scene:
    """A recording and what it is made of."""

    carrier: Carrier
    played: Signal
    echo: Signal
    rest: Signal
    spoken: slice

    @property
    def recording(self) -> Signal:
        return self.echo + self.rest


@pytest.fixture(scope="module")
def scene(carrier_of: CarrierOf, played: Make, heard: Make) -> Callable[..., Scene]:
    def make(*, drift_ppm: float = 0.0, talk: bool = True, seed: int = 1) -> Scene:
        carrier = carrier_of(seed)
        out = played(carrier, slots_of(carrier))
        dry = heard(out, drift_ppm=drift_ppm)
        echo = fftconvolve(dry, room(seed))[: dry.size].astype(np.float32)
        rest = 1e-4 * np.random.default_rng(seed).standard_normal(dry.size).astype(np.float32)
        spoken = slice(RATE_HZ, RATE_HZ + speech().size)
        if talk:
            rest[spoken] += speech()
        return Scene(carrier, out, echo, rest, spoken)

    return make


def cancelled(
    carrier: Carrier,
    played: Signal,
    recording: Signal,
    settings: NonceSettings,
    played_at_s: float = 0.0,
) -> Cleaned:
    report = carrier.verify(recording, played_at_s, slots_of(carrier))
    return clean(recording, played, played_at_s, report, carrier, settings)


def cleaned(scene: Scene, settings: NonceSettings) -> Cleaned:
    return cancelled(scene.carrier, scene.played, scene.recording, settings)


@pytest.mark.parametrize("drift_ppm", [0.0, 150.0, -300.0])
@pytest.mark.parametrize("talk", [False, True])
def test_the_nonce_falls_by_40_db(
    settings: NonceSettings, scene: Callable[..., Scene], drift_ppm: float, talk: bool
) -> None:
    """Or by 30 where codes lie under speech.

    The speech is then the noise of the estimate: 4,000 taps out of 48,000 samples, 13 dB below
    the nonce, would leave 24 dB if all taps and frequencies counted alike.
    """
    heard = scene(drift_ppm=drift_ppm, talk=talk)
    result = cleaned(heard, settings)
    assert result.signal.size == heard.recording.size
    left = result.signal - heard.rest
    least_db = 30.0 if talk and in_speech_band(heard.carrier) else 40.0
    assert power_db(heard.echo[COVERED]) - power_db(left[COVERED]) > least_db
    assert result.drift_ppm == pytest.approx(drift_ppm, abs=3.0)


@pytest.mark.parametrize("talk", [False, True])
def test_it_promises_no_more_than_it_does(
    settings: NonceSettings, scene: Callable[..., Scene], talk: bool
) -> None:
    heard = scene(drift_ppm=100.0, talk=talk)
    result = cleaned(heard, settings)
    low_hz, high_hz = heard.carrier.band_hz
    band = butter(6, [low_hz - 100.0, high_hz + 100.0], "bandpass", fs=RATE_HZ, output="sos")
    left = sosfiltfilt(band, result.signal - heard.rest)[COVERED]
    true_db = power_db(sosfiltfilt(band, heard.echo)[COVERED]) - power_db(left)
    assert 20.0 < result.suppression_db <= true_db + 1.0
    if not talk:  # then there is little else in the band
        assert result.suppression_db == pytest.approx(true_db, abs=4.0)


def test_speech_is_left_as_it_was(settings: NonceSettings, scene: Callable[..., Scene]) -> None:
    heard = scene()
    result = cleaned(heard, settings)
    changed = (result.signal - heard.rest)[heard.spoken]
    # What is left of codes is noise 30 dB below the nonce, which is 13 dB above the speech.
    least_db, alike = (16.0, 0.985) if in_speech_band(heard.carrier) else (25.0, 0.999)
    assert power_db(speech()) - power_db(changed) > least_db
    assert np.corrcoef(result.signal[heard.spoken], speech())[0, 1] > alike


def test_what_comes_before_and_after_the_nonce_is_left_alone(
    settings: NonceSettings, carrier_of: CarrierOf, played: Make, heard: Make
) -> None:
    """The reference ends with the nonce: else its echo would be added where there is none."""
    carrier, quiet = carrier_of(2), np.zeros(RATE_HZ, np.float32)
    out = played(carrier, slots_of(carrier))
    recording = np.concatenate([quiet, heard(out), quiet])
    result = cancelled(carrier, out, recording, settings, 1.0).signal
    assert result[:RATE_HZ].tobytes() == recording[:RATE_HZ].tobytes()
    assert power_db(recording[RATE_HZ:][COVERED]) > -21.0
    assert power_db(result[-RATE_HZ // 2 :]) < -65.0


def test_a_nonce_that_is_cut_off_is_taken_out_to_the_last_sample(
    settings: NonceSettings, scene: Callable[..., Scene]
) -> None:
    """As in a session: the recording ends while the last slots are still in the air."""
    heard = scene()
    cut = round(2.82 * RATE_HZ)
    result = cancelled(heard.carrier, heard.played, heard.recording[:cut], settings)
    left = result.signal - heard.rest[:cut]
    end = slice(cut - 400, cut)
    assert power_db(heard.echo[end]) - power_db(left[end]) > 20.0


def test_without_a_nonce_nothing_is_taken_out(
    settings: NonceSettings, carrier_of: CarrierOf
) -> None:
    recording = np.random.default_rng(1).standard_normal(100).astype(np.float32)
    report = carrier_of(1).verify(recording, 0.0, 0)
    nothing = np.zeros(0, np.float32)
    result = clean(recording, nothing, 0.0, report, carrier_of(1), settings)
    assert result.signal.tobytes() == recording.tobytes()
    assert result.suppression_db == 0.0


def test_a_jammed_loudspeaker_does_no_harm_to_speech(
    settings: NonceSettings, scene: Callable[..., Scene]
) -> None:
    """What would be fitted is chance; the speech may be heard for a retry."""
    heard = scene()
    report = heard.carrier.verify(heard.rest, 0.0, slots_of(heard.carrier))
    assert not report.present
    result = cancelled(heard.carrier, heard.played, heard.rest, settings)
    assert result.signal.tobytes() == heard.rest.tobytes()
    assert result.suppression_db == 0.0


@pytest.mark.parametrize("off_ppm", [-5.0, 5.0])
def test_what_is_left_corrects_the_clock(
    settings: NonceSettings, scene: Callable[..., Scene], off_ppm: float
) -> None:
    """The receiver's estimate may be off by more than the canceller's depth allows."""
    heard = scene(drift_ppm=100.0)
    report = heard.carrier.verify(heard.recording, 0.0, slots_of(heard.carrier))
    wrong = replace(report, drift_ppm=100.0 + off_ppm)
    result = clean(heard.recording, heard.played, 0.0, wrong, heard.carrier, settings)
    assert result.drift_ppm == pytest.approx(100.0, abs=0.5 * abs(off_ppm))
    left = result.signal - heard.rest
    assert power_db(heard.echo[COVERED]) - power_db(left[COVERED]) > 30.0


@pytest.mark.parametrize("drift_ppm", [0.0, 100.0, -300.0])
def test_live_and_whole_the_reference_is_the_same(
    carrier_of: CarrierOf, played: Make, drift_ppm: float
) -> None:
    """One is resampled by soxr, the other by our own table, a piece at a time."""
    carrier = carrier_of(4)
    out = played(carrier, slots_of(carrier))
    clock = Clock(drift_ppm, 0.0)
    whole = as_heard(out, out.size + 1000, clock)
    pieces = [stretch(out, at, 7000, clock) for at in range(0, out.size, 7000)]
    inner = slice(1000, round(PLAYED_S * RATE_HZ) - 1000)  # soxr tapers the ends
    assert whole.size == out.size + 1000
    difference = whole[inner] - np.concatenate(pieces)[inner]
    assert power_db(whole[inner]) - power_db(difference + 1e-12) > 65.0


def test_the_reference_is_silent_beyond_what_was_played(in_codes: Callable[..., Carrier]) -> None:
    out = in_codes(5).render(0, 5000)
    for clock in (Clock(0.0, 0.0), Clock(200.0, 0.0)):
        assert not stretch(out, 6000, 320, clock).any()
        assert not as_heard(out, 8000, clock)[5001:].any()
        assert stretch(out, 0, 0, clock).size == 0


def test_the_path_is_the_one_that_was_walked(wave: Bfsk, nonce_of: NonceOf) -> None:
    """Within the band that the nonce excites, where alone it can be known."""
    wide = Bfsk(20.0, 400.0, 7400.0, 32, 0.005)
    reference = wave.render(nonce_of(3), 8 * RATE_HZ) + wide.render(nonce_of(4), 8 * RATE_HZ)
    taps = room(5)
    recording = fftconvolve(reference, taps)[: reference.size].astype(np.float32)
    found = estimate_path(recording, reference, 0.0, 0.25, wideband=False)
    assert found.delay_s == 0.0
    predicted = found.apply(reference)
    assert power_db(recording) - power_db(recording - predicted) > 35.0
    assert int(np.argmax(np.abs(found.taps))) == 10


def test_no_reference_is_no_path(settings: NonceSettings) -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    found = estimate_path(silence + 1.0, silence, 0.1, settings.canceller_taps_s, wideband=False)
    assert not found.taps.any()
    assert not found.apply(silence).any()


# While it plays


def fed(canceller: LiveCanceller, player: NoncePlayer, recording: Signal) -> list[Signal]:
    """What it hands on at each block; as in a session a block is heard, then one is played."""
    parts = []
    for block in recording[: recording.size // BLOCK * BLOCK].reshape(-1, BLOCK):
        parts.append(canceller.feed(block))
        player.block()
    return parts


def live(scene: Scene, settings: NonceSettings) -> tuple[Signal, list[int], LiveCanceller]:
    """What the canceller hands on, and how much at each block."""
    player = NoncePlayer(scene.carrier, 0.1)
    canceller = LiveCanceller(scene.carrier, player, settings)
    # Only what comes while the nonce plays: then it is told to stop, and nobody listens.
    parts = fed(canceller, player, scene.recording[: round(PLAYED_S * RATE_HZ)])
    return np.concatenate(parts), [part.size for part in parts], canceller


@pytest.mark.parametrize("drift_ppm", [0.0, -300.0])
def test_live_it_hands_on_every_sample_once_and_in_place(
    settings: NonceSettings, scene: Callable[..., Scene], drift_ppm: float
) -> None:
    heard = scene(drift_ppm=drift_ppm)
    out, sizes, _ = live(heard, settings)
    assert out.size == round(PLAYED_S * RATE_HZ)
    held = round(FIRST_S * RATE_HZ) // BLOCK
    assert sizes[: held - 1] == [0] * (held - 1)
    assert sizes[held - 1] == held * BLOCK
    assert set(sizes[held:]) == {BLOCK}
    # In place: the speech lies where it lay. The correlation peaks at no lag and is high.
    spoken = out[heard.spoken]
    lags = {
        lag: float(np.dot(out[heard.spoken.start + lag :][: speech().size], speech()))
        for lag in range(-8, 9)
    }
    assert max(lags, key=lags.__getitem__) == 0
    # A path of 4,000 taps learnt from a second of codes under speech is 20 dB deep.
    assert np.corrcoef(spoken, speech())[0, 1] > (0.85 if heard.carrier.wideband else 0.95)


def test_live_it_reaches_20_db_and_improves(
    settings: NonceSettings, scene: Callable[..., Scene]
) -> None:
    heard = scene(drift_ppm=100.0)
    out, _, canceller = live(heard, settings)
    left = out - heard.rest[: out.size]

    def depth_db(first_s: float, last_s: float) -> float:
        part = slice(round(first_s * RATE_HZ), round(last_s * RATE_HZ))
        return power_db(heard.echo[part]) - power_db(left[part])

    assert depth_db(0.2, 1.0) > 20.0
    assert depth_db(1.0, 1.5) > 17.0
    assert depth_db(2.4, 3.0) > (18.0 if heard.carrier.wideband else 25.0)
    assert canceller.delay_s == pytest.approx(DELAY_S, abs=1.5e-3)  # the path begins 0.6 ms later


def test_live_it_knows_no_delay_before_the_first_estimate(
    settings: NonceSettings, carrier_of: CarrierOf
) -> None:
    canceller = LiveCanceller(carrier_of(1), NoncePlayer(carrier_of(1), 0.1), settings)
    assert canceller.feed(np.zeros(BLOCK, np.float32)).size == 0
    assert canceller.delay_s is None


def test_live_silence_stays_silence(settings: NonceSettings, carrier_of: CarrierOf) -> None:
    player = NoncePlayer(carrier_of(1), 0.1)
    canceller = LiveCanceller(carrier_of(1), player, settings)
    out = np.concatenate(fed(canceller, player, np.zeros(80 * BLOCK, np.float32)))
    assert out.size == 80 * BLOCK
    assert not out.any()


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_conjugate_gradients_are_those_of_scipy(tolerance: float) -> None:
    from scipy.sparse.linalg import LinearOperator, cg

    rng = np.random.default_rng(3)
    half = rng.standard_normal((120, 120))
    matrix = half @ half.T / 120.0 + 0.1 * np.eye(120)
    wanted = rng.standard_normal(120)
    operator = LinearOperator((120, 120), matvec=lambda x: matrix @ x, dtype=np.float64)
    theirs, _ = cg(operator, wanted, rtol=tolerance, maxiter=CG_STEPS)
    ours = _conjugate_gradients(lambda x: np.asarray(matrix @ x), wanted, tolerance)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert np.linalg.norm(matrix @ ours - wanted) <= 1.01 * tolerance * np.linalg.norm(wanted)
    assert not _conjugate_gradients(lambda x: x, np.zeros(5), tolerance).any()
