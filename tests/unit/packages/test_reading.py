"""Reading by ranges: the same bytes as from memory, a bounded part of them at a time."""

import zlib

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.packages.evil import Bytes, deflated
from weir.packages.reading import LEAST_FETCH, MOST_FETCH, Ended, Held, Inflated, Stream, TooMuch, View, Window

CONTENT = bytes(range(256)) * 4096 + b"end"


@given(st.lists(st.tuples(st.integers(0, len(CONTENT) + 9), st.integers(0, 70_000)), max_size=20))
def test_a_window_gives_what_is_there(reads: list[tuple[int, int]]) -> None:
    window = Window(Bytes(CONTENT))

    for offset, length in reads:
        assert window.read(offset, length) == CONTENT[offset : offset + length]


def test_reads_that_go_on_are_few_and_become_longer() -> None:
    # Given a file of 64 MiB that is read from front to back, 4 KiB at a time
    file = Bytes(b"", 64 * 1024 * 1024)
    window = Window(file)

    for offset in range(0, file.size, 4096):
        window.read(offset, 4096)

    # Then each byte was fetched once, in pieces of 16 KiB to 4 MiB
    assert file.bytes_read == file.size
    assert len(file.reads) < 30
    assert file.reads[0] == (0, LEAST_FETCH)
    assert file.largest == MOST_FETCH


def test_reads_here_and_there_fetch_little() -> None:
    file = Bytes(b"", 1 << 40)
    window = Window(file)

    for offset in range(0, file.size, 1 << 36):
        window.read(offset, 30)

    assert file.bytes_read == 16 * LEAST_FETCH


def test_a_window_has_an_end() -> None:
    file = Bytes(b"", 1 << 30)

    with pytest.raises(TooMuch):
        Window(file).read(0, MOST_FETCH + 1)
    window = Window(file, most_reads=2)
    window.read(0, 1)
    window.read(1 << 20, 1)
    with pytest.raises(TooMuch):
        window.read(1 << 25, 1)
    with pytest.raises(TooMuch):
        Window(file, most_bytes=1000).read(0, 1)
    assert len(file.reads) == 2


def test_an_error_of_the_source_goes_through_and_is_kept() -> None:
    # Given ranges that fail, or give fewer bytes than there are
    class Failing(Bytes):
        def read(self, offset: int, length: int) -> bytes:
            raise TimeoutError("slow down")

    class Short(Bytes):
        def read(self, offset: int, length: int) -> bytes:
            return b"x"

    for file, expected in ((Failing(CONTENT), TimeoutError), (Short(CONTENT), OSError)):
        window = Window(file)
        with pytest.raises(expected):
            window.read(0, 10)
        assert isinstance(window.failure, expected)


def streams() -> list[Stream]:
    padded = b"before" + CONTENT + b"after"
    data = deflated(CONTENT)
    return [
        Held(CONTENT),
        View(Window(Bytes(padded)), 6, 6 + len(CONTENT)),
        Inflated(View(Window(Bytes(data))), len(CONTENT)),
    ]


STEPS = st.lists(
    st.tuples(st.sampled_from(["read", "peek", "skip", "line"]), st.integers(0, 9) | st.integers(0, 200_000)),
    max_size=20,
)


@hypothesis_settings(deadline=None)
@given(STEPS)
def test_all_streams_read_alike(steps: list[tuple[str, int]]) -> None:
    for stream in streams():
        at = 0
        for step, length in steps:
            expected = CONTENT[at : at + length]
            assert stream.tell() == at
            if step == "peek":
                assert stream.peek(length) == expected
            elif step == "line":
                stop = CONTENT.find(b"\n", at)
                if stop < 0:
                    with pytest.raises(Ended):
                        stream.line(length)
                    break
                assert stream.line(length) == CONTENT[at : min(stop, at + length)]
                at = stop + 1
            elif len(expected) < length:
                with pytest.raises(Ended):
                    getattr(stream, step)(length)
                break
            else:
                assert getattr(stream, step)(length) == (expected if step == "read" else None)
                at += length
            assert stream.ended == (at == len(CONTENT))


def test_what_is_skipped_is_not_fetched() -> None:
    file = Bytes(b"", 1 << 40)
    view = View(Window(file))

    view.skip((1 << 40) - 3)

    assert view.read(3) == b"\0\0\0"
    assert view.ended
    assert file.reads == [((1 << 40) - 3, 3)]


def test_no_more_is_inflated_than_is_allowed() -> None:
    # Given 20 MB that come out of 20 KB
    data = deflated(bytes(20_000_000))
    inflated = Inflated(View(Window(Bytes(data))), 1_000_000)

    inflated.skip(1_000_000 // 2)
    with pytest.raises(TooMuch):
        inflated.skip(1_000_000)


@pytest.mark.parametrize(("data", "error"), [(deflated(CONTENT)[:-9], Ended), (b"\xff" * 30, zlib.error), (b"", Ended)])
def test_what_can_not_be_inflated(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Inflated(Held(data), len(CONTENT)).skip(len(CONTENT))
