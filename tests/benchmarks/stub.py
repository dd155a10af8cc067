"""A Kinesis endpoint on loopback that costs as little as it can, so that a benchmark measures the client.

It reads each request whole, counts its records, and confirms every one with a shard id and a sequence number of real
length. It checks no signature and keeps nothing. Run as a process of its own: ``python -m tests.benchmarks.stub``
prints its port and serves until its standard input ends.
"""

import asyncio
import base64
import json
import re
import sys
from functools import lru_cache

SHARDS = 4
HASH_KEYS = 1 << 128
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/bench"

_HEADER_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TARGET = re.compile(rb"\r\nx-amz-target: *Kinesis_20131202\.(\w+)", re.IGNORECASE)


def shards() -> list[dict[str, object]]:
    """ListShards' shards: all open, of equal ranges."""
    bounds = [HASH_KEYS * n // SHARDS for n in range(SHARDS + 1)]
    return [
        {
            "ShardId": f"shardId-{n:012}",
            "HashKeyRange": {"StartingHashKey": str(bounds[n]), "EndingHashKey": str(bounds[n + 1] - 1)},
            "SequenceNumberRange": {"StartingSequenceNumber": "49" + "0" * 54},
        }
        for n in range(SHARDS)
    ]


def _put_result(n: int) -> dict[str, str]:
    return {"SequenceNumber": f"4966{n:052}", "ShardId": f"shardId-{n % SHARDS:012}"}


@lru_cache(maxsize=1024)
def put_answer(count: int) -> bytes:
    """PutRecords' answer to ``count`` records, all confirmed."""
    return json.dumps({"FailedRecordCount": 0, "Records": [_put_result(n) for n in range(count)]}).encode()


def get_answer(count: int, size: int) -> bytes:
    """GetRecords' answer with ``count`` records of ``size`` bytes."""
    data = base64.b64encode(b"x" * size).decode()
    records = [
        {"Data": data, "PartitionKey": f"key-{n}", "SequenceNumber": f"4966{n:052}", "ApproximateArrivalTimestamp": 1e9}
        for n in range(count)
    ]
    return json.dumps({"MillisBehindLatest": 0, "NextShardIterator": "next", "Records": records}).encode()


def answer(operation: bytes, body: bytes) -> bytes:
    """The answer's body."""
    match operation:
        case b"PutRecords":
            return put_answer(body.count(b'"PartitionKey"'))
        case b"PutRecord":
            return json.dumps(_put_result(0)).encode()
        case b"ListShards":
            return json.dumps({"Shards": shards()}).encode()
        case b"DescribeStream":
            description = {"StreamName": "bench", "StreamARN": ARN, "StreamStatus": "ACTIVE", "Shards": shards()}
            return json.dumps({"StreamDescription": {**description, "HasMoreShards": False}}).encode()
        case b"DescribeStreamSummary":
            summary = {"StreamName": "bench", "StreamARN": ARN, "StreamStatus": "ACTIVE", "OpenShardCount": SHARDS}
            return json.dumps({"StreamDescriptionSummary": summary}).encode()
        case b"GetShardIterator":
            return b'{"ShardIterator": "next"}'
        case b"GetRecords":
            return get_answer(1000, 100)
        case _:
            raise ValueError(f"the stub does not know {operation!r}")


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as much of it as AWS SDKs use."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = bytearray()
        self.needed = 0
        self.body_at = 0

    def data_received(self, data: bytes) -> None:
        self.received += data
        while self._one_request():
            pass

    def _one_request(self) -> bool:
        if not self.needed:
            end = self.received.find(_HEADER_END)
            if end < 0:
                return False
            length = _LENGTH.search(self.received, 0, end)
            self.body_at = end + len(_HEADER_END)
            self.needed = self.body_at + (int(length.group(1)) if length else 0)
        if len(self.received) < self.needed:
            return False
        target = _TARGET.search(self.received, 0, self.body_at)
        content = answer(target.group(1) if target else b"", bytes(self.received[self.body_at : self.needed]))
        del self.received[: self.needed]
        self.needed = 0
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-RequestId: 1\r\ncontent-length: %d"
            % len(content)
        )
        self.transport.write(head + _HEADER_END + content)
        return bool(self.received)


async def serve() -> None:
    """Serve until standard input ends, which it does when the parent does."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
