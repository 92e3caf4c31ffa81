"""The daemon: putting a device together, and keeping it going when the stream breaks."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile
import yaml

from earmark import cli, daemon
from earmark.audio import AudioPort
from earmark.config import Config
from earmark.daemon import (
    REOPEN_FIRST_S,
    REOPEN_MAX_S,
    Attendant,
    Device,
    Facts,
    InlineExecutor,
    build,
    drive,
    run,
)
from earmark.errors import AudioError, EarmarkError, KeyringError, LedgerError, StreamBroken
from earmark.feedback import Entry, LightPattern
from earmark.forward import open_forwarder
from earmark.gate import Announcement, GateSettings
from earmark.memory import MemorySettings, MemoryStoreError, QueryMemory
from earmark.nonce import FixedKeys, Issue, Ledger, NonceSettings, Source
from earmark.nonce.keys import EpochKey
from earmark.session import State
from earmark.signal import BLOCK, Signal
from earmark.speaker import SpeakerModelError, SpeakerSettings, Vault, create_key
from earmark.stream_watch import StreamWatch


@pytest.fixture
def config(tmp_path: Path, speaker_section: dict[str, object]) -> Config:
    """Button, folder, ledger: all in a folder of the test's own."""
    return Config.model_validate(
        {
            "ledger": {"path": tmp_path / "ledger.sqlite"},
            "keys": {"path": tmp_path / "keys.json"},
            "memory": {"folder": tmp_path / "memory"},
            "speaker": speaker_section,
            "forward": {"folder": tmp_path / "commands"},
            "wake": {"kind": "button"},
        }
    )


def remembering(config: Config) -> QueryMemory:
    """The device's query memory; only one at a time can have it."""
    return QueryMemory.open(config.memory, os.urandom)


class Port:
    """Silence for some blocks, then it breaks."""

    def __init__(self, blocks: int) -> None:
        self.left = blocks
        self.played: list[Signal] = []
        self.closed = 0

    def exchange(self, play: Signal) -> Signal:
        if self.left == 0:
            raise StreamBroken("the card was pulled", "plug it in")
        self.left -= 1
        self.played.append(play)
        return np.zeros(BLOCK, np.float32)

    def close(self) -> None:
        self.closed += 1


class Opener:
    """Opens what a script says: ports, or errors."""

    def __init__(self, *script: Port | Exception) -> None:
        self.script = list(script)
        self.opened: list[Port] = []

    def __call__(self) -> Port:
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        self.opened.append(item)
        return item


GONE = AudioError("no sound card", "plug one in")


def stop_after(opener: Opener, blocks: int) -> Callable[[], bool]:
    """Stop when the last port has done so many blocks."""
    return lambda: bool(not opener.script and len(opener.opened[-1].played) >= blocks)


# A stream that breaks and comes back


def test_a_broken_stream_is_closed_and_opened_again(config: Config) -> None:
    opener, slept = Opener(Port(10), Port(10)), []
    run(config, opener=opener, sleep=slept.append, stop=stop_after(opener, 5))
    first, second = opener.opened
    assert (len(first.played), len(second.played)) == (10, 5)
    assert slept == [REOPEN_FIRST_S]
    assert (first.closed, second.closed) == (1, 1)


def test_a_stream_that_is_given_up_is_opened_again_and_the_room_told(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    class Watching(Attendant):
        watches: ClassVar[list[StreamWatch]] = []
        told: ClassVar[list[Announcement]] = []

        def watched(self, watch: StreamWatch) -> None:
            self.watches.append(watch)

        def flowing(self, port: AudioPort) -> None:
            if port is opener.opened[0] and len(opener.opened[0].played) == 3:
                self.watches[0].given_up = "the round trip has grown"

        def announce(self, told: Announcement) -> None:
            self.told.append(told)

    opener = Opener(Port(10), Port(10))
    stop = stop_after(opener, 5)
    run(config, opener=opener, sleep=lambda _: None, stop=stop, attendant=Watching())
    first, second = opener.opened
    assert (len(first.played), len(second.played)) == (3, 5)
    assert first.closed == 1
    assert Watching.told == [Announcement.FAULT, Announcement.READY]
    assert "the round trip has grown: it is opened again" in caplog.text


def test_the_pauses_double_up_to_a_limit_and_begin_anew(config: Config) -> None:
    opener, slept = Opener(Port(3), *[GONE] * 7, Port(3), GONE, Port(9)), []
    run(config, opener=opener, sleep=slept.append, stop=stop_after(opener, 5))
    assert slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 1.0, 2.0]
    assert (slept[0], max(slept)) == (REOPEN_FIRST_S, REOPEN_MAX_S)


def test_the_break_is_logged_once_and_the_waiting_is_not(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opener = Opener(Port(3), *[GONE] * 20, Port(9))
    run(config, opener=opener, sleep=lambda _: None, stop=stop_after(opener, 5))
    assert caplog.text.count("the card was pulled: plug it in") == 1
    assert "no sound card" not in caplog.text
    told = [line for line in caplog.messages if "announcement=" in line]
    assert ["fault" in line for line in told] == [True, False]
    assert "announcement=ready" in told[1]


def test_a_card_that_opens_and_gives_nothing_is_not_back(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a sound server without a card; the room must not hear `ready` every second."""
    caplog.set_level(logging.INFO)
    dead = [Port(0) for _ in range(6)]
    opener, slept = Opener(Port(3), *dead, Port(9)), []
    run(config, opener=opener, sleep=slept.append, stop=stop_after(opener, 5))
    assert slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert [port.closed for port in dead] == [1] * 6
    assert caplog.text.count("the card was pulled") == 1
    assert caplog.text.count("announcement=ready") == 1


def test_a_break_and_its_end_can_be_found_in_the_journal(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opener = Opener(Port(3), Port(9))
    run(config, opener=opener, sleep=lambda _: None, stop=stop_after(opener, 5))
    ids = [record.__dict__.get("MESSAGE_ID") for record in caplog.records]
    assert ids.index(Entry.CARD_LOST.message_id) < ids.index(Entry.CARD_BACK.message_id)


def test_an_attendant_goes_along(config: Config) -> None:
    class Watching(Attendant):
        def __init__(self) -> None:
            self.seen: list[object] = []

        def built(self, device: Device, executor: Executor) -> None:
            self.seen.append(device.facts())
            device.loop.mute()

        def flowing(self, port: AudioPort) -> None:
            self.seen.append(port)

        def lost(self, error: StreamBroken) -> None:
            self.seen.append(error.what)

        def announce(self, told: Announcement) -> None:
            self.seen.append(told)

        def show(self, pattern: LightPattern) -> None:
            self.seen.append(pattern.name)

    attendant, opener = Watching(), Opener(Port(2), Port(9))
    run(
        config,
        opener=opener,
        sleep=lambda _: None,
        stop=stop_after(opener, 2),
        attendant=attendant,
    )
    first, second = opener.opened
    facts, *rest = attendant.seen
    assert isinstance(facts, Facts)
    assert (facts.people, facts.ledger_entries, len(facts.model or "")) == (0, 0, 16)
    assert rest == [
        *("muted", Announcement.MUTED, first, first),
        *("fault", Announcement.FAULT, "the card was pulled"),
        # The proof that the second one works is a block; then it is still muted.
        *("ready", Announcement.READY, "muted", Announcement.MUTED, second),
    ]


def test_work_that_hangs_is_not_waited_for_at_the_end(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "GRACE_S", 0.05)
    release = threading.Event()

    class Hanging(Attendant):
        def built(self, device: Device, executor: Executor) -> None:
            executor.submit(release.wait)

    opener = Opener(Port(9))
    run(config, opener=opener, stop=stop_after(opener, 5), attendant=Hanging())
    assert not release.is_set()
    release.set()
    open_forwarder(config.forward).close()


def test_it_stops_while_it_waits_for_a_card(config: Config) -> None:
    opener, slept = Opener(Port(3), *[GONE] * 100), []
    run(config, opener=opener, sleep=slept.append, stop=lambda: len(slept) >= 4)
    assert len(slept) == 4
    assert [port.closed for port in opener.opened] == [1]


def test_told_to_stop_at_once_it_opens_and_closes(config: Config) -> None:
    opener = Opener(Port(3))
    run(config, opener=opener, stop=lambda: True)
    assert opener.opened[0].played == []
    assert opener.opened[0].closed == 1


def test_stopped_it_lets_go_of_ledger_memory_and_folder(config: Config) -> None:
    """Or the next start in the same process, as in a test or a demo, would find them taken."""
    for _ in range(2):
        opener = Opener(Port(10))
        run(config, opener=opener, stop=stop_after(opener, 5))
    open_forwarder(config.forward).close()
    remembering(config).close()


def test_an_error_of_another_kind_closes_everything_and_is_not_hidden(config: Config) -> None:
    class Faulty(Port):
        def exchange(self, play: Signal) -> Signal:
            raise ZeroDivisionError

    port = Faulty(1)
    with pytest.raises(ZeroDivisionError):
        run(config, opener=lambda: port)
    assert port.closed == 1
    open_forwarder(config.forward).close()


def test_the_loop_is_told_of_a_break_before_the_caller(config: Config) -> None:
    loop = build(config, executor=InlineExecutor())
    with pytest.raises(StreamBroken):
        drive(loop, Port(5), lambda: False)
    assert loop.state is State.BROKEN
    loop.close()


# Putting a device together


def test_a_device_is_built_from_its_settings(config: Config) -> None:
    loop = build(config, executor=InlineExecutor())
    assert loop.state is State.IDLE
    assert loop.step(np.zeros(BLOCK, np.float32)).shape == (BLOCK,)
    loop.close()
    assert config.ledger.path.exists()
    assert config.keys.path.exists()
    assert config.forward.folder.is_dir()
    assert list(config.memory.folder.iterdir())


def test_the_loop_closes_the_memory_also_one_that_was_passed_in(config: Config) -> None:
    for passed_in in (False, True):
        memory = remembering(config) if passed_in else None
        loop = build(config, executor=InlineExecutor(), memory=memory)
        with pytest.raises(MemoryStoreError, match="another process holds"):
            remembering(config)
        loop.close()
        remembering(config).close()


def test_a_memory_that_is_passed_in_is_used_and_no_file_is_made(config: Config) -> None:
    memory = QueryMemory.open(MemorySettings(folder=None), os.urandom)
    build(config, executor=InlineExecutor(), memory=memory).close()
    assert not config.memory.folder.exists()


def test_without_the_check_no_speaker_model_and_no_vault_is_opened(config: Config) -> None:
    speaker = SpeakerSettings(model=Path("/nowhere"), vault=Path("/dev/null"))
    gate = GateSettings(required=("signal", "nonce", "stale", "memory"))
    config = config.model_copy(update={"speaker": speaker, "gate": gate})
    build(config, executor=InlineExecutor()).close()


def test_a_model_without_a_cohort_is_one_line(config: Config, voices: type[Any]) -> None:
    model = voices()
    model.cohort = model.cohort[:2]
    with pytest.raises(SpeakerModelError, match=r"cannot tell people apart .*: install"):
        build(config, executor=InlineExecutor(), speaker=model)
    remembering(config).close()


def test_who_must_enrol_again_is_counted_and_not_named(
    config: Config, voices: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    model, vault = voices(), Vault(None, lambda: b"")
    vault.add(model.person("Ada", "aaaaaaaa", "another"))
    build(config, executor=InlineExecutor(), speaker=model, vault=vault).close()
    assert "people: 1 must enrol again" in caplog.text
    assert "Ada" not in caplog.text


def test_parts_that_are_passed_in_are_used(config: Config) -> None:
    class Board:
        told: list[Announcement] = []  # noqa: RUF012

        def announce(self, told: Announcement) -> None:
            self.told.append(told)

    board = Board()
    ledger = Ledger.open(config.ledger.path, config.ledger)
    loop = build(config, executor=InlineExecutor(), ledger=ledger, outlets=(board,))
    loop.mute()
    assert board.told == [Announcement.MUTED]
    loop.close()
    with pytest.raises(LedgerError):
        ledger.count()


def test_keys_that_are_passed_in_are_used_and_no_file_is_made(config: Config) -> None:
    class Watched(FixedKeys):
        asked: list[float] = []  # noqa: RUF012

        def remembered(self, now: float) -> Sequence[EpochKey]:
            self.asked.append(now)
            return super().remembered(now)

    keys = Watched(bytes(range(32)))
    build(config, executor=InlineExecutor(), keys=keys, now=lambda: 1.8e9).close()
    assert keys.asked == [1.8e9]
    assert not config.keys.path.exists()


@pytest.mark.parametrize("waveform", ["spread", "bfsk"])
def test_what_is_remembered_are_banks_tones_and_on_demand_codes(
    config: Config, waveform: str
) -> None:
    """Of both kinds, whichever is played now; the newest `search_count` of the tones."""
    nonce = NonceSettings.model_validate({"waveform": waveform, "bfsk": {"search_count": 3}})
    config = config.model_copy(update={"nonce": nonce})
    dice = np.random.default_rng(0)
    keys = FixedKeys(bytes(range(32)))
    sources = [Source(NonceSettings(waveform=kind), keys) for kind in ("bfsk", "spread")]
    with Ledger.open(config.ledger.path, config.ledger) as ledger:
        for number in range(10):
            carrier = sources[number % 2].draw(dice.bytes, 1.8e9)
            fields = (carrier.payload, carrier.hop_key, carrier.waveform, 12)
            ledger.record(Issue(f"{number:032x}", "hall", "door", 1.8e9 + number, *fields))
        memory = daemon._remembered(config, sources[1], ledger, 1.8e9)
        assert [issue.session[-1] for issue in memory.tones] == ["8", "6", "4"]
        current, before = memory.banks
        assert current.epoch == before.epoch + 1
        assert [issue.session[-1] for issue in memory.coded(current)] == list("97531")
        assert list(memory.coded(before)) == []


def test_the_inline_executor_gives_finished_futures() -> None:
    executor = InlineExecutor()
    done = executor.submit(divmod, 7, 2)
    assert isinstance(done, Future)
    assert (done.done(), done.result()) == (True, (3, 1))
    failed = executor.submit(divmod, 1, 0)
    assert failed.done()
    with pytest.raises(ZeroDivisionError):
        failed.result()


# What cannot work is one clear line at the start


def write(tmp_path: Path, **settings: Any) -> Path:
    tree: dict[str, Any] = {
        "ledger": {"path": str(tmp_path / "ledger.sqlite")},
        "keys": {"path": str(tmp_path / "keys.json")},
        "memory": {"folder": str(tmp_path / "memory")},
        "speaker": {
            "model": str(Path(__file__).parent / "speaker/data/tiny"),
            "vault": str(tmp_path / "people.vault"),
            "key_file": str(tmp_path / "people.key"),
        },
        "forward": {"folder": str(tmp_path / "commands")},
        "wake": {"kind": "button"},
        "audio": {"kind": "wav", "wav_in": str(tmp_path / "in.wav")},
        "control": {"path": str(tmp_path / "control.sock"), "mute_file": str(tmp_path / "muted")},
    }
    for name, section in settings.items():
        tree[name] = tree.get(name, {}) | section
    file = tmp_path / "earmark.yaml"
    file.write_text(yaml.safe_dump(tree))
    soundfile.write(tmp_path / "in.wav", np.zeros(3 * BLOCK), 16_000)
    return file


@pytest.fixture
def start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path], str]:
    """`earmark run --config FILE` must end with exit code 2 and one line; that line."""

    def fails(file: Path) -> str:
        monkeypatch.setattr(sys, "argv", ["earmark", "run", "--config", str(file)])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == 2
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("earmark: ")
        return err

    return fails


def test_a_file_is_heard_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from earmark.config import load

    run(load(write(tmp_path)))


def test_a_recording_of_another_rate(tmp_path: Path, start: Callable[[Path], str]) -> None:
    file = write(tmp_path)
    soundfile.write(tmp_path / "in.wav", np.zeros(1000), 44_100)
    line = start(file)
    assert "44100 Hz" in line
    assert "ffmpeg" in line


def test_a_recording_that_is_not_there(tmp_path: Path, start: Callable[[Path], str]) -> None:
    line = start(write(tmp_path, audio={"wav_in": str(tmp_path / "no.wav")}))
    assert "no.wav does not exist" in line


def test_a_ledger_that_is_none(tmp_path: Path, start: Callable[[Path], str]) -> None:
    file = write(tmp_path)
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, but long enough to be one" * 100)
    line = start(file)
    assert "ledger.sqlite" in line
    assert "move the file away" in line


def test_a_ledger_that_may_not_be_read(nobodys_home: Path, start: Callable[[Path], str]) -> None:
    closed = nobodys_home / "closed"
    closed.mkdir(mode=0o000)
    file = write(nobodys_home, ledger={"path": str(closed / "ledger.sqlite")})
    line = start(file)
    closed.chmod(0o700)
    assert "ledger.sqlite" in line
    assert "ermission" in line or "cannot be" in line


def test_a_ledger_that_is_a_folder(tmp_path: Path, start: Callable[[Path], str]) -> None:
    line = start(write(tmp_path, ledger={"path": str(tmp_path)}))
    assert "the ledger is a folder: set ledger.path to a file" in line


def test_keys_that_are_none(tmp_path: Path, start: Callable[[Path], str]) -> None:
    file = write(tmp_path)
    (tmp_path / "keys.json").write_text("no keys")
    assert "keys.json" in start(file)


def test_keys_that_cannot_be_made(tmp_path: Path, start: Callable[[Path], str]) -> None:
    (tmp_path / "file").write_text("")
    assert "keys" in start(write(tmp_path, keys={"path": str(tmp_path / "file" / "keys.json")}))


def test_a_query_memory_that_is_none(tmp_path: Path, start: Callable[[Path], str]) -> None:
    file = write(tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "neighbours-1.log").write_bytes(b"no log, though long enough" * 100)
    line = start(file)
    assert "neighbours-1.log: the file is no query memory" in line
    assert "move the file away" in line


def test_a_query_memory_that_another_daemon_holds(
    tmp_path: Path, start: Callable[[Path], str], config: Config
) -> None:
    with closing(remembering(config)):
        line = start(write(tmp_path))
    assert "another process holds the query memory: stop the daemon first" in line


def test_a_speaker_model_that_is_not_there(tmp_path: Path, start: Callable[[Path], str]) -> None:
    line = start(write(tmp_path, speaker={"model": str(tmp_path)}))
    assert "speaker.json cannot be read" in line


def test_a_speaker_model_that_was_altered(tmp_path: Path, start: Callable[[Path], str]) -> None:
    copy = tmp_path / "model"
    shutil.copytree(Path(__file__).parent / "speaker/data/tiny", copy)
    content = bytearray((copy / "speaker.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (copy / "speaker.tflite").write_bytes(content)
    assert "speaker.tflite was altered" in start(write(tmp_path, speaker={"model": str(copy)}))


def test_a_vault_that_was_altered(tmp_path: Path, start: Callable[[Path], str]) -> None:
    (tmp_path / "people.vault").write_bytes(b"no vault, though long enough" * 100)
    create_key(tmp_path / "people.key")
    line = start(write(tmp_path))
    assert "people.vault: the file is no people's vault" in line


def test_people_without_their_key(
    tmp_path: Path, start: Callable[[Path], str], voices: type[Any], config: Config
) -> None:
    create_key(tmp_path / "people.key")
    Vault.of(config.speaker, {}).add(voices().person("Ada", "aaaaaaaa"))
    (tmp_path / "people.key").unlink()
    assert "the key of the people's vault is not here" in start(write(tmp_path))


def test_a_missing_sound_card(
    tmp_path: Path, start: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise AudioError("no sound card matches 'Jabra'", "plug it in or change audio.device")

    monkeypatch.setattr(daemon, "open_port", missing)
    line = start(write(tmp_path, audio={"kind": "sounddevice", "device": "Jabra"}))
    assert line == ("earmark: no sound card matches 'Jabra': plug it in or change audio.device\n")


def test_a_folder_that_others_may_read(tmp_path: Path, start: Callable[[Path], str]) -> None:
    (tmp_path / "commands").mkdir(mode=0o755)
    (tmp_path / "commands").chmod(0o755)
    assert "chmod 700" in start(write(tmp_path))


def test_an_unknown_wake_word(tmp_path: Path, start: Callable[[Path], str]) -> None:
    line = start(write(tmp_path, wake={"kind": "micro", "model": "computer"}))
    assert "alexa" in line


def test_an_unknown_setting(tmp_path: Path, start: Callable[[Path], str]) -> None:
    line = start(write(tmp_path, nonce={"bfsk": {"chanels": 8}}))
    assert "did you mean nonce.bfsk.channels?" in line


@pytest.mark.parametrize("name", ["00001111", "a\tb"])
def test_a_name_that_the_journal_cannot_write(
    tmp_path: Path, start: Callable[[Path], str], name: str
) -> None:
    line = start(write(tmp_path, device={"name": name}))
    assert "device.name or device.room" in line


def test_a_failed_start_leaves_nothing_open(config: Config) -> None:
    config.ledger.path.write_bytes(b"no database at all, though long enough" * 100)
    port = Port(5)
    with pytest.raises(EarmarkError, match="no SQLite database"):
        run(config, opener=lambda: port)
    assert port.closed == 1
    assert port.played == [], "nothing was heard"
    open_forwarder(config.forward).close()


def test_keys_that_fail_at_the_start_leave_nothing_open(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FixedKeys):
        def remembered(self, now: float) -> Sequence[EpochKey]:
            raise KeyringError("the keys cannot be read", "restore them")

    opened: list[Ledger] = []
    real = Ledger.open

    def watched(*how: Any) -> Ledger:
        opened.append(real(*how))
        return opened[-1]

    monkeypatch.setattr(Ledger, "open", watched)
    with pytest.raises(KeyringError):
        build(config, executor=InlineExecutor(), keys=Broken(bytes(32)))
    open_forwarder(config.forward).close()
    remembering(config).close()
    with pytest.raises(LedgerError, match="closed"):
        opened[0].count()
