"""A reader follows splits and merges: parents before children, and every shard once."""

from collections.abc import Callable

import pytest

from tests.unit.runs.benches import FIRST, SECOND, THIRD, Bench
from tests.unit.runs.fakes import shard
from weir.runs.bucket import RunsBucket
from weir.runs.table import RunsTable


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
