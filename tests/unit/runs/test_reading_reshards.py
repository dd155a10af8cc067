"""A reader follows splits and merges: parents before children, and every shard once."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.runs.benches import FIRST, SECOND, THIRD, Bench
from tests.unit.runs.fakes import shard
from weir.runs.bucket import RunsBucket
from weir.runs.reading import QUIET_ROUNDS, Outcome
from weir.runs.table import RunsTable
from weir.runtime.errors import TooManyRequests, Unavailable, WeirError


@pytest.fixture
def bench(table: RunsTable, bucket: RunsBucket) -> Callable[..., Bench]:
    return lambda **changes: Bench(table, bucket, **changes)


def test_a_split_is_followed_in_order(bench: Callable[..., Bench]) -> None:
    # Given a shard that is split in the middle of a key's records
    b = bench()
    b.log.family[b.run.stream_name] = [shard(0), shard(1, parent=0), shard(2, parent=0)]
    stream = b.log.streams[b.run.stream_name]
    stream.records |= {SECOND: [], THIRD: []}
    stream.closed[FIRST] = (SECOND, THIRD)
    b.write(range(20))
    b.write(range(20, 30), SECOND)
    b.write(range(10), THIRD, "l")
    b.told(done=True)
    b.log.records_per_call = 7
    # When read / Then the parent comes first, and all of it
    assert b.read().done
    state = b.state()
    assert (state.ledger.unique, state.ledger.reordered, state.ledger.duplicates) == (40, 0, 0)
    assert {shard_id: one.closed for shard_id, one in state.shards.items()} == {
        FIRST: True,
        SECOND: False,
        THIRD: False,
    }


def test_a_split_is_followed_behind_a_checkpoint(bench: Callable[..., Bench]) -> None:
    # Given a reader that has followed a split, and gone idle in the children
    b = bench()
    b.log.family[b.run.stream_name] = [shard(0), shard(1, parent=0)]
    stream = b.log.streams[b.run.stream_name]
    stream.records[SECOND] = []
    stream.closed[FIRST] = (SECOND,)
    b.write(range(5))
    b.told(done=False)
    assert not b.read().done
    # When the next goes on / Then it reads the child alone
    b.write(range(5, 9), SECOND)
    b.told(done=True)
    b.log.calls.clear()
    assert b.read().done
    assert (b.state().ledger.unique, b.state().ledger.duplicates) == (9, 0)


@pytest.mark.parametrize("slow", [FIRST, SECOND])
def test_a_merge_is_read_when_both_parents_are(slow: str, bench: Callable[..., Bench]) -> None:
    # Given two shards that are merged, one of which takes far longer to read, and a key that goes on in the child
    b = bench(shards=2)
    b.log.family[b.run.stream_name] = [shard(0), shard(1), shard(2, parent=0, adjacent=1)]
    stream = b.log.streams[b.run.stream_name]
    stream.records[THIRD] = []
    stream.closed |= {FIRST: (THIRD,), SECOND: (THIRD,)}
    b.write(range(50), slow)
    b.write(range(50, 60), THIRD)
    b.told(done=True)
    b.log.records_per_call = 5
    # When read / Then the child waits for both, so that the key keeps its order
    assert b.read().done
    assert (b.state().ledger.unique, b.state().ledger.reordered) == (60, 0)


def test_the_children_of_shards_of_two_readers_are_read_once(bench: Callable[..., Bench]) -> None:
    # Given two shards of different readers that are merged
    b = bench(shards=2)
    b.log.family[b.run.stream_name] = [shard(0), shard(1), shard(2, parent=0, adjacent=1)]
    stream = b.log.streams[b.run.stream_name]
    stream.records[THIRD] = []
    stream.closed |= {FIRST: (THIRD,), SECOND: (THIRD,)}
    b.write(range(5), THIRD)
    b.told(done=True)
    # When both read / Then the first parent's reader has the child
    assert b.read(index=0, readers=2).done
    assert b.read(index=1, readers=2).done
    assert set(b.state(0).shards) == {FIRST, THIRD}
    assert set(b.state(1).shards) == {SECOND}


@pytest.mark.parametrize("late", [SECOND, THIRD])
def test_a_child_that_is_not_listed_yet_is_not_left_out(late: str, bench: Callable[..., Bench]) -> None:
    # Given a shard that is split, and a listing that does not have all of its children yet
    b = bench()
    family = [shard(0), shard(1, parent=0), shard(2, parent=0)]
    b.log.family[b.run.stream_name] = [one for one in family if one.shard_id != late]
    stream = b.log.streams[b.run.stream_name]
    stream.records |= {SECOND: [], THIRD: []}
    stream.closed[FIRST] = (SECOND, THIRD)
    b.write(range(20))
    b.write(range(20, 30), SECOND)
    b.write(range(10), THIRD, "l")
    b.told(done=True)
    # When read / Then the reader is not done, however often it comes back, and reads nothing again meanwhile
    for _ in range(QUIET_ROUNDS + 1):
        assert b.read() == Outcome(False, 1)
        b.time.seconds += 30
    # And when all are listed, nothing is lost, and nothing counted twice
    b.log.family[b.run.stream_name] = family
    assert b.read().done
    state = b.state()
    assert (state.ledger.unique, state.ledger.reordered, state.ledger.duplicates) == (40, 0, 0)
    assert set(state.shards) == {FIRST, SECOND, THIRD}
    # and what was read in time is measured as that: the half of all records that lay before the split
    assert state.latency.count == 40
    assert state.latency.quantile(0.5) < 1_000_000


@pytest.mark.parametrize("error", [None, Unavailable("no answer"), TooManyRequests("slow", retry_after=1)])
def test_while_a_child_is_not_listed_the_other_shards_are_read_on(
    error: WeirError | None, bench: Callable[..., Bench]
) -> None:
    # Given two shards, one of which was split, and a listing that knows the child, or answers, after five seconds
    b = bench(shards=2)
    b.log.family[b.run.stream_name] = known = [shard(0), shard(1)]
    stream = b.log.streams[b.run.stream_name]
    stream.records[THIRD] = []
    stream.closed[FIRST] = (THIRD,)
    b.told(done=False)
    written = 0
    read, listing, listed = b.log.get_records, b.log.shards, 0

    def get_records(*args: Any, **named: Any) -> Any:
        nonlocal written
        while written < b.time.seconds:
            b.write([written], SECOND, "l")
            written += 1
        return read(*args, **named)

    def shards(name: str) -> Any:
        nonlocal listed
        listed += 1
        if b.time.seconds > 5:
            known[2:] = [shard(2, parent=0)]
        elif listed > 1 and error is not None:
            raise error
        return listing(name)

    b.log.get_records, b.log.shards = get_records, shards  # type: ignore[method-assign, assignment]
    # When read for ten seconds / Then none waits for the split, and its child is read when it is known
    assert not b.read(10).done
    assert set(b.state().shards) == {FIRST, SECOND, THIRD}
    assert b.state().shards[FIRST].closed
    assert b.state().latency.quantile(1.0) < 1_000_000
    # and it was listed once a second, not in every round
    assert listed <= 8
