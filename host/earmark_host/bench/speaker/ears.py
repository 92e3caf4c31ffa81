"""Everything that hears who speaks, behind one interface: the device's file, networks, peers.

An ear gives an embedding of a recording and, where it was trained to name people, their logits.
Those who attack it ask for gradients; the int8 file, which has none, is attacked through a copy
that computes the same numbers, and through the float network that it was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from earmark.signal import Signal, gain
from earmark.speaker import SpeakerModel, level_gain_db, levelled
from earmark.speaker.manifest import NETWORK
from earmark.speaker.model import shipped_folder
from earmark_host.bench.speaker.cast import Trained
from earmark_host.speaker.checkpoint import load
from earmark_host.speaker.export.surrogate import Surrogate
from earmark_host.speaker.network import SpeakerNet
from earmark_host.speaker.victim import NetVictim

if TYPE_CHECKING:
    from earmark_host.speaker.encoders import Encoder

Vector: TypeAlias = NDArray[np.float32]

COSINE_SCALE = 30.0
"""Logits of a comparison with voiceprints are so many times the cosine: at 1 a softmax could not
come near certainty, and attacks on it would stall."""


@dataclass(frozen=True, eq=False)
class Heard:
    """What an ear made of a recording.

    Parameters
    ----------
    embedding : shape (E,), of length 1.
    logits : shape (people,), of those whom it was trained to name; None where there are none.
    """

    embedding: Vector
    logits: Vector | None = None


class Ear(Protocol):
    """Hears who speaks."""

    @property
    def trained(self) -> Trained:
        """Whom it has heard in training, as far as that is known."""
        ...

    def hear(self, signal: Signal) -> Heard:
        """What it makes of a recording, exactly as it is used."""
        ...

    def embeddings(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """(B, n), of each row so many samples -> (B, E) of length 1, differentiable."""
        ...

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """The same -> (B, people); only of an ear that names people."""
        ...


class Ears(Protocol):
    """Where an ear comes from: picklable, so that each process opens its own."""

    def open(self) -> Ear:
        """Open it; EarmarkError where that cannot be."""
        ...

    def __hash__(self) -> int:
        """It is opened once."""
        ...


# -- ours -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """A network from a file that ``earmark-host speaker train`` wrote."""

    path: Path

    def open(self) -> Net:
        """Load it."""
        torch.set_num_threads(1)
        found = load(self.path)
        return Net(found.net, trained(found.people, found.split))


@dataclass(frozen=True)
class Shipped:
    """The int8 file.

    Parameters
    ----------
    folder : of the model; None: the one that ships.
    parent : the checkpoint that it was exported from; None: whom it was trained on is not known.
    """

    folder: Path | None
    parent: Path | None

    def open(self) -> Device:
        """Open it, with its self-test."""
        torch.set_num_threads(1)
        known = Trained()
        if self.parent is not None:
            found = load(self.parent)
            known = trained(found.people, found.split)
        return Device(self.folder, known)


def trained(names: tuple[str, ...], split: dict[str, object]) -> Trained:
    """From what a checkpoint says."""

    def listed(key: str) -> list[str]:
        value = split.get(key, [])
        return [str(each) for each in value] if isinstance(value, list) else []

    return Trained(
        names,
        frozenset(listed("test_clips")),
        frozenset(names) | frozenset(listed("extra_people")),
    )


class _Windowed(Protocol):
    """A network that hears windows: of ours, or the copy of a file."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def embed(self, x: Tensor) -> Tensor: ...

    def windows(self, signal: Tensor) -> Tensor: ...


class _Embedding:
    """One that stops at the embedding."""

    def __init__(self, net: _Windowed) -> None:
        self._net = net

    def __call__(self, x: Tensor) -> Tensor:
        return self._net.embed(x)

    def windows(self, signal: Tensor) -> Tensor:
        return self._net.windows(signal)


class _Differentiable:
    """Both outputs of a batch, on average over the windows."""

    def __init__(self, net: _Windowed) -> None:
        self._naming, self._embedding = NetVictim(net), NetVictim(_Embedding(net))

    def embeddings(self, x: Tensor, samples: Sequence[int] | None) -> Tensor:
        return functional.normalize(self._embedding.logits(_levelled(x, samples), samples))

    def logits(self, x: Tensor, samples: Sequence[int] | None) -> Tensor:
        return self._naming.logits(_levelled(x, samples), samples)


def _levelled(x: Tensor, samples: Sequence[int] | None) -> Tensor:
    """Each row at the level that the device brings it to.

    The gain is a constant: what an attack adds moves the level by hundredths of a dB.
    """
    lengths = [x.shape[1]] * len(x) if samples is None else samples
    rows = zip(x.detach().numpy(), lengths, strict=True)
    gains = [gain(level_gain_db(row[:n])) for row, n in rows]
    return (x * torch.tensor(gains, dtype=x.dtype)[:, None]).clamp(-1.0, 1.0)


class Net:
    """A network of ours in float."""

    def __init__(self, net: SpeakerNet, known: Trained) -> None:
        self._net = net.eval().requires_grad_(False)
        self._trained = known
        self._batch = _Differentiable(self._net)

    @property
    def trained(self) -> Trained:
        """See :class:`Ear`."""
        return self._trained

    def hear(self, signal: Signal) -> Heard:
        """See :class:`Ear`."""
        with torch.no_grad():
            embedding, logits = self._net.recording(torch.from_numpy(levelled(signal)))
        return Heard(_unit(embedding.numpy()), logits.numpy())

    def embeddings(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Ear`."""
        return self._batch.embeddings(x, samples)

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Ear`."""
        return self._batch.logits(x, samples)


class Device:
    """The int8 file as the device runs it; its copy where gradients are asked for.

    Parameters
    ----------
    folder : of the model; None: the one that ships.
    known : whom it was trained on.

    Attributes
    ----------
    model : the device's own.
    bytes : size of the file.
    """

    def __init__(self, folder: Path | None, known: Trained) -> None:
        self.model = SpeakerModel.open(folder)
        self._folder = folder or shipped_folder()
        self.bytes = (self._folder / NETWORK).stat().st_size
        self._trained = known

    @property
    def trained(self) -> Trained:
        """See :class:`Ear`."""
        return self._trained

    def hear(self, signal: Signal) -> Heard:
        """See :class:`Ear`."""
        embedding, logits = self.model.outputs(levelled(signal))
        return Heard(_unit(embedding), logits)

    def embeddings(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Ear`."""
        return self._copy.embeddings(x, samples)

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Ear`."""
        return self._copy.logits(x, samples)

    @cached_property
    def _copy(self) -> _Differentiable:
        copy = Surrogate.open(self._folder).eval()
        return _Differentiable(copy.requires_grad_(False))


# -- peers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """An encoder of others, out of an installed package."""

    name: str

    def open(self) -> Encoded:
        """Load it."""
        torch.set_num_threads(1)
        from earmark_host.speaker import encoders  # noqa: PLC0415 - packages that may be missing

        return Encoded(encoders.encoder(self.name))


class Encoded:
    """A peer; it names nobody."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @property
    def trained(self) -> Trained:
        """See :class:`Ear`."""
        return Trained()

    def hear(self, signal: Signal) -> Heard:
        """See :class:`Ear`."""
        return Heard(_unit(self._encoder.embed(signal)))

    def embeddings(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Ear`."""
        lengths = [x.shape[1]] * len(x) if samples is None else samples
        rows = zip(x, lengths, strict=True)
        return torch.cat([self._encoder(row[None, :n]) for row, n in rows])

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`Ear`."""
        raise ValueError("it was trained to name nobody here")


# -- what is attacked -----------------------------------------------------------------------


class Naming:
    """Who of some people speaks: by the logits for them, or by their voiceprints.

    A :class:`~earmark_host.speaker.victim.Victim`.

    Parameters
    ----------
    voiceprints : shape (people, E), of length 1; None: by the ear's own logits.
    exact : give scores exactly as it is used, and no gradients.
    """

    def __init__(self, ear: Ear, voiceprints: Vector | None = None, exact: bool = False) -> None:
        self._ear = ear
        self._prints = voiceprints
        self.differentiable = not exact

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """(B, n) -> (B, people)."""
        if not self.differentiable:
            lengths = [x.shape[1]] * len(x) if samples is None else samples
            rows = zip(x.numpy(), lengths, strict=True)
            heard = [self._ear.hear(sixteen_bit(row[:n])) for row, n in rows]
            return torch.from_numpy(np.stack([scores(each, self._prints) for each in heard]))
        if self._prints is None:
            return self._ear.logits(x, samples)
        return COSINE_SCALE * self._ear.embeddings(x, samples) @ torch.from_numpy(self._prints).T

    def named(self, signal: Signal) -> int:
        """Whom it names, exactly as it is used."""
        return place(self._ear.hear(signal), self._prints)


class Verifying:
    """Whether somebody is the one with this voiceprint: class 1 says yes, class 0 no.

    A victim too. Taken for class 1 instead of 0, or the other way round, is a push of the cosine:
    as far as the ball allows, where `threshold` is out of reach.

    Parameters
    ----------
    voiceprint : shape (E,), of length 1.
    threshold : cosine at which yes becomes as likely as no.
    """

    differentiable = True

    def __init__(self, ear: Ear, voiceprint: Vector, threshold: float) -> None:
        self._ear = ear
        self._print = voiceprint
        self._threshold = threshold

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """(B, n) -> (B, 2)."""
        cosine = self._ear.embeddings(x, samples) @ torch.from_numpy(self._print)
        yes = COSINE_SCALE * (cosine - self._threshold)
        return torch.stack([torch.zeros_like(yes), yes], 1)


def scores(heard: Heard, voiceprints: Vector | None) -> Vector:
    """For each person: the logit, or the scaled cosine to the voiceprint."""
    if voiceprints is not None:
        return np.asarray(COSINE_SCALE * (voiceprints @ heard.embedding), np.float32)
    if heard.logits is None:
        raise ValueError("it was trained to name nobody here")
    return heard.logits


def place(heard: Heard, voiceprints: Vector | None) -> int:
    """The most likely person."""
    return int(np.argmax(scores(heard, voiceprints)))


def mean_print(embeddings: Sequence[Vector]) -> Vector:
    """The voiceprint of a person from their enrolment clips: the mean, of length 1."""
    return _unit(np.mean(embeddings, axis=0))


def sixteen_bit(signal: Signal) -> Signal:
    """As it comes out of a 16-bit file."""
    rounded = np.clip(np.round(signal * 32768.0), -32768, 32767) / 32768.0
    return np.asarray(rounded, np.float32)


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)
