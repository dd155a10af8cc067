"""Finding packages: every filter, all pages, nothing of what may not be seen, and a page costs a page."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.packages.registry import (
    ANN,
    BOB,
    DORA,
    TABLE,
    Counted,
    Meanwhile,
    caller,
    declared,
    everything,
    package,
    put,
    served,
)
from tests.unit.packages.shelf import Shelf
from weir.packages import items, searching
from weir.packages.models import Package, Upload
from weir.packages.searching import MOST_LOOKED_THROUGH, Wanted, page, words
from weir.packages.store import Store
from weir.packages.table import package_key
from weir.runtime.clock import SYSTEM
from weir.runtime.dynamodb import Table
from weir.runtime.http import Principal

SECRET = {"sensitivity": "restricted", "allowed_groups": ("research",)}
MANY = 10_000


def pages(store: Store, wanted: Wanted, limit: int = 50, who: Principal | None = None) -> list[list[str]]:
    """The names that all pages tell, page by page."""
    told, after = [], None
    while True:
        found, after = page(store, who or caller(BOB), wanted, limit, after)
        told.append([one.name for one in found])
        assert len(found) <= limit
        if after is None:
            return told


def names(store: Store, who: Principal | None = None, **wanted: Any) -> list[str]:
    """The names that are found, over all pages of two."""
    return [name for one in pages(store, Wanted(**wanted), 2, who) for name in one]


@pytest.fixture
def some(store: Store) -> Store:
    """Five packages of Ann's and Bob's, one of which is for researchers alone."""
    put(store, package("bert-base", description="A base model, für alle", tags=("nlp",)))
    put(store, package("bert-large", tags=("nlp", "large"), owner=BOB))
    put(store, package("gpt-2", description="Generates text"))
    put(store, package("gpt-secret", description="Generates secret text", tags=("nlp",), **SECRET))
    put(store, package("resnet-50", description="Images. Not text", tags=("vision",), owner=BOB))
    return store


# ---- What is asked for ----


CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["bert-base", "bert-large", "gpt-2", "resnet-50"]),
    ({"begins": "bert"}, ["bert-base", "bert-large"]),
    ({"begins": "bert-l"}, ["bert-large"]),
    ({"begins": "nothing"}, []),
    ({"pattern": "*-base"}, ["bert-base"]),
    ({"pattern": "bert-*"}, ["bert-base", "bert-large"]),
    ({"pattern": "?pt-*"}, ["gpt-2"]),
    ({"pattern": "bert"}, []),
    ({"pattern": "bert-b*", "begins": "bert"}, ["bert-base"]),
    ({"pattern": "bert-b*", "begins": "gpt"}, []),
    ({"owner": BOB}, ["bert-large", "resnet-50"]),
    ({"owner": BOB, "begins": "r"}, ["resnet-50"]),
    ({"owner": "nobody"}, []),
    ({"tag": "nlp"}, ["bert-base", "bert-large"]),
    ({"tag": "nlp", "owner": BOB}, ["bert-large"]),
    ({"tag": "nlp", "begins": "bert-b"}, ["bert-base"]),
    ({"words": ("text",)}, ["gpt-2", "resnet-50"]),
    ({"words": ("generates", "text")}, ["gpt-2"]),
    ({"words": ("für",)}, ["bert-base"]),
    ({"words": ("vision",)}, ["resnet-50"]),
    ({"words": ("bert",), "tag": "large"}, ["bert-large"]),
    ({"words": ("text",), "pattern": "*-50", "owner": BOB, "tag": "vision", "begins": "res"}, ["resnet-50"]),
    ({"words": ("tex",)}, []),
]


def test_all_that_is_asked_for_must_hold(some: Store) -> None:
    assert [(wanted, names(some, **wanted)) for wanted, _ in CASES] == CASES


def test_words_are_letters_and_digits_without_case() -> None:
    assert words("BERT-base_v2: für Straße, ①", "bert") == ("bert", "base", "v2", "für", "strasse", "1")
    assert words("  -- ") == ()


def test_the_name_finds_a_package_whatever_its_description_is_full_of(store: Store) -> None:
    put(store, package("zz-last", description=" ".join(f"word{number}" for number in range(200)), tags=("t",)))
    for word in ("zz", "last", "t", "word0"):
        assert names(store, words=(word,)) == ["zz-last"]


def test_other_items_of_an_owner_are_no_packages(store: Store) -> None:
    # Given an upload of Ann's that is open, and versions of hers
    put(store, package(), served())
    open_one = Upload(
        "u", "bert-base", "1.0.0", declared(), "k", "s3", 8, 1, ANN, package().created_at, package().created_at
    )
    store.table.put(items.upload_item(open_one))
    # When her packages are asked for / Then it is these alone
    assert names(store, owner=ANN) == ["bert-base"]
    assert store.upload("u") == open_one


# ---- Who may see it ----


def test_what_the_caller_may_not_see_is_not_there(some: Store) -> None:
    ways: list[dict[str, Any]] = [{}, {"begins": "gpt"}, {"tag": "nlp"}, {"words": ("secret",)}, {"owner": ANN}]
    for who, sees in (
        (caller(BOB), False),
        (caller(BOB, groups=("sales",)), False),
        (caller(BOB, groups=("research",)), True),
        (caller(ANN), True),
        (caller(DORA, "admin"), True),
    ):
        assert ["gpt-secret" in names(some, who, **wanted) for wanted in ways] == [sees] * len(ways)


def test_a_package_of_groups_is_for_them_whatever_its_sensitivity(store: Store) -> None:
    put(store, package("open", sensitivity="public", allowed_groups=("research",)))
    assert names(store, caller(BOB)) == []
    assert names(store, caller(BOB, groups=("research",))) == ["open"]


def test_who_is_shut_out_between_the_two_reads_is_shut_out(some: Store, client: Counted) -> None:
    # Given a package that is restricted after its word was read, before it is read itself
    closed = package("gpt-2", description="Generates text", **SECRET)
    Meanwhile(client, "batch_get_item", lambda: put(some, closed))
    assert names(some, caller(BOB), words=("generates",)) == []


def test_the_copies_are_in_no_index_and_tell_no_count(some: Store, client: Counted) -> None:
    copies = [item for kind in ("WORD#", "TAG#") for item in everything(client, kind)]
    assert len(copies) > 10
    assert not [item for item in copies if "list" in item or "at" in item]


def test_what_changes_with_a_version_is_told_as_it_is(some: Store, client: Counted) -> None:
    # Given that a version has come since the words were written
    some.table.put(items.package_item(package("gpt-2", description="Generates text", versions=7, latest="1.6.0")))
    (found,), _ = page(some, caller(BOB), Wanted(words=("generates",)), 50)
    assert (found.versions, found.latest, found.description) == (7, "1.6.0", "Generates text")


# ---- How it changes ----


def test_a_change_of_everything_that_a_package_is_found_by_fits_one_transaction() -> None:
    old, new = (
        package(
            "a",
            description=" ".join(f"{of}{number}" for number in range(60)),
            tags=tuple(f"tag-{of}{number:02d}" for number in range(searching.MOST_TAGS)),
        )
        for of in "xy"
    )
    writes = searching.moved(old, new)
    assert 90 < len(writes) <= 98  # with the package and the audit: 100
    keys = {(w.put["pk"], w.put["sk"]) if w.put else (w.key["pk"], w.key["sk"]) for w in writes}  # type: ignore[index]
    assert len(keys) == len(writes)


def test_a_change_that_nobody_is_found_by_writes_no_copy() -> None:
    assert searching.moved(package(versions=1), package(versions=2, latest="1.0.0")) == []


# ---- Ten thousand ----


def many() -> Iterator[dict[str, Any]]:
    """Ten thousand packages, every tenth of Bob's and every hundredth tagged; all hold the word ``model``."""
    for number in range(MANY):
        tags = ("rare",) if number % 100 == 0 else ()
        one = package(f"model-{number:05d}", owner=BOB if number % 10 == 0 else ANN, tags=tags)
        yield from _stored(one)


def _stored(one: Package) -> Iterator[dict[str, Any]]:
    yield items.package_item(one)
    for write in searching.added(one):
        assert write.put is not None
        if write.put["pk"] in {"WORD#model", "TAG#rare"}:
            yield dict(write.put)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf(many())


def of(shelf: Shelf) -> Store:
    """A store over a shelf from which nothing was read yet."""
    shelf.called.clear()
    shelf.read = 0
    return Store(Table(shelf, TABLE), SYSTEM)


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        (Wanted(), 0),
        (Wanted(begins="model-05"), 5_000),
        (Wanted(pattern="model-07*"), 7_000),
        (Wanted(owner=BOB), 0),
        (Wanted(owner=BOB, begins="model-09"), 9_000),
        (Wanted(tag="rare"), 0),
        (Wanted(words=("model",)), 0),
        (Wanted(words=("model",), begins="model-04"), 4_000),
    ],
)
def test_a_page_of_ten_thousand_costs_a_page(shelf: Shelf, wanted: Wanted, first: int) -> None:
    # Given ten thousand packages / When a page of ten is asked for
    found, _ = page(of(shelf), caller(), wanted, 10)
    # Then one query was sent, for eleven items, and what words and tags tell of was read in one call more
    assert found[0].name == f"model-{first:05d}"
    assert len(found) == 10
    copies = bool(wanted.words or wanted.tag)
    assert shelf.called == ["query", *(["batch_get_item"] if copies else [])]
    assert shelf.read == 11 + (10 if copies else 0)


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(words=("model",))])
def test_all_pages_of_ten_thousand_tell_each_once(shelf: Shelf, wanted: Wanted) -> None:
    told = pages(of(shelf), wanted, 200)
    assert [name for one in told for name in one] == [f"model-{number:05d}" for number in range(MANY)]
    assert {len(one) for one in told} == {200}
    assert shelf.called.count("query") == 50


def test_a_page_looks_through_a_bounded_number_and_goes_on() -> None:
    # Given thousands that Bob may not see, and one at the end that he may
    hidden = [items.package_item(package(f"hidden-{number:05d}", **SECRET)) for number in range(2_500)]
    shelf = Shelf([*hidden, items.package_item(package("last"))])
    # When he lists / Then there are empty pages, each of bounded cost, up to that one
    assert pages(of(shelf), Wanted(), 50) == [[], [], ["last"]]
    found, after = page(of(shelf), caller(BOB), Wanted(), 50)
    assert (found, after) == ([], {"after": f"hidden-{MOST_LOOKED_THROUGH - 1:05d}"})
    assert shelf.read < MOST_LOOKED_THROUGH + 200


def test_a_page_goes_on_after_a_package_that_is_gone_since(some: Store) -> None:
    _, after = page(some, caller(BOB), Wanted(), 2)
    some.table.delete(package_key("bert-large"))
    found, _ = page(some, caller(BOB), Wanted(), 2, after)
    assert [one.name for one in found] == ["gpt-2", "resnet-50"]
