"""People: what is kept about one, and that it comes back as it was."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from earmark.speaker import people as module
from earmark.speaker.people import (
    MAX_NAME_CHARS,
    MAX_PEOPLE,
    PeopleError,
    Person,
    checked_name,
    export,
    named,
    read,
    written,
)

NOW = 1_800_000_000.0


def unit(seed: int, phrases: int = 5, dimensions: int = 16) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((phrases, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def person(number: int = 1, **changes: object) -> Person:
    values: dict[str, object] = {
        "id": f"{number:08x}",
        "name": f"Person {number}",
        "consent_unix_s": NOW,
        "enrolled_unix_s": NOW + 60.5,
        "model_id": "0123456789abcdef",
        "phrases": unit(number),
    }
    return Person(**(values | changes))  # type: ignore[arg-type]


def same(one: Person, other: Person) -> bool:
    fields = ("id", "name", "consent_unix_s", "enrolled_unix_s", "model_id")
    return all(getattr(one, name) == getattr(other, name) for name in fields) and bool(
        np.array_equal(one.phrases, other.phrases) and other.phrases.dtype == np.float32
    )


def test_people_come_back_as_they_were() -> None:
    people = [person(1), person(2, name="Zoë Ångström"), person(3, phrases=unit(3, 6, 1024))]
    assert all(map(same, people, read(written(people))))
    assert read(written([])) == ()


def test_a_person_in_print_shows_neither_name_nor_voice() -> None:
    one = person(7, name="Margarete")
    assert "Margarete" not in repr(one)
    assert "array" not in repr(one)
    assert "00000007" in repr(one)


@pytest.mark.parametrize(
    ("name", "kept"), [(" Anna ", "Anna"), ("Zoe\u0308", "Zoë"), ("A B", "A B"), ("李", "李")]
)
def test_name_as_it_is_kept(name: str, kept: str) -> None:
    assert checked_name(name) == kept


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x1b[31m", "\u202egnirts", "x" * 41])
def test_name_that_cannot_be_kept(name: str) -> None:
    with pytest.raises(PeopleError, match="choose 1 to 40"):
        checked_name(name)
    assert len(checked_name("x" * MAX_NAME_CHARS)) == 40


def test_people_are_found_whatever_the_case_and_the_form() -> None:
    people = [person(1, name="Zoë"), person(2, name="STRASSE")]
    assert named(people, "zoe\u0308 ") is people[0]
    assert named(people, "straße") is people[1]
    assert named(people, "Zo") is None


def test_export_has_all_that_is_kept() -> None:
    one = person(1, name="Zoë")
    told = json.loads(export(one))
    assert told["name"] == "Zoë"
    assert told["id"] == one.id
    assert told["model_id"] == one.model_id
    assert told["consent_utc"] == "2027-01-15T08:00:00Z"
    assert told["enrolled_utc"] == "2027-01-15T08:01:00Z"
    assert np.allclose(told["phrases"], one.phrases, atol=1e-7)
    assert len(told) == 1 + len(one.__dataclass_fields__)  # and what it is about


# Failures


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "1234567"}, "id"),
        ({"id": "1234567G"}, "id"),
        ({"name": " Anna"}, "name"),
        ({"consent_unix_s": -1.0}, "time"),
        ({"consent_unix_s": float("nan")}, "time"),
        ({"enrolled_unix_s": float("inf")}, "time"),
        ({"enrolled_unix_s": 1e12}, "time"),
        ({"phrases": unit(1)[0]}, "2-D"),
        ({"phrases": unit(1).astype(np.float64)}, "float32"),
        ({"phrases": unit(1)[:0]}, "1 to 6"),
        ({"phrases": unit(1, 7)}, "1 to 6"),
        ({"phrases": unit(1, 4, 1025)}, "1 to 1024"),
        ({"phrases": 1.01 * unit(1)}, "unit"),
        ({"phrases": np.full((4, 8), np.nan, np.float32)}, "unit"),
    ],
)
def test_what_is_no_person(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        person(**changes)  # type: ignore[arg-type]


def test_more_people_than_a_device_knows() -> None:
    people = [person(number) for number in range(MAX_PEOPLE + 1)]
    assert len(read(written(people[:-1]))) == MAX_PEOPLE
    with pytest.raises(ValueError, match="more than 32"):
        written(people)


def test_two_of_one_name_or_id() -> None:
    with pytest.raises(ValueError, match="one name"):
        written([person(1, name="Anna"), person(2, name="ANNA")])
    with pytest.raises(ValueError, match="one id"):
        written([person(1), person(1, name="Anna")])


def altered(change: Callable[[dict], object]) -> bytes:  # type: ignore[type-arg]
    tree = json.loads(written([person(1), person(2)]))
    change(tree)
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"\x80\x04K\x01.",  # a pickle
        altered(lambda t: t.update(earmark_people=2)),
        altered(lambda t: t.update(more=1)),
        altered(lambda t: t["people"][0].update(more=1)),
        altered(lambda t: t["people"][0].pop("consent_unix_s")),
        altered(lambda t: t["people"][0].update(consent_unix_s="1")),
        altered(lambda t: t["people"][0].update(consent_unix_s=float("nan"))),
        altered(lambda t: t["people"][0].update(name="a\nSecret")),
        altered(lambda t: t["people"][0].update(name="Person 2")),
        altered(lambda t: t["people"][0].update(id="00000002")),
        altered(lambda t: t["people"][0].update(model_id="")),
        altered(lambda t: t["people"][0].update(dimensions=17)),
        altered(lambda t: t["people"][0].update(dimensions=10**9)),
        altered(lambda t: t["people"][0].update(phrases=[])),
        altered(lambda t: t["people"][0].update(phrases=["AAAA"])),
        altered(lambda t: t["people"][0].update(phrases=["Secret!"])),
        altered(lambda t: t["people"][0].update(phrases=7 * t["people"][0]["phrases"][:1])),
        altered(lambda t: t.update(people=17 * t["people"])),
    ],
)
def test_text_that_is_none_of_ours(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read(text)
    assert "Secret" not in str(caught.value)
    assert "Person" not in str(caught.value)


def test_bounds_fit_the_vault() -> None:
    """The largest possible text goes into the file, and is far from filling a device."""
    from earmark.speaker import vault

    people = [
        person(n, name="\u0800" * 31 + f"{n:9}".replace(" ", "x"), phrases=unit(n, 6, 1024))
        for n in range(MAX_PEOPLE)
    ]
    raw = vault.sealed(written(people), bytes(range(32)), bytes)
    assert vault.MAX_FILE_BYTES / 2 < len(raw) <= vault.MAX_FILE_BYTES
    assert module.MAX_PHRASES == 6
