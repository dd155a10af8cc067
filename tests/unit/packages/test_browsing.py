"""Looking at packages and versions: in the order of the standard, by aliases, and as far as the caller may see."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.packages.registry import (
    BOB,
    NOON,
    TABLE,
    admin,
    caller,
    declared,
    package,
    put,
    served,
    version,
)
from tests.unit.packages.shelf import Shelf
from weir.packages import aliases, browsing, contract, findings, items
from weir.packages.browsing import MOST_LOOKED_THROUGH
from weir.packages.errors import PackageNotFound, VersionNotFound
from weir.packages.findings import MOST_EVIDENCE
from weir.packages.models import File, Manifest, State
from weir.packages.store import Store, stored_file
from weir.runtime.clock import SYSTEM
from weir.runtime.dynamodb import Table

TEXTS = ["0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.9.0", "1.10.0"]


def listed(store: Store, limit: int = 3, **options: Any) -> list[str]:
    """All versions, over all pages."""
    told: list[str] = []
    after = None
    while True:
        found, after = browsing.versions(store, "bert-base", caller(BOB), limit, after, **options)
        told += [one.version for one in found]
        if after is None:
            return told


@pytest.fixture
def some(store: Store) -> Store:
    """A package with versions that were registered in no order, one of them yanked."""
    versions = [served(text, yanked="broken" if text == "1.9.0" else None) for text in TEXTS]
    put(store, package(latest="1.10.0", versions=8), *versions[::3], *versions[1::3], *versions[2::3])
    return store


def test_versions_are_newest_first_as_the_standard_orders_them(some: Store) -> None:
    assert listed(some, yanked=True) == TEXTS[::-1]


def test_yanked_versions_are_left_out_unless_asked_for(some: Store) -> None:
    assert listed(some) == [text for text in TEXTS[::-1] if text != "1.9.0"]


def test_prereleases_are_left_out_where_asked(some: Store) -> None:
    assert listed(some, prerelease=False) == ["1.10.0", "1.0.0", "0.9.0"]


def test_deleted_versions_are_never_told(some: Store) -> None:
    put(some, package(), version("2.0.0", state=State.REJECTED, files=()))
    assert "2.0.0" not in listed(some)
    with pytest.raises(VersionNotFound):
        browsing.version(some, "bert-base", "2.0.0", admin().principal)


def test_a_page_of_ten_thousand_versions_costs_a_page() -> None:
    versions = (items.version_item(served(f"1.{number}.0")) for number in range(10_000))
    shelf = Shelf([items.package_item(package()), *versions])
    store = Store(Table(shelf, TABLE), SYSTEM)
    found, after = browsing.versions(store, "bert-base", caller(), 10)
    # Numbers, not letters: 1.9999.0 is the newest
    assert [one.version for one in found] == [f"1.{number}.0" for number in range(9_999, 9_989, -1)]
    assert (shelf.called, shelf.read) == (["get_item", "query"], 1 + 11)
    # And the next page begins where this one ends
    found, _ = browsing.versions(store, "bert-base", caller(), 1, after)
    assert [one.version for one in found] == ["1.9989.0"]


def test_a_page_looks_through_a_bounded_number_and_goes_on() -> None:
    candidates = (items.version_item(served(f"1.{number}.0-rc")) for number in range(MOST_LOOKED_THROUGH + 100))
    release = items.version_item(served("0.1.0"))
    shelf = Shelf([items.package_item(package()), release, *candidates])
    store = Store(Table(shelf, TABLE), SYSTEM)
    found, after = browsing.versions(store, "bert-base", caller(), 50, prerelease=False)
    assert found == []
    assert shelf.read < MOST_LOOKED_THROUGH + 200
    found, after = browsing.versions(store, "bert-base", caller(), 50, after, prerelease=False)
    assert ([one.version for one in found], after) == (["0.1.0"], None)


def test_a_card_tells_the_package_and_what_its_aliases_name(some: Store) -> None:
    for alias, text in (("production", "1.0.0"), ("canary", "1.10.0")):
        some.table.put(items.alias_item("bert-base", alias, text, 3, NOON))
    told, found = browsing.card(some, "BERT.Base", caller(BOB))
    view = contract.card_view(told, found)
    assert [(one.alias, one.version, one.etag) for one in view.aliases] == [
        ("latest", "1.10.0", None),
        ("canary", "1.10.0", '"3-1.10.0"'),
        ("production", "1.0.0", '"3-1.0.0"'),
    ]
    assert (view.name, view.versions, view.latest) == ("bert-base", 8, "1.10.0")


def test_a_package_without_a_release_has_no_latest(store: Store) -> None:
    put(store, package(), version())
    assert contract.card_view(*browsing.card(store, "bert-base", caller())).aliases == ()
    with pytest.raises(VersionNotFound):
        browsing.version(store, "bert-base", "latest", caller())


@pytest.mark.parametrize(
    ("reference", "found"), [("1.9.0", "1.9.0"), ("latest", "1.10.0"), ("production", "1.0.0"), ("1.0.0+b", "1.0.0")]
)
def test_a_version_is_found_by_its_text_and_by_aliases(some: Store, reference: str, found: str) -> None:
    some.table.put(items.alias_item("bert-base", "production", "1.0.0", 1, NOON))
    assert browsing.version(some, "bert-base", reference, caller())[1].version == found


@pytest.mark.parametrize("reference", ["3.0.0", "staging", "1.0", "A#x", ""])
def test_what_names_no_version_finds_none(some: Store, reference: str) -> None:
    with pytest.raises(VersionNotFound):
        browsing.version(some, "bert-base", reference, caller())


def test_what_the_caller_may_not_see_is_not_there_in_the_very_same_words(store: Store) -> None:
    # Given a package for researchers, and one that is not there
    put(store, package(sensitivity="restricted", allowed_groups=("research",), latest="1.0.0"), served())
    store.table.put(items.alias_item("bert-base", "production", "1.0.0", 1, NOON))
    told = []
    asks: list[Callable[[str], object]] = [
        lambda name: browsing.package(store, name, caller(BOB)),
        lambda name: browsing.card(store, name, caller(BOB)),
        lambda name: browsing.versions(store, name, caller(BOB), 10),
        lambda name: browsing.version(store, name, "1.0.0", caller(BOB)),
        lambda name: browsing.version(store, name, "9.9.9", caller(BOB)),
        lambda name: browsing.version(store, name, "latest", caller(BOB)),
        lambda name: browsing.version(store, name, "production", caller(BOB)),
    ]
    for name in ("bert-base", "bert-none"):
        for ask in asks:
            with pytest.raises(PackageNotFound) as refused:
                ask(name)
            told.append(refused.value.detail.replace(name, "..."))
    # Then every answer is the same
    assert len(set(told)) == 1
    # And its readers find it
    assert browsing.version(store, "bert-base", "latest", caller(BOB, groups=("research",)))[1].version == "1.0.0"


def test_a_version_tells_how_far_each_of_its_files_has_come(store: Store) -> None:
    # Given a version of three files, of which one is verified, and one was refused
    declared_ = (declared("a.bin"), declared("b.pkl"), declared("c.bin"))
    one = version(
        files=declared_, committed=2, verified=1, quarantined=1, state=State.QUARANTINED, reason="b.pkl: eval"
    )
    put(store, package(), one, files=declared_)
    put(store, package(), version("1.0.0-rc.1"))
    evidence = {"rule": "pickle", "evidence": "os.system"}
    for file in (
        File("bert-base", "1.0.0", declared_[0], "k", State.AVAILABLE, verified_sha256=declared_[0].sha256),
        File("bert-base", "1.0.0", declared_[1], "k", State.QUARANTINED, reason="eval", findings=(evidence,)),
        File("bert-base", "1.0.0-rc.1", declared("other"), "k", State.SCANNING),
    ):
        write = stored_file(None, file, NOON)
        assert write.put is not None
        store.table.put(write.put)
    view = contract.version_view(one, store.manifest(one), browsing.files(store, one))
    assert [(file.path, file.state) for file in view.files] == [
        ("a.bin", State.AVAILABLE),
        ("b.pkl", State.QUARANTINED),
        ("c.bin", State.INITIATED),
    ]
    # And what was declared stands apart from what was verified
    assert [file.verified_sha256 for file in view.files] == [declared_[0].sha256, None, None]
    assert view.files[1].findings == (evidence,)
    assert (view.state, view.reason, view.size) == (State.QUARANTINED, "b.pkl: eval", 12)


def test_a_deleted_versions_alias_that_is_left_names_nothing(store: Store) -> None:
    put(store, package(), version(state=State.REJECTED))
    store.table.put(items.alias_item("bert-base", "production", "1.0.0", 1, NOON))
    with pytest.raises(VersionNotFound):
        browsing.version(store, "bert-base", "production", caller())
    assert aliases.target(store, package(), "production") == "1.0.0"


def test_the_view_of_a_version_is_no_longer_than_lambda_answers() -> None:
    # Given a version of as many files as it may have, with as many findings as there may be, as long as they may be
    found = tuple({"rule": "nested-archive", "evidence": "ж" * MOST_EVIDENCE} for _ in range(findings.MOST_FINDINGS))
    reason = f"{found[0]['rule']}: {found[0]['evidence']}"
    paths = [f"{number:04}.zip" for number in range(contract.MOST_FILES)]
    manifest = Manifest(tuple(map(declared, paths)))
    one = version(files=manifest.files, state=State.QUARANTINED)
    files = [
        File("bert-base", "1.0.0", each, "k", State.QUARANTINED, reason=reason, findings=found)
        for each in manifest.files
    ]
    # When it is viewed / Then it is told how many findings there are, and as many as fit are there
    view = contract.version_view(one, manifest, files).model_dump(mode="json")
    assert {(len(file["findings"]), file["findings_count"]) for file in view["files"]} == {(1, len(found))}
    assert len(json.dumps({"body": json.dumps(view)})) < 6_000_000
    few = Manifest(manifest.files[:2])
    view_of_few = contract.version_view(version(files=few.files), few, files)
    assert [len(file.findings) for file in view_of_few.files] == [3, 3]
