"""Draws the session machine from its tables, as Mermaid text, and keeps the docs current.

    python -m earmark.session.diagram            print the block
    python -m earmark.session.diagram --write    put it into device/README.md

The only file in this folder that touches a disk, and no part of what runs on the device.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from earmark.session.actions import Action
from earmark.session.events import Decision, Heard, Muted, StreamFailed
from earmark.session.machine import (
    HOLDS,
    LOCK_LENGTH,
    TIMERS,
    TRANSITIONS,
    Key,
    State,
    Transition,
)

BEGIN = "<!-- session-diagram:begin -->"
END = "<!-- session-diagram:end -->"

README = Path(__file__).resolve().parents[2] / "README.md"
"""The README of the device's source root, where the block lives in a clone."""

_ANYWHERE = (Muted, StreamFailed)
"""Events that end every state alike; drawn once, as they would cover the picture."""

_ENTRY = "home"
"""Name of the node where a move to IDLE asks the holds."""


def _label(state: State, key: Key) -> str:
    """How an arrow is named: the event, and for a time-out what it waits for."""
    if isinstance(key, Decision):
        return f"Judged({key.name})"
    for timer in TIMERS.get(state, ()):
        if timer.fires is key:
            limit = "lock is over" if timer.limit == LOCK_LENGTH else timer.limit
            return f"{key.__name__} ({limit})"
    return key.__name__


def _node(state: State) -> str:
    return _ENTRY if state is State.IDLE else state.name


def mermaid() -> str:
    """The diagram as Mermaid text (``stateDiagram-v2``, which GitHub renders)."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, rows in TRANSITIONS.items():
        for key, row in rows.items():
            if key not in _ANYWHERE and row.to is not state:
                arrows.setdefault((state.name, _node(row.to)), []).append(_label(state, key))
    lines = ["stateDiagram-v2", f"    state {_ENTRY} <<choice>>", f"    [*] --> {State.IDLE.name}"]
    for (source, target), labels in arrows.items():
        # One arrow a pair: a browser lays parallel arrows over one another.
        lines.append(f"    {source} --> {target}: {' / '.join(labels)}")
    for state in HOLDS:
        lines.append(f"    {_ENTRY} --> {state.name}: {state.value}")
    lines.append(f"    {_ENTRY} --> {State.IDLE.name}: otherwise")
    for key in _ANYWHERE:
        lines += _from_anywhere(key)
    return "\n".join(lines)


def _from_anywhere(key: type[Muted | StreamFailed]) -> list[str]:
    """A note at the state that `key` leads to, naming the states in which it does not."""
    targets = {rows[key].to for state, rows in TRANSITIONS.items() if rows[key].to is not state}
    lines = []
    for target in targets:
        stays = [s.name for s, rows in TRANSITIONS.items() if s is not target and rows[key].to is s]
        but = f" (but {', '.join(stays)})" if stays else ""
        lines.append(f"    note right of {target.name}: from every state{but} by {key.__name__}")
    return lines


def _actions(actions: tuple[Action, ...]) -> str:
    return ", ".join(f"`{action}`" for action in actions)


def table() -> str:
    """Every row that does something, as a Markdown table."""
    lines = ["| State | Event | Next | Actions | Counts as |", "|---|---|---|---|---|"]
    for state, rows in TRANSITIONS.items():
        for key, row in rows.items():
            if row != Transition(state):
                tally = row.tally.value if row.tally else ""
                cells = [state.name, _label(state, key), row.to.name, _actions(row.actions), tally]
                lines.append("| " + " | ".join(cells) + " |")
    for state, actions in HOLDS.items():
        lines.append(
            f"| any | to IDLE, while {state.value} | {state.name} | {_actions(actions)} | |"
        )
    return "\n".join(lines)


def without_effect() -> str:
    """For each state the events that move nothing there, as a Markdown list."""
    lines = []
    for state, rows in TRANSITIONS.items():
        keys = [k for k, row in rows.items() if row == Transition(state) and k is not Heard]
        names = ", ".join(_label(state, key) for key in keys)
        lines.append(f"- {state.name}: {names}")
    return "\n".join(lines)


def block() -> str:
    """The whole block, markers included."""
    return "\n".join(
        [
            BEGIN,
            "<!-- made by `python -m earmark.session.diagram --write`; do not edit by hand -->",
            "```mermaid",
            mermaid(),
            "```",
            "",
            "<details><summary>Every row of the table</summary>",
            "",
            table(),
            "",
            "Allowed to come, but moving nothing (`SpeechStarted` also stops the timer for "
            "silence); with `Heard`, all that is left is an illegal move:",
            "",
            without_effect(),
            "",
            "</details>",
            END,
        ]
    )


def replaced(text: str) -> str:
    """`text` with the block between its markers replaced by the present one.

    Raises
    ------
    ValueError
        The markers are missing, doubled or in the wrong order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected one {BEGIN} and after it one {END}")
    before, rest = text.split(BEGIN)
    return before + block() + rest.split(END)[1]


def main(arguments: list[str] | None = None) -> int:
    """Print the block, or write it into a README; the exit code is 1 when that fails."""
    parser = argparse.ArgumentParser(prog="earmark.session.diagram", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="replace the block in the file")
    parser.add_argument("--file", type=Path, default=README, help="the file (%(default)s)")
    options = parser.parse_args(arguments)
    if not options.write:
        print(block())
        return 0
    try:
        options.file.write_text(replaced(options.file.read_text("utf-8")), "utf-8")
    except (OSError, ValueError) as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
