"""Streams that Weir did not make, and those of its own that must stay: as like to a run's stream as they can be."""

from typing import Any

from tests.faults.account import BEGAN, RUN_ID, STREAM
from tests.faults.cloud import Cloud

PASSED, FUTURE = "2026-11-01T00:00:00Z", "2027-11-01T00:00:00Z"
assert BEGAN < 1_825_000_000  # FUTURE lies after every sweep of these tests

NEIGHBOURS: dict[str, dict[str, str]] = {
    f"{STREAM}-copy": {},
    f"{STREAM}1": {"weir:run-id": RUN_ID, "weir:expires-at": PASSED},
    "weir-run-": {"weir:managed": "True", "weir:stack": "weir", "weir:expires-at": PASSED},
    "weir-run-by-hand": {"weir:managed": "true", "weir:stack": "weir", "weir:run-id": RUN_ID},
    "weir-run-later": {"weir:managed": "true", "weir:stack": "weir", "weir:run-id": "other", "weir:expires-at": FUTURE},
    "weir-run-unreadable": {"weir:managed": "true", "weir:stack": "weir", "weir:expires-at": "yesterday"},
    "weir-run-by-id": {"weir:run-id": RUN_ID},
    "weir-run-of-another": {
        "weir:managed": "true",
        "weir:stack": "other",
        "weir:run-id": RUN_ID,
        "weir:expires-at": PASSED,
    },
}
"""Name to tags: none, not managed, not really managed, no expiry, not yet expired, an expiry that can't be read, the id
of a run alone, another stack's."""


def move_in(cloud: Cloud) -> dict[str, Any]:
    """Make the neighbours, with a record each; moto's streams by name."""
    for name, tags in NEIGHBOURS.items():
        cloud.kinesis.create_stream(name, 1, stream_mode=None)
        stream = cloud.kinesis.streams[name]
        stream.tags.update(tags)
        stream.put_record("key", "", "bm90IFdlaXIncw==")
    return {name: cloud.kinesis.streams[name] for name in NEIGHBOURS}


def disturbed(cloud: Cloud, before: dict[str, Any]) -> list[str]:
    """The neighbours that are gone, replaced, or changed."""
    changed = []
    for name, stream in before.items():
        now = cloud.kinesis.streams.get(name)
        records = sum(len(shard.records) for shard in stream.shards.values())
        if now is not stream or now.status != "ACTIVE" or now.tags != NEIGHBOURS[name] or records != 1:
            changed.append(name)
    return changed
