"""A Kinesis endpoint on loopback that costs as little as it can, so that a benchmark measures the client.

It reads each request whole, finds its records, and confirms every one with the shard id that Kinesis would answer and a
sequence number of real length; what it gives to read is made up. It checks no signature and keeps nothing. Run as a
process of its own, ``python -m tests.benchmarks.stub`` prints its port and serves until its standard input ends.
"""

import asyncio
import base64
import json
import re
import sys
from functools import lru_cache
from hashlib import md5

from weir.runs.envelope import HEADER_BYTES, run_tag, seal

PRODUCED_US = 1_800_000_000_000_000
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


@lru_cache(maxsize=65_536)
def _confirmed(key: bytes, explicit_hash_key: bytes | None) -> bytes:
    """One record's result, on the shard where Kinesis would have put it: some producers check that."""
    hash_key = int(explicit_hash_key or int.from_bytes(md5(key, usedforsecurity=False).digest(), "big"))
    shard_id = f"shardId-{hash_key * SHARDS // HASH_KEYS:012}"
    return json.dumps({"SequenceNumber": f"4966{0:052}", "ShardId": shard_id}).encode()


def put_answer(body: bytes) -> bytes:
    """PutRecords' answer: every record confirmed. Taken apart without a JSON parser, which would cost more than some
    of the clients: a partition key may hold no quotes, and an explicit hash key comes right behind it.
    """
    results = []
    for record in body.split(b'"PartitionKey"')[1:]:
        parts = record.split(b'"', 6)
        results.append(_confirmed(parts[1], parts[5] if parts[3:4] == [b"ExplicitHashKey"] else None))
    return b'{"FailedRecordCount": 0, "Records": [' + b", ".join(results) + b"]}"


@lru_cache(maxsize=256)
def get_answer(iterator: str, limit: int) -> bytes:
    """GetRecords' answer: sealed records of a run, as its writers make them.

    The iterator is ``first record:data bytes:keys``, and names the next page likewise.
    """
    first, size, keys = map(int, iterator.split(":"))
    tag = run_tag("bench")
    records = []
    for n in range(first, first + limit):
        data = seal(tag, 0, n // keys, PRODUCED_US, b"x" * (size - HEADER_BYTES))
        records.append(
            {
                "SequenceNumber": f"4966{n:052}",
                "ApproximateArrivalTimestamp": PRODUCED_US / 1e6 + 0.02,
                "Data": base64.b64encode(data).decode(),
                "PartitionKey": f"device-{n % keys:05}",
            }
        )
    following = f"{first + limit}:{size}:{keys}"
    return json.dumps({"MillisBehindLatest": 0, "NextShardIterator": following, "Records": records}).encode()


def answer(operation: bytes, body: bytes) -> bytes:
    """The answer's body."""
    match operation:
        case b"PutRecords":
            return put_answer(body)
        case b"PutRecord":
            return put_answer(body).split(b"[")[1].rstrip(b"]}") + b"}"
        case b"ListShards":
            return json.dumps({"Shards": shards()}).encode()
        case b"DescribeStream":
            description = {"StreamName": "bench", "StreamARN": ARN, "StreamStatus": "ACTIVE", "Shards": shards()}
            return json.dumps({"StreamDescription": {**description, "HasMoreShards": False}}).encode()
        case b"DescribeStreamSummary":
            summary = {"StreamName": "bench", "StreamARN": ARN, "StreamStatus": "ACTIVE", "OpenShardCount": SHARDS}
            return json.dumps({"StreamDescriptionSummary": summary}).encode()
        case b"GetRecords":
            asked = json.loads(body)
            return get_answer(asked["ShardIterator"], asked["Limit"])
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
        head, body = bytes(self.received[: self.body_at]), bytes(self.received[self.body_at : self.needed])
        del self.received[: self.needed]
        self.needed = 0
        self.respond(head, body)
        return bool(self.received)

    def respond(self, head: bytes, body: bytes) -> None:
        """Answer a request."""
        target = _TARGET.search(head)
        self.send(answer(target.group(1) if target else b"", body), b"application/x-amz-json-1.1")

    def send(self, content: bytes, content_type: bytes, status: bytes = b"200 OK") -> None:
        """Write a whole answer."""
        told = b"HTTP/1.1 %b\r\ncontent-type: %b\r\nx-amzn-RequestId: 1\r\ncontent-length: %d"
        self.transport.write(told % (status, content_type, len(content)) + _HEADER_END + content)


async def serve(protocol: type[Connection] = Connection) -> None:
    """Print the port, and serve until standard input ends, which it does when the parent does."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
