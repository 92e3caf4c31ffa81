"""A room as the simulation needs it: who is where, and the impulse response between them.

A response has gain 1.0 for the direct sound at 1 m in free field, so a source's level at 1 m
and the response give the level at the receiver. Every response of a room begins with the same
:data:`LEAD` samples of room for the interpolation of fractional delays, then the time of
flight: sample ``LEAD + rate * distance / c`` is the direct sound.

File format (one .npz, version 1): ``meta``, a JSON text as uint8, and ``flac``, all responses
one after the other as a 16-bit mono FLAC stream, each divided by its own ``step``. FLAC codes
a decaying response near its entropy, at less than half of what deflate takes. The rounding
error is :data:`ROUNDING_DB` relative to the response's energy, far below what a microphone
with 30 dB SPL of self-noise shows of the playback.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from earmark.errors import AudioError
from earmark.signal import RATE_HZ, Signal

Position: TypeAlias = tuple[float, float, float]
Pair: TypeAlias = tuple[str, str]

VERSION = 1
"""Version of the file format."""

LEAD = 40
"""Samples before time zero in each response: half of pyroomacoustics' 81-tap interpolator."""

SOUND_M_S = 343.0
"""Speed of sound, m/s, at 20 degrees C."""

ROUNDING_DB = -70.0
"""Energy of the rounding error in a file, dB relative to the response's energy."""

MAX_FILE_BYTES = 4_000_000
"""Largest room file that is read: ten times the largest that ships."""

MAX_RESPONSE_S = 2.0
"""Longest response, s: twice the longest RT60 of a furnished room."""

MAX_PATHS = 256
"""Most source-receiver pairs in a file."""

LOUDSPEAKER = "loudspeaker"
"""Source: the device's own loudspeaker."""

MIC = "mic"
"""Receiver: the device's microphone."""


@dataclass(frozen=True, slots=True)
class RoomModel:
    """Sources, receivers and the impulse responses between them.

    Parameters
    ----------
    name : name of the room.
    rt60_s : reverberation time, s.
    size_m : length, width and height, m.
    positions : place of each source and receiver, m from a corner.
    responses : (source, receiver) -> impulse response, 1-D float32 at `rate_hz`, beginning
        with :data:`LEAD` samples before time zero; gain 1.0 at 1 m in free field.
    measured : the paths whose response was measured; all others are computed.
    provenance : where the responses come from, with credits.
    rate_hz : sampling rate, Hz.

    Raises
    ------
    ValueError
        No path from the loudspeaker to the microphone, or a response of the wrong kind.
    """

    name: str
    rt60_s: float
    size_m: Position
    positions: Mapping[str, Position]
    responses: Mapping[Pair, Signal] = field(repr=False)
    measured: frozenset[Pair] = frozenset()
    provenance: str = ""
    rate_hz: int = RATE_HZ

    def __post_init__(self) -> None:
        if self.rate_hz != RATE_HZ:
            raise ValueError(f"rate_hz is {self.rate_hz}, must be {RATE_HZ}")
        if (LOUDSPEAKER, MIC) not in self.responses:
            raise ValueError("a room needs the path from loudspeaker to mic")
        for path, response in self.responses.items():
            if response.ndim != 1 or response.dtype != np.float32 or response.size <= LEAD:
                raise ValueError(f"response {path}: 1-D float32, longer than {LEAD} samples")
            if response.size > MAX_RESPONSE_S * RATE_HZ:
                raise ValueError(f"response {path}: longer than {MAX_RESPONSE_S} s")
            if not np.isfinite(response).all():
                raise ValueError(f"response {path}: not finite")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that the microphone can hear."""
        return tuple(sorted(source for source, receiver in self.responses if receiver == MIC))

    @property
    def receivers(self) -> tuple[str, ...]:
        """Names of the receivers."""
        return tuple(sorted({receiver for _, receiver in self.responses}))

    def distance_m(self, source: str, receiver: str = MIC) -> float:
        """Distance between a source and a receiver, m (KeyError: no such position)."""
        return math.dist(self.positions[source], self.positions[receiver])

    def save(self, path: Path) -> None:
        """Write the room to one .npz file."""
        steps: list[float] = []
        parts: list[NDArray[np.int16]] = []
        pairs = sorted(self.responses)
        for pair in pairs:
            whole, step = _rounded(self.responses[pair])
            steps.append(step)
            parts.append(whole)
        meta = {
            "version": VERSION,
            "name": self.name,
            "rate_hz": self.rate_hz,
            "rt60_s": self.rt60_s,
            "size_m": list(self.size_m),
            "positions": {key: list(value) for key, value in sorted(self.positions.items())},
            "provenance": self.provenance,
            "paths": [
                {
                    "source": pair[0],
                    "receiver": pair[1],
                    "samples": part.size,
                    "step": step,
                    "measured": pair in self.measured,
                }
                for pair, part, step in zip(pairs, parts, steps, strict=True)
            ],
        }
        flac = io.BytesIO()
        soundfile.write(
            flac,
            np.concatenate(parts),
            RATE_HZ,
            format="FLAC",
            subtype="PCM_16",
            compression_level=1.0,
        )
        np.savez(
            path,
            allow_pickle=False,
            meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8),
            flac=np.frombuffer(flac.getvalue(), dtype=np.uint8),
        )

    @classmethod
    def load(cls, path: Path) -> RoomModel:
        """Read a room from a file written by :meth:`save`.

        Raises
        ------
        AudioError
            The file is missing, too large, damaged, or of another version.
        """
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise _damaged(path, f"larger than {MAX_FILE_BYTES} bytes")
            data = path.read_bytes()
        except OSError as error:
            raise AudioError(
                f"room {path} cannot be read ({error.strerror or error})",
                f"name one of {', '.join(shipped_rooms())}, or a .npz file in audio.room",
            ) from error
        return cls._parse(data, path)

    @classmethod
    def _parse(cls, data: bytes, path: Path) -> RoomModel:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                if sum(item.file_size for item in archive.infolist()) > MAX_FILE_BYTES:
                    raise _damaged(path, f"unpacks to more than {MAX_FILE_BYTES} bytes")
            with np.load(io.BytesIO(data), allow_pickle=False) as members:
                meta = json.loads(members["meta"].tobytes())
                flac = members["flac"].tobytes()
            if meta["version"] != VERSION:
                raise AudioError(
                    f"room {path} has format version {meta['version']}, this Earmark reads "
                    f"{VERSION}",
                    "compute it again with `earmark-host room compute`",
                )
            return _model(meta, flac, path)
        except AudioError:
            raise
        except (
            zipfile.BadZipFile,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            EOFError,
            OSError,
            soundfile.SoundFileError,
        ) as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error


def shipped_rooms() -> tuple[str, ...]:
    """Names of the rooms that ship with Earmark."""
    folder = files("earmark.audio").joinpath("rooms")
    return tuple(sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".npz")))


def load_room(name: str) -> RoomModel:
    """Load a shipped room by name, or any room by the path of its .npz file (AudioError)."""
    if name in shipped_rooms():
        item = files("earmark.audio").joinpath("rooms", f"{name}.npz")
        return RoomModel._parse(item.read_bytes(), Path(f"{name}.npz"))
    return RoomModel.load(Path(name))


def _rounded(response: Signal) -> tuple[NDArray[np.int16], float]:
    """`response` in whole steps, the step giving a rounding error of ROUNDING_DB."""
    energy = float(np.sum(np.square(response, dtype=np.float64)))
    if energy == 0.0:
        return np.zeros(response.size, dtype=np.int16), 1.0
    # Uniform rounding leaves step**2 / 12 a sample.
    step = math.sqrt(12.0 * energy * 10.0 ** (ROUNDING_DB / 10.0) / response.size)
    step = max(step, float(np.max(np.abs(response))) / np.iinfo(np.int16).max)
    return np.round(response / step).astype(np.int16), step


def _model(meta: dict[str, Any], flac: bytes, path: Path) -> RoomModel:
    paths = meta["paths"]
    total = sum(int(item["samples"]) for item in paths)
    if len(paths) > MAX_PATHS or total > MAX_PATHS * MAX_RESPONSE_S * RATE_HZ:
        raise _damaged(path, "too many responses")
    with soundfile.SoundFile(io.BytesIO(flac)) as stream:
        if stream.frames != total or stream.channels != 1:
            raise _damaged(path, f"{stream.frames} samples where {total} are declared")
        whole = stream.read(total, dtype="int16")
    if whole.size != total:
        raise _damaged(path, f"ends after {whole.size} of {total} samples")
    responses: dict[Pair, Signal] = {}
    begin = 0
    for item in paths:
        end = begin + int(item["samples"])
        response = (whole[begin:end] * float(item["step"])).astype(np.float32)
        response.setflags(write=False)
        responses[str(item["source"]), str(item["receiver"])] = response
        begin = end
    return RoomModel(
        name=str(meta["name"]),
        rt60_s=float(meta["rt60_s"]),
        size_m=_xyz(meta["size_m"]),
        positions={str(key): _xyz(value) for key, value in meta["positions"].items()},
        responses=responses,
        measured=frozenset((i["source"], i["receiver"]) for i in paths if i["measured"]),
        provenance=str(meta["provenance"]),
        rate_hz=int(meta["rate_hz"]),
    )


def _xyz(values: Any) -> Position:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def _damaged(path: Path, why: str) -> AudioError:
    return AudioError(
        f"room {path} is damaged ({why})",
        "take it from the repository again, or compute it with `earmark-host room compute`",
    )
