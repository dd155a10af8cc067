"""Sources: the same record at the same position, whoever reads it, and every line of a file exactly once."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.runs.fakes import Wires, spec_of
from weir.runs.bucket import RunsBucket
from weir.runs.models import InlineSource, Keys
from weir.runs.planner import SourceSize, Span, hottest_share, spans
from weir.runs.source import (
    MAX_LINE_BYTES,
    SAMPLE_BYTES,
    Drawn,
    Generated,
    Inline,
    Lines,
    Source,
    SourceUnreadable,
    key_chooser,
    line_key,
    mix,
    records_estimated,
    split_lines,
)
from weir.runs.starting import source_size
from weir.runs.table import RunsTable

KEYS = Keys(count=7)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\n\n"])
TEXT = st.lists(st.tuples(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")), ENDS))


def chunked(data: bytes, size: int) -> Callable[[int], Iterator[bytes]]:
    """``open_at`` of an object that comes in chunks of ``size``."""
    return lambda offset: (data[at : at + size] for at in range(offset, len(data), size))


def naive(data: bytes) -> list[bytes]:
    """The lines that are records, as anybody would say."""
    return [line.rstrip(b"\r") for line in data.split(b"\n") if line.rstrip(b"\r")]


def resumed(source: Source, start: int, stops: Iterable[int]) -> list[Drawn]:
    """All records of a source whose reader dies after so many records, again and again, and goes on behind them."""
    drawn: list[Drawn] = []
    position = start
    for stop in stops:
        some = list(islice(source.read(position), stop))
        drawn += some
        position = some[-1].next_position if some else position
    return drawn + list(source.read(position))


@given(TEXT, st.booleans(), st.integers(1, 6), st.integers(1, 40))
@hypothesis_settings(deadline=None)
def test_every_line_is_in_one_slice(lines: list[tuple[bytes, bytes]], ended: bool, parts: int, size: int) -> None:
    # Given a file of any lines and line ends, the last perhaps without one
    data = b"".join(line + end for line, end in lines)
    data = data if ended else data.rstrip(b"\r\n")
    # When it is split into any number of slices, and read in chunks of any size
    slices = [list(Lines(span, chunked(data, size), None, KEYS).read(span.start)) for span in spans(len(data), parts)]
    # Then the slices together are all lines, once and in order
    assert [one.payload for part in slices for one in part] == naive(data)


@given(TEXT, st.integers(1, 4), st.integers(1, 40), st.lists(st.integers(0, 3), max_size=6))
@hypothesis_settings(deadline=None)
def test_a_reader_of_lines_goes_on_where_another_died(
    lines: list[tuple[bytes, bytes]], parts: int, size: int, stops: list[int]
) -> None:
    # Given slices of a file whose readers die after any number of lines
    data = b"".join(line + end for line, end in lines)
    for span in spans(len(data), parts):
        source = Lines(span, chunked(data, size), None, KEYS)
        # When others go on at their positions / Then keys, positions and payloads are those of one reader
        assert resumed(source, span.start, stops) == list(source.read(span.start))


@given(st.integers(0, 60), st.integers(1, 5), st.lists(st.integers(0, 9), max_size=5), st.sampled_from([0, 1, 100]))
@hypothesis_settings(deadline=None)
def test_generated_records_follow_from_their_numbers(
    records: int, parts: int, stops: list[int], payload_bytes: int
) -> None:
    # Given one writer's records, and the same load split over several, who die now and then
    whole = list(Generated(Span(0, records), payload_bytes, KEYS).read(0))
    split = [
        one
        for span in spans(records, parts)
        for one in resumed(Generated(span, payload_bytes, KEYS), span.start, stops)
    ]
    # Then each record is the same, whoever made it
    assert split == whole
    assert [one.next_position for one in whole] == list(range(1, records + 1))
    assert all(len(one.payload) == payload_bytes for one in whole)


def test_generated_payloads_differ_and_are_printable() -> None:
    drawn = list(Generated(Span(0, 5_000), 40, KEYS).read(0))
    assert len({one.payload for one in drawn}) == 5_000
    assert b"".join(one.payload for one in drawn).decode("ascii").isprintable()


def test_inline_lines_keep_every_character() -> None:
    # Given lines with blanks, quotes and other scripts / When read in two slices / Then they are as given
    lines = ("  a ", '{"x": 1}', "ßß", "\t")
    source = InlineSource(type="inline", lines=lines)
    drawn = [one for span in spans(4, 2) for one in Inline(span, source, KEYS).read(span.start)]
    assert tuple(one.payload.decode() for one in drawn) == lines
    assert [one.next_position for one in drawn] == [1, 2, 3, 4]


@given(st.integers(1, 50), st.sampled_from(["uniform", "zipf", "single"]), st.integers(0, 10**15))
@hypothesis_settings(deadline=None)
def test_keys_follow_from_the_position_alone(count: int, distribution: str, position: int) -> None:
    keys = Keys(count=count, distribution=distribution)  # type: ignore[arg-type]
    first, second = key_chooser(keys), key_chooser(keys)
    assert first(position) == second(position)
    assert int(first(position).removeprefix("key-")) < count


def test_uniform_keys_are_even() -> None:
    # Given 20 keys and 40,000 records / Then each key has about 2,000 (5 standard deviations are 218)
    choose = key_chooser(Keys(count=20))
    counts = Counter(map(choose, range(40_000)))
    assert len(counts) == 20
    assert all(abs(count - 2_000) < 220 for count in counts.values())


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.1, 2.0])
def test_zipf_keys_have_zipfs_frequencies(exponent: float) -> None:
    # Given 50 keys / When 40,000 records are drawn
    choose = key_chooser(Keys(count=50, distribution="zipf", exponent=exponent))
    counts = Counter(map(choose, range(40_000)))
    # Then key k has its share 1/k^s of the harmonic sum
    total = sum(rank**-exponent for rank in range(1, 51))
    for rank in (1, 2, 5):
        expected = 40_000 * rank**-exponent / total
        assert abs(counts[f"key-{rank - 1:06d}"] - expected) < 5 * expected**0.5 + 1


def test_a_single_key_is_single_however_many_were_counted() -> None:
    assert {key_chooser(Keys(count=9, distribution="single"))(n) for n in range(100)} == {"key-000000"}


@pytest.mark.parametrize(
    "keys",
    [
        Keys(count=1),
        Keys(count=80),
        Keys(count=5, distribution="single"),
        Keys(count=3, distribution="zipf"),
        Keys(count=50_000, distribution="zipf", exponent=1.0),
        Keys(count=50_000, distribution="zipf", exponent=0.3),
        Keys(count=1_000_000, distribution="zipf", exponent=1.1),
    ],
)
def test_the_planner_knows_the_hottest_keys_share(keys: Keys) -> None:
    # Given keys of every shape / Then their exact share of the first, summed in full, is met within 0.1 %
    weights = [rank**-keys.exponent if keys.distribution == "zipf" else 1.0 for rank in range(1, keys.count + 1)]
    exact = 1.0 if keys.distribution == "single" else 1 / sum(weights)
    assert hottest_share(keys) == pytest.approx(exact, rel=1e-3)


def test_many_keys_are_named_like_few() -> None:
    assert key_chooser(Keys(count=100_000))(5).startswith("key-")
    assert len(key_chooser(Keys(count=100_000))(5)) == len("key-000000")


@given(st.integers(0, 2**64))
def test_mixing_stays_in_64_bits(number: int) -> None:
    assert 0 <= mix(number) < 2**64


@given(st.integers(0, 10**12), st.integers(1, 1_000))
def test_spans_cover_all_without_overlap_and_evenly(total: int, parts: int) -> None:
    found = spans(total, parts)
    assert len(found) == parts
    assert found[0].start == 0
    assert found[-1].end == total
    assert all(before.end == after.start for before, after in pairwise(found))
    sizes = [span.end - span.start for span in found]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ({"id": "a"}, "a"),
        ({"id": 7}, "7"),
        ({"id": True}, "true"),
        ({"id": None}, "null"),
        ({"id": {"b": 1}}, '{"b": 1}'),
        ({"id": "ß" * 256}, "ß" * 256),
    ],
)
def test_a_field_of_the_line_is_the_key(line: object, key: str) -> None:
    assert line_key("id", KEYS)(0, json.dumps(line).encode()) == key


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b'{"other": 1}',
        b"[1]",
        b'"id"',
        b"5",
        b"null",
        b"\xff\xfe",
        b'{"id": ""}',
        json.dumps({"id": "x" * 257}).encode(),
        rb'{"id": "\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_line_without_a_key_is_told_with_its_place(line: bytes) -> None:
    with pytest.raises(SourceUnreadable, match="line at 42"):
        line_key("id", KEYS)(42, line)


def test_what_comes_before_a_bad_line_is_drawn() -> None:
    # Given a bad line behind two good ones
    data = b'{"id": 1}\n{"id": 2}\noops\n'
    reading = Lines(Span(0, len(data)), chunked(data, 4), "id", KEYS).read(0)
    # When read / Then they come first, and the error says where the bad one begins
    assert [one.key for one in islice(reading, 2)] == ["1", "2"]
    with pytest.raises(SourceUnreadable, match="line at 20"):
        next(reading)


@pytest.mark.parametrize("size", [1 << 18, 1 << 21])
def test_a_line_that_no_record_can_hold_is_refused_however_it_comes(size: int) -> None:
    # Given lines of exactly the limit and of one byte more, in small chunks and in one
    fits, too_long = b"x" * MAX_LINE_BYTES + b"\n", b"x" * (MAX_LINE_BYTES + 1) + b"\n"
    assert list(split_lines(chunked(fits, size)(0))) == [fits]
    with pytest.raises(SourceUnreadable, match="longer than"):
        list(split_lines(chunked(b"a\n" + too_long + b"b\n", size)(0)))


def test_an_endless_line_does_not_fill_the_memory() -> None:
    # Given an object without a line end / When read / Then it is refused after little more than the limit
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1 << 16
            yield b"x" * (1 << 16)

    with pytest.raises(SourceUnreadable):
        next(split_lines(endless()))
    assert taken < MAX_LINE_BYTES + (1 << 17)


@given(TEXT, st.booleans(), st.integers(1, 40))
@hypothesis_settings(deadline=None)
def test_a_file_that_is_sampled_whole_is_counted(lines: list[tuple[bytes, bytes]], ended: bool, size: int) -> None:
    data = b"".join(line + end for line, end in lines)
    data = data if ended else data.rstrip(b"\r\n")
    # Given any lines / Then they are counted; of blank ones alone, the least that can be planned for is one
    assert records_estimated(chunked(data, size)(0), len(data)) == max(len(naive(data)), min(1, len(data)))


@pytest.mark.parametrize("line_bytes", [20, 150, 5_000])
def test_a_large_file_is_estimated_from_its_beginning(line_bytes: int) -> None:
    # Given a file of about 3 MB whose lines have any size / When estimated
    line = b"x" * (line_bytes - 1) + b"\n"
    data = line * (3_000_000 // line_bytes)
    taken = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in chunked(data, 100_000)(0):
            taken += len(chunk)
            yield chunk

    # Then the number is right, and little more than the sample was read
    assert records_estimated(counted(), len(data)) == len(data) // line_bytes
    assert taken < SAMPLE_BYTES + 100_000


def test_lines_longer_than_the_sample_are_at_least_as_few() -> None:
    # Given three lines of 900,000 bytes / Then the sample knows no more than that a line has at least its size
    data = (b"x" * 899_999 + b"\n") * 3
    assert records_estimated(chunked(data, SAMPLE_BYTES)(0), len(data)) == round(2_700_000 / SAMPLE_BYTES)


def test_an_upload_is_estimated_and_inline_lines_are_counted(table: RunsTable, bucket: RunsBucket) -> None:
    # Given an upload of 40,000 lines of 25 bytes, four times the sample, and two lines inline
    wires = Wires(table, bucket)
    bucket.write("sources/many", (b"x" * 24 + b"\n") * 40_000, "application/jsonl")
    upload = spec_of(load={"source": {"type": "s3", "key": "sources/many"}})
    inline = spec_of(load={"source": {"type": "inline", "lines": ["\u00df", "two"]}})
    # When sized / Then the upload's lines are an estimate, and its size is exact
    found = bucket.look("sources/many").version
    assert found is not None
    assert source_size(upload, wires) == SourceSize(1_000_000, None, records_estimated=40_000, version=found)
    assert source_size(inline, wires) == SourceSize(5, 2)
    assert source_size(spec_of(), wires) is None
