"""What of the checkout goes onto a device, and what that needs: read from ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from earmark_host.package.errors import PackageError
from earmark_host.package.part import DEVICE, Part
from earmark_host.package.target import Target

_LEFT = {"__pycache__"}


@dataclass(frozen=True)
class Project:
    """A checkout of Earmark.

    Attributes
    ----------
    root : its folder.
    tree : ``pyproject.toml``.
    """

    root: Path
    tree: dict[str, Any]

    @classmethod
    def open(cls, root: Path | None = None) -> Project:
        """Read the checkout in `root`, or the one that this module lies in.

        Raises
        ------
        PackageError
            There is no checkout.
        """
        root = Path(__file__).resolve().parents[3] if root is None else root
        try:
            text = (root / "pyproject.toml").read_text(encoding="utf-8")
            tree = tomllib.loads(text)
            is_ours = tree["project"]["name"] == "earmark" and (root / DEVICE.source).is_dir()
        except (OSError, ValueError, KeyError, TypeError):
            is_ours = False
        if not is_ours:
            raise PackageError(
                f"{root} is no checkout of Earmark",
                "run it from one (pip install -e), packages are made of its files",
            )
        return cls(root, tree)

    def requirements(self, target: Target, part: Part = DEVICE) -> tuple[Requirement, ...]:
        """What a part imports, for a target; the technician's, what it adds to the device's."""
        project = self.tree["project"]
        texts = (
            project["dependencies"]
            if part.extra is None
            else project["optional-dependencies"][part.extra]
        )
        every = map(Requirement, texts)
        return tuple(
            one for one in every if one.marker is None or one.marker.evaluate(target.markers)
        )

    def files(self, part: Part = DEVICE) -> dict[str, Path]:
        """A part's own files: where each lies below the folder of modules -> its source.

        The source root and, of what hatch adds to the wheel, what goes into that.
        """
        source = self.root / part.source
        found = {
            f"{part.module}/{file.relative_to(source)}": file
            for file in source.rglob("*")
            if file.is_file() and not self._left_out(file)
        }
        wheel = self.tree["tool"]["hatch"]["build"]["targets"]["wheel"]
        for added, place in wheel.get("force-include", {}).items():
            if place.startswith(f"{part.module}/"):
                found[place] = self.root / added
        return dict(sorted(found.items()))

    def _left_out(self, file: Path) -> bool:
        parts = file.relative_to(self.root).parts
        return any(part in _LEFT or part.startswith(".") for part in parts) or file.suffix == ".pyc"
