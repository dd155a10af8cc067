"""The short way to moto's answers gives the answers of the long one."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto.core.botocore_stubber import BotocoreStubber

from tests.faults import shortcuts
from tests.faults.matrix import clean_run

Way = Callable[[str, AWSPreparedRequest], shortcuts.Answer]


def the_long_way(_operation: str, request: AWSPreparedRequest) -> Any:
    """moto's own door."""
    return BotocoreStubber().process_request(request)


def plain(body: str | bytes) -> Any:
    """What a body says, without the time at which it was compressed and the number of the answer."""
    raw = body.encode() if isinstance(body, str) else body
    raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    return json.loads(raw) if raw.startswith(b"{") else re.sub(rb"<RequestId>.*</RequestId>", b"", raw)


@contextmanager
def listening(way: Way) -> Iterator[list[tuple[str, int, Any]]]:
    """While this lasts, moto is asked in this way; its answers, in order: operation, status, what it says."""
    told = []

    def answer(operation: str, request: AWSPreparedRequest) -> shortcuts.Answer:
        status, headers, body = way(operation, request)
        if operation != "dynamodb.CreateTable":  # it tells the real time
            told.append((operation, int(status), plain(body)))
        return status, headers, body

    with patch.object(shortcuts, "answer", answer):
        yield told


@pytest.mark.parametrize("spec", ["watched", "apart", "orphaned", "started"])
def test_a_run_is_answered_as_it_is_the_long_way(spec: str) -> None:
    # Given a run whose calls moto answers by its own door, with nothing left out
    with listening(the_long_way) as expected, patch.object(shortcuts, "_CHANGES", []):
        long = clean_run(spec)

    # When the same run is answered the short way
    with listening(shortcuts.answer) as told:
        short = clean_run(spec)

    # Then it made the same calls at the same times, and each was answered the same
    assert (short.cloud.calls, short.kernel.now) == (long.cloud.calls, long.kernel.now)
    assert told == expected
    assert {operation.split(".")[0] for operation, _, _ in told} >= {"dynamodb", "kinesis", "s3"}
