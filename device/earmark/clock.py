"""What is known of the wall clock before anybody has asked a server for the time."""

from __future__ import annotations

SET_CLOCK_S = 1_735_689_600.0
"""Start of 2025, before any Earmark existed, s since 1970: an earlier clock has not been set."""
