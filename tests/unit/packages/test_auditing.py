"""Reading the audit: newest first, all pages, by month and by package, and nobody's but one's own."""

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
from weir.runtime.clock import Clock
from weir.runtime.dynamodb import Table

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


def many() -> Iterator[dict[str, Any]]:
    """Five thousand downloads of 1.0.0 from a package of Ann's, behind one entry of another's."""
    yield items.package_item(package())
    yield items.package_item(package("resnet", owner=BOB))
    for number in range(5_000):
        write = audit.entry("file.download-issued", asker(BOB), "bert-base", "1.0.0", NOON - timedelta(seconds=number))
        assert write.put is not None
        yield dict(write.put)
    last = audit.entry("package.registered", asker(BOB), "resnet", "", NOON - timedelta(days=2)).put
    assert last is not None
    yield dict(last)


def test_a_page_reads_a_bounded_number_and_goes_on_to_the_end(clock: Clock) -> None:
    # Given thousands of entries of others / When Bob asks for his own
    shelf = Shelf(many())
    store = Store(Table(shelf, TABLE), clock)
    entries, after = auditing.of_all(store, caller(BOB), 50)
    assert (entries, after is not None) == ([], True)
    assert shelf.read <= auditing.MOST_LOOKED_THROUGH + 2
    # Then they come, page by page
    assert of_all(store, 50, BOB) == ["package.registered"]


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
