"""The commands ``earmark people …``: whom this device recognises, and what it keeps of them.

Each command imports what it needs when it runs, like those in ``cli.py``, which adds them. They
work beside a running daemon, which sees every change; only ``enrol`` needs the microphone, so
the daemon must then be stopped.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.speaker import Person, Prompt, Rate, SpeakerModel, SpeakerSettings, Vault

app = typer.Typer(
    help="Enrol people by voice; see, export and delete what is kept about them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
key_app = typer.Typer(
    help="The key that the people are encrypted with.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(key_app, name="key")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (default /etc/earmark/earmark.yaml)."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="As `earmark people list` shows it.")]

CONSENT = """\
Earmark can learn to recognise {name} by voice. Before it does, {name} should know:

  What is kept   {name}'s name, the time of this consent, and {phrases} descriptions of the
                 voice: some hundred numbers each, made from sentences that are now spoken.
                 They are biometric data. No sound and no words are kept.
  Where          On this device, encrypted: {where}
  What for       To let commands through from people that live here, and to tell people
                 apart. It errs at times: see `earmark people check` afterwards.
  Who sees it    Nobody beyond this device. Where commands go, the name goes with them.
  How it ends    At any time: `earmark people delete {name}` removes all of this, `earmark
                 people export {name} FILE` shows it. A new speaker model makes it useless.
                 What is kept of every command, whoever gives it, stays: a fingerprint of
                 the sound and the nonce, without a name.
  Without it     Nobody has to. With `speaker.guests: always` in the settings everybody may
                 command, enrolled or not; nothing is then kept about {name}.
"""

TOLD = {
    "ok": "Good.",
    "too_short": "That was too short: please say the whole sentence.",
    "clipped": "That was too loud for the microphone: please step back, or speak more softly.",
    "too_quiet": "That was too quiet: please come closer.",
    "too_noisy": "There was too much noise: please come closer, or switch off what makes it.",
    "already_somebody": "That sounded like {somebody}, who is enrolled.",
    "inconsistent": "One sentence differs from the others: that one again, in your usual voice.",
}
"""What a person is told about a phrase, by the value of its :class:`Quality`."""


MOST_REFUSED = 1
"""Sentences of an enrolment that may be unlike the others, without a word about it: with a second
one, either the room was loud or somebody else spoke."""


@app.command("enrol")
def enrol(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How the person is to be called.")],
    config: ConfigFile = None,
) -> None:
    """Ask for consent, then learn the voice from a few sentences; the daemon must be stopped."""
    from earmark.config import load
    from earmark.enrolling import enrol as enrolled_by_voice
    from earmark.speaker import SpeakerModel, Vault, checked_name, load_key, named

    settings = load(config)
    where = _folder(settings.speaker)
    name = checked_name(name)
    # Before anybody speaks in vain:
    load_key(settings.speaker, os.environ)
    model = SpeakerModel.open(settings.speaker.model)
    same = named(Vault.of(settings.speaker).people, name)
    if same is not None and same.model_id == model.id:
        raise EarmarkError(
            f"{same.name} is enrolled already",
            f"choose another name, or delete that person first: earmark people delete {same.name}",
        )
    typer.echo(CONSENT.format(name=name, where=where, phrases=settings.speaker.enrolment.phrases))
    if same is not None:
        typer.echo(f"{same.name} was enrolled with another speaker model and is replaced.\n")
    typer.confirm(f"Does {name} agree?", default=False, abort=True)
    enrolled = enrolled_by_voice(settings, name, time.time(), _ask, speaker=model)
    typer.echo(f"{name} is enrolled.")
    if enrolled.reliability.frr.count > MOST_REFUSED:
        typer.echo(
            f"But the sentences differ from one another: {name} would often be refused. Delete "
            f"and enrol again, in a quiet room, all sentences by {name}."
        )
    typer.echo(f"  Refused by mistake: {_rate(enrolled.reliability.frr)} of their own sentences.")
    typer.echo(f"  Strangers taken for {name}: {_rate(enrolled.reliability.far)}.")
    typer.echo(f"  Strangers taken for anybody at home: {_rate(enrolled.household_far)}.")


@app.command("list")
def list_(config: ConfigFile = None) -> None:
    """Print who is enrolled, since when, and whether the model still knows them; times are UTC."""
    from earmark.speaker import utc

    settings, vault = _vault(config)
    people = vault.people
    if not people:
        typer.echo("Nobody is enrolled.")
        return
    model = _model_or_none(settings)
    typer.echo(f"{'id':8}  {'consent':20}  {'enrolled':20}  {'phrases':>7}  {'model':11}  name")
    for one in people:
        known = "unknown" if model is None else "current"
        if model is not None and one.model_id != model.id:
            known = "enrol again"
        typer.echo(
            f"{one.id:8}  {utc(one.consent_unix_s)}  {utc(one.enrolled_unix_s)}  "
            f"{len(one.phrases):>7}  {known:11}  {one.name}"
        )


@app.command("check")
def check(config: ConfigFile = None) -> None:
    """Print how well each person is told from others on this device."""
    from earmark.speaker import Cohort, Criterion, Roster, SpeakerModel

    settings, vault = _vault(config)
    people = vault.people
    if not people:
        typer.echo("Nobody is enrolled.")
        return
    model = SpeakerModel.open(settings.model)
    criterion = Criterion.calibrated(settings.far_target, model.decision)
    roster = Roster(people, Cohort(model.cohort), model.id, criterion)
    typer.echo(f"{'refused by mistake (FRR)':34}  {'strangers taken (FAR)':34}  name")
    for person in roster.people:
        found = roster.reliability(person)
        typer.echo(f"{_rate(found.frr):34}  {_rate(found.far):34}  {person.name}")
    for person in roster.stale:
        typer.echo(f"{'enrolled with another model: enrol again':70}  {person.name}")
    if roster.people:
        typer.echo(f"Strangers taken for anybody at home: {_rate(roster.far)}.")
        typer.echo(
            "FRR: each enrolment sentence against the others; another day may be worse. FAR: over "
            f"the {len(model.cohort)} strangers that come with the model, whom the limit was set "
            f"by (speaker.far_target {settings.far_target:g})."
        )


@app.command("export")
def export(
    name: Name,
    file: Annotated[Path, typer.Argument(help="New file, mode 0600: it holds biometric data.")],
    config: ConfigFile = None,
) -> None:
    """Write all that is kept about a person to a new file, as JSON, for that person."""
    from earmark.speaker import export as exported

    _, vault = _vault(config)
    text = exported(_known(vault, name))
    try:
        # Never over another file: that one may be open to others.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(file, flags, 0o600)
    except OSError as error:
        what = f"cannot create {file} ({error.strerror})"
        raise EarmarkError(what, "name a new file in a folder that can be written") from None
    try:
        with open(handle, "w", encoding="utf-8") as out:
            out.write(text + "\n")
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            what = f"cannot write {file} ({error.strerror})"
            raise EarmarkError(what, "free some space") from None
        raise
    typer.echo(f"Wrote all that is kept about {name} to {file}. It is not encrypted.")


@app.command("delete")
def delete(name: Name, config: ConfigFile = None) -> None:
    """Forget a person: name, consent and voice."""
    _, vault = _vault(config)
    person = _known(vault, name)
    vault.delete(person.id)
    typer.echo(f"Deleted {person.name}.")


@app.command("wipe")
def wipe(
    config: ConfigFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
) -> None:
    """Remove everybody and the key file (factory reset), also a vault that cannot be read."""
    from earmark.speaker import wipe as wiped

    settings = _settings(config)
    where = _folder(settings)
    if not yes:
        typer.confirm(f"Remove all people in {where}, and the key file?", abort=True)
    wiped(settings)
    typer.echo(f"Removed all people in {where}, and the key file. Restart Earmark if it runs.")
    typer.echo(f"A credential {settings.key_credential} is removed where it was given to systemd.")


@key_app.command("create")
def key_create(config: ConfigFile = None) -> None:
    """Make the key file of speaker.key_file, once, before the first person enrols."""
    from earmark.speaker import create_key

    settings = _settings(config)
    if settings.key_file is None:
        raise EarmarkError("speaker.key_file is null", "set it to a file, or give the credential")
    create_key(settings.key_file)
    name = settings.key_credential
    typer.echo(f"Made {settings.key_file}. Without it nobody is recognised: keep a copy elsewhere.")
    typer.echo(
        "To seal it to this machine instead: systemd-creds encrypt "
        f"--name={name} {settings.key_file} /etc/credstore.encrypted/{name}, then delete the file."
    )


def _ask(prompt: Prompt) -> None:
    """Tell the person what became of the last phrase and which one to say."""
    told = prompt.feedback
    if told is not None:
        typer.echo(TOLD[told.quality.value].format(somebody=told.somebody))
    typer.echo(f"{prompt.phrase} of {prompt.of}: wake the device, then say: {prompt.sentence}")


def _rate(rate: Rate) -> str:
    """``0 of 5 (at most 45 %)``."""
    return f"{rate.count} of {rate.of} (at most {100 * rate.upper:.3g} %)"


def _settings(config: Path | None) -> SpeakerSettings:
    from earmark.config import load

    return load(config).speaker


def _folder(settings: SpeakerSettings) -> Path:
    if settings.vault is None:
        raise EarmarkError("speaker.vault is null, so nobody is kept", "set it to a file")
    return settings.vault


def _vault(config: Path | None) -> tuple[SpeakerSettings, Vault]:
    from earmark.speaker import Vault

    settings = _settings(config)
    _folder(settings)
    return settings, Vault.of(settings)


def _known(vault: Vault, name: str) -> Person:
    from earmark.speaker import named

    person = named(vault.people, name)
    if person is None:
        raise EarmarkError(
            f"nobody is enrolled as {name!r}", "choose a name from `earmark people list`"
        )
    return person


def _model_or_none(settings: SpeakerSettings) -> SpeakerModel | None:
    """The model; None with a note when it does not open: the list is due all the same."""
    from earmark.speaker import SpeakerModel

    try:
        return SpeakerModel.open(settings.model)
    except EarmarkError as error:
        typer.echo(f"The speaker model does not open: {error}", err=True)
        return None
