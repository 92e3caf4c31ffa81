"""Between acoustics (dB SPL) and converters (dBFS).

Two numbers of :class:`AudioSettings` tie them together: the microphone's sensitivity
(`mic_dbspl_at_0dbfs`) and the loudspeaker's (`speaker_dbspl_1m_at_0dbfs`). Levels are of the
root mean square, unweighted; 0 dBFS is an rms of 1.0.
"""

from __future__ import annotations

from earmark.audio.settings import AudioSettings
from earmark.signal import gain


def loudspeaker_dbfs(level_dbspl_1m: float, settings: AudioSettings) -> float:
    """Level to play at, dBFS, for `level_dbspl_1m` dB SPL at 1 m in free field."""
    return level_dbspl_1m - settings.speaker_dbspl_1m_at_0dbfs


def loudspeaker_rms(level_dbspl_1m: float, settings: AudioSettings) -> float:
    """Amplitude (rms) to play at for `level_dbspl_1m` dB SPL at 1 m in free field."""
    return gain(loudspeaker_dbfs(level_dbspl_1m, settings))


def loudspeaker_dbspl_1m(level_dbfs: float, settings: AudioSettings) -> float:
    """Level at 1 m in free field, dB SPL, of playback at `level_dbfs`."""
    return level_dbfs + settings.speaker_dbspl_1m_at_0dbfs


def microphone_dbfs(level_dbspl: float, settings: AudioSettings) -> float:
    """Level of the recording, dBFS, of a sound of `level_dbspl` at the microphone."""
    return level_dbspl - settings.mic_dbspl_at_0dbfs


def microphone_rms(level_dbspl: float, settings: AudioSettings) -> float:
    """Amplitude (rms) of the recording of a sound of `level_dbspl` at the microphone."""
    return gain(microphone_dbfs(level_dbspl, settings))


def microphone_dbspl(level_dbfs: float, settings: AudioSettings) -> float:
    """Level at the microphone, dB SPL, of a recording at `level_dbfs`."""
    return level_dbfs + settings.mic_dbspl_at_0dbfs
