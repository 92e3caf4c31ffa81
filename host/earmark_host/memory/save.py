"""Streams on disk: each query as the audio that the device heard, and a file that says the rest.

A folder holds ``0001.flac``, ``0002.flac`` and so on (16 bit, 16 kHz, mono) and
``stream.json``, which is written last: a folder without it is not whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import soundfile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.errors import EarmarkError
from earmark.memory import CarrierKind
from earmark.signal import RATE_HZ, Signal
from earmark_host.memory.lazy import Lazy
from earmark_host.memory.stream import Query, Stream

INDEX = "stream.json"
"""Name of the file that says what the others are."""

VERSION = 1
"""Version of the format; others are refused."""

MAX_QUERIES = 10_000
"""Most queries of a stream: ten times the longest attack of the query memory paper."""

LONGEST_S = 30.0
"""Longest query, s: three times the longest command."""

MAX_INDEX_BYTES = 8 * 1024 * 1024
"""Largest index that is read, bytes: a query takes some 200 of them."""

MAX_FILE_BYTES = 2 * 1024 * 1024
"""Largest audio file that is read, bytes: twice what 30 s take uncompressed."""

_AGAIN = "save the stream again"


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    file: Annotated[str, Field(pattern=r"^[0-9]{4,5}\.flac$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    at_s: float
    fake: bool
    snr_db: float | None


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    earmark_stream: Literal[1]
    name: str
    carrier: CarrierKind
    won_at: Annotated[int, Field(ge=0)] | None
    facts: dict[str, Any]
    queries: Annotated[list[_Row], Field(min_length=1, max_length=MAX_QUERIES)]


def save(stream: Stream, folder: Path) -> None:
    """Write `stream` into `folder`, which must be empty or not there yet.

    Samples are rounded to 16 bit; what lies beyond [-1, 1] is clipped.

    Raises
    ------
    EarmarkError
        The folder holds something or cannot be written, or the stream has no queries, more than
        :data:`MAX_QUERIES`, or one that is empty or longer than :data:`LONGEST_S`.
    TypeError, ValueError
        ``facts`` hold what JSON cannot; nothing is written.
    """
    if not 1 <= len(stream.queries) <= MAX_QUERIES:
        raise EarmarkError(
            f"a stream of {len(stream.queries)} queries cannot be saved",
            f"save 1 to {MAX_QUERIES} of them",
        )
    json.dumps(stream.facts, allow_nan=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise EarmarkError(f"{folder} is not empty", "give a new folder for each stream")
        rows = [_written(query, folder, n) for n, query in enumerate(stream.queries, 1)]
        content = {
            "earmark_stream": VERSION,
            "name": stream.name,
            "carrier": stream.carrier,
            "won_at": stream.won_at,
            "facts": stream.facts,
            "queries": rows,
        }
        part = folder / f"{INDEX}.part"
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")
        os.replace(part, folder / INDEX)
    except OSError as error:
        raise EarmarkError(
            f"{folder} cannot be written ({error.strerror})", "give a folder with space and rights"
        ) from error


def load(folder: Path) -> Stream:
    """The stream that was saved in `folder`.

    Returns
    -------
    Stream
        Lazy: an audio file is read, checked against its SHA-256 and decoded when its query is
        asked for, which raises EarmarkError where the file is damaged.

    Raises
    ------
    EarmarkError
        The index is missing, too large, malformed or names a file that is not there.
    """
    path = folder / INDEX
    index = _index(path)
    rows = index.queries
    if index.won_at is not None and index.won_at >= len(rows):
        raise EarmarkError(f"{path}: won_at is {index.won_at} of {len(rows)} queries", _AGAIN)
    if any(late.at_s < early.at_s for early, late in pairwise(rows)):
        raise EarmarkError(f"{path}: at_s falls from one query to the next", _AGAIN)
    for row in rows:
        if not (folder / row.file).is_file():
            raise EarmarkError(f"{folder / row.file} is missing", _AGAIN)
    return Stream(index.name, index.carrier, _queries(folder, rows), index.won_at, index.facts)


def _written(query: Query, folder: Path, number: int) -> dict[str, object]:
    """Write one query's audio; its row in the index."""
    name = f"{number:04d}.flac"
    size = query.signal.size
    if not 0 < size <= LONGEST_S * RATE_HZ:
        raise EarmarkError(
            f"query {number} is {size / RATE_HZ:.3g} s long", f"keep it within {LONGEST_S:g} s"
        )
    buffer = io.BytesIO()
    soundfile.write(buffer, query.signal, RATE_HZ, format="FLAC", subtype="PCM_16")
    data = buffer.getvalue()
    (folder / name).write_bytes(data)
    return {
        "file": name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "at_s": float(query.at_s),
        "fake": query.fake,
        "snr_db": None if query.snr_db is None else float(query.snr_db),
    }


def _index(path: Path) -> _Index:
    data = _bytes(path, MAX_INDEX_BYTES)
    try:
        return _Index.model_validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise EarmarkError(f"{path}: {where or 'the file'}: {fault['msg']}", _AGAIN) from error


def _queries(folder: Path, rows: Sequence[_Row]) -> Lazy:
    def query(index: int) -> Query:
        row = rows[index]
        signal = _decoded(folder / row.file, row.sha256)
        return Query(signal, row.at_s, row.fake, row.snr_db)

    return Lazy(range(len(rows)), query)


def _decoded(path: Path, sha256: str) -> Signal:
    data = _bytes(path, MAX_FILE_BYTES)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EarmarkError(f"{path} is not the file that was saved", _AGAIN)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.samplerate != RATE_HZ or file.channels != 1:
                raise EarmarkError(f"{path} is not {RATE_HZ} Hz mono", _AGAIN)
            if not 0 < file.frames <= LONGEST_S * RATE_HZ:
                raise EarmarkError(f"{path} is empty or longer than {LONGEST_S:g} s", _AGAIN)
            return np.asarray(file.read(dtype="float32"), np.float32)
    except soundfile.SoundFileError as error:
        raise EarmarkError(f"{path} cannot be decoded ({error})", _AGAIN) from error


def _bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise EarmarkError(
            f"{path} cannot be read ({error.strerror})", "give the folder of a saved stream"
        ) from error
    if len(data) > limit:
        raise EarmarkError(f"{path} is larger than {limit} bytes", _AGAIN)
    return data
