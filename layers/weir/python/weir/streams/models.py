"""Streams, shards and records as callers see them and as AWS tells them. Frozen; unknown fields are refused.

Limits are those of the Kinesis API reference (CreateStream, PutRecords) and of
https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html. Hash keys and sequence numbers are
decimal text: they pass 64 bits.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from weir.runtime.fields import wrong
from weir.streams import tags as stream_tags
from weir.streams.hashing import HASH_KEYS
from weir.streams.resharding import MAX_SHARDS

Mode = Literal["PROVISIONED", "ON_DEMAND"]
Status = Literal["CREATING", "DELETING", "ACTIVE", "UPDATING"]
Encoding = Literal["text", "base64"]
ShardMetric = Literal[
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
]

DEFAULT_KEY = "alias/aws/kinesis"
DEFAULT_RETENTION_HOURS = 24
MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_RECORD_BYTES = 10_240 * 1024
MOST_LATENCY_MS = 604_800_000
"""A week."""

MAX_TAGS = 40
"""A stream takes 50 tags; the rest are Weir's own and room for those of an account's policies."""


def _user_tag_key(key: str) -> str:
    if key.lower().startswith(("aws:", stream_tags.PREFIX)):
        raise ValueError("keys that begin with aws: or weir: are reserved")
    return _tag_text(key)


def _tag_text(text: str) -> str:
    if not stream_tags.allowed(text):
        raise ValueError("only letters, digits, spaces and _ . : / = + - @ are allowed in a tag")
    return text


StreamName = Annotated[
    str,
    Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_.-]+$", description="Unique in account and region"),
]
TagKey = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_user_tag_key)]
TagValue = Annotated[str, Field(max_length=stream_tags.MAX_VALUE_LENGTH), AfterValidator(_tag_text)]
RetentionHours = Annotated[int, Field(ge=24, le=8760, description="Hours that records are kept, 24 to 8,760")]
ShardCount = Annotated[int, Field(ge=1, le=MAX_SHARDS, description="Open shards, with mode PROVISIONED only")]


class Model(BaseModel):
    """Base of all: frozen, and a field nobody knows is an error rather than a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Encryption(Model):
    """Server-side encryption. KMS without a ``key_id`` means the key that AWS manages for Kinesis."""

    type: Literal["NONE", "KMS"] = "NONE"
    key_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=stream_tags.MAX_VALUE_LENGTH,
            validate_default=True,
            description="Key id, key ARN or alias; alias/aws/kinesis unless given",
        ),
    ] = None

    @field_validator("key_id")
    @classmethod
    def _key_goes_with_kms(cls, key_id: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("type") == "KMS":
            return _tag_text(key_id or DEFAULT_KEY)
        if key_id is not None:
            raise ValueError("key_id goes with type KMS only")
        return None


class StreamSlo(Model):
    """Service levels of a stream: what its two alarms are held against. Milliseconds."""

    data_latency_ms: Annotated[
        int, Field(ge=1, le=MOST_LATENCY_MS, description="From a write to a read; the alarm goes off above it")
    ] = 10_000
    iterator_age_ms: Annotated[
        int | None,
        Field(ge=1, le=31_536_000_000, description="That a reader may be behind; half of the retention unless given"),
    ] = None

    def age_ms(self, retention_hours: int) -> int:
        """The iterator age that is too much: half of the retention is a risk to lose records unread."""
        return self.iterator_age_ms or retention_hours * 1_800_000


class StreamSpec(Model):
    """A stream as asked for."""

    name: StreamName
    mode: Mode = "PROVISIONED"
    shard_count: Annotated[ShardCount | None, Field(validate_default=True)] = None
    retention_hours: RetentionHours = DEFAULT_RETENTION_HOURS
    encryption: Encryption = Encryption()
    tags: Annotated[dict[TagKey, TagValue], Field(max_length=MAX_TAGS)] = {}
    expires_in: Annotated[
        int, Field(ge=60, le=2_592_000, description="Seconds until the stream may be swept, 1 minute to 30 days")
    ] = 3600
    slo: Annotated[StreamSlo | None, Field(description="What its alarms are held against; null for no alarms")] = (
        StreamSlo()
    )

    @field_validator("shard_count")
    @classmethod
    def _count_goes_with_provisioned(cls, count: int | None, info: ValidationInfo) -> int | None:
        return count_fits_mode(count, info.data.get("mode"), required=True)


def count_fits_mode(count: int | None, mode: Mode | None, *, required: bool) -> int | None:
    """The shard count itself; ValueError where the mode takes none, or needs one that is missing."""
    if mode == "ON_DEMAND" and count is not None:
        raise ValueError("an ON_DEMAND stream takes no shard_count: Kinesis scales it")
    if mode == "PROVISIONED" and count is None and required:
        raise ValueError("a PROVISIONED stream needs a shard_count of at least 1")
    return count


class StreamPatch(Model):
    """What a stream shall become; what is left out stays. The same patch sent again goes on where it stopped."""

    retention_hours: RetentionHours | None = None
    mode: Mode | None = None
    shard_count: ShardCount | None = None
    shard_level_metrics: Annotated[
        tuple[ShardMetric, ...] | None,
        Field(max_length=7, description="Exactly these are to be on (billed by CloudWatch); [] turns all off"),
    ] = None
    encryption: Encryption | None = None

    @field_validator("shard_count")
    @classmethod
    def _count_goes_with_provisioned(cls, count: int | None, info: ValidationInfo) -> int | None:
        return count_fits_mode(count, info.data.get("mode"), required=False)

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("give at least one of retention_hours, mode, shard_count, shard_level_metrics, encryption")
        return self


class Pending(Model):
    """Settings that an ACTIVE stream still has to get, because CreateStream can't take them."""

    retention_hours: int | None = None
    key_id: str | None = None


class Stream(Model):
    """A stream as Kinesis and its tags describe it at this moment."""

    name: str
    arn: str
    account_id: str
    region: str
    status: Status
    mode: Mode
    open_shard_count: int | None = Field(description="None where Kinesis has not told it yet")
    retention_hours: int
    encryption: Encryption
    shard_level_metrics: tuple[str, ...] = ()
    consumer_count: int | None = None
    max_record_bytes: int = Field(default=1_048_576, description="Largest record, partition key included")
    created_at: datetime | None
    tags: dict[str, str] = Field(description="All tags, Weir's own included")
    managed: bool = Field(description="Made by Weir; only then may Weir write to it, change it or delete it")
    run_id: str | None
    owner: str | None
    expires_at: datetime | None
    pending: Pending | None = None


class StreamListItem(Model):
    """A stream in a list: what ListStreams and the tags tell without a call for each."""

    name: str
    arn: str
    status: Status
    mode: Mode
    created_at: datetime | None
    managed: bool
    run_id: str | None
    owner: str | None
    expires_at: datetime | None


class Shard(Model):
    """A shard: its range of hash keys and its life."""

    shard_id: str
    parent_shard_id: str | None = None
    adjacent_parent_shard_id: str | None = Field(default=None, description="The second parent, after a merge")
    starting_hash_key: str
    ending_hash_key: str
    starting_sequence_number: str
    ending_sequence_number: str | None = Field(default=None, description="None while the shard is open")
    open: bool


class Limits(Model):
    """The account's Kinesis quotas in this region, and how much of them is used."""

    account_id: str
    account_source: Literal["sts", "fallback"] = Field(
        description="fallback: STS did not answer, the id was read from the function's own ARN"
    )
    region: str
    shard_limit: int
    open_shard_count: int
    on_demand_stream_limit: int | None
    on_demand_stream_count: int | None


def _utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("half a surrogate pair is no Unicode text") from error
    return text


def _hash_key(text: str) -> str:
    if int(text) >= HASH_KEYS:
        raise ValueError("an explicit hash key is a decimal number below 2**128")
    return text


class RecordIn(Model):
    """A record to write. ``encoding`` says what ``data`` is; nothing is guessed from how it looks."""

    encoding: Encoding
    data: Annotated[str, AfterValidator(_utf8)]
    partition_key: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_utf8)]
    explicit_hash_key: Annotated[
        str | None, Field(pattern=r"^(0|[1-9][0-9]{0,38})$"), AfterValidator(lambda v: v and _hash_key(v))
    ] = None

    @field_validator("data")
    @classmethod
    def _decodes(cls, data: str, info: ValidationInfo) -> str:
        if info.data.get("encoding") == "base64":
            try:
                base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ValueError("not valid base64 (standard alphabet, with padding)") from error
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size > MAX_RECORD_BYTES:
            raise wrong("data", "a record, its partition key included, is at most 10,240 KiB")
        return self

    def payload(self) -> bytes:
        """The bytes to write."""
        return base64.b64decode(self.data) if self.encoding == "base64" else self.data.encode()

    @property
    def size(self) -> int:
        """Bytes that Kinesis counts: data and partition key."""
        return len(self.payload()) + len(self.partition_key.encode())


class PutRequest(Model):
    """Records to write, in the caller's order."""

    # minItems by hand: pydantic's own check of a tuple also complains of emptiness when its only record is wrong.
    records: Annotated[tuple[RecordIn, ...], Field(max_length=500, json_schema_extra={"minItems": 1})]
    ordered: bool = Field(
        default=False, description="Keep the order per partition key: at most one record of a key in flight"
    )

    @field_validator("records")
    @classmethod
    def _fit_together(cls, records: tuple[RecordIn, ...]) -> tuple[RecordIn, ...]:
        if not records:
            raise ValueError("at least one record is needed")
        if sum(record.size for record in records) > MAX_REQUEST_BYTES:
            raise ValueError("a request is at most 10 MiB, partition keys included")
        return records


class RecordOutcome(Model):
    """What became of one record of a PutRequest."""

    index: int = Field(description="Position in the request, from 0")
    status: Literal["accepted", "failed"]
    shard_id: str | None = None
    sequence_number: str | None = None
    attempts: int = Field(description="Times it was sent; above 1 a lost answer may have left a duplicate")
    error: str | None = Field(default=None, description="Kinesis' code, or Weir's reason for not sending it")


class PutAnswer(Model):
    """The outcome of every record, in the order of the request."""

    accepted: int
    failed: int
    retried: int = Field(description="Times a record was sent again")
    outcomes: tuple[RecordOutcome, ...]


class RecordOut(Model):
    """A record as read."""

    sequence_number: str
    partition_key: str
    data: str | None = Field(description="None where the record is too large for an HTTP answer; see size_bytes")
    encoding: Encoding | None = Field(description="What data is: text (UTF-8) or base64")
    size_bytes: int = Field(description="Size of the data, decoded, in bytes")
    arrived_at: datetime = Field(description="When Kinesis took it; approximate")
    shard_id: str


class RecordPage(Model):
    """Records from one shard. Read on with ``cursor`` until it is null, which only a closed shard answers."""

    items: tuple[RecordOut, ...]
    cursor: str | None
    millis_behind_latest: int | None = Field(description="Milliseconds that this read is behind the shard's tip")
    closed: bool = Field(description="The shard was split or merged and is read to its end; go on with the children")
    child_shard_ids: tuple[str, ...] = ()


class StreamList(Model):
    """A page of streams, by name. A page may be shorter than asked; only ``cursor`` null means the end."""

    items: tuple[StreamListItem, ...]
    cursor: str | None


class ShardList(Model):
    """A page of shards, open and closed, by id; ``cursor`` null means the end."""

    items: tuple[Shard, ...]
    cursor: str | None


class Deleting(Model):
    """The deletion has begun; the stream is gone once GET answers 404."""

    name: str
    status: Literal["DELETING"] = "DELETING"


class Step(Model):
    """One change that Kinesis makes in one call."""

    setting: Literal["mode", "encryption", "retention_hours", "shard_level_metrics", "shard_count"]
    target: Any = Field(description="The value after this step")


class PatchAnswer(Model):
    """The step that was begun and those that remain; send the same patch again once the stream is ACTIVE."""

    begun: Step | None
    remaining: tuple[Step, ...]
    stream: Stream
