"""The fleet as a page: the same rules as for a report."""

from __future__ import annotations

from dataclasses import dataclass

from earmark_calibration.report import fleets as core
from earmark_calibration.report import words
from earmark_calibration.report.page import render
from earmark_calibration.report.svg import Chart, Line, Mark

MOST_CHARTS = 24
"""Charts of drifts on a page, of the devices to look at first."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drift with its chart."""

    key: str
    chart: Chart
    says: str


def fleet_page(found: core.Fleet) -> str:
    """The HTML page of a fleet: one file, no network, no script."""
    return render(
        "fleet.html.jinja",
        found=found,
        shown=found.units[: core.MOST_TEXT_ROWS],
        unread=found.unread[: core.MOST_TEXT_ROWS],
        left_out=core.left_out(found),
        summary=core.summary(found),
        told=core.told,
        drifts=_drifts(found),
        chance=core.FALSE_OUTLIERS,
        least=core.MIN_DEVICES,
    )


def _drifts(found: core.Fleet) -> list[Drawn]:
    made: list[Drawn] = []
    for unit in found.units:
        for finding in unit.findings:
            if finding.why is not core.Why.DRIFT or len(made) == MOST_CHARTS:
                continue
            days, values = core.series(unit.entries, finding.name, finding.unit)
            share = 100.0 if finding.unit == "share" else 1.0
            shown = "%" if finding.unit == "share" else finding.unit
            name = words.title(finding.name)
            values = [value * share for value in values]
            chart = Chart(
                title=f"{unit.serial}: {name}",
                summary=f"{core.told(finding)}. {words.counted(len(values), 'report')}.",
                x_label="days since the first report",
                y_label=f"{name} ({shown})" if shown else name,
                lines=(Line(name, days, values, dots=True),),
                marks=(Mark("now", days[-1], values[-1], main=True),),
            )
            made.append(Drawn(f"drift-{len(made) + 1}", chart, core.told(finding)))
    return made
