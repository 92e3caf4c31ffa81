"""The int8 file with a gradient: what white-box attacks on the shipped model run on.

A network in int8 has no useful gradient: rounding has none. An attack that follows it looks
harmless and says nothing. Here the file's own numbers (weights, scales, zero points) are computed
with as TensorFlow Lite does, value for value, and on the way back every rounding passes the
gradient through. What such an attack finds is replayed through the file: see
:class:`~earmark_host.speaker.export.int8.Int8Victim`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from earmark.errors import EarmarkError
from earmark.speaker import FrontEnd, window_starts
from earmark.speaker.interpreter import load
from earmark.speaker.manifest import NETWORK, read_manifest, read_sealed
from earmark_host.speaker.frontend import TorchFrontEnd

LOW, HIGH = -128, 127
"""Range of int8."""


@dataclass(frozen=True)
class _Scale:
    """How a tensor of the file is quantised: value = (whole - zero) * step."""

    step: float
    zero: int


@dataclass(frozen=True, eq=False)
class _Factor:
    """What sums are multiplied with, for each channel, in the two steps of TensorFlow Lite.

    It rounds after a product with the mantissa (with what is left of the exponent, should it be
    above 0), and again after a shift to the right.
    """

    mantissa: Tensor
    shift: Tensor

    @classmethod
    def of(cls, ratio: NDArray[np.float64], count: int = 1) -> _Factor:
        """To multiply a sum of `count` with `ratio` and divide it by the count."""
        mantissa, exponent = np.frexp(ratio)
        halvings = count.bit_length() - 1
        mantissa, exponent = mantissa * 2**halvings / count, exponent - halvings
        return cls(
            torch.from_numpy(np.rint(mantissa * 2.0**31) * np.exp2(np.maximum(exponent, 0) - 31.0)),
            torch.from_numpy(np.exp2(np.minimum(exponent, 0).astype(np.float64))),
        )


@dataclass(frozen=True, eq=False)
class _Step:
    """One operation of the file: from tensors, by number, to a tensor."""

    apply: Callable[[Sequence[Tensor]], Tensor]
    inputs: tuple[int, ...]
    output: int


class Surrogate(nn.Module):
    """A copy in torch of a ``.tflite`` file, differentiable, with the front-end before it.

    Made a victim like any other network: ``NetVictim.of(surrogate)``.

    Parameters
    ----------
    content : of a file that ``earmark-host speaker export`` wrote.
    front_end : what the network hears.
    embedding, classes : sizes of its two outputs; not equal.

    Raises
    ------
    EarmarkError
        The file holds an operation that no export of ours has.
    SpeakerModelError
        The file is none, or there is no runtime.
    """

    def __init__(self, content: bytes, front_end: FrontEnd, embedding: int, classes: int) -> None:
        super().__init__()
        file: Any = load(content)
        self.front = TorchFrontEnd(front_end)
        tensors = {int(tensor["index"]): tensor for tensor in file.get_tensor_details()}
        operations = file._get_ops_details()  # the interpreter's only way to tell them
        made = {int(operation["outputs"][0]) for operation in operations}
        (given,) = file.get_input_details()
        self.frames = int(given["shape"][1])
        self.window_samples = front_end.samples(self.frames)
        self._input = int(given["index"])
        outputs = {
            int(np.prod(tensor["shape"])): int(tensor["index"])
            for tensor in file.get_output_details()
        }
        if set(outputs) != {embedding, classes}:
            raise EarmarkError(
                f"the file's outputs have {sorted(outputs)} values, must have "
                f"{sorted((embedding, classes))}",
                "give the manifest of the same export",
            )
        self._outputs = outputs[embedding], outputs[classes]
        self._constants: set[int] = set()
        self._steps: list[_Step] = []
        for operation in operations:
            numbers = [int(number) for number in operation["inputs"]]
            for number in numbers:
                if number not in made and number != self._input and number not in self._constants:
                    self._keep(number, np.array(file.get_tensor(number)), tensors[number])
            output = int(operation["outputs"][0])
            apply = _apply(operation["op_name"], [tensors[n] for n in numbers], tensors[output])
            self._steps.append(_Step(apply, tuple(numbers), output))

    @classmethod
    def open(cls, folder: Path) -> Surrogate:
        """The surrogate of the model in `folder`; SpeakerModelError where it is damaged."""
        manifest = read_manifest(folder)
        content = read_sealed(folder, NETWORK, manifest)
        return cls(content, manifest.front_end, manifest.embedding, manifest.classes)

    def outputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, mels) in dB -> (batch, E) embeddings and (batch, classes) logits."""
        known: dict[int, Tensor] = {self._input: features}
        known |= {number: self.get_buffer(f"tensor{number}") for number in self._constants}
        for step in self._steps:
            known[step.output] = step.apply([known[number] for number in step.inputs])
        return known[self._outputs[0]], known[self._outputs[1]]

    def embed(self, windows: Tensor) -> Tensor:
        """(windows, samples) -> (windows, E)."""
        return self.outputs(self.front(windows).transpose(1, 2))[0]

    def forward(self, windows: Tensor) -> Tensor:
        """(windows, samples) -> (windows, classes), differentiable."""
        return self.outputs(self.front(windows).transpose(1, 2))[1]

    def windows(self, signal: Tensor) -> Tensor:
        """The windows of a recording, (n,), that :class:`earmark.speaker.SpeakerModel` takes."""
        size = self.window_samples
        if signal.shape[0] < size:
            signal = signal.repeat(-(-size // signal.shape[0]))[:size]
        starts = window_starts(signal.shape[0], size)
        return torch.stack([signal[start : start + size] for start in starts])

    def _keep(self, number: int, values: NDArray[Any], tensor: Mapping[str, Any]) -> None:
        """Keep a constant as whole numbers less its zero point, like everything in between.

        float32 holds int8 exactly, and biases to one part in 16 million.
        """
        zero = _scale(tensor).zero if values.dtype == np.int8 else 0
        whole = torch.tensor(values, dtype=torch.float32) - zero
        self.register_buffer(f"tensor{number}", whole)
        self._constants.add(number)


class _Round(torch.autograd.Function):
    """Takes the clipped whole numbers for a value; the gradient passes as if it did not.

    Where nothing below zero is passed on (`low` is 0: a ReLU), the gradient of what is below zero
    is none, as that of a ReLU. Beyond `high` it still passes: an attack must see the way back.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, whole: Tensor, low: int, high: int) -> Tensor:
        ctx.passed = value > 0.0 if low == 0 else None
        return whole.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        return gradient if ctx.passed is None else gradient * ctx.passed, None, None, None


def _rounded(value: Tensor, scale: _Scale, whole: Tensor) -> Tensor:
    """`value` as `whole`, within int8, less the zero point."""
    low, high = LOW - scale.zero, HIGH - scale.zero
    out: Tensor = _Round.apply(value, whole, low, high)  # type: ignore[no-untyped-call]
    return out


def _scaled(sums: Tensor, factor: _Factor, scale: _Scale) -> Tensor:
    mantissa, shift = factor.mantissa.to(sums.device), factor.shift.to(sums.device)
    with torch.no_grad():
        # In double: in float32 a product rounds to the other side once in a thousand times.
        whole = _nearest(_nearest(sums.double() * mantissa) * shift).float()
    return _rounded(sums * (mantissa * shift).float(), scale, whole)


def _quantised(value: Tensor, scale: _Scale) -> Tensor:
    """`value` in steps as a whole number, halves away from zero."""
    with torch.no_grad():
        whole = torch.copysign((value.abs() + 0.5).floor(), value)
    return _rounded(value, scale, whole)


def _nearest(value: Tensor) -> Tensor:
    """The nearest whole number, halves upwards: as TensorFlow Lite on x86, and not as torch."""
    return (value + 0.5).floor()


def _scale(tensor: Mapping[str, Any]) -> _Scale:
    step, zero = tensor["quantization"]
    return _Scale(float(step), int(zero))


def _apply(
    name: str, inputs: Sequence[Mapping[str, Any]], output: Mapping[str, Any]
) -> Callable[[Sequence[Tensor]], Tensor]:
    """What the operation does.

    Between operations tensors hold whole numbers less their zero point, as float32, in the file's
    layout: (batch, height, width, channels).
    """
    shape = tuple(int(size) for size in output["shape"][1:])
    after = _scale(output)
    if name == "QUANTIZE":
        before = _scale(inputs[0]).step if inputs[0]["dtype"] is np.int8 else 1.0
        return lambda given: _quantised(given[0] * (before / after.step), after)
    if name in {"DEQUANTIZE", "RESHAPE"}:
        step = _scale(inputs[0]).step if name == "DEQUANTIZE" else 1
        return lambda given: given[0].reshape(len(given[0]), *shape) * step
    if name == "CONCATENATION":
        first = tuple(inputs[0]["shape"][1:])
        axis = next(place for place, size in enumerate(shape, 1) if size != first[place - 1])
        return lambda given: _joined(given, axis)
    if name == "MAX_POOL_2D":
        pool = inputs[0]["shape"][1] // shape[0], inputs[0]["shape"][2] // shape[1]
        return lambda given: _images(given[0], lambda image: functional.max_pool2d(image, pool))
    if name == "MEAN":
        ratio = np.array([_scale(inputs[0]).step / after.step])
        factor = _Factor.of(ratio, int(inputs[0]["shape"][2]))
        return lambda given: _scaled(given[0].sum(2, keepdim=True), factor, after)
    if name == "CONV_2D":
        return _convolution(inputs, output)
    raise EarmarkError(
        f"the file has an operation {name}, which the export does not make",
        "give a file that earmark-host speaker export wrote",
    )


def _convolution(
    inputs: Sequence[Mapping[str, Any]], output: Mapping[str, Any]
) -> Callable[[Sequence[Tensor]], Tensor]:
    after = _scale(output)
    steps = np.asarray(inputs[1]["quantization_parameters"]["scales"], np.float64)
    factor = _Factor.of(steps * _scale(inputs[0]).step / after.step)
    # Where the size is kept there is padding, with what stands for zero.
    kept = tuple(inputs[0]["shape"][1:3]) == tuple(output["shape"][1:3])
    padding = tuple(int(size) // 2 if kept else 0 for size in inputs[1]["shape"][1:3])

    def apply(given: Sequence[Tensor]) -> Tensor:
        images, weight, bias = given
        sums = _images(
            images,
            lambda image: functional.conv2d(
                image, weight.permute(0, 3, 1, 2), bias, padding=padding
            ),
        )
        return _scaled(sums, factor, after)

    return apply


def _joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    """Side by side along `axis`; a constant, of which there is one, for each of the batch."""
    batch = max(len(part) for part in parts)
    return torch.cat([part.expand(batch, *part.shape[1:]) for part in parts], axis)


def _images(tensor: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
    """`apply` with channels before height and width, as torch has them."""
    return apply(tensor.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
