"""The settings that a calibration writes: a drop-in for the device's YAML, signed off, undoable.

``earmark.d/80-calibration.yaml`` holds the chosen values and nothing else, so that the owner's
files stay as they are; a drop-in with a later name still wins, and is then named as the reason
why nothing was written. Beside it ``80-calibration.json`` says who signed it off and when, what
was set before, and what the drop-in held before, so that it can be undone. Each file is replaced
as a whole: whatever happens in between, there is the old or the new one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from earmark.config import DEFAULT_PATH, Config, load
from earmark.errors import ConfigError, EarmarkError
from earmark.files import flush_folder, replace_file
from earmark_calibration.record import Change, Profile, Value

DROP_IN = "80-calibration.yaml"
"""After what a package or a provisioning tool writes, before what an owner may put at 90."""

SIGN_OFF = "80-calibration.json"
"""Beside it. Not read by the device."""

READABLE = 0o644
"""Mode of both: the service reads its settings as a user of its own. They hold no secrets."""

LISTED = 0o755
"""Mode of their folder, should it not be there, for the same reason."""

MAX_BYTES = 1024 * 1024
"""Largest file of ours that is read back."""


class SettingsError(EarmarkError):
    """The settings cannot be written or undone; they are as they were."""


class SignOff(BaseModel):
    """Who let which settings onto the device, and what was there before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    earmark_calibration: Literal[1] = 1
    who: str = Field(min_length=1, max_length=100)
    when: AwareDatetime
    profile: Profile
    report_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    drop_in_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    changes: tuple[Change, ...] = Field(max_length=256)
    previous: str | None = Field(None, max_length=MAX_BYTES)
    """The drop-in that was there before; None: there was none."""


def value_at(config: Config, key: str) -> Value:
    """The value of a setting by its key, such as ``nonce.level_dbspl_1m``.

    Raises
    ------
    SettingsError
        There is no such setting, or it is a whole section.
    """
    found: Any = config
    for name in key.split("."):
        if not isinstance(found, BaseModel) or name not in type(found).model_fields:
            raise SettingsError(f"{key} is not a setting", "use a key of `earmark config show`")
        found = getattr(found, name)
    if found is None or isinstance(found, bool | int | float | str):
        return found
    raise SettingsError(f"{key} is a section", "use a key of `earmark config show`")


def changes(config: Config, wanted: Mapping[str, Value]) -> tuple[Change, ...]:
    """What would change, by key; values that are so already are left out."""
    return tuple(
        Change(key=key, before=value_at(config, key), after=value)
        for key, value in sorted(wanted.items())
        if not _same(value_at(config, key), value)
    )


def with_values(config: Config, wanted: Mapping[str, Value]) -> Config:
    """The settings with these values, checked as if they were read from a file.

    Raises
    ------
    SettingsError
        They are not possible together.
    """
    tree = config.model_dump()
    for key, value in wanted.items():
        value_at(config, key)
        *path, last = key.split(".")
        place = tree
        for name in path:
            place = place[name]
        place[last] = value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"the chosen settings do not go together ({where}: {first['msg']})", "report this"
        ) from error


def folder_of(path: Path | None) -> Path:
    """Where the drop-ins of a main file are."""
    return (DEFAULT_PATH if path is None else path).with_suffix(".d")


def apply(
    path: Path | None,
    wanted: Mapping[str, Value],
    *,
    who: str,
    when: datetime,
    profile: Profile,
    report_sha256: str,
) -> SignOff:
    """Write the drop-in, and check that the device will read it so.

    Parameters
    ----------
    path : the main file, None for the installed one.
    wanted : all values that the calibration sets, by key.
    who, when : signs it off.

    Raises
    ------
    SettingsError, ConfigError
        Nothing has changed then.
    """
    config = load(path)
    with_values(config, wanted)
    changed = changes(config, wanted)
    folder = folder_of(path)
    previous = _text(folder / DROP_IN)
    body = yaml.safe_dump(_tree(wanted), sort_keys=True, allow_unicode=True)
    text = (
        f"# Written by earmark-calibrate for the profile {profile.value}; its next run replaces\n"
        f"# this. Signed off by {_one_line(who)} at {when.isoformat()}.\n"
        f"# Undo: earmark-calibrate undo\n{body}"
    )
    try:
        signed = SignOff(
            who=_one_line(who),
            when=when,
            profile=profile,
            report_sha256=report_sha256,
            drop_in_sha256=_sha256(text),
            changes=changed,
            previous=_before(folder, previous),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(
            f"the sign-off has no {first['loc'][0]}", "say who signs: --by"
        ) from None
    kept = _text(folder / SIGN_OFF)
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(LISTED)  # whatever the umask
        # The way back is written first.
        _write(folder / SIGN_OFF, signed.model_dump_json(indent=2) + "\n")
        _write(folder / DROP_IN, text)
    except OSError as error:
        _restore(folder, previous, kept)
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror or error})",
            "run this as root: sudo earmark-calibrate",
        ) from None
    try:
        now = load(path)
        for key, value in wanted.items():
            if not _same(value_at(now, key), value):
                raise SettingsError(
                    f"{key} is {value_at(now, key)!r}, not {value!r}: a later drop-in sets it",
                    f"take it out of the files after {DROP_IN} in {folder}",
                )
    except EarmarkError:
        _restore(folder, previous, kept)
        raise
    return signed


def signed_off(path: Path | None) -> SignOff | None:
    """The sign-off in effect; None without one.

    Raises
    ------
    SettingsError
        It is damaged.
    """
    folder = folder_of(path)
    text, drop_in = _text(folder / SIGN_OFF), _text(folder / DROP_IN)
    if text is None or drop_in is None:
        return None
    try:
        signed = SignOff.model_validate_json(text)
    except ValidationError:
        raise SettingsError(
            f"{folder / SIGN_OFF} is damaged", f"delete it and {DROP_IN}, and calibrate again"
        ) from None
    # Another hash: cut off between the two files, or changed by hand. The drop-in is what counts.
    return signed if _sha256(drop_in) == signed.drop_in_sha256 else None


def undo(path: Path | None) -> SignOff:
    """Put back what the calibration found, and return what is undone.

    Raises
    ------
    SettingsError, ConfigError
        Nothing was calibrated, or the drop-in was changed by hand.
    """
    folder = folder_of(path)
    signed = signed_off(path)
    if signed is None:
        there = (folder / DROP_IN).exists()
        raise SettingsError(
            f"{folder / DROP_IN} was changed by hand" if there else "nothing was calibrated here",
            f"delete {folder / DROP_IN} yourself" if there else "run earmark-calibrate first",
        )
    text = _text(folder / DROP_IN)
    try:
        _put(folder / DROP_IN, signed.previous)
        load(path)
        _put(folder / SIGN_OFF, None)
    except OSError as error:
        _put(folder / DROP_IN, text)
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror or error})",
            "run this as root: sudo earmark-calibrate undo",
        ) from None
    except ConfigError:
        _put(folder / DROP_IN, text)
        raise
    return signed


def _before(folder: Path, previous: str | None) -> str | None:
    """What to go back to: from a calibration after a calibration, to before the first."""
    text = _text(folder / SIGN_OFF)
    if text is None or previous is None:
        return previous
    try:
        signed = SignOff.model_validate_json(text)
    except ValidationError:
        return previous
    return signed.previous if _sha256(previous) == signed.drop_in_sha256 else previous


def _tree(wanted: Mapping[str, Value]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in wanted.items():
        *path, last = key.split(".")
        place = tree
        for name in path:
            place = place.setdefault(name, {})
        place[last] = value
    return tree


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror or error})", "run this as root"
        ) from None
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"{path} is larger than {MAX_BYTES} bytes", "delete it")
    return raw.decode("utf-8", "replace")


def _write(path: Path, text: str) -> None:
    replace_file(path, text.encode(), lambda handle: os.fchmod(handle, READABLE))
    flush_folder(path.parent)


def _put(path: Path, text: str | None) -> None:
    if text is not None:
        _write(path, text)
    elif path.exists():
        path.unlink()
        flush_folder(path.parent)


def _restore(folder: Path, drop_in: str | None, sign_off: str | None) -> None:
    try:
        _put(folder / DROP_IN, drop_in)
        _put(folder / SIGN_OFF, sign_off)
    except OSError as error:
        raise SettingsError(
            f"{folder} could not be put back ({error.strerror or error})",
            f"delete {DROP_IN} in it",
        ) from None


def _same(one: Value, other: Value) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(float(one) - float(other)) < 1e-9
    return one == other


def _one_line(text: str) -> str:
    return " ".join(text.split())[:100]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
