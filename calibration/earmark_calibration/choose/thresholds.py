"""The thresholds of this device: what is counted on it, and the errors that each makes here.

Nonce
    By randomisation: what was recorded is scored once more with nonces that were not played. It
    needs no model of noise or room, and bounds how often a wrong one would be believed. What is
    proved for any recording is far below what so few draws can show, and stays the limit.

Query memory
    The maker's table rests on 385 people in rooms of his. In a room that rings or hums, different
    commands have more in common. The commands that were played here are compared with each
    other, and with themselves as they are on file; the limits rise by as much as the likeness
    did. They never fall: a limit below the maker's would rest on ten commands instead.

Speaker
    The device sets the limit itself, from who is enrolled and the strangers that come with the
    model. Here it is reported with its errors, and the profile says how many strangers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from earmark.errors import EarmarkError
from earmark.gate import Evidence, NonceCheck, Outcome
from earmark.memory import MemorySettings, PaperSettings, shipped
from earmark.memory.neighbours import Fingerprint, fingerprint, likeness
from earmark.memory.paper import PaperFingerprint, cosine
from earmark.memory.paper import fingerprint as paper_fingerprint
from earmark.nonce import (
    FixedKeys,
    Memory,
    NonceSettings,
    Playing,
    Source,
    SpreadCarrier,
    recall,
)
from earmark.signal import Signal
from earmark.speaker import (
    Cohort,
    Criterion,
    Roster,
    SpeakerModel,
    SpeakerSettings,
    Vault,
)
from earmark_calibration.choose.predict import Prediction, without_speeds
from earmark_calibration.choose.statistics import share
from earmark_calibration.choose.trial import (
    NOW_S,
    PRE_ROLL_S,
    Script,
    Seen,
    Trials,
    voices,
)
from earmark_calibration.record import Curve, CurveKind, Estimate, Threshold
from earmark_calibration.sealed import credentials

WRONG_NONCES = 20
"""Wrong nonces that each recording is scored with, of the same household: they share its codes."""

FOREIGN_KEYS = 10
"""Foreign keys that each live recording is searched with for an old nonce."""

MAX_FACTOR = 2.0
"""The memory's limits rise to twice the maker's at most: beyond, the room is the problem."""

MAKERS_WRONG_SHARE = 0.125
"""Share of wrong bits that the maker allows."""

COPIES = 20
"""Commands that are repeated, to see whether they are taken for copies here."""

MIN_LIKE = 10
"""Fewest pairs of commands by which the memory's limits are corrected."""


# -- nonce: what is drawn from each recording -----------------------------------------------


@dataclass(frozen=True)
class Draws:
    """What scoring one recording with random nonces gave.

    Parameters
    ----------
    contrast : of the nonce that was played.
    wrong_contrasts : of the wrong ones.
    wrong_accepted : how many of them would have been accepted.
    foreign_scores : evidence for an old nonce with each foreign key, decimal logarithm.
    foreign_found : how many of these searches found something.
    """

    contrast: float
    wrong_contrasts: tuple[float, ...]
    wrong_accepted: int
    foreign_scores: tuple[float, ...]
    foreign_found: int


def draws(
    script: Script,
    seen: Seen,
    settings: NonceSettings,
    rng: np.random.Generator,
    wrong: int = WRONG_NONCES,
    foreign: int = FOREIGN_KEYS,
) -> Draws:
    """Score a recording that was played with nonces that were not."""
    recorded, evidence = seen.judgement.recorded, seen.judgement.evidence
    check = NonceCheck(settings)
    source = Source(settings, FixedKeys(rng.bytes(32)))
    contrasts, accepted = [], 0
    for _ in range(wrong):
        other = source.draw(rng.bytes, NOW_S)
        if isinstance(script.carrier, SpreadCarrier):
            # Of the same codes: nothing is more alike.
            other = SpreadCarrier(other.payload, script.carrier.bank, settings)
        looked_for = other.verify(recorded.recording, PRE_ROLL_S, script.slots, quick=True)
        contrasts.append(round(looked_for.contrast, 3))
        again = Evidence(evidence.recording, evidence.cleaned, evidence.speech, nonce=looked_for)
        accepted += check.examine(again).outcome is Outcome.PASSED
    scores: list[float] = []
    found = 0
    report = evidence.nonce
    if script.old is None and report is not None and settings.waveform == "spread":
        playing = Playing(
            recorded.session, script.carrier, script.slots, report, evidence.suppression_db
        )
        for _ in range(foreign):
            keys = FixedKeys(rng.bytes(32), epochs_kept=1)
            memory = Memory(Source(settings, keys).banks(NOW_S), (), lambda _: ())
            looked = recall(evidence.cleaned, playing, memory, without_speeds(settings))
            scores.append(round(looked.score, 3))
            found += looked.found
    return Draws(
        contrast=0.0 if report is None else round(report.contrast, 3),
        wrong_contrasts=tuple(contrasts),
        wrong_accepted=accepted,
        foreign_scores=tuple(scores),
        foreign_found=found,
    )


def chance_of_acceptance(settings: NonceSettings, wrong_share: float) -> float:
    """Probability that a random nonce has at most `wrong_share` of its bits wrong."""
    count, per_symbol = _symbols(settings)
    allowed = math.floor(wrong_share * count + 1e-9)
    return float(stats.binom.sf(count - allowed - 1, count, 2.0**-per_symbol))


def wrong_share(settings: NonceSettings, most_false_accepts: float) -> float:
    """The largest share of wrong bits with which a random nonce is rare enough.

    Never more than the maker allows, and always what some number of symbols makes.
    """
    count, _ = _symbols(settings)
    most = math.floor(MAKERS_WRONG_SHARE * count + 1e-9)
    fitting = [
        wrong / count
        for wrong in range(most + 1)
        if chance_of_acceptance(settings, wrong / count) <= most_false_accepts
    ]
    return max(fitting, default=0.0)


def _symbols(settings: NonceSettings) -> tuple[int, int]:
    """How many symbols a nonce has, and bits in each."""
    per_symbol = 4 if settings.waveform == "spread" else 1
    return settings.payload_bits // per_symbol, per_symbol


def nonce_thresholds(
    settings: NonceSettings,
    drawn: Sequence[Draws],
    accepted: Estimate,
    prediction: Prediction,
) -> tuple[Threshold, ...]:
    """The two limits of the nonce.

    Parameters
    ----------
    settings : as they will be.
    drawn : of every recording that was played.
    accepted : share of current nonces that were refused when played.
    prediction : of the same settings.
    """
    wrong = sum(len(each.wrong_contrasts) for each in drawn)
    believed = sum(each.wrong_accepted for each in drawn)
    searches = sum(len(each.foreign_scores) for each in drawn)
    found = sum(each.foreign_found for each in drawn)
    bound = chance_of_acceptance(settings, settings.max_bit_error_rate)
    missed = prediction.stale - prediction.found
    return (
        Threshold(
            name="nonce.max_bit_error_rate",
            value=settings.max_bit_error_rate,
            unit="share",
            frr=accepted,
            far=share(believed, wrong),
            note=f"FRR: current nonces that were played. FAR: {wrong} wrong nonces scored in the "
            f"same recordings; by chance a wrong one has so few errors with {bound:.1e}.",
        ),
        Threshold(
            name="nonce.stale_false_alarm",
            value=settings.stale_false_alarm,
            unit="probability",
            frr=share(found, searches) if searches else None,
            far=share(missed, prediction.stale),
            note=f"FRR: live recordings taken for a replay, {searches} searches with foreign keys; "
            f"at most {settings.stale_false_alarm:g} is proved for any sound. FAR: replays that "
            "are missed, as predicted.",
        ),
    )


def score_curves(drawn: Sequence[Draws], stale_scores: Sequence[float]) -> tuple[Curve, ...]:
    """The scores of the right and of the wrong, as shares that reach each score."""
    pairs = (
        ("scores_current", "The nonce that was played", [each.contrast for each in drawn]),
        ("scores_wrong", "Wrong nonces", [x for each in drawn for x in each.wrong_contrasts]),
        ("scores_stale", "Old nonces in replays", list(stale_scores)),
        ("scores_foreign", "Foreign keys", [x for each in drawn for x in each.foreign_scores]),
    )
    made = []
    for name, title, values in pairs:
        if not values:
            continue
        ranked = np.sort(np.asarray(values, np.float64))[-4096:]
        reach = 1.0 - np.arange(ranked.size) / ranked.size
        evidence = name in ("scores_stale", "scores_foreign")
        made.append(
            Curve(
                name=name,
                kind=CurveKind.SCORES,
                title=title,
                x_name="evidence for an old nonce" if evidence else "contrast",
                x_unit="log10" if evidence else "",
                y_name="recordings that reach it",
                y_unit="share",
                x=tuple(float(each) for each in ranked),
                y=tuple(float(each) for each in reach),
            )
        )
    return tuple(made)


# -- query memory ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Marks:
    """A command as the query memory keeps it: fingerprints, no sound.

    Parameters
    ----------
    said : which clip it is.
    paper : the paper's fingerprint, near : that of the counting detector; in hexadecimal digits.
    """

    said: str
    paper: str
    near: str


def marks(said: str, command: Signal) -> Marks:
    """The fingerprints of a command."""
    return Marks(
        said, paper_fingerprint(command).to_bytes().hex(), fingerprint(command).to_bytes().hex()
    )


@dataclass(frozen=True)
class Alike:
    """How alike commands are.

    Parameters
    ----------
    recorded, on_file : mean cosine of different commands as recorded here, and as on file.
    pairs : how many pairs of different commands there were.
    false_copies : of them, near-copies by the maker's limit.
    over_limit : commands whose mean cosine with the others is over the limit for speech.
    commands : how many commands.
    """

    recorded: float
    on_file: float
    pairs: int
    false_copies: int
    over_limit: int
    commands: int

    @property
    def factor(self) -> float:
        """What the maker's limits are multiplied with here, 1 to 2."""
        if self.pairs < MIN_LIKE or self.on_file <= 0.0:
            return 1.0
        return float(np.clip(round(self.recorded / self.on_file, 3), 1.0, MAX_FACTOR))


def alike(heard: Sequence[Marks]) -> Alike:
    """Compare the commands that were recorded here."""
    limits = shipped()
    papers = [PaperFingerprint.from_bytes(bytes.fromhex(each.paper)) for each in heard]
    nears = [Fingerprint.from_bytes(bytes.fromhex(each.near)) for each in heard]
    names = sorted({each.said for each in heard})
    by_name = dict(voices())
    filed = {name: paper_fingerprint(by_name[name]) for name in names if name in by_name}
    recorded: list[float] = []
    on_file: list[float] = []
    false_copies = 0
    by_command: list[list[float]] = [[] for _ in heard]
    for a, b in itertools.combinations(range(len(heard)), 2):
        if heard[a].said == heard[b].said:
            continue
        false_copies += _near(nears[a], nears[b])
        one = float(cosine(papers[a], papers[b]))
        recorded.append(one)
        by_command[a].append(one)
        by_command[b].append(one)
        if heard[a].said in filed and heard[b].said in filed:
            on_file.append(float(cosine(filed[heard[a].said], filed[heard[b].said])))
    counted = Alike(
        recorded=float(np.mean(recorded)) if recorded else 0.0,
        on_file=float(np.mean(on_file)) if on_file else 0.0,
        pairs=len(recorded),
        false_copies=false_copies,
        over_limit=0,
        commands=sum(bool(each) for each in by_command),
    )
    delta = limits.paper_for(PaperSettings(weights="mean"))["speech"]
    over = sum(bool(each) and float(np.mean(each)) > delta * counted.factor for each in by_command)
    return Alike(**{**counted.__dict__, "over_limit": over})


def _near(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two commands are near-copies by the maker's limit."""
    peaks = max(1, min(len(one), len(other)))
    return likeness(one, other) > shipped().neighbours.likeness(peaks)


def missed_copies(trials: Trials, settings: NonceSettings, count: int = COPIES) -> tuple[int, int]:
    """Commands that are repeated at one place and not taken for copies, and of how many.

    Each is simulated twice through what was measured, with noise of its own, as an attacker's
    loudspeaker that stands still would repeat it.
    """
    missed = 0
    for index in range(count):
        script = trials.live(settings, index, "copies")
        takes = []
        for take in ("one take", "another take"):
            seen = trials.judge(script, trials.simulate(script, index, take), settings)
            evidence = seen.judgement.evidence
            takes.append(fingerprint(evidence.within_speech(evidence.cleaned)))
        missed += not _near(*takes)
    return missed, count


def memory_thresholds(
    heard: Sequence[Marks], settings: MemorySettings, copies: tuple[int, int]
) -> tuple[Threshold, ...]:
    """The limits of the query memory in this room, for each class.

    Parameters
    ----------
    copies : those that were missed, and how many there were.
    """
    limits = shipped()
    found = alike(heard)
    # In the other mode the paper's settings may be any; the table has these.
    paper = settings.paper if settings.mode == "paper" else PaperSettings()
    delta = limits.paper_for(paper)
    peaks = 60
    corrected = (
        f"the maker's times {found.factor:g}: {found.pairs} pairs of different commands have a "
        f"mean cosine of {found.recorded:.4f} here, {found.on_file:.4f} on file"
        if found.pairs >= MIN_LIKE
        else "the maker's: too few commands were recorded to correct it"
    )
    return (
        Threshold(
            name="memory.neighbours.likeness",
            value=round(limits.neighbours.likeness(peaks), 5),
            unit=f"likeness at {peaks} peaks",
            frr=share(found.false_copies, found.pairs) if found.pairs else None,
            far=share(*copies),
            note="the maker's. FRR: pairs of different commands taken for copies, as recorded "
            "here; FAR: a command repeated at one place in this noise, as simulated, and "
            "not taken for a copy.",
        ),
        Threshold(
            name="memory.neighbours.mean",
            value=round(min(1.0, limits.neighbours.mean * found.factor), 6),
            unit="mean cosine",
            note=corrected,
        ),
        Threshold(
            name="memory.paper.speech",
            value=round(delta["speech"] * found.factor, 6),
            unit="score",
            frr=share(found.over_limit, found.commands) if found.commands else None,
            note=f"{corrected}. FRR: commands here whose mean cosine with the others is over it.",
        ),
        Threshold(
            name="memory.paper.music",
            value=round(delta["music"], 6),
            unit="score",
            note="the maker's: no music was played, so nothing corrects it.",
        ),
    )


# -- speaker --------------------------------------------------------------------------------


def speaker_threshold(settings: SpeakerSettings, far_target: float) -> Threshold:
    """The limit for everybody at home, with who is enrolled now.

    Parameters
    ----------
    far_target : share of strangers that may be taken for somebody at home.
    """
    name, unit = "speaker.threshold", "standard deviations of the cohort"
    try:
        model = SpeakerModel.open(settings.model)
        with credentials(settings) as environ:
            people = () if settings.vault is None else Vault.of(settings, environ).people
    except EarmarkError as error:
        return Threshold(name=name, value=0.0, unit=unit, note=f"not known: {error.what}"[:900])
    criterion = Criterion.calibrated(far_target, model.decision)
    roster = Roster(people, Cohort(model.cohort), model.id, criterion)
    if not roster.people:
        return Threshold(
            name=name,
            value=0.0,
            unit=unit,
            note="nobody is enrolled, so there is nobody to tell from strangers: enrol, and run "
            "earmark people check",
        )
    refused = [roster.reliability(person).frr for person in roster.people]
    return Threshold(
        name=name,
        value=round(roster.threshold, 4),
        unit=unit,
        frr=share(sum(each.count for each in refused), sum(each.of for each in refused)),
        far=share(roster.far.count, roster.far.of),
        note=f"{len(roster.people)} enrolled. FRR: each enrolment phrase against the others, one "
        f"day; FAR: {roster.far.of} strangers that come with the model taken for anybody at home.",
    )
