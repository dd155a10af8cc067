"""Pages of streams and shards, and the limits."""

import pytest

from tests.unit.streams.fakes import ACCOUNT, FakeKinesis, FakeTime
from weir.runtime.errors import TooManyRequests
from weir.streams import tags
from weir.streams.errors import StreamNotFound
from weir.streams.listing import list_shards, list_streams, read_limits
from weir.streams.models import StreamListItem

OURS = {
    tags.MANAGED: "true",
    tags.STACK: "weir",
    tags.OWNER: "ann",
    tags.RUN_ID: "r",
    tags.EXPIRES_AT: "2026-11-21T13:00:00Z",
}


def all_streams(kinesis: FakeKinesis, time: FakeTime, limit: int) -> list[list[StreamListItem]]:
    pages: list[list[StreamListItem]] = []
    after: str | None = None
    while not pages or after is not None:
        page = list_streams(kinesis, after=after, limit=limit, clock=time.clock())
        pages.append(list(page.items))
        after = page.next
    return pages


def test_every_stream_is_listed_once_and_weirs_are_marked() -> None:
    # Given streams of Weir's and of others
    kinesis = FakeKinesis()
    for number in range(7):
        kinesis.add(f"s-{number}", OURS if number % 2 else {})

    # When all pages of three are read, Then each is there once, and only Weir's are managed
    pages = all_streams(kinesis, FakeTime(), 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    listed = [item for page in pages for item in page]
    assert [item.name for item in listed] == [f"s-{number}" for number in range(7)]
    assert [item.managed for item in listed] == [bool(number % 2) for number in range(7)]
    assert (listed[1].owner, listed[1].run_id) == ("ann", "r")


def test_a_page_ends_when_its_time_is_used_up_and_the_cursor_goes_on() -> None:
    # Given tag calls that take three seconds each
    time = FakeTime()

    class Slow(FakeKinesis):
        def tags(self, name: str) -> dict[str, str]:
            time.seconds += 3
            return super().tags(name)

    kinesis = Slow()
    for number in range(8):
        kinesis.add(f"s-{number}")

    # When all pages are read, Then they are short, and nothing is missing
    pages = all_streams(kinesis, time, 50)
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [item.name for page in pages for item in page] == [f"s-{number}" for number in range(8)]


def test_throttled_tags_end_the_page_but_never_make_it_empty() -> None:
    # Given tag calls that are throttled after the second
    kinesis = FakeKinesis()
    for number in range(4):
        kinesis.add(f"s-{number}")

    class Throttled(FakeKinesis):
        left = 2

        def tags(self, name: str) -> dict[str, str]:
            if not self.left:
                raise TooManyRequests("five a second", retry_after=2)
            self.left -= 1
            return super().tags(name)

    throttled = Throttled()
    throttled.streams = kinesis.streams

    # When a page is read, Then it is short; and when nothing can be told, that is an error and no empty page
    page = list_streams(throttled, after=None, limit=4, clock=FakeTime().clock())
    assert ([item.name for item in page.items], page.next) == (["s-0", "s-1"], "s-1")
    with pytest.raises(TooManyRequests):
        list_streams(throttled, after="s-1", limit=4, clock=FakeTime().clock())


def test_a_stream_that_was_deleted_since_is_left_out() -> None:
    # Given a stream that goes between the list and its tags
    kinesis = FakeKinesis()
    kinesis.add("a")
    kinesis.add("b")
    kinesis.failures["tags"] = [StreamNotFound("gone")]

    # When a page of one is read, Then it is empty with a cursor to what is behind
    page = list_streams(kinesis, after=None, limit=1, clock=FakeTime().clock())
    assert (page.items, page.next) == ((), "a")


def test_shards_in_pages() -> None:
    kinesis = FakeKinesis()
    kinesis.add("s", count=5)
    first = list_shards(kinesis, "s", after=None, limit=3)
    second = list_shards(kinesis, "s", after=first.next, limit=3)
    assert [len(first.items), len(second.items)] == [3, 2]
    assert second.next is None
    assert list_shards(kinesis, "s", after=None, limit=5).next is None


def test_the_limits_name_the_account_and_how_it_is_known() -> None:
    kinesis = FakeKinesis()
    kinesis.add("s", count=5)
    told = read_limits(kinesis, ACCOUNT)
    assert (told.account_id, told.account_source, told.region) == ("210987654321", "sts", "eu-west-1")
    assert (told.open_shard_count, told.shard_limit) == (5, 500)
