"""The one place where botocore clients are made and where botocore's errors are classified.

Retries: botocore's *standard* mode (jittered exponential backoff, retry quota) for control calls; data-plane
callers that count their own retries ask for ``attempts=1``. Time-outs are short, because a Lambda that waits is
billed: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

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
def client(service: str, *, attempts: int | None = None, validate: bool = True) -> Any:
    """A botocore client of this process, made once for each set of arguments.

    Parameters
    ----------
    service
        botocore's name, such as ``kinesis``.
    attempts
        Tries in all, the first included; None for ``aws_attempts`` of the settings.
    validate
        False leaves out botocore's parameter validation: a third of the CPU of a PutRecords call.
    """
    from botocore.config import Config

    conf = settings()
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
    return _session().create_client(service, region_name=conf.region, config=config)


@lru_cache(maxsize=1)
def _session() -> Any:
    """One session for all clients: each of its own would read botocore's data anew, 0.2 s a client."""
    import botocore.session  # 250 ms: paid on first use, never by a route that speaks to no AWS service

    return botocore.session.get_session()


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
