"""Last of the suite: nothing that the tests had Weir make is still there."""

import time
from typing import Any

from tests.integration.conftest import Api


def test_no_stream_of_weir_is_left(kinesis: Any) -> None:
    def managed() -> list[str]:
        names = [name for page in kinesis.get_paginator("list_streams").paginate() for name in page["StreamNames"]]
        return [
            name
            for name in names
            if {"Key": "weir:managed", "Value": "true"} in kinesis.list_tags_for_stream(StreamName=name)["Tags"]
        ]

    deadline = time.monotonic() + 120
    while (left := managed()) and time.monotonic() < deadline:
        time.sleep(0.5)  # what is DELETING goes on being listed for a while
    assert left == []


def test_no_run_is_open(api: Api) -> None:
    cursor = ""
    while cursor is not None:
        page = api("GET", "/runs?limit=200" + (f"&cursor={cursor}" if cursor else "")).json()
        assert [run["run_id"] for run in page["items"] if run["status"] != "CLOSED"] == []
        cursor = page["cursor"]
