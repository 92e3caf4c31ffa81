"""The arrows between the parts, read from the import statements, and what a start loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PEERS = {"nonce", "memory", "speaker"}
"""The checks' own parts: each is understood, tested and replaced without the others."""

LEVEL = {
    "binomial": 0,
    "clock": 0,
    "errors": 0,
    "files": 0,
    "filters": 0,
    "heap": 0,
    "notify": 0,
    "owner_socket": 0,
    "signal": 0,
    "signals": 0,
    "tflite": 0,
    "worker": 0,
    "control": 1,
    "session": 1,
    "nonce": 1,
    "memory": 1,
    "speaker": 1,
    "audio": 1,
    "wake": 1,
    "gate": 2,
    "judging": 3,
    "stream_watch": 4,
    "forward": 3,
    "feedback": 3,
    "config": 4,
    "loop": 4,
    "daemon": 5,
    "reloading": 5,
    "doctor": 5,
    "enrolling": 6,
    "service": 6,
    "demo": 7,
    "keys_command": 6,
    "memory_command": 6,
    "people_command": 7,
    "service_command": 7,
    "cli": 8,
}
"""A part imports only from lower levels. A new folder or module under earmark gets a level."""

CALIBRATION_LEVEL = {
    "declared": 0,
    "owner": 0,
    "sealed": 0,
    "record": 1,
    "measure": 2,
    "report": 2,
    "report_command": 3,
    "settings": 2,
    "choose": 3,
    "live": 3,
    "preflight": 3,
    "proof": 4,
    "state": 4,
    "run": 5,
    "cli": 6,
}
"""The same for ``earmark_calibration``."""

NOT_ON_A_DEVICE = {"torch", "pandas", "matplotlib", "pyroomacoustics", "tensorflow"}
NOT_IN_THE_DAEMON = NOT_ON_A_DEVICE | {"rich", "typer", "PIL"}
HEAVY_PARTS = {f"scipy.{name}" for name in ("signal", "stats", "optimize", "interpolate", "linalg")}
"""Of a library that the daemon needs: 48 MB together, for which ``filters.py`` has replacements."""


def sources(root: str) -> list[Path]:
    return sorted((ROOT / root).rglob("*.py"))


def module_name(file: Path, root: str) -> str:
    parts = file.relative_to(ROOT / root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, root: str, names: bool = True) -> Iterator[str]:
    """Every module that `file` imports, wherever in it.

    Of ``from a import b`` both ``a`` and, with `names`, ``a.b``, which may be a module too.
    """
    name = module_name(file, root)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]) if base else ".".join(above)
            yield base
            if names:
                yield from (f"{base}.{alias.name}" for alias in node.names)


def part(module: str, package: str = "earmark") -> str | None:
    """The part of `package` that `module` belongs to: ``nonce`` for ``earmark.nonce.verify``."""
    names = module.split(".")
    return names[1] if names[0] == package and len(names) > 1 else None


def arrows() -> Iterator[tuple[Path, str, str]]:
    """(file, its part, the part that it imports) for every import within ``earmark``."""
    for file in sources("device"):
        own = part(module_name(file, "device"))
        for module in imports(file, "device"):
            other = part(module)
            if own is not None and other in LEVEL and other != own:
                yield file.relative_to(ROOT), own, other


def test_the_walk_sees_known_imports() -> None:
    file = ROOT / "device/earmark/audio/port.py"
    assert {"earmark.signal", "typing.Protocol"} <= set(imports(file, "device"))
    assert {part(module_name(f, "device")) for f in sources("device")} >= {"nonce", "gate", "cli"}


def test_every_part_has_a_level() -> None:
    parts = {part(module_name(file, "device")) for file in sources("device")} - {None}
    assert parts <= set(LEVEL)


def test_a_device_imports_neither_host_nor_calibration_nor_heavy_libraries() -> None:
    banned = NOT_ON_A_DEVICE | {"earmark_host", "earmark_calibration"}
    found = [
        (str(file.relative_to(ROOT)), module)
        for file in sources("device")
        for module in imports(file, "device")
        if module.split(".")[0] in banned
    ]
    assert found == []


def test_host_and_calibration_do_not_import_each_other() -> None:
    pairs = [("host", "earmark_calibration"), ("calibration", "earmark_host")]
    found = [
        (str(file.relative_to(ROOT)), module)
        for root, other in pairs
        for file in sources(root)
        for module in imports(file, root)
        if module.split(".")[0] == other
    ]
    assert found == []


def test_the_session_machine_imports_nothing_of_other_parts() -> None:
    assert [arrow for arrow in arrows() if arrow[1] == "session"] == []


def test_nonce_memory_and_speaker_do_not_know_each_other() -> None:
    assert [arrow for arrow in arrows() if {arrow[1], arrow[2]} <= PEERS] == []


def test_arrows_between_parts_point_downwards() -> None:
    upwards = [
        (str(file), own, other) for file, own, other in arrows() if LEVEL[other] >= LEVEL[own]
    ]
    assert upwards == []


def test_arrows_within_calibration_point_downwards() -> None:
    package = "earmark_calibration"
    upwards = []
    for file in sources("calibration"):
        own = part(module_name(file, "calibration"), package)
        assert own is None or own in CALIBRATION_LEVEL, f"{own} has no level"
        others = {part(module, package) for module in imports(file, "calibration")}
        upwards += [
            (str(file.relative_to(ROOT)), other)
            for other in others & set(CALIBRATION_LEVEL) - {own}
            if own is not None and CALIBRATION_LEVEL[str(other)] >= CALIBRATION_LEVEL[own]
        ]
    assert upwards == []


def test_a_part_is_entered_by_its_front_door() -> None:
    """Other parts import ``earmark.nonce``, never ``earmark.nonce.verify``.

    ``config.py`` alone composes from the ``settings`` modules.
    """
    folders = {file.parent.name for file in (ROOT / "device/earmark").glob("*/__init__.py")}
    modules = {module_name(file, "device") for file in sources("device")}
    side_doors = [
        (str(file.relative_to(ROOT)), module)
        for file in sources("device")
        for module in imports(file, "device", names=False)
        if module in modules
        and module.count(".") > 1
        and part(module) in folders - {part(module_name(file, "device"))}
        and not (file.name == "config.py" and module.endswith("settings"))
    ]
    assert side_doors == []


def loaded_by(module: str) -> set[str]:
    """The modules that importing `module` loads."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.splitlines()[-1]
    lines = [line for line in ended.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("module", ["earmark.daemon", "earmark.config"])
def test_a_start_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_by(module)
    packages = {name.split(".")[0] for name in loaded}
    assert "earmark" in packages
    assert not packages & NOT_IN_THE_DAEMON
    assert "earmark.filters" in loaded or module == "earmark.config"
    assert not loaded & HEAVY_PARTS
