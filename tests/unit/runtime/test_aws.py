"""What an AWS failure means: its kind, and the domain error that stands for it."""

from datetime import UTC, datetime

import pytest
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tests.unit.runtime.conftest import Configure
from weir.runtime import aws
from weir.runtime.errors import Conflict, Invalid, NotFound, TooManyRequests, Unavailable, UpstreamFailed, WeirError

URL = "https://kinesis.us-east-1.amazonaws.com"


def refused(code: str, status: int = 400, message: str = "told by AWS") -> ClientError:
    error = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(error, "Operation")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ThrottlingException", "throttled"),
        ("ProvisionedThroughputExceededException", "throttled"),
        ("SlowDown", "throttled"),
        ("KMSThrottlingException", "throttled"),
        ("InternalFailure", "transient"),
        ("InternalServerError", "transient"),
        ("ServiceUnavailable", "transient"),
        ("ResourceNotFoundException", "missing"),
        ("NoSuchKey", "missing"),
        ("ExecutionDoesNotExist", "missing"),
        ("ConditionalCheckFailedException", "exists"),
        ("ExecutionAlreadyExists", "exists"),
        ("ResourceInUseException", "in_use"),
        ("AccessDeniedException", "denied"),
        ("ExpiredTokenException", "denied"),
        ("ValidationException", "invalid"),
        ("LimitExceededException", "limit"),
        ("ExecutionLimitExceeded", "limit"),
        ("SomethingNew", "other"),
    ],
)
def test_codes_have_a_kind(code: str, kind: str) -> None:
    assert aws.kind(refused(code)) == kind


@pytest.mark.parametrize(
    ("status", "kind"), [(404, "missing"), (403, "denied"), (500, "transient"), (503, "transient"), (400, "other")]
)
def test_s3_heads_carry_the_status_alone(status: int, kind: str) -> None:
    # Given the answer to a HEAD, which has no body and so no code
    assert aws.kind(refused(str(status), status)) == kind


def test_an_unknown_code_with_a_status_of_500_is_transient() -> None:
    assert aws.kind(refused("BrandNewFault", 500)) == "transient"
    assert aws.kind(refused("BrandNewFault", 400)) == "other"


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        ResponseStreamingError(error="cut"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
)
def test_no_answer_or_half_of_one_is_transient(error: Exception) -> None:
    assert aws.kind(error) == "transient"
    assert isinstance(aws.translate(error, "reading"), Unavailable)


@pytest.mark.parametrize("error", [NoCredentialsError(), ParamValidationError(report="x"), KeyError("x"), OSError()])
def test_other_errors_are_nothing_to_wait_for(error: Exception) -> None:
    assert aws.kind(error) == "other"


def test_only_botocores_errors_are_aws_errors() -> None:
    assert aws.is_aws_error(refused("X"))
    assert aws.is_aws_error(ReadTimeoutError(endpoint_url=URL))
    assert not aws.is_aws_error(KeyError("x"))
    assert not aws.is_aws_error(TimeoutError())


@pytest.mark.parametrize(
    ("code", "type_", "retry_after"),
    [
        ("ThrottlingException", TooManyRequests, 2),
        ("InternalFailure", Unavailable, 5),
        ("ResourceNotFoundException", NotFound, None),
        ("ResourceInUseException", Conflict, None),
        ("ConditionalCheckFailedException", Conflict, None),
        ("ValidationException", Invalid, None),
        ("LimitExceededException", TooManyRequests, 60),
        ("AccessDeniedException", UpstreamFailed, None),
        ("SomethingNew", UpstreamFailed, None),
    ],
)
def test_each_kind_has_its_domain_error(code: str, type_: type[WeirError], retry_after: int | None) -> None:
    # Given an AWS failure / When translated
    error = aws.translate(refused(code), "creating stream 'orders'")
    # Then its class, the wait, and what was tried are told
    assert type(error) is type_
    assert error.retry_after == retry_after
    assert "creating stream 'orders'" in error.detail


def test_awss_words_reach_the_caller_only_where_they_can_act_on_them() -> None:
    secret = "arn:aws:iam::123456789012:role/inner is not authorized"
    assert secret not in aws.translate(refused("AccessDeniedException", message=secret), "reading").detail
    assert secret not in aws.translate(refused("SomethingNew", message=secret), "reading").detail
    assert (
        "must be at least 1" in aws.translate(refused("ValidationException", message="must be at least 1"), "x").detail
    )


def test_error_codes_of_answers_and_of_no_answers() -> None:
    assert aws.error_code(refused("Throttling")) == "Throttling"
    assert aws.error_code(ClientError({}, "Operation")) == "Unknown"
    assert aws.error_code(ReadTimeoutError(endpoint_url=URL)) == "ReadTimeoutError"


def test_a_client_is_made_once_with_short_times_and_its_own_number_of_tries(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given settings
    configure(aws_timeout_seconds="2", aws_attempts="3", region="eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    aws.client.cache_clear()
    try:
        # When clients are asked for
        first, again = (
            aws.client("kinesis", attempts=1, validate=False),
            aws.client("kinesis", attempts=1, validate=False),
        )
        # Then it is one, it gives up soon, and it does not retry behind its caller's back
        assert first is again
        assert first.meta.region_name == "eu-west-1"
        assert (first.meta.config.read_timeout, first.meta.config.connect_timeout) == (2.0, 2.0)
        assert first.meta.config.retries["total_max_attempts"] == 1
        assert aws.client("kinesis").meta.config.retries["total_max_attempts"] == 3
    finally:
        aws.client.cache_clear()


@pytest.mark.parametrize("told", [1_764_244_800, 1_764_244_800.0, "2025-11-27T12:00:00Z", "2025-11-27T13:00:00+01:00"])
def test_moments_are_told_in_utc_however_aws_writes_them(told: object) -> None:
    assert aws.moment(told) == datetime(2025, 11, 27, 12, tzinfo=UTC)


def test_answers_are_read_without_the_local_time_zone(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a client of Weir's
    configure()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    aws.client.cache_clear()
    body = b'{"MetricDataResults": [{"Id": "q0", "Timestamps": [1764244800], "Values": [1.0]}]}'
    answer = AWSResponse(URL, 200, HeadersDict(), None)  # type: ignore[arg-type]
    answer._content = body
    try:
        client = aws.client("cloudwatch")
        client.meta.events.register("before-send.cloudwatch.GetMetricData", lambda **_: answer)
        # When CloudWatch answers
        told = client.get_metric_data(MetricDataQueries=[], StartTime=0, EndTime=1)
    finally:
        aws.client.cache_clear()

    # Then its moments are UTC's own, which is what makes them cheap to read
    (moment,) = told["MetricDataResults"][0]["Timestamps"]
    assert moment.tzinfo is UTC
