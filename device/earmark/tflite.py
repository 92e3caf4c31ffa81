"""TensorFlow Lite, by whichever package carries it here.

``tflite-runtime`` has wheels up to Python 3.11 and was built against numpy 1; its successor
``ai-edge-litert`` has them from there on. Both give the same ``Interpreter``.

A second copy of the library comes with the wake word: pymicro-wakeword loads one of its own, and
lets its symbols be used by what is loaded later. A runtime that is loaded after it mixes the two
copies, and takes the process down when it is used ("stack smashing detected"; 2.14.0 after
pymicro-wakeword 2.5.0). So whoever needs either loads the runtime first.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

RUNTIMES = ("tflite_runtime.interpreter", "ai_edge_litert.interpreter")
"""Modules with an ``Interpreter``, in the order in which they are tried."""


def load_runtime() -> tuple[Any, str]:
    """Load the first runtime that works here.

    Returns
    -------
    Its class ``Interpreter``, None where there is no runtime, and why others were not taken.
    """
    faults: list[str] = []
    for name in RUNTIMES:
        package = name.partition(".")[0]
        if package == "tflite_runtime" and int(np.__version__.partition(".")[0]) > 1:
            # It can be installed beside numpy 2, and then takes the process down when it is used.
            faults.append(f"{package} needs numpy 1")
            continue
        try:
            return import_module(name).Interpreter, "; ".join(faults)
        except (ImportError, AttributeError) as error:
            faults.append(f"{package}: {error}")
    return None, "; ".join(faults)
