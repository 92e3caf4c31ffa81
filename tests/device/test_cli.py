"""The command lines: a failure with a remedy is one line and exit code 2, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import earmark
from earmark import cli
from earmark_host import cli as host_cli


def run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["earmark", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int | None)
    return code or 0, out, err


def test_config_show_prints_the_effective_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("device: {room: attic}\n")
    code, out, err = run(["config", "show", "--config", str(file)], capsys, monkeypatch)
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["device"]["room"] == "attic"
    assert f"# {file}:1" in out


def test_config_check_says_that_settings_are_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("")
    code, out, err = run(["config", "check", "--config", str(file)], capsys, monkeypatch)
    assert (code, out, err) == (0, "The settings are valid.\n", "")


@pytest.mark.parametrize("command", ["show", "check"])
def test_a_wrong_setting_is_one_line_and_exit_code_2(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "e.yaml"
    file.write_text('device:\n  name: "two\\nlines"\nnonce: {payload: "a\\nb"}\n')
    code, out, err = run(["config", command, "--config", str(file)], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert err == (
        f"earmark: {file}:3: nonce.payload is not a setting: did you mean nonce.payload_bits?\n"
    )


def test_a_message_of_several_lines_is_printed_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise earmark.errors.EarmarkError("first\nsecond", "do\nthis")

    monkeypatch.setattr(cli, "app", fail)
    assert run([], capsys, monkeypatch) == (2, "", "earmark: first second: do this\n")
    monkeypatch.setattr(host_cli, "app", fail)
    with pytest.raises(SystemExit, match="2"):
        host_cli.main()
    assert capsys.readouterr().err == "earmark-host: first second: do this\n"


def test_an_unknown_command_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(["no-such-command"], capsys, monkeypatch)
    assert (code, out) == (2, "")
    assert "No such command" in err


@pytest.mark.parametrize("module", ["earmark.cli", "earmark_host.cli"])
def test_version(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split()[-1] == earmark.__version__


@pytest.mark.parametrize("module", ["earmark.cli", "earmark_host.cli"])
def test_help_loads_nothing_that_only_commands_need(module: str) -> None:
    code = (
        f"import sys, {module} as cli\n"
        "try:\n    cli.app(['--help'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "print('loaded:', *sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, _, names = ended.stdout.rpartition("loaded:")
    assert "Usage:" in help_text
    heavy = {"numpy", "scipy", "pydantic", "soundfile", "sounddevice", "PIL", "earmark.config"}
    assert not heavy & set(names.split())
