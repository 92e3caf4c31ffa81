"""The virtual room: a room that ships with Earmark, inside a real sound server.

Each source is a sink of the server whose filter chain convolves with the room's response from
there to the microphone and plays into `AIR`; the microphone is `AIR`'s monitor. 0 dBFS at any
source is the level that 0 dBFS of the device's loudspeaker has, so that the settings' two
sensitivities hold as they are.

    loudspeaker ──RIR──┐
    person ──RIR───────┼── AIR ── its monitor is the microphone
    attacker ──RIR─────┤
    noise ─────────────┘
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import correlate, fftconvolve
from tests.e2e.server import CLIENT_PRIORITY, RATE_HZ, AudioServer, end, realtime

from earmark.audio import AudioSettings, load_room, microphone_rms
from earmark.audio.room_model import LEAD
from earmark.signal import RATE_HZ as MODEL_HZ
from earmark.signal import Signal, active_level_dbfs, gain

AIR = "air"
LOUDSPEAKER = "loudspeaker"
PERSON = "person"
ATTACKER = "attacker"

CARD = "room"
"""Name of the sound card as the device sees it."""

POSITIONS = {LOUDSPEAKER: "loudspeaker", PERSON: "person_1m", ATTACKER: "attacker"}
"""Each sink, and whose place in the room model it has."""

AMBIENT_DBSPL = 35.0
"""Noise of the room, dB SPL: a quiet home. Digital silence is nothing that a microphone hears."""

NOISE_S = 20.0
"""Length of the noise before it repeats, s: no session is as long."""

CALM_TRIES = 5
"""How often the room is probed, at most, before a scene is played once more."""

PIPE_BYTES = 1 << 20
"""What of the noise waits in a pipe, bytes: 5 s, in which the test itself may not get to run."""

SETTINGS = AudioSettings()

_SOURCE = """
context.properties = {{ log.level = 2 support.dbus = false }}
context.spa-libs = {{
    audio.convert.* = audioconvert/libspa-audioconvert
    support.* = support/libspa-support
}}
context.modules = [
    {{ name = libpipewire-module-rt args = {{ nice.level = -11 }} flags = [ ifexists nofail ] }}
    {{ name = libpipewire-module-protocol-native }}
    {{ name = libpipewire-module-client-node }}
    {{ name = libpipewire-module-adapter }}
    {{ name = libpipewire-module-filter-chain args = {{
        node.description = "{name}"
        media.name = "{name}"
        filter.graph = {{
            nodes = [ {{
                type = builtin label = convolver name = room
                config = {{ filename = "{response}" blocksize = 512 }}
            }} ]
            inputs = [ "room:In" ]
            outputs = [ "room:Out" ]
        }}
        audio.rate = {rate}
        audio.channels = 1
        audio.position = [ MONO ]
        capture.props = {{
            node.name = "{name}"
            media.class = Audio/Sink
            session.suspend-timeout-seconds = 0
        }}
        playback.props = {{
            node.name = "{name}.air"
            node.target = "{air}"
            target.object = "{air}"
            node.passive = true
            stream.dont-remix = true
        }}
    }} }}
]
"""


# Without handle_underrun 0 the callbacks stop at the first underrun, without an error.
_ALSA = """
</usr/share/alsa/alsa.conf>
pcm.{name} {{
    type pulse
    server "{server}"
    handle_underrun 0
    hint {{ show on description "{name}" }}
}}
"""


@dataclass(frozen=True)
class Probe:
    """What the room did to a chirp from one source.

    Parameters
    ----------
    delay_s : from the first sample of the recording to the chirp, s.
    gain_db : level over the one computed from the response, dB.
    residual_db : what is left of the recording without it, dB below it.
    """

    delay_s: float
    gain_db: float
    residual_db: float

    @property
    def exact(self) -> bool:
        """Nothing but the response is in the way: -131 dB measured, a lost cycle leaves -10."""
        return abs(self.gain_db) < 0.01 and self.residual_db < -80.0 and 0.0 < self.delay_s < 3.0


class VirtualRoom:
    """A room in a sound server of its own.

    Parameters
    ----------
    folder : for everything that it writes; a short path.
    name : of a room that ships with Earmark.
    """

    def __init__(self, folder: Path, name: str = "living_room") -> None:
        self.folder = folder
        self.server = AudioServer(folder, AIR)
        self._model = load_room(name)
        self._on_time = realtime(CLIENT_PRIORITY)
        self._noise: _Noise | None = None
        self._playing: list[subprocess.Popen[bytes]] = []
        self._clips = 0
        self.checked: dict[str, Probe] = {}
        """What the room's own check has measured last."""
        self._write()

    # -- the server ---------------------------------------------------------------------------

    def start(self, ambient: bool = True) -> None:
        """Start server, room and noise, and wait until all sources are there."""
        self.server.start()
        for source in POSITIONS:
            self.plug_in(source)
        if ambient:
            self.make_noise()

    def make_noise(self) -> None:
        """Begin with the noise of the room."""
        self._noise = _Noise(self._pacat(AIR), self._ambient())

    def check(self) -> None:
        """Make sure that the microphone hears loudspeaker and person as the responses say.

        It wants a room without noise and tries twice: a loaded machine may miss a cycle.

        Raises
        ------
        AssertionError
            It does not; with what was measured.
        """
        for _ in range(2):
            self.checked = self.probe_all(LOUDSPEAKER, PERSON)
            if all(one.exact for one in self.checked.values()):
                return
        raise AssertionError(
            f"the virtual room is not what it should be: {self.checked}\n{self.server.logs()}"
        )

    def stop(self, crash: bool = False) -> None:
        """End everything; as a crash does, when asked to. Stopping twice is harmless."""
        if self._noise is not None:
            self._noise.stop()
            self._noise = None
        while self._playing:
            end(self._playing.pop())
        self.server.kill() if crash else self.server.stop()

    def await_calm(self) -> None:
        """Wait until the room has been whole for a few seconds, or `CALM_TRIES` times as long.

        What is played is a chirp, which is no wake word.
        """
        for _ in range(CALM_TRIES):
            time.sleep(2.0)  # what still sounds in the room
            if self.probe(ATTACKER).residual_db < -20.0:
                return

    def plug_in(self, source: str) -> None:
        """Put a source into the room."""
        self.server.launch(source, "pipewire", "-c", str(self.folder / f"{source}.conf"))
        self.server.wait_for(source, lambda: self.server.has_sink(source))

    def unplug(self, source: str) -> None:
        """Take a source out of the server, as when a sound card is unplugged."""
        self.server.drop(source)

    @property
    def device_environment(self) -> dict[str, str]:
        """What a process needs to find the room as the sound card `CARD`."""
        return {
            **self.server.environment,
            "PULSE_SINK": LOUDSPEAKER,
            "PULSE_SOURCE": f"{AIR}.monitor",
            "ALSA_CONFIG_PATH": str(self.folder / "asound.conf"),
        }

    # -- sound --------------------------------------------------------------------------------

    def emitted(self, signal: Signal, level_dbspl_1m: float) -> Signal:
        """`signal` (16 kHz) as its source plays it (48 kHz) at that active level at 1 m."""
        dbfs = level_dbspl_1m - SETTINGS.speaker_dbspl_1m_at_0dbfs
        scaled = signal * np.float32(gain(dbfs - active_level_dbfs(signal)))
        return np.asarray(soxr.resample(scaled, MODEL_HZ, RATE_HZ, "VHQ"), dtype=np.float32)

    def heard(self, source: str, played: Signal) -> Signal:
        """What the microphone hears (48 kHz, no noise) of what a source plays (48 kHz)."""
        return np.asarray(fftconvolve(played, self.response(source)), dtype=np.float32)

    def response(self, source: str) -> Signal:
        """The response from a source to the microphone, at the server's rate."""
        response = self._model.responses[POSITIONS[source], "mic"][LEAD:]
        fine = soxr.resample(response.astype(np.float64), MODEL_HZ, RATE_HZ, "VHQ")
        emission_db = SETTINGS.speaker_dbspl_1m_at_0dbfs - SETTINGS.mic_dbspl_at_0dbfs
        # A filter sums three times as many samples at three times the rate.
        return np.asarray(fine * (MODEL_HZ / RATE_HZ) * gain(emission_db), dtype=np.float32)

    def play(self, source: str, played: Signal) -> subprocess.Popen[bytes]:
        """Play a signal (48 kHz) from now on; returns the process that does."""
        self._clips += 1
        file = self.folder / f"clip{self._clips}.wav"
        soundfile.write(file, played, RATE_HZ, subtype="FLOAT")
        process = subprocess.Popen(
            [*self._on_time, "paplay", f"--device={source}", "--latency-msec=200", str(file)],
            env=self.server.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._playing.append(process)
        return process

    @contextlib.contextmanager
    def recorder(self, sink: str = AIR) -> Iterator[list[Signal]]:
        """Record the microphone, or what another sink plays, while the block runs.

        The list holds the recording (48 kHz) when the block has ended.
        """
        taken: list[Signal] = []
        file = self.folder / f"recording-{sink}.raw"
        with file.open("wb") as out:
            process = subprocess.Popen(
                [
                    *self._on_time,
                    "parec",
                    f"--device={sink}.monitor",
                    *_FORMAT,
                    "--latency-msec=200",
                ],
                env=self.server.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.DEVNULL,
            )
            try:
                until = time.monotonic() + 10.0
                while file.stat().st_size == 0:
                    assert process.poll() is None, "parec ended"
                    assert time.monotonic() < until, f"the monitor of {sink} gives nothing"
                    time.sleep(0.02)
                yield taken
            finally:
                end(process)
                taken.append(np.fromfile(file, "<f4"))

    def probe(self, source: str) -> Probe:
        """Play a chirp at a source and compare the recording with what the response predicts."""
        return self.probe_all(source)[source]

    def probe_all(self, *sources: str) -> dict[str, Probe]:
        """The same for several sources that play at once, each a chirp of its own."""
        chirps = {source: _chirp(rising=not number % 2) for number, source in enumerate(sources)}
        with self.recorder() as taken:
            players = [self.play(source, chirp) for source, chirp in chirps.items()]
            for player in players:
                player.wait(20.0)
            time.sleep(0.8)  # the tail of the room, and of the server's buffers
        recorded = taken[0].astype(np.float64)
        wanted = {source: self.heard(source, chirp) for source, chirp in chirps.items()}
        delays = {source: _found(recorded, one) for source, one in wanted.items()}
        columns = np.stack([_placed(one, delays[s], recorded.size) for s, one in wanted.items()])
        factors = np.linalg.lstsq(columns.T, recorded, rcond=None)[0]
        left = recorded - factors @ columns
        return {
            source: Probe(
                delays[source] / RATE_HZ,
                20.0 * math.log10(max(1e-9, abs(factor))),
                10.0 * math.log10(float(np.sum(left**2) / np.sum((factor * column) ** 2))),
            )
            for source, factor, column in zip(sources, factors, columns, strict=True)
        }

    # -- private ------------------------------------------------------------------------------

    def _write(self) -> None:
        server = self.server.environment["PULSE_SERVER"]
        (self.folder / "asound.conf").write_text(_ALSA.format(name=CARD, server=server))
        for source in POSITIONS:
            file = self.folder / f"{source}.wav"
            soundfile.write(file, self.response(source), RATE_HZ, subtype="FLOAT")
            settings = _SOURCE.format(name=source, response=file, rate=RATE_HZ, air=AIR)
            (self.folder / f"{source}.conf").write_text(settings)

    def _pacat(self, sink: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._on_time, "pacat", "--playback", f"--device={sink}", *_FORMAT],
            env=self.server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pipesize=PIPE_BYTES,
        )

    def _ambient(self) -> Signal:
        """Pink noise from 50 Hz to 8 kHz that repeats without a seam."""
        size = round(NOISE_S * RATE_HZ)
        hz = np.fft.rfftfreq(size, 1.0 / RATE_HZ)
        dice = np.random.default_rng(1)
        phases = np.exp(2j * np.pi * dice.random(hz.size))
        band = (hz > 50.0) & (hz < 8000.0)
        wave = np.fft.irfft(np.where(band, phases / np.sqrt(np.maximum(hz, 1.0)), 0.0), size)
        wave *= microphone_rms(AMBIENT_DBSPL, SETTINGS) / math.sqrt(float(np.mean(wave**2)))
        return wave.astype(np.float32)


_FORMAT = ("--raw", "--format=float32le", "--rate=48000", "--channels=1", "--channel-map=mono")


class _Noise:
    """Feeds a player with the same noise for as long as it runs."""

    def __init__(self, player: subprocess.Popen[bytes], noise: Signal) -> None:
        self._player = player
        self._thread = threading.Thread(target=self._feed, args=(noise.tobytes(),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        end(self._player)
        self._thread.join(5.0)

    def _feed(self, data: bytes) -> None:
        assert self._player.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while True:
                self._player.stdin.write(data)


def _chirp(rising: bool) -> Signal:
    """1 s from 200 Hz to 7 kHz or back, faded at both ends, -20 dBFS."""
    times = np.arange(RATE_HZ) / RATE_HZ
    wave = np.sin(2.0 * np.pi * (200.0 * times + 3400.0 * times**2))
    wave *= np.minimum(1.0, np.minimum(times, 1.0 - times) / 0.02) * gain(-17.0)
    return np.asarray(wave if rising else wave[::-1], dtype=np.float32)


def _found(recorded: np.ndarray, wanted: Signal) -> int:
    """Where in the recording the signal begins, samples."""
    lags = correlate(recorded, wanted.astype(np.float64), mode="full", method="fft")
    return int(np.argmax(np.abs(lags))) - (wanted.size - 1)


def _placed(signal: Signal, at: int, size: int) -> np.ndarray:
    out = np.zeros(size)
    begin, end_ = max(0, at), min(size, at + signal.size)
    out[begin:end_] = signal[begin - at : end_ - at]
    return out
