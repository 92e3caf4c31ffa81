"""Wheels are unpacked into the folder of modules, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark_host.package.closure import metadata, missing
from earmark_host.package.errors import PackageError
from earmark_host.package.target import Target
from earmark_host.package.unpack import place, unpack

from .conftest import make_wheel


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("numpy/core/x.so", "numpy/core/x.so"),
        ("numpy.libs/libopenblas.so", "numpy.libs/libopenblas.so"),
        ("one-1.0.data/purelib/one.py", "one.py"),
        ("one-1.0.data/platlib/one/two.so", "one/two.so"),
        ("one-1.0.data/scripts/one", None),
        ("one-1.0.data/headers/one.h", None),
        ("scipy/signal/tests/test_x.py", None),
        ("pydantic/tests/x.py", "pydantic/tests/x.py"),
        ("numpy/testing/x.py", "numpy/testing/x.py"),
        ("numpy/__pycache__/x.cpython-311.pyc", None),
    ],
)
def test_where_a_file_goes(name: str, where: str | None) -> None:
    assert place(name) == (None if where is None else Path(where))


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", ""])
def test_a_file_that_reaches_out_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reaches out"):
        place(name)


def test_a_wheel_that_reaches_out_writes_nothing(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "bad", "1.0", bad__one="1", **{"..__out": "2"})
    with pytest.raises(PackageError, match=r"cannot be unpacked .*reaches out"):
        unpack(tmp_path / wheel.file, tmp_path / "site")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "site").exists()


def test_two_wheels_with_one_file_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_wheel(tmp_path, name, "1.0", shared__x="1")
    unpack(tmp_path / "one-1.0-py3-none-any.whl", tmp_path / "site")
    with pytest.raises(PackageError, match=r"another wheel has as well \(shared/x\)"):
        unpack(tmp_path / "two-1.0-py3-none-any.whl", tmp_path / "site")


def test_no_wheel_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "one-1.0-py3-none-any.whl"
    bad.write_bytes(b"PK no")
    with pytest.raises(PackageError, match="cannot be unpacked"):
        unpack(bad, tmp_path / "site")
    with pytest.raises(PackageError, match="is no wheel"):
        metadata(bad)


def test_what_wheels_lack_is_named(tmp_path: Path, target: Target) -> None:
    one = make_wheel(
        tmp_path,
        "one",
        "1.0",
        ("two>=2", "three; python_version < '3.11'", "four; extra == 'more'", "Five"),
    )
    two, five = make_wheel(tmp_path, "two", "1.9"), make_wheel(tmp_path, "five", "1")
    paths = [tmp_path / wheel.file for wheel in (one, two, five)]
    assert [str(lack) for lack in missing(paths, target)] == ["two>=2"]
    newer = make_wheel(tmp_path, "two", "2.1")
    assert missing([paths[0], tmp_path / newer.file, paths[2]], target) == []


def test_a_requirement_that_cannot_be_read_is_refused(tmp_path: Path, target: Target) -> None:
    wheel = make_wheel(tmp_path, "one", "1.0", ("what ever this is",))
    with pytest.raises(PackageError, match="asks for 'what ever this is'"):
        missing([tmp_path / wheel.file], target)
