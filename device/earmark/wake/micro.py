"""The wake word by microWakeWord (K. Ahrendt), models and runtime inside pymicro-wakeword.

The package takes 10 ms features of 16-bit audio through a streaming network, one inference
every three features, and averages the last five probabilities (0.15 s). Its front end adapts
to the level of the input; measured on 47 recorded wake words it finds 45 or 46 at any level
from -20 to -60 dBFS, and 38 to 45 with dish washing 10 dB below. Its network wants a breath
after the word: when the command follows without any, only 26 of 47 words are heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from earmark.errors import ConfigError, EarmarkError
from earmark.signal import BLOCK_S, Signal, gain
from earmark.tflite import load_runtime
from earmark.wake.pcm import pcm16
from earmark.wake.settings import WakeSettings

if TYPE_CHECKING:
    from pymicro_wakeword import MicroWakeWord


class MicroWake:
    """Hears the wake word in a stream of blocks; a :class:`WakeDetector`.

    A word is reported once: the detection clears the package's window of probabilities, and
    none can follow for ``refractory_s``.

    Raises
    ------
    ConfigError
        There is no such model; the error lists those there are.
    EarmarkError
        The package or its native library is missing or does not load.
    """

    def __init__(self, settings: WakeSettings) -> None:
        load_runtime()  # before pymicro-wakeword, which brings another copy
        try:
            # Here, not above: a device with a button runs without the package.
            from pymicro_wakeword import MicroWakeWordFeatures  # noqa: PLC0415
        except (ImportError, OSError) as error:
            raise _missing(error) from error
        self._model = _load(settings.model)
        self._features = MicroWakeWordFeatures()
        own = float(self._model.probability_cutoff)
        self._cutoff = own if settings.cutoff is None else settings.cutoff
        self._factor = gain(settings.gain_db)
        self._refractory = round(settings.refractory_s / BLOCK_S)
        self._deaf = 0

    def heard(self, block: Signal) -> bool:
        """Feed one block; True in the block in which the wake word was recognised.

        On 47 recordings, at -20 to -60 dBFS and down to 10 dB above noise: 0.2 s after the
        end of the word (median), 0.41 s at most.
        """
        best = 0.0
        for features in self._features.process_streaming(pcm16(block, self._factor)):
            best = max(best, self._model.process_streaming_prob(features) or 0.0)
        if self._deaf:
            self._deaf -= 1
            return False
        if best <= self._cutoff:
            return False
        self._model.reset()
        self._deaf = self._refractory
        return True

    def reset(self) -> None:
        """Forget what was heard, the level of the room and the refractory time too."""
        self._model.reset()
        self._features.reset()
        self._deaf = 0


def _load(name: str) -> MicroWakeWord:
    from pymicro_wakeword import MicroWakeWord, Model  # noqa: PLC0415 - see MicroWake

    names = sorted(model.value for model in Model)
    if name not in names:
        raise ConfigError(
            f"wake.model is {name!r}, which pymicro-wakeword does not have",
            f"choose one of {', '.join(names)}",
        )
    try:
        return MicroWakeWord.from_builtin(Model(name))
    except (OSError, ValueError, RuntimeError) as error:
        raise _missing(error) from error


def _missing(error: Exception) -> EarmarkError:
    return EarmarkError(
        f"the wake word cannot run ({error})",
        "reinstall with 'pip install --force-reinstall pymicro-wakeword' on a 64-bit system, "
        "or set wake.kind to button",
    )
