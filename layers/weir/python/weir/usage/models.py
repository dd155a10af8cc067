"""What a call costs, who is charged for it, and what holds it back. Money is in pico-dollars (10^-12 US dollars)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SubjectKind = Literal["user", "key", "group", "everyone"]
Window = Literal["hour", "day", "month"]
Measure = Literal["requests", "tokens", "cost"]
Mode = Literal["strict", "clamp", "expected"]

EVERYONE = "everyone"
"""The id of the subject that all calls are charged to."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is charged: a user by their id, a key by its id, a group by its name, or everyone."""

    kind: SubjectKind
    id: str


@dataclass(frozen=True, slots=True)
class Amount:
    """What is counted against caps: requests, tokens, and pico-dollars."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Cap:
    """At most ``limit`` of ``measure`` in each ``window`` (UTC, half-open; months are calendar months).

    ``mode`` tells what is set aside before a call: ``strict`` all that it can use; ``clamp`` likewise, but its
    ``max_tokens`` is lowered to what is affordable; ``expected`` what it is likely to use, so that it may pass the
    limit by what the calls under way use beyond that. A cap that is not ``enforced``, or whose grace has not ended
    (``enforced_from``), counts and alarms, and refuses nothing. ``shards`` splits a subject that is hotter than a
    partition of DynamoDB, each shard holding its part of the limit.
    """

    cap_id: str
    subject: Subject
    window: Window
    measure: Measure
    limit: int
    mode: Mode = "strict"
    enforced: bool = True
    enforced_from: datetime | None = None
    shards: int = 1
    default: bool = False
    created_by: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Rates:
    """What a million tokens cost, in pico-dollars; None where no such tokens are sold."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What a model of a provider costs from ``since`` on, until the next one of the same key.

    ``provider`` is the name of a provider or the kind of one, ``region`` empty for any, ``tier`` ``standard``,
    ``batch``, or one that costs more (`weir.llm.tiers`). ``long`` holds for the whole of a call whose input passes
    ``long_above`` tokens.
    """

    price_id: str
    provider: str
    model: str
    since: datetime
    rates: Rates
    region: str = ""
    tier: str = "standard"
    long: Rates | None = None
    long_above: int = 200_000
    source: str = "api"
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a target: the HTTP status that it answered (0 where it did not), and why it was given up."""

    provider: str
    model: str
    status: int
    error: str = ""
    milliseconds: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call: as verified by the gate."""

    user: str
    username: str
    key: str = ""
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """One call, after it: written once, under its own admission time, however late it ends.

    ``status`` is the HTTP status that the caller got (499 where they had left before one). ``cost`` None is not known:
    the tokens went to a model without a price. ``record_id`` is Weir's own: request ids may come from callers, twice.
    """

    request_id: str
    admitted_at: datetime
    ended_at: datetime
    caller: Caller
    dialect: str
    model: str
    provider: str
    target: str
    status: int
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    estimated: bool
    cost: int | None
    milliseconds: int
    first_token_milliseconds: int | None = None
    stream: bool = False
    cut: bool = False
    error: str = ""
    attempts: tuple[Attempt, ...] = ()
    price_id: str = ""
    record_id: str = ""
