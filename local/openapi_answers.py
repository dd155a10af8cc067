"""What every route answers besides its own: problems (RFC 9457), the request's id, when to come again.

Handlers describe their own answers. What holds for all routes alike, because ``weir.runtime.http`` does it for all, is
added here once; and what Powertools says of failed validation gives way to what the API really answers.
"""

from collections.abc import Mapping
from typing import Any

SCHEMAS = "#/components/schemas/"
HEADERS = "#/components/headers/"
PROBLEM = "application/problem+json"
COMPONENTS: dict[str, Any] = {
    "schemas": {
        "Problem": {
            "title": "Problem",
            "description": "What went wrong (RFC 9457). Some problems have further members of their own.",
            "type": "object",
            "required": ["type", "title", "status", "detail", "instance", "request_id"],
            "properties": {
                "type": {"type": "string", "format": "uri", "description": "Names the kind of problem"},
                "title": {"type": "string", "description": "The kind of problem, in words"},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {"type": "string", "description": "This problem, in words, and what to do about it"},
                "instance": {"type": "string", "description": "The path that was asked for"},
                "request_id": {"type": "string", "description": "As in X-Request-Id, and in the logs"},
                "errors": {
                    "type": "array",
                    "description": "With 422: each field that can't be accepted",
                    "items": {"$ref": f"{SCHEMAS}FieldError"},
                },
            },
        },
        "FieldError": {
            "title": "FieldError",
            "description": "A field that can't be accepted.",
            "type": "object",
            "required": ["field", "message"],
            "properties": {
                "field": {"type": "string", "description": "Dotted path, such as load.keys.count"},
                "message": {"type": "string"},
            },
        },
    },
    "headers": {
        "X-Request-Id": {
            "description": "The caller's own, or one that was made; every log line of the request bears it",
            "schema": {"type": "string"},
        },
        "Location": {"description": "Where progress can be read", "schema": {"type": "string"}},
        "Retry-After": {
            "description": "Seconds after which to try again, where that may help",
            "schema": {"type": "integer", "minimum": 0},
        },
    },
}
_POWERTOOLS_OWN = ("HTTPValidationError", "ResponseValidationError", "ValidationError")
_COME_AGAIN = ("409", "429", "503")
_UNPREDICTED = {
    "500": "Something went wrong in Weir; tell an operator the request_id",
    "default": "Any other failure, told in the same form",
}


def without_own_errors(part: dict[str, Any]) -> dict[str, Any]:
    """A handler's schema without the error schemas that Powertools adds, and without answers that can't come."""
    schemas = part.get("components", {}).get("schemas", {})
    for name in _POWERTOOLS_OWN:
        schemas.pop(name, None)
    for operation in (one for methods in part.get("paths", {}).values() for one in methods.values()):
        if "parameters" not in operation and "requestBody" not in operation:
            operation["responses"].pop("422", None)  # there is nothing that could be invalid
    return part


def with_common_answers(operation: Mapping[str, Any]) -> dict[str, Any]:
    """An operation whose every failure is a problem, and whose every answer has its headers."""
    answers = {**operation["responses"]}
    for status, told in _UNPREDICTED.items():
        answers[status] = {"description": told, "content": {PROBLEM: {}}}
    return {**operation, "responses": {status: _answer(status, answers[status]) for status in answers}}


def _answer(status: str, described: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": f"{HEADERS}X-Request-Id"}, **described.get("headers", {})}
    if status == "202":
        headers["Location"] = {"$ref": f"{HEADERS}Location"}
    if status in _COME_AGAIN:
        headers["Retry-After"] = {"$ref": f"{HEADERS}Retry-After"}
    content = {} if status == "204" else described.get("content") or {}  # Powertools tells of null as JSON
    told = str(described["description"])
    if PROBLEM in content or any(SCHEMAS + name in str(content) for name in _POWERTOOLS_OWN):
        content = {PROBLEM: {"schema": {"$ref": f"{SCHEMAS}Problem"}}}
        told = told.replace("Validation Error", "A field can't be accepted; errors[] names it")
    return {"description": told, "headers": headers, "content": content}
