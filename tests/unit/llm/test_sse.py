"""Server-sent events by the standard, however their bytes are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weir.llm import sse
from weir.llm.sse import BrokenStream, Event, SseDecoder

LINES = st.sampled_from(
    ["", "", "data: a", "data:b", "data", "data:  two spaces", "event: named", "event", ": comment", "id: 7",
     "retry: 5", "data: ü🌍", "other: x", "nonsense"]
)  # fmt: skip
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    pieces = draw(st.lists(st.tuples(LINES, ENDS), max_size=24))
    bom = "\ufeff" if draw(st.booleans()) else ""
    return (bom + "".join(line + end for line, end in pieces)).encode()


def decoded(*pieces: bytes) -> list[Event]:
    decoder = SseDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def by_the_standard(raw: bytes) -> list[Event]:
    """The standard's algorithm, word for word, on the whole."""
    text = raw.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    events, data, name = [], "", ""
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                events.append(Event(name, data[:-1].encode()))
            data, name = "", ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data += value + "\n"
    return events


@given(streams())
@settings(max_examples=50, deadline=None)
def test_events_are_what_the_standard_says(raw: bytes) -> None:
    assert decoded(raw) == by_the_standard(raw)


@given(streams(), st.data())
@settings(max_examples=50, deadline=None)
def test_any_split_of_the_bytes_gives_the_same_events(raw: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert decoded(*pieces) == decoded(raw)
    assert decoded(*(raw[at : at + 1] for at in range(len(raw)))) == decoded(raw)


def test_an_event_comes_with_its_last_byte() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"event: ping\r\ndata: {}\r\n") == []
    assert decoder.feed(b"\r") == [Event("ping", b"{}")]
    assert decoder.feed(b"\ndata: 2\n\n") == [Event("", b"2")]


@given(st.text("ab-_", max_size=8), st.binary(max_size=40).filter(lambda raw: b"\n" not in raw and b"\r" not in raw))
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(name: str, data: bytes) -> None:
    assert decoded(sse.encode(name, data)) == [Event(name, data)]


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 100)
    with pytest.raises(BrokenStream):
        decoded(*[b"data: " + b"x" * 40 + b"\n"] * 3)
    with pytest.raises(BrokenStream):
        decoded(b"data: ", b"x" * 101)
