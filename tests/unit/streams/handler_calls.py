"""Calls of the streams handler, and what to read out of its answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
REGION = "eu-west-1"
Call = Callable[..., dict[str, Any]]


class Context:
    """As much of the Lambda context as the handlers use."""

    function_name = "streams"
    memory_limit_in_mb = 512
    invoked_function_arn = f"arn:aws:lambda:{REGION}:123456789012:function:streams"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 25_000


def header(answer: dict[str, Any], name: str) -> str:
    found: str = answer["multiValueHeaders"][name][0]
    return found


def problem_fields(answer: dict[str, Any]) -> list[str]:
    assert header(answer, "Content-Type") == "application/problem+json"
    return [error["field"] for error in answer["json"]["errors"]]


def names(stack: Any) -> list[str]:
    found: list[str] = stack.list_streams()["StreamNames"]
    return found
