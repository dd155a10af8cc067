"""Aliases and ``latest``: what they name, who moves them, and what races come to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packages.registry import (
    ANN,
    BOB,
    NOON,
    Counted,
    Meanwhile,
    admin,
    asker,
    audited,
    everything,
    fill,
    package,
    put,
    served,
    version,
    whats,
)
from weir.packages import aliases, items, semver
from weir.packages.aliases import MOST_ALIASES, AliasRefused, latest_after, latest_write, newest
from weir.packages.errors import Changed, NotAvailable, NotTheOwner, PackageNotFound, VersionNotFound
from weir.packages.models import State, Version
from weir.packages.store import Store, stored_version
from weir.packages.yanking import yank

TEXTS = ("0.1.0", "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "2.0.0-alpha", "2.0.0-alpha.1")


# ---- latest ----


@pytest.mark.parametrize(
    ("latest", "versions", "then"),
    [
        (None, [served("1.0.0")], "1.0.0"),
        (None, [served("1.0.0-rc.1")], "1.0.0-rc.1"),
        ("1.0.0-rc.1", [served("1.0.0")], "1.0.0"),
        ("1.0.0", [served("2.0.0-rc.1")], "1.0.0"),
        ("1.9.0", [served("1.10.0")], "1.10.0"),
        ("1.10.0", [served("1.9.0")], "1.10.0"),
        ("2.0.0-rc.1", [served("1.0.0")], "1.0.0"),
        ("1.0.0", [served("2.0.0", yanked="broken")], "1.0.0"),
        ("1.0.0", [version("2.0.0")], "1.0.0"),
        ("1.0.0", [version("2.0.0", state=State.QUARANTINED)], "1.0.0"),
        ("1.0.0", [served("1.2.0"), served("1.1.0")], "1.2.0"),
        (None, [], None),
    ],
)
def test_latest_is_the_newest_release_that_is_served(
    latest: str | None, versions: list[Version], then: str | None
) -> None:
    assert newest(latest, versions) == then


STATES = st.sampled_from([State.AVAILABLE, State.AVAILABLE, State.SCANNING, State.QUARANTINED])
VERSIONS = st.dictionaries(st.sampled_from(TEXTS), st.tuples(STATES, st.booleans()))


@given(VERSIONS, st.randoms())
def test_in_whatever_order_versions_come_latest_is_the_same(
    held: dict[str, tuple[State, bool]], random: object
) -> None:
    versions = [version(text, state=state, yanked="x" if yanked else None) for text, (state, yanked) in held.items()]
    random.shuffle(versions)  # type: ignore[attr-defined]
    latest = None
    for one in versions:
        latest = newest(latest, [one])
    count = [one.version for one in versions if one.state is State.AVAILABLE and one.yanked is None]
    releases = [text for text in count if not semver.is_prerelease(text)]
    assert latest == max(releases or count, key=TEXTS.index, default=None)


def becomes_served(store: Store, text: str) -> None:
    """What a scan does: the version is AVAILABLE, and so is latest, in one transaction."""

    def attempt() -> tuple[list[object], None]:
        of, before = store.package_and_version("bert-base", text)
        assert of is not None
        assert before is not None
        after = replace(before, state=State.AVAILABLE)
        return [stored_version(before, after, store.clock.now()), latest_write(store, of, after)], None

    store.settle(attempt)  # type: ignore[arg-type]


def latest(store: Store) -> str | None:
    found = store.package("bert-base")
    assert found is not None
    return found.latest


def test_a_version_that_comes_to_be_served_is_latest_if_it_is_the_newest(store: Store) -> None:
    put(store, package(), *map(version, TEXTS))
    told = []
    for text in ("1.0.0-rc.1", "2.0.0-alpha", "1.0.0", "0.1.0", "1.10.0", "1.9.0"):
        becomes_served(store, text)
        told.append(latest(store))
    assert told == ["1.0.0-rc.1", "2.0.0-alpha", "1.0.0", "1.0.0", "1.10.0", "1.10.0"]


def test_two_that_come_to_be_served_at_once_leave_the_newer(store: Store, client: Counted) -> None:
    for first, second in (("1.9.0", "1.10.0"), ("1.10.0", "1.9.0")):
        put(store, package(), *map(version, TEXTS))
        Meanwhile(client, "transact_write_items", lambda first=first: becomes_served(store, first))  # type: ignore[misc]
        becomes_served(store, second)
        assert latest(store) == "1.10.0"


def test_a_yank_of_latest_while_an_older_one_comes_to_be_served_leaves_that_one(store: Store, client: Counted) -> None:
    # Given 1.10.0 served and 1.9.0 in the scan; whichever of the two is written first
    for first in ("yank", "serve"):
        put(store, package(latest="1.10.0"), version("1.9.0"), served("1.10.0"))
        both = {
            "yank": lambda: yank(store, "bert-base", "1.10.0", "broken", asker()),
            "serve": lambda: becomes_served(store, "1.9.0"),
        }
        Meanwhile(client, "transact_write_items", both.pop(first))
        (second,) = both.values()
        second()
        # Then latest is what is served and not yanked
        assert latest(store) == "1.9.0"


def test_two_yanks_at_once_leave_no_yanked_latest(store: Store, client: Counted) -> None:
    put(store, package(latest="3.0.0"), served("1.0.0"), served("2.0.0"), served("3.0.0"))
    Meanwhile(client, "transact_write_items", lambda: yank(store, "bert-base", "2.0.0", "broken", asker()))
    yank(store, "bert-base", "3.0.0", "broken", asker())
    assert latest(store) == "1.0.0"


def test_the_write_without_reads_is_the_same(store: Store, client: Counted) -> None:
    of = package(latest="1.0.0")
    client.called.clear()
    (write,) = latest_after(of, served("1.1.0"), store.clock.now())
    assert write == latest_write(store, of, served("1.1.0"))
    assert client.called == []


# ---- Aliases ----


@pytest.fixture
def some(store: Store) -> Store:
    put(store, package(latest="1.10.0"), version("0.1.0"), *map(served, TEXTS[1:]), served("3.0.0", yanked="broken"))
    return store


def move(store: Store, alias: str, text: str, who: str = ANN, **conditions: str) -> aliases.Alias:
    return aliases.move(store, "bert-base", alias, text, asker(who), **conditions).alias  # type: ignore[arg-type]


def test_an_alias_is_set_moved_and_taken_away(some: Store, client: Counted) -> None:
    # When it is set / Then it is new
    first = aliases.move(some, "bert-base", "production", "1.0.0", asker())
    assert (first.is_new, first.alias.version) == (True, "1.0.0")
    # And moved by who has seen it
    second = move(some, "production", "1.9.0", if_match=first.alias.etag)
    assert second.version == "1.9.0"
    assert aliases.target(some, package(), "production") == "1.9.0"
    # And taken away
    aliases.remove(some, "bert-base", "production", asker(), second.etag)
    assert aliases.of_package(some, "bert-base") == []
    with pytest.raises(VersionNotFound):
        aliases.target(some, package(), "production")
    assert sorted(audited(client)) == [
        ("alias.moved", ANN, "bert-base", "1.0.0"),
        ("alias.moved", ANN, "bert-base", "1.9.0"),
        ("alias.removed", ANN, "bert-base", "1.9.0"),
    ]


def test_an_alias_that_is_there_is_not_moved_unseen(some: Store, client: Counted) -> None:
    etag = move(some, "production", "1.0.0").etag
    before = everything(client)
    for conditions in ({}, {"if_none_match": "*"}, {"if_match": '"9-1.0.0"'}, {"if_match": '"1-1.9.0"'}):
        with pytest.raises(Changed):
            move(some, "production", "1.9.0", **conditions)
    with pytest.raises(Changed):
        aliases.remove(some, "bert-base", "production", asker(), '"2-1.0.0"')
    assert everything(client) == before
    # Though by who has seen it, among others, or whatever it is
    assert move(some, "production", "1.9.0", if_match=f'"x", {etag}').version == "1.9.0"
    assert move(some, "production", "1.10.0", if_match="*").version == "1.10.0"


def test_one_that_is_not_there_is_set_but_not_moved(some: Store) -> None:
    with pytest.raises(Changed):
        move(some, "production", "1.0.0", if_match='"1-1.0.0"')
    assert move(some, "production", "1.0.0", if_none_match="*").revision == 1


def test_set_to_what_it_is_it_stays_as_it_is(some: Store, client: Counted) -> None:
    first = move(some, "production", "1.0.0")
    before = everything(client)
    assert move(some, "production", "1.0.0") == first
    assert everything(client) == before


def test_the_tag_of_one_that_was_taken_away_does_not_fit_its_successor(some: Store) -> None:
    seen = move(some, "production", "1.0.0").etag
    aliases.remove(some, "bert-base", "production", asker())
    move(some, "production", "1.9.0")
    with pytest.raises(Changed):
        move(some, "production", "1.10.0", if_match=seen)


@pytest.mark.parametrize(
    ("text", "refused"), [("0.1.0", NotAvailable), ("3.0.0", NotAvailable), ("4.0.0", VersionNotFound)]
)
def test_an_alias_names_what_is_served_alone(some: Store, text: str, refused: type[Exception]) -> None:
    with pytest.raises(refused):
        move(some, "production", text)
    assert aliases.of_package(some, "bert-base") == []


@pytest.mark.parametrize("alias", ["latest", "versions", "aliases"])
def test_what_is_weirs_own_is_not_set(some: Store, alias: str) -> None:
    with pytest.raises(AliasRefused):
        move(some, alias, "1.0.0")
    with pytest.raises(AliasRefused):
        aliases.remove(some, "bert-base", alias, asker())


def test_others_move_none(some: Store) -> None:
    move(some, "production", "1.0.0")
    with pytest.raises(NotTheOwner):
        move(some, "production", "1.9.0", BOB, if_match="*")
    with pytest.raises(NotTheOwner):
        aliases.remove(some, "bert-base", "production", asker(BOB))
    put(some, package(sensitivity="restricted", allowed_groups=("research",)))
    with pytest.raises(PackageNotFound):
        move(some, "production", "1.9.0", BOB, if_match="*")
    with pytest.raises(PackageNotFound):
        aliases.remove(some, "bert-base", "production", asker(BOB))
    # But an admin does
    assert aliases.move(some, "bert-base", "production", "1.9.0", admin(), if_match="*").alias.version == "1.9.0"


def test_of_two_moves_at_once_one_is_refused(some: Store, client: Counted) -> None:
    etag = move(some, "production", "1.0.0").etag
    Meanwhile(client, "transact_write_items", lambda: move(some, "production", "1.9.0", if_match=etag))
    with pytest.raises(Changed):
        move(some, "production", "1.10.0", if_match=etag)
    assert aliases.target(some, package(), "production") == "1.9.0"


def test_of_two_that_set_it_at_once_one_is_refused(some: Store, client: Counted) -> None:
    Meanwhile(client, "transact_write_items", lambda: move(some, "production", "1.9.0"))
    with pytest.raises(Changed):
        move(some, "production", "1.10.0", if_none_match="*")


def test_a_version_that_is_yanked_meanwhile_is_not_named(some: Store, client: Counted) -> None:
    Meanwhile(client, "transact_write_items", lambda: yank(some, "bert-base", "1.9.0", "broken", asker()))
    with pytest.raises(NotAvailable, match="yanked"):
        move(some, "production", "1.9.0")
    assert whats(client) == ["version.yanked"]


def test_a_package_has_a_bounded_number_of_them(some: Store) -> None:
    fill(items.alias_item("bert-base", f"stage-{number}", "1.0.0", 1, NOON) for number in range(MOST_ALIASES - 1))
    move(some, "last", "1.0.0")
    with pytest.raises(AliasRefused, match="remove one"):
        move(some, "one-more", "1.0.0")
    assert move(some, "stage-0", "1.9.0", if_match="*").version == "1.9.0"


def test_no_more_aliases_come_to_be_than_a_package_may_have(store: Store, client: Counted) -> None:
    # Given a package with all aliases but one, and two callers who set a new one at once
    put(store, package(), served("1.0.0"))
    fill(items.alias_item("bert-base", f"a{number}", "1.0.0", 1, NOON) for number in range(MOST_ALIASES - 1))
    Meanwhile(client, "transact_write_items", lambda: aliases.move(store, "bert-base", "first", "1.0.0", asker()))
    # When both have counted before either writes / Then the second is refused
    with pytest.raises(AliasRefused):
        aliases.move(store, "bert-base", "second", "1.0.0", asker())
    assert len(aliases.of_package(store, "bert-base")) == MOST_ALIASES
    # And one of those that are there moves all the same
    put(store, package(), served("1.0.0"), served("2.0.0"))
    before = next(one for one in aliases.of_package(store, "bert-base") if one.alias == "first")
    assert aliases.move(store, "bert-base", "first", "2.0.0", asker(), if_match=before.etag).alias.version == "2.0.0"
