"""``bench memory`` end to end on a small corpus, and its failures on the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from earmark.errors import EarmarkError
from earmark.memory import shipped
from earmark_host import cli
from earmark_host.bench import Report
from earmark_host.bench.corpus import Corpus
from earmark_host.bench.memory import simulated
from earmark_host.bench.memory.run import Part, run
from earmark_host.bench.memory.setup import Setup, held_back
from earmark_host.bench.memory.simulated_figures import figures

TINY = simulated.Plan(carriers=1, longest=8, robust=0, hidden=1, exposed=4, fakes=5, shares=(0.5,))


def held(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.setattr(simulated, "QUICK", TINY)
    return run(
        corpus,
        [Part.SIMULATED],
        quick=True,
        seed=5,
        workers=1,
        console=Console(file=io.StringIO()),
    )


def test_a_run_is_what_its_pieces_are(
    setup: Setup, village: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = held(village, monkeypatch)
    # The same seed in another process: the same figures.
    results = [simulated.hold(setup, piece) for piece in simulated.pieces(TINY)]
    metrics, tables = figures(results, TINY, 5)
    assert report.metrics == metrics
    assert report.tables == tables | {"cost_cpu": report.tables["cost_cpu"]}
    assert [(row["kind"], row["pieces"]) for row in report.tables["cost_cpu"]] == [
        ("Hidden", 4),
        ("Attacked", 4),
    ]
    assert report.conditions["parts"]["simulated"]["shares"] == [0.5]
    assert report.conditions["clips"] == "all"
    assert report.conditions["plan"] == "quick"
    # How the thresholds were made, without its tables.
    made = report.conditions["thresholds_made"]
    assert made["seed"] == shipped().made["seed"]
    assert not any(isinstance(value, (dict, list)) for value in made.values())
    json.dumps(report.to_json(), allow_nan=False)


def test_only_the_corpus_of_the_thresholds_is_divided(village: Path) -> None:
    corpus = Corpus.open(village)
    assert held_back(corpus, shipped()) is None
    made = shipped().made | {"manifest_sha256": corpus.manifest_sha256}
    assert held_back(corpus, shipped().model_copy(update={"made": made})) == "held_back"


def test_every_part_has_a_name_on_the_command_line() -> None:
    assert [part.value for part in Part] == [part.value for part in cli.MemoryPart]


# -- failures -------------------------------------------------------------------------------


def test_a_corpus_without_words_is_refused_before_the_work(
    village: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (village / "manifest.csv").read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if ",command," not in row]
    (tmp_path / "manifest.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    with pytest.raises(EarmarkError, match="no clip of the role 'command'"):
        held(tmp_path, monkeypatch)
