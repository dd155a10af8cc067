"""The Step Functions adapter against botocore's own models (Stubber)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from tests.unit.runs.conftest import BOTOCORE
from weir.runtime.errors import TooManyRequests, Unavailable, UpstreamFailed
from weir.runtime.stepfunctions import Machine

ARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:weir-run"
EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:weir-run:run-1"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def client() -> Any:
    return BOTOCORE.create_client(
        "stepfunctions", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b"
    )


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def test_starting(client: Any, stub: Stubber) -> None:
    expected = {"stateMachineArn": ARN, "name": "run-1", "input": '{"load": {"records": 1}}'}
    stub.add_response("start_execution", {"executionArn": EXECUTION, "startDate": NOW}, expected)
    assert Machine(client, ARN).start("run-1", {"load": {"records": 1}}) == EXECUTION


def test_starting_again_finds_the_first(client: Any, stub: Stubber) -> None:
    # Given an execution of this name / When started again / Then its ARN is the answer
    stub.add_client_error("start_execution", "ExecutionAlreadyExists")
    assert Machine(client, ARN).start("run-1", {}) == EXECUTION


@pytest.mark.parametrize(
    ("code", "status", "becomes"),
    [
        ("ExecutionLimitExceeded", 400, TooManyRequests),
        ("ThrottlingException", 400, TooManyRequests),
        ("InternalFailure", 500, Unavailable),
        ("StateMachineDoesNotExist", 400, UpstreamFailed),
        ("AccessDeniedException", 400, UpstreamFailed),
    ],
)
def test_a_start_that_fails_is_told(
    code: str, status: int, becomes: type[Exception], client: Any, stub: Stubber
) -> None:
    stub.add_client_error("start_execution", code, http_status_code=status)
    with pytest.raises(becomes):
        Machine(client, ARN).start("run-1", {})


def test_stopping(client: Any, stub: Stubber) -> None:
    expected = {"executionArn": EXECUTION, "error": "Stopped", "cause": "stopped by user-1"}
    stub.add_response("stop_execution", {"stopDate": NOW}, expected)
    Machine(client, ARN).stop("run-1", "stopped by user-1")


@pytest.mark.parametrize("code", ["ExecutionDoesNotExist", "ValidationException"])
def test_stopping_what_does_not_run_changes_nothing(code: str, client: Any, stub: Stubber) -> None:
    stub.add_client_error("stop_execution", code)
    Machine(client, ARN).stop("run-1", "x")


def test_a_stop_that_fails_is_told(client: Any, stub: Stubber) -> None:
    stub.add_client_error("stop_execution", "AccessDeniedException")
    with pytest.raises(UpstreamFailed):
        Machine(client, ARN).stop("run-1", "x")


def test_looking(client: Any, stub: Stubber) -> None:
    described = {"executionArn": EXECUTION, "stateMachineArn": ARN, "status": "TIMED_OUT", "startDate": NOW}
    stub.add_response("describe_execution", described, {"executionArn": EXECUTION})
    assert Machine(client, ARN).status("run-1") == "TIMED_OUT"


def test_what_never_ran_has_no_status(client: Any, stub: Stubber) -> None:
    stub.add_client_error("describe_execution", "ExecutionDoesNotExist")
    assert Machine(client, ARN).status("run-1") is None


def test_not_to_know_is_not_the_same_as_not_to_be(client: Any, stub: Stubber) -> None:
    # Given a Step Functions that fails / Then the run is not taken for one that never ran
    stub.add_client_error("describe_execution", "InternalFailure", http_status_code=500)
    with pytest.raises(Unavailable):
        Machine(client, ARN).status("run-1")
