"""Adversarial examples over the air: what a loudspeaker plays, and the device hears in a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earmark.audio.room_model import LEAD, MIC, SOUND_M_S, RoomModel
from earmark.signal import RATE_HZ, Signal
from earmark_host.speaker.victim import Victim


@dataclass(frozen=True, eq=False)
class InRoom:
    """A victim that hears everything through a room.

    Attacked itself, it stands for an attacker who has measured the room beforehand; judged with
    examples crafted on `victim`, for one who has not. The ball is around what the loudspeaker
    plays. There is no noise and the level at the microphone is that of the clip, so that what
    is lost is lost to the reverberation alone.

    Parameters
    ----------
    victim : who listens.
    response : of the room, 1-D float32 at 16 kHz.
    """

    victim: Victim
    response: Tensor

    @classmethod
    def of(cls, victim: Victim, room: RoomModel, source: str, device: str = "cpu") -> InRoom:
        """The victim at a room's microphone, with a loudspeaker at the place `source`."""
        return cls(victim, torch.from_numpy(_scaled(room, source)).to(device))

    @property
    def differentiable(self) -> bool:
        """See :class:`~earmark_host.speaker.victim.Victim`."""
        return self.victim.differentiable

    def logits(self, x: Tensor, samples: Sequence[int] | None = None) -> Tensor:
        """See :class:`~earmark_host.speaker.victim.Victim`."""
        return self.victim.logits(self.heard(x), samples)

    def heard(self, x: Tensor) -> Tensor:
        """What the microphone gets of each row, as long as it; clips at full scale."""
        size = x.shape[1] + self.response.shape[0] - 1
        fast = 1 << (size - 1).bit_length()
        spectrum = torch.fft.rfft(x, fast) * torch.fft.rfft(self.response, fast)
        played: Tensor = torch.fft.irfft(spectrum, fast)
        return played[:, : x.shape[1]].clamp(-1.0, 1.0)


def _scaled(room: RoomModel, source: str) -> Signal:
    """The response without the time of flight, of an energy of 1: speech keeps its level."""
    response = room.responses[source, MIC]
    begin = LEAD + int(room.distance_m(source) / SOUND_M_S * RATE_HZ) - LEAD // 2
    cut = np.array(response[max(0, begin) :], np.float64)
    return np.asarray(cut / np.sqrt(np.sum(cut**2)), np.float32)
