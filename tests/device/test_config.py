"""The configuration: files and drop-ins laid over each other, and what each mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from earmark import config as config_module
from earmark.config import MAX_DROP_INS, MAX_FILE_BYTES, Config, load, show
from earmark.errors import ConfigError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_main(text: str) -> Path:
        path = tmp_path / "earmark.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_main


def drop_in(main: Path, name: str, text: str) -> Path:
    folder = main.with_suffix(".d")
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_without_files_every_setting_has_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module, "DEFAULT_PATH", tmp_path / "earmark.yaml")
    assert load() == Config()


def test_drop_ins_count_without_a_main_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = tmp_path / "earmark.yaml"
    monkeypatch.setattr(config_module, "DEFAULT_PATH", main)
    drop_in(main, "10-name.yaml", "device: {name: hall}")
    assert load().device.name == "hall"


def test_later_drop_ins_win_key_by_key_and_lists_whole(write: Write) -> None:
    main = write(
        "device: {name: a, room: kitchen}\n"
        "gate: {required: [signal, nonce, stale], signal: {min_speech_s: 0.3}}\n"
    )
    drop_in(main, "20-b.yaml", "device: {name: c}\ngate: {required: [nonce]}\n")
    drop_in(main, "10-a.yaml", "device: {name: b}\ngate: {signal: {min_snr_db: 7}}\n")
    drop_in(main, "30.yaml.bak", "device: {name: backup}\n")
    drop_in(main, ".40.yaml", "device: {name: hidden}\n")
    config = load(main)
    assert (config.device.name, config.device.room) == ("c", "kitchen")
    assert config.gate.required == ("nonce",)
    assert (config.gate.signal.min_speech_s, config.gate.signal.min_snr_db) == (0.3, 7.0)


@pytest.mark.parametrize("text", ["", "# nothing\n", "nonce:\n", "nonce:\n  # all commented\n"])
def test_empty_files_and_sections_set_nothing(write: Write, text: str) -> None:
    assert load(write(text)) == Config()


def test_an_exponent_is_a_number(write: Write) -> None:
    assert load(write("nonce: {stale_false_alarm: 1e-3}")).nonce.stale_false_alarm == 1e-3


def test_show_reads_back_and_names_where_each_value_comes_from(write: Write) -> None:
    main = write(
        'device: {room: "Küche: #2"}\nnonce:\n  payload_bits: 64\n  bfsk: {bit_rate_hz: 20}\n'
    )
    late = drop_in(main, "50-level.yaml", "\nnonce: {level_dbspl_1m: 45}\n")
    config = load(main)
    text = show(config)
    assert f"payload_bits: 64  # {main}:3\n" in text
    assert f"bit_rate_hz: 20.0  # {main}:4\n" in text
    assert f"level_dbspl_1m: 45.0  # {late}:2\n" in text
    assert f"room: 'Küche: #2'  # {main}:1\n" in text
    late.unlink()
    main.write_text(text, encoding="utf-8")
    assert load(main).model_dump() == config.model_dump()


def test_show_of_the_defaults_names_no_file() -> None:
    text = show(Config())
    assert "#" not in text
    assert yaml.safe_load(text) == Config().model_dump(mode="json")


def models(model: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [config_module._model_of(info) for info in model.model_fields.values()]
    return [model, *(m for each in inner if each is not None for m in models(each))]


@pytest.mark.parametrize("model", models(Config), ids=lambda m: m.__name__)
def test_every_part_is_frozen_refuses_unknown_keys_and_describes_each_setting(
    model: type[BaseModel],
) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        model.model_validate({"no such key": 1})
    assert model.model_config.get("frozen") is True
    for name, info in model.model_fields.items():
        if config_module._model_of(info) is None:
            assert info.description, f"{model.__name__}.{name} has no description"


# Failures. Each message names the file, the line, the key, the value and what would be right.

WRONG_SETTINGS = {
    "unknown key": (
        "nonce:\n  bfsk:\n    bit_rate: 10",
        "3: nonce.bfsk.bit_rate is not a setting: did you mean nonce.bfsk.bit_rate_hz?",
    ),
    "unknown section": ("nonse:\n  x: 1", "1: nonse is not a setting: did you mean nonce?"),
    "key without its section": (
        "bit_rate_hz: 10",
        "1: bit_rate_hz is not a setting: did you mean nonce.bfsk.bit_rate_hz?",
    ),
    "nothing like it": ("device: {qqq: 1}", "1: device.qqq is not a setting: device can set name,"),
    "above the range": (
        "nonce: {bfsk: {bit_rate_hz: 900}}",
        "1: nonce.bfsk.bit_rate_hz = 900: give a number from 10.0 to 40.0",
    ),
    "below the range": (
        "nonce: {payload_bits: 8}",
        "1: nonce.payload_bits = 8: give a whole number from 32 to 256",
    ),
    "below an open end": (
        "nonce: {stale_false_alarm: 0}",
        "1: nonce.stale_false_alarm = 0: give a number above 0.0 and of at most 0.01",
    ),
    "text for a number": (
        "nonce: {bfsk: {channels: many}}",
        '1: nonce.bfsk.channels = "many": give a whole number from 4 to 32',
    ),
    "quoted number": (
        "nonce: {bfsk: {channels: '8'}}",
        '1: nonce.bfsk.channels = "8": give a whole number from 4 to 32',
    ),
    "boolean for a number": (
        "nonce: {bfsk: {channels: yes}}",
        "1: nonce.bfsk.channels = true: give a whole number from 4 to 32",
    ),
    "number for text": ("device: {name: 5}", "1: device.name = 5: give text (in quotes)"),
    "empty text": ("device: {name: ''}", '1: device.name = "": give text (in quotes) of length'),
    "null": (
        "nonce: {bfsk: {channels: null}}",
        "1: nonce.bfsk.channels = null: give a whole number",
    ),
    "unknown choice": (
        "gate: {required: [nonce, magic]}",
        '1: gate.required.1 = "magic": give a list out of signal, nonce, stale, memory,',
    ),
    "below an optional range": (
        "wake: {cutoff: 0}",
        "1: wake.cutoff = 0: give null or a number above 0.0 and below 1.0",
    ),
    "number for an optional path": (
        "memory: {folder: 5}",
        "1: memory.folder = 5: give null or a path",
    ),
    "below the range, two sections deep": (
        "memory:\n  neighbours:\n    copies: 1",
        "3: memory.neighbours.copies = 1: give a whole number from 2 to 20",
    ),
    "unknown kind": ("audio: {kind: alsa}", '1: audio.kind = "alsa": give one of simulated, wav,'),
    "unknown enum value": (
        "wake: {kind: clap}",
        '1: wake.kind = "clap": give one of micro, button',
    ),
    "nested out of range": (
        "wake:\n  endpoint:\n    hangover_s: 9",
        "3: wake.endpoint.hangover_s = 9: give a number from 0.2 to 3.0",
    ),
    "number for a path": ("forward: {folder: 5}", "1: forward.folder = 5: give a path"),
    "word for a boolean": ("feedback: {lights: maybe}", '1: feedback.lights = "maybe": give true'),
    "one item for a list": ("forward: {argv: cat}", '1: forward.argv = "cat": give a list, each'),
    "twice in a list": (
        "gate: {required: [nonce, nonce]}",
        '1: gate.required = ["nonce", "nonce"]: name each check once',
    ),
    "scalar for a section": ("nonce: 5", "1: nonce = 5: write its settings below it"),
    "parts that do not fit": (
        "nonce:\n  bfsk:\n    band_low_hz: 4000\n    band_high_hz: 4100",
        "4: nonce.bfsk do not fit together: a hop set of",
    ),
    "date": (
        "device: {name: 2024-01-31}",
        '1: device.name = "2024-01-31" is read as date: put it in quotes',
    ),
    "no real date": ("device: {name: 2024-13-45}", "1: device.name: month must be in 1..12"),
    "infinite": (
        "nonce: {level_dbspl_1m: .inf}",
        "1: nonce.level_dbspl_1m = .inf: give a finite",
    ),
    "not a number": (
        "nonce: {level_dbspl_1m: .nan}",
        "1: nonce.level_dbspl_1m = .nan: give a finite",
    ),
    "a waveform that there is not": (
        "nonce: {waveform: chirp}",
        '1: nonce.waveform = "chirp": give one of spread, bfsk',
    ),
    "a setting of the other waveform": (
        "nonce: {spread: {channels: 8}}",
        "1: nonce.spread.channels is not a setting: did you mean nonce.bfsk.channels?",
    ),
    "a setting of before the waveforms were two": (
        "nonce: {bit_rate_hz: 20}",
        "1: nonce.bit_rate_hz is not a setting: did you mean nonce.bfsk.bit_rate_hz?",
    ),
    "no room for a new epoch": (
        "keys: {epochs_kept: 4, max_banks: 4}",
        "1: keys do not fit together: max_banks must be over epochs_kept",
    ),
    "a link that may answer after the person was told": (
        "forward: {kind: wyoming_satellite, timeout_s: 5}",
        "1: settings do not fit together: forward.timeout_s must be below session.forward_s",
    ),
    "a network that is none": (
        "forward:\n  wyoming:\n    peers: [homeassistant.local]",
        "3: forward.wyoming.peers = [\"homeassistant.local\"]: 'homeassistant.local' is no address",
    ),
    "an address that is none": (
        "forward: {wyoming: {uri: localhost}}",
        '1: forward.wyoming.uri = "localhost": give tcp://HOST:PORT',
    ),
    "a command shorter than the nonce": (
        "nonce: {payload_bits: 256}\nsession: {max_command_s: 16}",
        "2: settings do not fit together: session.max_command_s must be over 16.884, one whole",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_is_explained(write: Write, text: str, message: str) -> None:
    main = write(text)
    with pytest.raises(ConfigError) as caught:
        load(main)
    assert str(caught.value).startswith(f"{main}:{message}")


WRONG_FILES = {
    "no mapping": ("- a\n- b\n", " does not hold settings"),
    "duplicate key": (
        "nonce:\n  payload_bits: 32\n  payload_bits: 64\n",
        ":3: nonce.payload_bits is set twice",
    ),
    "duplicate section": ("nonce: {}\nnonce: {}\n", ":2: nonce is set twice"),
    "malformed": ("nonce: [1\n", ":2: expected ',' or ']'"),
    "tab": ("nonce:\n\tchannels: 4\n", ":2: found character '\\t'"),
    "control character": ("device: {name: 'a\x01'}", ": unacceptable character"),
    "alias": ("a: &x 1\nb: *x\n", ":2: aliases (*name) are not supported"),
    "two documents": ("nonce: {}\n---\nnonce: {}\n", ":2: but found another document"),
    "code": (
        "device: {name: !!python/object/apply:os.getcwd []}",
        ":1: the tag tag:yaml.org,2002:python/object/apply:os.getcwd is not supported",
    ),
    "unknown tag": ("device: {name: !secret x}", ":1: could not determine a constructor"),
    "deep": ("a: " + "[" * 500 + "]" * 500, ":1: nested more than 16 levels deep"),
    "list as key": ("? [a, b]\n: 1\n", ":1: a key must be one word"),
}


@pytest.mark.parametrize(("text", "message"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_malformed_file_is_explained(write: Write, text: str, message: str) -> None:
    main = write(text)
    with pytest.raises(ConfigError) as caught:
        load(main)
    assert str(caught.value).startswith(f"{main}{message}")


def test_the_drop_in_at_fault_is_named(write: Write) -> None:
    main = write("nonce: {payload_bits: 32}")
    drop_in(main, "10.yaml", "nonce: {payload_bits: 64}")
    late = drop_in(main, "20.yaml", "nonce:\n  payload_bits: 99")
    with pytest.raises(ConfigError, match=r"nonce\.payload_bits = 99") as caught:
        load(main)
    assert str(caught.value).startswith(f"{late}:2:")


def test_further_mistakes_are_counted(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"\(and 2 more to correct\)$"):
        load(write("nonce: {bfsk: {channels: 99}, payload_bits: 1, extra: 1}"))


def test_a_long_value_is_cut(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(f"nonce: {{payload_bits: {'x' * 5000}}}"))
    assert len(str(caught.value)) < 400


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml")


def test_a_default_file_that_cannot_be_reached_is_not_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = tmp_path / "earmark.yaml"
    main.symlink_to(tmp_path / "gone.yaml")
    monkeypatch.setattr(config_module, "DEFAULT_PATH", main)
    with pytest.raises(ConfigError, match="no such file"):
        load()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a regular file"):
        load(tmp_path)


def test_a_file_over_the_limit_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match=f"larger than {MAX_FILE_BYTES} bytes"):
        load(write("#" * (MAX_FILE_BYTES + 1)))


def test_bytes_that_are_not_utf8_are_refused(write: Write) -> None:
    main = write("")
    main.write_bytes(b"device: {name: K\xfcche}")
    with pytest.raises(ConfigError, match="byte 16 is not UTF-8"):
        load(main)


def test_too_many_drop_ins_are_refused(write: Write) -> None:
    main = write("")
    for number in range(MAX_DROP_INS + 1):
        drop_in(main, f"{number}.yaml", "")
    with pytest.raises(ConfigError, match=f"holds {MAX_DROP_INS + 1} drop-ins"):
        load(main)


def test_a_file_that_may_not_be_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    main = write("")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match="Permission denied: let the user that runs Earmark"):
        load(main)
