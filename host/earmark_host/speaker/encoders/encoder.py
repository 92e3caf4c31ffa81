"""What all encoders have in common: a recording in, a direction out, with a gradient."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from earmark.errors import EarmarkError
from earmark.signal import Signal

SHORTEST = 12_000
"""A shorter recording is repeated until it is as long, samples: .75 s."""


class Encoder(nn.Module):
    """An encoder whose weights come with a package; in evaluation mode.

    Attributes
    ----------
    name : what it is called in reports.
    package : what it comes with, and the command that installs it.
    dimensions : of an embedding.
    """

    name: str
    package: str
    dimensions: int

    def forward(self, signal: Tensor) -> Tensor:
        """(batch, samples) in [-1, 1] at 16 kHz -> (batch, dimensions), unit length."""
        if signal.shape[-1] < SHORTEST:
            signal = signal.repeat(1, -(-SHORTEST // signal.shape[-1]))[:, :SHORTEST]
        return functional.normalize(self._encode(signal), dim=-1)

    def embed(self, signal: Signal) -> NDArray[np.float32]:
        """A recording, (n,) -> (dimensions,), unit length."""
        with torch.inference_mode():
            at = next(self.parameters()).device
            vector = self(torch.from_numpy(signal).to(at)[None])[0].cpu().numpy()
        return np.asarray(vector, np.float32)

    def _encode(self, signal: Tensor) -> Tensor:
        raise NotImplementedError


def folder_of(package: str, command: str) -> Path:
    """Where a package lies, without importing it: it may ask for packages that nobody needs here.

    Parameters
    ----------
    package : to be found.
    command : that installs it, for the error.

    Raises
    ------
    EarmarkError
        It is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EarmarkError(f"the package {package} is not installed", command)
    return Path(spec.submodule_search_locations[0])


def weights(path: Path, command: str) -> dict[str, Any]:
    """Read a file of tensors.

    Raises
    ------
    EarmarkError
        It is not there, or holds something else.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise EarmarkError(f"{path} cannot be read ({error})", command) from error
    return content
