"""The people a device knows: what is kept about each, and how it is written down. Pure.

A person is a name, when they consented and enrolled, and one embedding of each enrolment phrase:
no sound and no words. The embeddings belong to one model; those of another mean nothing to it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from earmark.errors import EarmarkError

VERSION = 1
"""Version of the text that people are written down in."""

MAX_PEOPLE = 32
"""Most people on a device: a large household with its guests. Bounds the vault, and how far the
limit must rise so that all of them together admit no more strangers than one would."""

MAX_PHRASES = 6
"""Most phrases of a person."""

MAX_DIMENSIONS = 1024
"""Most dimensions of an embedding: as many as a model may have; ours has 128."""

MAX_NAME_CHARS = 40
"""Longest name, characters: fits a line of a table."""

MAX_UNIX_S = 253_402_300_799.0
"""End of the year 9999, s since 1970: no calendar here goes further."""

ID_BYTES = 4
"""Length of a person's id, bytes: of 32 people two share one with a probability of 1e-7, and then
another is drawn."""

_NOT_UNIT = 1e-3
"""How far the length of a unit embedding may be from 1: what half precision leaves."""


class PeopleError(EarmarkError):
    """A name is not possible, or nobody has it."""


@dataclass(frozen=True, eq=False)
class Person:
    """What is kept about a person. Printed, it shows neither the name nor the voice.

    Parameters
    ----------
    id : 8 hexadecimal digits, drawn by chance; what the journal says instead of the name.
    name : as :func:`checked_name` returns it.
    consent_unix_s : when the person agreed to be recognised, s since 1970.
    enrolled_unix_s : when the last phrase was heard, s since 1970.
    model_id : name of the model that made the embeddings.
    phrases : shape (k, E), float32, unit embeddings of the enrolment phrases.

    Raises
    ------
    ValueError
        A value is not as said here.
    """

    id: str
    name: str = field(repr=False)
    consent_unix_s: float
    enrolled_unix_s: float
    model_id: str
    phrases: NDArray[np.float32] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.id) != 2 * ID_BYTES or set(self.id) - set("0123456789abcdef"):
            raise ValueError(f"the id must have {2 * ID_BYTES} hexadecimal digits")
        if checked_name(self.name) != self.name:
            raise ValueError("the name must be as checked_name returns it")
        for time_s in (self.consent_unix_s, self.enrolled_unix_s):
            if not (math.isfinite(time_s) and 0.0 <= time_s <= MAX_UNIX_S):
                raise ValueError("a time must be from 1970 to 9999")
        shape = self.phrases.shape
        if self.phrases.dtype != np.float32 or self.phrases.ndim != 2:
            raise ValueError("phrases must be 2-D float32")
        if not (1 <= shape[0] <= MAX_PHRASES and 1 <= shape[1] <= MAX_DIMENSIONS):
            raise ValueError(f"phrases must be 1 to {MAX_PHRASES} x 1 to {MAX_DIMENSIONS}")
        lengths = np.linalg.norm(self.phrases.astype(np.float64), axis=1)
        if not bool(np.all(np.abs(lengths - 1.0) <= _NOT_UNIT)):  # a NaN is refused, too
            raise ValueError("each phrase must be a unit embedding")


def checked_name(name: str) -> str:
    """`name` as it is kept: Unicode composed, without spaces around it.

    Raises
    ------
    PeopleError
        It is empty, longer than :data:`MAX_NAME_CHARS`, or has characters that do not print.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(kept) <= MAX_NAME_CHARS or not kept.isprintable():
        raise PeopleError(
            "that name cannot be kept", f"choose 1 to {MAX_NAME_CHARS} characters on one line"
        )
    return kept


def named(people: Sequence[Person], name: str) -> Person | None:
    """Who of `people` has `name`, whatever its case."""
    wanted = unicodedata.normalize("NFC", name).strip().casefold()
    return next((person for person in people if person.name.casefold() == wanted), None)


def utc(unix_s: float) -> str:
    """A time, s since 1970, as text: ``2026-01-02T03:04:05Z``."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def export(person: Person) -> str:
    """All that is kept about a person, as JSON for that person to read."""
    return json.dumps(
        {
            "name": person.name,
            "id": person.id,
            "consent_utc": utc(person.consent_unix_s),
            "enrolled_utc": utc(person.enrolled_unix_s),
            "model_id": person.model_id,
            "phrases": [[round(float(value), 7) for value in phrase] for phrase in person.phrases],
            "about": "Each phrase is the voice as the model describes it, in numbers from -1 to 1. "
            "No sound and no words are kept.",
        },
        ensure_ascii=False,
        indent=1,
    )


# Written down


class _Written(BaseModel):
    """A person in the text."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    id: str
    name: str
    consent_unix_s: float
    enrolled_unix_s: float
    model_id: str = Field(min_length=1, max_length=64)
    dimensions: int = Field(ge=1, le=MAX_DIMENSIONS)
    phrases: tuple[str, ...] = Field(min_length=1, max_length=MAX_PHRASES)  # base64 of float32


class _People(BaseModel):
    """The whole text."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)
    earmark_people: int = Field(ge=VERSION, le=VERSION)
    people: tuple[_Written, ...] = Field(max_length=MAX_PEOPLE)


def written(people: Sequence[Person]) -> bytes:
    """`people` as text that :func:`read` understands.

    Raises
    ------
    ValueError
        More than :data:`MAX_PEOPLE`, or two of one name or id.
    """
    _check_together(people)
    rows = tuple(
        _Written(
            id=person.id,
            name=person.name,
            consent_unix_s=person.consent_unix_s,
            enrolled_unix_s=person.enrolled_unix_s,
            model_id=person.model_id,
            dimensions=person.phrases.shape[1],
            phrases=tuple(
                base64.b64encode(phrase.astype("<f4").tobytes()).decode()
                for phrase in person.phrases
            ),
        )
        for person in people
    )
    return _People(earmark_people=VERSION, people=rows).model_dump_json().encode()


def read(text: bytes) -> tuple[Person, ...]:
    """The people of :func:`written`.

    Raises
    ------
    ValueError
        The text is none of ours. The message repeats nothing of it.
    """
    try:
        rows = _People.model_validate_json(text).people
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise ValueError(f"{place}: {fault['msg']}") from None
    try:
        people = tuple(_person(row) for row in rows)
    except (binascii.Error, PeopleError):
        raise ValueError("a person is malformed") from None
    _check_together(people)
    return people


def _person(row: _Written) -> Person:
    raw = [base64.b64decode(phrase, validate=True) for phrase in row.phrases]
    if any(len(phrase) != 4 * row.dimensions for phrase in raw):
        raise ValueError("a phrase has another length than the rest")
    phrases = np.stack([np.frombuffer(phrase, "<f4").astype(np.float32) for phrase in raw])
    return Person(row.id, row.name, row.consent_unix_s, row.enrolled_unix_s, row.model_id, phrases)


def _check_together(people: Sequence[Person]) -> None:
    if len(people) > MAX_PEOPLE:
        raise ValueError(f"there are more than {MAX_PEOPLE} people")
    if len({person.id for person in people}) < len(people):
        raise ValueError("two people have one id")
    if len({person.name.casefold() for person in people}) < len(people):
        raise ValueError("two people have one name")
