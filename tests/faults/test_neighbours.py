"""Streams that are not a run's own are never touched: not by runs, not by the clean-up behind them, not by sweeps."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest

from tests.faults.account import RUN_ID, STREAM, deployed
from tests.faults.cloud import Cloud
from tests.faults.matrix import PLAIN
from tests.faults.neighbours import FUTURE, NEIGHBOURS, PASSED, disturbed, move_in
from tests.faults.oracle import truth

FOREIGN: dict[str, dict[str, str]] = {
    "no tags": {},
    "another run's": {
        "weir:managed": "true",
        "weir:stack": "weir",
        "weir:run-id": "proof-2",
        "weir:expires-at": FUTURE,
    },
    "not managed": {"weir:run-id": "somebody", "weir:expires-at": PASSED},
    "the run's by its id alone": {"weir:run-id": RUN_ID},
    "another stack's": {
        "weir:managed": "true",
        "weir:stack": "other",
        "weir:run-id": RUN_ID,
        "weir:expires-at": PASSED,
    },
}


def make(cloud: Cloud, name: str, tags: dict[str, str]) -> Any:
    """A stream that is there before the run, with a record in it."""
    cloud.kinesis.create_stream(name, 1, stream_mode=None)
    stream = cloud.kinesis.streams[name]
    stream.tags.update(tags)
    stream.put_record("key", "", "bm90IFdlaXIncw==")
    return stream


@pytest.mark.parametrize("tags", FOREIGN.values(), ids=FOREIGN)
def test_a_run_leaves_a_stream_alone_that_has_its_name(tags: dict[str, str]) -> None:
    # Given a stream of the very name that the run would use, which is not the run's
    with deployed() as account, redirect_stdout(StringIO()):
        stream = make(account.cloud, STREAM, tags)

        # When the run is started, fails, is cleaned up behind, expires, and the sweeper comes
        execution = account.start(PLAIN)
        account.settle()
        account.kernel.sleep(8_000.0)
        account.sweep()
        found = truth(account.cloud)

        # Then the stream is as it was, and the run says why it failed
        assert account.cloud.kinesis.streams[STREAM] is stream
        assert (stream.status, stream.tags, len(stream.shards["shardId-000000000000"].records)) == ("ACTIVE", tags, 1)
        assert execution.status == "FAILED"
        assert found.verdict == "FAILED"
        assert found.failure is not None
        assert (found.failure["step"], found.failure["error"]) == ("CreateStream", "StreamExists")
        assert found.item is not None
        assert found.item["resources_left"] == "0"


def test_a_sweep_takes_what_is_managed_and_expired_and_nothing_else() -> None:
    # Given an expired stream of Weir's that a lost run left, and its neighbours
    with deployed() as account, redirect_stdout(StringIO()):
        neighbours = move_in(account.cloud)
        tags = {"weir:managed": "true", "weir:stack": "weir", "weir:run-id": RUN_ID, "weir:expires-at": PASSED}
        make(account.cloud, "weir-run-lost", tags)

        # When it is swept in a dry run, Then it is named, and still there
        told = account.sweep(dry_run=True)
        assert told[0]["deleted"] == ["weir-run-lost"]
        assert not account.cloud.is_gone("weir-run-lost")

        # When it is swept, Then it is gone, and no other is
        swept = account.sweep()
        assert (swept[0]["deleted"], swept[0]["failed"]) == (["weir-run-lost"], [])
        assert swept[0]["examined"] == len(NEIGHBOURS) + 1
        assert account.cloud.is_gone("weir-run-lost")
        assert disturbed(account.cloud, neighbours) == []


def test_a_run_that_is_still_going_is_not_swept() -> None:
    # Given a run in the middle of its work, and some minutes old
    with deployed() as account, redirect_stdout(StringIO()):
        account.on_entered = lambda execution, state: (
            execution.kernel.sleep(1_000.0) if state == "AwaitMetrics" else None
        )
        execution = account.start(PLAIN)
        account.settle(600.0)
        assert execution.status == "RUNNING"

        # When the sweeper comes
        swept = account.sweep_soon()
        account.settle()

        # Then the run goes on to its end
        assert swept[0]["deleted"] == swept[0]["cleaned_up"] == []
        assert execution.output["verdict"] == "PASSED"
