"""Providers and their keys: changed together or not at all, written and never told."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.llm.catalogue import PREFIX, SECRET, World, provider, route, world
from weir.llm import providers, routes
from weir.llm.errors import AddressForbidden, Changed, InUse, KeyMissing, NameTaken, ProviderNotFound
from weir.llm.secrets import KEPT_SECONDS, OUTLASTS_SECONDS, Keys, read
from weir.runtime import aws
from weir.runtime.errors import Invalid, Unavailable, WeirError
from weir.runtime.etags import etag


@pytest.fixture
def here() -> Iterator[World]:
    with world() as made:
        yield made


def fails(operation: str, code: str = "InternalServerError") -> Any:
    """What lets an operation fail from now on."""

    def before(asked: str, request: dict[str, Any]) -> None:
        if asked == operation:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, asked)

    return before


def test_a_provider_is_read_as_it_was_added_and_its_key_is_a_secret(here: World) -> None:
    # Given a provider with all that one can have / When it is added
    asked = provider("local", kind="openai", address="http://10.1.2.3:8000/v1", private_networks=("10.0.0.0/8",))
    made = providers.add(replace(asked, timeout_seconds=60, enabled=False), SECRET, here.deps)
    # Then it is read as it was, its key is in a secret of its own, and nowhere in the table
    assert here.store.provider("local") == made
    assert here.keys() == {made.secret_arn: SECRET}
    assert f":secret:{PREFIX}local/" in made.secret_arn
    assert SECRET not in repr(here.items())
    assert replace(made, secret_arn="", revision=1) == replace(asked, timeout_seconds=60, enabled=False)


def test_a_provider_needs_no_key(here: World) -> None:
    assert providers.add(provider(kind="bedrock"), None, here.deps).secret_arn == ""
    assert providers.add(provider("b"), "", here.deps).secret_arn == ""
    assert here.keys() == {}


def test_no_two_providers_have_one_name(here: World) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    with pytest.raises(NameTaken):
        providers.add(provider(), "another", here.deps)
    assert here.store.provider("anthropic") == made
    assert here.keys() == {made.secret_arn: SECRET}


def test_of_two_who_add_one_name_at_once_the_second_leaves_nothing(here: World) -> None:
    # Given somebody who adds it between another's look and write
    def late(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            here.client.before = lambda operation, request: None
            providers.add(provider(), "the first", here.deps)

    here.client.before = late
    with pytest.raises(NameTaken):
        providers.add(provider(), "the second", here.deps)
    assert list(here.keys().values()) == ["the first"]


@pytest.mark.parametrize(
    ("asked", "key", "field"),
    [
        (provider(address="http://api.example.com"), SECRET, "address"),
        (provider(address="https://169.254.169.254"), SECRET, "address"),
        (provider(private_networks=("0.0.0.0/0",)), SECRET, "private_networks"),
        (provider(kind="bedrock"), SECRET, "key"),
    ],
)
def test_what_can_not_be_is_refused_and_changes_nothing(here: World, asked: Any, key: str, field: str) -> None:
    kept = providers.add(provider("kept"), None, here.deps)
    before = here.items()
    for attempt in (
        lambda: providers.add(asked, key, here.deps),
        lambda: providers.change("kept", asked, key, None, here.deps),
    ):
        with pytest.raises(Invalid) as told:
            attempt()
        assert [one.field for one in told.value.errors] == [field]
    assert isinstance(told.value, AddressForbidden) == (field != "key")
    assert here.items() == before
    assert here.keys() == {}
    assert here.store.provider("kept") == kept


def test_a_change_without_a_key_keeps_it(here: World) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    changed = providers.change("anthropic", provider("ignored", enabled=False), None, etag(made.revision), here.deps)
    assert changed == replace(made, enabled=False, revision=changed.revision)
    assert changed.revision != made.revision
    assert here.keys() == {made.secret_arn: SECRET}


def test_another_key_takes_the_place_of_the_old_one(here: World) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    changed = providers.change("anthropic", provider(), "another", None, here.deps)
    assert here.keys() == {changed.secret_arn: "another"}
    assert changed.secret_arn != made.secret_arn
    # When it is taken away / Then there is none
    assert providers.change("anthropic", provider(), "", None, here.deps).secret_arn == ""
    assert here.keys() == {}


@pytest.mark.parametrize(
    "elsewhere",
    [
        provider(address="https://evil.example.com"),
        provider(kind="openai", address="https://api.example.com/v1"),
        provider(address="https://api.example.com:8443/v1"),
        provider(),
    ],
)
def test_a_key_can_not_be_sent_elsewhere(here: World, elsewhere: Any) -> None:
    # Given a provider with a key / When an admin changes where it is, without knowing the key
    made = providers.add(provider(address="https://api.example.com/v1"), SECRET, here.deps)
    with pytest.raises(Invalid) as told:
        providers.change("anthropic", elsewhere, None, None, here.deps)
    # Then it must be given anew
    assert [one.field for one in told.value.errors] == ["key"]
    assert here.store.provider("anthropic") == made
    assert providers.change("anthropic", elsewhere, "another", None, here.deps).address == elsewhere.address
    # And another path of the same host is the same place
    providers.change("anthropic", elsewhere, None, None, here.deps)


def test_a_change_holds_of_what_was_read_or_not_at_all(here: World) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    changed = providers.change("anthropic", provider(enabled=False), None, etag(made.revision), here.deps)
    with pytest.raises(Changed):
        providers.change("anthropic", provider(), "another", etag(made.revision), here.deps)
    with pytest.raises(Changed):
        providers.remove("anthropic", etag(made.revision), here.deps)
    assert here.store.provider("anthropic") == changed
    assert here.keys() == {made.secret_arn: SECRET}


def test_a_key_whose_provider_was_changed_meanwhile_is_not_left_behind(here: World) -> None:
    # Given somebody who changes the provider between another's read and write
    made = providers.add(provider(), SECRET, here.deps)

    def late(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            here.client.before = lambda operation, request: None
            providers.change("anthropic", provider(timeout_seconds=9), None, None, here.deps)

    here.client.before = late
    with pytest.raises(Changed):
        providers.change("anthropic", provider(), "another", None, here.deps)
    assert here.store.provider("anthropic").timeout_seconds == 9
    assert here.keys() == {made.secret_arn: SECRET}


def test_a_key_stays_where_nobody_knows_whether_it_counts(here: World) -> None:
    # Given a table that takes the write, and answers nothing from there on
    def lost(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            here.client._client.transact_write_items(**request)
        if operation in {"transact_write_items", "get_item"} and here.secrets.called:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, operation)

    here.client.before = lost
    with pytest.raises(Unavailable):
        providers.add(provider(), SECRET, here.deps)
    # Then the provider that is there has its key
    here.client.before = lambda operation, request: None
    assert here.keys() == {here.store.provider("anthropic").secret_arn: SECRET}


def test_a_key_whose_provider_was_stored_after_all_stays(here: World) -> None:
    # Given a table that takes the write, whose answer is lost
    def lost(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            here.client._client.transact_write_items(**request)
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "no"}}, operation)

    here.client.before = lost
    with pytest.raises(Unavailable):
        providers.add(provider(), SECRET, here.deps)
    assert here.keys() == {here.store.provider("anthropic").secret_arn: SECRET}


def test_without_a_secret_there_is_no_provider(here: World) -> None:
    here.secrets.before = fails("create_secret")
    with pytest.raises(Unavailable):
        providers.add(provider(), SECRET, here.deps)
    assert here.items() == []


def test_an_old_key_that_can_not_be_deleted_stops_nothing(here: World) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    here.secrets.before = fails("delete_secret")
    changed = providers.change("anthropic", provider(), "another", None, here.deps)
    assert here.store.provider("anthropic") == changed
    assert set(here.keys()) == {made.secret_arn, changed.secret_arn}
    providers.remove("anthropic", None, here.deps)


def test_a_provider_stays_while_routes_lead_to_it(here: World) -> None:
    providers.add(provider(), SECRET, here.deps)
    routes.add(route(), here.store)
    with pytest.raises(InUse) as told:
        providers.remove("anthropic", None, here.deps)
    assert told.value.members == {"routes": ["claude"]}
    # When the route is gone / Then the provider goes, and its key
    routes.remove("claude", None, here.store)
    providers.remove("anthropic", None, here.deps)
    assert here.items() == []
    assert here.keys() == {}
    with pytest.raises(ProviderNotFound):
        providers.remove("anthropic", None, here.deps)


# Keys, as calls read them


@pytest.fixture
def keys(here: World, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setattr(aws, "client", lambda service: here.secrets)
    return Keys(read, here.store.provider, here.time.clock.monotonic)


def test_a_key_is_read_once_in_a_while(here: World, keys: Keys) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    assert [keys.provider_key(made) for _ in range(3)] == [SECRET] * 3
    assert here.secrets.called.count("get_secret_value") == 1
    here.time.pass_by(KEPT_SECONDS)
    keys.provider_key(made)
    assert here.secrets.called.count("get_secret_value") == 2


def test_a_key_is_known_from_when_it_is_read_until_it_is_read_again(here: World, keys: Keys) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    assert keys.known(made) is None
    keys.provider_key(made)
    assert keys.known(made) == SECRET
    here.time.pass_by(KEPT_SECONDS)
    assert keys.known(made) is None


def test_who_needs_no_key_has_none(keys: Keys) -> None:
    assert keys.provider_key(provider()) == keys.known(provider()) == ""


def test_a_provider_that_was_looked_up_before_its_change_has_the_key_of_now(here: World, keys: Keys) -> None:
    # Given a provider that a process looked up, whose key was then replaced
    old = providers.add(provider(), SECRET, here.deps)
    providers.change("anthropic", provider(), "another", None, here.deps)
    # Then the call goes on with the key that counts
    assert keys.provider_key(old) == "another"


def test_a_key_that_was_taken_away_is_missing(here: World, keys: Keys) -> None:
    old = providers.add(provider(), SECRET, here.deps)
    providers.change("anthropic", provider(), "", None, here.deps)
    with pytest.raises(KeyMissing):
        keys.provider_key(old)
    providers.remove("anthropic", None, here.deps)
    with pytest.raises(ProviderNotFound):
        keys.provider_key(old)


def test_a_known_key_outlasts_a_failure_for_a_while(here: World, keys: Keys) -> None:
    made = providers.add(provider(), SECRET, here.deps)
    here.secrets.before = fails("get_secret_value")
    with pytest.raises(WeirError):
        keys.provider_key(made)
    here.secrets.before = lambda operation, request: None
    keys.provider_key(made)
    here.secrets.before = fails("get_secret_value")
    here.time.pass_by(OUTLASTS_SECONDS - 1)
    assert keys.provider_key(made) == SECRET
    here.time.pass_by(1)
    with pytest.raises(WeirError):
        keys.provider_key(made)
