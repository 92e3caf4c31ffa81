"""The targets with bytes that hypothesis thinks of; coverage-guided with atheris: `run.py`."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, example, given
from hypothesis import settings as options
from hypothesis import strategies as st

from earmark.config import Config

from .targets import control, frames, settings

options.register_profile("fuzz", derandomize=True, database=None, deadline=None)
FUZZ = options(
    options.get_profile("fuzz"),
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def keys(model: Any = Config) -> list[str]:
    """Every name that a setting or a section has."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        found.append(name)
        inner = info.annotation
        if hasattr(inner, "model_fields"):
            found += keys(inner)
    return sorted(set(found))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=6)
    | st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(keys()) | SCALARS, inner, max_size=4)
    ),
    max_leaves=12,
)


@FUZZ
@given(st.binary(max_size=600))
def test_frames(data: bytes) -> None:
    frames(data)


@FUZZ
@given(st.binary(max_size=400))
@example(b"\xef\xbb\xbfnonce: {}")
@example(b"a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nnonce: *c\n")
@example(b"&a nonce: *a\n")
@example(b"nonce: &a {spread: *a}\n")
@example(b"? {a: 1}\n: 2\n")
@example(b"!!python/object/apply:os.system ['true']")
@example(b"[" * 5000)
@example(b"{a: " * 900)
@example(b"nonce: {level_dbspl_1m: .nan}\n")
@example(b"nonce: {level_dbspl_1m: 1e999}\n")
@example(b"session: {max_retries: 0x7fffffffffffffffffffffffffffffffff}\n")
@example(b"session: {max_retries: " + b"9" * 5000 + b"}\n")
@example(b"device: {name: 2001-01-01}\n")
@example(b"device: {name: 2001-99-99 99:99:99}\n")
@example(b'device: {name: "\\ud800"}\n')
def test_settings_of_any_bytes(data: bytes) -> None:
    settings(data)


@FUZZ
@given(st.dictionaries(st.sampled_from(list(Config.model_fields)), VALUES, max_size=4))
def test_settings_of_any_values(tree: dict[str, object]) -> None:
    settings(yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))


@FUZZ
@given(st.binary(max_size=3000) | st.sampled_from(["status", "mute", "x"]).map(str.encode))
@example(b'{"request": "status"}\n{"request": "status"}\n')
@example(b'{"request": "stat\\u0075s"}\n')
@example(b'{"request": ["status"]}\n')
@example(b'{"request": {}}\n')
@example(b"[" * 1000 + b"\n")
@example(b'{"request": ' + b"1" * 900 + b"}\n")
def test_control(data: bytes) -> None:
    control(data)
