"""The framing of AWS event streams, beside botocore's own decoder."""

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from weir.llm import eventstream
from weir.llm.eventstream import EventStreamDecoder, Frame
from weir.llm.sse import BrokenStream

NAMES = st.text("abc:-", min_size=1, max_size=12)
HEADERS = st.dictionaries(NAMES, st.text(max_size=20), max_size=4)
FRAMES = st.lists(st.tuples(HEADERS, st.binary(max_size=80)), max_size=6)


def decoded(*pieces: bytes) -> list[Frame]:
    decoder = EventStreamDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


@given(FRAMES, st.data())
@settings(max_examples=50, deadline=None)
def test_any_split_of_the_bytes_gives_the_frames_that_were_written(
    written: list[tuple[dict[str, str], bytes]], data: st.DataObject
) -> None:
    raw = b"".join(eventstream.encode(headers, payload) for headers, payload in written)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert decoded(*pieces) == [Frame(headers, payload) for headers, payload in written]
    assert decoded(*(raw[at : at + 1] for at in range(len(raw)))) == decoded(raw)


@given(FRAMES)
@settings(max_examples=50, deadline=None)
def test_botocore_reads_what_is_written(written: list[tuple[dict[str, str], bytes]]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(eventstream.encode(headers, payload) for headers, payload in written))
    assert [(one.headers, one.payload) for one in buffer] == written


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=50, deadline=None)
def test_a_byte_that_was_changed_is_found(at: int, change: int) -> None:
    raw = bytearray(eventstream.encode_event("chunk", b'{"bytes":"aGk="}'))
    raw[at % len(raw)] ^= change
    decoder = EventStreamDecoder()
    with pytest.raises(BrokenStream):
        decoder.feed(bytes(raw))


def test_headers_of_other_types_are_stepped_over() -> None:
    # Given a header of each fixed type, and a byte array, before a string
    from struct import pack
    from zlib import crc32

    fixed = b"".join(pack(">B1sB", 1, b"x", kind) + bytes(size) for kind, size in eventstream._FIXED.items())
    headers = fixed + pack(">B1sBH", 1, b"b", 6, 3) + b"abc" + pack(">B1sBH", 1, b"s", 7, 2) + b"ok"
    prelude = pack(">II", 16 + len(headers) + 2, len(headers))
    message = prelude + pack(">I", crc32(prelude)) + headers + b"hi"
    # When / Then
    assert decoded(message + pack(">I", crc32(message))) == [Frame({"s": "ok"}, b"hi")]


def test_an_event_and_an_exception_are_told_apart() -> None:
    event, exception = decoded(
        eventstream.encode_event("metadata", b"{}") + eventstream.encode_exception("throttlingException", b"{}")
    )
    assert (event.event, event.exception) == ("metadata", "")
    assert (exception.event, exception.exception) == ("", "throttlingException")
