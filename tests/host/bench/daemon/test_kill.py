"""A device that is killed at random moments, and a look that sees what a kill could do."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from earmark.config import Config
from earmark.demo.clips import load_clips
from earmark.memory import QueryMemory
from earmark.memory.query_memory import NEIGHBOURS_FILE
from earmark.memory.store import QueryStore
from earmark.nonce import KeyRing
from earmark.speaker import Person, Vault
from earmark_host.bench.daemon import household, kill, victim
from earmark_host.bench.daemon.kill import FILES, Known, Life, Plan, damage, figures, killed
from earmark_host.bench.daemon.victim import Line, Said

KILLS = 20
"""Two hundred are `earmark-host bench daemon --only kill`."""


@dataclass
class Left:
    """What the lives left, and what must be there."""

    lives: list[Life]
    settings: Config
    family: tuple[Person, ...]
    secret: str
    known: Known


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Left:
    folder = tmp_path_factory.mktemp("kill")
    with pytest.MonkeyPatch.context() as patch:
        # Short lives: most die in their first session or before it.
        patch.setattr(kill, "LONGEST_LIFE_S", 2.0)
        lives = killed(folder, None, seed=5, plan=Plan(KILLS))
    settings = victim.config(folder)
    known = Known()
    for life in lives:
        known.learn(life.lines)
    vault = Vault.of(settings.speaker, environ={})
    known.visitors = {one.id for one in vault.people[household.FAMILY :]}
    secret = KeyRing.open(settings.keys.path, settings.keys).current(1.8e9).secret_id
    family = tuple(vault.people[: household.FAMILY])
    damage(settings, family, secret, known)  # learns what was written and not told any more
    return Left(lives, settings, family, secret, known)


def test_nothing_is_lost_or_damaged(left: Left) -> None:
    assert len(left.lives) == KILLS
    assert [life.damage for life in left.lives] == [{}] * KILLS


def test_they_were_killed_at_work(left: Left) -> None:
    """Else nothing was shown."""
    told = [line.said for life in left.lives for line in life.lines]
    assert told.count(Said.READY) == KILLS
    assert told.count(Said.ISSUED) >= KILLS // 4
    assert told.count(Said.CAME) >= KILLS
    assert len(left.known.issued) >= told.count(Said.ISSUED)


def look(left: Left, folder: Path) -> dict[str, str]:
    """Look at a copy of what was left, after something was done to it."""
    known = replace(left.known, issued=set(left.known.issued), sent=set(left.known.sent))
    tree = left.settings.model_dump_json().replace(
        str(left.settings.ledger.path.parent), str(folder)
    )
    return damage(Config.model_validate_json(tree), left.family, left.secret, known)


@pytest.fixture
def copy(left: Left, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(left.settings.ledger.path.parent, folder)
    return folder


def test_a_copy_is_as_good(left: Left, copy: Path) -> None:
    assert look(left, copy) == {}


def test_a_nonce_that_is_gone_is_seen(left: Left, copy: Path) -> None:
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as database, database:
        database.execute("DELETE FROM issue WHERE rowid = (SELECT max(rowid) FROM issue)")
    assert look(left, copy) == {"ledger": f"1 of {len(left.known.issued)} nonces are gone"}


def test_a_ledger_that_is_torn_is_seen(left: Left, copy: Path) -> None:
    file = copy / "ledger.sqlite"
    for beside in copy.glob("ledger.sqlite-*"):
        beside.unlink()
    raw = bytearray(file.read_bytes())
    raw[5000 : len(raw)] = bytes(len(raw) - 5000)
    file.write_bytes(raw)
    assert "ledger" in look(left, copy)


def test_a_voiceprint_that_is_changed_is_seen(left: Left, copy: Path) -> None:
    file = copy / "people.vault"
    raw = bytearray(file.read_bytes())
    raw[-40] ^= 1
    file.write_bytes(raw)
    assert set(look(left, copy)) == {"voiceprints"}


def test_somebody_else_in_the_family_is_seen(left: Left, copy: Path) -> None:
    settings = left.settings.speaker.model_copy(
        update={"vault": copy / "people.vault", "key_file": copy / "people.key"}
    )
    vault = Vault.of(settings, environ={})
    first = vault.people[0]
    vault.delete(first.id)
    vault.add(replace(first, phrases=np.roll(first.phrases, 1, axis=1)))
    assert set(look(left, copy)) == {"voiceprints"}


def test_another_secret_is_seen(left: Left, copy: Path) -> None:
    (copy / "keys.json").unlink()
    assert set(look(left, copy)) == {"keys"}


def test_a_memory_that_is_torn_or_gone_is_seen(
    left: Left, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = left.settings.memory.model_copy(update={"folder": copy / "memory"})
    memory = QueryMemory.open(settings, bytes)
    memory.examine(load_clips().command("bread").signal, 1.8e9)
    memory.close()
    file = copy / "memory" / NEIGHBOURS_FILE
    with QueryStore.open(file, 1000, 64) as store:
        held = len(store), len(store.clusters())
    monkeypatch.setattr(left.known, "held", held)
    assert look(left, copy) == {}
    whole = file.read_bytes()
    file.write_bytes(whole[:-3])
    assert look(left, copy) == {"memory": "1 stretches were damaged"}
    file.unlink()
    assert look(left, copy) == {"memory": f"holds (0, 0), held {held}"}


def test_a_command_that_is_gone_or_empty_is_seen(left: Left, copy: Path) -> None:
    known = replace(left.known, sent={"a" * 32})
    folder = copy / "commands"
    folder.mkdir(exist_ok=True)
    index = folder / "commands.jsonl"
    tree = left.settings.model_dump_json().replace(str(left.settings.ledger.path.parent), str(copy))
    settings = Config.model_validate_json(tree)
    found = damage(settings, left.family, left.secret, known)
    assert found["commands"].endswith("commands are gone")
    with index.open("a") as file:
        file.write(json.dumps({"session": "b" * 32, "file": "none.wav"}) + "\n")
    assert "commands" in damage(settings, left.family, left.secret, Known())


def test_the_figures_name_what_was_damaged() -> None:
    lines = (Line(Said.READY), Line(Said.CAME, "x"), Line(Said.ISSUED, "s"), Line(Said.LEFT, "x"))
    metrics, tables = figures([Life(lines, {}), Life(lines, {"memory": "torn"})])
    by_name = {metric.name: metric.value for metric in metrics}
    assert by_name == {f"kill_damaged_{name}": 0.5 * (name == "memory") for name in FILES}
    assert tables["killed_after"] == [{"last": "issued", "n": 2}]
    assert tables["kill_damage"] == [{"life": 1, "file": "memory", "what": "torn"}]
