"""The configuration: one typed, frozen tree, composed of the parts' own settings.

It is read from ``/etc/earmark/earmark.yaml`` and the drop-ins ``/etc/earmark/earmark.d/*.yaml``
in the order of their names. All files are optional: what none of them sets keeps its default.
A later file wins, key by key; a list is replaced as a whole. A package, a provisioning tool and
the owner of the device thus each have a file of their own.

What a part can set, its unit, range and default stand in that part's ``settings.py``. This file
reads, merges and explains what is wrong: unknown keys, wrong types and values out of range are
refused, each with the file, the line, the key, the value and what would be right.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, TypeAlias, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretBytes,
    SecretStr,
    model_validator,
)
from pydantic import ValidationError as PydanticError
from pydantic.fields import FieldInfo

from earmark.audio.settings import AudioSettings
from earmark.control.settings import ControlSettings
from earmark.errors import ConfigError
from earmark.feedback.settings import FeedbackSettings
from earmark.forward.settings import WYOMING, ForwardSettings
from earmark.gate.settings import GateSettings
from earmark.memory.settings import MemorySettings
from earmark.nonce.keys_settings import KeysSettings
from earmark.nonce.ledger_settings import LedgerSettings
from earmark.nonce.settings import NonceSettings
from earmark.session.settings import SessionSettings
from earmark.speaker.settings import SpeakerSettings
from earmark.wake.settings import WakeSettings

DEFAULT_PATH = Path("/etc/earmark/earmark.yaml")
"""The configuration of an installed Earmark; its drop-ins are in ``earmark.d`` beside it."""

MAX_FILE_BYTES = 1024 * 1024
"""Largest configuration file that is read, bytes: a full one has some 10 kB."""

MAX_DROP_INS = 100
"""Most drop-ins that are read: more are an accident, and each is memory and time at start."""

MAX_DEPTH = 16
"""Deepest nesting of a file: the tree has 4 levels, and a parser recurses once per level."""

_SHOWN_CHARS = 60
"""Longest value repeated in an error message, characters, to stay on one line."""

Key: TypeAlias = tuple[str, ...]
"""Where a setting stands in the tree: ``("nonce", "bit_rate_hz")``, written with dots."""


@dataclass(frozen=True)
class _Origin:
    """Where a setting was written."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class DeviceSettings(BaseModel):
    """Which device this is. Goes into the ledger and the journal, decides nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        "earmark",
        min_length=1,
        max_length=64,
        description="Name of this device, unique in the household: the ledger and a rejected "
        "replay name it.",
    )
    room: str = Field(
        "unnamed room",
        min_length=1,
        max_length=64,
        description="The room that it stands in, as its people call it.",
    )


class Config(BaseModel):
    """All settings of a device. Without a file: ``Config()``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: DeviceSettings = DeviceSettings()
    session: SessionSettings = SessionSettings()
    nonce: NonceSettings = NonceSettings()
    ledger: LedgerSettings = LedgerSettings()
    keys: KeysSettings = KeysSettings()
    memory: MemorySettings = MemorySettings()
    speaker: SpeakerSettings = SpeakerSettings()
    audio: AudioSettings = AudioSettings()
    wake: WakeSettings = WakeSettings()
    gate: GateSettings = GateSettings()
    forward: ForwardSettings = ForwardSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    control: ControlSettings = ControlSettings()

    _origins: dict[Key, _Origin] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        # The rules that no part can check alone.
        least_s = self.nonce.cycle_s + self.nonce.max_delay_s
        if self.session.max_command_s <= least_s:
            raise ValueError(
                f"session.max_command_s must be over {least_s:g}, one whole nonce and its delay "
                "(nonce.payload_bits at the waveform's rate, and nonce.max_delay_s)"
            )
        if self.ledger.busy_timeout_s > self.session.issue_s:
            raise ValueError("ledger.busy_timeout_s must be at most session.issue_s")
        if self.forward.kind in WYOMING and self.forward.timeout_s >= self.session.forward_s:
            raise ValueError(
                "forward.timeout_s must be below session.forward_s: the person is told by then"
            )
        return self


def load(path: Path | None = None) -> Config:
    """Read the configuration.

    Parameters
    ----------
    path : the main file, which must then exist; None reads :data:`DEFAULT_PATH` where there
        is one. Drop-ins are taken from the folder beside it with the suffix ``.d``.

    Raises
    ------
    ConfigError
        A file cannot be read or is no YAML, or a setting is unknown, malformed or out of range.
    """
    tree: dict[str, Any] = {}
    origins: dict[Key, _Origin] = {}
    for file in files_of(path):
        _merge_file(file, tree, origins)
    try:
        # Validated as JSON: strict (no "5" for 5, no true for 1), while text still becomes
        # an enum or a path and a list a tuple.
        config = Config.model_validate_json(json.dumps(tree), strict=True)
    except PydanticError as error:
        raise _explain(error, tree, origins) from None
    config._origins.update(origins)
    return config


def files_of(path: Path | None = None) -> tuple[Path, ...]:
    """The files that :func:`load` reads for `path`, in their order.

    Raises
    ------
    ConfigError
        The drop-ins cannot be listed, or are too many.
    """
    main = DEFAULT_PATH if path is None else path
    first = (main,) if path is not None or _is_there(main) else ()
    return (*first, *_drop_ins(main.with_suffix(".d")))


def show(config: Config) -> str:
    """The effective settings as YAML that :func:`load` reads back; secrets are masked.

    Each value that a file set carries that file and line as a comment.
    """
    lines: list[str] = []

    def section(model: BaseModel, at: Key) -> None:
        indent = "  " * len(at)
        values = model.model_dump(mode="json")
        for name in type(model).model_fields:
            part = getattr(model, name)
            if isinstance(part, BaseModel):
                lines.append(f"{indent}{name}:")
                section(part, (*at, name))
                continue
            origin = config._origins.get((*at, name))
            comment = f"  # {origin}" if origin else ""
            lines.append(f"{indent}{name}: {_as_yaml(values[name])}{comment}")

    section(config, ())
    return "\n".join(lines) + "\n"


# Reading and merging


_COLLECTION_TAGS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}


class _Loader(yaml.SafeLoader):
    """``yaml.SafeLoader`` that refuses aliases, tags and deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # A few nested ones expand to gigabytes; settings need none.
            self._refuse("aliases (*name) are not supported", self._mark())
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._refuse(f"nested more than {MAX_DEPTH} levels deep", self._mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.CollectionNode) and node.tag not in _COLLECTION_TAGS:
            self._refuse(f"the tag {node.tag} is not supported", node.start_mark)
        return node

    def _mark(self) -> yaml.Mark:
        mark: yaml.Mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return mark

    def _refuse(self, problem: str, mark: yaml.Mark) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


# YAML 1.1 takes 1e-4 for text and only 1.0e-4 for a number. Nobody expects that.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _is_there(file: Path) -> bool:
    """False only where there surely is no `file`: an unreachable one must not be skipped."""
    try:
        file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # reading it will say why
    return True


def _drop_ins(folder: Path) -> list[Path]:
    """The drop-ins in `folder` by name; none when there is no such folder."""
    try:
        found = [p for p in folder.iterdir() if p.suffix == ".yaml" and not p.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ConfigError(
            f"{folder}: {error.strerror or error}",
            "let the user that runs Earmark read this folder",
        ) from None
    if len(found) > MAX_DROP_INS:
        raise ConfigError(
            f"{folder} holds {len(found)} drop-ins", f"keep at most {MAX_DROP_INS} files there"
        )
    return sorted(found, key=lambda p: p.name)


def _read(file: Path) -> str:
    """The text of `file`, at most :data:`MAX_FILE_BYTES`."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError(f"{file} is not a regular file", "give a YAML file")
        with file.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file", "create it or name another one") from None
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror or error}", "let the user that runs Earmark read it"
        ) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(
            f"{file} is larger than {MAX_FILE_BYTES} bytes", "keep only settings in it"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: byte {error.start} is not UTF-8", "save it as UTF-8") from None


def _merge_file(file: Path, tree: dict[str, Any], origins: dict[Key, _Origin]) -> None:
    """Lay the settings of `file` over `tree`, noting where each was written in `origins`."""
    text = _read(file)
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:  # empty, or comments only
            return
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(
                f"{file} does not hold settings", "write sections and keys, as in 'nonce:'"
            )
        _merge_mapping(file, loader, root, (), tree, origins)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise ConfigError(
            f"{place}: {error.problem or 'malformed'}", "correct the YAML there"
        ) from None
    except yaml.YAMLError as error:  # characters that YAML does not allow
        problem = str(error).splitlines()[0]
        raise ConfigError(f"{file}: {problem}", "correct the YAML there") from None
    finally:
        if loader is not None:
            loader.dispose()


def _merge_mapping(
    file: Path,
    loader: _Loader,
    node: yaml.MappingNode,
    at: Key,
    tree: dict[str, Any],
    origins: dict[Key, _Origin],
) -> None:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        origin = _Origin(file, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            raise ConfigError(f"{origin}: a key must be one word", "write 'key: value'")
        name = str(key_node.value)  # as written: an 'on' or 'no' stays a word
        key = (*at, name)
        if name in seen:
            raise ConfigError(f"{origin}: {_dotted(key)} is set twice", "keep one of the two")
        seen.add(name)
        if isinstance(value_node, yaml.MappingNode):
            if not isinstance(tree.get(name), dict):
                tree[name] = {}
                origins[key] = origin
            _merge_mapping(file, loader, value_node, key, tree[name], origins)
            continue
        value = _plain(loader, value_node, origin, key)
        if value is None and _model_of(_field(key)) is not None:
            continue  # a section with every line commented out
        tree[name] = value
        for below in [k for k in origins if k[: len(key)] == key]:
            del origins[below]
        origins[key] = origin


def _plain(loader: _Loader, node: yaml.Node, origin: _Origin, key: Key) -> object:
    """The value of `node`, of the kinds that JSON has too."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, item, origin, key) for item in node.value]
    if isinstance(node, yaml.MappingNode):  # within a list
        inner: dict[str, Any] = {}
        _merge_mapping(origin.file, loader, node, key, inner, {})
        return inner
    try:
        value: object = loader.construct_object(node, deep=True)
    except ValueError as error:  # 2024-13-45 looks like a date
        raise ConfigError(f"{origin}: {_dotted(key)}: {error}", "put it in quotes") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{origin}: {_dotted(key)} = {node.value}", "give a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(  # a date
        f"{origin}: {_dotted(key)} = {_shown(node.value)} is read as {type(value).__name__}",
        "put it in quotes",
    )


# Explaining


def _explain(
    error: PydanticError, tree: Mapping[str, Any], origins: Mapping[Key, _Origin]
) -> ConfigError:
    """The first thing that is wrong, and how many more there are."""
    problems = error.errors(include_url=False)
    # An unknown key first: it is most often the cause of the rest.
    problems.sort(key=lambda p: p["type"] != "extra_forbidden")
    first = problems[0]
    key = tuple(str(part) for part in first["loc"])
    info = _field(key)
    origin = _origin_of(key, origins)
    what = f"{origin}: " if origin else ""
    if first["type"] == "extra_forbidden":
        what += f"{_dotted(key)} is not a setting"
        do = _suggestion(key)
    elif first["type"] in ("value_error", "assertion_error"):  # a part's own rule
        if info is None or _model_of(info):
            what += f"{_dotted(key) or 'settings'} do not fit together"
        else:
            what += f"{_dotted(key)} = {_shown_value(info, first['input'])}"
        do = first["msg"].partition(", ")[2]
    elif info is None:
        what += f"{_dotted(key)} = {_shown(first['input'])}"
        do = first["msg"]
    else:
        what += f"{_dotted(key)} = {_shown_value(info, first['input'])}"
        do = _wanted(info)
    if len(problems) > 1:
        do += f" (and {len(problems) - 1} more to correct)"
    return ConfigError(what, do)


def _origin_of(key: Key, origins: Mapping[Key, _Origin]) -> _Origin | None:
    """Where `key` was written; of a section, its last setting; else what is nearest above."""
    if not key or _model_of(_field(key)):
        below = [origin for k, origin in origins.items() if k[: len(key)] == key]
        return below[-1] if below else None
    above = [key[:length] for length in range(len(key), 0, -1) if key[:length] in origins]
    return origins[above[0]] if above else None


def _suggestion(key: Key) -> str:
    """What the writer of an unknown `key` may have meant."""
    known = list(_all_keys(Config))
    siblings = [k[-1] for k in known if k[:-1] == key[:-1]]
    close = difflib.get_close_matches(key[-1], siblings, n=1, cutoff=0.6)
    if close:
        return f"did you mean {_dotted((*key[:-1], close[0]))}?"
    # The right word in the wrong section, or without its section.
    elsewhere = {k[-1]: k for k in known}
    close = difflib.get_close_matches(key[-1], elsewhere, n=1, cutoff=0.8)
    if close:
        return f"did you mean {_dotted(elsewhere[close[0]])}?"
    where = _dotted(key[:-1])
    return f"{where or 'the file'} can set {', '.join(siblings)}"


def _wanted(info: FieldInfo) -> str:
    """What a field takes, as an instruction: ``give a number from 10 to 40``."""
    if _model_of(info) is not None:
        return "write its settings below it, indented, each as 'key: value'"
    kind, choices = _kind(info.annotation)
    if choices:
        return f"give {kind} {', '.join(choices)}"
    limits = {name: getattr(m, name) for m in info.metadata for name in _LIMITS if hasattr(m, name)}
    texts = [
        text.format(limits[name]) for name, text in _LIMITS.items() if limits.get(name) is not None
    ]
    if "ge" in limits and "le" in limits:
        texts[:2] = [f"from {limits['ge']} to {limits['le']}"]
    return " ".join([f"give {kind}", " and ".join(texts)]).rstrip()


_LIMITS = {
    "gt": "above {}",
    "ge": "of at least {}",
    "lt": "below {}",
    "le": "of at most {}",
    "multiple_of": "divisible by {}",
    "min_length": "of length {} or more",
    "max_length": "of length {} or less",
    "pattern": "that matches {}",
}


def _kind(annotation: Any) -> tuple[str, list[str]]:
    """In words what `annotation` takes, and the choices where they can be counted."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "one of", [str(a) for a in args]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of", [str(member.value) for member in annotation]
    if origin in (tuple, list, set, frozenset):
        inner, choices = _kind(args[0]) if args else ("values", [])
        return ("a list out of" if choices else f"a list, each {inner}"), choices
    if args and type(None) in args:  # X | None
        rest = [a for a in args if a is not type(None)]
        kind, choices = _kind(rest[0])
        return (kind, [*choices, "null"]) if choices else (f"null or {kind}", [])
    return _KINDS.get(annotation, "another value"), []


_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text (in quotes)",
    SecretStr: "text (in quotes)",
    Path: "a path",
}


# The tree of settings


def _dotted(key: Key) -> str:
    return ".".join(key)


def _model_of(info: FieldInfo | None) -> type[BaseModel] | None:
    """The settings model that a field holds, if it is a section."""
    if info is None:
        return None
    for kind in (info.annotation, *get_args(info.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _field(key: Key) -> FieldInfo | None:
    """The field at `key` (a position in a list is left out), None where there is none."""
    model: type[BaseModel] | None = Config
    info: FieldInfo | None = None
    for name in key:
        if model is None:
            return info if name.isdigit() else None
        info = model.model_fields.get(name)
        model = _model_of(info)
    return info


def _all_keys(model: type[BaseModel], at: Key = ()) -> Iterator[Key]:
    for name, info in model.model_fields.items():
        yield (*at, name)
        inner = _model_of(info)
        if inner is not None:
            yield from _all_keys(inner, (*at, name))


def _shown_value(info: FieldInfo | None, value: object) -> str:
    if info is not None and {info.annotation, *get_args(info.annotation)} & {
        SecretStr,
        SecretBytes,
    }:
        return "(not shown)"
    return _shown(value)


def _shown(value: object) -> str:
    """`value` on one line of bounded length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def _as_yaml(value: object) -> str:
    """One value as YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6
    )
    return text.removesuffix("...\n").strip()
