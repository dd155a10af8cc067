"""What the routes of analyses, and the state machine, take and answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from weir.analysis.analyses.models import Analysis
from weir.runtime.clock import rfc3339
from weir.runtime.fields import UNTAGGED, wrong
from weir.streams.models import StreamName

__all__ = ["WORKFLOW_NAMES", "AnalysisSpec", "AnalysisView", "Asked", "ScheduledSpec", "TagFilter", "view"]

Workflow = Literal[
    "performance",
    "cost",
    "patterns",
    "unused",
    "classification",
    "scaling",
    "five-why",
    "anomalies",
    "regression",
]
WORKFLOW_NAMES: tuple[Workflow, ...] = (
    *("performance", "cost", "patterns", "unused", "classification", "scaling", "five-why", "anomalies", "regression"),
)
"""As of ``weir.analysis.workflows.registry``, which need not be loaded to check a request."""

MOST_STREAMS = 500
MOST_TAGS = 10
MOST_RUNS = 20
LAST = r"^[1-9][0-9]{0,3}[hd]$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TagFilter(_Frozen):
    """All streams of the account and region that carry these tags, Weir's or not."""

    tags: Annotated[
        dict[
            Annotated[str, Field(min_length=1, max_length=128)],
            Annotated[str, Field(max_length=256)],
        ],
        Field(min_length=1, max_length=MOST_TAGS),
    ]


Names = Annotated[tuple[StreamName, ...], Field(min_length=1, max_length=MOST_STREAMS)]


RunId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _names_or_tags(value: Any) -> str:
    return "names" if isinstance(value, list | tuple) else "tags"


class Asked(_Frozen):
    """From ``from`` (inclusive) to ``to`` (exclusive), by ``period`` seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: Annotated[datetime, Field(alias="from", description="RFC 3339, with an offset")]
    end: Annotated[datetime, Field(alias="to")]
    period: Annotated[
        int | None, Field(ge=60, le=86_400, description="Seconds; one that fits the range, unless given")
    ] = None

    @field_validator("start", "end")
    @classmethod
    def _has_an_offset(cls, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            raise ValueError("needs an offset, such as Z")
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("is before the first year, or after the last") from None

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if self.end <= self.start:
            raise wrong("to", "must be later than from")
        return self


class AnalysisSpec(_Frozen):
    """What to analyze: streams by name or by their tags, and those of runs, over a range, by workflows."""

    streams: (
        Annotated[
            Annotated[Names, Tag("names")] | Annotated[TagFilter, Tag("tags")],
            Field(discriminator=Discriminator(_names_or_tags), description="Names, or `{tags: {key: value}}`"),
            UNTAGGED,
        ]
        | None
    ) = None
    runs: Annotated[
        tuple[RunId, ...] | None,
        Field(
            min_length=1,
            max_length=MOST_RUNS,
            description="Ids of closed runs: their streams are analyzed too, with what the runs measured",
        ),
    ] = None
    workflows: Annotated[
        tuple[Workflow, ...] | None,
        Field(min_length=1, max_length=20, description="All unless given; regression where there is a baseline"),
    ] = None
    range: Asked | None = None
    last: Annotated[
        str | None,
        Field(pattern=LAST, description="In the place of range: 24h or 7d, say; 24h where both are left out"),
    ] = None
    compare_with: Annotated[
        str | None, Field(min_length=1, max_length=80, description="Id of an earlier analysis, as the baseline")
    ] = None
    headroom: Annotated[
        float, Field(ge=0, le=10, description="Share of the demand that shards are to have to spare")
    ] = 0.25

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        if self.range is not None and self.last is not None:
            raise wrong("last", "give either range or last")
        return self

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.streams is None and self.runs is None:
            raise wrong("streams", "give streams, runs or both")
        return self

    @property
    def most_streams(self) -> int:
        """How many streams it may come to, as far as it tells: of a tag, one."""
        named = 1 if isinstance(self.streams, TagFilter) else len(set(self.streams or ()))
        return named + len(set(self.runs or ()))


class ScheduledSpec(AnalysisSpec):
    """What the state machine takes where nobody asked over HTTP. ``schedule`` names the analyses to compare with."""

    schedule: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] = None


class FailureView(_Frozen):
    """What broke an analysis."""

    step: str
    error: str
    cause: str


class AnalysisView(_Frozen):
    """An analysis as it stands."""

    analysis_id: str
    status: Literal["RUNNING", "DONE", "FAILED"]
    step: str = Field(description="Queued, Collect, Analyze, Tell, Close")
    owner: str | None = Field(description="User id; null where it was started by a schedule or on the state machine")
    schedule: str | None
    created_at: datetime
    ended_at: datetime | None
    expires_at: datetime = Field(description="When it is no longer kept")
    range: dict[str, Any] | None = Field(description="from, to, period; null until it is known")
    streams: int | None = Field(description="How many; null until they are known")
    analyzed: int
    compared_with: str | None
    complete: bool | None = Field(description="False where something that was asked for could not be read")
    partial: tuple[str, ...] = Field(description="What could not be read")
    findings: dict[str, int] = Field(description="How many, by severity")
    worse: int | None = Field(description="Findings that got worse since the baseline; null without one")
    calls: dict[str, int] = Field(description="AWS calls by operation, and the queries of GetMetricData")
    failure: FailureView | None
    spec: dict[str, Any]


def view(analysis: Analysis) -> AnalysisView:
    """An analysis as it is answered."""
    failure = analysis.failure
    return AnalysisView(
        analysis_id=analysis.analysis_id,
        status=analysis.status.value,
        step=analysis.step,
        owner=analysis.owner,
        schedule=analysis.schedule,
        created_at=analysis.created_at,
        ended_at=analysis.ended_at,
        expires_at=analysis.expires_at,
        range=None if analysis.range is None else dict(analysis.range),
        streams=analysis.streams,
        analyzed=analysis.analyzed,
        compared_with=analysis.compared_with,
        complete=analysis.complete,
        partial=analysis.partial,
        findings=dict(analysis.findings),
        worse=analysis.worse,
        calls=dict(analysis.calls),
        failure=None if failure is None else FailureView(**failure.to_dict()),
        spec=dict(analysis.spec),
    )


def spec_json(spec: AnalysisSpec) -> dict[str, Any]:
    """A spec as JSON, the same for the same wish."""
    told = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    if spec.range is not None:
        told["range"] |= {"from": rfc3339(spec.range.start), "to": rfc3339(spec.range.end)}
    return told
