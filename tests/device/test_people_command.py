"""``earmark people``: what is kept is shown, exported and deleted, and nothing without consent."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark import cli, enrolling
from earmark.config import Config
from earmark.people_command import TOLD
from earmark.speaker import (
    Cohort,
    Enrolled,
    EnrolmentError,
    Feedback,
    Person,
    Prompt,
    Quality,
    Rate,
    Reliability,
    Roster,
    SpeakerModel,
    Vault,
)

TINY = Path(__file__).resolve().parent / "speaker" / "data" / "tiny"
"""A model with embeddings of 8 dimensions and a cohort of 20."""

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC


class Device:
    """A device with settings, key and vault of its own, and its command line."""

    def __init__(self, folder: Path) -> None:
        self.vault = folder / "state" / "people.vault"
        self.key = folder / "state" / "people.key"
        self.settings = folder / "earmark.yaml"
        self.folder = folder
        self.configure()

    def configure(self, **speaker: object) -> None:
        values = {"vault": str(self.vault), "key_file": str(self.key), "model": str(TINY)}
        self.settings.write_text(json.dumps({"speaker": values | speaker}))

    @property
    def config(self) -> Config:
        from earmark.config import load

        return load(self.settings)

    @property
    def people(self) -> tuple[Person, ...]:
        return Vault.of(self.config.speaker).people

    def keep(self, *people: Person) -> None:
        for person in people:
            Vault.of(self.config.speaker).add(person)

    def __call__(self, *words: object, says: str | None = None) -> tuple[str, str]:
        """Standard output and standard error of ``earmark people``; `says` is typed in."""
        arguments = [*map(str, words), "--config", str(self.settings)]
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["earmark", "people", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(says or ""))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        told = out.getvalue(), err.getvalue()
        self.code = int(ended.value.code or 0)
        if self.code == 2:
            assert told[1].startswith("earmark: ")
            assert len(told[1].splitlines()) == 1
        return told


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """With a key."""
    device = Device(tmp_path)
    device("key", "create")
    return device


@cache
def tiny() -> SpeakerModel:
    return SpeakerModel.open(TINY)


def person(number: int, name: str, model_id: str | None = None) -> Person:
    rows = np.random.default_rng(number).standard_normal((1, 8))
    rows = rows + 0.1 * np.random.default_rng(99).standard_normal((5, 8))
    phrases = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Person(f"{number:08x}", name, NOW, NOW + 90.0, model_id or tiny().id, phrases)


# What is kept


def test_list_shows_who_is_enrolled(device: Device) -> None:
    assert device("list")[0] == "Nobody is enrolled.\n"
    device.keep(person(1, "Anna"), person(2, "Uncle Bert", model_id="f" * 16))
    head, first, second = device("list")[0].splitlines()
    assert head.split() == ["id", "consent", "enrolled", "phrases", "model", "name"]
    assert first.split() == [
        "00000001",
        "2027-01-15T08:00:00Z",
        "2027-01-15T08:01:30Z",
        "5",
        "current",
        "Anna",
    ]
    assert "enrol again  Uncle Bert" in second
    assert head.index("name") == first.index("Anna") == second.index("Uncle")


def test_list_is_due_also_without_a_model(device: Device) -> None:
    device.keep(person(1, "Anna"))
    device.configure(model=str(device.folder / "nowhere"))
    out, err = device("list")
    assert device.code == 0
    assert "speaker model does not open" in err
    assert "unknown      Anna" in out


def test_check_shows_the_rates_of_each(device: Device) -> None:
    assert device("check")[0] == "Nobody is enrolled.\n"
    anna, bert = person(1, "Anna"), person(2, "Bert")
    device.keep(anna, bert, person(3, "Carla", model_id="f" * 16))
    out, _ = device("check")
    model = tiny()
    roster = Roster([anna, bert], Cohort(model.cohort), model.id)
    for one in (anna, bert):
        line = next(line for line in out.splitlines() if line.endswith(one.name))
        frr, far = roster.reliability(one).frr, roster.reliability(one).far
        assert f"{frr.count} of 5 (at most " in line
        assert f"{far.count} of 20 (at most {100 * far.upper:.3g} %)" in line
    assert "another model: enrol again" in next(
        line for line in out.splitlines() if line.endswith("Carla")
    )
    assert f"anybody at home: {roster.far.count} of 20" in out
    assert "the 20 strangers" in out


def test_check_of_nobody_current(device: Device) -> None:
    device.keep(person(1, "Anna", model_id="f" * 16))
    out, _ = device("check")
    assert device.code == 0
    assert "enrol again" in out
    assert "anybody at home" not in out


def test_export_is_for_the_person(device: Device, tmp_path: Path) -> None:
    anna = person(1, "Anna")
    device.keep(anna, person(2, "Bert"))
    before = os.umask(0)
    try:
        out, _ = device("export", "anna", tmp_path / "mine.json")
    finally:
        os.umask(before)
    assert "not encrypted" in out
    assert stat.S_IMODE((tmp_path / "mine.json").stat().st_mode) == 0o600
    told = json.loads((tmp_path / "mine.json").read_text())
    assert told["name"] == "Anna"
    assert np.allclose(told["phrases"], anna.phrases)
    assert "Bert" not in (tmp_path / "mine.json").read_text()


def test_delete_forgets_one(device: Device) -> None:
    device.keep(person(1, "Anna"), person(2, "Bert"))
    assert device("delete", "ANNA")[0] == "Deleted Anna.\n"
    assert [one.name for one in device.people] == ["Bert"]


def test_wipe_forgets_all_and_the_key(device: Device) -> None:
    device.keep(person(1, "Anna"))
    out, _ = device("wipe", "--yes")
    assert "Removed all people" in out
    assert not device.vault.exists()
    assert not device.key.exists()
    assert device("list")[0] == "Nobody is enrolled.\n"
    device("key", "create")
    device.keep(person(2, "Bert"))


def test_wipe_also_of_what_cannot_be_read(device: Device) -> None:
    device.keep(person(1, "Anna"))
    device.vault.write_bytes(b"damaged beyond use")
    assert "earmark people wipe" in device("list")[1]
    device("wipe", "--yes")
    assert device("list")[0] == "Nobody is enrolled.\n"


def test_wipe_asks_first(device: Device) -> None:
    device.keep(person(1, "Anna"))
    device("wipe", says="n\n")
    assert device.code == 1
    assert len(device.people) == 1
    device("wipe", says="y\n")
    assert not device.vault.exists()


def test_key_is_made_once_and_never_shown(device: Device) -> None:
    secret = device.key.read_text().strip()
    assert stat.S_IMODE(device.key.stat().st_mode) == 0o600
    out, err = device("key", "create")
    assert "there is a key already" in err
    assert device.key.read_text().strip() == secret
    device.key.unlink()
    out, _ = device("key", "create")
    assert "systemd-creds encrypt --name=earmark-people-key" in out
    assert device.key.read_text().strip() not in out


# Enrolling


Ask = Callable[[Prompt], None]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Stands for the sessions of the device; what was asked of it."""
    asked: list[tuple[str, float]] = []

    def enrol(
        config: Config, name: str, consent_unix_s: float, ask: Ask, *, speaker: SpeakerModel
    ) -> Enrolled:
        assert speaker.id == tiny().id
        asked.append((name, consent_unix_s))
        ask(Prompt(1, 2, "First sentence", None))
        ask(Prompt(1, 2, "First sentence", Feedback(Quality.TOO_QUIET, 1, 1)))
        ask(Prompt(2, 2, "Second one", Feedback(Quality.ALREADY_SOMEBODY, 2, 2, "Bert")))
        model = tiny()
        one = person(1, name)
        Vault.of(config.speaker).add(one)
        roster = Roster([one], Cohort(model.cohort), model.id)
        return Enrolled(one, roster.reliability(one), roster.threshold, roster.far)

    monkeypatch.setattr(enrolling, "enrol", enrol)
    return asked


def test_consent_is_asked_for_in_plain_words_first(
    device: Device, session: list[tuple[str, float]]
) -> None:
    out, _ = device("enrol", "Anna", says="y\n")
    before, _, after = out.partition("Does Anna agree?")
    for said in (
        "biometric",
        "No sound and no words are kept",
        "5 descriptions",
        f"encrypted: {device.vault}",
        "earmark people delete Anna",
        "earmark people export Anna",
        "speaker.guests: always",
    ):
        assert said in " ".join(before.split())
    assert "1 of 2: wake the device, then say: First sentence" in after
    assert "come closer" in after
    assert "sounded like Bert" in after
    assert "Anna is enrolled." in after
    assert "of 5 (at most" in after
    assert "of 20 (at most" in after
    assert session[0][0] == "Anna"
    assert session[0][1] > NOW - 1e8  # the clock of this machine
    assert [one.name for one in device.people] == ["Anna"]


@pytest.mark.parametrize("says", ["n\n", "\n", ""])
def test_without_consent_nobody_is_heard(
    device: Device, session: list[tuple[str, float]], says: str
) -> None:
    device("enrol", "Anna", says=says)
    assert device.code == 1
    assert session == []
    assert not device.vault.exists()


def test_there_is_no_way_around_the_question(
    device: Device, session: list[tuple[str, float]]
) -> None:
    for option in ("--yes", "--consent"):
        arguments = ["people", "enrol", "Anna", option, "--config", str(device.settings)]
        assert CliRunner().invoke(cli.app, arguments, input="").exit_code != 0
    assert session == []


@pytest.mark.parametrize("quality", list(Quality))
def test_every_quality_is_told(quality: Quality) -> None:
    assert TOLD[quality.value].format(somebody="Bert").endswith(".")


def test_a_name_that_is_taken_is_told_before_consent(
    device: Device, session: list[tuple[str, float]]
) -> None:
    device.keep(person(1, "Anna", model_id="f" * 16))
    out, _ = device("enrol", "anna", says="y\n")
    assert "Anna was enrolled with another speaker model" in out.partition("agree?")[0]
    assert [(one.name, len(one.model_id)) for one in device.people] == [("anna", 16)]
    assert device.people[0].model_id != "f" * 16


def test_a_name_of_this_model_is_refused_before_consent(
    device: Device, session: list[tuple[str, float]]
) -> None:
    device.keep(person(1, "Anna"))
    out, err = device("enrol", "anna", says="y\n")
    assert "Anna is enrolled already: choose another name, or delete that person first" in err
    assert "agree?" not in out
    assert session == []


def test_sentences_that_differ_are_told(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was enrolled with another's voice among their own would often be refused."""
    for refused, told in ((1, False), (2, True)):
        rates = Reliability(Rate(refused, 5), Rate(0, 20))
        found = Enrolled(person(1, "Anna"), rates, 2.5, Rate(0, 20))
        monkeypatch.setattr(enrolling, "enrol", lambda *_, found=found, **__: found)
        out, _ = device("enrol", "Anna", says="y\n")
        assert ("enrol again, in a quiet room" in out) is told


# Failures


def test_enrolment_without_a_key_ends_before_anybody_speaks(
    device: Device, session: list[tuple[str, float]]
) -> None:
    device.key.unlink()
    out, err = device("enrol", "Anna", says="y\n")
    assert "earmark people key create" in err
    assert out == ""
    assert session == []


def test_enrolment_with_a_vault_of_another_key(
    device: Device, session: list[tuple[str, float]]
) -> None:
    device.keep(person(1, "Bert"))
    device.key.unlink()
    device("key", "create")
    assert "another key" in device("enrol", "Anna", says="y\n")[1]
    assert session == []


def test_enrolment_that_fails_is_one_line(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def enrol(*_: object, **__: object) -> Enrolled:
        raise EnrolmentError("of 15 phrases 2 could be used", "try again in a quieter place")

    monkeypatch.setattr(enrolling, "enrol", enrol)
    err = device("enrol", "Anna", says="y\n")[1]
    assert err.endswith("earmark: of 15 phrases 2 could be used: try again in a quieter place\n")
    assert not device.vault.exists()


def test_name_that_cannot_be_kept(device: Device, session: list[tuple[str, float]]) -> None:
    assert "choose 1 to 40 characters" in device("enrol", "x" * 41, says="y\n")[1]
    assert session == []


@pytest.mark.parametrize("words", [("delete", "Carla"), ("export", "Carla", "/nowhere/x")])
def test_who_is_not_enrolled(device: Device, words: tuple[str, ...]) -> None:
    device.keep(person(1, "Anna"))
    assert device(*words)[1] == (
        "earmark: nobody is enrolled as 'Carla': choose a name from `earmark people list`\n"
    )
    assert len(device.people) == 1


def test_export_never_overwrites(device: Device, tmp_path: Path) -> None:
    device.keep(person(1, "Anna"))
    (tmp_path / "mine.json").write_text("of somebody else")
    assert "File exists): name a new file" in device("export", "Anna", tmp_path / "mine.json")[1]
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert "File exists" in device("export", "Anna", tmp_path / "link")[1]
    assert (tmp_path / "mine.json").read_text() == "of somebody else"
    assert not (tmp_path / "elsewhere").exists()


def test_export_onto_a_full_disk(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.keep(person(1, "Anna"))
    file = device.folder / "mine.json"
    opened = os.open

    def full(path: object, flags: int, mode: int = 0o777, **more: object) -> int:
        if path == file:
            os.close(opened(file, os.O_WRONLY | os.O_CREAT))
            return opened("/dev/full", os.O_WRONLY)
        return opened(path, flags, mode, **more)  # type: ignore[arg-type,call-overload,no-any-return]

    monkeypatch.setattr(os, "open", full)
    assert "free some space" in device("export", "Anna", file)[1]
    assert not file.exists()


@pytest.mark.parametrize(
    "words", [("list",), ("check",), ("delete", "A"), ("wipe", "--yes"), ("enrol", "A")]
)
def test_without_a_vault(device: Device, words: tuple[str, ...]) -> None:
    device.configure(vault=None)
    assert "speaker.vault is null" in device(*words, says="y\n")[1]


def test_key_without_a_place(device: Device) -> None:
    device.configure(key_file=None)
    assert "speaker.key_file is null" in device("key", "create")[1]


@pytest.mark.parametrize(
    "words", [("list",), ("check",), ("export", "Anna", "x"), ("delete", "Anna")]
)
def test_key_that_others_may_read(device: Device, words: tuple[str, ...]) -> None:
    device.keep(person(1, "Anna"))
    device.key.chmod(0o644)
    assert "others may read the key (mode 0644)" in device(*words)[1]
