"""``earmark keys``: a household secret goes from one device to another, and never onto a screen."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from earmark import cli


class Device:
    """A device with settings and a key ring of its own, and its command line."""

    def __init__(self, folder: Path, epoch_days: int = 180) -> None:
        folder.mkdir()
        self.ring = folder / "keys.json"
        self.settings = folder / "earmark.yaml"
        self.settings.write_text(f"keys: {{path: {self.ring}, epoch_days: {epoch_days}}}\n")

    def secret(self) -> str:
        return str(json.loads(self.ring.read_bytes())["secrets"][0]["secret"])

    def __call__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
        """Standard output and standard error of ``earmark keys``; one of both is empty."""
        words = ["earmark", "keys", *(str(argument) for argument in arguments)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [*words, "--config", str(self.settings)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == (2 if err else 0)
        assert self.secret() not in out + err
        assert len(err.splitlines()) <= 1
        return out, err


@pytest.fixture
def kitchen(tmp_path: Path) -> Device:
    return Device(tmp_path / "kitchen")


@pytest.fixture
def attic(tmp_path: Path) -> Device:
    return Device(tmp_path / "attic")


def test_secret_goes_from_one_device_to_another(
    kitchen: Device, attic: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    out, _ = kitchen(capsys, "export", file)
    assert "Delete it when it has been imported." in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert attic(capsys, "import", file)[0] == "Imported the secret.\n"
    assert attic(capsys, "import", file)[0] == "This secret was here already.\n"
    assert attic.secret() == kitchen.secret()
    shown = [device(capsys, "show")[0] for device in (kitchen, attic)]
    assert shown[0] == shown[1]
    assert shown[0].startswith("Household secret ")


# Failures


def test_export_never_overwrites(
    kitchen: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "secret"
    file.write_text("of somebody else")
    assert "File exists): name a new file" in kitchen(capsys, "export", file)[1]
    assert file.read_text() == "of somebody else"


def test_export_onto_a_full_disk(kitchen: Device, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    link = kitchen.ring.with_name("secret")
    kitchen(capsys, "show")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.O_EXCL", 0)  # so that a link to the full device is followed
        link.symlink_to("/dev/full")
        assert "No space left on device): free some space" in kitchen(capsys, "export", link)[1]
    assert not link.is_symlink()


def test_import_of_no_file(
    kitchen: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kitchen(capsys, "show")
    before = kitchen.secret()
    missing = kitchen(capsys, "import", tmp_path / "nowhere")[1]
    assert "No such file or directory): name a file that can be read" in missing
    assert "Is a directory" in kitchen(capsys, "import", tmp_path)[1]
    assert kitchen.secret() == before


def test_import_of_another_household_rhythm(
    kitchen: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weekly = Device(tmp_path / "weekly", epoch_days=7)
    weekly(capsys, "export", tmp_path / "secret")
    kitchen(capsys, "show")
    err = kitchen(capsys, "import", tmp_path / "secret")[1]
    assert err.endswith("epochs of 7 days, this device of 180: set keys.epoch_days to 7 here\n")


def test_damaged_ring_is_one_line(kitchen: Device, capsys: pytest.CaptureFixture[str]) -> None:
    kitchen(capsys, "show")
    whole = kitchen.ring.read_bytes()
    secret = kitchen.secret()
    kitchen.ring.write_bytes(whole[:-20])
    kitchen.secret = lambda: secret  # type: ignore[method-assign]
    assert "restore the file" in kitchen(capsys, "show")[1]
