"""The proof of the choice: real people and attackers, and when it counts as proved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from earmark.audio import AudioSettings
from earmark.errors import EarmarkError
from earmark.nonce import NonceSettings
from earmark_calibration import proof as module
from earmark_calibration.choose.choice import Chosen, Priced
from earmark_calibration.choose.options import Heard
from earmark_calibration.choose.play import Verdict
from earmark_calibration.choose.predict import Prediction
from earmark_calibration.proof import PLACES, Proved, Tally, figures, prove, table, tally
from earmark_calibration.record import Played

BEDROOM = PLACES[0]


def test_people_are_allowed_and_attackers_found_at_a_loud_nonce_only() -> None:
    audio = AudioSettings(kind="simulated", room=BEDROOM.room)
    loud = tally(BEDROOM, NonceSettings(level_dbspl_1m=44.0), audio, 3, 3)
    assert loud == Tally(3, 0, 3, 0, {"r1": 0, "r2": 0, "r3": 0})
    faint = tally(BEDROOM, NonceSettings(level_dbspl_1m=20.0), audio, 3, 3)
    assert faint.refused == 0
    assert faint.missed >= 1
    assert faint.missed_at["r3"] <= faint.missed_at["r2"]  # beside the device it is loudest


def test_the_places_are_quite_different() -> None:
    assert len({place.room for place in PLACES}) == 3
    noises = [place.conditions.ambient_dbspl or 0.0 for place in PLACES]
    assert max(noises) - min(noises) >= 20.0
    assert len({place.conditions.drift_ppm for place in PLACES}) > 1
    first, again = (BEDROOM.open(seed, AudioSettings(kind="simulated")) for seed in (1, 2))
    assert first.conditions.seed != again.conditions.seed


def proved(
    *, missed: int = 1, before_missed: int = 1, phon: tuple[float, float] = (44.0, 38.0)
) -> Proved:
    """A place in which 2 of 80 replays were predicted to be missed."""
    prediction = Prediction(0, 80, 78, 80)
    before, after = (
        Priced(NonceSettings(), prediction, Heard(1.0, each, 0.5, 3.0)) for each in phon
    )
    none = Played(n=12, failures=0)
    return Proved(
        BEDROOM,
        Chosen(before, after, (), (), True, "Because."),
        Verdict(none, none, (0, 1), (0, 2), True),
        Tally(60, 0, 60, missed, {"r1": 0, "r2": missed, "r3": 0}),
        Tally(60, 0, 60, before_missed, {"r1": 0, "r2": before_missed, "r3": 0}),
        125.0,
    )


def test_what_holds_and_what_does_not() -> None:
    assert proved().holds
    # More is missed than the prediction allows.
    assert not proved(missed=20).within
    assert not proved(missed=20).holds
    # Neither quieter nor better.
    same = proved(phon=(44.0, 43.5))
    assert not same.quieter
    assert not same.finds_more
    assert not same.holds
    # Louder, but it finds what was missed before.
    better = proved(before_missed=30, phon=(40.0, 45.0))
    assert better.finds_more
    assert better.holds
    assert not proved(before_missed=3, phon=(40.0, 45.0)).finds_more  # that may be chance
    played_badly = replace(proved(), played=replace(proved().played, agrees=False))
    assert not played_badly.holds


def test_the_table_and_the_figures_say_what_was_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(table([proved()]))
    for words in ("holds", "missed 1 of 60", "44.0 phon", "38.0 phon", "quieter", "r2 1"):
        assert words in text
    assert "FAILS" in "\n".join(table([proved(missed=20)]))
    assert figures(proved())["chosen"]["held"]["missed"] == 1
    monkeypatch.setattr(module, "prove_place", lambda *_: proved(missed=20))
    file = tmp_path / "proof.json"
    told: list[str] = []
    assert prove(1, 60, file, (BEDROOM.name,), told.append) == 1
    assert json.loads(file.read_text())[0]["holds"] is False
    monkeypatch.setattr(module, "prove_place", lambda *_: proved())
    assert prove(1, 60, None, (), told.append) == 0
    with pytest.raises(EarmarkError, match="no place"):
        prove(1, 60, None, ("moon",), told.append)
    with pytest.raises(EarmarkError, match="cannot be written"):
        prove(1, 60, tmp_path / "none" / "proof.json", (BEDROOM.name,), told.append)
