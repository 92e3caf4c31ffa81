"""Which settings a running device can change, and which take a restart.

What can change without one has no file, socket, sound card, model or waveform behind it: limits,
time-outs, sounds and names. Everything else keeps its value until the daemon is started again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from earmark.config import Config, Key
from earmark.errors import ConfigError

RELOADED: tuple[Key, ...] = (
    ("device",),
    ("session",),
    ("gate", "signal"),
    ("speaker", "guests"),
    ("speaker", "far_target"),
    ("speaker", "least_speech_s"),
    ("feedback", "earcons"),
    ("feedback", "earcon_level_dbspl_1m"),
    ("feedback", "silent"),
    ("feedback", "lights"),
)
"""Settings and sections that take effect at a reload."""

ELSEWHERE: tuple[Key, ...] = (("speaker", "enrolment"),)
"""What the daemon does not use: `earmark people enrol` reads it for itself."""


@dataclass(frozen=True)
class Plan:
    """What a reload changes.

    Parameters
    ----------
    config : the running settings with what can change.
    changed : the settings that change, written with dots.
    restart : those that differ in the files and wait for a restart.
    """

    config: Config
    changed: tuple[str, ...]
    restart: tuple[str, ...]


def plan(running: Config, read: Config) -> Plan:
    """What becomes of `running` when the files now say `read`.

    Raises
    ------
    ConfigError
        What can change does not go with what cannot.
    """
    old, new = dict(_leaves(running)), dict(_leaves(read))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    changed = [key for key in keys if _under(key, RELOADED) and key in new]
    restart = [key for key in keys if not _under(key, (*RELOADED, *ELSEWHERE))]
    tree: dict[str, Any] = running.model_dump()
    for key in changed:
        section = tree
        for name in key[:-1]:
            section = section[name]
        section[key[-1]] = new[key]
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        why = str(error.errors()[0]["msg"])
        raise ConfigError(
            f"the changed settings do not go with those that need a restart ({why})",
            "restart Earmark: systemctl restart earmark",
        ) from None
    return Plan(config, tuple(map(".".join, changed)), tuple(map(".".join, restart)))


def _under(key: Key, sections: tuple[Key, ...]) -> bool:
    return any(key[: len(section)] == section for section in sections)


def _leaves(model: BaseModel, at: Key = ()) -> Iterator[tuple[Key, object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*at, name))
        else:
            yield (*at, name), value
