"""The producers that are measured, each used as its documentation says. Run as ``python -m ... PEER ENDPOINT RECORDS
SIZE``, a process for each measurement; prints one JSON line.

Rates are set above what any of them reaches, because the benchmark is of the client and not of a shard's quota.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

STREAM = "bench"
REGION = "us-east-1"
KEYS = 1_000
WARM_UP = 1_000
NO_LIMIT = 1_000_000_000

Row = tuple[str, bytes]
Measure = Callable[[Callable[[], int]], None]


def rows(count: int, size: int) -> list[Row]:
    """The records to insert: keys that repeat, data that does not."""
    return [(f"device-{n % KEYS:05}", f"{n:012}".encode().ljust(size, b"x")[:size]) for n in range(count)]


def cpu_seconds() -> float:
    """User and system time of this process, threads included."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Stopwatch:
    """Measures one insertion and prints it."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = cpu_seconds()

    def stop(self, sent: int, confirmed: int | None) -> None:
        wall, cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu
        print(json.dumps({"sent": sent, "confirmed": confirmed, "wall_seconds": wall, "cpu_seconds": cpu}))


def boto3_client(endpoint: str) -> Any:
    """As anyone makes one."""
    import boto3

    return boto3.client("kinesis", endpoint_url=endpoint, region_name=REGION)


def boto3_loop(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """The bare loop: 500 records a call, the answer not looked at."""
    client = boto3_client(endpoint)

    def insert(some: list[Row]) -> None:
        for start in range(0, len(some), 500):
            client.put_records(
                StreamName=STREAM,
                Records=[{"Data": data, "PartitionKey": key} for key, data in some[start : start + 500]],
            )

    insert(warm)
    watch = Stopwatch()
    insert(timed)
    watch.stop(len(timed), None)


def aws_kinesis_agg(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """The package's README: a RecordAggregator, and put_record for each record that it fills. Each answer is checked.

    It does not group by shard, so this is faster than a right use of it could be.
    """
    from aws_kinesis_agg.aggregator import RecordAggregator

    client = boto3_client(endpoint)

    def send(filled: Any) -> int:
        key, explicit_hash_key, data = filled.get_contents()
        options = {} if explicit_hash_key is None else {"ExplicitHashKey": explicit_hash_key}
        answer = client.put_record(StreamName=STREAM, Data=data, PartitionKey=key, **options)
        return int(filled.get_num_user_records()) if answer["SequenceNumber"] else 0

    def insert(some: list[Row]) -> int:
        aggregator = RecordAggregator()
        confirmed = 0
        for key, data in some:
            filled = aggregator.add_user_record(key, data)
            if filled:
                confirmed += send(filled)
        return confirmed + send(aggregator.clear_and_get())

    insert(warm)
    watch = Stopwatch()
    watch.stop(len(timed), insert(timed))


def async_kinesis(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """Producer.put, with the processor that adds least. It tells of no record; a flush ends when all are accepted."""

    async def insert(producer: Any, some: list[tuple[str, str]]) -> None:
        for key, text in some:
            await producer.put(text, partition_key=key)
        await producer.flush()

    async def main() -> None:
        from kinesis import Producer
        from kinesis.processors import StringProcessor

        as_text = [(key, data.decode()) for key, data in timed]
        async with Producer(
            stream_name=STREAM,
            endpoint_url=endpoint,
            region_name=REGION,
            processor=StringProcessor(),
            put_rate_limit_per_shard=NO_LIMIT,
            put_bandwidth_limit_per_shard=NO_LIMIT,
        ) as producer:
            await insert(producer, [(key, data.decode()) for key, data in warm])
            watch = Stopwatch()
            await insert(producer, as_text)
            watch.stop(len(timed), len(timed))

    asyncio.run(main())


def _aiokpl(endpoint: str, warm: list[Row], timed: list[Row], *, aggregate: bool) -> None:
    async def insert(producer: Any, some: list[Row]) -> int:
        outcomes: list[Awaitable[Any]] = []
        for key, data in some:
            outcomes.append(await producer.put_record(stream=STREAM, partition_key=key, data=data))
        await producer.flush()
        return sum([(await outcome.wait()).success for outcome in outcomes])  # type: ignore[attr-defined]

    async def main() -> None:
        from aiokpl import Config, Producer

        config = Config(
            region=REGION,
            endpoint_url=endpoint,
            aggregation_enabled=aggregate,
            rate_limit_records_per_sec_per_shard=NO_LIMIT,
            rate_limit_bytes_per_sec_per_shard=NO_LIMIT,
        )
        async with Producer(config) as producer:
            await insert(producer, warm)
            watch = Stopwatch()
            watch.stop(len(timed), await insert(producer, timed))

    asyncio.run(main())


def aiokpl(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """As its README uses it: aggregation on, each outcome awaited."""
    _aiokpl(endpoint, warm, timed, aggregate=True)


def aiokpl_plain(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """The same with aggregation off."""
    _aiokpl(endpoint, warm, timed, aggregate=False)


def _weir(endpoint: str, warm: list[Row], timed: list[Row], *, aggregate: bool, concurrency: int) -> None:
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    from types import SimpleNamespace

    from weir.runtime import aws, garbage
    from weir.runtime.clock import SYSTEM
    from weir.streams.hashing import ShardMap
    from weir.streams.kinesis_put import PutAdapter
    from weir.streams.producer import AsFastAsPossible, Entry, Producer

    client = aws.client("kinesis", attempts=1, validate=False)
    listed = client.list_shards(StreamName=STREAM)["Shards"]
    shard_map = ShardMap(
        SimpleNamespace(
            shard_id=shard["ShardId"],
            starting_hash_key=shard["HashKeyRange"]["StartingHashKey"],
            ending_hash_key=shard["HashKeyRange"]["EndingHashKey"],
            open=True,
        )
        for shard in listed
    )

    def entries(some: list[Row]) -> Iterator[Entry]:
        for key, data in some:
            yield Entry(key, data)

    def insert(some: list[Row]) -> int:
        confirmed = 0

        def on_accepted(accepted: Sequence[Any]) -> None:
            nonlocal confirmed
            confirmed += len(accepted)

        producer = Producer(
            PutAdapter(client, STREAM),
            shard_map,
            SYSTEM,
            pace=AsFastAsPossible(records_per_second=NO_LIMIT, bytes_per_second=NO_LIMIT),
            aggregate=aggregate,
            concurrency=concurrency,
        )
        producer.run(entries(some), deadline=SYSTEM.monotonic() + 600, on_accepted=on_accepted, on_rejected=on_accepted)
        return confirmed

    insert(warm)
    garbage.rarely()  # as the function that inserts does when it is loaded
    watch = Stopwatch()
    watch.stop(len(timed), insert(timed))


def weir(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """The producer as a run uses it: 4 requests at a time, each record's outcome reported."""
    _weir(endpoint, warm, timed, aggregate=False, concurrency=4)


def weir_one_thread(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """One request at a time, as the bare loop."""
    _weir(endpoint, warm, timed, aggregate=False, concurrency=1)


def weir_aggregated(endpoint: str, warm: list[Row], timed: list[Row]) -> None:
    """KPL records, grouped by shard, each user record's outcome reported."""
    _weir(endpoint, warm, timed, aggregate=True, concurrency=4)


PEERS: dict[str, Callable[[str, list[Row], list[Row]], None]] = {
    "weir": weir,
    "weir, one thread": weir_one_thread,
    "boto3 loop, unchecked": boto3_loop,
    "async-kinesis": async_kinesis,
    "aiokpl, not aggregated": aiokpl_plain,
    "aiokpl": aiokpl,
    "weir, aggregated": weir_aggregated,
    "aws-kinesis-agg + boto3": aws_kinesis_agg,
}


if __name__ == "__main__":
    name, endpoint_url, count_text, size_text = sys.argv[1:]
    size_bytes = int(size_text)
    warm_rows, timed_rows = rows(WARM_UP, size_bytes), rows(int(count_text), size_bytes)
    # The records to insert are the benchmark's: no peer's collector shall look at them again and again.
    gc.collect()
    gc.freeze()
    PEERS[name](endpoint_url, warm_rows, timed_rows)
