"""The simulated room: an audio port whose other end is a household instead of a sound card.

Playback goes through resamplers, a loudspeaker with distortion and band limits, a latency, two
clocks and the response of the room; people, a television and an attacker's loudspeaker speak
from their positions; microphone and recorders add their own noise and clip. All levels are in
dB SPL (see :mod:`earmark.audio.levels`). Everything random comes from the seed, and time is
counted in blocks, so a run is the same bit by bit however fast it is driven.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr

from earmark.audio._convolver import Convolver
from earmark.audio._loudspeaker import Enclosure, Loudspeaker, play_clip
from earmark.audio._noise import Colour, ColouredNoise, LoopedNoise, NoiseStream
from earmark.audio._playback import LEAST_LATENCY_S, PlaybackLine
from earmark.audio.levels import loudspeaker_dbfs, microphone_rms
from earmark.audio.room_model import LOUDSPEAKER, MIC, RoomModel
from earmark.audio.settings import AudioSettings
from earmark.errors import StreamBroken
from earmark.signal import BLOCK, BLOCK_S, RATE_HZ, Signal, active_level_dbfs, gain

MAX_CLIP_S = 120.0
"""Longest clip that can be played at once, s."""

MAX_SCHEDULED_S = 300.0
"""Most audio that can be scheduled and not yet played, s: 19 MB."""

MAX_RECORDING_S = 60.0
"""Longest recording of one recorder, s: 4 MB; later sound is not recorded."""

MAX_NOISES = 8
"""Most noises at once."""

ELECTRIC = frozenset({"attacker", "television"})
"""Sources that are loudspeakers unless told otherwise."""


@dataclass(frozen=True, slots=True)
class RoomConditions:
    """What the hardware and the surroundings do to the sound.

    Parameters
    ----------
    drift_ppm : how much faster the playback's clock runs than the recording's (+-500).
    frequency_shift_hz : shift of all played frequencies (+-50 Hz).
    thd_percent : total harmonic distortion of the loudspeaker (0 to 10), for a sine at
    thd_drive_dbspl_1m : that level at 1 m, dB SPL. The default, 1 % at 60 dB, is worse than
        most small loudspeakers, which reach 1 % at some 75-80 dB.
    latency_s : from playback to recording, without the way through the air; constant (0.08 to
        1.0). With drift it wanders by up to one block, which is then dropped or repeated.
    mic_noise_dbspl : self-noise of the microphone (white); 30 is that of a common MEMS part
        with 64 dB SNR.
    mic_gain_db : gain before the converter, which clips at full scale.
    ambient_dbspl : level of the noise in the room, unweighted; None for none.
    ambient_colour : its colour. Microphone and recorders hear independent noise, as in a
        diffuse field.
    seed : of everything random.
    """

    drift_ppm: float = 0.0
    frequency_shift_hz: float = 0.0
    thd_percent: float = 1.0
    thd_drive_dbspl_1m: float = 60.0
    latency_s: float = LEAST_LATENCY_S
    mic_noise_dbspl: float = 30.0
    mic_gain_db: float = 0.0
    ambient_dbspl: float | None = None
    ambient_colour: Colour = "pink"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("drift_ppm", -500.0, 500.0),
            ("frequency_shift_hz", -50.0, 50.0),
            ("thd_percent", 0.0, 10.0),
            ("thd_drive_dbspl_1m", 30.0, 120.0),
            ("latency_s", LEAST_LATENCY_S, 1.0),
            ("mic_noise_dbspl", -100.0, 100.0),
            ("mic_gain_db", -60.0, 60.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, must be {low:g} to {high:g}")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, must not be negative")


@dataclass(slots=True)
class _Clip:
    source: str
    signal: Signal
    start: int


class _Recorder:
    """Collects what is heard at a receiver."""

    def __init__(self, clock_ppm: float, noise: NoiseStream) -> None:
        self.clock_ppm = clock_ppm
        self.noise = noise
        self.blocks: list[Signal] = []

    @property
    def full(self) -> bool:
        return len(self.blocks) * BLOCK_S >= MAX_RECORDING_S


class SimulatedRoom:
    """A room with a device, people and recorders, driven block by block.

    Parameters
    ----------
    room : positions and responses.
    settings : the sensitivities of microphone and loudspeaker.
    conditions : hardware, surroundings, seed.
    """

    def __init__(
        self,
        room: RoomModel,
        settings: AudioSettings | None = None,
        conditions: RoomConditions | None = None,
    ) -> None:
        self.room = room
        self.settings = settings or AudioSettings(kind="simulated")
        self.conditions = conditions or RoomConditions()
        self._line = PlaybackLine(
            self._speaker("speaker"),
            self.conditions.latency_s,
            self.conditions.drift_ppm,
            self.conditions.frequency_shift_hz,
        )
        # From the loudspeaker's dBFS at 1 m to the microphone's.
        self._emission = gain(
            self.settings.speaker_dbspl_1m_at_0dbfs - self.settings.mic_dbspl_at_0dbfs
        )
        self._mic_gain = gain(self.conditions.mic_gain_db)
        self._mic_noise = self._white(self.conditions.mic_noise_dbspl, MIC)
        self._convolver = Convolver(room)
        self._clips: list[_Clip] = []
        self._noises: list[tuple[Colour | Signal, float]] = []
        self._ambience: dict[str, list[NoiseStream]] = {MIC: []}
        self._recorders: dict[str, _Recorder] = {}
        self._blocks = 0
        self._opening = 1.0
        self._opening_before = 1.0
        self._breaks_at: float | None = None
        self._closed = False
        self.clipped_samples = 0
        """Samples that the microphone has clipped so far."""
        if self.conditions.ambient_dbspl is not None:
            self.noise(self.conditions.ambient_colour, self.conditions.ambient_dbspl)

    # -- the audio port ---------------------------------------------------------------------

    def exchange(self, play: Signal) -> Signal:
        """Play one block and return what the microphone recorded meanwhile.

        Raises
        ------
        StreamBroken
            After :meth:`close`, and from the time set with :meth:`break_after`.
        ValueError
            `play` is not one block of finite samples.
        """
        if self._closed or (self._breaks_at is not None and self.now_s >= self._breaks_at):
            raise StreamBroken("the stream of the simulated room stopped", "open the room again")
        if play.shape != (BLOCK,) or not np.isfinite(play).all():
            raise ValueError(f"play: {BLOCK} finite samples, got shape {play.shape}")
        drive = np.clip(play, -1.0, 1.0).astype(np.float32, copy=False)
        blocks = {LOUDSPEAKER: self._emit(drive)}
        self._speak(blocks)
        self._convolver.push(blocks)
        for receiver, recorder in self._recorders.items():
            if not recorder.full:
                recorder.blocks.append(self._heard(receiver) + recorder.noise.next())
        heard = (self._heard(MIC) + self._mic_noise.next()) * np.float32(self._mic_gain)
        self.clipped_samples += int(np.count_nonzero(np.abs(heard) > 1.0))
        self._blocks += 1
        return np.asarray(np.clip(heard, -1.0, 1.0), dtype=np.float32)

    def close(self) -> None:
        """Stop the stream. Closing twice is harmless."""
        self._closed = True

    # -- what goes on in the room -----------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Audio time since the stream began, s."""
        return self._blocks * BLOCK_S

    @property
    def slips(self) -> int:
        """Blocks that were dropped or repeated because the two clocks had drifted apart."""
        return self._line.slips

    def say(
        self,
        source: str,
        signal: Signal,
        level_dbspl_1m: float,
        through: Enclosure | None = None,
    ) -> float:
        """Play a clip from now on: :meth:`play_at` with the present time."""
        return self.play_at(source, signal, self.now_s, level_dbspl_1m, through)

    def play_at(
        self,
        source: str,
        signal: Signal,
        start_s: float,
        level_dbspl_1m: float,
        through: Enclosure | None = None,
    ) -> float:
        """Schedule a clip at a position.

        Parameters
        ----------
        source : position, one of `room.sources`; not the device's own loudspeaker.
        signal : 1-D at 16 kHz, up to 120 s; its scale does not matter.
        start_s : audio time of its first sample, s, not before :attr:`now_s`.
        level_dbspl_1m : its active level (see `active_level_dbfs`) at 1 m in free field, dB SPL.
        through : the loudspeaker that plays it, with distortion and band limits of its own;
            None is a mouth, except for the attacker and the television ("speaker").

        Returns
        -------
        Audio time of its end, s.

        Raises
        ------
        ValueError
            Unknown position, start in the past, silent, too long, or too much scheduled.
        """
        if source == LOUDSPEAKER or source not in self.room.sources:
            known = ", ".join(name for name in self.room.sources if name != LOUDSPEAKER)
            raise ValueError(f"no position {source!r} in room {self.room.name}; there are {known}")
        start = round(start_s * RATE_HZ)
        if start < self._blocks * BLOCK:
            raise ValueError(f"start at {start_s} s is in the past, it is {self.now_s} s")
        _check_clip(signal)
        pending = sum(clip.signal.size for clip in self._clips) + signal.size
        if pending > MAX_SCHEDULED_S * RATE_HZ:
            raise ValueError(f"more than {MAX_SCHEDULED_S} s of sound scheduled")
        if through is None and source in ELECTRIC:
            through = "speaker"
        scaled = self._scaled(signal, level_dbspl_1m - self.settings.mic_dbspl_at_0dbfs)
        if through is not None:
            # Drive the loudspeaker at its own scale, so that it distorts as it would.
            driven = self._scaled(signal, loudspeaker_dbfs(level_dbspl_1m, self.settings))
            radiated = play_clip(self._speaker(through), np.clip(driven, -1.0, 1.0))
            scaled = self._scaled(radiated, level_dbspl_1m - self.settings.mic_dbspl_at_0dbfs)
        self._clips.append(_Clip(source, scaled, start))
        return (start + scaled.size) / RATE_HZ

    def noise(self, what: Colour | Signal, level_dbspl: float) -> None:
        """Add a noise that goes on: a colour, or a clip (1-D at 16 kHz) that loops.

        It has `level_dbspl` (rms, unweighted) at the microphone and at each recorder, from no
        direction: each hears another stretch of it. At most 8 (ValueError).
        """
        if len(self._noises) >= MAX_NOISES:
            raise ValueError(f"at most {MAX_NOISES} noises")
        if not isinstance(what, str):
            _check_clip(what)
        for receiver, streams in self._ambience.items():
            streams.append(self._stream(what, level_dbspl, receiver, len(self._noises)))
        self._noises.append((what, level_dbspl))

    def stop_noise(self) -> None:
        """End all noises, the ambient noise of the conditions too."""
        self._noises.clear()
        for streams in self._ambience.values():
            streams.clear()

    # -- recorders --------------------------------------------------------------------------

    def record(self, receiver: str, clock_ppm: float = 0.0, noise_dbspl: float = 30.0) -> None:
        """Begin to record at a receiver (again: from anew), for at most 60 s.

        Parameters
        ----------
        receiver : one of `room.receivers`.
        clock_ppm : how much faster the recorder's clock runs than the device's.
        noise_dbspl : its self-noise, dB SPL.
        """
        if receiver not in self.room.receivers:
            known = ", ".join(self.room.receivers)
            raise ValueError(
                f"no receiver {receiver!r} in room {self.room.name}; there are {known}"
            )
        self._recorders[receiver] = _Recorder(clock_ppm, self._white(noise_dbspl, receiver))
        if receiver not in self._ambience:
            self._ambience[receiver] = [
                self._stream(what, level, receiver, number)
                for number, (what, level) in enumerate(self._noises)
            ]

    def recording(self, receiver: str) -> Signal:
        """End a recording and return it, at its own clock, rounded to 16 bits.

        Full scale is that of the device's microphone. ValueError if none was begun.
        """
        if receiver not in self._recorders:
            raise ValueError(f"nothing was recorded at {receiver!r}: call record() first")
        recorder = self._recorders.pop(receiver)
        if receiver != MIC:
            del self._ambience[receiver]
        if not recorder.blocks:
            return np.zeros(0, dtype=np.float32)
        heard = np.concatenate(recorder.blocks)
        if recorder.clock_ppm:
            heard = soxr.resample(heard, RATE_HZ, RATE_HZ * (1.0 + recorder.clock_ppm * 1e-6))
        scale = 2.0**15
        whole = np.clip(np.round(heard * scale), -scale, scale - 1)
        return np.asarray(whole / scale, dtype=np.float32)

    # -- faults -----------------------------------------------------------------------------

    def jam_loudspeaker(self, attenuation_db: float = math.inf) -> None:
        """Cover or cut off the device's loudspeaker, from the next block on.

        `attenuation_db` of 0 frees it again; the default leaves nothing.
        """
        self._opening = gain(-attenuation_db)

    def break_after(self, seconds: float) -> None:
        """Let the stream break `seconds` of audio time from now."""
        self._breaks_at = self.now_s + seconds

    # -- private ----------------------------------------------------------------------------

    def _emit(self, drive: Signal) -> Signal:
        block = self._line.next(drive)
        # A hand does not click: reach the new opening over one block.
        ramp = np.linspace(self._opening_before, self._opening, BLOCK, dtype=np.float32)
        self._opening_before = self._opening
        return np.asarray(block * ramp * np.float32(self._emission), dtype=np.float32)

    def _speak(self, blocks: dict[str, Signal]) -> None:
        begin = self._blocks * BLOCK
        end = begin + BLOCK
        for clip in self._clips:
            first, last = max(begin, clip.start), min(end, clip.start + clip.signal.size)
            if first < last:
                block = blocks.setdefault(clip.source, np.zeros(BLOCK, dtype=np.float32))
                block[first - begin : last - begin] += clip.signal[
                    first - clip.start : last - clip.start
                ]
        self._clips = [clip for clip in self._clips if clip.start + clip.signal.size > end]

    def _heard(self, receiver: str) -> Signal:
        heard = self._convolver.heard(receiver)
        for stream in self._ambience[receiver]:
            heard = heard + stream.next()
        return heard

    def _stream(
        self, what: Colour | Signal, level_dbspl: float, receiver: str, number: int
    ) -> NoiseStream:
        rms = microphone_rms(level_dbspl, self.settings)
        rng = self._rng(f"noise {number} at {receiver}")
        if isinstance(what, str):
            return ColouredNoise(what, rms, rng)
        return LoopedNoise(what, rms, rng)

    def _white(self, level_dbspl: float, receiver: str) -> NoiseStream:
        rms = microphone_rms(level_dbspl, self.settings)
        return ColouredNoise("white", rms, self._rng(f"self-noise of {receiver}"))

    def _rng(self, purpose: str) -> np.random.Generator:
        # By name, not in order, so that one more source of noise leaves the others as they are.
        return np.random.default_rng([self.conditions.seed, *purpose.encode()])

    def _speaker(self, enclosure: Enclosure) -> Loudspeaker:
        drive_dbfs = loudspeaker_dbfs(self.conditions.thd_drive_dbspl_1m, self.settings)
        return Loudspeaker(self.conditions.thd_percent, drive_dbfs, enclosure)

    @staticmethod
    def _scaled(signal: Signal, level_dbfs: float) -> Signal:
        factor = gain(level_dbfs - active_level_dbfs(signal))
        return np.asarray(signal * np.float32(factor), dtype=np.float32)


def _check_clip(signal: Signal) -> None:
    if signal.ndim != 1 or not 0 < signal.size <= MAX_CLIP_S * RATE_HZ:
        raise ValueError(f"a clip is 1-D and up to {MAX_CLIP_S:g} s, got shape {signal.shape}")
    if not np.isfinite(signal).all() or not signal.any():
        raise ValueError("a clip must be finite and not silent")
