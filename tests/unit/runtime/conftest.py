"""What the runtime tests share: settings that follow a test's own environment, and Lambda's context."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from weir.runtime import observability, settings

Configure = Callable[..., None]
Logged = Callable[[], list[dict[str, Any]]]


class Context:
    """As much of the Lambda context as Powertools reads."""

    function_name = "runs"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:runs"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 25_000


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Set ``WEIR_<NAME>`` for each keyword, and read the settings anew."""

    def set_up(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"WEIR_{name.upper()}", value)
        settings.forget()

    settings.forget()
    yield set_up
    monkeypatch.undo()
    settings.forget()


@pytest.fixture
def logged(configure: Configure) -> Iterator[Logged]:
    """What was logged during the test, a document a line. The logger is the process's, so its stream is lent."""
    configure()
    written = io.StringIO()
    (handler,) = (one for one in observability.logger().handlers if isinstance(one, logging.StreamHandler))
    before = handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    if before is not None:
        handler.setStream(before)
