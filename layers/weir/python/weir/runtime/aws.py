"""The one place where botocore clients are made and where botocore's errors are classified.

Retries: botocore's *standard* mode (jittered exponential backoff, retry quota) for control calls; data-plane
callers that count their own retries ask for ``attempts=1``. Time-outs are short, because a Lambda that waits is
billed: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from weir.runtime.errors import Conflict, Invalid, NotFound, TooManyRequests, Unavailable, UpstreamFailed, WeirError
from weir.runtime.settings import settings

Kind = Literal["throttled", "transient", "missing", "exists", "in_use", "denied", "invalid", "limit", "other"]

_KINDS: dict[str, Kind] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "ThrottledException": "throttled",
    "RequestLimitExceeded": "throttled",
    "ProvisionedThroughputExceededException": "throttled",
    "KMSThrottlingException": "throttled",
    "TooManyRequestsException": "throttled",
    "SlowDown": "throttled",
    "RequestThrottled": "throttled",
    "TransactionInProgressException": "throttled",
    "InternalFailure": "transient",
    "InternalFailureException": "transient",
    "InternalServerError": "transient",
    "InternalServerErrorException": "transient",
    "InternalError": "transient",
    "ServiceUnavailable": "transient",
    "ServiceUnavailableException": "transient",
    "RequestTimeout": "transient",
    "RequestTimeoutException": "transient",
    "500": "transient",
    "502": "transient",
    "503": "transient",
    "504": "transient",
    "ResourceNotFoundException": "missing",
    "NoSuchKey": "missing",
    "NoSuchVersion": "missing",
    "NoSuchBucket": "missing",
    "404": "missing",
    "ExecutionDoesNotExist": "missing",
    "ResourceInUseException": "in_use",
    "ResourceAlreadyExistsException": "exists",
    "ExecutionAlreadyExists": "exists",
    "ConditionalCheckFailedException": "exists",
    "403": "denied",
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "UnauthorizedOperation": "denied",
    "ExpiredTokenException": "denied",
    "UnrecognizedClientException": "denied",
    "InvalidSignatureException": "denied",
    "InvalidArgumentException": "invalid",
    "ValidationException": "invalid",
    "ValidationError": "invalid",
    "LimitExceededException": "limit",
    "ServiceQuotaExceededException": "limit",
    "ExecutionLimitExceeded": "limit",
}


@lru_cache(maxsize=32)
def client(service: str, *, attempts: int | None = None, validate: bool = True, region: str = "") -> Any:
    """A botocore client of this process, made once for each set of arguments.

    With ``aws_direct`` of the settings, DynamoDB and Secrets Manager are spoken to without botocore: ``awsjson``.

    Parameters
    ----------
    service
        botocore's name, such as ``kinesis``.
    attempts
        Tries in all, the first included; None for ``aws_attempts`` of the settings.
    validate
        False leaves out botocore's parameter validation: a third of the CPU of a PutRecords call.
    region
        Where the service is asked; empty for the settings' region.
    """
    conf = settings()
    if conf.aws_direct and service in {"dynamodb", "secretsmanager"} and not region:
        from weir.runtime import awsjson  # only here: it rests on this module

        return awsjson.client(service, attempts or conf.aws_attempts)
    from botocore.config import Config

    seconds = conf.aws_timeout_seconds
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts or conf.aws_attempts},
        connect_timeout=min(3.0, seconds),
        read_timeout=seconds,
        parameter_validation=validate,
        max_pool_connections=16,
        tcp_keepalive=True,
        user_agent_extra="weir/1",
        # For presigned URLs: S3 takes no older signature on objects that KMS encrypts, and a URL of the bucket's own
        # region needs no redirect, which its signature would not outlive.
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "virtual"},
    )
    return _session().create_client(service, region_name=region or conf.region, config=config)


def credentials() -> Any:
    """The process's own credentials, valid now, None where it has none: botocore renews them, which takes a while."""
    found = _session().get_credentials()
    return None if found is None else found.get_frozen_credentials()


def own_credentials() -> Any:
    """The same; botocore's NoCredentialsError where the process has none."""
    found = credentials()
    if found is None:
        from botocore.exceptions import NoCredentialsError

        raise NoCredentialsError
    return found


@lru_cache(maxsize=1)
def _session() -> Any:
    """One session for all clients: each of its own would read botocore's data anew, 0.2 s a client."""
    import botocore.session  # 250 ms: paid on first use, never by a route that speaks to no AWS service

    made = botocore.session.get_session()
    made.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
    return made


def moment(told: Any) -> datetime:
    """A moment of an answer, in UTC. botocore's own way through the local time zone takes 20 us: 2 s a metrics page."""
    if isinstance(told, int | float):
        return datetime.fromtimestamp(told, UTC)
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(told)
    return parsed


def error_code(error: BaseException) -> str:
    """The AWS error code of a ClientError (``ThrottlingException``), or the class name of any other error."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code") or "Unknown")
    return type(error).__name__


def kind(error: BaseException) -> Kind:
    """What an AWS failure means for the caller: whether to wait, retry, give up, or take it as success."""
    code = error_code(error)
    if code in _KINDS:
        return _KINDS[code]
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        return "transient" if status >= 500 else "other"
    return "transient" if _is_connection_error(error) else "other"


def _is_connection_error(error: BaseException) -> bool:
    from botocore.exceptions import ConnectionError as BotocoreConnectionError
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    return isinstance(error, BotocoreConnectionError | HTTPClientError | IncompleteReadError)


def refused(operation: str, status: int, answer: object) -> Exception:
    """What botocore raises where an answer in the JSON protocol, None where it is no JSON, says no."""
    from botocore.exceptions import ClientError

    told = dict(answer) if isinstance(answer, dict) else {}
    code = str(told.pop("__type", status)).rpartition("#")[2].partition(":")[0]
    message = str(told.pop("message", None) or told.pop("Message", ""))
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}, **told}
    return ClientError(response, operation)  # type: ignore[arg-type]


def unreached(error: Exception, endpoint: str) -> Exception:
    """What botocore raises where there is no answer, or none that is one."""
    from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

    match error:
        case TimeoutError():
            return ReadTimeoutError(endpoint_url=endpoint, error=error)
        case ConnectionResetError() | BrokenPipeError():
            return ConnectionClosedError(endpoint_url=endpoint, error=error)
        case _:
            return EndpointConnectionError(endpoint_url=endpoint, error=error)


def is_aws_error(error: BaseException) -> bool:
    """Whether botocore raised this: an answer that says no, or no answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, BotoCoreError | ClientError)


def translate(error: Exception, doing: str) -> WeirError:
    """The domain error that stands for an AWS failure; adapters map the codes that mean more first.

    ``doing`` is what was tried, in words: ``creating stream 'orders'``. AWS's own message is told only where the
    caller can act on it (invalid arguments, quotas), because others may name roles and resources.
    """
    response = getattr(error, "response", None) or {}  # None on botocore's time-outs
    message = str(response.get("Error", {}).get("Message", "")) or type(error).__name__
    match kind(error):
        case "throttled":
            return TooManyRequests(f"AWS throttled {doing}; try again shortly.", retry_after=2)
        case "transient":
            return Unavailable(f"AWS did not answer while {doing}; try again shortly.", retry_after=5)
        case "missing":
            return NotFound(f"Not found while {doing}.")
        case "exists" | "in_use":
            return Conflict(f"The resource is in use or exists already while {doing}.")
        case "invalid":
            return Invalid(f"AWS did not accept {doing}: {message}")
        case "limit":
            return TooManyRequests(f"A quota of the account was reached while {doing}: {message}", retry_after=60)
        case _:
            return UpstreamFailed(f"AWS refused {doing} ({error_code(error)}). Ask an operator to read the log.")
