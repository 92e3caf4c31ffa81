"""The report of a calibration: a page for people, a JSON for programs, and what many say.

`write` and `read` one; `compare` two; `read_fleet` many. ``report_command.add_to(app)`` adds the
commands that the technician gives, and loads none of this before they run.
"""

from earmark_calibration.report.comparing import Comparison, compare
from earmark_calibration.report.fleet_page import fleet_page
from earmark_calibration.report.fleets import Fleet, fleet
from earmark_calibration.report.folder import read_fleet
from earmark_calibration.report.page import page
from earmark_calibration.report.writing import Written, read, write

__all__ = [
    "Comparison",
    "Fleet",
    "Written",
    "compare",
    "fleet",
    "fleet_page",
    "page",
    "read",
    "read_fleet",
    "write",
]
