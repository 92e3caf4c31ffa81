"""The end-to-end tests again and again, and a table of what came of it.

``python tests/e2e/times.py TIMES [options of pytest]``, or ``make test-e2e TIMES=20``. Each time is
a run of pytest and of the sound server of its own. Exit status 1 when any test ever failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Test:
    """What came of one test once.

    Parameters
    ----------
    name : of the test, with its parameter.
    passed : it neither failed nor broke.
    seconds : how long it took.
    """

    name: str
    passed: bool
    seconds: float


def run(options: list[str]) -> tuple[list[Test], int, str]:
    """Run pytest once: its tests, how many scenes were played again, and what it has printed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", *options, str(FOLDER)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        printed = done.stdout + done.stderr
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
        tests = [
            Test(
                f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}",
                not any(one.tag in ("failure", "error") for one in case),
                float(case.get("time", "0")),
            )
            for case in cases
        ]
    again = re.search(r"(\d+) of them again", printed)
    if done.returncode and all(test.passed for test in tests):
        tests.append(Test("pytest itself", False, 0.0))
    return tests, int(again[1]) if again else 0, printed


def main(times: int, options: list[str]) -> int:
    """Run them so often; the exit status."""
    seen: defaultdict[str, list[Test]] = defaultdict(list)
    in_a_row = longest_row = whole = repeated = 0
    for number in range(1, times + 1):
        tests, again, printed = run(options)
        failed = [test.name for test in tests if not test.passed]
        for test in tests:
            seen[test.name].append(test)
        in_a_row = 0 if failed else in_a_row + 1
        whole += not failed
        repeated += again
        longest_row = max(longest_row, in_a_row)
        print(
            f"run {number:3} of {times}: {len(tests) - len(failed)} of {len(tests)} passed,"
            f" {again} scenes again, {sum(test.seconds for test in tests):.0f} s,"
            f" load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        if failed:
            print(printed, flush=True)
    print(f"\n{'passed':>9}  {'median s':>8}  {'most s':>6}  test")
    for name, each in sorted(seen.items()):
        seconds = [test.seconds for test in each]
        passed = f"{sum(test.passed for test in each)}/{len(each)}"
        print(f"{passed:>9}  {median(seconds):8.1f}  {max(seconds):6.1f}  {name}")
    print(
        f"\n{whole} of {times} runs passed, {longest_row} in a row at most, {in_a_row} at the end;"
        f" {repeated} scenes were played again"
    )
    return 0 if whole == times else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
