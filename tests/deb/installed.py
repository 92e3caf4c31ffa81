"""The packages, installed for real with dpkg in a Debian 12, as a device has it. `make test-deb`.

Not part of `make test`: it takes minutes, root rights and a network. Each test goes on from where
the one before left the same root; -x stops at the first that fails.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MIRROR = os.environ.get("MIRROR", "http://deb.debian.org/debian")
SUITE = "bookworm"
"""The Debian with Python 3.11, as Raspberry Pi OS has it."""

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "out/deb"
"""Roots and packages; kept, so that the next run is quicker."""

INCLUDE = "python3,libportaudio2,libstdc++6,zlib1g,systemd,udev,dbus"
"""What the package depends on. dpkg itself fetches nothing, so it must be there."""

PRIVATE = {
    "var/lib/private/earmark/people.vault",
    "var/lib/private/earmark/people.key",
    "var/lib/private/earmark/commands/one.wav",
    "etc/credstore.encrypted/earmark-people-key",
    "etc/earmark/earmark.d/50-mine.yaml",
    "etc/systemd/system/earmark.service.d/network.conf",
    "var/log/journal/0123.earmark/system.journal",
}
"""What a device has gathered, in the places where it does."""


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh Debian 12."""
    assert os.geteuid() == 0, "dpkg is run in a root of its own: run it as root"
    packed = made_root("amd64", "--variant=minbase", f"--include={INCLUDE}")
    # Below out/, not in /tmp: that may be a small file system in memory.
    root = BUILD / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    subprocess.run(["tar", "-xf", packed, "-C", root], check=True)
    (root / "etc/machine-id").write_text(f"{'0123456789abcdef' * 2}\n")
    yield root
    shutil.rmtree(root)


def made_root(arch: str, *options: str) -> Path:
    """A packed Debian, made once."""
    program = shutil.which("mmdebstrap", path=os.environ["PATH"] + ":/usr/sbin")
    assert program, "this test needs mmdebstrap: sudo apt install mmdebstrap"
    packed = BUILD / f"{SUITE}-{arch}.tar"
    if not packed.is_file():
        BUILD.mkdir(parents=True, exist_ok=True)
        new = BUILD / f".new-{packed.name}"
        command = [program, "--mode=root", f"--architectures={arch}", *options, SUITE, new, MIRROR]
        ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr[-2000:]
        new.rename(packed)
    return packed


def made_package(arch: str, part: str = "device") -> Path:
    """The package DEB or the technician's beside it; else one made by the makers' command."""
    if given := os.environ.get("DEB"):
        beside = Path(given).name.replace("earmark_", "earmark-calibrate_", 1)
        return Path(given) if part == "device" else Path(given).with_name(beside)
    command = shutil.which("earmark-host", path=str(Path(sys.executable).parent))
    assert command, "earmark-host is not installed beside this Python: make setup"
    words = [command, "package", "deb", "--arch", arch, "--part", part, "--out", str(BUILD)]
    ended = subprocess.run(
        [*words, "--wheels", str(BUILD / "wheels")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return Path(ended.stdout.split("  ")[0])


def inside(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the root, with /proc but without any network."""
    box = ["unshare", "--mount", "--pid", "--fork", "--net", f"--root={root}", "--mount-proc"]
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    return subprocess.run(
        [*box, *command], capture_output=True, text=True, check=False, env=environ
    )


def dpkg(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dpkg there. Not flushing each file, as a device does, saves minutes on a busy disk."""
    return inside(root, "dpkg", "--force-unsafe-io", *arguments)


def files_of(root: Path) -> set[str]:
    """All paths but those of dpkg's own book-keeping, of logs and of what runs."""
    book = re.compile(
        r"(var/lib/dpkg|var/log/(dpkg|alternatives|bootstrap)|var/cache|proc|dev|sys|tmp|run)(/|\.|$)"
        r"|etc/(group|gshadow)-$"
    )
    found = set()
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if not book.match(name):
            found.add(name)
    return found


@pytest.fixture(scope="module")
def bare(debian: Path) -> set[str]:
    """The paths before anything was installed."""
    return files_of(debian)


@pytest.fixture(scope="module")
def package(debian: Path, bare: set[str]) -> Path:
    """The package, lying in the root."""
    made = made_package("amd64")
    shutil.copy(made, debian / "tmp")
    return Path("/tmp") / made.name


@pytest.fixture(scope="module")
def calibrate(debian: Path, bare: set[str]) -> Path:
    """The technician's package, likewise."""
    made = made_package("amd64", "calibrate")
    shutil.copy(made, debian / "tmp")
    return Path("/tmp") / made.name


def test_the_technicians_tool_does_not_go_without_the_device_part(
    debian: Path, calibrate: Path, bare: set[str]
) -> None:
    refused(debian, calibrate, "earmark is not installed")
    assert files_of(debian) == bare


def refused(debian: Path, package: Path, why: str) -> None:
    """See that dpkg does not set the package up, and that nothing is left of the attempt."""
    ended = dpkg(debian, "-i", str(package))
    assert ended.returncode == 1
    assert "dependency problems" in ended.stderr
    told = inside(debian, "dpkg", "-s", "earmark-calibrate").stdout
    assert "Status: install ok unpacked" in told
    if "not installed" in why:
        ended = inside(debian, "earmark-calibrate", "--version")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.endswith("there is none: install both in one version\n")
    else:
        assert why in ended.stderr
    assert dpkg(debian, "-P", "earmark-calibrate").returncode == 0
    assert not (debian / "usr/lib/earmark-calibrate").exists()


def test_it_installs_without_network_and_without_systemd_running(
    debian: Path, package: Path
) -> None:
    ended = dpkg(debian, "-i", str(package))
    assert ended.returncode == 0, ended.stderr
    assert "dpkg: warning" not in ended.stderr
    assert inside(debian, "dpkg", "--audit").stdout == ""
    assert inside(debian, "dpkg", "--verify", "earmark").stdout == ""


def test_its_parts_are_known_to_the_system(debian: Path) -> None:
    assert inside(debian, "getent", "group", "earmark-leds").returncode == 0
    assert inside(debian, "systemctl", "is-enabled", "earmark").stdout == "enabled\n"
    ended = inside(debian, "systemd-analyze", "verify", "/usr/lib/systemd/system/earmark.service")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (debian / "etc/credstore.encrypted").stat().st_mode & 0o7777 == 0o700
    command = "mount -t sysfs sys /sys && udevadm test /sys/class/mem/null"
    told = inside(debian, "sh", "-c", command).stderr
    assert "60-earmark.rules" in told
    assert not [line for line in told.splitlines() if "earmark.rules:" in line], told


def test_it_runs(debian: Path) -> None:
    assert re.fullmatch(r"earmark [0-9.]+\n", inside(debian, "earmark", "--version").stdout)
    assert inside(debian, "earmark", "config", "check").stdout == "The settings are valid.\n"
    # In a folder that says `earmark` too, and with another one offered: its own are taken.
    (debian / "tmp/earmark.py").write_text("raise SystemExit('the wrong one')")
    code = "env PYTHONPATH=/tmp sh -c 'cd /tmp && earmark --version'"
    assert inside(debian, "sh", "-c", code).returncode == 0


def test_portaudio_is_found(debian: Path) -> None:
    """Without a card there is none to open, but it says so."""
    ended = inside(debian, "earmark", "run")
    assert ended.returncode == 2
    assert "libportaudio2" not in ended.stderr
    assert "sound card" in ended.stderr


def test_doctor_finds_the_tested_versions(debian: Path) -> None:
    told = inside(debian, "earmark", "doctor").stdout
    assert re.search(r"packages +\d+ packages, all of the tested versions", told), told


def test_the_demo_ends_as_expected(debian: Path) -> None:
    words = ["demo", "--quick", "--out", "/tmp/demo", "--json", "/tmp/demo.json"]
    ended = inside(debian, "earmark", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(json.loads((debian / "tmp/demo.json").read_text())) > 1


OF_SYSTEMD = ("var/lib/systemd/", "var/lib/dbus/", "var/lib/private", "var/log/journal")
"""Where a system that was booted keeps what is its own."""

PROBE = """\
[Unit]
After=earmark.service
[Service]
Type=oneshot
StandardOutput=file:/var/log/probe.txt
StandardError=inherit
ExecStart=sh -c 'earmark-admin people key create && \\
    systemd-creds encrypt --with-key=host --name=earmark-people-key /var/lib/earmark/people.key \\
        /etc/credstore.encrypted/earmark-people-key && \\
    rm /var/lib/earmark/people.key && systemctl restart earmark && \\
    for i in $$(seq 90); do \\
        journalctl --namespace=earmark | grep -q XNNPACK && break; sleep 1; \\
    done; \\
    sleep 3; echo "state $$(systemctl is-active earmark)"; \\
    grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/$$(systemctl show -P MainPID earmark)/status; \\
    ls /run/credentials/earmark.service; earmark-admin people list'
ExecStopPost=systemctl poweroff
[Install]
WantedBy=multi-user.target
"""
"""What is asked inside a Debian that boots: does it run, boxed in, with a key that is sealed?"""


def test_it_runs_boxed_in_under_systemd(debian: Path) -> None:
    """The whole unit, in a container that boots: users, devices, system calls, journal, key."""
    simulated = debian / "etc/earmark/earmark.d/try.yaml"
    simulated.write_text("audio: {kind: simulated}\n")
    said = booted(debian, PROBE)
    shutil.rmtree(debian / "var/lib/private/earmark")
    simulated.unlink()
    for line in ("state active", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in said, said
    assert "\nearmark-people-key\n" in said
    assert "Nobody is enrolled." in said


def booted(debian: Path, unit: str) -> str:
    """Boot the Debian with one more unit, which ends it; what that has printed."""
    nspawn = shutil.which("systemd-nspawn")
    assert nspawn, "this test needs systemd-nspawn: sudo apt install systemd-container"
    probe = debian / "etc/systemd/system/probe.service"
    probe.write_text(unit)
    wanted = debian / "etc/systemd/system/multi-user.target.wants/probe.service"
    wanted.symlink_to("../probe.service")
    options = ["--register=no", "--keep-unit", "--boot", "--private-network", "--console=pipe"]
    # In a mount namespace of its own: it leaves mounts behind otherwise.
    command = ["unshare", "--mount", nspawn, f"--directory={debian}", *options]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=900, stdin=subprocess.DEVNULL
    )
    printed = debian / "var/log/probe.txt"
    said = printed.read_text()
    for path in (probe, wanted, printed):
        path.unlink()
    assert ended.returncode == 0, ended.stdout[-2000:] + said
    return said


ENROLLED = """\
import sys, time
sys.path.insert(0, "/usr/lib/earmark")
import numpy as np
from earmark.config import load
from earmark.speaker import Person, SpeakerModel, Vault
settings = load().speaker
model = SpeakerModel.open(settings.model)
noise = np.random.default_rng(1).standard_normal((5, model.cohort.shape[1]))
phrases = model.cohort[3] + 0.02 * noise
phrases = (phrases / np.linalg.norm(phrases, axis=1, keepdims=True)).astype(np.float32)
Vault.of(settings).add(Person("0123abcd", "Ada", time.time(), time.time(), model.id, phrases))
"""
"""Puts somebody into the vault, with whichever key there is."""

VISIT = """\
[Unit]
After=earmark.service
[Service]
Type=oneshot
TimeoutStartSec=800
StandardOutput=file:/var/log/probe.txt
StandardError=inherit
WorkingDirectory=/home/kim
Environment=SUDO_USER=kim SUDO_UID=1000 SUDO_GID=1000
ExecStart=sh -c 'earmark-admin people key create && \\
    /usr/bin/python3.11 -BIS /root/enrolled.py && \\
    systemd-creds encrypt --with-key=host --name=earmark-people-key /var/lib/earmark/people.key \\
        /etc/credstore.encrypted/earmark-people-key && \\
    rm /var/lib/earmark/people.key && systemctl restart earmark && \\
    earmark-admin people list; \\
    earmark-calibrate --yes; echo "beside the service: $$?"; \\
    systemctl stop earmark; \\
    earmark-calibrate --yes; echo "calibrated: $$?"; \\
    systemctl start earmark; echo "state $$(systemctl is-active earmark)"; \\
    earmark-admin config check; earmark-admin config show | grep 80-calibration; \\
    echo "root has left: $$(find /var/lib/private/earmark -user root)"; \\
    echo "in memory: $$(ls /run | grep earmark-calibrate)"'
ExecStopPost=systemctl poweroff
[Install]
WantedBy=multi-user.target
"""
"""What a technician does (sudo is not there, its words are), on a device whose key is sealed."""


def test_a_technician_brings_the_tool(debian: Path, calibrate: Path) -> None:
    ended = dpkg(debian, "-i", str(calibrate))
    assert ended.returncode == 0, ended.stderr
    assert "dpkg: warning" not in ended.stderr
    assert inside(debian, "dpkg", "--audit").stdout == ""
    assert inside(debian, "dpkg", "--verify", "earmark-calibrate").stdout == ""
    told = inside(debian, "earmark-calibrate", "--version").stdout
    assert told == f"earmark-calibrate {inside(debian, 'earmark', '--version').stdout.split()[1]}\n"
    assert "--resume" in inside(debian, "earmark-calibrate", "--help").stdout
    # What is flashed cannot import it.
    code = "import sys; sys.path.insert(0, '/usr/lib/earmark'); import earmark_calibration"
    ended = inside(debian, "/usr/bin/python3.11", "-BIS", "-c", code)
    assert "No module named 'earmark_calibration'" in ended.stderr


def test_a_technicians_visit(debian: Path) -> None:
    """Stop, calibrate, start: where the settings and the reports go, and who may read them."""
    simulated = debian / "etc/earmark/earmark.d/try.yaml"
    simulated.write_text("audio: {kind: simulated}\n")
    home, script = debian / "home/kim", debian / "root/enrolled.py"
    home.mkdir()
    os.chown(home, 1000, 1000)
    script.write_text(ENROLLED)
    said = booted(debian, VISIT)
    script.unlink()
    assert "  Ada\n" in said, said
    assert "sudo systemctl stop earmark, and start it again afterwards\n" in said, said
    assert "beside the service: 2" in said
    for line in (
        "calibrated: 0",
        "Report: /home/kim/earmark-calibration/calibration-",
        "1 enrolled; the key fits the vault",
        "state active",
        "The settings are valid.",
        "# /etc/earmark/earmark.d/80-calibration.yaml:",
        "root has left: \n",
        "in memory: \n",
    ):
        assert line in said, said
    assert "Traceback" not in said

    written = sorted((home / "earmark-calibration").iterdir())
    assert [path.suffix for path in written] == [".html", ".json"]
    for path in (written[0].parent, *written):
        about = path.stat()
        assert (about.st_uid, about.st_gid) == (1000, 1000)
        assert path.is_dir() or about.st_mode & 0o777 == 0o600
    report = json.loads(written[1].read_text())
    assert report["applied"]
    assert report["device"]["program_sha256"]
    (speaker,) = (one for one in report["thresholds"] if one["name"] == "speaker.threshold")
    assert speaker["frr"]["n"] == 5, speaker
    assert "Ada" not in written[1].read_text()


def test_the_service_may_read_what_was_set(debian: Path) -> None:
    """As a user of its own that has no rights to anything."""
    nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    ended = inside(debian, *nobody, "earmark", "config", "check")
    assert ended.stdout == "The settings are valid.\n", ended.stderr
    shown = inside(debian, *nobody, "earmark", "config", "show").stdout
    assert "80-calibration.yaml:" in shown
    assert "kim" in inside(debian, "earmark-calibrate", "show").stdout


def test_the_tool_leaves_and_what_it_set_stays(debian: Path, calibrate: Path) -> None:
    # Not before the tool: it would be left without what it calls.
    ended = dpkg(debian, "-r", "earmark")
    assert ended.returncode == 1
    assert "earmark-calibrate depends on earmark" in ended.stderr
    assert inside(debian, "earmark", "--version").returncode == 0
    there = files_of(debian)
    inside_it = inside(debian, "dpkg", "-L", "earmark-calibrate").stdout.splitlines()
    ended = dpkg(debian, "-P", "earmark-calibrate")
    assert (ended.returncode, ended.stderr) == (0, "")
    gone = there - files_of(debian)
    assert gone == {path.lstrip("/") for path in inside_it if "earmark-calibrate" in path}
    assert not [path for path in files_of(debian) if "earmark-calibrate" in path]
    assert (debian / "etc/earmark/earmark.d/80-calibration.yaml").is_file()

    assert dpkg(debian, "-i", str(calibrate)).returncode == 0
    assert inside(debian, "earmark-calibrate", "undo", "--yes").returncode == 0
    assert dpkg(debian, "-P", "earmark-calibrate").returncode == 0
    left = {path.name for path in (debian / "etc/earmark/earmark.d").iterdir()}
    assert left == {"try.yaml"}
    (debian / "etc/earmark/earmark.d/try.yaml").unlink()
    shutil.rmtree(debian / "home/kim")
    shutil.rmtree(debian / "var/lib/private/earmark")


def test_an_upgrade_keeps_the_changed_settings(debian: Path, package: Path, tmp_path: Path) -> None:
    mine = debian / "etc/earmark/earmark.yaml"
    mine.write_text("device: {name: mine, room: kitchen}\n")
    newer = repacked(debian / package.relative_to("/"), "9.9", debian / "tmp/newer.deb", tmp_path)
    ended = dpkg(debian, "--force-confold", "-i", f"/tmp/{newer.name}")
    assert ended.returncode == 0, ended.stderr
    assert "9.9" in inside(debian, "dpkg", "-s", "earmark").stdout
    assert mine.read_text() == "device: {name: mine, room: kitchen}\n"
    assert "earmark.yaml:1" in inside(debian, "earmark", "config", "show").stdout
    assert not list(debian.glob("usr/lib/earmark/earmark/gone*"))
    assert inside(debian, "systemctl", "is-enabled", "earmark").stdout == "enabled\n"


def test_the_technicians_tool_does_not_go_with_another_version(
    debian: Path, calibrate: Path
) -> None:
    refused(debian, calibrate, "Version of earmark on system is 9.9")


def repacked(deb: Path, version: str, newer: Path, work: Path) -> Path:
    """The same package in a newer version, with other settings in it; not compressed."""
    tree = work / "tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    settings = tree / "etc/earmark/earmark.yaml"
    settings.write_text(settings.read_text() + "# changed by the maker\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, newer], check=True)
    return newer


def test_an_owner_who_switched_it_off_is_heeded(debian: Path) -> None:
    assert inside(debian, "systemctl", "disable", "earmark").returncode == 0
    assert dpkg(debian, "--force-confold", "-i", "/tmp/newer.deb").returncode == 0
    assert inside(debian, "systemctl", "is-enabled", "earmark").stdout == "disabled\n"


def test_removing_keeps_what_it_has_learnt(debian: Path) -> None:
    for name in PRIVATE:
        (debian / name).parent.mkdir(parents=True, exist_ok=True)
        (debian / name).write_text("secret")
    link = debian / "var/lib/earmark"
    if not link.is_symlink():  # systemd made it, if it has been running
        link.symlink_to("private/earmark")
    ended = dpkg(debian, "-r", "earmark")
    assert ended.returncode == 0, ended.stderr
    assert not (debian / "usr/lib/earmark").exists()
    assert {name for name in PRIVATE if not (debian / name).is_file()} == set()
    assert (debian / "etc/earmark/earmark.yaml").is_file()


def test_a_purge_leaves_nothing_behind_and_says_what_it_wiped(debian: Path, bare: set[str]) -> None:
    ended = dpkg(debian, "-P", "earmark")
    assert ended.returncode == 0, ended.stderr
    assert "wiped the people, their key" in ended.stdout
    assert "warning" not in ended.stderr
    left = files_of(debian) - bare
    # What systemd keeps of itself since it was booted here.
    others = {path for path in left if not path.startswith(OF_SYSTEMD)}
    assert not others, sorted(others)
    assert not [path for path in left if "earmark" in path]
    assert bare - files_of(debian) == set()
    assert "earmark" not in (debian / "etc/group").read_text()
