"""Settings of the paper's detector: each open reading of its text is a flag."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Young: TypeAlias = Literal["score", "wait"]
"""What happens while the memory holds fewer queries than its depth."""

Weighting: TypeAlias = Literal["clip", "raw", "mean", "official"]
"""How the similarities become one score (:mod:`earmark.memory.paper.weights`)."""


class PaperSettings(BaseModel):
    """The detector of Guo et al. 2023. The thresholds are no setting: they are calibrated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = Field(
        75,
        ge=5,
        le=1000,
        description="Queries that are remembered, k. 75 is the paper's: from there on its "
        "threshold hardly falls any more (Fig. 5). A threshold holds for one depth only.",
    )
    young: Young = Field(
        "wait",
        description="A memory that is not full yet: `score` what is there, or `wait` without a "
        "verdict. The paper's first step says score; its Eq. 2 and a success rate that stays "
        "below 1 (Eq. 13) only come out with wait, and a threshold for the mean of k "
        "similarities is too low for the mean of a few.",
    )
    weights: Weighting = Field(
        "clip",
        description="An inverse-variance coefficient below 0, on which the paper is silent: "
        "`clip` sets it to 0, `raw` keeps it, `mean` leaves the weights out altogether. "
        "`official` is raw over similarities scaled to 0..1 within the memory, which the "
        "published thresholds imply and which hidden fakes blind: for comparison only.",
    )
    input_noise_snr_db: float | None = Field(
        None,
        ge=25.0,
        le=75.0,
        description="Level of the query over the white noise that is added before its "
        "fingerprint, dB; none by default. The paper's robust mode: it gains between 25 and 75 "
        "and most at 50 (Table 5).",
    )
    clear_on_alarm: bool = Field(
        True,
        description="Forget everything, the alarming query too, after an alarm: the paper bans "
        "the account, and a new one begins empty. With wait, an attack then alarms at most every "
        "k + 1 queries, as the paper's a_n > d_n * k says.",
    )
