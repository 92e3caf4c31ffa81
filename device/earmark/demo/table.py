"""The evening as a table for a terminal, a pipe or a file of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from earmark.demo import words
from earmark.demo.evening import SceneResult
from earmark.gate import Decision

_STYLE = {Decision.ALLOW: "green", Decision.RETRY: "yellow", Decision.REJECT: "red"}

_SYMBOL = {Decision.ALLOW: "✓", Decision.RETRY: "↻", Decision.REJECT: "✗"}
_ASCII = {Decision.ALLOW: "+", Decision.RETRY: "~", Decision.REJECT: "x"}


def table(results: Sequence[SceneResult], console: Console) -> Table:
    """A row a scene: what was expected, what came of it and why.

    The verdict is a symbol and a word, so that it can be read without its colour.
    """
    symbols = _SYMBOL if console.encoding.lower().startswith("utf") else _ASCII
    shown = Table(
        box=box.HORIZONTALS,
        show_lines=True,
        show_edge=False,
        padding=(0, 1, 0, 0),
        caption="Delay: from the end of the command to the verdict. CPU: time of the decision.",
        caption_justify="left",
    )
    shown.add_column("Time", no_wrap=True, min_width=5)
    shown.add_column("Scene", min_width=16)
    shown.add_column("Expected", no_wrap=True, min_width=8)
    shown.add_column("Verdict", min_width=8)
    shown.add_column("Why", min_width=16)
    shown.add_column("Delay", justify="right", no_wrap=True, min_width=6)
    shown.add_column("CPU", justify="right", no_wrap=True, min_width=5)
    for result in results:
        shown.add_row(
            words.clock(result.began_unix_s),
            Text.assemble(
                (result.scene.name, "bold"),
                f"\n{result.scene.title}",
                (f" ({words.place(result.scene.room)})", "dim"),
            ),
            _verdict(result.expected.decision, symbols),
            _verdict(result.decision, symbols, result.as_expected),
            Text.assemble(
                _sentence(words.reason(result)),
                *(() if result.as_expected else _missed(result)),
                (f"\n{words.detail(result)}", "dim"),
            ),
            "-" if result.latency_s is None else f"{result.latency_s:.2f} s",
            f"{1e3 * result.decision_cpu_s:.0f} ms" if result.findings else "-",
        )
    return shown


def summary(results: Sequence[SceneResult], took_s: float) -> Text:
    """One line on all of them."""
    right = sum(result.as_expected for result in results)
    audio_s = sum(result.audio_s for result in results)
    return Text.assemble(
        (
            f"{right} of {len(results)} scenes ended as expected",
            "bold green" if right == len(results) else "bold red",
        ),
        f" ({audio_s:.0f} s of audio in {took_s:.1f} s; the rooms and the time of day are "
        "simulated).",
    )


def _verdict(decision: Decision | None, symbols: dict[Decision, str], right: bool = True) -> Text:
    if decision is None:
        return Text("none", "red")
    shown = Text(f"{symbols[decision]} {decision.value}", f"bold {_STYLE[decision]}")
    return shown if right else shown.append("\nnot as expected", "red")


def _missed(result: SceneResult) -> tuple[tuple[str, str], ...]:
    """What was expected instead."""
    instead = words.REASONS[result.expected.reason]
    where = result.expected.recorded_in
    named = f", naming the {words.place(where)}" if where else ""
    return ((f"\nexpected: {instead}{named}", "red"),)


def _sentence(clause: str) -> str:
    """With a capital; names keep theirs."""
    return clause[:1].upper() + clause[1:]
