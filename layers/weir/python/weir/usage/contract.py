"""What the routes of usage take and answer. Money is told in US dollars, as decimal strings."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from weir.runtime.errors import FieldError, Invalid
from weir.runtime.fields import wrong
from weir.usage import money
from weir.usage.caps import figure
from weir.usage.models import EVERYONE, Cap, Measure, Mode, Record, Subject, SubjectKind, Window
from weir.usage.money import usd
from weir.usage.summaries import By, Totals
from weir.usage.windows import Period

SUBJECT_ID = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$"
CAP_ID = r"^[A-Za-z0-9_-]{1,200}$"
BY = r"^(model|user|key|group)(,(model|user|key|group)){0,3}$"
MOST = 10**15
MOST_SHARDS = 64
SPLIT = frozenset({"group", "everyone"})
"""Whose counters may be split: those of users and keys are counted before they have a cap."""

DEFAULT_SPAN: Mapping[Period, timedelta] = {
    "hour": timedelta(days=1),
    "day": timedelta(days=30),
    "week": timedelta(weeks=12),
    "month": timedelta(days=365),
}
"""What is told where nobody says from when."""

MOST_PERIODS = 800
"""That a request may ask for: a month of hours."""


def _in_utc(moment: datetime) -> datetime:
    """In UTC and whole milliseconds, as it is read back. Its period, and a year beside it, are times, too."""
    if not 2000 <= moment.year < 9000:
        raise ValueError("must be within the years 2000 to 8999")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Whole = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Dollars = Annotated[str, Field(pattern=money.PATTERN, max_length=22, examples=["10.00"])]
Limit = Annotated[Whole | Dollars, Field(description="Whole requests or tokens; of cost, dollars as a decimal string")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class SubjectBody(_Body):
    """Who is held: a user or a key by id, a group by name, or everyone together."""

    kind: SubjectKind
    id: Annotated[str, Field(pattern=SUBJECT_ID)] = EVERYONE

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.kind == EVERYONE) != (self.id == EVERYONE):
            raise wrong(
                "id", f"must name the {self.kind}" if self.kind != EVERYONE else "must be left out for everyone"
            )
        return self


class CapChange(_Body):
    """What may change of a cap. For another subject, window or measure add another."""

    limit: Limit
    mode: Mode = Field(
        default="strict",
        description="strict sets aside all that a call can use; clamp lowers its max_tokens to what is affordable; "
        "expected sets aside what is likely, and may be passed by what the calls under way use beyond that",
    )
    enforced: bool = Field(default=True, description="false counts and tells, and refuses nothing")
    enforced_from: Moment | None = Field(default=None, description="Until then it refuses nothing: a grace")


class NewCap(CapChange):
    """A cap to be set."""

    subject: SubjectBody
    window: Window = Field(description="UTC; months are calendar months")
    measure: Measure
    shards: Annotated[int, Field(strict=True, ge=1, le=MOST_SHARDS)] = Field(
        default=1, description="Splits the counter of a group or of everyone, for above 400 requests a second"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.shards > 1 and self.subject.kind not in SPLIT:
            raise wrong("shards", "must be 1 for users and keys")
        try:
            limit_in(self.measure, self.limit)
        except Invalid as error:
            raise wrong("limit", error.errors[0].message) from None
        return self


class CapView(_View):
    """A cap."""

    cap_id: str
    subject: SubjectBody
    window: Window
    measure: Measure
    limit: int | str = Field(description="Of cost, dollars as a decimal string")
    mode: Mode
    enforced: bool
    enforced_from: datetime | None
    shards: int
    default: bool = Field(description="The stack's default, which no admin has set")
    created_by: str
    created_at: datetime | None
    updated_at: datetime | None


class CapPage(_View):
    """Caps by subject, window and measure."""

    items: tuple[CapView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


class CapStatus(CapView):
    """How far a cap is used up. ``usage`` holds what is set aside for calls under way, which ``reserved`` tells."""

    usage: int | str
    reserved: int | str
    percentage: str | None = Field(description="Of the limit; null where that is 0")
    resets_at: datetime
    exceeded: bool
    enforced_now: bool


class CapStatuses(_View):
    """The caps that hold for somebody, the narrowest first."""

    items: tuple[CapStatus, ...]


class AttemptView(_View):
    """One try at a target."""

    provider: str
    model: str
    status: int = Field(description="0 where it did not answer")
    error: str
    milliseconds: int


class RecordView(_View):
    """One call."""

    record_id: str
    request_id: str
    admitted_at: datetime
    ended_at: datetime
    user: str
    username: str
    key: str = Field(description="Id of the API key; empty for a token")
    groups: tuple[str, ...]
    dialect: str
    model: str = Field(description="As it was asked for")
    provider: str
    target: str = Field(description="The provider's own id of the model that answered")
    status: int = Field(description="What the caller got; 499 where they had left before")
    input: int = Field(description="Tokens, without those of caches")
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    estimated: bool = Field(description="The provider did not tell to the end what was used")
    cost: str | None = Field(description="Dollars; null where the model has no price")
    price_id: str
    milliseconds: int
    first_token_milliseconds: int | None
    stream: bool
    cut: bool = Field(description="The stream ended before its time")
    error: str
    attempts: tuple[AttemptView, ...]


class RecordPage(_View):
    """Calls, the newest day first."""

    items: tuple[RecordView, ...]
    cursor: str | None = Field(description="Where the next page begins, even after a short one; null on the last")


class SummaryView(_View):
    """Sums over the calls that were admitted in a period. What they are not summed up by is null."""

    period: Period
    begins_at: datetime
    ends_at: datetime
    complete: bool = Field(description="The period is over; what comes late still counts in it")
    model: str | None = None
    user: str | None = None
    key: str | None = None
    group: str | None = Field(default=None, description="A call counts in each group of its caller's; empty for none")
    requests: int
    errors: int
    tokens: int
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    cost: str = Field(description="Dollars, without the calls that are unpriced")
    unpriced: int = Field(description="Calls whose model has no price")
    estimated: int = Field(description="Calls of which the provider did not tell to the end what they used")
    cut: int
    milliseconds: int = Field(description="Of all calls together")


class SummaryPage(_View):
    """Sums, the oldest period first."""

    items: tuple[SummaryView, ...]
    cursor: str | None = Field(description="Where the next page begins; null on the last")


def limit_in(measure: Measure, limit: int | str) -> int:
    """A limit in its measure's units, cost in pico-dollars. Invalid where it is told as one of another measure."""
    if measure == "cost":
        if isinstance(limit, str):
            return money.pico(limit)
        told = "must be dollars as a decimal string, such as 10.00"
    elif isinstance(limit, int):
        return limit
    else:
        told = f"must be whole {measure}, and no text"
    raise Invalid(f"The request can't be accepted: limit: {told}", errors=[FieldError("limit", told)])


def subject(kind: SubjectKind | None, known_as: str | None) -> Subject:
    """A subject that is asked for. Invalid where it is none: everyone has no id, and the others have one."""
    field, told = "", ""
    if kind is None:
        field, told = "kind", "must be told with id"
    elif (kind == EVERYONE) != (known_as in {None, EVERYONE}):
        field, told = "id", f"must name the {kind}" if kind != EVERYONE else "must be left out for everyone"
    if kind is None or told:
        raise Invalid(f"The request can't be accepted: {field}: {told}", errors=[FieldError(field, told)])
    return Subject(kind, known_as or EVERYONE)


def new_cap(asked: NewCap, by: str) -> Cap:
    """A cap as the rules take it."""
    return Cap(
        cap_id="",
        subject=Subject(asked.subject.kind, asked.subject.id),
        window=asked.window,
        measure=asked.measure,
        limit=limit_in(asked.measure, asked.limit),
        mode=asked.mode,
        enforced=asked.enforced,
        enforced_from=asked.enforced_from,
        shards=asked.shards,
        created_by=by,
    )


def cap_view(cap: Cap) -> CapView:
    """A cap as answered."""
    return CapView(**_cap(cap))


def status_view(cap: Cap, told: Mapping[str, Any]) -> CapStatus:
    """A cap as answered, with what ``caps.status`` tells of it."""
    figures = {name: figure(cap.measure, told[name]) for name in ("usage", "reserved")}
    return CapStatus(**{**_cap(cap), **told, **figures})


def _cap(cap: Cap) -> dict[str, Any]:
    subject = SubjectBody(kind=cap.subject.kind, id=cap.subject.id)
    own = {name: getattr(cap, name) for name in CapView.model_fields if name not in {"subject", "limit"}}
    return {**own, "subject": subject, "limit": figure(cap.measure, cap.limit)}


def record_view(record: Record) -> RecordView:
    """A call as answered."""
    caller = record.caller
    of_caller: dict[str, Any] = {
        "user": caller.user,
        "username": caller.username,
        "key": caller.key,
        "groups": caller.groups,
    }
    views: dict[str, Any] = {
        "attempts": tuple(AttemptView.model_validate(one, from_attributes=True) for one in record.attempts)
    }
    views |= {"cost": None if record.cost is None else usd(record.cost)}
    own = {name: getattr(record, name) for name in RecordView.model_fields if name not in {*of_caller, *views}}
    return RecordView(**own, **of_caller, **views)


def summary_view(
    period: Period, begins_at: datetime, ends_at: datetime, by: Mapping[By, str], totals: Totals, now: datetime
) -> SummaryView:
    """Sums as answered."""
    named: dict[str, Any] = {str(name): value for name, value in by.items()}
    sums: dict[str, Any] = {name: getattr(totals, name) for name in Totals.__dataclass_fields__ if name != "cost"}
    tokens = totals.input + totals.output + totals.cache_read + totals.cache_write_5m + totals.cache_write_1h
    return SummaryView(
        period=period,
        begins_at=begins_at,
        ends_at=ends_at,
        complete=ends_at <= now,
        tokens=tokens,
        cost=usd(totals.cost),
        **named,
        **sums,
    )
