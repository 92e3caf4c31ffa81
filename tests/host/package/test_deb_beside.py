"""The technician's package, of made-up wheels: what is in it, what it needs, the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from earmark import __version__
from earmark_host.package.deb import EPOCH, Made, build_deb
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock
from earmark_host.package.part import CALIBRATE, DEVICE
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target

from .conftest import make_wheel

MODULES, DOC = CALIBRATE.modules, CALIBRATE.doc

Build = Callable[..., Made]


@pytest.fixture(scope="module")
def build(
    made_up_beside: Lock,
    wheels_in: Path,
    tmp_path_factory: pytest.TempPathFactory,
    no_pip: Callable[[object], None],
) -> Build:
    def build(arch: str = "amd64", lock: Lock = made_up_beside, wheels: Path = wheels_in) -> Made:
        return build_deb(
            Project.open(),
            Target.of(arch, "3.11"),
            tmp_path_factory.mktemp("dist"),
            wheels,
            part=CALIBRATE,
            environ={EPOCH: "1790000000"},
            lock=lock,
            pip=no_pip,
        )

    return build


@pytest.fixture(scope="module")
def built(build: Build) -> Made:
    return build()


@pytest.fixture(scope="module")
def opened(built: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files and, below DEBIAN, its control files."""
    folder = tmp_path_factory.mktemp("opened")
    subprocess.run(["dpkg-deb", "-R", built.path, folder], check=True)
    return folder


def test_it_goes_with_one_version_of_the_device_part(built: Made, opened: Path) -> None:
    assert built.path.name == f"earmark-calibrate_{__version__}_amd64.deb"
    lines = (opened / "DEBIAN/control").read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if not line.startswith(" "))
    assert fields["Package"] == "earmark-calibrate"
    assert fields["Version"] == __version__
    depends = set(fields["Depends"].split(", "))
    assert {f"earmark (= {__version__})", "python3 (>= 3.11)", "python3 (<< 3.12)"} <= depends
    assert "Recommends" not in fields


def test_the_technicians_part_is_in_it_and_nothing_of_the_device(opened: Path) -> None:
    modules = opened / MODULES
    source = Project.open().root / CALIBRATE.source
    own = {
        f"{CALIBRATE.module}/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = ("report.html.jinja", "style.css", "earmark-calibration-1.schema.json", "cli.py")
    assert {name.rpartition("/")[2] for name in own} >= set(names)
    packed = {p.relative_to(modules).as_posix() for p in modules.rglob("*") if p.is_file()}
    assert {path for path in packed if path.startswith(CALIBRATE.module)} == own
    tops = {path.partition("/")[0] for path in packed}
    wheels = {top for top in tops if top.startswith(("jinja2", "markupsafe"))}
    assert tops == {CALIBRATE.module, *wheels}
    assert len(wheels) == 4  # the module and the metadata of each


def test_the_places_of_the_files(opened: Path) -> None:
    outside = {
        p.relative_to(opened).as_posix(): p.stat().st_mode & 0o777
        for p in opened.rglob("*")
        if p.is_file() and MODULES not in p.as_posix() and "DEBIAN" not in p.parts
    }
    assert outside == {
        "usr/bin/earmark-calibrate": 0o755,
        f"{DOC}/README.md": 0o644,
        f"{DOC}/copyright": 0o644,
        f"{DOC}/sbom.cdx.json": 0o644,
    }


def test_nothing_runs_when_it_comes_or_goes(opened: Path) -> None:
    assert {path.name for path in (opened / "DEBIAN").iterdir()} == {"control", "md5sums"}


def test_the_list_of_parts_names_what_it_adds(opened: Path, made_up_beside: Lock) -> None:
    tree = json.loads((opened / DOC / "sbom.cdx.json").read_text())
    own = tree["metadata"]["component"]
    assert (own["name"], own["version"]) == ("earmark-calibrate", __version__)
    assert own["purl"] == f"pkg:deb/earmark-calibrate@{__version__}?arch=amd64"
    found = {(part["name"], part["hashes"][0]["content"]) for part in tree["components"]}
    assert found == {(one.name, one.sha256) for one in made_up_beside.wheels[Arch.AMD64]}


def test_the_same_input_gives_the_same_bytes(build: Build, built: Made, wheels_in: Path) -> None:
    for path in wheels_in.iterdir():
        os.utime(path, (2, 2))
    before = os.umask(0o077)
    try:
        second = build()
    finally:
        os.umask(before)
    assert second.sha256 == built.sha256
    assert build("arm64").sha256 != built.sha256


def started(opened: Path, device: Path) -> subprocess.CompletedProcess[str]:
    """Start the program with `device` for the folder of the device part."""
    text = (opened / "usr/bin/earmark-calibrate").read_text()
    for folder, instead in ((MODULES, opened / MODULES), (DEVICE.modules, device)):
        assert text.count(f'"/{folder}"') == 1
        text = text.replace(f'"/{folder}"', f'"{instead}"')
    return subprocess.run(
        [sys.executable, "-BIS", "-c", text, "--help"], capture_output=True, text=True, check=False
    )


def test_the_program_imports_its_own_before_the_devices(opened: Path) -> None:
    text = (opened / "usr/bin/earmark-calibrate").read_text()
    assert text.splitlines()[0] == "#!/usr/bin/python3.11 -BIS"
    assert text.index(f'insert(0, "/{DEVICE.modules}")') < text.index(f'insert(0, "/{MODULES}")')
    assert "from earmark_calibration.cli import main\n\nmain()\n" in text


def test_the_program_says_so_where_the_device_part_is_another(opened: Path, tmp_path: Path) -> None:
    ended = started(opened, tmp_path)
    said = f"earmark-calibrate: it is for earmark {__version__}, and there is"
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{said} none: install both in one version\n"
    (tmp_path / "earmark").mkdir()
    (tmp_path / "earmark/__init__.py").write_text('__version__ = "99"\n')
    assert started(opened, tmp_path).stderr == f"{said} 99: install both in one version\n"


def test_a_wheel_that_neither_part_has_is_missed(
    build: Build, made_up_beside: Lock, tmp_path: Path
) -> None:
    """What the device has is there; what nobody has is not."""
    wheels = [
        make_wheel(tmp_path, one.name, one.version, ("pydantic>=2", "nowhere==1"))
        for one in made_up_beside.wheels[Arch.AMD64]
    ]
    lock = Lock("3.11", dict.fromkeys(Arch, tuple(wheels)))
    with pytest.raises(PackageError, match="the wheel list lacks nowhere==1"):
        build(lock=lock, wheels=tmp_path)


def test_an_old_list_is_refused(build: Build) -> None:
    with pytest.raises(PackageError, match=r"asks for jinja2==.* has none"):
        build(lock=Lock("3.11", dict.fromkeys(Arch, ())))
