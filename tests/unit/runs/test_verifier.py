"""Entering what was read: the run's own records, and everything else that a stream may hold."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from weir.runs.envelope import HEADER_BYTES, run_tag, seal
from weir.runs.verifier import ReaderState, ShardState
from weir.streams.aggregation import MAGIC as KPL_MAGIC
from weir.streams.aggregation import aggregate
from weir.streams.entries import Entry
from weir.streams.kinesis import RawRecord

TAG = run_tag("run-1")
NOON = 1_795_262_400.0
US = 1_000_000


def sealed(
    sequence: int, *, tag: bytes = TAG, produced: float = NOON, payload: bytes = b"x", slice_index: int = 0
) -> bytes:
    return seal(tag, slice_index, sequence, int(produced * US), payload)


def raw(data: bytes, key: str = "k", at: float = NOON + 0.1) -> RawRecord:
    return RawRecord("1", key, data, at)


def entered(*records: RawRecord, read_at: float = NOON + 0.5) -> ReaderState:
    state = ReaderState(shards={"s": ShardState()})
    state.enter(state.shards["s"], TAG, records, read_at)
    return state


def counts(state: ReaderState) -> dict[str, int]:
    told = state.counts()
    return {name: told[name] for name in ("seen", "duplicates", "reordered", "corrupted", "foreign")}


def only(**expected: int) -> dict[str, int]:
    return {"seen": 0, "duplicates": 0, "reordered": 0, "corrupted": 0, "foreign": 0, **expected}


def test_the_runs_own_records() -> None:
    # Given five records of two keys / When entered / Then all are seen, and Kinesis' own counts are kept
    records = [raw(sealed(n // 2), f"k{n % 2}") for n in range(5)]
    state = entered(*records)
    assert counts(state) == only(seen=5)
    shard = state.shards["s"]
    assert (shard.records, shard.bytes) == (5, 5 * (HEADER_BYTES + 1 + 2))
    assert shard.arrivals.total == 5


def test_a_key_counts_in_bytes_as_kinesis_counts_it() -> None:
    assert entered(raw(sealed(0), "ß€")).shards["s"].bytes == HEADER_BYTES + 1 + 5


def test_a_record_that_comes_again_is_a_duplicate_and_measured_once() -> None:
    state = entered(raw(sealed(0)), raw(sealed(0)), raw(sealed(1)))
    assert counts(state) == only(seen=2, duplicates=1)
    assert state.latency.count == 2
    assert state.shards["s"].records == 3


def test_a_record_that_comes_after_a_later_one_is_reordered() -> None:
    assert counts(entered(raw(sealed(1)), raw(sealed(0)), raw(sealed(2)))) == only(seen=3, reordered=1)


def test_slices_number_their_keys_apart() -> None:
    assert counts(entered(raw(sealed(0)), raw(sealed(0, slice_index=1)))) == only(seen=2)


def test_latency_is_from_produced_to_read_and_to_arrived() -> None:
    # Given a record that took 0.1 s to arrive and 0.5 s to be read
    state = entered(raw(sealed(0)))
    # Then both are measured, within the histogram's one per cent
    assert state.latency.quantile(0.5) == pytest.approx(0.5 * US, rel=0.01)
    assert state.arrival_latency.quantile(0.5) == pytest.approx(0.1 * US, rel=0.01)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"WEIR",
        b"hello, stream",
        sealed(0)[: HEADER_BYTES - 1],
        sealed(0, tag=run_tag("another run")),
        KPL_MAGIC + b"no such digest, and long enough",
    ],
)
def test_what_is_not_the_runs_is_foreign(data: bytes) -> None:
    # Given a record of somebody else's among the run's own / Then it is told, and disturbs nothing
    assert counts(entered(raw(sealed(0)), raw(data), raw(sealed(1)))) == only(seen=2, foreign=1)


def test_a_record_whose_bytes_have_changed_is_seen_and_corrupted() -> None:
    data = bytearray(sealed(0, payload=b"payload"))
    data[-1] ^= 1
    assert counts(entered(raw(bytes(data)))) == only(seen=1, corrupted=1)


def test_aggregated_records_are_entered_each() -> None:
    # Given one Kinesis record that packs the run's records of two keys, one changed and one of another run
    changed = bytearray(sealed(1, payload=b"payload"))
    changed[-1] ^= 1
    entries = [
        Entry("a", sealed(0)),
        Entry("b", sealed(0)),
        Entry("a", bytes(changed)),
        Entry("b", sealed(0)),
        Entry("c", sealed(0, tag=run_tag("another run"))),
        Entry("c", b"plain"),
    ]
    state = entered(raw(aggregate(entries), "a"), raw(sealed(1), "b"))
    # Then each counts, and Kinesis' record is one
    assert counts(state) == only(seen=4, duplicates=1, corrupted=1, foreign=2)
    assert state.shards["s"].records == 2
    assert state.latency.count == 4


def test_a_readers_clock_behind_the_writers_is_told_and_not_hidden() -> None:
    # Given two records that were produced after they were read, by the clocks, and one before
    late = NOON + 2
    state = entered(raw(sealed(0, produced=late)), raw(sealed(1)), raw(sealed(2, produced=late)), read_at=NOON + 1)
    # Then they are seen, and their latency is said to be unknown
    assert counts(state) == only(seen=3)
    assert state.skewed == 2
    assert state.latency.min == 0


def test_an_arrival_stamped_in_whole_milliseconds_is_no_skew() -> None:
    # Given an arrival that Kinesis has rounded to just before the production
    state = entered(raw(sealed(0, produced=NOON + 0.1004), at=NOON + 0.1))
    assert state.skewed == 0
    assert state.arrival_latency.min == 0


def test_an_empty_batch_changes_nothing() -> None:
    assert entered().to_dict() == ReaderState(shards={"s": ShardState()}).to_dict()


PARTS = st.lists(
    st.one_of(
        st.tuples(st.just("own"), st.sampled_from("ab"), st.integers(0, 6), st.integers(0, 1)),
        st.tuples(st.just("foreign"), st.sampled_from("ab"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("packed"), st.sampled_from("ab"), st.integers(0, 6), st.integers(0, 1)),
    ),
    max_size=40,
)


def record_of(kind: str, key: str, number: int, slice_index: int) -> RawRecord:
    if kind == "foreign":
        return raw(b"x" * number, key)
    data = sealed(number, slice_index=slice_index)
    return raw(aggregate([Entry(key, data), Entry(key, data)]) if kind == "packed" else data, key)


@given(PARTS, st.lists(st.integers(0, 40), max_size=4))
@hypothesis_settings(deadline=None)
def test_batches_and_checkpoints_do_not_change_what_was_seen(parts: list[Any], cuts: list[int]) -> None:
    # Given any records, read in one batch by one reader, or in many by readers that go on at each other's checkpoints
    records = [record_of(*part) for part in parts]
    whole = entered(*records)
    state = ReaderState(shards={"s": ShardState()})
    edges = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    for start, end in itertools.pairwise(edges):
        state = ReaderState.from_dict(json.loads(json.dumps(state.to_dict())))
        state.enter(state.shards["s"], TAG, records[start:end], NOON + 0.5)
    # Then they know the same
    assert state.to_dict() == whole.to_dict()
