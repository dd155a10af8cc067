"""A stream that does not keep what it accepted: the verdict says so, exactly."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from tests.faults.account import deployed
from tests.faults.matrix import PLAIN, RECORDS
from tests.faults.oracle import Truth, truth

ORDERED = {**PLAIN, "load": {"records": RECORDS, "keys": {"distribution": "single"}}, "slo": {"ordered": True}}


def run(spec: dict[str, Any], tamper: Callable[[Any], None]) -> Truth:
    """A run on a stream that is tampered with once, as soon as a shard has two records."""
    with deployed() as account, redirect_stdout(StringIO()):
        tampered: list[Any] = []

        def once(stream: Any) -> None:
            if not tampered and len(fullest(stream).records) > 1:
                tampered.append(stream)
                tamper(fullest(stream))

        account.cloud.tamper = once
        account.start(spec)
        account.settle()
        assert tampered
        return truth(account.cloud)


def fullest(stream: Any) -> Any:
    """The shard with the most records."""
    return max(stream.shards.values(), key=lambda shard: len(shard.records))


def test_a_record_that_kinesis_loses_is_lost() -> None:
    # Given a stream that drops the first record that it accepted; When a run proves it
    found = run(PLAIN, lambda shard: shard.records.popitem(last=False))

    # Then the run fails, for exactly one record
    assert found.verdict == "FAILED"
    assert found.measurement is not None
    assert (found.measurement["lost"], found.measurement["seen"]) == (1, RECORDS - 1)
    assert f"1 of {RECORDS} accepted records were never read back" in found.reasons[0]


def copy_first(shard: Any) -> None:
    first = next(iter(shard.records.values()))
    shard.put_record(first.partition_key, first.data, "")


def test_a_record_that_kinesis_doubles_is_counted() -> None:
    # Given a stream that keeps its first record twice; When a run proves it
    found = run(PLAIN, copy_first)

    # Then nothing is lost, and one duplicate is counted
    assert found.verdict == "PASSED"
    assert found.measurement is not None
    assert (found.measurement["lost"], found.measurement["duplicates"], found.copies) == (0, 1, 1)


def test_a_duplicate_fails_the_run_where_none_is_allowed() -> None:
    # Given the same stream; When a run proves it that allows no duplicate, Then it fails for it
    found = run({**PLAIN, "slo": {"max_duplicates": 0}}, copy_first)
    assert (found.verdict, found.reasons) == ("FAILED", ["1 duplicates (at most 0 allowed)"])


def test_a_record_that_kinesis_changes_is_corrupt() -> None:
    # Given a stream that changes the last byte of a record
    def change(shard: Any) -> None:
        record = next(iter(shard.records.values()))
        data = b64decode(record.data)
        record.data = b64encode(data[:-1] + bytes([data[-1] ^ 1])).decode()

    # When a run proves it, Then it fails for one corrupted record
    found = run(PLAIN, change)
    assert found.verdict == "FAILED"
    assert found.measurement is not None
    assert found.measurement["corrupted"] == 1


def test_records_that_kinesis_swaps_are_out_of_order() -> None:
    # Given a stream that swaps the first two records of a key
    def swap(shard: Any) -> None:
        first, second, *_ = shard.records.values()
        first.data, second.data = second.data, first.data

    # When a run proves it that asks for order, Then it fails for it, and nothing is lost
    found = run(ORDERED, swap)
    assert found.verdict == "FAILED"
    assert found.measurement is not None
    assert (found.measurement["reordered"], found.measurement["lost"]) == (1, 0)
