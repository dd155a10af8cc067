"""Reading a shard without a gap, and a page at a time."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.streams.fakes import NOON, FakeKinesis, FakeTime, expired, raw
from weir.runtime.errors import TooManyRequests, Unavailable
from weir.streams import browsing
from weir.streams.browsing import Page, Place, read_page
from weir.streams.errors import ShardNotFound, StreamNotFound
from weir.streams.kinesis import RawRecord
from weir.streams.models import Encoding
from weir.streams.reader import LATEST, TRIM_HORIZON, Position, ShardReader, after

SHARD = "shardId-000000000000"


def with_records(records: list[RawRecord], closed: tuple[str, ...] | None = None) -> FakeKinesis:
    kinesis = FakeKinesis()
    stream = kinesis.add("s")
    stream.records[SHARD] = records
    if closed is not None:
        stream.closed[SHARD] = closed
    return kinesis


def reader(kinesis: FakeKinesis, time: FakeTime, **more: object) -> ShardReader:
    return ShardReader(kinesis, "s", SHARD, time.clock(), **more)


@given(
    count=st.integers(0, 40),
    per_call=st.integers(1, 10),
    trouble=st.lists(st.sampled_from(["expired", "throttled", "empty"]), max_size=6),
)
def test_every_record_comes_once_and_in_order_whatever_happens(count: int, per_call: int, trouble: list[str]) -> None:
    # Given a closed shard, and calls that are throttled, answered empty, or whose iterator has expired
    kinesis = with_records([raw(number) for number in range(1, count + 1)], closed=("child-a", "child-b"))
    kinesis.records_per_call = per_call
    time = FakeTime()
    shard = reader(kinesis, time)
    found: list[str] = []
    for _ in range(200):
        if trouble:
            match trouble.pop():
                case "expired":
                    kinesis.failures["get_records"] = [expired()]
                case "throttled":
                    kinesis.failures["get_records"] = [TooManyRequests("slow")]
                case _:
                    kinesis.empty_answers = 1

        # When it is read to its end
        batch = shard.read()
        found += [record.sequence_number for record in batch.records]
        if batch.closed:
            break

    # Then nothing is missing or twice, and the children are told
    assert found == [str(number) for number in range(1, count + 1)]
    assert batch.child_shard_ids == ("child-a", "child-b")
    assert shard.read().records == []


def test_a_shard_is_asked_five_times_a_second_at_most() -> None:
    # Given an open shard, When it is read eleven times
    time = FakeTime()
    kinesis = with_records([])
    shard = reader(kinesis, time)
    for _ in range(11):
        shard.read()

    # Then that took two seconds, and ready_at says when the next call may go
    assert time.seconds == pytest.approx(2.0)
    assert shard.ready_at == pytest.approx(2.2)


def test_throttling_backs_off_and_is_told() -> None:
    # Given a shard that others read
    time = FakeTime()
    kinesis = with_records([raw(1)])
    kinesis.failures["get_records"] = [TooManyRequests("slow")] * 3
    shard = reader(kinesis, time)

    # When it is read, Then the waits grow, nothing is lost
    waits = []
    for _ in range(3):
        assert shard.read().throttled
        waits.append(round(shard.ready_at - time.seconds, 2))
    assert waits == [0.4, 0.8, 1.6]
    assert [record.sequence_number for record in shard.read().records] == ["1"]


def test_a_reader_goes_on_behind_a_sequence_number() -> None:
    kinesis = with_records([raw(1), raw(2), raw(3)])
    shard = reader(kinesis, FakeTime(), position=after("2"))
    assert [record.sequence_number for record in shard.read().records] == ["3"]
    assert shard.last_sequence == "3"


def test_other_failures_are_raised() -> None:
    kinesis = with_records([raw(1)])
    kinesis.failures["get_records"] = [Unavailable("down")]
    with pytest.raises(Unavailable):
        reader(kinesis, FakeTime()).read()


def page(kinesis: FakeKinesis, place: Place, time: FakeTime | None = None, limit: int = 10, **more: object) -> Page:
    encoding: Encoding = "base64" if more.get("encoding") == "base64" else "text"
    clock = (time or FakeTime()).clock()
    return read_page(kinesis, "s", SHARD, place, limit=limit, encoding=encoding, clock=clock)


@given(count=st.integers(0, 25), limit=st.integers(1, 10), closed=st.booleans())
def test_pages_follow_each_other_without_a_gap(count: int, limit: int, closed: bool) -> None:
    # Given a shard, When it is read page by page, each from a cursor of the one before
    kinesis = with_records([raw(number) for number in range(1, count + 1)], closed=() if closed else None)
    place: Place | None = Place(TRIM_HORIZON)
    found: list[str] = []
    for _ in range(count // limit + 2):
        assert place is not None
        told = page(kinesis, Place.from_dict(place.to_dict()), limit=limit)
        found += [record.sequence_number for record in told.records]
        place = told.next
        if place is None:
            break

    # Then every record came once; only a closed shard ends
    assert found == [str(number) for number in range(1, count + 1)]
    assert (place is None) is closed


def test_data_is_text_where_it_is_utf_8_and_base64_where_it_is_not() -> None:
    # Given text, bytes that are none, and text that looks like base64
    kinesis = with_records([raw(1, "naïve".encode()), raw(2, b"\xff\xfe"), raw(3, b"aGk=")])

    # When they are read, Then each record says what its data is
    told = [(record.data, record.encoding, record.size_bytes) for record in page(kinesis, Place(TRIM_HORIZON)).records]
    assert told == [("naïve", "text", 6), ("//4=", "base64", 2), ("aGk=", "text", 4)]

    # And when base64 is asked for, Then all are so
    forced = page(kinesis, Place(TRIM_HORIZON), encoding="base64").records
    assert [base64.b64decode(record.data or "") for record in forced] == ["naïve".encode(), b"\xff\xfe", b"aGk="]
    assert {record.encoding for record in forced} == {"base64"}


def test_a_page_ends_where_a_lambda_answer_would() -> None:
    # Given records of 1.5 MiB, and one that no answer can hold
    large = b"x" * (1536 * 1024)
    kinesis = with_records([raw(1, large), raw(2, large), raw(3, large), raw(4, b"y" * (5 * 1024 * 1024)), raw(5)])

    # When they are read, Then two fit, and the next page goes on with the third
    first = page(kinesis, Place(TRIM_HORIZON))
    assert [record.sequence_number for record in first.records] == ["1", "2"]
    assert first.next is not None
    second = page(kinesis, first.next)
    assert [record.sequence_number for record in second.records] == ["3"]

    # And the one that can't be shown is told without its data, and does not stop the reading
    assert second.next is not None
    third = page(kinesis, second.next)
    assert [(record.sequence_number, record.data, record.size_bytes) for record in third.records] == [
        ("4", None, 5 * 1024 * 1024),
        ("5", "r5", 2),
    ]


def test_a_cut_page_of_a_closed_shard_is_not_its_end() -> None:
    large = b"x" * (3 * 1024 * 1024)
    kinesis = with_records([raw(1, large), raw(2, large)], closed=("child",))
    assert page(kinesis, Place(TRIM_HORIZON)).next is not None


def test_empty_stretches_are_walked_over() -> None:
    # Given a shard that answers empty three times although records are further on
    kinesis = with_records([raw(1)])
    kinesis.empty_answers = 3
    time = FakeTime()

    # When a page is read, Then it is found, at five calls a second
    assert [record.sequence_number for record in page(kinesis, Place(TRIM_HORIZON), time).records] == ["1"]
    assert time.slept == [0.2, 0.2, 0.2]


def test_a_long_empty_stretch_is_not_walked_twice() -> None:
    # Given more emptiness than a page has time for
    kinesis = with_records([raw(1)])
    kinesis.empty_answers = 1000
    time = FakeTime()

    # When a page is read, Then it is empty in time, and its place keeps the iterator
    told = page(kinesis, Place(TRIM_HORIZON), time)
    assert told.records == ()
    assert time.seconds <= browsing.PAGE_SECONDS
    assert told.next is not None
    assert told.next.iterator is not None


def test_latest_loses_nothing_when_its_iterator_expires_unread() -> None:
    # Given a caller who waits for new records
    kinesis = with_records([raw(-10)])
    told = page(kinesis, Place(LATEST))
    assert told.records == ()
    assert told.next is not None

    # When a record arrives, and the iterator expires before the next page
    kinesis.streams["s"].records[SHARD].append(raw(60))
    kinesis.failures["get_records"] = [expired()]

    # Then the record is in it
    assert [record.sequence_number for record in page(kinesis, told.next).records] == ["60"]


def test_a_position_by_time_and_by_sequence_number() -> None:
    kinesis = with_records([raw(1), raw(2), raw(3)])
    by_time = Place(Position("AT_TIMESTAMP", timestamp=NOON.replace(second=2)))
    by_number = Place(Position("AT_SEQUENCE_NUMBER", sequence="3"))
    assert [record.sequence_number for record in page(kinesis, by_time).records] == ["2", "3"]
    assert [record.sequence_number for record in page(kinesis, by_number).records] == ["3"]


def test_a_shard_that_others_read_all_the_time_is_too_many_requests() -> None:
    kinesis = with_records([raw(1)])
    kinesis.failures["get_records"] = [TooManyRequests("slow")] * 50
    time = FakeTime()
    with pytest.raises(TooManyRequests):
        page(kinesis, Place(TRIM_HORIZON), time)
    assert time.seconds <= browsing.PAGE_SECONDS


def test_unknown_streams_and_shards_are_not_found() -> None:
    kinesis = with_records([])
    with pytest.raises(ShardNotFound):
        read_page(
            kinesis,
            "s",
            "shardId-9",
            Place(TRIM_HORIZON),
            limit=1,
            encoding="text",
            clock=FakeTime().clock(),
        )
    del kinesis.streams["s"]
    with pytest.raises(StreamNotFound):
        page(kinesis, Place(TRIM_HORIZON))
