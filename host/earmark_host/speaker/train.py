"""Training: Algorithm 1 of Pal et al. 2021 with the recipe and the arm that are asked for.

All that is random in a step (which clips, where they are cut, how loud, where the attack starts)
is a function of the seed and of the step's number. So a training that was cut short goes on to
the same weights as one that was not, to the bit on one CPU.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from earmark.errors import EarmarkError
from earmark_host.speaker.arms import Arm
from earmark_host.speaker.attack import evaluating, perturb
from earmark_host.speaker.checkpoint import Trained, load_resume, save
from earmark_host.speaker.clips import SCALE, Cache, Clip, Split, played
from earmark_host.speaker.losses import adversarial, cross_entropy
from earmark_host.speaker.network import Shape, SpeakerNet
from earmark_host.speaker.reverb import TAKES, Rooms
from earmark_host.speaker.schedule import Recipe

LAST = "last.pt"
"""The checkpoint during training, with what is needed to go on."""

MODEL = "model.pt"
"""The checkpoint when training is over."""

LOG = "log.jsonl"
"""A line for each time that a checkpoint is saved."""

SAVE_EVERY = 250
"""Steps between two checkpoints: some minutes on one CPU core."""

NOBODY = -1
"""Label of a clip whose person is none of the classes."""

# Which draws of a step they are: numbers, so that adding one changes no other.
_ORDER, _CROPS, _START, _TAKES = 0, 1, 2, 3


@dataclass(frozen=True)
class Plan:
    """What to train, and how.

    Parameters
    ----------
    arm : against which attack.
    shape : of the network; its `teacher` is above 0 if and only if the recipe distils.
    recipe : of the training.
    seed : of everything random.
    bf16 : convolutions in bfloat16.
    """

    arm: Arm
    shape: Shape
    recipe: Recipe
    seed: int
    bf16: bool = False


@dataclass(frozen=True)
class Batch:
    """Crops: `signal` (n, samples), `label` (n,) or :data:`NOBODY`, `target` (n, D) or None."""

    signal: Tensor
    label: Tensor
    target: Tensor | None


@dataclass(frozen=True)
class Material:
    """The clips to train on.

    Parameters
    ----------
    split : its `train` clips carry the labels.
    extra : clips of others, heard only to learn from a teacher.
    targets : the teacher's embeddings of :attr:`clips`, (clips, D); None without a teacher.
    cache : to take the clips from.
    rooms : the same clips heard across rooms; None for dry ones only.
    speeds : at which the clips are also played, as voices of others.
    """

    split: Split
    extra: tuple[Clip, ...] = ()
    targets: NDArray[np.float32] | None = None
    cache: Cache = field(default_factory=Cache)
    rooms: Rooms | None = None
    speeds: tuple[float, ...] = ()

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """All that is heard in training."""
        other = tuple(clip.played(speed) for speed in self.speeds for clip in self.split.train)
        return self.split.train + other + self.extra

    @cached_property
    def voices(self) -> tuple[str, ...]:
        """The classes in training: the people, and then what they become at other speeds."""
        people = self.split.people
        return people + tuple(played(one, speed) for speed in self.speeds for one in people)

    def batch(self, plan: Plan, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The crops of a step, or the part of them that one of several processes gets."""
        clips, size = self.clips, plan.recipe.batch
        labels = {voice: label for label, voice in enumerate(self.voices)}
        places = _order(plan.seed, len(clips), step * size, size)
        rng = np.random.default_rng((plan.seed, _CROPS, step))
        starts, gains = rng.random(size), rng.uniform(-1.0, 1.0, size) * plan.recipe.gain_db
        far = rng.random(size) < plan.recipe.rooms
        takes = np.random.default_rng((plan.seed, _TAKES, step)).integers(TAKES, size=size)
        own = range(rank, size, world)
        crops = [
            _crop(
                self._samples(clips[places[i]], int(takes[i]) if far[i] else None),
                plan.shape.window_samples,
                starts[i],
                gains[i],
            )
            for i in own
        ]
        label = [labels.get(clips[places[i]].person, NOBODY) for i in own]
        target = None if self.targets is None else self.targets[[places[i] for i in own]]
        return Batch(
            signal=torch.from_numpy(np.stack(crops)),
            label=torch.tensor(label),
            target=None if target is None else torch.from_numpy(target),
        )

    def _samples(self, clip: Clip, take: int | None) -> NDArray[np.int16]:
        if take is None or self.rooms is None:
            return self.cache.samples(clip)
        return self.rooms.samples(clip, take)


class Loss(nn.Module):
    """What training minimises, as a module, so that several processes can share its gradient."""

    def __init__(self, net: SpeakerNet, plan: Plan) -> None:
        super().__init__()
        self.net = net
        self._plan = plan

    def forward(
        self, signal: Tensor, attacked: Tensor | None, label: Tensor, target: Tensor | None
    ) -> Tensor:
        """The loss of a batch; `attacked` is None while there is no attack."""
        arm = self._plan.arm
        if attacked is None:
            return self._of(signal, label, target, 1.0)
        loss = self._of(attacked, label, target, arm.w2)
        clean = arm.w1 if arm.clean_gradient else 0.0  # a constant has no gradient
        if clean or target is not None:
            loss = loss + self._of(signal, label, target, clean)
        return loss

    def _of(self, signal: Tensor, label: Tensor, target: Tensor | None, weight: float) -> Tensor:
        embedding = self.net.embed(signal)
        loss = distillation(self.net, embedding, target, self._plan.recipe.distil)
        known = label != NOBODY
        logits, label = self.net.classify(embedding[known]), label[known]
        if not weight or not label.numel():
            return loss + 0.0 * logits.sum()  # every weight has a gradient, be it zero
        if self._plan.recipe.margin:
            short = self.net.shape.scale * self._plan.recipe.margin
            logits = logits - short * functional.one_hot(label, logits.shape[1])
        return loss + weight * cross_entropy(logits, label, self._plan.arm.smoothing)


def distillation(
    net: SpeakerNet, embedding: Tensor, target: Tensor | None, weight: float
) -> Tensor:
    """`weight` times the mean distance, 1 - cosine, to the teacher's embedding; 0 without one."""
    if target is None or net.project is None:
        return embedding.new_zeros(())
    return weight * (1.0 - functional.cosine_similarity(net.project(embedding), target)).mean()


def train(
    material: Material,
    plan: Plan,
    out: Path,
    console: Console,
    resume: bool = False,
    stop_after: int | None = None,
    save_every: int = SAVE_EVERY,
    start: Trained | None = None,
) -> Trained:
    """Train a network; write :data:`LAST` as it goes on, :data:`MODEL` when it is done.

    Where torchrun started several processes each calls this; the first one writes.

    Parameters
    ----------
    material : the clips.
    plan : what to train, and how.
    out : folder of the checkpoints, made if missing.
    console : where the progress is shown.
    resume : go on from :data:`LAST` in `out`, which must be of the same plan.
    stop_after : end after this step as if the power had failed, with :data:`LAST` saved.
    save_every : steps between two checkpoints.
    start : a network whose weights to begin with, instead of random ones.

    Raises
    ------
    EarmarkError
        A file cannot be written or read, the checkpoint is of another plan, `start` is of another
        shape, or the batch cannot be shared out.
    """
    group = Group.of_environment(plan.recipe.batch)
    _make(out)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        net = SpeakerNet(plan.shape, len(material.voices))
    if start is not None:
        take_over(net, material.voices, start)
    trained = Trained(
        net=net,
        shape=plan.shape,
        people=material.voices,
        arm=plan.arm.name,
        seed=plan.seed,
        recipe=plan.recipe.described() | {"bf16": plan.bf16, "arm": asdict(plan.arm)},
        split=material.split.facts() | {"extra_people": sorted({c.person for c in material.extra})},
        steps=0,
        start=None if start is None else start.about,
    )
    state: dict[str, Any] | None = None
    if resume:
        trained, state = _resumed(out / LAST, trained)
        net = trained.net
    net.to(group.device)
    net.bf16 = plan.bf16
    optimizer = _optimizer(net, plan.recipe)
    if state is not None:
        optimizer.load_state_dict(state["optimizer"])
    loss: nn.Module = Loss(net, plan)
    if group.world > 1:
        # Each process has batch norm of its own; their running figures are averaged below.
        loss = DistributedDataParallel(loss, broadcast_buffers=False)
    sums: list[float] = []
    began = time.monotonic()
    with _bar(console, plan, trained.steps, group.rank == 0) as show:
        for step in range(trained.steps, plan.recipe.steps):
            sums.append(_step(material, plan, net, loss, optimizer, step, group))
            done = step + 1
            over = done in (stop_after, plan.recipe.steps)
            show(sums[-1])
            if over or done % save_every == 0:
                trained = replace(trained, steps=done)
                if group.rank == 0:
                    save(out / LAST, trained, {"optimizer": optimizer.state_dict()})
                    line = _line(plan, done, float(np.mean(sums)), time.monotonic() - began)
                    _log(out / LOG, line, console)
                sums.clear()
            if done == stop_after:
                break
    net.bf16 = False
    net.cpu().eval()
    if trained.steps == plan.recipe.steps:
        trained = narrowed(trained, material.split.people)
        if group.rank == 0:
            save(out / MODEL, trained)
    group.wait()
    return trained


def narrowed(trained: Trained, people: tuple[str, ...]) -> Trained:
    """The network for its first classes alone: `people` must be the first of those that it has."""
    if trained.people == people:
        return trained
    net = SpeakerNet(trained.shape, len(people))
    weights = trained.net.state_dict()
    heads = {name: value for name, value in weights.items() if name.startswith("head.")}
    net.load_state_dict(weights | {name: value[: len(people)] for name, value in heads.items()})
    return replace(trained, net=net.eval(), people=people)


def take_over(net: SpeakerNet, voices: Sequence[str], start: Trained) -> None:
    """Give a network the weights of a trained one: of its classes those that both have, and the
    layer for a teacher only where both have the same.

    Raises
    ------
    EarmarkError
        `start` is of another shape, or has heard other people.
    """
    own, given = net.state_dict(), start.net.state_dict()
    heads = {name for name in own if name.startswith("head.")}
    taught = {name for name in own if name.startswith("project.")}
    body = own.keys() - heads - taught
    rows = {voice: row for row, voice in enumerate(start.people)}
    pairs = [(row, rows[voice]) for row, voice in enumerate(voices) if voice in rows]
    fits = all(name in given and given[name].shape == own[name].shape for name in body)
    alike = start.shape.front_end == net.shape.front_end
    if not (fits and alike and all(name in given for name in heads) and pairs):
        raise EarmarkError(
            "the network to start with has another shape, front-end or other people",
            "give one that was trained with the same --shape on the same corpus",
        )
    for name in body:
        own[name].copy_(given[name])
    to, of = (torch.tensor(side) for side in zip(*pairs, strict=True))
    for name in heads:
        own[name][to] = given[name][of]
    for name in taught:
        if name in given and given[name].shape == own[name].shape:
            own[name].copy_(given[name])
    net.load_state_dict(own)


@torch.inference_mode()
def accuracy(trained: Trained, clips: Sequence[Clip], cache: Cache) -> tuple[int, int]:
    """How many recordings, heard whole and as they are, are given to the right person; and of
    how many."""
    labels = {person: label for label, person in enumerate(trained.people)}
    right = 0
    for clip in clips:
        signal = torch.from_numpy(cache.samples(clip).astype(np.float32) / np.float32(SCALE))
        _, logits = trained.net.recording(signal)
        right += int(logits.argmax()) == labels[clip.person]
    return right, len(clips)


@dataclass(frozen=True)
class Group:
    """The processes that train together: this one's place, how many, and what it computes on."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def of_environment(cls, batch: int) -> Group:
        """As torchrun says in the environment; alone without it.

        Raises
        ------
        EarmarkError
            `batch` cannot be shared out evenly.
        """
        cuda = torch.cuda.is_available()
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if batch % world:
            raise EarmarkError(
                f"{world} processes cannot share a batch of {batch}", "give a multiple with --batch"
            )
        local = int(os.environ.get("LOCAL_RANK", "0"))
        device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(device)
        if world > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if cuda else "gloo")
        return cls(int(os.environ.get("RANK", "0")), world, device)

    def average(self, net: nn.Module) -> None:
        """Give all processes the mean of the running figures of their batch norms."""
        if self.world == 1:
            return
        buffers = [value for value in net.buffers() if value.is_floating_point()]
        flat = torch.cat([value.flatten() for value in buffers])
        distributed.all_reduce(flat)
        flat /= self.world
        for value in buffers:
            value.copy_(flat[: value.numel()].view_as(value))
            flat = flat[value.numel() :]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            distributed.barrier()


def _step(
    material: Material,
    plan: Plan,
    net: SpeakerNet,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    group: Group,
) -> float:
    """One update of the weights; the loss before it."""
    batch = material.batch(plan, step, group.rank, group.world)
    signal, label = batch.signal.to(group.device), batch.label.to(group.device)
    target = None if batch.target is None else batch.target.to(group.device)
    for parameters in optimizer.param_groups:
        parameters["lr"] = plan.recipe.rate_at(step)
    net.train()
    eps = plan.recipe.eps_at(step) if plan.arm.steps else 0.0
    attacked = None
    if eps > 0.0:
        steps, alpha = plan.recipe.attack_at(step, plan.arm)
        generator = torch.Generator().manual_seed(_number(plan.seed, _START, step, group.rank))
        with evaluating(net):
            goal = _goal(net, plan, signal, label, target)
            attacked = perturb(goal, signal, eps, steps, alpha * eps, generator)
    value: Tensor = loss(signal, attacked, label, target)
    optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    if plan.recipe.clip:
        nn.utils.clip_grad_norm_(net.parameters(), plan.recipe.clip)
    optimizer.step()
    with torch.no_grad():
        group.average(net)
    return float(value.detach())


def _goal(
    net: SpeakerNet, plan: Plan, signal: Tensor, label: Tensor, target: Tensor | None
) -> partial[Tensor]:
    """What the attack maximises: the arm's loss, and the distance to a teacher if there is one."""
    known = label != NOBODY
    if plan.arm.gamma and bool(known.any()):
        with torch.no_grad():
            clean = net(signal[known])
    else:
        clean = signal.new_zeros(())  # nothing asks for it
    return partial(_attacked, net, plan, clean, known, label[known], target)


def _attacked(
    net: SpeakerNet,
    plan: Plan,
    clean: Tensor,
    known: Tensor,
    label: Tensor,
    target: Tensor | None,
    attacked: Tensor,
) -> Tensor:
    embedding = net.embed(attacked)
    goal = distillation(net, embedding, target, plan.recipe.distil)
    if label.numel():
        goal = goal + adversarial(plan.arm, clean, net.classify(embedding[known]), label)
    return goal


def _optimizer(net: SpeakerNet, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(net.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        net.parameters(),
        recipe.rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def _number(*parts: int) -> int:
    """A seed for torch of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _order(seed: int, clips: int, first: int, count: int) -> list[int]:
    """Which clips are heard: each epoch all of them, in an order of its own."""
    epochs = range(first // clips, (first + count - 1) // clips + 1)
    orders = {
        epoch: np.random.default_rng((seed, _ORDER, epoch)).permutation(clips) for epoch in epochs
    }
    return [int(orders[at // clips][at % clips]) for at in range(first, first + count)]


def _crop(
    samples: NDArray[np.int16], size: int, start: float, gain_db: float
) -> NDArray[np.float32]:
    """`size` samples from anywhere in a clip, said again where it is shorter; short of clipping."""
    if samples.size < size:
        samples = np.tile(samples, -(-size // samples.size))
    at = int(start * (samples.size - size + 1))
    crop = samples[at : at + size].astype(np.float32) / np.float32(SCALE)
    loudest = max(float(np.abs(crop).max()), 1.0 / SCALE)
    gain = min(float(10.0 ** (gain_db / 20.0)), 1.0 / loudest)
    return np.asarray(crop * np.float32(gain), np.float32)


def _resumed(path: Path, fresh: Trained) -> tuple[Trained, dict[str, Any]]:
    trained, state = load_resume(path)
    for name in ("shape", "people", "arm", "seed", "recipe", "split", "start"):
        saved, asked = getattr(trained, name), getattr(fresh, name)
        if _plain(saved) != _plain(asked):
            raise EarmarkError(
                f"{path} was saved with another {name}",
                "resume with the options and the corpus that it was started with, or train into "
                "another folder",
            )
    return trained, state


def _plain(value: Any) -> Any:
    """As it is after a round through JSON."""
    if isinstance(value, Shape):
        value = value.described()
    return json.loads(json.dumps(value))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EarmarkError(
            f"{folder} cannot be made ({error.strerror})", "give another folder with --out"
        ) from error


def _line(plan: Plan, done: int, loss: float, seconds: float) -> Mapping[str, Any]:
    step = done - 1
    return {
        "step": done,
        "loss": round(loss, 4),
        "eps": round(plan.recipe.eps_at(step), 6) if plan.arm.steps else 0.0,
        "rate": round(plan.recipe.rate_at(step), 6),
        "seconds": round(seconds, 1),
    }


def _log(path: Path, line: Mapping[str, Any], console: Console) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if not console.is_terminal:
        console.print("  ".join(f"{name} {value}" for name, value in line.items()))


@contextmanager
def _bar(console: Console, plan: Plan, done: int, visible: bool) -> Iterator[Any]:
    """A progress bar; called with the loss after each step."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=console,
        transient=True,
        disable=not visible,
    )
    with progress:
        bar: TaskID = progress.add_task(
            f"{plan.arm.name}, seed {plan.seed}", total=plan.recipe.steps, completed=done, loss=0.0
        )

        def show(loss: float) -> None:
            progress.update(bar, advance=1, loss=loss)

        yield show
