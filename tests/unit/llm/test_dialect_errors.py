"""Errors in each dialect's words."""

import json
from typing import Any

import pytest
from botocore import parsers
from botocore.session import get_session

from weir.llm import dialect_errors
from weir.llm.dialect_errors import ProviderError, Untranslatable, error_body, read_error
from weir.llm.eventstream import EventStreamDecoder
from weir.llm.models import Dialect
from weir.llm.sse import SseDecoder

FIGURES = {"cap": "cap-1", "limit": 1_000, "usage": 990}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_s_types(status: int, kind: str) -> None:
    error = error_body("anthropic", status, "No.", request_id="req_1")
    assert (error.status, json.loads(error.body)) == (
        status,
        {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "req_1"},
    )
    assert error.headers["request-id"] == "req_1"


def test_openai_s_shape() -> None:
    error = error_body("openai", 404, "No such model.", param="model")
    assert json.loads(error.body) == {
        "error": {
            "message": "No such model.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [
        ("anthropic", "rate_limit_error"),
        ("openai", "insufficient_quota"),
        ("converse", "ServiceQuotaExceededException"),
    ],
)
def test_a_cap_s_refusal_carries_its_figures_and_asks_for_no_retry(dialect: Dialect, kind: str) -> None:
    error = error_body(dialect, 429, "The cap is reached.", quota=True, retry_after=60, details=FIGURES)
    assert error.status == 429
    assert {"retry-after": "60", "x-should-retry": "false"}.items() <= error.headers.items()
    body = json.loads(error.body)
    told = body if dialect == "converse" else body["error"]
    assert FIGURES.items() <= told.items()
    assert read_error(dialect, error.body, error.headers) == ProviderError(kind, "The cap is reached.")


@pytest.mark.parametrize(
    ("status", "quota", "code"),
    [(400, False, "ValidationException"), (429, False, "ThrottlingException"),
     (429, True, "ServiceQuotaExceededException"), (503, False, "ServiceUnavailableException")],
)  # fmt: skip
def test_botocore_reads_bedrock_s_errors(status: int, quota: bool, code: str) -> None:
    error = error_body("converse", status, "No.", request_id="r-1", quota=quota)
    shape = get_session().get_service_model("bedrock-runtime").operation_model("Converse").output_shape
    headers = {name.lower(): value for name, value in error.headers.items()}
    response = {"status_code": status, "headers": headers, "body": error.body}
    parsed: Any = parsers.create_parser("rest-json").parse(response, shape)
    assert parsed["Error"] == {"Message": "No.", "Code": code}
    assert parsed["ResponseMetadata"]["RequestId"] == "r-1"


def test_errors_within_a_stream() -> None:
    # Anthropic: an event of the name; OpenAI: a chunk
    (event,) = SseDecoder().feed(error_body("anthropic", 529, "Overloaded", stream=True).body)
    assert (event.name, json.loads(event.data)["error"]["type"]) == ("error", "overloaded_error")
    (chunk,) = SseDecoder().feed(error_body("openai", 500, "Broken", stream=True).body)
    assert json.loads(chunk.data)["error"]["message"] == "Broken"
    # Bedrock: an exception that the operation knows
    for dialect, status, name in (
        ("converse", 429, "throttlingException"),
        ("converse", 504, "modelStreamErrorException"),
        ("invoke", 504, "modelTimeoutException"),
        ("invoke", 403, "internalServerException"),
    ):
        error = error_body(dialect, status, "No.", stream=True)  # type: ignore[arg-type]
        (frame,) = EventStreamDecoder().feed(error.body)
        assert (frame.exception, json.loads(frame.payload)) == (name, {"message": "No."})


@pytest.mark.parametrize("operation", ["ConverseStream", "InvokeModelWithResponseStream"])
def test_the_exceptions_of_a_stream_are_those_of_the_service(operation: str) -> None:
    shape = get_session().get_service_model("bedrock-runtime").operation_model(operation).output_shape
    stream = next(member for member in shape.members.values() if member.type_name == "structure")
    known = {name for name, member in stream.members.items() if member.metadata.get("exception")}
    ours = set(dialect_errors._IN_STREAM) - ({"modelTimeoutException"} if operation == "ConverseStream" else set())
    assert ours == known


@pytest.mark.parametrize(
    ("dialect", "body", "headers", "told"),
    [
        ("openai", b'{"error":"model not found"}', {}, ProviderError("", "model not found")),
        ("gemini", b'{"error":{"code":400,"message":"Bad","status":"INVALID_ARGUMENT"}}', {},
         ProviderError("INVALID_ARGUMENT", "Bad")),
        ("converse", b'{"message":"Bad"}', {"x-amzn-ErrorType": "ValidationException:http://internal"},
         ProviderError("ValidationException", "Bad")),
        ("anthropic", b"<html>502</html>", {}, ProviderError("", "<html>502</html>")),
        ("anthropic", b"[]", {}, ProviderError("", "[]")),
    ],
)  # fmt: skip
def test_a_provider_s_error_is_read(
    dialect: Dialect, body: bytes, headers: dict[str, str], told: ProviderError
) -> None:
    assert read_error(dialect, body, headers) == told


def test_what_has_no_words_elsewhere_is_a_bad_request_that_names_the_field() -> None:
    error = Untranslatable("top_k", "OpenAI has no such field")
    assert (error.status, error.detail) == (400, "top_k: OpenAI has no such field")
