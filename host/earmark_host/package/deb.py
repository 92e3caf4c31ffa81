"""Puts a Debian package together and has ``dpkg-deb`` pack it; the same input, the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from earmark import __version__
from earmark_host.package.closure import metadata, missing
from earmark_host.package.contents import File, files
from earmark_host.package.control import MAINTAINER, debian
from earmark_host.package.errors import PackageError
from earmark_host.package.lock import Lock, Wheel, read
from earmark_host.package.part import DEVICE, Part
from earmark_host.package.pip import Pip, fetch, run_pip
from earmark_host.package.project import Project
from earmark_host.package.sbom import sbom
from earmark_host.package.target import Target
from earmark_host.package.unpack import unpack

EPOCH = "SOURCE_DATE_EPOCH"
"""The variable with the time that all files get, s since 1970 (reproducible-builds.org)."""


COMPRESSION = ("-Zxz", "-z1")
"""dpkg-deb's choice: xz, which every dpkg reads. Level 1 makes 59 MB in 25 s, level 6 49 MB in 120
s (an x86_64 core)."""


@dataclass(frozen=True)
class Made:
    """A package that was made."""

    path: Path
    size_bytes: int
    sha256: str
    wheels: int


def build_deb(
    project: Project,
    target: Target,
    out: Path,
    wheels_in: Path,
    *,
    part: Part = DEVICE,
    environ: Mapping[str, str],
    maintainer: str = MAINTAINER,
    lock: Lock | None = None,
    pip: Pip = run_pip,
) -> Made:
    """Make ``NAME_VERSION_ARCH.deb``.

    Parameters
    ----------
    out : folder for the package; made if missing.
    wheels_in : folder of wheels; what it lacks is downloaded there.
    part : what it is to hold.
    environ : for ``SOURCE_DATE_EPOCH``; without it the time of the checkout's last commit is taken.
    maintainer : who answers for the package, ``Name <address>``.
    lock : the part's wheel list; the one of the target's Python when None.

    Raises
    ------
    PackageError
        It cannot be made.
    """
    if shutil.which("dpkg-deb") is None:
        raise PackageError("dpkg-deb is not here", "install it: sudo apt install dpkg")
    unix_s = source_time(project, environ)
    lock = read(target.python_text, part) if lock is None else lock
    lock.check(project.requirements(target, part), target)
    wheels = lock.for_(target)
    paths = fetch(wheels, target, wheels_in, pip)
    there = () if part is DEVICE else read(target.python_text).for_(target)
    if lacking := missing(paths, target, there):
        raise PackageError(
            f"the wheel list lacks {lacking[0]}",
            f"make it anew: earmark-host package lock --python {target.python_text}",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="earmark-deb-", dir=out) as work:
            tree = Path(work, "tree")
            _stage(project, target, part, wheels, paths, tree, maintainer, unix_s)
            path = out / f"{part.name}_{__version__}_{target.arch}.deb"
            new = Path(work, path.name)
            _pack(tree, new, unix_s)
            with open(new, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = new.stat().st_size
            new.replace(path)
    except OSError as error:
        raise PackageError(
            f"{error.filename or out}: {error.strerror}", "give --out a folder with 1 GB free"
        ) from None
    return Made(path, size, digest, len(wheels))


def source_time(project: Project, environ: Mapping[str, str]) -> int:
    """The time that all files get, s since 1970.

    Raises
    ------
    PackageError
        Neither the variable nor the checkout says.
    """
    said = environ.get(EPOCH)
    if said is None:
        command = ["git", "-C", str(project.root), "log", "-1", "--format=%ct"]
        try:
            said = subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            said = ""
    if not said.isdecimal():
        raise PackageError(
            f"the package has no time ({EPOCH} is {said!r})",
            f"set it: {EPOCH}=$(date +%s), the same for the same package",
        )
    return int(said)


def _stage(
    project: Project,
    target: Target,
    part: Part,
    wheels: tuple[Wheel, ...],
    paths: list[Path],
    tree: Path,
    maintainer: str,
    unix_s: int,
) -> None:
    """Lay out all that the package has, below `tree`."""
    modules = tree / part.modules
    for path in paths:
        unpack(path, modules)
    own = project.files(part)
    for place, source in own.items():
        _write(modules / place, File(source.read_bytes()))
    for place, file in files(project, target, part).items():
        _write(tree / place, file)
    models = {place: path for place, path in own.items() if place.startswith("earmark/models/")}
    about = {wheel: metadata(path) for wheel, path in zip(wheels, paths, strict=True)}
    parts = sbom(__version__, target, about, models, unix_s, part.name)
    _write(tree / part.doc / "sbom.cdx.json", File(parts.encode()))

    installed = [path for path in sorted(tree.rglob("*")) if path.is_file()]
    kib = sum(-(-path.stat().st_size // 1024) for path in installed)
    texts = debian(__version__, target, wheels, kib, maintainer, part)
    texts["md5sums"] = "".join(_md5(path, tree) for path in installed)
    for name, text in texts.items():
        mode = 0o755 if name in part.scripts else 0o644
        _write(tree / "DEBIAN" / name, File(text.encode(), mode))
    for path in (*tree.rglob("*"), tree):
        if path.is_dir():
            path.chmod(0o755)  # whatever the umask
        os.utime(path, (unix_s, unix_s))


def _write(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    path.chmod(file.mode)


def _md5(path: Path, tree: Path) -> str:
    """A line of ``md5sums``, which dpkg wants for ``--verify``: against damage, not attackers."""
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return f"{digest}  {path.relative_to(tree)}\n"


def _pack(tree: Path, path: Path, unix_s: int) -> None:
    """Have dpkg-deb pack it: sorted, owned by root, no time but ours.

    One thread: the blocks of several would be cut by their number.
    """
    environ = {**os.environ, EPOCH: str(unix_s), "DPKG_DEB_THREADS_MAX": "1", "LC_ALL": "C"}
    command = ["dpkg-deb", "--root-owner-group", *COMPRESSION, "--build"]
    ended = subprocess.run(
        [*command, str(tree), str(path)], capture_output=True, text=True, check=False, env=environ
    )
    if ended.returncode != 0:
        said = " ".join(ended.stderr.split())[-200:]
        raise PackageError(f"dpkg-deb failed ({said})", "give --out a folder with 1 GB free")
