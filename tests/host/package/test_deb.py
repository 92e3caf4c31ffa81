"""A package made of made-up wheels: what is in it, what runs around it, the same bytes twice."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from earmark import __version__
from earmark_host.package import deb
from earmark_host.package.contents import STATE
from earmark_host.package.control import control, glibc
from earmark_host.package.deb import EPOCH, Made, build_deb, source_time
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock, Wheel
from earmark_host.package.part import DEVICE
from earmark_host.package.project import Project
from earmark_host.package.target import Arch, Target

from .conftest import make_wheel

WHEN = 1_790_000_000
"""A time, s since 1970."""

MODULES, DOC = DEVICE.modules, DEVICE.doc

Build = Callable[..., Made]


@pytest.fixture(scope="module")
def build(
    made_up: Lock,
    wheels_in: Path,
    tmp_path_factory: pytest.TempPathFactory,
    no_pip: Callable[[object], None],
) -> Build:
    """Makes a package; in a second, as it is not compressed unless that is wanted."""
    assert shutil.which("dpkg-deb"), "this test needs dpkg-deb: sudo apt install dpkg"

    def build(
        arch: str = "amd64",
        out: Path | None = None,
        lock: Lock = made_up,
        packing: tuple[str, ...] = ("-Znone",),
        wheels: Path = wheels_in,
    ) -> Made:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deb, "COMPRESSION", packing)
            return build_deb(
                Project.open(),
                Target.of(arch, "3.11"),
                out or tmp_path_factory.mktemp("dist"),
                wheels,
                environ={EPOCH: str(WHEN)},
                maintainer="Kim Maker <kim@example.org>",
                lock=lock,
                pip=no_pip,
            )

    return build


@pytest.fixture(scope="module")
def built(build: Build) -> Made:
    return build(packing=deb.COMPRESSION)


@pytest.fixture(scope="module")
def opened(built: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files and, below DEBIAN, its control files."""
    folder = tmp_path_factory.mktemp("opened")
    subprocess.run(["dpkg-deb", "-R", built.path, folder], check=True)
    return folder


def test_a_package_is_named_and_counted(build: Build) -> None:
    made = build("arm64")
    assert made.path.name == f"earmark_{__version__}_arm64.deb"
    assert made.size_bytes == made.path.stat().st_size
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert [path.name for path in made.path.parent.iterdir()] == [made.path.name]


def test_the_control_file_says_what_it_needs(opened: Path) -> None:
    lines = (opened / "DEBIAN/control").read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if not line.startswith(" "))
    assert fields["Package"] == "earmark"
    assert fields["Version"] == __version__
    assert fields["Architecture"] == "amd64"
    assert fields["Maintainer"] == "Kim Maker <kim@example.org>"
    depends = fields["Depends"].split(", ")
    assert {"python3 (>= 3.11)", "python3 (<< 3.12)", "libportaudio2"} <= set(depends)
    sizes = [p.stat().st_size for p in (opened / "usr").rglob("*") if p.is_file()]
    assert abs(int(fields["Installed-Size"]) - sum(sizes) / 1024) < len(sizes) + 2


def test_the_device_part_is_in_it_and_nothing_of_the_workstation(opened: Path) -> None:
    modules = opened / MODULES
    own = Project.open().files()
    assert {p.relative_to(modules).as_posix() for p in (modules / "earmark").rglob("*.py")} == {
        place for place in own if place.endswith(".py")
    }
    assert (modules / "earmark/models/speaker.tflite").is_file()
    assert (modules / "soxr.py").is_file()
    names = {path.name for path in opened.rglob("*")}
    assert not names & {"earmark_host", "earmark_calibration", "__pycache__", "arms", "tests"}


def test_the_places_of_the_files(opened: Path) -> None:
    outside = {
        p.relative_to(opened).as_posix()
        for p in opened.rglob("*")
        if p.is_file() and MODULES not in p.as_posix() and "DEBIAN" not in p.parts
    }
    assert outside == {
        "etc/earmark/earmark.yaml",
        "usr/bin/earmark",
        "usr/lib/systemd/catalog/earmark.catalog",
        "usr/lib/systemd/journald@earmark.conf.d/10-earmark.conf",
        "usr/lib/systemd/system/earmark.service",
        "usr/lib/sysusers.d/earmark.conf",
        "usr/lib/tmpfiles.d/earmark.conf",
        "usr/lib/udev/rules.d/60-earmark.rules",
        "usr/sbin/earmark-admin",
        f"{DOC}/README.md",
        f"{DOC}/copyright",
        f"{DOC}/examples/59-earmark-card.rules",
        f"{DOC}/examples/key-file.conf",
        f"{DOC}/examples/leds.conf",
        f"{DOC}/examples/network.conf",
        f"{DOC}/sbom.cdx.json",
    }


def test_every_file_of_the_folder_systemd_is_in_it() -> None:
    from earmark_host.package.contents import _UNITS

    assert {path.name for path in (Project.open().root / "systemd").iterdir()} == set(_UNITS)


def test_modes_and_owners(build: Build) -> None:
    before = os.umask(0o077)
    try:
        made = build()
    finally:
        os.umask(before)
    listed = subprocess.run(
        ["dpkg-deb", "-c", made.path], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    programs = set()
    for line in listed:
        mode, owner, *_, path = line.split()
        assert owner == "root/root"
        assert mode in {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}, line
        if mode == "-rwxr-xr-x":
            programs.add(path)
    assert programs == {"./usr/bin/earmark", "./usr/sbin/earmark-admin"}


def test_settings_belong_to_the_owner(opened: Path) -> None:
    assert (opened / "DEBIAN/conffiles").read_text() == "/etc/earmark/earmark.yaml\n"
    inside = {f"/{p.relative_to(opened)}" for p in (opened / "etc").rglob("*") if p.is_file()}
    assert inside == set(DEVICE.conffiles)


def test_the_sums_are_right(opened: Path) -> None:
    lines = (opened / "DEBIAN/md5sums").read_text().splitlines()
    paths = [line.split("  ", 1) for line in lines]
    files = [p for p in opened.rglob("*") if p.is_file() and "DEBIAN" not in p.parts]
    assert len(paths) == len(files)
    for digest, path in paths:
        assert hashlib.md5((opened / path).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("name", DEVICE.scripts)
def test_a_maintainer_script_is_complete_and_reads_as_shell(name: str, opened: Path) -> None:
    script = opened / "DEBIAN" / name
    assert stat.S_IMODE(script.stat().st_mode) == 0o755
    subprocess.run(["sh", "-n", script], check=True)
    text = script.read_text()
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -e\n" in text
    for mark in ("@MODULES@", "@PYTHON@", "@STATE@"):
        assert mark not in text


def test_a_purge_wipes_all_that_is_kept_and_says_so(opened: Path) -> None:
    text = (opened / "DEBIAN/postrm").read_text()
    purge = text.partition("\npurge)")[2]
    assert f"for path in {' '.join(STATE)}; do" in purge
    for path in ("/etc/earmark", "/var/log/journal/*.earmark", "/run/earmark"):
        assert path in purge
    assert 'say "wiped the people, their key,' in purge


def test_the_program_imports_only_what_is_packed(opened: Path) -> None:
    text = (opened / "usr/bin/earmark").read_text()
    assert text.splitlines()[0] == "#!/usr/bin/python3.11 -BIS"
    assert f'sys.path.insert(0, "/{MODULES}")' in text
    compile(text, "earmark", "exec")


def test_doctor_finds_what_was_tested_with_it(opened: Path) -> None:
    (info,) = (opened / MODULES).glob("earmark-*.dist-info/METADATA")
    about = PathDistribution(info.parent)
    assert about.version == __version__
    pins = Project.open().tree["project"]["dependencies"]
    assert about.requires == pins


def test_the_list_of_parts_names_each_with_its_hash(opened: Path, made_up: Lock) -> None:
    tree = json.loads((opened / DOC / "sbom.cdx.json").read_text())
    assert (tree["bomFormat"], tree["specVersion"]) == ("CycloneDX", "1.5")
    assert tree["metadata"]["component"]["version"] == __version__
    assert tree["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    libraries = {part["name"]: part for part in tree["components"] if part["type"] == "library"}
    for wheel in made_up.wheels[Arch.AMD64]:
        part = libraries.pop(wheel.name)
        assert part["version"] == wheel.version
        assert part["hashes"] == [{"alg": "SHA-256", "content": wheel.sha256}]
        assert part["licenses"] == [{"expression": "MIT"}]
        assert part["purl"].startswith(f"pkg:pypi/{wheel.name}@{wheel.version}")
    assert libraries == {}
    models = [part for part in tree["components"] if part["type"] == "machine-learning-model"]
    names = {part["name"]: part["hashes"][0]["content"] for part in models}
    network = (opened / MODULES / "earmark/models/speaker.tflite").read_bytes()
    assert names["earmark/models/speaker.tflite"] == hashlib.sha256(network).hexdigest()


def test_the_same_input_gives_the_same_bytes(build: Build, built: Made, wheels_in: Path) -> None:
    # What may differ from one day and machine to the next.
    for path in wheels_in.iterdir():
        os.utime(path, (1, 1))
    before = os.umask(0o027)
    try:
        second = build(packing=deb.COMPRESSION)
    finally:
        os.umask(before)
    assert built.sha256 == second.sha256
    assert build("arm64").sha256 != build("amd64").sha256


def test_every_file_has_the_one_time(built: Made) -> None:
    listed = subprocess.run(
        ["dpkg-deb", "-c", built.path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC"},
    ).stdout.splitlines()
    assert {tuple(line.split()[3:5]) for line in listed} == {("2026-09-21", "14:13")}


def test_wheels_that_lack_one_of_their_own_are_refused(
    build: Build, made_up: Lock, wheels_in: Path, tmp_path: Path
) -> None:
    others = shutil.copytree(wheels_in, tmp_path / "wheels")
    more = make_wheel(others, "soxr", "1.1.0", ("brings-more==1",))
    wheels = tuple(more if wheel.name == "soxr" else wheel for wheel in made_up.wheels[Arch.AMD64])
    with pytest.raises(PackageError, match="the wheel list lacks brings-more==1: make it anew"):
        build(lock=Lock("3.11", dict.fromkeys(Arch, wheels)), wheels=others)


def test_without_dpkg_deb_it_says_so(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb.shutil, "which", lambda _: None)
    with pytest.raises(PackageError, match="dpkg-deb is not here: install it"):
        build()


def test_a_package_that_dpkg_deb_refuses_is_not_left(build: Build, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="dpkg-deb failed"):
        build(packing=("-Zno-such",), out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(build: Build, tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("a file")
    with pytest.raises(PackageError, match="File exists: give --out a folder"):
        build(out=tmp_path / "dist")


def test_the_time_is_the_variables_or_the_last_commits(tmp_path: Path) -> None:
    project = Project.open()
    assert source_time(project, {EPOCH: "17"}) == 17
    elsewhere = dataclasses.replace(project, root=tmp_path)
    with pytest.raises(PackageError, match="the package has no time"):
        source_time(elsewhere, {})
    with pytest.raises(PackageError, match="is 'today'"):
        source_time(project, {EPOCH: "today"})


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is no checkout of Earmark"):
        Project.open(tmp_path)


@pytest.mark.parametrize(
    ("version", "who", "message"),
    [
        ("v1", "Kim <kim@example.org>", "is no version for Debian"),
        ("1.0", "Kim", "is no maintainer"),
        ("1.0", "Kim <kim@example.org>\nDepends: x", "is no maintainer"),
    ],
)
def test_a_bad_field_is_refused(version: str, who: str, message: str, target: Target) -> None:
    with pytest.raises(PackageError, match=message):
        control(version, target, (), 1, who)


def test_the_c_library_is_the_newest_that_a_wheel_needs() -> None:
    names = [
        "one-1-cp311-cp311-manylinux2014_aarch64.whl",
        "two-1-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        "three-1-py3-none-any.whl",
    ]
    wheels = tuple(Wheel("x", "1", name, "") for name in names)
    assert [glibc(wheels[:n]) for n in range(4)] == [17, 17, 27, 27]
