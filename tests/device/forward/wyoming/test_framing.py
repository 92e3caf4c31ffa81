"""Wyoming's bytes: what the `wyoming` package writes is read, what nobody should write is not."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk
from wyoming.event import Event, read_event, write_event
from wyoming.info import Describe

from earmark.forward.wyoming import framing
from earmark.forward.wyoming.framing import (
    MAX_DATA_BYTES,
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
    Decoder,
    Fault,
    ProtocolError,
    encode,
    number_of,
    text_of,
)

CHUNK = AudioChunk(rate=16000, width=2, channels=1, audio=b"\x01\x00\n{" * 50)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def decoded(data: bytes, step: int = 1 << 30) -> list[Event]:
    decoder, events = Decoder(), []
    for start in range(0, len(data), step):
        decoder.feed(data[start : start + step])
        while (event := decoder.next()) is not None:
            events.append(event)
    assert not decoder.unfinished
    return events


def fault_of(data: bytes) -> Fault:
    with pytest.raises(ProtocolError) as caught:
        decoded(data)
    return caught.value.fault


def line(**header: object) -> bytes:
    return json.dumps(header).encode() + b"\n"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_what_the_package_writes_is_read_however_it_is_cut(step: int) -> None:
    written = io.BytesIO()
    events = [Transcribe(language="en").event(), CHUNK.event(), Describe().event()]
    for event in [*events, Transcript("schön\n").event()]:
        write_event(event, written)
    read = decoded(written.getvalue(), step)
    assert [event.type for event in read] == ["transcribe", "audio-chunk", "describe", "transcript"]
    assert read[0].data == {"language": "en"}
    assert read[1].payload == CHUNK.audio
    assert read[3].data == {"text": "schön\n"}


def test_the_package_reads_what_is_written_here() -> None:
    stream = io.BytesIO(encode([CHUNK, Transcript("schön \ud800"), Describe()]))
    chunk, transcript, describe = (read_event(stream) for _ in range(3))
    assert AudioChunk.from_event(chunk) == CHUNK
    assert transcript.data["text"] == "schön \ud800"
    assert describe.type == "describe"
    assert stream.read() == b""


def test_data_are_sent_even_when_there_are_none() -> None:
    assert json.loads(encode([Describe()])) == {"type": "describe", "data": {}}


def test_data_in_the_header_line_and_after_it_are_merged() -> None:
    data = line(type="x", data={"a": 1, "b": 1}, data_length=7) + b'{"b":2}'
    assert decoded(data) == [Event("x", {"a": 1, "b": 2})]
    assert decoded(line(type="x", data=None, payload_length=0)) == [Event("x")]


FAULTS = {
    "an endless line": (b"x" * MAX_LINE_BYTES, Fault.LINE_TOO_LONG),
    "a long line that ends": (b" " * MAX_LINE_BYTES + b"{}\n", Fault.LINE_TOO_LONG),
    "no JSON": (b"GET / HTTP/1.1\r\n", Fault.NOT_JSON),
    "an empty line": (b"\n", Fault.NOT_JSON),
    "no object": (b"[1]\n", Fault.NOT_JSON),
    "not a number": (b'{"type":"x","data":{"a":NaN}}\n', Fault.NOT_JSON),
    "no UTF-8": (b'{"type":"\xff"}\n', Fault.NOT_JSON),
    "a nest of brackets": (b"[" * 10_000 + b"\n", Fault.NOT_JSON),
    "a nest in the data": (line(type="x", data_length=60_000) + b"[" * 60_000, Fault.NOT_JSON),
    "a huge number": (b'{"type":"x","data":' + b"9" * 9_000 + b"}\n", Fault.NOT_JSON),
    "no type": (b"{}\n", Fault.BAD_TYPE),
    "an empty type": (line(type=""), Fault.BAD_TYPE),
    "a type that is no text": (line(type=5), Fault.BAD_TYPE),
    "a long type": (line(type="x" * 65), Fault.BAD_TYPE),
    "a length below 0": (line(type="x", data_length=-1), Fault.BAD_LENGTH),
    "a length that is a truth": (line(type="x", payload_length=True), Fault.BAD_LENGTH),
    "a length with a point": (line(type="x", payload_length=1.0), Fault.BAD_LENGTH),
    "a length in quotes": (line(type="x", payload_length="5"), Fault.BAD_LENGTH),
    "long data": (line(type="x", data_length=MAX_DATA_BYTES + 1), Fault.DATA_TOO_LONG),
    "a long payload": (
        line(type="x", payload_length=MAX_PAYLOAD_BYTES + 1),
        Fault.PAYLOAD_TOO_LONG,
    ),
    "4 GB": (line(type="x", payload_length=4 << 30), Fault.PAYLOAD_TOO_LONG),
    "data that are no object": (line(type="x", data_length=2) + b"[]", Fault.NOT_JSON),
}


@pytest.mark.parametrize(("data", "fault"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_wyoming_or_too_long_is_refused(data: bytes, fault: Fault) -> None:
    assert fault_of(data) is fault


def test_the_limits_themselves_are_taken() -> None:
    head = line(type="x", data_length=MAX_DATA_BYTES, payload_length=MAX_PAYLOAD_BYTES)
    data = b'{"a":1}'.ljust(MAX_DATA_BYTES)
    (event,) = decoded(head + data + bytes(MAX_PAYLOAD_BYTES), 4096)
    assert event.data == {"a": 1}
    assert len(event.payload or b"") == MAX_PAYLOAD_BYTES


def test_an_error_repeats_nothing_of_what_was_sent() -> None:
    decoder = Decoder()
    decoder.feed(b"turn on the light\n")
    with pytest.raises(ProtocolError) as caught:
        decoder.next()
    assert "light" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_line_that_comes_byte_by_byte_is_searched_once() -> None:
    class Counting(bytearray):
        searched = 0

        def find(self, sub: bytes, start: int, end: int) -> int:  # type: ignore[override]
            Counting.searched += min(len(self), end) - start
            return super().find(sub, start, end)

    decoder = Decoder()
    decoder._bytes = Counting()
    for _ in range(5000):
        decoder.feed(b" ")
        assert decoder.next() is None
    assert Counting.searched == 5000


def test_memory_is_bounded_by_the_limits() -> None:
    tracemalloc.start()
    try:
        decoder = Decoder()
        # As much as is allowed to be unfinished, again and again.
        whole = line(type="x", payload_length=MAX_PAYLOAD_BYTES) + bytes(MAX_PAYLOAD_BYTES)
        for at in [*range(0, len(whole), 4096)] * 40:
            decoder.feed(whole[at : at + 4096])
            while decoder.next() is not None:
                pass
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 5 * MAX_PAYLOAD_BYTES


# Whatever comes, the answer is an event or a ProtocolError.


def survives(data: bytes, step: int) -> None:
    decoder = Decoder()
    with contextlib.suppress(ProtocolError):
        for start in range(0, len(data), step):
            decoder.feed(data[start : start + step])
            while (event := decoder.next()) is not None:
                assert isinstance(event.type, str)
                assert isinstance(event.data, dict)
                assert encode([event])
                for key in [*event.data, "text"]:
                    with contextlib.suppress(ProtocolError):
                        assert text_of(event, key, 10).encode() is not None
                    with contextlib.suppress(ProtocolError):
                        assert 0 <= number_of(event, key, 0, 10) <= 10
    assert len(decoder._bytes) <= MAX_LINE_BYTES + MAX_DATA_BYTES + MAX_PAYLOAD_BYTES + step


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(1, 64))
def test_garbage(data: bytes, step: int) -> None:
    survives(data, step)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["type", "data", "data_length", "payload_length", "x"]), JSON
            ),
            st.binary(max_size=40),
        ),
        max_size=5,
    ),
    st.integers(1, 64),
)
def test_headers_of_anything(parts: list[tuple[dict[str, object], bytes]], step: int) -> None:
    survives(b"".join(json.dumps(head).encode() + b"\n" + body for head, body in parts), step)


@pytest.mark.parametrize("seed", range(20))
def test_real_events_with_flipped_bits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = encode([Transcribe(language="en"), CHUNK, Transcript("hello"), Describe()])
    for _ in range(50):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] ^= 1 << int(rng.integers(0, 8))
        survives(bytes(data[: rng.integers(1, len(data) + 1)]), int(rng.integers(1, 200)))


@given(st.dictionaries(st.text(max_size=5), JSON), st.binary(max_size=99))
def test_what_is_written_reads_back(data: dict[str, object], payload: bytes) -> None:
    try:
        text = json.dumps(data, allow_nan=False)
    except ValueError:
        return
    (event,) = decoded(encode([Event("x", json.loads(text), payload)]))
    assert event == Event("x", json.loads(text), payload or None)


class TestFields:
    """What is asked of an event is there and of the right kind, or it is a ProtocolError."""

    def test_text_is_cut_and_can_be_written(self) -> None:
        event = Event("transcript", {"text": "a\ud800" + "b" * 10})
        assert text_of(event, "text", 4) == "a?bb"

    @pytest.mark.parametrize("value", [None, 5, ["a"], {"text": "a"}])
    def test_what_is_no_text(self, value: object) -> None:
        with pytest.raises(ProtocolError) as caught:
            text_of(Event("transcript", {"text": value}), "text", 4)
        assert caught.value.fault is Fault.BAD_FIELD

    @pytest.mark.parametrize("value", [None, "5", 5.0, True, 4, 11])
    def test_what_is_no_number_in_its_range(self, value: object) -> None:
        with pytest.raises(ProtocolError):
            number_of(Event("x", {"rate": value}), "rate", 5, 10)

    def test_the_longest_known_type_fits(self) -> None:
        assert len("satellite-disconnected") < framing.MAX_TYPE_CHARS
