"""The drop-in: written whole, checked, signed off, undone."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from earmark.config import Config, load
from earmark.errors import ConfigError, EarmarkError
from earmark_calibration import settings as module
from earmark_calibration.record import Profile, Value
from earmark_calibration.settings import (
    DROP_IN,
    SIGN_OFF,
    SettingsError,
    apply,
    changes,
    signed_off,
    undo,
    value_at,
    with_values,
)

WANTED: dict[str, Value] = {
    "nonce.level_dbspl_1m": 37.0,
    "nonce.spread.band_low_hz": 1000.0,
    "speaker.far_target": 0.005,
}
WHEN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A device with settings of its own."""
    path = tmp_path / "earmark.yaml"
    path.write_text("nonce:\n  level_dbspl_1m: 42\n")
    return path


def write(path: Path, wanted: dict[str, Value] = WANTED, who: str = "J. Smith") -> None:
    apply(path, wanted, who=who, when=WHEN, profile=Profile.NORMAL, report_sha256="ab" * 32)


def tree(path: Path) -> dict[str, bytes]:
    """All files of the device's settings."""
    return {
        str(file.relative_to(path.parent)): file.read_bytes()
        for file in sorted(path.parent.rglob("*"))
        if file.is_file()
    }


def test_the_service_may_read_a_folder_that_was_made_here(main: Path) -> None:
    before = os.umask(0o077)
    try:
        write(main)
    finally:
        os.umask(before)
    folder = main.with_suffix(".d")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / DROP_IN).stat().st_mode) == 0o644


def test_the_device_reads_what_was_chosen_and_the_owners_file_is_untouched(main: Path) -> None:
    before = main.read_bytes()
    write(main)
    found = load(main)
    assert {key: value_at(found, key) for key in WANTED} == WANTED
    assert main.read_bytes() == before
    folder = main.with_suffix(".d")
    for name in (DROP_IN, SIGN_OFF):
        # The service reads it as a user of its own.
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o644
    assert sorted(file.name for file in folder.iterdir()) == sorted([DROP_IN, SIGN_OFF])


def test_the_sign_off_says_who_when_and_what_was_before(main: Path) -> None:
    write(main, who="J. Smith\n# nonce: {}")
    signed = signed_off(main)
    assert signed is not None
    assert signed.who == "J. Smith # nonce: {}"
    assert signed.when == WHEN
    assert {change.key: (change.before, change.after) for change in signed.changes} == {
        "nonce.level_dbspl_1m": (42.0, 37.0),
        "nonce.spread.band_low_hz": (500.0, 1000.0),
        "speaker.far_target": (0.01, 0.005),
    }
    assert load(main).nonce.level_dbspl_1m == 37.0  # the name broke out of no comment


def test_undo_puts_back_what_was_there(main: Path) -> None:
    before = tree(main)
    write(main)
    signed = undo(main)
    assert signed.who == "J. Smith"
    assert tree(main) == before
    assert signed_off(main) is None
    with pytest.raises(SettingsError, match="nothing was calibrated"):
        undo(main)


def test_undo_after_two_calibrations_goes_back_to_before_the_first(main: Path) -> None:
    before = tree(main)
    write(main)
    write(main, {"nonce.level_dbspl_1m": 33.0})
    assert load(main).nonce.level_dbspl_1m == 33.0
    assert load(main).nonce.spread.band_low_hz == 500.0  # the first one's choice is replaced
    undo(main)
    assert tree(main) == before


def test_undo_keeps_a_drop_in_of_somebody_else(main: Path) -> None:
    folder = main.with_suffix(".d")
    folder.mkdir()
    (folder / DROP_IN).write_text("nonce:\n  level_dbspl_1m: 45\n")
    write(main)
    undo(main)
    assert (folder / DROP_IN).read_text() == "nonce:\n  level_dbspl_1m: 45\n"


def test_a_drop_in_changed_by_hand_is_not_undone(main: Path) -> None:
    write(main)
    drop_in = main.with_suffix(".d") / DROP_IN
    drop_in.write_text(drop_in.read_text() + "session:\n  tries: 3\n")
    assert signed_off(main) is None
    with pytest.raises(SettingsError, match="changed by hand"):
        undo(main)


def test_a_later_drop_in_that_wins_is_named_and_nothing_is_left(main: Path) -> None:
    folder = main.with_suffix(".d")
    folder.mkdir()
    (folder / "90-owner.yaml").write_text("nonce:\n  level_dbspl_1m: 50\n")
    before = tree(main)
    with pytest.raises(SettingsError, match="a later drop-in sets it"):
        write(main)
    assert tree(main) == before


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"nonce.level_dbspl_1m": 99.0}, "do not go together"),
        ({"nonce.volume": 1.0}, "not a setting"),
        ({"nonce": 1.0}, "section"),
        ({"nonce.level_dbspl_1m.deeper": 1.0}, "not a setting"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(
    main: Path, wanted: dict[str, Value], says: str
) -> None:
    before = tree(main)
    with pytest.raises(SettingsError, match=says):
        write(main, wanted)
    assert tree(main) == before


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_power_cut_at_any_step_leaves_the_old_or_the_new(
    main: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """Each file is replaced and its folder flushed: cut at each of these."""
    real, done = os.replace, 0
    flush = module.flush_folder

    class Cut(BaseException):
        pass

    def step() -> None:
        nonlocal done
        done += 1
        if done == cut:
            raise Cut

    def replaced(source: object, target: object) -> None:
        step()
        real(source, target)  # type: ignore[arg-type]

    def flushed(folder: Path) -> None:
        step()
        flush(folder)

    monkeypatch.setattr(os, "replace", replaced)
    monkeypatch.setattr(module, "flush_folder", flushed)
    with pytest.raises(Cut):
        write(main)
    monkeypatch.undo()
    level = load(main).nonce.level_dbspl_1m
    assert level in (42.0, 37.0)
    # Signed off exactly where the new settings are.
    assert (signed_off(main) is not None) == (level == 37.0)
    write(main)
    undo(main)
    assert load(main).nonce.level_dbspl_1m == 42.0


def test_a_disk_that_refuses_leaves_all_as_it_was(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(main)
    before = tree(main)
    calls = 0
    real = module.replace_file

    def refuses(path: Path, raw: bytes, prepare: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(28, "No space left on device")
        real(path, raw, prepare)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "replace_file", refuses)
    with pytest.raises(SettingsError, match="No space left"):
        write(main, {"nonce.level_dbspl_1m": 33.0})
    assert tree(main) == before


def test_a_damaged_sign_off_is_said(main: Path) -> None:
    write(main)
    (main.with_suffix(".d") / SIGN_OFF).write_text(json.dumps({"who": 3}))
    with pytest.raises(SettingsError, match="damaged"):
        signed_off(main)


def test_somebody_must_sign(main: Path) -> None:
    before = tree(main)
    with pytest.raises(SettingsError, match="--by"):
        write(main, who="  \n ")
    assert tree(main) == before


def test_broken_settings_of_the_device_stop_it(main: Path) -> None:
    main.write_text("nonce: [")
    with pytest.raises(ConfigError):
        write(main)
    assert not main.with_suffix(".d").exists()


def test_what_is_so_already_is_no_change() -> None:
    assert changes(Config(), {"nonce.level_dbspl_1m": 40.0}) == ()
    (change,) = changes(Config(), {"nonce.level_dbspl_1m": 41.0})
    assert (change.before, change.after) == (40.0, 41.0)
    assert with_values(Config(), {"nonce.level_dbspl_1m": 41.0}).nonce.level_dbspl_1m == 41.0
    assert issubclass(SettingsError, EarmarkError)
