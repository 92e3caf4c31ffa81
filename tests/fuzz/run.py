"""A target under atheris, which looks for bytes that reach new lines: for an evening, not for CI.

pip install atheris                # Linux
python -m tests.fuzz.run settings -max_total_time=600 [CORPUS_FOLDER]
"""

from __future__ import annotations

import sys


def main() -> None:
    """Fuzz the target that is named first; what follows are libFuzzer's options."""
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["earmark", "yaml", "json"]):
        from tests.fuzz.targets import TARGETS

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name one of {', '.join(TARGETS)}")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
