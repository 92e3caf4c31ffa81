"""Records as a calibration could write them, made by formulas: nothing was recorded for them.

`good`, `marginal` and `broken` are three devices; `measured` is any device with given values.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from earmark_calibration.declared import Band, Declared
from earmark_calibration.record import (
    Change,
    Choice,
    Curve,
    CurveKind,
    Device,
    Estimate,
    Fault,
    FaultKind,
    Measurement,
    Option,
    Played,
    Profile,
    Record,
    Threshold,
)

WHEN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

DECLARED = [
    Declared(
        "peak_level",
        "dBFS",
        "Loudest sample of the test sound. Above -3 dBFS little is left for a loud voice.",
        Band(-40.0, -3.0),
        Band(-50.0, -1.0),
        "the microphone hears little: turn its gain up by 10 dB",
        "the microphone clips: turn the gain down by 6 dB",
    ),
    Declared(
        "noise_level",
        "dB SPL",
        "The room while nothing is played. Above 45 the nonce has to be loud to be found.",
        Band(None, 45.0),
        Band(None, 55.0),
        "",
        "the room is loud: switch off fans and music, or move the device away from them",
    ),
    Declared(
        "round_trip_delay",
        "s",
        "From playing a sound to hearing it. The canceller looks no further than 0.4 s.",
        Band(0.0, 0.4),
        Band(0.0, 0.5),
        "the sound arrives before it is played: choose the microphone, not a loop-back",
        "the sound server buffers too much: open the sound card directly through ALSA",
    ),
    Declared(
        "clock_drift",
        "ppm",
        "How much faster the microphone's clock runs than the loudspeaker's.",
        Band(-100.0, 100.0),
        Band(-300.0, 300.0),
        "the clocks differ: use one sound card for both",
        "the clocks differ: use one sound card for both",
    ),
    Declared(
        "delay_jitter",
        "s",
        "Spread of the delay from one sound to the next.",
        Band(None, 0.001),
        Band(None, 0.005),
        "",
        "the stream stutters: give the daemon real-time priority",
    ),
    Declared(
        "rt60",
        "s",
        "Time in which a sound dies away by 60 dB. Long echoes hide old nonces.",
        Band(None, 0.6),
        Band(None, 1.0),
        "",
        "the room echoes: put the device near curtains or a sofa, away from bare walls",
    ),
    Declared(
        "distortion",
        "share",
        "What the loudspeaker adds to a loud tone, of all that is heard.",
        Band(None, 0.03),
        Band(None, 0.1),
        "",
        "the loudspeaker distorts: turn its volume down by 6 dB, or replace it",
    ),
    Declared(
        "canceller_depth",
        "dB",
        "How much of the nonce is taken out again before anybody listens.",
        Band(30.0, None),
        Band(20.0, None),
        "little of the nonce is taken out: turn the loudspeaker down, away from distortion",
        "",
    ),
]


def measurements(**values: float | None) -> tuple[Measurement, ...]:
    """The declared ones with the values of a good device, but for those given."""
    usual: dict[str, float | None] = {
        "peak_level": -14.2,
        "noise_level": 33.4,
        "round_trip_delay": 0.1302083,
        "clock_drift": 2.3,
        "delay_jitter": 0.00004,
        "rt60": 0.42,
        "distortion": 0.011,
        "canceller_depth": 37.5,
    }
    assert set(values) <= set(usual)
    return tuple(Measurement.of(one.take((usual | values)[one.name])) for one in DECLARED)


def measured(serial: str, day: float = 0.0, **values: float | None) -> Record:
    """A small record: the measurements of device `serial`, `day` days after the first."""
    return Record(
        device=Device(serial=serial, program_version="0.1.0"),
        when=WHEN + timedelta(days=day),
        measurements=measurements(**values),
    )


def curve(name: str, kind: CurveKind, title: str, axes: str, x: object, y: object) -> Curve:
    """`axes` is ``x name/x unit/y name/y unit``."""
    x_name, x_unit, y_name, y_unit = axes.split("/")
    return Curve(
        name=name,
        kind=kind,
        title=title,
        x_name=x_name,
        x_unit=x_unit,
        y_name=y_name,
        y_unit=y_unit,
        x=tuple(np.asarray(x, np.float64).tolist()),
        y=tuple(None if np.isnan(v) else float(v) for v in np.asarray(y, np.float64)),
    )


def curves(rt60_s: float, noise_dbspl: float, hole_db: float, apart: float) -> tuple[Curve, ...]:
    """A small loudspeaker in a room: roll-off, ripples, a hole at 2.4 kHz, mains hum, echoes."""
    rng = np.random.default_rng(7)
    f = np.geomspace(100.0, 8000.0, 160)
    response = -10 * np.log10(1 + (220 / f) ** 6) - 10 * np.log10(1 + (f / 9000) ** 8)
    response += 1.2 * np.sin(9 * np.log(f)) - hole_db * np.exp(-((np.log2(f / 2400) / 0.12) ** 2))
    distortion = 0.6 + 6.0 * (150 / f) ** 1.3
    noise = noise_dbspl - 14 - 6 * np.log2(f / 300) + rng.normal(0, 1.2, f.size)
    noise += 14 * np.exp(-((np.log2(f / 150) / 0.03) ** 2))
    seconds = np.arange(0, 20, 0.25)
    moments = noise_dbspl + rng.normal(0, 0.8, seconds.size)
    moments[47:50] += 9.0
    t = np.arange(0, 0.3, 1 / 16000)
    impulse = rng.normal(0, 0.12, t.size) * 10 ** (-3 * t / rt60_s) * (t > 0.004)
    impulse[40] = 1.0
    decay_t = np.arange(0, 0.8, 0.004)
    decay = np.maximum(-60 * decay_t / rt60_s, -58 + rng.normal(0, 0.3, decay_t.size))
    shift_f = np.array([250, 500, 1000, 2000, 4000, 6000])
    phon = np.arange(16.0, 47.0, 2.0)
    rejects = 1 / (1 + np.exp((phon - 24) / 2.2))
    stale = 1 / (1 + np.exp((phon - 30) / 2.0))
    score = np.linspace(0, 40, 161)

    def hill(middle: float, width: float) -> object:
        y = np.exp(-(((score - middle) / width) ** 2) / 2)
        return y / y.sum()

    kind = CurveKind
    level = "frequency/Hz/level/dB"
    return (
        curve("response", kind.RESPONSE, "Frequency response", level, f, response),
        curve(
            "distortion",
            kind.DISTORTION,
            "Distortion",
            "frequency/Hz/distortion/%",
            f[::8],
            distortion[::8],
        ),
        curve("noise", kind.NOISE_SPECTRUM, "Noise", "frequency/Hz/level/dB SPL", f, noise),
        curve(
            "noise_over_time",
            kind.NOISE_OVER_TIME,
            "Background noise over time",
            "time/s/level/dB SPL",
            seconds,
            moments,
        ),
        curve(
            "impulse", kind.IMPULSE_RESPONSE, "Impulse response", "time/s/amplitude/", t, impulse
        ),
        curve("decay", kind.DECAY, "Decay of sound", "time/s/level/dB", decay_t, decay),
        curve(
            "shift",
            kind.FREQUENCY_SHIFT,
            "Frequency shift",
            "frequency/Hz/shift/Hz",
            shift_f,
            [0.0, 0.02, -0.01, 0.04, np.nan, 0.07],
        ),
        curve(
            "trade_off.rejects",
            kind.TRADE_OFF,
            "this device's nonces that are not accepted",
            "loudness at 1 m/phon/share that goes wrong/share",
            phon,
            rejects,
        ),
        curve(
            "trade_off.stale",
            kind.TRADE_OFF,
            "old nonces that are missed",
            "loudness at 1 m/phon/share that goes wrong/share",
            phon,
            stale,
        ),
        curve(
            "nonce.random",
            kind.SCORES,
            "random nonces",
            "score//share of the scores/share",
            score,
            hill(4.5, 1.0),
        ),
        curve(
            "nonce.current",
            kind.SCORES,
            "the nonce that was played",
            "score//share of the scores/share",
            score,
            hill(4.5 + apart, 3.0),
        ),
        curve(
            "speaker.others",
            kind.SCORES,
            "background speakers",
            "cosine//share of the scores/share",
            score / 40,
            hill(8, 5.0),
        ),
        curve(
            "speaker.owners",
            kind.SCORES,
            "people of this home",
            "cosine//share of the scores/share",
            score / 40,
            hill(8 + apart, 4.0),
        ),
    )


def share(value: float, low: float, high: float, n: int = 0) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=n)


def choice(level: float, phon: float) -> Choice:
    return Choice(
        before=Option(
            parameters={
                "nonce.level_dbspl_1m": 40.0,
                "nonce.spread.band_low_hz": 500.0,
                "nonce.spread.band_high_hz": 7000.0,
            },
            false_rejects=share(0.0005, 0.0, 0.002),
            stale_detection=share(0.995, 0.99, 0.999),
            loudness_phon=38.0,
            loudness_sone=0.9,
            over_ambient_db=6.6,
        ),
        after=Option(
            parameters={
                "nonce.level_dbspl_1m": level,
                "nonce.spread.band_low_hz": 700.0,
                "nonce.spread.band_high_hz": 6500.0,
            },
            false_rejects=share(0.003, 0.001, 0.006),
            stale_detection=share(0.985, 0.97, 0.995),
            played_current=Played(n=24, failures=0),
            played_stale=Played(n=24, failures=1),
            loudness_phon=phon,
            loudness_sone=0.5,
            over_ambient_db=level - 33.4,
        ),
        sentence=(
            f"{level:g} dB SPL is the quietest level at which fewer than 1 in 100 nonces are "
            "rejected and 97 in 100 old ones are found in this room"
        ),
    )


def good() -> Record:
    """Everything passes; the settings were written."""
    return Record(
        device=Device(
            serial="EM-2026-00417",
            program_version="0.1.0",
            program_sha256="3f" * 32,
            settings_sha256="a9" * 32,
            speaker_model_sha256="07" * 32,
            audio_kind="sounddevice",
            audio_device="hw:CARD=seeed2micvoicec,DEV=0",
        ),
        when=WHEN,
        profile=Profile.NORMAL,
        sound_s=151.4,
        spl_reference="sound-level meter, 71.2 dB SPL at 1 m",
        measurements=measurements(),
        curves=curves(rt60_s=0.42, noise_dbspl=33.4, hole_db=5.0, apart=19.0),
        choice=choice(36.0, 32.0),
        thresholds=(
            Threshold(
                name="nonce.accept",
                value=9.2,
                frr=share(0.002, 0.0, 0.01, 500),
                far=share(0.0, 0.0, 0.0004, 10_000),
                note="against 10 000 random nonces in the same sound",
            ),
            Threshold(
                name="speaker.threshold",
                value=0.43,
                frr=share(0.02, 0.002, 0.07, 100),
                far=share(0.01, 0.004, 0.02, 900),
                note="3 people enrolled",
            ),
        ),
        settings=(
            Change(key="nonce.level_dbspl_1m", before=40.0, after=36.0),
            Change(key="nonce.spread.band_low_hz", before=500.0, after=700.0),
            Change(key="nonce.spread.band_high_hz", before=7000.0, after=6500.0),
            Change(key="speaker.threshold", before=None, after=0.43),
        ),
        applied=True,
    )


def marginal() -> Record:
    """A loud, echoing kitchen: it works, and could work better. Nothing was written."""
    return good().model_copy(
        update={
            "device": good().device.model_copy(update={"serial": "EM-2026-00418"}),
            "measurements": measurements(noise_level=49.5, rt60=0.81, canceller_depth=26.0),
            "curves": curves(rt60_s=0.81, noise_dbspl=49.5, hole_db=18.0, apart=9.0),
            "choice": choice(46.0, 44.0),
            "applied": False,
        }
    )


def broken() -> Record:
    """The microphone clips and the platform's echo canceller runs: little could be measured."""
    all_curves = curves(rt60_s=0.42, noise_dbspl=36.0, hole_db=5.0, apart=3.0)
    return Record(
        device=good().device.model_copy(update={"serial": "EM-2026-00419"}),
        when=WHEN,
        profile=Profile.PAYMENT,
        sound_s=22.0,
        measurements=measurements(
            peak_level=0.0, round_trip_delay=None, rt60=None, canceller_depth=3.0, clock_drift=512.0
        ),
        curves=tuple(c for c in all_curves if c.kind is CurveKind.NOISE_SPECTRUM),
        faults=(
            Fault(
                kind=FaultKind.MICROPHONE_CLIPS,
                advice="the microphone clips: turn the gain down by 6 dB",
            ),
            Fault(
                kind=FaultKind.ECHO_CANCELLER,
                advice="the platform's echo canceller is on and removes the nonce: switch it off "
                "in the sound server's settings",
            ),
        ),
    )


ALL = {"good": good, "marginal": marginal, "broken": broken}


def many() -> list[Record]:
    """The reports of 24 devices: one drifts, one is an outlier, one was moved, one is broken."""
    rng = np.random.default_rng(11)
    made = [broken()]
    for n in range(23):
        serial = f"EM-2026-{500 + n:05d}"
        gain = -14.0 + rng.normal(0, 1.5)
        for month in range(8):
            values: dict[str, float | None] = {
                "peak_level": gain + rng.normal(0, 0.2),
                "noise_level": 34.0 + rng.normal(0, 1.0),
                "clock_drift": rng.normal(0, 2.0),
                "rt60": 0.42 * (1 + rng.normal(0, 0.03)),
                "canceller_depth": 37.0 + rng.normal(0, 0.8),
            }
            if n == 3:
                values["peak_level"] = gain - 1.1 * month + rng.normal(0, 0.2)
            if n == 7:
                values["clock_drift"] = 86.0 + rng.normal(0, 2.0)
            if n == 12 and month == 7:
                values["rt60"] = 0.9
            made.append(measured(serial, 30.0 * month + n / 10, **values))
    return made
