"""The run: what is asked (RunSpec), what is planned (RunPlan), and how it stands (Run).

A RunSpec is at once the body of ``POST /runs`` and the input of the state machine, so that a person can start a run
with ``aws stepfunctions start-execution`` too. Nothing in it says who asks: that comes from the verified caller.
"""

import json
import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from weir.runs.envelope import HEADER_BYTES
from weir.runs.shapes import NAMES_OF_NOBODY
from weir.runtime.fields import UNTAGGED, wrong
from weir.streams.models import Mode

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MAX_INLINE_BYTES = 200_000
"""Of the lines as JSON text, escapes included: they travel in the state machine's input, of 256 KiB at most."""

NEVER_STARTED = "NEVER_STARTED"
"""Error of the failure of a run that was stored, and whose execution there is not."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StreamAsk(_Frozen):
    """The stream to prove."""

    mode: Mode = "PROVISIONED"
    shards: int | None = Field(default=None, ge=1, le=10_000, description="PROVISIONED only; 1 when left out")

    @model_validator(mode="after")
    def _shards_fit_the_mode(self) -> Self:
        if self.mode == "ON_DEMAND" and self.shards is not None:
            raise wrong("shards", "an ON_DEMAND stream chooses its shards itself: leave shards out")
        return self

    @property
    def shard_count(self) -> int:
        """Shards that can be counted on from the first record: as asked, or the 4 an on-demand stream starts with."""
        return 4 if self.mode == "ON_DEMAND" else self.shards or 1


class Burst(_Frozen):
    """Every ``every_seconds``, for ``length_seconds``, the rate is ``factor`` times itself."""

    every_seconds: float = Field(ge=0.1, le=3600)
    length_seconds: float = Field(gt=0, le=3600)
    factor: float = Field(gt=1, le=100)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.length_seconds > self.every_seconds:
            raise wrong("length_seconds", "a burst can't be longer than the time from one to the next")
        return self


class Keys(_Frozen):
    """Partition keys of generated records: how many, and how the records spread over them."""

    count: int = Field(default=100, ge=1, le=1_000_000)
    distribution: Literal["uniform", "zipf", "single"] = "uniform"
    exponent: float = Field(default=1.1, gt=0, le=4, description="zipf only: the larger, the hotter the first keys")


class InlineSource(_Frozen):
    """Lines given with the run itself; one record each."""

    type: Literal["inline"]
    lines: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1, max_length=10_000)
    key_field: str | None = Field(default=None, description="JSON field whose value is the partition key")

    @model_validator(mode="after")
    def _small(self) -> Self:
        if len(json.dumps(self.lines)) > MAX_INLINE_BYTES:
            told = f"inline lines pass {MAX_INLINE_BYTES} bytes of JSON: upload them (POST /runs/sources)"
            raise wrong("lines", told)
        return self


class S3Source(_Frozen):
    """A file of lines in Weir's own bucket, as uploaded through ``POST /runs/sources``; one record each."""

    type: Literal["s3"]
    key: str = Field(pattern=r"^sources/[A-Za-z0-9_.-]{1,128}$", description="as POST /runs/sources answered")
    key_field: str | None = Field(default=None, description="JSON field whose value is the partition key")


class Load(_Frozen):
    """What is inserted, and how fast."""

    records: int | None = Field(default=None, ge=1, le=10**12, description="how many to generate; or give a source")
    source: Annotated[InlineSource | S3Source, Field(discriminator="type"), UNTAGGED] | None = None
    bytes: int = Field(
        default=256,
        ge=HEADER_BYTES,
        le=1_000_000,
        description=f"data of one generated record, its {HEADER_BYTES}-byte header included",
    )
    rate: float | None = Field(
        default=None, ge=0.001, le=10**7, description="records per second; as fast as possible if left out"
    )
    burst: Burst | None = None
    keys: Keys = Keys()
    aggregated: bool = Field(default=False, description="pack records in the KPL's aggregation format")
    workers: int | None = Field(default=None, ge=1, le=1_000, description="writers side by side; planned if left out")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.records is None) == (self.source is None):
            raise ValueError("give either records (to generate) or source (lines of your own), not both or neither")
        if self.burst is not None and self.rate is None:
            raise wrong("rate", "a burst multiplies a rate: give rate too")
        return self


class Slo(_Frozen):
    """What must hold for the verdict PASSED."""

    p99_latency_ms: float | None = Field(default=None, gt=0, description="from produced to read back")
    min_records_per_second: float | None = Field(default=None, gt=0)
    max_lost: int = Field(default=0, ge=0)
    max_duplicates: int | None = Field(default=None, ge=0, description="left out: duplicates are counted, never failed")
    ordered: bool = Field(default=False, description="keep and check the order of every partition key")


Analysis = Literal["run", "cloudwatch"]


class RunSpec(_Frozen):
    """A run: the stream, the load, what must hold, and the limits."""

    stream: StreamAsk = StreamAsk()
    load: Load
    slo: Slo = Slo()
    analyses: frozenset[Analysis] = Field(
        default=frozenset({"run", "cloudwatch"}),
        description="run: from the run's own measurements; cloudwatch: also AWS/Kinesis, waiting until it is complete",
    )
    expires_in: int = Field(
        default=3600, ge=300, le=86_400, description="seconds until the sweeper may take the stream"
    )
    max_cost: Decimal = Field(
        default=Decimal("1.00"), gt=0, le=10_000, description="US dollars; a run estimated above is refused"
    )
    keep: bool = Field(default=False, description="leave the stream until it expires")


class RunPlan(_Frozen):
    """What a spec comes to. Everything here grows with workers and shards, never with records."""

    records: int | None = Field(description="None: known only when the source's lines have been read")
    source_bytes: int | None
    bytes_total: int
    rate: float = Field(description="records per second that the stream or the spec allows")
    seconds: float = Field(description="time that inserting is expected to take")
    workers: int
    readers: int
    state_transitions: int
    largest_state_payload_bytes: int
    cost_usd: str
    cost_lines: tuple[dict[str, str], ...]
    warnings: tuple[str, ...] = ()


class Status(StrEnum):
    """Where a run stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CLOSED = "CLOSED"


class Verdict(StrEnum):
    """What a closed run came to."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    DEGRADED = "DEGRADED"
    ABORTED = "ABORTED"


class Step(_Frozen):
    """One step of a run, as far as it has come."""

    name: str
    status: Literal["RUNNING", "DONE", "FAILED"]
    started_at: datetime
    ended_at: datetime | None = None
    detail: str | None = None


class Failure(_Frozen):
    """The step that broke a run, and why."""

    step: str
    error: str
    cause: str


class Progress(_Frozen):
    """Counts so far, over all workers and readers."""

    planned: int | None
    accepted: int = 0
    rejected: int = 0
    retried: int = 0
    throttled: int = 0
    seen: int = 0
    workers_done: int = 0
    readers_done: int = 0


StartedBy = Literal["user", "execution", "anonymous"]


class Run(_Frozen):
    """A run as stored and as answered by ``GET /runs/{id}``."""

    run_id: str
    owner: str | None = Field(description="A user's id; null where it is no user's: admins alone see it")
    started_by: StartedBy = Field(
        default="user", description="execution: on the state machine itself; anonymous: before there were users"
    )
    status: Status
    created_at: datetime
    ended_at: datetime | None = None
    expires_at: datetime
    stream_name: str
    spec: RunSpec
    plan: RunPlan | None = None
    steps: tuple[Step, ...] = ()
    failure: Failure | None = None
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    resources_left: int | None = None
    cost_usd: str | None = None
    progress: Progress | None = None
    execution_arn: str | None = None
    source_version: str | None = Field(
        default=None, exclude=True, description="Of the S3 object that was planned with; None: the latest is read"
    )
    stream_seen: bool = Field(default=False, exclude=True, description="Kinesis has shown the stream")
    published: bool = Field(default=False, exclude=True, description="The metrics of its close are published")

    @property
    def owner_tag(self) -> str:
        """What the tag ``weir:owner`` of its stream says."""
        return self.owner or NAMES_OF_NOBODY[self.started_by]


class RunSummary(_Frozen):
    """A run in a list."""

    run_id: str
    owner: str | None
    status: Status
    created_at: datetime
    ended_at: datetime | None = None
    stream_name: str
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()


def spec_json(spec: RunSpec) -> dict[str, Any]:
    """The spec as plain JSON values, in the form that the state machine takes as its input."""
    document: dict[str, Any] = spec.model_dump(mode="json", exclude_none=True)
    document["analyses"] = sorted(spec.analyses)
    return document
