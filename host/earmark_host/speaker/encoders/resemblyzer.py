"""Resemblyzer's voice encoder (GE2E, Wan et al. 2018): 1.42 million parameters, 256 dimensions.

Its weights (Apache-2.0) come inside the package, which is not imported: its front-end asks for
librosa and for a voice activity detector. The front-end is written here in torch; pauses are not
cut out of a recording, as its own preparation would do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.signal import RATE_HZ
from earmark.speaker import hann, mel_filters
from earmark_host.speaker.encoders.encoder import Encoder, folder_of, weights

INSTALL = "pip install --no-deps resemblyzer==0.1.4"
"""What it comes with."""

WINDOW, HOP, BANDS = 400, 160, 40
"""Of its mel spectrogram (power, not its logarithm): samples, samples, filters."""

FRAMES = 160
"""Frames that the network hears at once: 1.6 s."""

STEP = 77
"""Frames between two such parts: 1.3 of them a second."""

COVERED = 0.75
"""The last part counts where the recording fills at least this share of it."""

LEVEL_DBFS = -30.0
"""A softer recording is made as loud as this (a sine of full scale has -3 dBFS)."""

HIDDEN, LAYERS = 256, 3
"""Of its recurrent network."""


class Resemblyzer(Encoder):
    """Resemblyzer, trained on English (8,000 speakers).

    Raises
    ------
    EarmarkError
        The package is not installed.
    """

    name = "resemblyzer"
    package = "resemblyzer"
    dimensions = 256

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, HIDDEN, LAYERS, batch_first=True)
        self.linear = nn.Linear(HIDDEN, self.dimensions)
        content = weights(folder_of(self.package, INSTALL) / "pretrained.pt", INSTALL)
        state = content["model_state"]
        # What is left over are the scale and offset of the loss that it was trained with.
        self.load_state_dict({name: state[name] for name in self.state_dict()})
        self.register_buffer("window", torch.tensor(hann(WINDOW)), persistent=False)
        filters = torch.tensor(mel_filters(WINDOW, BANDS, 0.0, RATE_HZ / 2))
        self.register_buffer("filters", filters, persistent=False)
        self.eval().requires_grad_(False)

    def _encode(self, signal: Tensor) -> Tensor:
        parts = self._parts(self._bands(_louder(signal)))
        batch, count = parts.shape[:2]
        _, (hidden, _) = self.lstm(parts.reshape(batch * count, FRAMES, BANDS))
        vectors = functional.normalize(functional.relu(self.linear(hidden[-1])), dim=-1)
        return vectors.reshape(batch, count, -1).mean(1)

    def _bands(self, signal: Tensor) -> Tensor:
        """(batch, samples) -> (batch, frames, 40), the windows centred on every 160th sample."""
        padded = functional.pad(signal, (WINDOW // 2, WINDOW // 2))
        spectrum = torch.fft.rfft(padded.unfold(-1, WINDOW, HOP) * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        bands: Tensor = power @ self.filters
        return bands

    def _parts(self, bands: Tensor) -> Tensor:
        """(batch, frames, 40) -> (batch, parts, 160, 40), silence after the end."""
        frames = bands.shape[1]
        starts = list(range(0, max(1, frames - FRAMES + STEP + 1), STEP))
        if len(starts) > 1 and (frames - starts[-1]) / FRAMES < COVERED:
            starts.pop()
        missing = starts[-1] + FRAMES - frames
        if missing > 0:
            bands = functional.pad(bands, (0, 0, 0, missing))
        return torch.stack([bands[:, at : at + FRAMES] for at in starts], 1)


def _louder(signal: Tensor) -> Tensor:
    level = signal.square().mean(-1, keepdim=True).clamp(min=1e-12).sqrt()
    gain: Tensor = (10.0 ** (LEVEL_DBFS / 20.0) / level).clamp(min=1.0)
    return signal * gain
