"""Adapter to Amazon Kinesis Data Streams: one method a call, pages followed, botocore's errors made domain errors.

API: https://docs.aws.amazon.com/kinesis/latest/APIReference/Welcome.html. Clients come from ``weir.runtime.aws`` and
retry by themselves; nothing here waits. Streams are named, never guessed: where a call takes the ARN only, the caller
passes the ARN that Kinesis told. Where records go by the thousand, ``kinesis_put`` and ``kinesis_get`` do it lean.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from weir.runtime import aws
from weir.runtime.errors import TooManyRequests, UpstreamFailed, WeirError
from weir.streams.errors import (
    IteratorExpired,
    KeyUnusable,
    ShardNotFound,
    StreamBusy,
    StreamExists,
    StreamNotFound,
    StreamQuotaExceeded,
)
from weir.streams.kinesis_get import GetAdapter, RawRecord, RecordsAnswer
from weir.streams.models import Mode, Shard, StreamSpec

__all__ = ["Kinesis", "RawRecord", "RecordsAnswer", "failure"]

BUSY_RETRY_SECONDS = 5
QUOTA_RETRY_SECONDS = 30
SHARDS_PER_CALL = 1000


class Kinesis:
    """Kinesis behind one botocore client. Every method may raise the errors of ``failure``."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._get: GetAdapter | None = None

    @property
    def region(self) -> str:
        """The region that the client speaks to."""
        return str(self._client.meta.region_name)

    def create(self, spec: StreamSpec, tags: Mapping[str, str]) -> None:
        """CreateStream with the tags, so that the stream is never without them. StreamExists if the name is taken."""
        params: dict[str, Any] = {"StreamModeDetails": {"StreamMode": spec.mode}, "Tags": dict(tags)}
        if spec.shard_count is not None:
            params["ShardCount"] = spec.shard_count
        self._call("create_stream", "creating", spec.name, **params)

    def summary(self, name: str) -> dict[str, Any]:
        """DescribeStreamSummary's ``StreamDescriptionSummary``. StreamNotFound where there is none."""
        answer = self._call("describe_stream_summary", "describing", name)
        summary: dict[str, Any] = answer["StreamDescriptionSummary"]
        return summary

    def shards(self, name: str, *, after: str | None = None) -> Iterator[Shard]:
        """Every shard, open and closed, over all pages; those behind shard ``after`` where it is given."""
        while True:
            page = self.shard_page(name, after=after, limit=SHARDS_PER_CALL)
            yield from page
            if len(page) < SHARDS_PER_CALL:
                return
            after = page[-1].shard_id

    def shard_page(self, name: str, *, after: str | None, limit: int) -> list[Shard]:
        """At most ``limit`` shards behind shard ``after``, ordered by id.

        Kinesis may answer fewer than asked for although there are more; its NextToken is followed until the page is
        full or the list ends. The position is a shard id because tokens live 300 s only.
        """
        params: dict[str, Any] = {"StreamName": name, "MaxResults": limit}
        if after is not None:
            params["ExclusiveStartShardId"] = after
        found: list[Shard] = []
        while True:
            answer = self._call("list_shards", "listing the shards of", about=name, **params)
            found.extend(_shard(item) for item in answer["Shards"])
            token = answer.get("NextToken")
            if not token or len(found) >= limit:
                return found[:limit]
            params = {"NextToken": token, "MaxResults": limit - len(found)}

    def stream_page(self, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """At most ``limit`` StreamSummaries behind the name ``after``, and whether there are more."""
        params: dict[str, Any] = {"Limit": limit}
        if after is not None:
            params["ExclusiveStartStreamName"] = after
        answer = self._call("list_streams", "listing streams", **params)
        return answer["StreamSummaries"], bool(answer["HasMoreStreams"])

    def list_streams(self) -> Iterator[dict[str, Any]]:
        """The StreamSummary of every stream of the account and region, over all pages, ordered by name."""
        after: str | None = None
        more = True
        while more:
            page, more = self.stream_page(after=after, limit=100)
            yield from page
            after = page[-1]["StreamName"] if page else None
            more = more and bool(page)

    def limits(self) -> dict[str, Any]:
        """DescribeLimits' answer. One call a second an account: TooManyRequests comes easily."""
        answer: dict[str, Any] = self._call("describe_limits", "reading the account's limits")
        return answer

    def tags(self, name: str) -> dict[str, str]:
        """All tags of a stream, over all pages."""
        found: dict[str, str] = {}
        params: dict[str, Any] = {}
        while True:
            answer = self._call("list_tags_for_stream", "reading the tags of", name, **params)
            found.update({tag["Key"]: tag.get("Value", "") for tag in answer["Tags"]})
            if not answer["HasMoreTags"]:
                return found
            params["ExclusiveStartTagKey"] = answer["Tags"][-1]["Key"]

    def add_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """AddTagsToStream: adds, or overwrites by key."""
        self._call("add_tags_to_stream", "tagging", name, Tags=dict(tags))

    def remove_tags(self, name: str, keys: Iterable[str]) -> None:
        """RemoveTagsFromStream; keys that are not there are no error."""
        self._call("remove_tags_from_stream", "untagging", name, TagKeys=sorted(keys))

    def delete(self, name: str) -> None:
        """DeleteStream with its consumers. StreamBusy while it is CREATING or UPDATING."""
        try:
            self._call("delete_stream", "deleting", name, EnforceConsumerDeletion=True)
        except UpstreamFailed:
            self.tags(name)  # StreamNotFound where it is gone: the right to delete it hung on its tags
            raise

    def increase_retention(self, name: str, hours: int) -> None:
        """IncreaseStreamRetentionPeriod to ``hours``, which must be above the present value."""
        self._call("increase_stream_retention_period", "keeping longer", name, RetentionPeriodHours=hours)

    def decrease_retention(self, name: str, hours: int) -> None:
        """DecreaseStreamRetentionPeriod to ``hours``; older records are gone at once."""
        self._call("decrease_stream_retention_period", "keeping shorter", name, RetentionPeriodHours=hours)

    def update_shard_count(self, name: str, target: int) -> None:
        """UpdateShardCount by one legal step (see ``resharding``)."""
        self._call("update_shard_count", "resharding", name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")

    def update_mode(self, name: str, arn: str, mode: Mode) -> None:
        """UpdateStreamMode, which takes the ARN only. Twice in 24 hours."""
        details = {"StreamMode": mode}
        self._call("update_stream_mode", "changing the mode of", about=name, StreamARN=arn, StreamModeDetails=details)

    def enable_metrics(self, name: str, metrics: Sequence[str]) -> None:
        """EnableEnhancedMonitoring of these shard-level metrics, beside those that are on."""
        self._call("enable_enhanced_monitoring", "monitoring", name, ShardLevelMetrics=sorted(metrics))

    def disable_metrics(self, name: str, metrics: Sequence[str]) -> None:
        """DisableEnhancedMonitoring of these shard-level metrics."""
        self._call("disable_enhanced_monitoring", "monitoring less", name, ShardLevelMetrics=sorted(metrics))

    def start_encryption(self, name: str, key_id: str) -> None:
        """StartStreamEncryption by KMS. KeyUnusable where KMS refuses the key."""
        self._call("start_stream_encryption", "encrypting", name, EncryptionType="KMS", KeyId=key_id)

    def stop_encryption(self, name: str, key_id: str) -> None:
        """StopStreamEncryption; ``key_id`` is the key in use."""
        self._call("stop_stream_encryption", "no longer encrypting", name, EncryptionType="KMS", KeyId=key_id)

    def iterator(
        self, name: str, shard_id: str, kind: str, *, sequence: str | None = None, timestamp: datetime | None = None
    ) -> str:
        """GetShardIterator of type ``kind`` (TRIM_HORIZON, LATEST, AT_TIMESTAMP, AT_/AFTER_SEQUENCE_NUMBER)."""
        params: dict[str, Any] = {"ShardId": shard_id, "ShardIteratorType": kind}
        if sequence is not None:
            params["StartingSequenceNumber"] = sequence
        if timestamp is not None:
            params["Timestamp"] = timestamp
        return str(self._call("get_shard_iterator", "reading", name, **params)["ShardIterator"])

    def get_records(self, iterator: str, limit: int, *, about: str) -> RecordsAnswer:
        """GetRecords of at most ``limit`` records. IteratorExpired after five minutes. ``about`` names the stream."""
        self._get = self._get or GetAdapter(self._client)
        try:
            return self._get(iterator, limit)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            raise failure(error, "get_records", "reading", about) from error

    def _call(
        self, operation: str, doing: str, name: str | None = None, *, about: str | None = None, **params: Any
    ) -> Any:
        """Call with ``name`` as StreamName, or, where the operation takes none, ``about`` that stream."""
        if name is not None:
            params["StreamName"] = name
        try:
            return getattr(self._client, operation)(**params)
        except Exception as error:
            if not aws.is_aws_error(error):
                raise
            raise failure(error, operation, doing, name or about) from error


def failure(error: Exception, operation: str, doing: str, name: str | None) -> WeirError:
    """The domain error for a Kinesis failure.

    StreamNotFound, ShardNotFound, StreamExists (from create_stream only), StreamBusy, StreamQuotaExceeded, KeyUnusable,
    IteratorExpired, and what ``aws.translate`` makes of the rest.
    """
    code = aws.error_code(error)
    response = getattr(error, "response", None) or {}  # None on botocore's time-outs
    message = str(response.get("Error", {}).get("Message", ""))
    what = doing if name is None else f"{doing} stream {name!r}"
    if code == "ExpiredIteratorException":
        return IteratorExpired("The shard iterator has expired; read on with the last cursor.")
    if code.startswith("KMS") and code != "KMSThrottlingException":
        return KeyUnusable(f"KMS refused the key while {what} ({code}).")
    match aws.kind(error):
        case "missing" if message.startswith("Shard "):
            return ShardNotFound(f"Stream {name!r} has no such shard.")
        case "missing":
            return StreamNotFound(f"There is no stream {name!r} in this account and region.")
        case "in_use" if operation == "create_stream":
            return StreamExists(f"A stream {name!r} exists already. Choose another name.")
        case "in_use":
            return StreamBusy(f"Stream {name!r} is changing just now; try again.", retry_after=BUSY_RETRY_SECONDS)
        case "limit" if "rate exceeded" in message.lower():
            return TooManyRequests(f"AWS throttled {what}; try again shortly.", retry_after=2)
        case "limit":
            quota = f"A Kinesis quota was reached while {what}: {message}"
            return StreamQuotaExceeded(quota, retry_after=QUOTA_RETRY_SECONDS)
    return aws.translate(error, what)


def _shard(item: Mapping[str, Any]) -> Shard:
    ending = item["SequenceNumberRange"].get("EndingSequenceNumber")
    return Shard.model_construct(
        shard_id=item["ShardId"],
        parent_shard_id=item.get("ParentShardId"),
        adjacent_parent_shard_id=item.get("AdjacentParentShardId"),
        starting_hash_key=item["HashKeyRange"]["StartingHashKey"],
        ending_hash_key=item["HashKeyRange"]["EndingHashKey"],
        starting_sequence_number=item["SequenceNumberRange"]["StartingSequenceNumber"],
        ending_sequence_number=ending,
        open=ending is None,
    )
