"""How AWS says no: each service's status, code and message, in its own form."""

import json
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.core.botocore_stubber import MockRawResponse

from tests.faults.fault import Kind

_THROTTLING = {
    "kinesis": (400, "LimitExceededException", "Rate exceeded for the account."),
    "kinesis.PutRecords": (400, "ProvisionedThroughputExceededException", "Rate exceeded for shard."),
    "kinesis.GetRecords": (400, "ProvisionedThroughputExceededException", "Rate exceeded for shard."),
    "kinesis.GetShardIterator": (400, "ProvisionedThroughputExceededException", "Rate exceeded for shard."),
    "dynamodb": (400, "ThrottlingException", "Throughput exceeds the current capacity of your table."),
    "s3": (503, "SlowDown", "Please reduce your request rate."),
    "cloudwatch": (400, "Throttling", "Rate exceeded"),
    "sts": (400, "Throttling", "Rate exceeded"),
    "stepfunctions": (400, "ThrottlingException", "Rate exceeded"),
}
_BROKEN = {
    "kinesis": (500, "InternalFailure", "The request processing has failed."),
    "dynamodb": (500, "InternalServerError", "The request could not be processed."),
    "s3": (500, "InternalError", "We encountered an internal error. Please try again."),
    "cloudwatch": (500, "InternalServiceFault", "Internal failure"),
    "sts": (500, "InternalFailure", "Internal failure"),
    "stepfunctions": (500, "InternalFailure", "Internal failure"),
}
_DENIED = {
    "kinesis": (400, "AccessDeniedException", "User is not authorized to perform this."),
    "dynamodb": (400, "AccessDeniedException", "User is not authorized to perform this."),
    "s3": (403, "AccessDenied", "Access Denied"),
    "cloudwatch": (403, "AccessDenied", "User is not authorized to perform this."),
    "sts": (403, "AccessDenied", "User is not authorized to perform this."),
    "stepfunctions": (400, "AccessDeniedException", "User is not authorized to perform this."),
}
_UNKNOWN = {"kinesis": (400, "ResourceNotFoundException", "Stream under account not found.")}
_ANSWERS = {
    Kind.THROTTLED: _THROTTLING,
    Kind.ERROR_500: _BROKEN,
    Kind.DENIED: _DENIED,
    Kind.NOT_KNOWN_YET: _UNKNOWN,
}


def refusal(request: AWSPreparedRequest, operation: str, kind: Kind) -> AWSResponse:
    """The answer of an operation's service that says no, in the service's own form."""
    answers = _ANSWERS[kind]
    service = operation.split(".")[0]
    status, code, message = answers.get(operation) or answers[service]
    if service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return AWSResponse(request.url, status, {}, MockRawResponse("" if request.method == "HEAD" else body))
    if service == "sts":
        body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return AWSResponse(request.url, status, {}, MockRawResponse(body))
    return json_answer(request, status, {"__type": code, "message": message})


def json_answer(request: AWSPreparedRequest, status: int, document: dict[str, Any]) -> AWSResponse:
    """An answer of a service that speaks JSON."""
    return AWSResponse(request.url, status, {}, MockRawResponse(json.dumps(document)))
