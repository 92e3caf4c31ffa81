"""Two copies of TensorFlow Lite in one process: that of the wake word and that of the voice."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAKE = """
import numpy as np
from earmark.wake import WakeSettings, wake_detector
wake = wake_detector(WakeSettings())
for _ in range(100):
    wake.heard(np.zeros(320, np.float32))
"""

VOICE = """
import numpy as np
from earmark.speaker import SpeakerModel
SpeakerModel.open().embed(np.ones(40_000, np.float32) * 0.1)
"""


@pytest.mark.parametrize("order", [(WAKE, VOICE, WAKE, VOICE), (VOICE, WAKE, VOICE)])
def test_the_wake_word_and_the_voice_live_in_one_process(order: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "".join(order)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-500:]
