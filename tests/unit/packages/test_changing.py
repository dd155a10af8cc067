"""Changing a package: what is found afterwards and by whom, and what a change may not be."""

from typing import Any

import pytest

from tests.unit.packages.registry import (
    ANN,
    BOB,
    Counted,
    Meanwhile,
    admin,
    asker,
    caller,
    everything,
    package,
    put,
    served,
)
from weir.packages import browsing, searching
from weir.packages.changing import change
from weir.packages.contract import PackagePatch
from weir.packages.errors import Changed, NotTheOwner, PackageNotFound
from weir.packages.searching import Wanted
from weir.packages.store import Store
from weir.runtime.errors import Forbidden, Invalid

NAME = "bert-base"


@pytest.fixture
def some(store: Store) -> Store:
    put(store, package(latest="1.1.0", versions=2), served("1.0.0"), served("1.1.0"))
    return store


def patch(**fields: Any) -> PackagePatch:
    return PackagePatch.model_validate(fields)


def found(store: Store, who: str = BOB, **wanted: Any) -> list[str]:
    return [one.name for one in searching.page(store, caller(who), Wanted(**wanted), 50)[0]]


def test_a_package_is_changed_and_found_as_it_is_now(some: Store, client: Counted) -> None:
    put(some, package(description="A base model", tags=("nlp",), latest="1.1.0", versions=2))
    told = change(some, NAME, patch(description="For vision", tags=["vision"]), '"1"', asker())
    assert told == some.package(NAME)
    assert (told.description, told.tags, told.revision, told.latest) == ("For vision", ("vision",), 2, "1.1.0")
    assert (found(some, tag="nlp"), found(some, words=("model",))) == ([], [])
    assert found(some, tag="vision") == found(some, words=("vision",)) == found(some, words=("bert",)) == [NAME]
    (entry,) = everything(client, "AUDIT#")
    assert (entry["what"], entry["who"], entry["detail"]) == ("package.changed", ANN, {"fields": "description tags"})


def test_who_may_see_it_no_more_finds_it_no_more_in_whatever_way(some: Store, client: Counted) -> None:
    ways: list[dict[str, Any]] = [{}, {"owner": ANN}, {"words": ("bert",)}, {"tag": "nlp"}]
    put(some, package(tags=("nlp",)))
    assert [found(some, **way) for way in ways] == [[NAME]] * 4
    change(some, NAME, patch(sensitivity="restricted", allowed_groups=["research"]), None, asker(groups=("research",)))
    assert [found(some, **way) for way in ways] == [[]] * 4
    with pytest.raises(PackageNotFound):
        browsing.version(some, NAME, "1.0.0", caller(BOB))
    (entry,) = everything(client, "AUDIT#")
    assert entry["detail"] == {
        "fields": "sensitivity allowed_groups",
        "sensitivity": "internal to restricted",
        "groups_before": "",
        "groups": "research",
    }


def test_a_change_of_nothing_is_none(some: Store, client: Counted) -> None:
    before = everything(client)
    told = change(some, NAME, patch(sensitivity="internal", tags=[]), None, asker())
    assert (told.revision, everything(client)) == (1, before)


def test_a_change_of_what_was_changed_since_is_refused(some: Store, client: Counted) -> None:
    change(some, NAME, patch(description="one"), '"1"', asker())
    with pytest.raises(Changed):
        change(some, NAME, patch(description="two"), '"1"', asker())
    # And of two at once, that have read the same
    Meanwhile(client, "transact_write_items", lambda: change(some, NAME, patch(description="three"), '"2"', asker()))
    with pytest.raises(Changed):
        change(some, NAME, patch(description="four"), '"2"', asker())
    assert some.package(NAME).description == "three"  # type: ignore[union-attr]


def test_what_may_not_be_changed_is_not(some: Store, client: Counted) -> None:
    before = everything(client)
    researcher = asker(groups=("research",))
    with pytest.raises(Invalid):
        change(some, NAME, patch(sensitivity="restricted"), None, researcher)
    with pytest.raises(Forbidden):
        change(some, NAME, patch(allowed_groups=["research", "secret"]), None, researcher)
    with pytest.raises(NotTheOwner):
        change(some, NAME, patch(description="x"), None, asker(BOB))
    assert everything(client) == before


def test_a_group_that_an_admin_has_named_stays_when_the_owner_changes_others(some: Store) -> None:
    change(some, NAME, patch(allowed_groups=["secret"]), None, admin())
    both = patch(allowed_groups=["secret", "research"])
    assert change(some, NAME, both, None, asker(groups=("research",))).allowed_groups == ("research", "secret")
