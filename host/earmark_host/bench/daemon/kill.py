"""`kill -9` at random moments: is what was on the disk still there, and whole?

A device holds sessions in a process of its own while people are enrolled and forgotten beside it.
It is killed, what it left is looked at, and the next one goes on with it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

from earmark.config import Config
from earmark.errors import EarmarkError
from earmark.memory.query_memory import NEIGHBOURS_FILE, QueryMemory
from earmark.memory.store import QueryStore
from earmark.nonce import KeyRing, Ledger
from earmark.speaker import Person, Vault
from earmark_host.bench.daemon import household, victim
from earmark_host.bench.daemon.theatre import Pace, Play
from earmark_host.bench.daemon.victim import Line, Said
from earmark_host.bench.report import Metric, Row

LONGEST_LIFE_S = 6.0
"""Longest life after its start, s: a session takes one to two at the pace of the processor."""

START_S = 120.0
"""Longest start, s: 1 measured."""

FILES = ("ledger", "memory", "voiceprints", "keys", "commands")
"""What is looked at."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    kills : lives that end so.
    """

    kills: int


FULL, QUICK = Plan(200), Plan(5)


@dataclass
class Known:
    """What must be on the disk, by what the lives have told; it grows from life to life.

    Parameters
    ----------
    issued, sent : sessions.
    held : queries and clusters of the memory when it was told last.
    visitors : states that the vault may be in: ids of visitors.
    """

    issued: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    held: tuple[int, int] = (0, 0)
    visitors: set[str] = field(default_factory=set)

    def learn(self, lines: Sequence[Line]) -> None:
        """Take in what a life has told."""
        for line in lines:
            if line.said is Said.ISSUED:
                self.issued.add(line.what)
            elif line.said is Said.SENT:
                self.sent.add(line.what)
            elif line.said is Said.REMEMBERED:
                self.held = line.what
            elif line.said in (Said.CAME, Said.LEFT):
                self.visitors = {line.what} if line.said is Said.CAME else set()


@dataclass(frozen=True)
class Life:
    """One life and what it left.

    Parameters
    ----------
    lines : what it told.
    damage : by file, what is wrong with it; empty where all is as it must be.
    """

    lines: tuple[Line, ...]
    damage: dict[str, str]


def run(
    folder: Path, data: Path | None, seed: int, plan: Plan, console: Console | None = None
) -> tuple[list[Metric], dict[str, list[Row]]]:
    """Live and kill.

    Parameters
    ----------
    data : the corpus; None for the demo's sentences.

    Raises
    ------
    EarmarkError
        A device did not start: what a kill left behind stops it, or it could not work before.
    """
    lives = killed(folder, data, seed, plan, console)
    return figures(lives)


def killed(
    folder: Path, data: Path | None, seed: int, plan: Plan, console: Console | None = None
) -> list[Life]:
    """The lives of a plan."""
    rng = np.random.default_rng([seed, *b"kill"])
    family = household.settle(folder, seed)
    settings = victim.config(folder)
    secret = KeyRing.open(settings.keys.path, settings.keys).current(time.time()).secret_id
    known, lives = Known(), []
    # Forked from a process that has loaded all and opened nothing: a start takes a second then.
    context = get_context("forkserver")
    context.set_forkserver_preload(["earmark_host.bench.daemon.victim"])
    for number in range(plan.kills):
        play = Play(folder, data, seed + number, Pace.FAST, 10**9)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=victim.live, args=(play, number, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            first = ours.recv() if ours.poll(START_S) else None
            time.sleep(float(rng.uniform(0.0, LONGEST_LIFE_S)))
        except EOFError:
            first = None
        finally:
            process.kill()
            process.join()
        if first is None:
            raise EarmarkError(f"life {number} did not start", "see what it printed")
        lines = (first, *_rest(ours))
        ours.close()
        known.learn(lines)
        lives.append(Life(lines, damage(settings, family, secret, known)))
        if console is not None and (number + 1) % 20 == 0:
            broken = sum(bool(life.damage) for life in lives)
            console.print(f"kill: {number + 1} of {plan.kills}, {broken} left damage")
    return lives


def _rest(pipe: Connection) -> list[Line]:
    """What was told before the end; the last line may be cut off."""
    lines: list[Line] = []
    while True:
        try:
            lines.append(pipe.recv())
        except (EOFError, OSError):
            return lines


# -- what was left -----------------------------------------------------------------------------


def damage(settings: Config, family: Sequence[Person], secret: str, known: Known) -> dict[str, str]:
    """What is not as it must be, by file. What was under way may have come to pass or not."""
    looks: dict[str, Callable[[], str]] = {
        "ledger": lambda: _ledger(settings, known),
        "memory": lambda: _memory(settings, known),
        "voiceprints": lambda: _voiceprints(settings, family, known),
        "keys": lambda: _keys(settings, secret),
        "commands": lambda: _commands(settings, known),
    }
    found: dict[str, str] = {}
    for name, look in looks.items():
        try:
            wrong = look()
        except (EarmarkError, OSError, ValueError, KeyError, soundfile.SoundFileError) as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            found[name] = wrong
    return found


def _ledger(settings: Config, known: Known) -> str:
    path = settings.ledger.path
    count = Ledger.examined(path)
    with Ledger.open(path, settings.ledger) as ledger:
        there = {issue.session for issue in ledger.recent(count)}
    lost = known.issued - there
    known.issued |= there  # what was written and not told yet must stay from now on
    return f"{len(lost)} of {len(known.issued)} nonces are gone" if lost else ""


def _memory(settings: Config, known: Known) -> str:
    memory = QueryMemory.open(settings.memory, np.random.default_rng(0).bytes)
    stretches = memory.damage.stretches
    memory.close()
    assert settings.memory.folder is not None  # see the household
    neighbours = settings.memory.neighbours
    path = settings.memory.folder / NEIGHBOURS_FILE
    with QueryStore.open(path, neighbours.last, neighbours.max_clusters) as store:
        held = len(store), len(store.clusters())
    told, known.held = known.held, held
    if stretches:
        return f"{stretches} stretches were damaged"
    # One command at most was being taken in.
    whole = all(0 <= now - before <= 1 for now, before in zip(held, told, strict=True))
    return "" if whole else f"holds {held}, held {told}"


def _voiceprints(settings: Config, family: Sequence[Person], known: Known) -> str:
    people = Vault.of(settings.speaker, environ={}).people
    at_home, others = people[: len(family)], people[len(family) :]
    same = len(at_home) == len(family) and all(
        one.id == other.id and np.array_equal(one.phrases, other.phrases)
        for one, other in zip(at_home, family, strict=True)
    )
    if not same:
        return "somebody of the family is not as enrolled"
    before, now = known.visitors, {one.id for one in others}
    known.visitors = now
    # One change at most was under way: a visitor more or less, never one in another's place.
    return "" if len(now) <= 1 and (not before or now <= before) else f"{now} after {before}"


def _keys(settings: Config, secret: str) -> str:
    now = KeyRing.open(settings.keys.path, settings.keys).current(time.time()).secret_id
    return "" if now == secret else "the household's secret is another one"


def _commands(settings: Config, known: Known) -> str:
    index = settings.forward.folder / "commands.jsonl"
    there: set[str] = set()
    lines = index.read_text(encoding="utf-8").split("\n") if index.exists() else [""]
    for line in lines[:-1]:  # what stands after the last line end was being written
        entry = json.loads(line)
        if soundfile.info(index.parent / entry["file"]).frames == 0:
            return "a command has no sound"
        there.add(entry["session"])
    lost = known.sent - there
    known.sent |= there
    return f"{len(lost)} of {len(known.sent)} commands are gone" if lost else ""


# -- figures -----------------------------------------------------------------------------------


def figures(lives: Sequence[Life]) -> tuple[list[Metric], dict[str, list[Row]]]:
    """What was left, and when they were killed."""
    metrics = [
        Metric.share(f"kill_damaged_{name}", sum(name in life.damage for life in lives), len(lives))
        for name in FILES
    ]
    told = Counter(line.said for life in lives for line in life.lines)
    last = Counter(_last(life.lines).value for life in lives)
    tables: dict[str, list[Row]] = {
        "killed_after": [{"last": name, "n": count} for name, count in last.most_common()],
        "kill_told": [{"what": said.value, "n": told[said]} for said in Said],
    }
    wrong = [
        {"life": number, "file": name, "what": what}
        for number, life in enumerate(lives)
        for name, what in life.damage.items()
    ]
    return metrics, {**tables, "kill_damage": wrong} if wrong else tables


def _last(lines: Sequence[Line]) -> Said:
    """The last thing that the sessions did; visitors come and go all the time."""
    of_sessions = [line.said for line in lines if line.said not in (Said.CAME, Said.LEFT)]
    return of_sessions[-1]
