"""Streams, shards and limits, in pages.

ListTagsForStream takes five calls a second for the whole account, and whether a stream is Weir's stands in its tags
only. So a page of streams ends early when its time is used up, with the cursor where it stopped: a page may be short,
never wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weir.runtime.clock import Clock
from weir.runtime.errors import TooManyRequests
from weir.streams.errors import StreamNotFound
from weir.streams.kinesis import Kinesis
from weir.streams.lifecycle import created_at, ownership
from weir.streams.models import Limits, Shard, StreamListItem
from weir.streams.sts import Account

PAGE_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Streams by name; ``next`` is the name behind which the next page begins, None at the end."""

    items: tuple[StreamListItem, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ShardPage:
    """Shards by id; ``next`` is the id behind which the next page begins, None at the end."""

    items: tuple[Shard, ...]
    next: str | None


def list_streams(
    kinesis: Kinesis, *, after: str | None, limit: int, clock: Clock, seconds: float = PAGE_SECONDS
) -> StreamPage:
    """At most ``limit`` streams behind the name ``after``; fewer when their tags take more than ``seconds``.

    Every stream of the account and region is listed, Weir's or not.
    """
    deadline = clock.monotonic() + seconds
    summaries, more = kinesis.stream_page(after=after, limit=limit)
    items: list[StreamListItem] = []
    for summary in summaries:
        if items and clock.monotonic() > deadline:
            return StreamPage(tuple(items), items[-1].name)
        try:
            tags = kinesis.tags(summary["StreamName"])
        except StreamNotFound:
            continue  # deleted since it was listed
        except TooManyRequests:
            if not items:
                raise
            return StreamPage(tuple(items), items[-1].name)
        items.append(_item(summary, tags))
    return StreamPage(tuple(items), summaries[-1]["StreamName"] if more and summaries else None)


def list_shards(kinesis: Kinesis, name: str, *, after: str | None, limit: int) -> ShardPage:
    """At most ``limit`` shards, open and closed, behind the shard ``after``. StreamNotFound for an unknown name."""
    found = kinesis.shard_page(name, after=after, limit=limit + 1)
    shown = tuple(found[:limit])
    return ShardPage(shown, shown[-1].shard_id if len(found) > limit else None)


def read_limits(kinesis: Kinesis, account: Account) -> Limits:
    """The account's quotas. TooManyRequests comes easily: AWS allows one such call a second."""
    told = kinesis.limits()
    return Limits(
        account_id=account.id,
        account_source=account.source,
        region=account.region,
        shard_limit=told["ShardLimit"],
        open_shard_count=told["OpenShardCount"],
        on_demand_stream_limit=told.get("OnDemandStreamCountLimit"),
        on_demand_stream_count=told.get("OnDemandStreamCount"),
    )


def _item(summary: Mapping[str, Any], tags: Mapping[str, str]) -> StreamListItem:
    return StreamListItem(
        name=summary["StreamName"],
        arn=summary["StreamARN"],
        status=summary["StreamStatus"],
        mode=(summary.get("StreamModeDetails") or {}).get("StreamMode", "PROVISIONED"),
        created_at=created_at(summary),
        **ownership(tags),
    )
