"""The list of parts, in CycloneDX 1.5: what is inside, which version, from where, its hash."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

from earmark_host.package.lock import Wheel
from earmark_host.package.target import Target

MAX_LICENCE_CHARS = 80
"""Longest licence name taken from metadata, characters: some put the whole text there."""


def sbom(
    version: str,
    target: Target,
    wheels: dict[Wheel, Message],
    models: dict[str, Path],
    unix_s: int,
    name: str = "earmark",
) -> str:
    """The list as JSON.

    Parameters
    ----------
    version : of the package.
    wheels : each with its METADATA.
    models : files of the speaker model, by where they lie.
    unix_s : when it was made, s since 1970: a fixed one, so that the list is the same each time.
    name : of the package.
    """
    parts = [
        *(_wheel(wheel, about) for wheel, about in wheels.items()),
        *(_model(place, path) for place, path in models.items()),
    ]
    own = f"pkg:deb/{name}@{version}?arch={target.arch}"
    tree: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": name,
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": parts,
        "dependencies": [{"ref": own, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    # By its content, not by chance: the same parts have the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(tree, sort_keys=True))
    return json.dumps({"serialNumber": f"urn:uuid:{number}", **tree}, indent=1) + "\n"


def _wheel(wheel: Wheel, about: Message) -> dict[str, Any]:
    purl = f"pkg:pypi/{wheel.name}@{wheel.version}?file_name={wheel.file}"
    part: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": wheel.name,
        "version": wheel.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }
    if licence := _licence(about):
        part["licenses"] = [licence]
    return part


def _licence(about: Message) -> dict[str, Any] | None:
    """What the metadata say: an SPDX expression, else a name."""
    if expression := about["License-Expression"]:
        return {"expression": expression}
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier") or []
        if text.startswith("License :: ")
    ]
    name = (about["License"] or "").strip()
    if not name or "\n" in name or len(name) > MAX_LICENCE_CHARS:
        name = classifiers[0] if classifiers else ""
    return {"license": {"name": name}} if name else None


def _model(place: str, path: Path) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "type": "machine-learning-model",
        "bom-ref": f"file:{place}",
        "name": place,
        "version": digest[:12],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
