"""A page of summaries: period by period, each by what was asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from weir.usage.summaries import By, Summaries, Totals, by
from weir.usage.windows import Period, begin, end

Position = dict[str, object]


@dataclass(frozen=True, slots=True)
class Sum:
    """What was used in the period that began then, of those values of what it is summed up by."""

    began: datetime
    values: tuple[str, ...]
    totals: Totals


def page(
    summaries: Summaries,
    period: Period,
    periods: Sequence[datetime],
    names: Sequence[By],
    user: str | None,
    limit: int,
    after: Position | None = None,
) -> tuple[list[Sum], Position | None]:
    """Sums of some periods, the oldest first, and where to go on; None at the end. Of one user, or of all.

    Summed up by nothing, a period without a call is told with zeroes.
    """
    first = datetime.fromisoformat(str(after["began"])) if after else None
    known = summaries.known(periods[0], end(period, periods[-1])) if periods else None
    found: list[Sum] = []
    for began in periods:
        if known is None or (first is not None and began < first):
            continue
        rows = _of(by(summaries.rows(period, began, known, user), names), began, names)
        if after and began == first:
            rows = (one for one in rows if list(one.values) > list(after["values"]))  # type: ignore[call-overload]
        for one in rows:
            if len(found) == limit:
                return found, {"began": found[-1].began.isoformat(), "values": list(found[-1].values)}
            found.append(one)
    return found, None


def _of(sums: dict[tuple[str, ...], Totals], began: datetime, names: Sequence[By]) -> Iterator[Sum]:
    if not sums and not names:
        sums = {(): Totals()}
    return (Sum(began, values, totals) for values, totals in sums.items())


def periods_in(period: Period, since: datetime, until: datetime, most: int) -> list[datetime]:
    """The beginnings of the periods that a time touches, oldest first; one more than ``most`` where there are more."""
    found: list[datetime] = []
    at = begin(period, since)
    while at < until and len(found) <= most:
        found.append(at)
        at = end(period, at)
    return found
