"""Short sounds, made here from pure tones: one for each announcement.

A sound says what happened by its contour and rhythm, so that it is told apart on a bad
loudspeaker and by people who do not hear pitches well: up is good, down is bad, two knocks
are `try again`, and what follows them says how. All tones lie between 390 and 900 Hz, more than
two octaves under the nonce's hop set as it is by default (4 to 5 kHz) and under both tones of
the paper's example (1 and 5 kHz), where a small loudspeaker is already able to play them.
"""

from __future__ import annotations

import itertools

import numpy as np

from earmark.gate import Announcement
from earmark.signal import FLOOR_DBFS, RATE_HZ, Signal, gain, rms

MAX_LEVEL_DBFS = -9.0
"""Loudest level asked for, dBFS: with its rests and fades a sound's peak is up to 7 dB over its
rms, and 2 dB are left."""

_RAMP_S = 0.012
"""Raised-cosine fade at both ends of a note, s: spreads its edge over some 100 Hz, no click."""

_REST = 0.0
_G, _C, _E, _A = 392.0, 523.25, 659.26, 880.0
"""G4, C5, E5 and A5 in Hz: at least a major third apart."""

_S, _M, _L = 0.05, 0.08, 0.16
"""Short, medium and long, s. Twice the length or near it is heard as another length; a note
under 0.05 s is heard as a click."""

_AGAIN = ((_E, _S), (_REST, 0.03), (_E, _S), (_REST, 0.03))
"""Two knocks: try again. What follows says how."""

_NOTES: dict[Announcement, tuple[tuple[float, float], ...]] = {
    Announcement.WOKEN: ((_A, _M), (_REST, 0.02)),
    Announcement.ALLOWED: ((_C, _M), (_E, _M), (_A, _L)),
    Announcement.TRY_AGAIN_NOTHING_HEARD: _AGAIN,
    Announcement.TRY_AGAIN_QUIET: (*_AGAIN, (_A, _L)),
    Announcement.TRY_AGAIN_LOUD: (*_AGAIN, (_G, _L)),
    Announcement.TRY_AGAIN_TOO_LONG: (*_AGAIN, (_C, _S), (_REST, 0.03), (_C, _S)),
    Announcement.TRY_AGAIN_UNCOVER: (*_AGAIN, (_G, _M), (_A, _M)),
    Announcement.COULD_NOT_VERIFY: ((_E, _M), (_C, _M), (_G, _L)),
    Announcement.LOCKED: ((_G, _L), (_REST, 0.04), (_G, _L)),
    Announcement.READY: ((_C, _L), (_E, _L)),
    Announcement.OFFLINE: ((_A, _L), (_REST, 0.04), (_G, _L)),
    Announcement.MUTED: ((_A, _M), (_C, _M)),
    Announcement.UNMUTED: ((_C, _M), (_A, _M)),
    Announcement.FAULT: ((_G, _L), (_REST, 0.03), (_G, _S), (_REST, 0.03), (_G, _S)),
}


def earcon(announcement: Announcement, level_dbfs: float) -> Signal:
    """Return the sound of an announcement.

    Parameters
    ----------
    announcement : what is told.
    level_dbfs : level over the whole sound (rms), in [-120, -9] dBFS.

    Returns
    -------
    shape (n,) : 0.1 to 0.5 s, starting and ending at 0.

    Raises
    ------
    ValueError
        The level is out of its range.
    """
    if not FLOOR_DBFS <= level_dbfs <= MAX_LEVEL_DBFS:
        raise ValueError(f"level {level_dbfs} dBFS is outside [{FLOOR_DBFS:g}, {MAX_LEVEL_DBFS:g}]")
    sound = np.concatenate([_note(*note) for note in _NOTES[announcement]])
    louder: Signal = (sound * (gain(level_dbfs) / rms(sound))).astype(np.float32)
    return louder


def contour(announcement: Announcement) -> tuple[tuple[int, float], ...]:
    """Return what tells a sound apart: steps up (1), down (-1) or level (0), and lengths in s."""
    notes = [(frequency, length) for frequency, length in _NOTES[announcement] if frequency]
    steps = [0, *(int(np.sign(b[0] - a[0])) for a, b in itertools.pairwise(notes))]
    return tuple((step, length) for step, (_, length) in zip(steps, notes, strict=True))


def _note(frequency_hz: float, length_s: float) -> Signal:
    samples = round(length_s * RATE_HZ)
    if frequency_hz == _REST:
        return np.zeros(samples, dtype=np.float32)
    ramp = round(_RAMP_S * RATE_HZ)
    edge = 0.5 - 0.5 * np.cos(np.pi * np.arange(ramp) / ramp)
    envelope = np.concatenate([edge, np.ones(samples - 2 * ramp), edge[::-1]])
    tone = np.sin(2.0 * np.pi * frequency_hz * np.arange(samples) / RATE_HZ)
    note: Signal = (tone * envelope).astype(np.float32)
    return note
