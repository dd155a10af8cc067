"""The audit: what was done is told by who did it, from where, and page by page through the months."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.identity.accounts import ANN, BOB, NOON, ORIGIN, Recorded, dynamodb, person, user
from tests.unit.identity.directory import items
from weir.identity import audit
from weir.identity.audit import Entry
from weir.runtime.dynamodb import Table, Write


@pytest.fixture
def client() -> Iterator[Recorded]:
    with dynamodb() as made:
        yield made


@pytest.fixture
def table(client: Recorded) -> Table:
    return Table(client, "identity")


def tell(table: Table, at: datetime, what: str = "user.changed", who: str = ANN, subject: str = BOB) -> None:
    audit.record(table, what, person(who), subject, ORIGIN, at)


def everything(table: Table, limit: int = 50, **filters: Any) -> list[list[str]]:
    """What all pages tell, page by page, as days and hours."""
    pages, after = [], None
    while True:
        entries, after = audit.page(table, limit, after, NOON, **filters)
        pages.append([f"{entry.at:%m-%d %H}" for entry in entries])
        if after is None:
            return pages


def test_an_entry_tells_who_did_what_to_whom_and_from_where(table: Table, client: Recorded) -> None:
    audit.record(table, "user.roles-changed", person(BOB, "admin"), ANN, ORIGIN, NOON, {"from": "", "to": "admin"})
    (entry,), _ = audit.page(table, 50, None, NOON)
    assert entry == Entry(
        at=NOON,
        what="user.roles-changed",
        who=BOB,
        who_name="bob",
        subject=ANN,
        detail={"from": "", "to": "admin"},
        source_ip="203.0.113.7",
        user_agent="curl/8.7.1",
        request_id="c6af9ac6",
    )
    # And it goes after 400 days
    assert items(client)[0]["ttl"] == int((NOON + timedelta(days=400)).timestamp())


def test_no_entry_is_written_over(table: Table, client: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an entry, and another that chance gives the same key
    monkeypatch.setattr(audit.secrets, "token_hex", lambda _: "0" * 16)
    tell(table, NOON, "user.deleted")
    before = items(client)
    # When it is stored, by itself or with a change / Then the first stays, and the change is not made untold
    tell(table, NOON, "user.changed")
    change = Write(put={"pk": "USER#x", "sk": "USER"})
    assert table.transact([change, audit.entry("user.created", "system", ANN, None, NOON)]) == (True, False)
    assert items(client) == before


def test_users_and_the_system_and_nobody_do_things_too(table: Table) -> None:
    audit.record(table, "login.done", user(), ANN, ORIGIN, NOON)
    audit.record(table, "user.created", "system", ANN, None, NOON + timedelta(seconds=-1))
    audit.record(table, "login.refused", "anonymous", ANN, ORIGIN, NOON + timedelta(seconds=-2))
    entries, _ = audit.page(table, 50, None, NOON)
    assert [(entry.who, entry.who_name) for entry in entries] == [
        (ANN, "ann"),
        ("system", "system"),
        ("anonymous", "anonymous"),
    ]
    assert entries[1].source_ip == ""


def test_no_text_of_a_caller_fills_the_table(table: Table) -> None:
    audit.record(table, "user.changed", person(), ANN, ORIGIN, NOON, {"groups": "x" * 100_000})
    (entry,), _ = audit.page(table, 50, None, NOON)
    assert len(entry.detail["groups"]) == 256


def test_pages_go_back_through_months_without_an_entry_to_the_last(table: Table) -> None:
    # Given entries of this month, of one half a year ago, and of the oldest that is kept
    for at in (NOON, NOON - timedelta(hours=1), NOON - timedelta(days=180), NOON - timedelta(days=399)):
        tell(table, at)

    # Then they come newest first, however many fit on a page
    days = ["11-21 12", "11-21 11", "05-25 12", "10-18 12"]
    for limit in (1, 2, 3, 50):
        pages = everything(table, limit)
        assert [day for page in pages for day in page] == days
        assert all(len(page) <= limit for page in pages)


def test_what_is_past_its_time_is_not_told_though_it_is_there(table: Table) -> None:
    tell(table, NOON - timedelta(days=400, seconds=1))
    assert everything(table) == [[]]


def test_more_than_a_query_answers_is_told_too(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given more entries of one millisecond, and of one month, than one query answers
    monkeypatch.setattr(audit, "_PAGE", 3)
    for _ in range(7):
        tell(table, NOON)
    tell(table, NOON - timedelta(days=30))
    assert sum(len(page) for page in everything(table)) == 8
    assert [len(page) for page in everything(table, 4)] == [4, 4, 0]


def test_until_leaves_out_what_came_later(table: Table) -> None:
    for at in (NOON, NOON - timedelta(hours=1), NOON - timedelta(days=40)):
        tell(table, at)
    assert everything(table, until=NOON - timedelta(minutes=1)) == [["11-21 11", "10-12 12"]]
    assert everything(table, until=NOON - timedelta(hours=1)) == [["11-21 11", "10-12 12"]]
    assert everything(table, until=NOON - timedelta(days=2)) == [["10-12 12"]]
    assert everything(table, until=NOON + timedelta(days=60)) == everything(table)
    assert everything(table, until=NOON - timedelta(days=500)) == [[]]


def test_until_is_a_moment_whatever_the_time_zone_it_is_told_in(table: Table) -> None:
    # Given entries of the last hour of a month in UTC, which is the next month already elsewhere
    last = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    tell(table, last)
    tell(table, last + timedelta(minutes=15))
    there = last.astimezone(tz=timezone(timedelta(hours=9)))
    assert everything(table, until=there) == [["10-31 23"]]


def test_a_filter_leaves_out_the_others_and_loses_none(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given few entries of interest among many, more than a page looks through
    monkeypatch.setattr(audit, "MOST_LOOKED_THROUGH", 5)
    for hour in range(12):
        tell(table, NOON - timedelta(hours=hour), who=ANN if hour in {1, 10} else BOB, subject=BOB if hour > 9 else ANN)

    # Then pages may be short or empty, and together they hold what there is
    pages = everything(table, who=ANN)
    assert [hour for page in pages for hour in page] == ["11-21 11", "11-21 02"]
    assert [] in pages
    assert [hour for page in everything(table, subject=BOB) for hour in page] == ["11-21 02", "11-21 01"]
    assert [hour for page in everything(table, who=ANN, subject=BOB) for hour in page] == ["11-21 02"]
