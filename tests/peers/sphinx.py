"""A real speech recogniser that speaks Wyoming: pocketsphinx with a closed grammar.

Started as a program (``python sphinx.py URI TEXT...``) it prints ``"up"`` when it listens, and one
line for each command that it has heard: what it understood and how long the audio was, s. It is
built on the `wyoming` package's own server, so nothing of ours is on its side of the link.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from functools import partial

from pocketsphinx import Config, Decoder
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncServer

RATE_HZ = 16_000
"""What pocketsphinx' English model hears, Hz."""

MADE_BY = Attribution(name="CMU Sphinx", url="https://github.com/cmusphinx/pocketsphinx")


def info() -> Info:
    model = AsrModel("en-us", MADE_BY, True, "English", "5.1.1", ["en"])
    return Info(asr=[AsrProgram("pocketsphinx", MADE_BY, True, "closed grammar", "5.1.1", [model])])


WAKE = ("alexa", "a")
"""What may come first: a recording begins 0.5 s before the wake word was recognised, so that no
command is cut, and often holds the end of it."""


def grammar(texts: Sequence[str]) -> str:
    """JSGF: one of the texts, whole, maybe after the end of the wake word."""
    texts = [text.lower() for text in texts]
    assert not {text.split()[0] for text in texts} & {*WAKE}
    said = f"[{' | '.join(WAKE)}] ({' | '.join(texts)})"
    return f"#JSGF V1.0;\ngrammar said;\npublic <said> = {said};"


class Sphinx(AsyncEventHandler):
    """One connection."""

    def __init__(self, decoder: Decoder, *streams: object) -> None:
        super().__init__(*streams)  # type: ignore[arg-type]
        self._decoder = decoder
        self._audio = bytearray()

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(info().event())
        elif AudioStart.is_type(event.type):
            self._audio.clear()
        elif AudioChunk.is_type(event.type):
            chunk = AudioChunk.from_event(event)
            assert (chunk.rate, chunk.width, chunk.channels) == (RATE_HZ, 2, 1)
            self._audio += chunk.audio
        elif AudioStop.is_type(event.type):
            text = self._understood()
            print(json.dumps([text, len(self._audio) / (2 * RATE_HZ)]), flush=True)
            await self.write_event(Transcript(text).event())
        return True

    def _understood(self) -> str:
        self._decoder.start_utt()
        # All at once: the cepstral mean is that of this command alone.
        self._decoder.process_raw(bytes(self._audio), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        words = [] if found is None else str(found.hypstr).split()
        return " ".join(words[1:] if words[:1] and words[0] in WAKE else words)


async def main(uri: str, texts: Sequence[str]) -> None:
    """Serve until the process is ended."""
    # lm None: the grammar takes its place. bestpath: the second pass, over the lattice, left the
    # last word of a whole command out, in 9 of 40 takes that differed by faint noise.
    decoder = Decoder(Config(lm=None, samprate=RATE_HZ, loglevel="FATAL", bestpath=False))
    decoder.add_jsgf_string("said", grammar(texts))
    decoder.activate_search("said")
    server = AsyncServer.from_uri(uri)
    await server.start(partial(Sphinx, decoder))
    print(json.dumps("up"), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
