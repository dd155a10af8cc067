"""The sweeper on the deployed stack: what it takes, and above all what it leaves."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import Json, Stack

PAST = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
FUTURE = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
WEIRS = {"weir:managed": "true", "weir:owner": "a-test", "weir:run-id": "a-test"}

LEFT_ALONE = {
    "-look-alike": {"managed": "true", "expires-at": PAST},
    "-no-tags": {"team": "others"},
    "-no-expiry": WEIRS,
    "-future": {**WEIRS, "weir:expires-at": FUTURE},
    "-not-managed": {**WEIRS, "weir:managed": "false", "weir:expires-at": PAST},
    "-unreadable": {**WEIRS, "weir:expires-at": "soon"},
}
OTHER_STACKS = {
    "-of-another-stack": {**WEIRS, "weir:expires-at": PAST, "weir:stack": "not-this-one"},
    "-of-no-stack": {**WEIRS, "weir:expires-at": PAST},
}


@pytest.fixture
def sweep(deployed: Stack) -> Callable[..., Json]:
    def call(*, dry_run: bool) -> Json:
        answer = deployed.client("lambda").invoke(
            FunctionName=deployed.outputs["SweeperName"], Payload=json.dumps({"dry_run": dry_run})
        )
        assert "FunctionError" not in answer, answer["Payload"].read()
        swept: Json = json.loads(answer["Payload"].read())
        return swept

    return call


def test_only_managed_streams_that_have_expired_are_swept(
    deployed: Stack,
    sweep: Callable[..., Json],
    stream: Callable[..., str],
    streams: Callable[[], set[str]],
    kinesis: Any,
) -> None:
    # Given an expired stream of this stack's, and streams that look like one each in its own way
    ours = {"weir:stack": str(deployed.document["stack_name"])}
    expired = stream("-expired", {**WEIRS, **ours, "weir:expires-at": PAST})
    others = [stream(suffix, {**tags, **ours}) for suffix, tags in LEFT_ALONE.items()]
    others += [stream(suffix, tags) for suffix, tags in OTHER_STACKS.items()]
    # When a dry sweep runs, and then a real one
    dry = sweep(dry_run=True)
    assert expired in dry["deleted"]
    assert expired in streams()
    wet = sweep(dry_run=False)
    # Then the one is gone and all others are there
    assert expired in wet["deleted"]
    assert not set(others) & (set(wet["deleted"]) | set(dry["deleted"]))
    still = streams()
    assert set(others) <= still
    if expired in still:
        assert (
            kinesis.describe_stream_summary(StreamName=expired)["StreamDescriptionSummary"]["StreamStatus"]
            == "DELETING"
        )
