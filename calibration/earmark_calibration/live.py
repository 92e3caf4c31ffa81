"""What the technician sees while a calibration runs: the part, its progress, and a level meter."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from earmark.doctor import Found, Grade
from earmark_calibration.declared import Outcome
from earmark_calibration.measure import Progress
from earmark_calibration.record import Record

METER_DBFS = (-80.0, 0.0)
"""Range of the level meter, dBFS: from the noise of a good microphone to full scale."""

METER_CHARS = 32
"""Its length: it fits a phone's terminal with the figures beside it."""

PHASES = {
    "preflight": "Looking at the device",
    "measure": "Measuring: please be quiet, and stay where you are",
    "choose": "Choosing the nonce: it computes, you may talk",
    "play": "Playing what was chosen: please be quiet again",
    "thresholds": "Setting the thresholds",
    "sign off": "Writing the settings",
    "report": "Writing the report",
}
"""What a part of the run is called; and whether people may talk."""

_GRADES = {Grade.OK: "ok  ", Grade.WARN: "warn", Grade.FAIL: "FAIL"}
_OUTCOMES = {Outcome.PASS: "pass", Outcome.MARGINAL: "marginal", Outcome.FAIL: "FAIL"}


class Screen:
    """Shows a run on a terminal; on anything else it prints a line for each part.

    Parameters
    ----------
    console : to show it on; standard error, so that standard output stays for JSON.
    yes : the settings are written without asking.
    quiet : show nothing.
    """

    def __init__(self, console: Console, *, yes: bool, quiet: bool = False) -> None:
        self._console = console
        self._yes = yes
        self._quiet = quiet
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live = Live(console=self._console, refresh_per_second=10, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def phase(self, name: str) -> None:
        """Say which part begins."""
        if not self._quiet:
            self._console.print(PHASES.get(name, name))

    def meter(self, progress: Progress) -> None:
        """Show the level of the last 0.1 s."""
        if self._live is not None:
            self._live.update(_metered(progress))

    def worked(self, what: str, done: float) -> None:
        """Show how far a part without sound is."""
        if self._live is not None:
            bar = _bar(done)
            self._live.update(Text(f"  {bar} {100.0 * done:3.0f} %  {what}"))

    def found(self, findings: list[Found]) -> None:
        """Show what the preflight found, what is not well first."""
        if self._quiet:
            return
        for one in sorted(findings, key=lambda one: list(Grade).index(one.grade), reverse=True):
            self._console.print(f"  {_GRADES[one.grade]}  {one.name}: {one.found}", markup=False)
            if one.do:
                self._console.print(f"        -> {one.do}", markup=False)

    def agree(self, record: Record) -> bool:
        """Show the changes, and ask whether to write them."""
        self._stop()
        if not self._quiet:
            self._console.print(changed(record))
        if self._yes or not sys.stdin.isatty():
            return self._yes  # nobody is there to agree
        return typer.confirm("Write these settings to the device?", err=True)

    def summary(self, record: Record) -> None:
        """Show how it ended."""
        if self._quiet:
            return
        self._console.print(measured(record))
        for fault in record.faults:
            self._console.print(f"FAULT  {fault.kind.value}: {fault.advice}", markup=False)
        if record.choice is not None:
            self._console.print(record.choice.sentence, markup=False)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def changed(record: Record) -> Table:
    """Before and after."""
    table = Table("setting", "before", "after")
    for change in record.settings:
        table.add_row(change.key, _shown(change.before), _shown(change.after))
    return table


def measured(record: Record) -> Table:
    """Every measurement with its limits; words, not colours, say what it means."""
    table = Table("measurement", "value", "limits", "outcome", "what to do")
    for one in record.measurements:
        value = "not measured" if one.value is None else f"{one.value:.4g} {one.unit}".strip()
        low = "" if one.pass_low is None else f"{one.pass_low:g}"
        high = "" if one.pass_high is None else f"{one.pass_high:g}"
        limits = f"{low} to {high}".strip() if low or high else ""
        table.add_row(one.name, value, limits, _OUTCOMES[one.outcome], one.advice)
    return table


def _metered(progress: Progress) -> Text:
    low, high = METER_DBFS
    bar = _bar((progress.level_dbfs - low) / (high - low))
    warning = "  CLIPS" if progress.clipped else ""
    return Text(
        f"  {bar} {progress.level_dbfs:6.1f} dBFS{warning}  {progress.what} "
        f"{progress.done_s:.0f}/{progress.of_s:.0f} s"
    )


def _bar(share: float) -> str:
    filled = round(METER_CHARS * min(1.0, max(0.0, share)))
    return "#" * filled + "." * (METER_CHARS - filled)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "-" if value is None else str(value)
