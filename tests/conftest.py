"""What holds for all tests; set before anything is imported."""

from __future__ import annotations

import os

# Products as small as ours are slower on two threads, and much slower on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# POT loads TensorFlow where it finds it, and after that tflite-runtime crashes in this process.
os.environ["POT_BACKEND_DISABLE_TENSORFLOW"] = "1"

# Home Assistant needs an environment of its own: make test-ha.
collect_ignore = ["ha"]
