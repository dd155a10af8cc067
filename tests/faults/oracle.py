"""The truth about a run, from the simulated AWS itself: nothing here asks the code under test.

``Truth`` reads what is in the stream's shards (also after the stream is deleted: moto's object is kept from its birth),
what GetRecords answers really reached a reader, what is in the table and the bucket, and which streams there are.
"""

import gzip
import json
import struct
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends

from tests.faults.account import BUCKET, RUN_ID, STREAM, TABLE
from tests.faults.cloud import ACCOUNT, REGION, Cloud

_ENVELOPE = struct.Struct(">4s8sIQQI")
Identity = tuple[int, str, int]


@dataclass(frozen=True)
class Truth:
    """What is so. Identities are (slice, partition key, sequence).

    ``stored`` counts how often each record is in the stream, ``delivered`` are those that a reader was given; ``item``
    is the run's item with plain values, None where there is none; ``measurement`` and ``report`` are the documents in
    the bucket, None where there are none.
    """

    stored: Counter[Identity]
    delivered: frozenset[Identity]
    stream_exists: bool
    item: dict[str, Any] | None
    measurement: dict[str, Any] | None
    report: dict[str, Any] | None

    @property
    def verdict(self) -> str | None:
        """The verdict that the run was closed with."""
        return None if self.item is None else self.item.get("verdict")

    @property
    def reasons(self) -> list[str]:
        """Why."""
        reasons: list[str] = [] if self.item is None else json.loads(self.item.get("reasons", "[]"))
        return reasons

    @property
    def failure(self) -> dict[str, str] | None:
        """Step, error and cause."""
        return None if self.item is None or "failure" not in self.item else json.loads(self.item["failure"])

    @property
    def closed(self) -> bool:
        """Whether the run is closed."""
        return self.item is not None and self.item["status"] == "CLOSED"

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do: no stream, and the run closed or never stored."""
        return not self.stream_exists and (self.closed or self.item is None)

    @property
    def copies(self) -> int:
        """Records in the stream beyond the first of each."""
        return sum(self.stored.values()) - len(self.stored)


def truth(cloud: Cloud) -> Truth:
    """What is so, now."""
    stored: Counter[Identity] = Counter()
    delivered = set()
    for stream in cloud.born.get(STREAM, ()):
        for shard_id, shard in stream.shards.items():
            for record in shard.records.values():
                identity = _identity(record.partition_key, b64decode(record.data))
                stored[identity] += 1
                if (STREAM, shard_id, str(record.sequence_number)) in cloud.delivered:
                    delivered.add(identity)
    measurement = _object(f"runs/{RUN_ID}/measurement")
    report = _object(f"runs/{RUN_ID}/report.json")
    return Truth(
        stored,
        frozenset(delivered),
        not cloud.is_gone(STREAM),
        _item(),
        None if measurement is None else json.loads(gzip.decompress(measurement)),
        None if report is None else json.loads(report),
    )


def _identity(key: str, data: bytes) -> Identity:
    magic, _, slice_index, sequence, _, _ = _ENVELOPE.unpack_from(data)
    assert magic == b"WEIR"
    return slice_index, key, sequence


def _item() -> dict[str, Any] | None:
    for item in dynamodb_backends[ACCOUNT][REGION].tables[TABLE].all_items():
        plain = {name: next(iter(value.values())) for name, value in item.to_json()["Attributes"].items()}
        if (plain["pk"], plain["sk"]) == (f"RUN#{RUN_ID}", "RUN"):
            return plain
    return None


def _object(key: str) -> bytes | None:
    found = s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys.get(key)
    return None if found is None else bytes(found.value)
