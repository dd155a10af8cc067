"""A stream's life: created with its tags, described as it is, deleted only when it is ours.

CreateStream takes no idempotency token, so an SDK retry can meet the stream that the lost try made: it is adopted when
its run-id tag is ours, and left alone otherwise. Settings that CreateStream can't take are written on the stream as
tags at create, and ``changes.settle_stream`` applies them once it is ACTIVE.
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from weir.runtime.clock import Clock
from weir.runtime.errors import TooManyRequests, Unavailable, WeirError
from weir.streams import tags as stream_tags
from weir.streams.errors import (
    ForceNotAllowed,
    NotKnownYet,
    NotManaged,
    NotOwned,
    StreamBusy,
    StreamExists,
    StreamNotFound,
    StreamQuotaExceeded,
)
from weir.streams.kinesis import QUOTA_RETRY_SECONDS, Kinesis
from weir.streams.models import DEFAULT_RETENTION_HOURS, Encryption, Pending, Stream, StreamSpec
from weir.streams.sts import Account


def create_stream(
    kinesis: Kinesis,
    spec: StreamSpec,
    *,
    owner: str,
    run_id: str | None,
    clock: Clock,
    account: Callable[[], Account],
    settle: Callable[[str], None] | None = None,
) -> Stream:
    """Create a stream and answer while it is CREATING.

    Parameters
    ----------
    run_id
        The run, or the request, that the stream is for; a stream that carries it already is adopted.
    account
        Asked only where Kinesis can't describe the new stream yet (it is eventually consistent).
    settle
        Called with the name, *before* the stream is made, where settings are left for when it is ACTIVE, or alarms are
        to be made. A reminder of a stream that never came is harmless; a stream whose reminder got lost would keep the
        wrong settings.

    Raises
    ------
    StreamExists
        The name is taken by another stream, which is left alone.
    StreamQuotaExceeded
        The account has no room for it; nothing was created.
    """
    pending = _pending_tags(spec)
    expires_at = clock.now() + timedelta(seconds=spec.expires_in)
    tags = {**spec.tags, **pending, **_slo_tags(spec), **stream_tags.managed_tags(owner, run_id, expires_at)}
    try:
        _check_quota(kinesis, spec)
        if (pending or spec.slo is not None) and settle is not None:
            settle(spec.name)
        kinesis.create(spec, tags)
    except (StreamExists, StreamQuotaExceeded) as refused:
        tags = _adopted(kinesis, spec.name, tags, refused)
    else:
        _keep_tagged(kinesis, spec.name, tags)
    try:
        return stream_of(kinesis.summary(spec.name), tags)
    except (StreamNotFound, TooManyRequests, Unavailable):
        # The stream is made: that Kinesis can't describe it yet must not turn success into an error.
        return _as_asked(spec, account(), tags)


def describe_stream(kinesis: Kinesis, name: str) -> Stream:
    """The stream as Kinesis and its tags tell. StreamNotFound where there is none."""
    return stream_of(kinesis.summary(name), kinesis.tags(name))


def anybody(_: str | None) -> bool:
    """Whose a stream may be where it was not a person who asked: anybody's."""
    return True


def delete_stream(
    kinesis: Kinesis,
    name: str,
    *,
    force: bool = False,
    is_admin: bool = False,
    owns: Callable[[str | None], bool] = anybody,
) -> None:
    """Begin to delete a stream and its consumers; done already where it is DELETING.

    The tags are read just before deleting. A stream that Weir did not make is deleted for an admin's ``force`` alone.

    Raises
    ------
    StreamNotFound, NotManaged, NotOwned, ForceNotAllowed
    StreamBusy
        It is CREATING or UPDATING; try again after ``retry_after`` seconds.
    """
    if force and not is_admin:
        raise ForceNotAllowed("Only an admin may delete with force.")
    tags = kinesis.tags(name)
    if not force:
        refuse_foreign(name, tags, owns)
    try:
        kinesis.delete(name)
    except StreamBusy:
        if kinesis.summary(name)["StreamStatus"] != "DELETING":
            raise


def refuse_foreign(name: str, tags: Mapping[str, str], owns: Callable[[str | None], bool]) -> None:
    """NotManaged for a stream that Weir did not make, NotOwned for one that it made for somebody else."""
    if not stream_tags.is_managed(tags):
        raise not_managed(name)
    if not owns(tags.get(stream_tags.OWNER)):
        raise not_owned(name)


def not_owned(name: str) -> NotOwned:
    """The refusal to touch a stream of another user's."""
    return NotOwned(f"Stream {name!r} is another user's: only its owner and admins may do this.")


def not_managed(name: str) -> NotManaged:
    """The refusal to touch a stream that Weir did not make."""
    marks = f"{stream_tags.MANAGED}=true, {stream_tags.STACK} this stack"
    return NotManaged(f"Weir did not make stream {name!r} (its tags do not say {marks}), so it is left alone.")


def stream_of(summary: Mapping[str, Any], tags: Mapping[str, str]) -> Stream:
    """The Stream that a StreamDescriptionSummary and its tags describe."""
    arn = summary["StreamARN"]
    _, _, _, region, account_id, _ = arn.split(":", 5)
    on = {name for item in summary.get("EnhancedMonitoring") or () for name in item.get("ShardLevelMetrics") or ()}
    encrypted = summary.get("EncryptionType") == "KMS"
    return Stream(
        name=summary["StreamName"],
        arn=arn,
        account_id=account_id,
        region=region,
        status=summary["StreamStatus"],
        mode=(summary.get("StreamModeDetails") or {}).get("StreamMode", "PROVISIONED"),
        open_shard_count=summary["OpenShardCount"],
        retention_hours=summary["RetentionPeriodHours"],
        encryption=Encryption(type="KMS", key_id=summary.get("KeyId")) if encrypted else Encryption(),
        shard_level_metrics=tuple(sorted(on)),
        consumer_count=summary.get("ConsumerCount"),
        max_record_bytes=1024 * summary.get("MaxRecordSizeInKiB", 1024),
        created_at=created_at(summary),
        tags=dict(tags),
        **ownership(tags),
        pending=_pending(tags),
    )


def created_at(summary: Mapping[str, Any]) -> datetime | None:
    """A summary's creation time in UTC (botocore tells it in the machine's own zone); None where it has none."""
    moment: datetime | None = summary.get("StreamCreationTimestamp")
    return None if moment is None else moment.astimezone(UTC)


def ownership(tags: Mapping[str, str]) -> dict[str, Any]:
    """The fields that Weir's own tags give to a stream: managed, run_id, owner, expires_at."""
    return {
        "managed": stream_tags.is_managed(tags),
        "run_id": tags.get(stream_tags.RUN_ID),
        "owner": tags.get(stream_tags.OWNER),
        "expires_at": stream_tags.expires_at(tags),
    }


def _check_quota(kinesis: Kinesis, spec: StreamSpec) -> None:
    """Refuse what the account has no room for, before anything is made; CreateStream itself has the last word."""
    try:
        limits = kinesis.limits()
    except TooManyRequests:
        return  # one call a second for the whole account: CreateStream decides alone
    if spec.shard_count is not None:
        have, most, what = limits["OpenShardCount"], limits["ShardLimit"], "shards"
    else:
        have, most, what = limits.get("OnDemandStreamCount", 0), limits.get("OnDemandStreamCountLimit", 1), "streams"
    wanted = spec.shard_count or 1
    if have + wanted > most:
        raise StreamQuotaExceeded(
            f"The account may have {most} {what} and has {have}: no room for {wanted} more. Delete some, or ask AWS "
            "for a higher quota.",
            retry_after=QUOTA_RETRY_SECONDS,
        )


def _adopted(
    kinesis: Kinesis, name: str, tags: Mapping[str, str], refused: StreamExists | StreamQuotaExceeded
) -> dict[str, str]:
    """The tags of the stream that holds the name, if it is the one that a lost try of ours made; else ``refused``.

    That stream may be what takes the name, and what takes the account's last room.
    """
    try:
        found = kinesis.tags(name)
    except StreamNotFound as error:
        if isinstance(refused, StreamQuotaExceeded):
            raise refused from error
        raise NotKnownYet(f"Kinesis says that stream {name!r} exists, and does not tell of it yet.") from error
    ours = tags.get(stream_tags.RUN_ID)
    if ours is None or not stream_tags.is_of_run(found, ours):
        raise refused
    return found


def _keep_tagged(kinesis: Kinesis, name: str, tags: Mapping[str, str]) -> None:
    """Add the tags that a read-back shows missing: an untagged stream of ours would never be found again."""
    try:
        found = kinesis.tags(name)
    except (StreamNotFound, TooManyRequests, Unavailable):
        return  # by AWS's contract the tags were set with the stream; only the second look failed
    missing = {key: value for key, value in tags.items() if found.get(key) != value}
    if not missing:
        return
    try:
        kinesis.add_tags(name, missing)
    except WeirError:
        kinesis.delete(name)  # made in this very call, and nobody could find it later
        raise


def _pending_tags(spec: StreamSpec) -> dict[str, str]:
    tags: dict[str, str] = {}
    if spec.retention_hours != DEFAULT_RETENTION_HOURS:
        tags[stream_tags.PENDING_RETENTION] = str(spec.retention_hours)
    if spec.encryption.key_id is not None:
        tags[stream_tags.PENDING_KEY] = spec.encryption.key_id
    return tags


def _slo_tags(spec: StreamSpec) -> dict[str, str]:
    if spec.slo is None:
        return {}
    return {
        stream_tags.SLO_LATENCY: str(spec.slo.data_latency_ms),
        stream_tags.SLO_ITERATOR_AGE: str(spec.slo.age_ms(spec.retention_hours)),
    }


def _pending(tags: Mapping[str, str]) -> Pending | None:
    hours = tags.get(stream_tags.PENDING_RETENTION)
    key_id = tags.get(stream_tags.PENDING_KEY)
    if hours is None and key_id is None:
        return None
    return Pending(retention_hours=int(hours) if hours and hours.isdecimal() else None, key_id=key_id)


def _as_asked(spec: StreamSpec, account: Account, tags: Mapping[str, str]) -> Stream:
    return Stream(
        name=spec.name,
        arn=account.stream_arn(spec.name),
        account_id=account.id,
        region=account.region,
        status="CREATING",
        mode=spec.mode,
        open_shard_count=None,
        retention_hours=DEFAULT_RETENTION_HOURS,
        encryption=Encryption(),
        created_at=None,
        tags=dict(tags),
        **ownership(tags),
        pending=_pending(tags),
    )
