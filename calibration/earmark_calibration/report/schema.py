"""The JSON schema of a report, for programs of others. The file is made from the record's types.

``python -m earmark_calibration.report.schema --write`` makes it anew; a test fails when it is
stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from earmark_calibration.record import SCHEMA, Record

FILE = Path(__file__).parent / "earmark-calibration-1.schema.json"
"""Ships with the package; its name has the version of `SCHEMA`."""


def schema() -> str:
    """The schema (JSON Schema 2020-12) as text, with a newline at its end."""
    made = Record.model_json_schema(by_alias=True, mode="serialization")
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
    }
    return json.dumps(head | made, indent=2, sort_keys=False) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(schema(), encoding="utf-8")
    else:
        print(schema(), end="")
