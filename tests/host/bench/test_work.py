"""Work on several processes: results in order, failures in the clear."""

from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from earmark.errors import EarmarkError
from earmark_host.bench import Corpus, Workers


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_results_come_in_the_order_of_the_pieces_and_errors_with_their_remedy(
    tmp_path: Path,
) -> None:
    # One pool for both: starting processes is what takes time here.
    with Workers(2, quiet()) as pool:
        assert pool.run("factorials", math.factorial, list(range(20))) == [
            math.factorial(n) for n in range(20)
        ]
        with pytest.raises(EarmarkError, match=r"manifest\.csv cannot be read") as caught:
            pool.run("corpora", Corpus.open, [tmp_path])
    assert caught.value.do.startswith("give the folder of a corpus")
