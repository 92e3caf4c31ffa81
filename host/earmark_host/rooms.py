"""Rooms for the simulation, computed with pyroomacoustics.

The first part of a response, up to :data:`IMAGE_S`, comes from the image-source method in a
shoebox (Allen and Berkley, JASA 65(4), 1979) with randomly displaced images against sweeping
echoes (De Sena et al., IEEE/ACM TASLP 23(4), 2015); the direct sound is not displaced. The late
part, where thousands of images a second overlap, is Gaussian noise that continues the decay at
the wanted RT60: the full image model to the end of the decay takes some fifty times as long and
sounds no different.

What is not modelled: absorption that depends on frequency (the decay is the same at all
frequencies), directivity of mouth and loudspeaker, the table and the body of the device,
furniture and people as obstacles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyroomacoustics as pra
import soundfile
from numpy.typing import NDArray

from earmark.audio.room_model import (
    LEAD,
    LOUDSPEAKER,
    MIC,
    SOUND_M_S,
    Pair,
    Position,
    RoomModel,
)
from earmark.errors import AudioError
from earmark.signal import RATE_HZ, Signal

IMAGE_S = 0.16
"""Length of the part computed from images, s: beyond the mixing time of a living room."""

CROSSFADE_S = 0.03
"""Length of the crossfade from images to noise, s."""

DISPLACEMENT_M = 0.08
"""Largest random displacement of an image, m: pyroomacoustics' recommended bound."""

KEEP_DB = -60.0
"""A response ends where the energy still to come is this far below its total, dB."""

WALL_M = 0.25
"""Least distance of anything from a wall, m."""

LOUDSPEAKER_M = 0.07
"""Distance of the device's loudspeaker from its microphone, m."""

PEOPLE_M = (0.5, 1.0, 2.0, 3.0, 4.0)
"""Distances of the people from the microphone, m."""

RECEIVERS = (MIC, "r1", "r2", "r3")
"""The microphone, and recorders: a bystander 1 m from device and person, 20 cm from the mouth of
the person at 1 m, 27 cm from the device."""

DIRECT_S = 0.0025
"""Length of the direct sound, s: the first reflections in a room come later."""

Vector: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RoomSpec:
    """What to compute: a shoebox room and its reverberation time.

    Parameters
    ----------
    name : name of the room.
    size_m : length, width, height, m (2 to 15, height 2 to 5).
    rt60_s : wanted reverberation time, s (0.15 to 1.0).
    """

    name: str
    size_m: Position
    rt60_s: float

    def __post_init__(self) -> None:
        length, width, height = self.size_m
        if not (min(length, width) >= 2.0 and max(length, width) <= 15.0 and 2 <= height <= 5):
            raise ValueError(f"size_m {self.size_m}: 2 to 15 m, height 2 to 5 m")
        if not 0.15 <= self.rt60_s <= 1.0:
            raise ValueError(f"rt60_s {self.rt60_s}: 0.15 to 1.0 s")


SHIPPED = {
    "kitchen": RoomSpec("kitchen", (5.0, 3.2, 2.5), 0.5),
    "living_room": RoomSpec("living_room", (6.0, 5.0, 2.7), 0.4),
    "bedroom": RoomSpec("bedroom", (4.6, 3.6, 2.4), 0.25),
}
"""The rooms that ship with Earmark."""


def random_spec(rng: np.random.Generator, name: str = "random") -> RoomSpec:
    """Draw a room of 3 x 2.5 x 2.4 to 8 x 6 x 3 m with an RT60 of 0.2 to 0.6 s.

    RT60 is drawn below what the volume allows with walls that absorb at least 15 %.
    """
    length = float(rng.uniform(3.0, 8.0))
    width = float(rng.uniform(2.5, min(6.0, length)))
    height = float(rng.uniform(2.4, 3.0))
    surface = 2.0 * (length * width + length * height + width * height)
    # Sabine: RT60 = 0.161 V / (a S).
    longest = min(0.6, 0.161 * length * width * height / (0.15 * surface))
    return RoomSpec(name, (length, width, height), float(rng.uniform(0.2, longest)))


def compute_room(spec: RoomSpec, seed: int) -> RoomModel:
    """Compute the responses between all positions of a room; the same for the same seed.

    People and things that do not fit (4 m from the device in a small room) are left out:
    `RoomModel.sources` says who is there.
    """
    rng = np.random.default_rng(seed)
    positions = _place(spec, rng)
    receivers = [name for name in RECEIVERS if name in positions]
    sources = [name for name in positions if name not in RECEIVERS]
    absorption = _absorption(spec, positions, seed)
    early = _images(
        spec.size_m,
        [positions[name] for name in sources],
        [positions[name] for name in receivers],
        absorption,
        seed,
    )
    responses: dict[Pair, Signal] = {}
    for source, row in zip(sources, early, strict=True):
        for receiver, response in zip(receivers, row, strict=True):
            responses[source, receiver] = _with_tail(response, spec.rt60_s, rng)
    return RoomModel(
        name=spec.name,
        rt60_s=spec.rt60_s,
        size_m=spec.size_m,
        positions=positions,
        responses=responses,
        provenance=(
            f"All paths computed: pyroomacoustics {pra.__version__}, image sources to {IMAGE_S} s "
            f"with absorption {absorption:.3f}, then decaying noise; seed {seed}."
        ),
    )


def with_measured_room(
    model: RoomModel, response: Signal, sources: Sequence[str], provenance: str
) -> RoomModel:
    """Put the reverberation of a measured response on the paths from `sources` to the microphone.

    A published response seldom says at what distance it was taken, so one response serves all
    positions: its direct sound (the first 2.5 ms, :data:`DIRECT_S`) is scaled to 1/distance and
    set at the time of flight of each position; what follows is kept as measured, at one gain for
    all positions, as reverberation hardly depends on the distance. That gain gives the measured
    ratio of direct sound to reverberation at 2 m. All other paths stay as computed.

    Parameters
    ----------
    model : the computed room.
    response : measured response, 1-D at 16 kHz; its largest sample is taken as the direct sound.
    sources : the sources whose path to the microphone is replaced.
    provenance : which response it is, with its credit.
    """
    peak = int(np.argmax(np.abs(response)))
    window = round(DIRECT_S * RATE_HZ)
    onset = max(0, peak - LEAD)
    direct = np.array(response[onset : peak + window], dtype=np.float64)
    tail = np.array(response[peak + window :], dtype=np.float64)
    strength = math.sqrt(float(np.sum(direct**2)))
    responses = dict(model.responses)
    for source in sources:
        distance = model.distance_m(source)
        flight = round(distance / SOUND_M_S * RATE_HZ)
        whole = np.zeros(LEAD + flight + window + tail.size)
        begin = LEAD + flight - (peak - onset)
        whole[begin : begin + direct.size] = direct / strength / distance
        whole[LEAD + flight + window :] = tail / strength / 2.0
        responses[source, MIC] = _cut(whole)
    return replace(
        model,
        rt60_s=round(measure_rt60_s(response[peak:]), 2),
        responses=responses,
        measured=frozenset((source, MIC) for source in sources),
        provenance=f"{provenance} {model.provenance.replace('All paths', 'The other paths')}",
    )


def measure_rt60_s(response: Signal) -> float:
    """RT60 from the slope between -5 and -35 dB of Schroeder's backward integral (T30), s."""
    decay = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    level = 10.0 * np.log10(np.maximum(decay / decay[0], 1e-12))
    span = np.flatnonzero((level <= -5.0) & (level >= -35.0))
    slope = np.polyfit(span / RATE_HZ, level[span], 1)[0]
    return float(-60.0 / slope)


def direct_to_reverberant_db(response: Signal, distance_m: float) -> float:
    """Energy within :data:`DIRECT_S` of the direct sound over the energy after it, dB."""
    centre = round(LEAD + distance_m / SOUND_M_S * RATE_HZ)
    half = round(DIRECT_S * RATE_HZ)
    energy = np.square(response, dtype=np.float64)
    direct = float(energy[max(0, centre - half) : centre + half + 1].sum())
    return 10.0 * math.log10(direct / float(energy[centre + half + 1 :].sum()))


class _Placer:
    """Puts points into a room by rejection: inside, off the walls, apart from each other."""

    TRIES = 400

    def __init__(self, size_m: Position, rng: np.random.Generator) -> None:
        self.rng = rng
        self.high = np.array(size_m) - WALL_M
        self.placed: dict[str, Vector] = {}

    def put(self, name: str, draw: Callable[[], Vector], apart_m: float) -> None:
        """Place `name` where `draw` first gives a free point; leave it out if it never does."""
        for _ in range(self.TRIES):
            point = draw()
            clear = all(math.dist(point, other) > apart_m for other in self.placed.values())
            if clear and np.all(point >= WALL_M) and np.all(point <= self.high):
                self.placed[name] = point
                return

    def around(self, centre: Vector, distance_m: float, heights_m: tuple[float, float]) -> Vector:
        """Draw a point at `distance_m` from `centre`, its height drawn from `heights_m`."""
        low = max(heights_m[0], float(centre[2]) - 0.95 * distance_m)
        high = min(heights_m[1], float(centre[2]) + 0.95 * distance_m)
        rise = self.rng.uniform(low, high) - centre[2]
        angle = self.rng.uniform(-math.pi, math.pi)
        flat = math.sqrt(distance_m**2 - rise**2)
        step = np.array([flat * math.cos(angle), flat * math.sin(angle), rise])
        return np.asarray(centre + step)

    def ring(self, one: Vector, other: Vector, distance_m: float) -> Vector:
        """Draw a point at `distance_m` from both `one` and `other`."""
        axis = other - one
        apart = float(np.linalg.norm(axis))
        across = np.cross(axis / apart, self.rng.standard_normal(3))
        across /= np.linalg.norm(across)
        return np.asarray((one + other) / 2 + across * math.sqrt(distance_m**2 - apart**2 / 4))


def _place(spec: RoomSpec, rng: np.random.Generator) -> dict[str, Position]:
    """Put the device on a table near a wall, and everybody at their distance from it."""
    width = spec.size_m[1]
    placer = _Placer(spec.size_m, rng)
    # By the short wall, towards a corner: leaves the longest way to the other side.
    across = width * rng.uniform(0.2, 0.35)
    device = np.array(
        [rng.uniform(0.35, 0.5), across if rng.random() < 0.5 else width - across, 0.8]
    )
    placer.placed[MIC] = device
    placer.placed[LOUDSPEAKER] = placer.around(device, LOUDSPEAKER_M, (0.8, 0.8))
    # Mouths: seated to standing; the nearest bends over the table.
    for distance in PEOPLE_M:
        heights = (1.0, 1.2) if distance < 1.0 else (1.1, 1.6)
        placer.put(f"person_{distance:g}m", partial(placer.around, device, distance, heights), 0.3)
    placer.put("attacker", partial(placer.around, device, 1.0, (0.7, 1.2)), 0.3)
    for distance in (2.5, 2.0, 3.0, 1.6):
        if "television" not in placer.placed:
            placer.put("television", partial(placer.around, device, distance, (0.7, 1.2)), 0.3)
    mouth = placer.placed.get("person_1m")
    if mouth is not None:
        placer.put("r1", partial(placer.ring, device, mouth, 1.0), 0.15)
        placer.put("r2", partial(placer.around, mouth, 0.2, (0.0, 3.0)), 0.15)
    placer.put("r3", partial(placer.around, device, 0.27, (0.78, 0.95)), 0.1)
    return {name: (float(p[0]), float(p[1]), float(p[2])) for name, p in placer.placed.items()}


def _images(
    size_m: Position,
    sources: Sequence[Position],
    receivers: Sequence[Position],
    absorption: float,
    seed: int,
) -> list[list[Vector]]:
    """Responses [source][receiver] to IMAGE_S from image sources."""
    reach_m = IMAGE_S * SOUND_M_S
    # Every image within reach: the largest i + j + k on the ellipsoid of lattice points.
    order = math.ceil(reach_m * math.sqrt(sum(1.0 / side**2 for side in size_m)))
    # A zero-phase high-pass over the response would put sound before the direct one.
    pra.constants.set("rir_hpf_enable", False)
    pra.random.seed(seed)
    room = pra.ShoeBox(
        size_m,
        fs=RATE_HZ,
        materials=pra.Material(absorption),
        max_order=order,
        use_rand_ism=True,
        max_rand_disp=DISPLACEMENT_M,
    )
    for source in sources:
        room.add_source(source)
    room.add_microphone_array(np.array(receivers).T)
    room.image_source_model()
    for source in room.sources:
        source.images[:, source.orders == 0] = source.position[:, np.newaxis]
    room.compute_rir()
    length = LEAD + round(IMAGE_S * RATE_HZ)
    return [
        [np.asarray(room.rir[r][s][:length], dtype=np.float64) for r in range(len(receivers))]
        for s in range(len(sources))
    ]


def _decay_db_s(responses: Sequence[Vector]) -> float:
    """Slope of the mean energy of responses between 30 ms and IMAGE_S, dB/s."""
    frame = round(0.01 * RATE_HZ)
    power = np.mean(
        [
            np.square(response[LEAD : LEAD + round(IMAGE_S * RATE_HZ) // frame * frame])
            .reshape(-1, frame)
            .sum(axis=1)
            for response in responses
        ],
        axis=0,
    )
    times = (np.arange(power.size) + 0.5) * 0.01
    late = times >= 0.03
    return float(np.polyfit(times[late], 10.0 * np.log10(power[late]), 1)[0])


def _absorption(spec: RoomSpec, positions: dict[str, Position], seed: int) -> float:
    """Energy absorption of the walls that gives the images the wanted decay.

    Sabine's formula misses by up to half in a shoebox, so it is only the start: each step
    scales the wall loss in dB by the ratio of wanted and measured slope.
    """
    length, width, height = spec.size_m
    surface = 2.0 * (length * width + length * height + width * height)
    absorption = min(0.8, 0.161 * length * width * height / (spec.rt60_s * surface))
    names = [name for name in positions if name.startswith("person")]
    ears = [positions[name] for name in RECEIVERS if name in positions]
    for _ in range(3):
        rows = _images(spec.size_m, [positions[names[-1]]], ears, absorption, seed)
        ratio = (-60.0 / spec.rt60_s) / _decay_db_s(rows[0])
        absorption = min(0.95, 1.0 - (1.0 - absorption) ** ratio)
    return absorption


def _with_tail(early: Vector, rt60_s: float, rng: np.random.Generator) -> Signal:
    """Continue a response past IMAGE_S by noise that decays at `rt60_s`."""
    fade = round(CROSSFADE_S * RATE_HZ)
    begin = early.size - fade
    whole = np.zeros(begin + round(rt60_s * RATE_HZ))
    whole[: early.size] = early
    # Level in the middle of the crossfade, the last images.
    level = math.sqrt(float(np.mean(early[begin:] ** 2)))
    times = (np.arange(whole.size - begin) - fade / 2) / RATE_HZ
    noise = rng.standard_normal(times.size) * level * 10.0 ** (-3.0 * times / rt60_s)
    ramp = np.linspace(0.0, math.pi / 2, fade)
    whole[begin : early.size] *= np.cos(ramp)
    noise[:fade] *= np.sin(ramp)
    whole[begin:] += noise
    return _cut(whole)


def _cut(response: Vector) -> Signal:
    """End a response where the energy still to come is KEEP_DB below its total."""
    decay = np.cumsum(np.square(response)[::-1])[::-1]
    kept = int(np.count_nonzero(decay >= decay[0] * 10.0 ** (KEEP_DB / 10.0)))
    return np.ascontiguousarray(response[:kept], dtype=np.float32)


def read_response(path: Path) -> Signal:
    """Read a measured response: 16 kHz mono, at most 10 s (AudioError otherwise)."""
    try:
        with soundfile.SoundFile(path) as stream:
            if stream.samplerate != RATE_HZ or stream.channels != 1:
                raise AudioError(
                    f"{path} has {stream.samplerate} Hz and {stream.channels} channels",
                    f"convert it: sox {path} -r {RATE_HZ} -c 1 response.wav",
                )
            response: Signal = stream.read(10 * RATE_HZ, dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"{path} cannot be read ({error})", "give a WAV or FLAC file") from error
    return response


def describe(model: RoomModel) -> list[str]:
    """Return the figures of a room as lines of text, one a source."""
    lines = [f"{model.name}: {model.size_m} m, RT60 {model.rt60_s} s. {model.provenance}"]
    for source in model.sources:
        response, distance = model.responses[source, MIC], model.distance_m(source)
        lines.append(
            f"  {source:12s} {distance:5.2f} m  RT60 {measure_rt60_s(response):.2f} s  "
            f"direct/reverberant {direct_to_reverberant_db(response, distance):5.1f} dB  "
            f"{'measured' if (source, MIC) in model.measured else 'computed'}"
        )
    return lines
