"""Records over HTTP: what is written where, and what is told about each."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.streams.fakes import FakeKinesis, FakeTime, even_shards
from weir.runtime.errors import Invalid
from weir.streams import tags
from weir.streams.entries import Entry, PutResult
from weir.streams.errors import NotManaged, StreamNotFound
from weir.streams.hashing import ShardMap
from weir.streams.models import PutAnswer, PutRequest, RecordIn
from weir.streams.writing import KEPT_SECONDS, PUT_SECONDS, Target, Targets, write_records

SHARDS = ShardMap(even_shards(2))


class Shelf:
    """Takes entries, except those whose data is in ``refuse`` as often as it says."""

    def __init__(self, refuse: dict[bytes, int] | None = None) -> None:
        self.refuse = dict(refuse or {})
        self.taken: list[Entry] = []
        self.requests: list[int] = []

    def __call__(self, entries: Sequence[Entry]) -> list[PutResult]:
        self.requests.append(len(entries))
        return [self._one(entry) for entry in entries]

    def _one(self, entry: Entry) -> PutResult:
        if self.refuse.get(entry.data, 0) > 0:
            self.refuse[entry.data] -= 1
            return PutResult(None, None, "ProvisionedThroughputExceededException")
        self.taken.append(entry)
        shard = SHARDS.shard_for(entry.partition_key, entry.explicit_hash_key)
        return PutResult(shard, str(len(self.taken)), None)


def write(shelf: Shelf, request: PutRequest, time: FakeTime | None = None) -> PutAnswer:
    clock = (time or FakeTime()).clock()
    return write_records(
        shelf, Target(SHARDS, 1_048_576), request, clock=clock, rng=random.Random(7), seconds=PUT_SECONDS
    )


def request_of(*texts: str, ordered: bool = False) -> PutRequest:
    records = tuple(RecordIn(encoding="text", data=text, partition_key=text[0]) for text in texts)
    return PutRequest(records=records, ordered=ordered)


def test_each_record_is_told_where_it_went() -> None:
    # Given three records, one of them with an explicit hash key
    shelf = Shelf()
    pinned = RecordIn(encoding="base64", data="/w==", partition_key="k", explicit_hash_key=str(2**128 - 1))
    request = PutRequest(records=(*request_of("a", "b").records, pinned))

    # When they are written, Then each has its shard and sequence number, in the caller's order
    answer = write(shelf, request)
    assert (answer.accepted, answer.failed, answer.retried) == (3, 0, 0)
    assert [outcome.index for outcome in answer.outcomes] == [0, 1, 2]
    assert answer.outcomes[2].shard_id == "shardId-000000000001"
    assert shelf.taken[-1].data == b"\xff"
    assert all(outcome.sequence_number and outcome.attempts == 1 for outcome in answer.outcomes)


def test_only_the_failed_records_are_sent_again() -> None:
    # Given one record that is throttled twice
    shelf = Shelf({b"b": 2})

    # When it is written among others, Then it alone went again, and all are on the stream once
    answer = write(shelf, request_of("a", "b", "c"))
    assert shelf.requests == [3, 1, 1]
    assert (answer.accepted, answer.retried) == (3, 2)
    assert [outcome.attempts for outcome in answer.outcomes] == [1, 3, 1]
    assert sorted(entry.data for entry in shelf.taken) == [b"a", b"b", b"c"]


def test_what_does_not_get_through_is_told_within_the_deadline() -> None:
    # Given a record that is always throttled
    time = FakeTime()
    answer = write(Shelf({b"b": 10_000}), request_of("a", "b"), time)

    # Then its outcome says so, and the others are accepted
    assert (answer.accepted, answer.failed) == (1, 1)
    assert answer.outcomes[1].status == "failed"
    assert answer.outcomes[1].error == "ProvisionedThroughputExceededException"
    assert answer.outcomes[1].sequence_number is None
    assert time.seconds <= PUT_SECONDS + 1


@given(
    texts=st.lists(st.sampled_from(["a1", "a2", "a3", "b1", "b2", "c1"]), min_size=1, max_size=30, unique=True),
    refusals=st.dictionaries(st.sampled_from([b"a1", b"a2", b"b1", b"c1"]), st.integers(1, 3)),
)
def test_in_ordered_mode_each_key_keeps_its_order(texts: list[str], refusals: dict[bytes, int]) -> None:
    # Given records of three keys of which some are refused at first
    shelf = Shelf(refusals)

    # When they are written in order, Then the stream has each key's in that order
    answer = write(shelf, request_of(*texts, ordered=True))
    assert answer.failed == 0
    for key in "abc":
        on_stream = [entry.data.decode() for entry in shelf.taken if entry.partition_key == key]
        assert on_stream == [text for text in texts if text[0] == key]


def test_a_record_larger_than_the_stream_takes_is_refused_before_anything_is_written() -> None:
    shelf = Shelf()
    with pytest.raises(Invalid) as refused:
        write(shelf, request_of("a", "b" * 1_048_576))
    assert [error.field for error in refused.value.errors] == ["records.1.data"]
    assert shelf.taken == []


def test_only_weirs_streams_are_written_to_and_the_yes_is_kept_for_a_while() -> None:
    # Given a stream of Weir's and one of another's
    time = FakeTime()
    kinesis = FakeKinesis()
    kinesis.add("ours", {tags.MANAGED: "true", tags.STACK: "weir"}, count=2)
    kinesis.add("theirs")
    targets = Targets(kinesis, time.clock())

    # When both are looked up again and again
    for _ in range(3):
        assert len(targets.get("ours").shard_map) == 2
        with pytest.raises(NotManaged):
            targets.get("theirs")
    with pytest.raises(StreamNotFound):
        targets.get("none")

    # Then only the yes was kept
    assert kinesis.calls.count("tags") == 4

    # And it is looked at again when told to forget, or after some seconds: here the stream has lost its tag
    kinesis.streams["ours"].tags.clear()
    time.seconds += KEPT_SECONDS
    with pytest.raises(NotManaged):
        targets.get("ours")
    kinesis.streams["ours"].tags.update({tags.MANAGED: "true", tags.STACK: "weir"})
    targets.get("ours")
    kinesis.streams["ours"].tags.clear()
    targets.forget("ours")
    with pytest.raises(NotManaged):
        targets.get("ours")
