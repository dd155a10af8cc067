"""A meter on a table in memory, with its clock, and calls to meter, for the tests of metering."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.unit.identity.accounts import NOON, Time
from tests.unit.usage.fake_dynamodb import FakeDynamoDB
from weir.llm.models import Bound, Tokens
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Item, Table, plain
from weir.usage.cap_store import CapStore, KnownCaps
from weir.usage.caps import defaults_of
from weir.usage.counter_table import TableCounters
from weir.usage.counters import Count, Counters, Place
from weir.usage.items import record_of
from weir.usage.metering import Admission, Call, Meter, Outcome, Served
from weir.usage.models import Caller, Cap, Measure, Mode, Price, Rates, Record, Subject, Window
from weir.usage.prices import Prices
from weir.usage.records import Recorder

__all__ = ["NOON", "Time"]

PICO = 10**12
RATES = Rates(input=3 * PICO, output=15 * PICO, cache_read=3 * PICO // 10, cache_write_5m=15 * PICO // 4)
PRICE = Price("p1", "anthropic", "claude", NOON - timedelta(days=90), RATES)
CLAUDE = Served("anthropic", "anthropic", "", "claude")
GPT = Served("openai", "openai", "", "gpt")
ANN = Caller("ann", "Ann")
EVERYBODY = Subject("everyone", "everyone")
BOUND = Bound(input=100, output=50, likely_input=25, likely_output=20, cache_write="")
KEPT = timedelta(days=400)


class World:
    """A table, and a meter on it that many threads may use."""

    def __init__(
        self,
        *caps: Cap,
        client: Any = None,
        defaults: str = "",
        prices: tuple[Price, ...] = (PRICE,),
        counters: Counters | None = None,
        clock: Clock | None = None,
        table: str = "usage",
    ) -> None:
        self.client = client or FakeDynamoDB()
        self.time = Time()
        self.clock = clock or self.time.clock
        self.name, self.table = table, Table(self.client, table, self.clock)
        self.counters: Counters = counters or TableCounters(self.table)
        self.store = CapStore(self.table, self.clock)
        self.recorder = Recorder(self.table, self.clock, KEPT)
        self.prices = list(prices)
        self.defaults = defaults_of(defaults)
        for cap in caps:
            self.store.add(cap)
        self.meter = self.another()

    def another(self, kept_seconds: float = 30.0) -> Meter:
        """The meter of another process."""
        known = KnownCaps(self.store, self.defaults, kept_seconds, self.clock)
        found = Prices(self._prices, self.clock.monotonic, kept_seconds)
        return Meter(self.counters, known, found, Recorder(self.table, self.clock, KEPT), self.clock)

    def call(self, caller: Caller = ANN, bound: Bound = BOUND, **fields: Any) -> Call:
        """A call to claude that its process has a minute for."""
        made = Call("r-1", caller, "claude", "anthropic", bound, self.clock.now() + timedelta(seconds=60), (CLAUDE,))
        return replace(made, **fields)

    def admit(self, caller: Caller = ANN, bound: Bound = BOUND, **fields: Any) -> Admission:
        """Such a call, admitted."""
        return self.meter.admit(self.call(caller, bound, **fields))

    def settle(self, admission: Admission, input: int = 100, output: int = 50, **fields: Any) -> Record:  # noqa: A002
        """Settle it, with what it used."""
        return self.meter.settle(admission, Outcome(200, Tokens(input, output), **fields))

    def count(self, subject: Subject = Subject("user", "ann"), shard: int = 0) -> Count:  # noqa: B008
        """A counter as it is."""
        return self.counters.read([Place(subject, shard)])[0]

    def used(self, measure: Measure, subject: Subject = Subject("user", "ann"), bucket: str = "d20261121") -> int:  # noqa: B008
        """What a counter counts, of a day."""
        return self.count(subject).used(bucket, measure)

    def records(self) -> list[Record]:
        """All records, by user and time."""
        return [record_of(one) for one in self.items("REC#")]

    def items(self, begin: str = "") -> Iterator[Item]:
        """All items whose partition begins so."""
        found = self.client.items.values() if isinstance(self.client, FakeDynamoDB) else scanned(self.client, self.name)
        rows = sorted(map(plain, found), key=lambda one: (one["pk"], one["sk"]))
        return (one for one in rows if one["pk"].startswith(begin))

    def _prices(self, provider: str, model: str) -> list[Price]:
        return [one for one in self.prices if (one.provider, one.model) == (provider, model)]


def scanned(client: Any, table: str) -> Iterator[dict[str, Any]]:
    """All items of a table."""
    for page in client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def cap(
    limit: int,
    measure: Measure = "requests",
    window: Window = "day",
    subject: Subject = Subject("user", "ann"),  # noqa: B008
    mode: Mode = "strict",
    **fields: Any,
) -> Cap:
    """A cap, of Ann's unless it says otherwise."""
    return Cap("", subject, window, measure, limit, mode, **fields)


def at(hour: int, minute: int = 0, day: int = 21) -> datetime:
    """A time of November 2026."""
    return NOON.replace(day=day, hour=hour, minute=minute)
