"""Commands to forward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from earmark.forward import Command
from earmark.gate import Decision, Finding, Outcome, Reason, Verdict
from earmark.signal import RATE_HZ

ALLOWED = Verdict(
    Decision.ALLOW,
    Reason.FRESH,
    (Finding("nonce", Outcome.PASSED, Reason.FRESH, 0.03, {"bits": "10110"}),),
)

Make = Callable[..., Command]


@pytest.fixture
def make() -> Make:
    """Return a function that makes the command of session `number`, `seconds` long."""

    def command(
        number: int = 1, seconds: float = 0.5, verdict: Verdict = ALLOWED, **other: object
    ) -> Command:
        rng = np.random.default_rng(number)
        values = {
            "audio": rng.uniform(-0.5, 0.5, round(seconds * RATE_HZ)).astype(np.float32),
            "session": f"s{number:04d}",
            "device": "kitchen",
            "place": "on the shelf",
            "woken_unix_s": 1_790_000_000.25 + number,
            "uncovered_s": ((0.0, 0.21),),
            "verdict": verdict,
        }
        return Command(**{**values, **other})  # type: ignore[arg-type]

    return command
