"""The paper's four attacks as simulated streams: through its detector in all readings, through
the default one, and hidden among fakes.

Digital: the device hears each query as it was sent, as the paper's models did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal, TypeAlias

import numpy as np

from earmark.errors import ConfigError
from earmark.memory import CarrierKind
from earmark.memory.paper import PaperReport, PaperSettings
from earmark.memory.paper.settings import Weighting
from earmark.signal import RATE_HZ, Signal
from earmark_host.bench.corpus import Clip
from earmark_host.bench.memory.hidden import CauseSeen, Variant, benign_thresholds, causes, hidden
from earmark_host.bench.memory.setup import Setup
from earmark_host.bench.memory.watch import Marked, count_neighbours, marked, score_paper
from earmark_host.memory.material import Material
from earmark_host.memory.scripts import shuffled
from earmark_host.memory.simulated import ATTACK_PROFILES, Profile, simulate
from earmark_host.memory.stream import Query

WEIGHTS: tuple[Weighting, ...] = ("clip", "raw", "mean", "official")

NOISES_DB = (25.0, 50.0, 75.0)
"""The paper's robust mode within the range where it gains (Table 5)."""

SHARES = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Of fakes. The paper's ends where its detector does, at .6 and more (Table 3)."""

NEIGHBOURS_QUERIES = 50
"""Queries of a stream that the default detector sees: what is kept after its alarm, at the 6th or
so, withholds all others, and the rest would repeat that."""

HIDDEN_QUERIES = 12
"""Attack queries by which the default detector should alarm, whatever the share of fakes."""

BENIGN_WINDOWS = 20_000
"""Benign windows under the thresholds of the cause, at one in a thousand."""


@dataclass(frozen=True)
class Reading:
    """One way to read the paper.

    Parameters
    ----------
    flags : of its detector.
    known : the carrier class is presumed to be known; else it is what the device takes it for.
    """

    flags: PaperSettings
    known: bool


READINGS: tuple[Reading, ...] = (
    *(
        Reading(PaperSettings(weights=weights, young=young, clear_on_alarm=clear), known)
        for weights in WEIGHTS
        for young, known in (("wait", True), ("wait", False), ("score", True))
        for clear in (True, False)
    ),
    *(
        Reading(PaperSettings(weights=weights, input_noise_snr_db=noise_db), True)
        for weights in WEIGHTS
        for noise_db in NOISES_DB
    ),
)
"""A memory that is never cleared is for the flag rate: else each alarm hides the next ones."""

DEFAULT = READINGS[0]
"""The reading of ``paper_dsr_<attack>``."""


@dataclass(frozen=True)
class Plan:
    """How much.

    Parameters
    ----------
    carriers : streams of each attack.
    longest : queries of a stream, at most.
    robust : how many of the carriers go through the robust mode too.
    hidden : how many of the carriers are hidden among fakes.
    exposed : attack queries of each of those.
    fakes : different clips that are fakes, at most.
    shares : of fakes.
    """

    carriers: int
    longest: int
    robust: int
    hidden: int
    exposed: int
    fakes: int
    shares: tuple[float, ...]


FULL = Plan(carriers=20, longest=1_000, robust=4, hidden=3, exposed=150, fakes=1_000, shares=SHARES)
QUICK = Plan(
    carriers=2, longest=160, robust=1, hidden=1, exposed=90, fakes=200, shares=(0.0, 0.6, 0.9)
)


@dataclass(frozen=True)
class Attacked:
    """Carrier number `index` under an attack, its first `queries`, with input noise or not."""

    attack: str
    index: int
    queries: int
    robust: bool


@dataclass(frozen=True)
class Hidden:
    """The same carrier, hidden at all shares."""

    attack: str
    index: int
    queries: int
    fakes: int
    shares: tuple[float, ...]


Piece: TypeAlias = Attacked | Hidden


@dataclass(frozen=True)
class Verdicts:
    """What a detector said to a stream.

    Parameters
    ----------
    queries : of the stream, fakes included.
    alarms : at queries of the attack.
    verdicts : queries of the attack that it said something to.
    first : number of the first one that alarmed, counted from 1 among the attack's; None: none.
    fsnr_db : SNR of that one, dB (Eq. 14); None where there is none, or it is the carrier.
    """

    queries: int
    alarms: int
    verdicts: int
    first: int | None
    fsnr_db: float | None


@dataclass(frozen=True)
class AttackSeen:
    """One stream.

    Parameters
    ----------
    paper : for each of :data:`READINGS`; None where it was not tried, or has no threshold.
    neighbours : of the first :data:`NEIGHBOURS_QUERIES`.
    right : queries that the device took for the class of their carrier.
    """

    attack: str
    queries: int
    paper: tuple[Verdicts | None, ...]
    neighbours: Verdicts
    right: int


@dataclass(frozen=True)
class ShareSeen:
    """One hidden stream under one detector.

    Parameters
    ----------
    detector : a weighting of the paper's, or ``neighbours``.
    cleared : with the memory cleared on alarm, for the DSR; of ``neighbours`` the only one.
    kept : never cleared, for the flag rate; of ``neighbours`` from the first query on that can
        have enough copies.
    """

    attack: str
    share: float
    detector: Weighting | Literal["neighbours"]
    cleared: Verdicts
    kept: Verdicts


@dataclass(frozen=True)
class HiddenSeen:
    """One attack at all shares; the causes only for speech, the class of the fakes."""

    shares: tuple[ShareSeen, ...]
    causes: tuple[CauseSeen, ...]


def pieces(plan: Plan) -> list[Piece]:
    """All streams, the longest first."""
    lengths = {name: min(each.queries, plan.longest) for name, each in ATTACK_PROFILES.items()}
    attacked = [
        Attacked(name, index, lengths[name], index < plan.robust)
        for name in sorted(lengths, key=lambda name: -lengths[name])
        for index in range(plan.carriers)
    ]
    concealed = [
        Hidden(name, index, min(plan.exposed, lengths[name]), plan.fakes, plan.shares)
        for name in lengths
        for index in range(plan.hidden)
    ]
    return [*concealed, *attacked]


def hold(setup: Setup, piece: Piece) -> AttackSeen | HiddenSeen:
    """Let a stream be heard."""
    profile = ATTACK_PROFILES[piece.attack]
    rng = setup.rng(f"simulated {piece.attack}", piece.index)
    stream = simulate(profile, carrier_of(setup, profile, piece.index), rng, piece.queries)
    if isinstance(piece, Attacked):
        noises: tuple[float | None, ...] = (None, *NOISES_DB) if piece.robust else (None,)
        return _attacked(setup, profile, list(marked(stream.queries, rng, noises)))
    return _hidden(setup, profile, list(marked(stream.queries, rng)), piece, rng)


def carrier_of(setup: Setup, profile: Profile, index: int) -> Signal:
    """Carrier number `index` of an attack: a song from a drawn moment on, or a sentence.

    Each clip once before any comes again, those that are long enough for the attack first; of
    people another one each time, as far as there are people.
    """
    material = setup.material
    needed = round(profile.length_s * RATE_HZ)
    # The same order for all pieces, so that no two of them take the same clip.
    order = setup.rng(f"carriers {profile.carrier}", 0)
    if profile.carrier == "music":
        clips = shuffled(material.music, order)
    else:
        clips = by_turns([shuffled(each, order) for each in _people(material, order)])
    enough = list(islice(_lengthy(material, clips, needed), index + 1))
    clip = enough[index] if len(enough) > index else clips[index % len(clips)]
    sound = material.load(clip)
    over = sound.size - needed
    if profile.carrier == "speech" or over <= 0:
        return sound
    start = int(setup.rng(f"moment {profile.name}", index).integers(over + 1))
    return sound[start:]


def _people(material: Material, rng: np.random.Generator) -> list[Sequence[Clip]]:
    return shuffled(list(material.sentences.values()), rng)


def by_turns(groups: Sequence[Sequence[Clip]]) -> list[Clip]:
    """The first of each group, then the second of each, and so on."""
    longest = max(map(len, groups))
    return [group[turn] for turn in range(longest) for group in groups if turn < len(group)]


def _lengthy(material: Material, clips: Sequence[Clip], size: int) -> Iterator[Clip]:
    return (clip for clip in clips if material.load(clip).size >= size)


def _attacked(setup: Setup, profile: Profile, marks: Sequence[Marked]) -> AttackSeen:
    return AttackSeen(
        profile.name,
        len(marks),
        tuple(_paper(setup, marks, reading, profile.carrier) for reading in READINGS),
        _neighbours(setup, marks[:NEIGHBOURS_QUERIES]),
        sum(mark.carrier == profile.carrier for mark in marks),
    )


def _paper(
    setup: Setup, marks: Sequence[Marked], reading: Reading, carrier: CarrierKind
) -> Verdicts | None:
    if reading.flags.input_noise_snr_db not in marks[0].paper:
        return None
    known = carrier if reading.known else None
    try:
        reports = list(score_paper(marks, reading.flags, setup.thresholds, known))
    except ConfigError:  # nothing was calibrated for this reading
        return None
    return _heard(marks, [(each.alarm, _spoke(each)) for each in reports])


def _neighbours(setup: Setup, marks: Sequence[Marked], least: int = 0) -> Verdicts:
    """Of the default detector, counted from attack query number `least` on (from 0)."""
    attack = 0
    said: list[tuple[bool, bool]] = []
    for mark, each in zip(
        marks, count_neighbours(marks, setup.settings, setup.thresholds), strict=True
    ):
        said.append((each.alarm and attack >= least, attack >= least))
        attack += not mark.fake
    return _heard(marks, said)


def _spoke(report: PaperReport) -> bool:
    return report.score is not None


def _heard(marks: Sequence[Marked], said: Sequence[tuple[bool, bool]]) -> Verdicts:
    """Count the verdicts (alarm, said anything at all) on the queries of the attack."""
    own = [(mark, *each) for mark, each in zip(marks, said, strict=True) if not mark.fake]
    alarms = [number for number, (_, alarm, _) in enumerate(own) if alarm]
    first = alarms[0] if alarms else None
    return Verdicts(
        len(marks),
        len(alarms),
        sum(spoke for _, _, spoke in own),
        None if first is None else first + 1,
        None if first is None else own[first][0].snr_db,
    )


def _hidden(
    setup: Setup,
    profile: Profile,
    marks: Sequence[Marked],
    piece: Hidden,
    rng: np.random.Generator,
) -> HiddenSeen:
    fakes = _fakes(setup, piece.fakes)
    depth = PaperSettings().depth
    benign: dict[Variant, float] = {}
    if profile.carrier == "speech" and len(fakes) > depth:
        benign = benign_thresholds(fakes, depth, BENIGN_WINDOWS, rng)
    shares: list[ShareSeen] = []
    cause: list[CauseSeen] = []
    for share in piece.shares:
        stream = hidden(marks, fakes, share, rng)
        shares += _at_share(setup, profile, share, stream)
        cause += causes(stream, share, depth, benign)
    return HiddenSeen(tuple(shares), tuple(cause))


def _at_share(
    setup: Setup, profile: Profile, share: float, stream: Sequence[Marked]
) -> Iterator[ShareSeen]:
    for weights in WEIGHTS:
        cleared, kept = (
            _paper(
                setup,
                stream,
                Reading(PaperSettings(weights=weights, clear_on_alarm=clear), known=True),
                profile.carrier,
            )
            for clear in (True, False)
        )
        if cleared is not None and kept is not None:
            yield ShareSeen(profile.name, share, weights, cleared, kept)
    own = [place for place, mark in enumerate(stream) if not mark.fake][:HIDDEN_QUERIES]
    beginning = stream[: own[-1] + 1]
    yield ShareSeen(
        profile.name,
        share,
        "neighbours",
        _neighbours(setup, beginning),
        _neighbours(setup, beginning, setup.settings.neighbours.copies),
    )


@lru_cache(maxsize=1)
def _fakes(setup: Setup, count: int) -> list[Marked]:
    """Sentences of all people by turns: what anybody has who wants to look like a household."""
    rng = setup.rng("fakes", 0)
    clips = by_turns([shuffled(each, rng) for each in _people(setup.material, rng)])[:count]
    return list(marked((Query(setup.material.load(clip), 0.0, fake=True) for clip in clips), rng))
