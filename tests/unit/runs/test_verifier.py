"""Entering what was read: the run's own records, and everything else that a stream may hold."""

import itertools
import json
from hashlib import md5
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


def test_an_aggregate_without_records_brings_nothing() -> None:
    # Given aggregated records with a table of keys and nothing else, before and behind one of the run's own
    empty = KPL_MAGIC + b"\x0a\x01k" + md5(b"\x0a\x01k").digest()
    state = entered(raw(empty), raw(sealed(0)), raw(empty))
    # Then they count as Kinesis counts them, and for nothing else
    assert counts(state) == only(seen=1)
    assert (state.shards["s"].records, state.shards["s"].fresh) == (3, 1)


def test_bytes_and_records_are_counted_by_the_second_of_their_arrival() -> None:
    # Given a batch that arrived in three seconds, a late one last
    arrivals = [NOON, NOON + 0.9, NOON + 1.5, NOON + 3.2, NOON + 1.1]
    state = entered(*(raw(sealed(n, payload=b"x" * n), at=at) for n, at in enumerate(arrivals)))
    # Then
    shard = state.shards["s"]
    assert [interval.n for interval in shard.arrivals.buckets()] == [2, 2, 0, 1]
    one = HEADER_BYTES + 1
    assert [interval.n for interval in shard.arrival_bytes.buckets()] == [2 * one + 1, 2 * one + 6, 0, one + 3]


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


def changed(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


OWN = st.tuples(st.sampled_from("aß"), st.integers(0, 5), st.integers(0, 1), st.booleans())
"""Key, sequence, slice, and whether a byte of its payload has changed."""

STRANGERS = sealed(0)[: HEADER_BYTES - 1], sealed(0, tag=run_tag("another run"))
STRANGE = st.sampled_from([b"", b"WEIR", b"plain", b"\xff\xff", KPL_MAGIC, KPL_MAGIC + b"no digest " * 3, *STRANGERS])
STREAM = st.lists(st.lists(OWN, max_size=4) | OWN | STRANGE, max_size=60)
"""What a shard holds: aggregates, records of the run, and records of others."""


def data_of(own: tuple[str, int, int, bool]) -> tuple[str, bytes]:
    key, sequence, slice_index, is_changed = own
    data = sealed(sequence, slice_index=slice_index, payload=b"payload")
    return key, changed(data) if is_changed else data


@given(STREAM, st.integers(1, 61))
@hypothesis_settings(deadline=None)
def test_every_loss_copy_change_and_turn_is_found(stream: list[Any], size: int) -> None:
    # Given any mixture of records, and what one would say of them who looks at each by itself
    seen: set[tuple[str, int, int]] = set()
    expected = dict.fromkeys(("seen", "duplicates", "reordered", "corrupted", "foreign"), 0)
    fresh, records = 0, []
    for one in stream:
        before = len(seen)
        if isinstance(one, bytes):
            expected["foreign"] += 1
            records.append(raw(one, "other"))
            continue
        for key, sequence, slice_index, is_changed in [one] if isinstance(one, tuple) else one:
            expected["corrupted"] += is_changed
            if (key, slice_index, sequence) in seen:
                expected["duplicates"] += 1
                continue
            later = any((key, slice_index) == it[:2] and it[2] > sequence for it in seen)
            expected["reordered"] += later
            seen.add((key, slice_index, sequence))
        if isinstance(one, tuple):
            records.append(raw(data_of(one)[1], one[0]))
        elif one:
            records.append(raw(aggregate([Entry(*data_of(own)) for own in one]), "a"))
        fresh += len(seen) > before
    expected["seen"] = len(seen)
    # When they are entered in batches of some size
    state = ReaderState(shards={"s": ShardState()})
    for start in range(0, len(records), size):
        state.enter(state.shards["s"], TAG, records[start : start + size], NOON + 0.5)
    # Then the reader says the same
    shard = state.shards["s"]
    assert counts(state) == expected
    assert (shard.records, shard.fresh) == (len(records), fresh)
    assert shard.bytes == sum(len(record.data) + len(record.partition_key.encode()) for record in records)
    assert state.latency.count == state.arrival_latency.count == len(seen)
    # And it knows which ones are missing
    places = {(key, slice_index) for key, slice_index, _ in seen}
    for slice_index in (0, 1):
        produced = {key: 6 for key, index in places if index == slice_index}
        lost = 6 * len(produced) - sum(place[1] == slice_index for place in seen)
        assert state.ledger.compare(slice_index, produced, {}).lost == lost


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
