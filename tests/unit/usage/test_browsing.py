"""Reading records: one's own or all, filtered, page by page, and as CSV."""

import csv
import io
from datetime import timedelta

import pytest

from tests.unit.usage import metered
from tests.unit.usage.history import CALLERS, Past, record
from tests.unit.usage.metered import NOON, at
from weir.usage import browsing
from weir.usage.browsing import Wanted, as_csv, page
from weir.usage.models import Caller, Record

ALL = Wanted(NOON - timedelta(days=41), NOON)


def pages(past: Past, wanted: Wanted, limit: int) -> list[Record]:
    found, after = page(past.table, wanted, limit)
    assert len(found) <= limit
    while after is not None:
        more, after = page(past.table, wanted, limit, after)
        assert len(more) <= limit
        found += more
    return found


@pytest.mark.parametrize("limit", [1, 7, 200])
@pytest.mark.parametrize(
    "wanted",
    [
        ALL,
        Wanted(ALL.since, NOON, user="ann"),
        Wanted(NOON - timedelta(days=9), NOON - timedelta(hours=30), model="gpt", status=500),
        Wanted(ALL.since, NOON, user="nobody"),
    ],
)
def test_every_record_that_is_asked_for_is_told_once(limit: int, wanted: Wanted) -> None:
    past = Past(120)
    expected = [
        one
        for one in past.plain
        if wanted.since <= one.admitted_at < wanted.until and wanted.user in {None, one.caller.user} and wanted.has(one)
    ]
    found = pages(past, wanted, limit)
    assert sorted(one.record_id for one in found) == sorted(one.record_id for one in expected)
    # The newest day first; within it user by user, each one's newest first
    place = [(-one.admitted_at.toordinal(), one.caller.user, -one.admitted_at.timestamp()) for one in found]
    assert place == sorted(place)


def test_what_was_admitted_at_the_edges_is_within_from_and_before_to() -> None:
    past = Past(0)
    for number, moment in enumerate([at(9), at(10), at(10, 59), at(11)]):
        past.write(record(number, moment))
    assert [one.admitted_at for one in pages(past, Wanted(at(10), at(11), "ann"), 10)] == [at(10, 59), at(10)]


def test_what_is_looked_through_for_a_page_is_bounded_and_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "MOST_LOOKED_THROUGH", 5)
    monkeypatch.setattr(browsing, "MOST_QUERIES", 3)
    past = Past(60)
    found, after = page(past.table, Wanted(ALL.since, NOON, "ann", model="gpt"), 50)
    assert after is not None
    assert len(found) < 5
    expected = [one.record_id for one in past.plain if one.caller.user == "ann" and one.model == "gpt"]
    told = pages(past, Wanted(ALL.since, NOON, "ann", model="gpt"), 50)
    assert sorted(one.record_id for one in told) == sorted(expected)


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]
)
def test_no_text_of_a_callers_is_a_formula_in_csv(text: str) -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv([record(1, NOON, model=text)]), newline=""))
    assert row["model"] == f"'{text}"


def test_a_page_is_no_longer_than_a_function_may_answer() -> None:
    # Given calls of somebody in many groups, whose models have long names
    past, caller = Past(0), Caller("ann", "Ann", "k1", tuple(f"{one:064}" for one in range(40)))
    for number in range(2_000):
        past.write(record(number, NOON - timedelta(seconds=number + 1), caller, model="m" * 256, target="t" * 256))
    # Then no page of CSV comes near to 6 MB, and none is left out
    some, after = page(past.table, ALL, 5_000)
    assert len(as_csv(some)) < 5_000_000
    rest, end = page(past.table, ALL, 5_000, after)
    assert end is None
    assert len({one.record_id for one in (*some, *rest)}) == len(some) + len(rest) == 2_000


def test_csv_holds_every_field_and_no_formula() -> None:
    one = record(1, NOON, CALLERS[0], model='=HYPERLINK("x")', cost=1_500_000_000, first_token_milliseconds=12)
    (row,) = csv.DictReader(io.StringIO(as_csv([one])))
    assert row["model"] == '\'=HYPERLINK("x")'
    assert (row["cost"], row["groups"], row["cut"], row["first_token_milliseconds"]) == (
        "0.0015",
        "red blue",
        "false",
        "12",
    )
    assert row["admitted_at"] == "2026-11-21T12:00:00.000Z"
    assert tuple(row) == browsing.COLUMNS
    assert as_csv([record(1, NOON, cost=None)]).splitlines()[1].count(",,")
    assert metered.ANN.user == row["user"]
