"""The diagram in the docs is the one that the table gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.session import State
from earmark.session.diagram import BEGIN, END, README, block, main, mermaid, replaced
from earmark.session.machine import TRANSITIONS


def test_diagram_in_the_readme_is_current() -> None:
    text = README.read_text("utf-8")
    assert replaced(text) == text, "stale: run python -m earmark.session.diagram --write"


def test_every_state_and_every_event_that_moves_is_drawn() -> None:
    drawing = mermaid()
    for state, rows in TRANSITIONS.items():
        assert state.name in drawing
        for key, row in rows.items():
            if row.to is not state:
                assert (key.name if not isinstance(key, type) else key.__name__) in drawing


def test_stale_block_is_noticed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nmore\n", "utf-8")
    assert main(["--write", "--file", str(file)]) == 0
    assert file.read_text("utf-8") == f"# Title\n\n{block()}\n\nmore\n"
    assert capsys.readouterr().out == ""


def test_block_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert f"[*] --> {State.IDLE.name}" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_missing_markers_are_named(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "README.md"
    file.write_text(text, "utf-8")
    assert main(["--write", "--file", str(file)]) == 1
    assert "expected one" in capsys.readouterr().err
    assert file.read_text("utf-8") == text


def test_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", "--file", str(tmp_path / "none.md")]) == 1
    assert "none.md" in capsys.readouterr().err
