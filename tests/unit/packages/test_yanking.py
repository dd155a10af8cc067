"""Yanking: what is hidden from lists and from latest, and served all the same."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.packages.registry import (
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
    version,
    whats,
)
from weir.packages import browsing, items
from weir.packages.errors import NotTheOwner, PackageNotFound, VersionNotFound
from weir.packages.models import State, Version
from weir.packages.store import Store
from weir.packages.yanking import unyank, yank

NAME = "bert-base"


@pytest.fixture
def some(store: Store) -> Store:
    put(store, package(latest="1.1.0", versions=2), served("1.0.0"), served("1.1.0"))
    return store


def latest(store: Store) -> str | None:
    found = store.package(NAME)
    assert found is not None
    return found.latest


def listed(store: Store) -> list[str]:
    return [one.version for one in browsing.versions(store, NAME, caller(BOB), 50)[0]]


def test_a_yanked_version_is_hidden_and_served_all_the_same(some: Store, client: Counted) -> None:
    # When the newest release is yanked
    yanked = yank(some, NAME, "1.1.0", "wrong tokenizer", asker())
    # Then lists and latest know it no more
    assert listed(some) == ["1.0.0"]
    assert latest(some) == "1.0.0"
    # But it is there for whoever names it, and still AVAILABLE
    _, found = browsing.version(some, NAME, "1.1.0", caller(BOB))
    assert found == yanked
    assert (found.yanked, found.state, found.is_served) == ("wrong tokenizer", State.AVAILABLE, True)
    # And it is told why
    (entry,) = everything(client, "AUDIT#")
    assert (entry["what"], entry["detail"]) == ("version.yanked", {"reason": "wrong tokenizer"})


def test_a_yank_is_taken_back(some: Store, client: Counted) -> None:
    yank(some, NAME, "1.1.0", "wrong tokenizer", asker())
    back = unyank(some, NAME, "1.1.0", asker())
    assert (back.yanked, listed(some), latest(some)) == (None, ["1.1.0", "1.0.0"], "1.1.0")
    assert whats(client) == ["version.unyanked", "version.yanked"]


def test_the_same_again_changes_nothing_and_another_reason_does(some: Store, client: Counted) -> None:
    first = yank(some, NAME, "1.1.0", "broken", asker())
    before = everything(client)
    assert yank(some, NAME, "1.1.0", "broken", asker()) == first
    assert everything(client) == before
    assert yank(some, NAME, "1.1.0", "very broken", asker()).yanked == "very broken"
    unyank(some, NAME, "1.1.0", asker())
    before = everything(client)
    unyank(some, NAME, "1.1.0", asker())
    assert everything(client) == before


def test_with_all_releases_yanked_latest_is_a_prerelease_then_nothing(store: Store) -> None:
    put(store, package(latest="1.0.0"), served("1.0.0"), served("0.9.0-rc"), served("2.0.0-rc"), version("3.0.0"))
    told = []
    for text in ("1.0.0", "2.0.0-rc", "0.9.0-rc"):
        yank(store, NAME, text, "broken", asker())
        told.append(latest(store))
    assert told == ["2.0.0-rc", "0.9.0-rc", None]


@pytest.mark.parametrize("act", [lambda *given: yank(*given[:3], "broken", given[3]), unyank])
def test_who_may_not_may_not(some: Store, act: Callable[..., Version]) -> None:
    with pytest.raises(NotTheOwner):
        act(some, NAME, "1.1.0", asker(BOB))
    for reference in ("9.0.0", "latest"):
        with pytest.raises(VersionNotFound):
            act(some, NAME, reference, asker())
    assert act(some, NAME, "1.1.0", admin()).version == "1.1.0"
    put(some, package(sensitivity="restricted", allowed_groups=("research",)))
    with pytest.raises(PackageNotFound):
        act(some, NAME, "1.1.0", asker(BOB))


def test_a_yank_and_another_change_at_once_are_both_there(some: Store, client: Counted) -> None:
    # Given that a validation is stored between the yank's read and its write
    def validated() -> None:
        before = some.version(NAME, "1.1.0")
        assert before is not None
        some.table.put(items.version_item(replace(before, validation={"verdict": "passed"}, revision=2)))

    Meanwhile(client, "transact_write_items", validated)
    yank(some, NAME, "1.1.0", "broken", asker())
    found = some.version(NAME, "1.1.0")
    assert found is not None
    assert (found.yanked, found.validation, found.revision) == ("broken", {"verdict": "passed"}, 3)
