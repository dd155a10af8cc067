"""The producer against a Kinesis that throttles, fails and loses answers: nothing is lost, doubled or told twice."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.streams.fake_put import (
    THROTTLED,
    FakePut,
    FakeTime,
    numbered,
    order_is_kept,
    run,
    shard_map,
    user_log,
)
from weir.streams.producer import AsFastAsPossible, Burst, Entry, Pace, Rate, size_of
from weir.streams.producer_packer import TARGET_BYTES, Packer, member_bytes, member_count


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 700),
    keys=st.integers(1, 60),
    shards=st.integers(1, 5),
    ordered=st.booleans(),
    aggregate=st.booleans(),
    rate=st.none() | st.floats(50, 5_000),
    harsh=st.booleans(),
    seconds=st.sampled_from([0.0, 1.5, 3600.0]),
    max_attempts=st.integers(1, 8),
)
def test_every_entry_is_reported_once_and_truly(
    seed: int,
    count: int,
    keys: int,
    shards: int,
    ordered: bool,
    aggregate: bool,
    rate: float | None,
    harsh: bool,
    seconds: float,
    max_attempts: int,
) -> None:
    # Given a stream that throttles, fails and loses answers at random
    chance = 0.2 if harsh else 0.03
    put = FakePut(
        FakeTime(),
        shard_map(shards),
        Random(seed),
        throttle=chance,
        internal_failure=chance / 4,
        request_throttle=chance / 2,
        never_sent=chance / 4,
        lost_before_write=chance / 2,
        lost_after_write=chance / 2,
        short_answer=chance / 4,
    )
    entries = list(numbered(count, keys=keys))
    pulled: list[Entry] = []

    def source() -> Iterator[Entry]:
        for entry in entries:
            pulled.append(entry)
            yield entry

    # When it is put, in any mode, with or without enough time
    pace: Pace = Rate(rate) if rate else AsFastAsPossible()
    tally, reports = run(
        put, source(), pace=pace, seconds=seconds, ordered=ordered, aggregate=aggregate, max_attempts=max_attempts
    )
    # Then every entry pulled is reported exactly once, in the tally too
    assert reports.refs() == Counter(range(len(pulled)))
    assert (tally.accepted, tally.rejected) == (len(reports.accepted), len(reports.rejected))
    assert seconds < 3600 or len(pulled) == count
    # And what is called accepted is on the stream, under the number and shard that were told
    written = Counter(user_log(put))
    assert all(written[report.entry.data] for report in reports.accepted)
    by_number = {number: shard for number, shard, _ in put.log}
    assert all(by_number[report.sequence_number] == report.shard_id for report in reports.accepted)
    # And no more copies exist than lost answers explain
    assert sum(written.values()) <= tally.accepted + tally.uncertain
    assert all(1 <= report.attempts <= max_attempts for report in reports.accepted)
    assert all(0 <= report.attempts <= max_attempts for report in reports.rejected)
    assert tally.stopped == "deadline" or len(pulled) == count
    if ordered:
        order_is_kept(entries, put, reports)


def test_an_ordered_run_ends_whole_where_nothing_is_given_up() -> None:
    # Given a stream that throttles a fifth of what it gets
    put = FakePut(FakeTime(), shard_map(3), throttle=0.2, lost_after_write=0.05)
    # When 2,000 entries of 10 keys are put in order, with tries enough
    tally, reports = run(put, numbered(2_000, keys=10), ordered=True, max_attempts=50)
    # Then all are there, in order
    assert (tally.accepted, tally.rejected, tally.stopped) == (2_000, 0, "end")
    order_is_kept(list(numbered(2_000, keys=10)), put, reports)
    assert tally.uncertain > 0
    assert max(put.batches) <= 10  # one entry a key at a time


def test_a_rejected_entry_takes_the_later_ones_of_its_key_with_it() -> None:
    # Given a stream that refuses one record of key-0 for ever
    class Refusing(FakePut):
        def _write(self, entry: Entry) -> Any:
            if entry.ref == 10:
                return (None, None, "InternalFailure")
            return super()._write(entry)

    put = Refusing(FakeTime(), shard_map(2))
    # When it is put in order
    tally, reports = run(put, numbered(100, keys=10), ordered=True, max_attempts=3)
    # Then that key ends there and the other keys are whole
    assert [report.entry.ref for report in reports.rejected] == list(range(10, 100, 10))
    assert reports.rejected[0][1:] == ("InternalFailure", 3)
    assert {report[1:] for report in reports.rejected[1:]} == {("PredecessorRejected", 0)}
    assert tally.errors == {"InternalFailure": 3, "PredecessorRejected": 8}
    assert tally.accepted == 91


def test_only_failed_entries_are_sent_again() -> None:
    # Given a stream that throttles the first try of every third record
    seen: set[Any] = set()

    class ThirdThrottled(FakePut):
        def _write(self, entry: Entry) -> Any:
            if entry.ref % 3 == 0 and entry.ref not in seen:
                seen.add(entry.ref)
                return (None, None, THROTTLED)
            return super()._write(entry)

    put = ThirdThrottled(FakeTime(), shard_map(4))
    # When 300 are put
    tally, reports = run(put, numbered(300), pace=AsFastAsPossible(burst_seconds=1.0))
    # Then a third went twice, each on the stream once
    assert (tally.accepted, tally.retried, tally.throttled, tally.uncertain) == (300, 100, 100, 0)
    assert sorted(user_log(put)) == sorted(entry.data for entry in numbered(300))
    assert {report.entry.ref % 3 == 0: report.attempts for report in reports.accepted} == {True: 2, False: 1}
    assert sum(shard.throttled for shard in tally.shards.values()) == 100
    assert tally.errors == {THROTTLED: 100}


def test_tally_counts_bytes_and_billing_as_kinesis_does() -> None:
    # Given one record of each size class on one shard
    put = FakePut(FakeTime(), shard_map(1))
    entries = [
        Entry("k", b"x" * 1023),  # with its key 1 KiB exactly
        Entry("k", b"x" * 1024),
        Entry("é", b"x" * 25_598),  # a key of two bytes: 25 KB exactly
        Entry("é", b"x" * 25_599),
    ]
    # When they are put
    tally, _ = run(put, entries)
    # Then
    assert tally.bytes == sum(map(size_of, entries)) == 1024 + 1025 + 25_600 + 25_601
    assert tally.payload_units == 1 + 1 + 1 + 2
    assert tally.rounded_kib == 1 + 2 + 25 + 26
    (shard,) = tally.shards.values()
    assert (shard.records, shard.bytes, shard.throttled) == (4, tally.bytes, 0)
    assert (tally.kinesis_records, tally.requests) == (4, 1)


def test_aggregated_entries_share_records_on_their_shard() -> None:
    # Given
    put = FakePut(FakeTime(), shard_map(3))
    entries = list(numbered(5_000, keys=100, size=400))
    entries.append(Entry("large", b"L" * 2 * TARGET_BYTES, None, 5_000))
    entries.append(Entry("routed", b"R" * 100, "0", 5_001))
    # When
    tally, reports = run(put, entries, aggregate=True, ordered=True)
    # Then each user entry is told of, and the stream holds far fewer records
    assert reports.refs() == Counter(range(5_002))
    assert tally.accepted == 5_002
    assert len(put.log) == tally.kinesis_records < 30
    assert tally.bytes == sum(size_of(entry) for _, _, entry in put.log)
    assert sorted(user_log(put)) == sorted(entry.data for entry in entries)
    # And each went to the shard that its own key hashes to
    for report in reports.accepted:
        assert report.shard_id == put.shards.shard_for(report.entry.partition_key, report.entry.explicit_hash_key)
    # And none passes the target, but the one that is larger by itself
    assert sorted(len(entry.data) > TARGET_BYTES for _, _, entry in put.log)[-2:] == [False, True]
    # And those that are not the last of their shard come near it
    assert sum(0.9 * TARGET_BYTES < len(entry.data) <= TARGET_BYTES for _, _, entry in put.log) >= 1


def test_what_is_packed_keeps_its_count_and_its_bytes() -> None:
    # Given entries of many sizes, one of them too large for an aggregate
    entries = [Entry(f"key-{n % 50}", b"x" * n, None, n) for n in range(2_000)]
    entries.append(Entry("large", b"x" * 2 * TARGET_BYTES, None, 2_000))
    # When they are packed
    packer = Packer(shard_map(3))
    packed = packer.add(entries) + packer.flush()
    # Then the records to be sent know how many entries and bytes of the caller's they are
    assert len(packed) < 30
    assert sum(map(member_count, packed)) == 2_001
    assert sum(map(member_bytes, packed)) == sum(len(entry.data) for entry in entries)


def test_what_is_settled_makes_room_for_what_comes() -> None:
    # Given a stream that throttles, and more bytes than may be pulled and not yet reported (32 MiB)
    put = FakePut(FakeTime(), shard_map(2), throttle=0.1, lost_after_write=0.05)
    data = b"x" * 20_000
    # When they are put, aggregated
    tally, reports = run(put, (Entry(f"key-{n % 50}", data, None, n) for n in range(2_500)), aggregate=True)
    # Then none is held back for ever by what came before it
    assert (tally.accepted, tally.stopped) == (2_500, "end")
    assert reports.refs() == Counter(range(2_500))


def test_as_fast_as_possible_keeps_near_the_quota_of_a_shard_that_throttles() -> None:
    # Given two shards that take 1,000 records a second
    put = FakePut(FakeTime(), shard_map(2), quota=1_000)
    # When 60,000 records are put: 30 s at the quota
    tally, _ = run(put, numbered(60_000, keys=200), max_attempts=30)
    # Then it takes little longer, and little is throttled
    assert tally.accepted == 60_000
    assert 29 <= tally.seconds <= 40
    assert tally.throttled < 6_000


def test_as_fast_as_possible_starts_at_the_quota_and_goes_beyond_it_where_nothing_throttles() -> None:
    # Given a shard without a limit
    put = FakePut(FakeTime(), shard_map(1))
    # When as much is put as ten seconds at the quota
    tally, _ = run(put, numbered(10_000))
    # Then the first second stays near the quota, and the whole takes less than ten
    first_second = sum(n for n, at in zip(put.batches, put.sent_at, strict=True) if at < 1_001.0)
    assert 900 <= first_second <= 1_400
    assert 3 <= tally.seconds <= 6


def test_a_large_record_pays_for_its_bytes() -> None:
    # Given records of 256 KiB on one shard of 1 MiB a second
    put = FakePut(FakeTime(), shard_map(1))
    # When 16 are put
    tally, _ = run(put, [Entry("k", b"x" * 262_144, None, n) for n in range(16)])
    # Then that takes about 4 s at the quota, less what the probing gains
    assert 2 <= tally.seconds <= 4


def test_a_rate_is_kept_whatever_the_stream_answers() -> None:
    # Given a stream that throttles half
    put = FakePut(FakeTime(), shard_map(2), throttle=0.5, round_trip=0.001)
    pulled_at: list[float] = []

    def source() -> Iterator[Entry]:
        for entry in numbered(1_000):
            pulled_at.append(put.time.seconds - 1_000.0)
            yield entry

    # When 1,000 are put at 200 a second, with a burst of 5 x in the last of every two seconds
    tally, _ = run(put, source(), pace=Rate(200, Burst(every_s=2, length_s=1, factor=5)), max_attempts=60)
    # Then they were pulled on schedule: 200 in the first second, 1,000 in the burst
    assert tally.accepted == 1_000
    assert sum(at < 1.0 for at in pulled_at) == pytest.approx(200, abs=5)
    assert pulled_at[-1] == pytest.approx(1.8, abs=0.05)
    assert tally.throttled > 500


def test_a_slow_source_does_not_hold_back_what_it_gave() -> None:
    # Given a source that takes a second for each entry
    put = FakePut(FakeTime(), shard_map(1))

    def source() -> Iterator[Entry]:
        for entry in numbered(20):
            put.time.pass_by(1.0)
            yield entry

    # When
    run(put, source())
    # Then the pulls become small at once, so that entries leave in the second in which they came
    assert put.batches[-8:] == [1] * 8
