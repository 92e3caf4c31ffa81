"""The device of ``tests/peers/speaker.py`` as a process, for tests in another environment.

Arguments: a folder for its state, and its forward settings as JSON. Each line of its standard input
is ``hears COMMAND``, ``again`` or ``stays SECONDS FILE``, and is answered by one line of JSON: the
verdict and what the room was told; of ``stays``, which writes what the loudspeaker played as a WAV
file, nothing. It ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import soundfile
from tests.peers.speaker import Speaker

from earmark.signal import RATE_HZ


def main(folder: str, forward: str) -> None:
    with contextlib.closing(Speaker(Path(folder), json.loads(forward))) as one:
        print(json.dumps("up"), flush=True)
        for line in sys.stdin:
            what, *more = line.split()
            answer: list[str] = []
            if what == "hears":
                answer = [one.hears(more[0]), one.told[-1].value]
            elif what == "again":
                answer = [one.hears_it_again(), one.told[-1].value]
            else:
                soundfile.write(more[1], one.stays(float(more[0])), RATE_HZ, subtype="PCM_16")
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
