"""How well a speaker model holds up: every attack on every held-out clip, and what is left.

A clip that one attack breaks is broken: the figure that counts is the share of clips that none
breaks (:attr:`Found.worst`). So the costly attacks run only on clips that the cheap ones left, and
what each of them could do alone is told from a random sample of clips (:attr:`Held.alone`).

Everything crafted is rounded to 16 bits within the ball before it is judged, as a file would be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio import RoomModel
from earmark.signal import Signal
from earmark_host.speaker.attacks import (
    ArtPgd,
    Attack,
    AutoAttack,
    Batch,
    Fgsm,
    InRoom,
    Nes,
    Pgd,
    Raise,
    RandomSigns,
    Square,
    as_pcm16,
    batches,
    examples,
    fooled,
)
from earmark_host.speaker.victim import Victim

Mask: TypeAlias = NDArray[np.bool_]
"""One value a clip."""

PLAYED_FROM = "attacker"
"""The place of the attacker's loudspeaker in a room, 1 m from the device."""


class Kind(StrEnum):
    """What the attacker knows."""

    WHITE = "white"
    BLACK = "black"
    TRANSFER = "transfer"
    CONTROL = "control"


@dataclass(frozen=True)
class Plan:
    """What is tried.

    Parameters
    ----------
    eps : the most that a sample is changed, full scale 1.
    at : steps of the attacks of the paper's Table 1.
    iterations : steps of its Fig. 2, on the way of one attack.
    sweep : eps of its Fig. 1 and beyond, rising.
    sweep_steps : of PGD there.
    restarts, restart_steps : of the strongest PGD and CW, whose steps are eps/10; 0 restarts:
        without.
    queries : answers that a black-box attack may use for a clip; 0: without such attacks.
    sample : clips on which each black-box attack is tried whatever came before.
    auto_targets, auto_steps : of AutoAttack; its standard is 9 and 100; 0 targets: without.
    """

    eps: float = 0.002
    at: tuple[int, ...] = (10, 20, 40)
    iterations: tuple[int, ...] = tuple(range(10, 101, 10))
    sweep: tuple[float, ...] = (
        *(round(0.001 * step, 3) for step in range(1, 11)),
        0.015,
        0.02,
        0.03,
        0.05,
        0.1,
    )
    sweep_steps: int = 100
    restarts: int = 5
    restart_steps: int = 100
    queries: int = 2000
    sample: int = 50
    auto_targets: int = 9
    auto_steps: int = 100


FULL = Plan()
"""What the figures that are published rest on."""

TABLES = Plan(restarts=0, queries=0, auto_targets=0)
"""The paper's tables and figures and ART, at a tenth of the cost: to compare many trainings. Its
worst case is too good: what finds more than PGD and CW is left out."""

QUICK = Plan(
    iterations=(10, 20, 40),
    sweep=(0.001, 0.002, 0.005, 0.02, 0.1),
    sweep_steps=20,
    restarts=2,
    restart_steps=20,
    queries=100,
    sample=8,
    auto_targets=2,
    auto_steps=20,
)
"""Whether all of it works: its AutoAttack is weaker than PGD40, its black boxes see little."""


@dataclass(frozen=True, eq=False)
class Heldout:
    """The clips that everything is measured on.

    Parameters
    ----------
    signals : not in anyone's training, 1-D float32 at 16 kHz, none shorter than a window.
    labels : who speaks: place among the people of the models.
    keys : name of each clip.
    """

    signals: tuple[Signal, ...]
    labels: tuple[int, ...]
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def groups(self, chosen: Mask, device: str) -> Iterator[tuple[NDArray[np.intp], Batch]]:
        """The chosen clips in batches, with their numbers."""
        numbers = np.flatnonzero(chosen)
        signals = [self.signals[number] for number in numbers]
        labels = [self.labels[number] for number in numbers]
        for places, batch in batches(signals, labels, device):
            yield numbers[places], batch


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that is attacked.

    Parameters
    ----------
    arm, seed : how it was trained.
    victim : who is asked in the end.
    crafted_on : where white-box attacks get their gradients, by name; empty: the victim itself.
        For an int8 file these are its float parent and the straight-through surrogate.
    """

    arm: str
    seed: int
    victim: Victim
    crafted_on: Mapping[str, Victim] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Arm and seed."""
        return f"{self.arm}/{self.seed}"

    @property
    def sources(self) -> Mapping[str, Victim]:
        """Whose gradients there are, by what is appended to an attack's name."""
        if self.crafted_on:
            return {f"@{name}": victim for name, victim in self.crafted_on.items()}
        return {"": self.victim} if self.victim.differentiable else {}


@dataclass(frozen=True, eq=False)
class Held:
    """What one attack did.

    Parameters
    ----------
    attack : its name.
    kind : what it knows.
    tried : the clips that it was tried on.
    broken : those that it broke; all of them were recognised before.
    alone : the clips that tell what it can do alone: all, a random sample, or none where it
        only ran on what others had left.
    cpu_s : what it cost; 0 where it is a part of another.
    """

    attack: str
    kind: Kind
    tried: Mask
    broken: Mask
    alone: Mask
    cpu_s: float


@dataclass(frozen=True, eq=False)
class Aired:
    """What became of examples in a room.

    Parameters
    ----------
    attack : ``none`` for the clips as they are.
    room_known : whether it was crafted through the same room.
    right : still recognised, of all clips.
    """

    attack: str
    room_known: bool
    right: Mask
    cpu_s: float


@dataclass(frozen=True, eq=False)
class Found:
    """Everything about one subject.

    Parameters
    ----------
    clean : which clips are recognised as they are.
    held : by attacks at the plan's eps.
    sweep : still recognised under PGD at each eps, or broken at a smaller one.
    aired : in rooms.
    sweep_cpu_s : cost of the sweep.
    """

    arm: str
    seed: int
    clean: Mask
    held: tuple[Held, ...]
    sweep: Mapping[float, Mask]
    aired: tuple[Aired, ...]
    sweep_cpu_s: float

    @property
    def worst(self) -> Mask:
        """Recognised whatever was tried at the plan's eps."""
        return self.clean & ~_any(self.held, self.clean)

    @property
    def white(self) -> Mask:
        """Recognised under all white-box attacks."""
        return self.clean & ~_any([h for h in self.held if h.kind is Kind.WHITE], self.clean)

    def under(self, attack: str) -> Held | None:
        """What the attack of that name did, if it was tried."""
        return next((held for held in self.held if held.attack == attack), None)


@dataclass(frozen=True, eq=False)
class Transferred:
    """Examples crafted on another model.

    Parameters
    ----------
    source : its arm and seed.
    attack : how.
    signals : the examples, one a clip.
    cpu_s : what they cost.
    """

    source: str
    attack: str
    signals: tuple[Signal, ...]
    cpu_s: float


def transferred(
    subject: Subject, heldout: Heldout, plan: Plan, seed: int, device: str = "cpu"
) -> list[Transferred]:
    """PGD and CW examples of the most steps of Table 1, to be tried on other models."""
    found = []
    for goal in (Raise.CROSS_ENTROPY, Raise.MARGIN):
        attack = Pgd(max(plan.at), goal)
        rng = _rng(seed, "transfer", attack.name)
        made: dict[int, Signal] = {}
        began = time.process_time()
        for numbers, batch in heldout.groups(np.ones(len(heldout), np.bool_), device):
            x = examples(attack, subject.victim, batch, plan.eps, rng).cpu().numpy()
            made |= {
                int(number): x[row, : batch.samples[row]] for row, number in enumerate(numbers)
            }
        cpu_s = time.process_time() - began
        signals = tuple(made[number] for number in range(len(heldout)))
        found.append(Transferred(subject.name, attack.name, signals, cpu_s))
    return found


class Evaluation:
    """The attacks on one subject, in the order in which they spare work.

    Parameters
    ----------
    subject : who is attacked.
    heldout : the clips.
    plan : what is tried.
    rooms : for examples over the air; none: none.
    seed : of everything random.
    device : where the victims are, ``cpu`` or ``cuda``.
    step : called with the name of each attack before it runs.
    """

    def __init__(
        self,
        subject: Subject,
        heldout: Heldout,
        plan: Plan,
        rooms: Sequence[RoomModel] = (),
        seed: int = 1,
        device: str = "cpu",
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.subject, self.heldout, self.plan = subject, heldout, plan
        self.rooms, self.seed, self.device, self.step = rooms, seed, device, step
        self._all = np.ones(len(heldout), np.bool_)
        self._none = np.zeros(len(heldout), np.bool_)
        self._held: list[Held] = []
        self.clean = self._all & ~self._judged(subject.victim, heldout.signals, self._all)

    def run(self, from_others: Sequence[Transferred] = ()) -> Found:
        """Try everything.

        Parameters
        ----------
        from_others : examples of other models of the same people.
        """
        for suffix, source in self.subject.sources.items():
            self._white(source, suffix)
        self._try(RandomSigns(), Kind.CONTROL, self.subject.victim, self.clean)
        for examples_ in from_others:
            if examples_.source != self.subject.name:
                self._transfer(examples_)
        for suffix, source in self.subject.sources.items():
            self._restarts(source, suffix)
        self._black()
        began = time.process_time()
        sweep = self._sweep()
        sweep_cpu_s = time.process_time() - began
        return Found(
            arm=self.subject.arm,
            seed=self.subject.seed,
            clean=self.clean,
            held=tuple(self._held),
            sweep=sweep,
            aired=tuple(self._aired()),
            sweep_cpu_s=sweep_cpu_s,
        )

    @property
    def left(self) -> Mask:
        """Clips that nothing has broken yet."""
        return self.clean & ~_any(self._held, self.clean)

    def _white(self, source: Victim, suffix: str) -> None:
        """Table 1, Fig. 2, and the libraries, each on all clips."""
        plan, white = self.plan, Kind.WHITE
        self._try(Fgsm(), white, source, self.clean, suffix)
        self._along(Raise.CROSS_ENTROPY, source, suffix, sorted({*plan.at, *plan.iterations}))
        self._along(Raise.MARGIN, source, suffix, sorted({*plan.at, max(plan.iterations)}))
        self._along(Raise.SCATTERING, source, suffix, plan.at)
        self._try(ArtPgd(max(plan.at)), white, source, self.clean, suffix)
        if plan.auto_targets:
            auto = AutoAttack(plan.auto_targets, plan.auto_steps)
            self._try(auto, white, source, self.clean, suffix)

    def _restarts(self, source: Victim, suffix: str) -> None:
        if not self.plan.restarts:
            return
        for goal in (Raise.MARGIN, Raise.CROSS_ENTROPY):
            attack = Pgd(self.plan.restart_steps, goal, 0.1, self.plan.restarts, best=True)
            self._try(attack, Kind.WHITE, source, self.left, suffix, alone=self._none)

    def _black(self) -> None:
        """On a random sample of all clips, and on what is left."""
        if not self.plan.queries:
            return
        drawn = _rng(self.seed, "sample").permutation(len(self.heldout))[: self.plan.sample]
        sample = self._none.copy()
        sample[drawn] = True
        queries = self.plan.queries
        for attack in (Square(queries), Nes(queries), Nes(queries, targeted=True)):
            tried = self.left | (sample & self.clean)
            self._try(attack, Kind.BLACK, self.subject.victim, tried, alone=sample)

    def _try(
        self,
        attack: Attack,
        kind: Kind,
        source: Victim,
        tried: Mask,
        suffix: str = "",
        alone: Mask | None = None,
    ) -> None:
        name = attack.name + suffix
        self.step(name)
        rng = _rng(self.seed, attack.name)
        began = time.process_time()
        broken = self._broken(partial(examples, attack, source, eps=self.plan.eps, rng=rng), tried)
        cpu_s = time.process_time() - began
        alone = self._all if alone is None else alone
        self._held.append(Held(name, kind, tried.copy(), broken, alone, cpu_s))

    def _along(self, goal: Raise, source: Victim, suffix: str, at: Sequence[int]) -> None:
        """One attack, judged after several numbers of steps."""
        attack = Pgd(max(at), goal)
        self.step(attack.name + suffix)
        rng = _rng(self.seed, attack.name)
        broken = {steps: self._none.copy() for steps in at}
        began = time.process_time()
        for numbers, batch in self.heldout.groups(self.clean, self.device):
            shots = attack.snapshots(source, batch, self.plan.eps, rng, at)
            for steps, crafted in shots.items():
                x = as_pcm16(crafted * batch.inside, batch.x, self.plan.eps)
                broken[steps][numbers] = fooled(self.subject.victim, x, batch).cpu().numpy()
        cpu_s = time.process_time() - began
        self._held += [
            Held(
                f"{goal}{steps}{suffix}",
                Kind.WHITE,
                self.clean,
                broken[steps],
                self._all,
                cpu_s if steps == max(at) else 0.0,
            )
            for steps in at
        ]

    def _transfer(self, other: Transferred) -> None:
        name = f"{other.attack}<{other.source}"
        self.step(name)
        broken = self.clean & self._judged(self.subject.victim, other.signals, self.clean)
        self._held.append(Held(name, Kind.TRANSFER, self.clean, broken, self._all, other.cpu_s))

    def _sweep(self) -> dict[float, Mask]:
        """PGD at rising eps. A ball holds all smaller ones: what is broken stays so."""
        right = self.clean.copy()
        found: dict[float, Mask] = {}
        for eps in self.plan.sweep:
            self.step(f"eps {eps:g}")
            for source in self.subject.sources.values():
                attack = Pgd(self.plan.sweep_steps, best=True)
                craft = partial(
                    examples, attack, source, eps=eps, rng=_rng(self.seed, "sweep", str(eps))
                )
                right &= ~self._broken(craft, right)
            found[eps] = right.copy()
            if not right.any():
                break
        return found if self.subject.sources else {}

    def _aired(self) -> Iterator[Aired]:
        """CW, crafted without and with the room, played by a loudspeaker and heard in it."""
        sources = self.subject.sources
        if not self.rooms or not sources:
            return
        attack = Pgd(max(self.plan.at), Raise.MARGIN)
        for name, known in (("none", False), (attack.name, False), (attack.name, True)):
            self.step(f"{name} in rooms")
            right = self._none.copy()
            began = time.process_time()
            for number, room in enumerate(self.rooms):
                here = np.arange(len(self.heldout)) % len(self.rooms) == number
                hearing = InRoom.of(self.subject.victim, room, PLAYED_FROM, self.device)
                source = next(iter(sources.values()))
                through = InRoom(source, hearing.response) if known else source
                rng = _rng(self.seed, "air", name)
                craft: Callable[[Batch], Tensor] = (
                    _as_it_is
                    if name == "none"
                    else partial(examples, attack, through, eps=self.plan.eps, rng=rng)
                )
                right |= here & ~self._broken(craft, here, hearing)
            yield Aired(name, known, right, time.process_time() - began)

    def _broken(
        self, craft: Callable[[Batch], Tensor], tried: Mask, judge: Victim | None = None
    ) -> Mask:
        broken = self._none.copy()
        for numbers, batch in self.heldout.groups(tried, self.device):
            x = craft(batch)
            if judge is None:
                broken[numbers] = fooled(self.subject.victim, x, batch).cpu().numpy()
            else:
                broken[numbers] = fooled(judge, x, batch).cpu().numpy()
        return broken

    def _judged(self, victim: Victim, signals: Sequence[Signal], chosen: Mask) -> Mask:
        """Which of the chosen signals are taken for another person."""
        told = self._none.copy()
        other = Heldout(tuple(signals), self.heldout.labels, self.heldout.keys)
        for numbers, batch in other.groups(chosen, self.device):
            told[numbers] = fooled(victim, batch.x, batch).cpu().numpy()
        return told


def stages(plan: Plan, transfers: int, rooms: bool) -> int:
    """About how many times :class:`Evaluation` calls its `step` for one subject."""
    costly = (1 if plan.auto_targets else 0) + (2 if plan.restarts else 0)
    costly += 3 if plan.queries else 0
    return 6 + costly + transfers + len(plan.sweep) + (3 if rooms else 0)


def _as_it_is(batch: Batch) -> Tensor:
    return batch.x


def _any(held: Sequence[Held], like: Mask) -> Mask:
    found = np.zeros_like(like)
    for each in held:
        found |= each.broken
    return found


def _rng(seed: int, *names: str) -> np.random.Generator:
    return np.random.default_rng([seed, *"/".join(names).encode()])
