"""Usage of some days, made up, for the tests of records and summaries."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from tests.unit.usage.metered import KEPT, NOON, World
from weir.usage.models import Caller, Record
from weir.usage.records import Recorder
from weir.usage.rolling import Rolling
from weir.usage.summaries import BY, Cell, Rows, Summaries, added, by, totals_of
from weir.usage.windows import Period, begin, each, end

CALLERS = (
    Caller("ann", "Ann", "k1", ("red", "blue")),
    Caller("ann", "Ann"),
    Caller("bob", "Bob", "k2", ("red",)),
    Caller("cleo", "Cleo"),
)
MODELS = ("claude", "gpt", "=cmd()")


def record(number: int, at: datetime, caller: Caller = CALLERS[0], **fields: object) -> Record:
    """A call of a second, admitted at a time."""
    made = Record(
        request_id=f"r-{number}",
        admitted_at=at,
        ended_at=at + timedelta(seconds=1),
        caller=caller,
        dialect="anthropic",
        model="claude",
        provider="anthropic",
        target="claude-1",
        status=200,
        input=number % 97,
        output=number % 31,
        cache_read=number % 7,
        cache_write_5m=number % 5,
        cache_write_1h=number % 3,
        estimated=False,
        cost=number * 1_000_003,
        milliseconds=1000,
        record_id=f"{number:016x}",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


class Past(World):
    """A world with records of the past, what is summed up of it, and all of it again, added up plainly."""

    def __init__(self, number: int = 60, days: int = 3, since: datetime | None = None) -> None:
        """Records of some days, with nothing summed up of them; ``since`` is when summing up begins, two days ago."""
        super().__init__()
        self.summaries = Summaries(self.table, self.clock, KEPT)
        self.rolling = Rolling(self.table, self.summaries, self.clock, KEPT)
        self.plain: list[Record] = []
        self.rolling._rolled(NOON - timedelta(days=2) if since is None else since)
        rng = random.Random(number)
        for one in range(number):
            at = NOON - timedelta(milliseconds=rng.randrange(days * 86_400_000))
            fields = {"model": rng.choice(MODELS), "status": rng.choice([200, 200, 200, 429, 500])}
            self.write(record(one, at, rng.choice(CALLERS), **fields, cost=rng.choice([None, 10**9 + one])))
        for mark in list(self.items("LATE")):  # they were written in their time
            self.table.delete({"pk": mark["pk"], "sk": mark["sk"]})
        self.recorder = Recorder(self.table, self.clock, KEPT)

    def write(self, one: Record) -> None:
        """A record, as the meter writes it."""
        self.recorder.active(one.caller.user, one.admitted_at)
        self.recorder.write(one)
        self.plain.append(one)

    def told(self, period: Period, at: datetime, user: str | None = None) -> Rows:
        """What is answered of the period of a moment."""
        known = self.summaries.known(begin(period, at), end(period, at))
        return self.summaries.rows(period, begin(period, at), known, user)

    def truth(self, period: Period, at: datetime, user: str | None = None) -> Rows:
        """What its records say."""
        some = [one for one in self.plain if begin(period, at) <= one.admitted_at < end(period, at)]
        pairs = ((cell_of(one), totals_of(one)) for one in some if user in {None, one.caller.user})
        return added(pairs)

    def check(self, since: datetime, until: datetime) -> None:
        """Whatever is asked of a time is what its records say."""
        for period in ("day", "week", "month"):
            for at in each(period, since, until):  # type: ignore[arg-type]
                for user in (None, "ann"):
                    told, truth = self.told(period, at, user), self.truth(period, at, user)  # type: ignore[arg-type]
                    assert told == truth, (period, at)
                    assert by(told, BY) == by(truth, BY)

    def sealed(self) -> dict[str, str]:
        """The editions of what is summed up, by period."""
        return {one["sk"]: one["edition"] for one in self.items("SUM#")}


def cell_of(one: Record) -> Cell:
    """What a record is added up by."""
    return Cell(one.caller.user, one.caller.key, one.caller.groups, one.model)
