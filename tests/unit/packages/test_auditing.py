"""Reading the audit: newest first, all pages, by month and by package, and nobody's but one's own."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.unit.packages.registry import (
    ANN,
    BOB,
    DORA,
    NOON,
    TABLE,
    admin,
    asker,
    at,
    caller,
    package,
    put,
    served,
)
from tests.unit.packages.shelf import Shelf
from weir.packages import audit, auditing, items
from weir.packages.errors import NotTheOwner, PackageNotFound, VersionNotFound
from weir.packages.store import Store
from weir.packages.table import AUDIT_SHARDS, audit_list
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table, Write

OLD = NOON - timedelta(days=70)


def tell(store: Store, what: str, when: datetime = NOON, name: str = "bert-base", **told: Any) -> None:
    """One entry; Ann's, unless ``who`` says otherwise."""
    write = audit.entry(what, told.get("who", asker()), name, told.get("version", "1.0.0"), when, told.get("detail"))
    assert write.put is not None
    store.table.put(write.put)


def of_all(store: Store, limit: int = 2, who: str = DORA, **filters: Any) -> list[str]:
    """What all pages tell; to Dora, who is an admin, unless ``who`` says otherwise."""
    person = caller(who, "admin") if who == DORA else caller(who)
    told: list[str] = []
    after = None
    while True:
        entries, after = auditing.of_all(store, person, limit, after, **filters)
        told += [entry.what for entry in entries]
        if after is None:
            return told


def of_package(store: Store, limit: int = 2, **filters: Any) -> list[str]:
    """What all pages tell of the package, to Ann."""
    told: list[str] = []
    after = None
    while True:
        entries, after = auditing.of_package(store, "bert-base", caller(), limit, after, **filters)
        told += [entry.what for entry in entries]
        if after is None:
            return told


@pytest.fixture
def some(store: Store) -> Store:
    """What happened to two packages of Ann's and one of Bob's, this month and two months ago."""
    put(store, package(), served(), served("2.0.0+linux"))
    put(store, package("gpt-2"))
    put(store, package("resnet", owner=BOB))
    tell(store, "a", OLD)
    tell(store, "b", OLD + timedelta(seconds=1), "resnet", who=asker(BOB))
    tell(store, "c", NOON, "gpt-2")
    tell(store, "d", at(1), version="2.0.0+linux", detail={"reason": "broken"})
    tell(store, "e", at(2), who=asker(BOB))
    tell(store, "f", at(3), who="system")
    return store


def test_an_entry_tells_who_did_what_to_what_and_from_where(some: Store) -> None:
    entries, _ = auditing.of_package(some, "bert-base", caller(), 50)
    entry = next(one for one in entries if one.what == "d")
    assert (entry.who, entry.who_name, entry.name, entry.version) == (ANN, "ann", "bert-base", "2.0.0+linux")
    assert (entry.source_ip, entry.user_agent, entry.request_id) == ("203.0.113.7", "curl/8.7.1", "c6af9ac6")
    assert (entry.at, entry.detail) == (at(1), {"reason": "broken"})


def test_all_is_told_newest_first_through_months_without_an_entry(some: Store) -> None:
    assert of_all(some) == ["f", "e", "d", "c", "b", "a"]
    assert of_all(some, limit=1) == ["f", "e", "d", "c", "b", "a"]


def test_a_page_that_is_full_with_the_last_entry_of_a_month_is_answered(store: Store) -> None:
    # Given two entries of this month, and two of one before
    for number, when in enumerate((NOON, NOON - timedelta(seconds=1), OLD, OLD - timedelta(seconds=1))):
        tell(store, f"x.{number}", when)
    # When a page of two is asked for / Then it holds two, and the others come after it
    entries, after = auditing.of_all(store, admin().principal, 2)
    assert ([entry.what for entry in entries], after is not None) == (["x.0", "x.1"], True)
    assert of_all(store, 2) == ["x.0", "x.1", "x.2", "x.3"]


def test_filters_leave_out_and_all_pages_come(some: Store) -> None:
    assert of_all(some, until=at(0)) == ["c", "b", "a"]
    assert of_all(some, until=OLD) == ["a"]
    entries, _ = auditing.of_all(some, admin().principal, 50, who=BOB)
    assert [entry.what for entry in entries] == ["e", "b"]


def test_until_holds_in_whatever_zone_it_is_told(some: Store) -> None:
    tokyo = timezone(timedelta(hours=9))
    assert of_all(some, until=at(1).astimezone(tokyo)) == ["d", "c", "b", "a"]


def test_who_is_no_admin_is_told_of_their_own_packages_alone(some: Store) -> None:
    assert of_all(some, who=BOB) == ["b"]
    assert of_all(some, who=ANN) == ["f", "e", "d", "c", "a"]


def test_a_package_is_told_of_to_its_owner_and_admins(some: Store) -> None:
    assert of_package(some) == ["f", "e", "d", "a"]
    assert len(auditing.of_package(some, "BERT_base", admin().principal, 50)[0]) == 4
    with pytest.raises(NotTheOwner):
        auditing.of_package(some, "bert-base", caller(BOB), 50)
    with pytest.raises(PackageNotFound):
        auditing.of_package(some, "nothing", caller(), 50)
    put(some, package(sensitivity="restricted", allowed_groups=("research",)))
    with pytest.raises(PackageNotFound):
        auditing.of_package(some, "bert-base", caller(BOB), 50)


def test_a_version_is_told_of_by_itself(some: Store) -> None:
    tell(some, "package.changed", at(4), version="")
    assert of_package(some, version="1.0.0") == ["f", "e", "a"]
    # Whatever its build metadata
    assert of_package(some, version="2.0.0") == ["d"]
    assert of_package(some, version="1.0.0", until=at(2)) == ["e", "a"]
    assert of_package(some, version="9.9.9") == []


def test_what_is_past_its_time_is_not_told(some: Store) -> None:
    tell(some, "too-old", NOON - audit.KEPT)
    tell(some, "just-in-time", NOON - audit.KEPT + timedelta(seconds=1))
    assert of_all(some)[-1] == of_package(some)[-1] == "just-in-time"


def test_entries_that_a_clock_ahead_has_told_are_there(some: Store) -> None:
    tell(some, "ahead", at(5))
    assert of_all(some)[0] == of_package(some)[0] == "ahead"


# ---- Many ----


def put_of(write: Write) -> dict[str, Any]:
    assert write.put is not None
    return dict(write.put)


def many() -> Iterator[dict[str, Any]]:
    """Five thousand downloads of 1.0.0 from a package of Ann's, behind one entry of another's."""
    yield items.package_item(package())
    yield items.package_item(package("resnet", owner=BOB, created_at=NOON - timedelta(days=2)))
    for number in range(5_000):
        when = NOON - timedelta(seconds=number)
        yield put_of(audit.entry("file.download-issued", asker(BOB), "bert-base", "1.0.0", when))
    yield put_of(audit.entry("package.registered", asker(BOB), "resnet", "", NOON - timedelta(days=2)))


def of_many(packages: int, each: int) -> Iterator[dict[str, Any]]:
    """Packages of Ann's, of each of which something happened every minute, in turn."""
    for number in range(packages):
        began = NOON - timedelta(days=9)
        yield items.package_item(package(f"p{number:03}", created_at=began, updated_at=began))
    for at_ in range(packages * each):
        name = f"p{at_ % packages:03}"
        yield put_of(audit.entry(f"x.{at_:05}", asker(), name, "1.0.0", NOON - timedelta(minutes=at_)))


def test_a_month_is_spread_over_many_partitions_of_the_index() -> None:
    # Given what is told of one package in one second / Then no list of the month has all of it
    told = [put_of(audit.entry("file.download-issued", asker(), "bert-base", "1.0.0", NOON)) for _ in range(400)]
    lists = Counter(item["list"] for item in told)
    assert set(lists) == {audit_list(f"{NOON:%Y-%m}", shard) for shard in range(AUDIT_SHARDS)}
    assert max(lists.values()) < 100


def test_the_lists_of_a_month_are_told_as_one(clock: Clock) -> None:
    # Given more entries than a query answers, some of the same moment / When all are read by pages of any size
    shelf = Shelf(of_many(3, 400))
    for limit in (7, 50, 200):
        told = of_all(Store(Table(shelf, TABLE), clock), limit)
        # Then each is there once, newest first
        assert told == [f"x.{number:05}" for number in range(1_200)]


def test_a_page_of_all_reads_a_bounded_number_and_goes_on_to_the_end(clock: Clock) -> None:
    # Given thousands of entries of Bob's doing / When Dora asks for what Ann has done
    shelf = Shelf(many())
    store = Store(Table(shelf, TABLE), clock)
    entries, after = auditing.of_all(store, admin().principal, 50, who=ANN)
    assert (entries, after is not None) == ([], True)
    assert shelf.read <= auditing.MOST_LOOKED_THROUGH + (AUDIT_SHARDS + 1) * auditing.SHARE
    assert of_all(store, 200, who=DORA)[-1] == "package.registered"


def test_months_without_an_entry_cost_a_page_a_bounded_number_of_queries(clock: Clock) -> None:
    shelf = Shelf([])
    entries, after = auditing.of_all(Store(Table(shelf, TABLE), clock), admin().principal, 50)
    assert (entries, after is not None) == ([], True)
    assert len(shelf.called) == auditing.MOST_MONTHS * AUDIT_SHARDS
    assert of_all(Store(Table(shelf, TABLE), clock), 50) == []


def test_one_is_told_of_ones_own_without_a_look_at_what_is_others(clock: Clock) -> None:
    # Given thousands of entries of Ann's package / When Bob asks for his own
    shelf = Shelf(many())
    assert of_all(Store(Table(shelf, TABLE), clock), 50, BOB) == ["package.registered"]
    # Then his package and its one entry were read
    assert shelf.read == 2


def test_ones_own_are_told_newest_first_fifty_packages_at_a_time(clock: Clock) -> None:
    # Given 120 packages of Ann's / When she reads on to the end
    shelf = Shelf(of_many(120, 10))
    store = Store(Table(shelf, TABLE), clock)
    told = of_all(store, 30, ANN)
    # Then each entry is there once, and of fifty packages the newest first
    groups = [[number for number in range(1_200) if number % 120 // 50 == group] for group in range(3)]
    assert told == [f"x.{number:05}" for group in groups for number in group]
    # And no page reads more than what it looks through, and a query more of each
    shelf.read = 0
    auditing.of_all(store, caller(), 200)
    most = auditing.MOST_LOOKED_THROUGH + auditing.MOST_MERGED * (auditing.SHARE + 1)
    assert shelf.read <= most


def test_what_is_registered_between_two_pages_takes_nothing_away(clock: Clock) -> None:
    # Given a first page of 60 packages
    stored = list(of_many(60, 4))
    first, after = auditing.of_all(Store(Table(Shelf(stored), TABLE), clock), caller(), 20)
    # When others are registered before, between and behind them
    names = [f"p{number:03}-a" for number in range(0, 60, 2)]
    for name in ("a", *names, "z"):
        stored += [items.package_item(package(name, created_at=at(1)))]
        stored += [put_of(audit.entry("package.registered", asker(), name, "", at(1)))]
    store, told = Store(Table(Shelf(stored), TABLE), clock), [entry.what for entry in first]
    while after is not None:
        entries, after = auditing.of_all(store, caller(), 20, after)
        told += [entry.what for entry in entries]
    # Then all that was there before is told once
    assert sorted(what for what in told if what != "package.registered") == [f"x.{number:05}" for number in range(240)]


def test_a_page_costs_a_page(clock: Clock) -> None:
    shelf = Shelf(many())
    entries, _ = auditing.of_package(Store(Table(shelf, TABLE), clock), "bert-base", caller(), 10)
    assert len(entries) == 10
    assert (shelf.called, shelf.read) == (["get_item", "query"], 1 + 200)


@pytest.mark.parametrize("version", ["latest", "1.0", "%25", ".."])
def test_the_audit_of_what_is_no_version_is_not_there(store: Store, version: str) -> None:
    put(store, package())
    with pytest.raises(VersionNotFound):
        auditing.of_package(store, "bert-base", caller(), 10, version=version)
