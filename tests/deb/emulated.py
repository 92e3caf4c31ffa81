"""The arm64 package on an emulated Raspberry Pi 4: `make test-deb ARCH=arm64`.

An emulator runs one program at a time, so nothing is installed: the package is unpacked over a
Debian, which for this package is the same but for compiling and enabling.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from earmark_calibration import report

from ..calibration.report.samples import good
from .installed import BUILD, made_package, made_root

PROCESSOR = "cortex-a72"
"""Of a Raspberry Pi 4."""

EXPECTED = {"enrol": "allow", "live": "allow", "replay": "reject", "jammed": "retry"}
"""The quick scenes: all checks, the speaker model included."""


@pytest.fixture(scope="module")
def pi() -> Path:
    """A Debian for arm64 with both packages in it."""
    packed = made_root("arm64", "--variant=extract", "--include=python3,libportaudio2")
    root = BUILD / "pi"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    subprocess.run(["tar", "-xf", packed, "-C", root], check=True)
    for part in ("device", "calibrate"):
        subprocess.run(["dpkg-deb", "-x", made_package("arm64", part), root], check=True)
    return root


def emulated(
    root: Path, *arguments: str, program: str = "earmark"
) -> subprocess.CompletedProcess[str]:
    """Run the program as its first line says it is run."""
    emulator = shutil.which("qemu-aarch64-static")
    assert emulator, "this test needs qemu-aarch64-static: sudo apt install qemu-user-static"
    text = (root / "usr/bin" / program).read_text()
    python, *options = text.splitlines()[0].removeprefix("#!").split()
    command = [emulator, "-cpu", PROCESSOR, "-L", str(root), f"{root}{python}", *options]
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [*command, f"/usr/bin/{program}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )


def test_every_compiled_module_is_for_arm(pi: Path) -> None:
    arm64 = (183).to_bytes(2, "little")  # EM_AARCH64, where an ELF file names its processor
    compiled = [p for p in (pi / "usr/lib").glob("earmark*/**/*.so*") if p.is_file()]
    assert [p for p in compiled if "earmark-calibrate" in p.parts]
    assert len(compiled) > 100
    assert [p for p in compiled if p.read_bytes()[18:20] != arm64] == []


def test_it_starts(pi: Path) -> None:
    ended = emulated(pi, "--version")
    assert ended.stdout.startswith("earmark "), ended.stderr


def test_the_technicians_tool_starts_and_makes_a_page(pi: Path, tmp_path: Path) -> None:
    """The page is what its own compiled module is for."""
    written = report.write(good(), tmp_path)
    page = tmp_path / "page.html"
    words = ["page", str(written.json), "--html", str(page)]
    ended = emulated(pi, *words, program="earmark-calibrate")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert page.read_text() == written.html.read_text()


def test_the_demo_ends_as_expected(pi: Path, tmp_path: Path) -> None:
    report = tmp_path / "demo.json"
    ended = emulated(pi, "demo", "--quick", "--out", str(tmp_path), "--json", str(report))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ends = {one["scene"]: one["verdict"] for one in json.loads(report.read_text())}
    assert ends == EXPECTED
