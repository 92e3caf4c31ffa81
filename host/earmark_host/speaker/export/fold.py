"""From a trained network to plain convolutions: batch norm goes into the convolutions around it.

The graph that is quantised then holds nothing but convolutions, maxima and means. The result is
exact, but for bands that the network hardly listens to (:data:`LEAST_GAIN`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from earmark_host.speaker.export.folded import Floats, Folded, Layer
from earmark_host.speaker.network import SpeakerNet

LEAST_GAIN = 1e-3
"""Least gain of the batch norm of the mel bands: below it a band is not listened to, and the value
that stands for its mean lies beyond all that int8 can hold."""


def fold(net: SpeakerNet) -> Folded:
    """The same network without batch norm.

    Its logits are those of `net`; with a cosine head, the products of the embedding and each
    person's unit weights, which are linear in the embedding: they rank people in the same way.

    Raises
    ------
    ValueError
        The network is made of other layers, or in another order, than
        :class:`~earmark_host.speaker.network.SpeakerNet`.
    """
    shape = net.shape
    mels = shape.front_end.mels
    plane, plane_bias = None, 0.0
    gain, offset = np.ones(mels), np.zeros(mels)
    if shape.first == "conv2d":
        plane, plane_bias = _plane(net.first)
    else:
        gain, offset = _affine(net.first)
        gain = np.where(gain < 0.0, -1.0, 1.0) * np.maximum(np.abs(gain), LEAST_GAIN)
    layers = list(_layers(net.body))
    first = layers[0]
    weight = first.weight.astype(np.float64)
    layers[0] = Layer(
        _floats(weight * gain[None, :, None]),
        _floats(first.bias + np.einsum("oik,i->o", weight, offset)),
        first.relu,
        first.pool,
    )
    return Folded(
        frames=shape.window_frames,
        mels=mels,
        plane=plane,
        plane_bias=plane_bias,
        edge=_floats(-offset / gain),
        layers=tuple(layers),
        pooling=shape.pooling,
        embedding=_linear(net.embedding) if isinstance(net.embedding, nn.Linear) else None,
        head=_head(net),
    )


def outputs(network: Folded, features: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, frames, mels) in dB -> (batch, E) embeddings and (batch, classes) logits."""
    hidden = features.transpose(1, 2)
    if network.plane is not None:
        plane = torch.from_numpy(network.plane)[None, None]
        reach = (network.plane.shape[0] // 2, network.plane.shape[1] // 2)
        hidden = functional.conv2d(hidden[:, None], plane, padding=reach)[:, 0]
        hidden = hidden + network.plane_bias
    for place, layer in enumerate(network.layers):
        reach_frames = layer.weight.shape[2] // 2
        if place == 0 and network.edge.any():
            edge = torch.from_numpy(network.edge)[None, :, None]
            edge = edge.expand(len(hidden), -1, reach_frames)
            hidden, reach_frames = torch.cat([edge, hidden, edge], 2), 0
        hidden = _applied(layer, hidden, reach_frames)
    largest, mean = hidden.amax(-1, keepdim=True), hidden.mean(-1, keepdim=True)
    pooled = {"max": largest, "mean": mean, "both": torch.cat([largest, mean], 1)}[network.pooling]
    embedding = pooled if network.embedding is None else _applied(network.embedding, pooled)
    return embedding[..., 0], _applied(network.head, embedding)[..., 0]


def _applied(layer: Layer, hidden: Tensor, padding: int = 0) -> Tensor:
    out = functional.conv1d(
        hidden, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias), padding=padding
    )
    out = functional.relu(out) if layer.relu else out
    return functional.max_pool1d(out, layer.pool) if layer.pool > 1 else out


def _layers(body: Iterable[nn.Module]) -> Iterator[Layer]:
    """Convolution, batch norm, ReLU and perhaps a maximum, again and again."""
    modules = list(body)
    while modules:
        if len(modules) < 3:
            raise ValueError("the network ends within a layer")
        convolution, norm, relu, *modules = modules
        if not (
            isinstance(convolution, nn.Conv1d)
            and isinstance(norm, nn.BatchNorm1d)
            and isinstance(relu, nn.ReLU)
        ):
            raise ValueError("the network is not made of Conv1d, BatchNorm1d and ReLU, in order")
        if convolution.stride != (1,) or convolution.padding != (convolution.kernel_size[0] // 2,):
            raise ValueError("a convolution has a stride, or does not keep the number of frames")
        pool = 1
        if modules and isinstance(modules[0], nn.MaxPool1d):
            pool = int(modules.pop(0).kernel_size)  # type: ignore[arg-type]
        gain, offset = _affine(norm)
        weight, bias = _parameters(convolution)
        yield Layer(_floats(weight * gain[:, None, None]), _floats(bias * gain + offset), pool=pool)


def _plane(first: nn.Module) -> tuple[Floats, float]:
    convolution, norm = first[0], first[1]  # type: ignore[index]
    gain, offset = _affine(norm)
    weight, bias = _parameters(convolution)
    return _floats(weight[0, 0] * gain[0]), float(bias[0] * gain[0] + offset[0])


def _linear(module: nn.Linear) -> Layer:
    weight, bias = _parameters(module)
    return Layer(_floats(weight[:, :, None]), _floats(bias), relu=False)


def _head(net: SpeakerNet) -> Layer:
    layer = _linear(net.head)
    if net.shape.head == "linear":
        return layer
    lengths = np.linalg.norm(layer.weight, axis=1, keepdims=True)
    return Layer(_floats(layer.weight / lengths), np.zeros_like(layer.bias), relu=False)


def _affine(norm: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Batch norm in evaluation mode is x * gain + offset."""
    if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
        raise ValueError(f"{type(norm).__name__} stands where a batch norm must")
    mean, variance = _double(norm.running_mean), _double(norm.running_var)
    gain = _double(norm.weight) / np.sqrt(variance + norm.eps)
    return gain, _double(norm.bias) - mean * gain


def _parameters(module: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    weight = _double(module.weight)
    return weight, np.zeros(len(weight)) if module.bias is None else _double(module.bias)


def _double(values: object) -> NDArray[np.float64]:
    if not isinstance(values, Tensor):
        raise ValueError("a layer lacks its parameters")
    return values.detach().double().cpu().numpy()


def _floats(values: NDArray[np.float64]) -> Floats:
    return np.ascontiguousarray(values, np.float32)
