"""Registering: two calls, one version row whatever races, the same answer for the same content."""

import threading
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.packages.registry import (
    ANN,
    BOB,
    NOON,
    SHA,
    Counted,
    Meanwhile,
    admin,
    asker,
    audited,
    everything,
    package,
    put,
    served,
    version,
    whats,
)
from weir.packages.contract import NewVersion
from weir.packages.errors import Crowded, NameTaken, NotTheOwner, PackageNotFound, VersionExists
from weir.packages.models import State
from weir.packages.registering import check, register
from weir.packages.store import TRIES, Store
from weir.runtime.errors import Forbidden, Invalid

FILE = {"path": "model.safetensors", "size": 4, "sha256": SHA}


def new(version: str = "1.0.0", name: str = "bert-base", **fields: Any) -> NewVersion:
    """A request, as it comes in."""
    return NewVersion.model_validate({"name": name, "version": version, **fields})


# ---- What is stored ----


def test_the_first_version_makes_the_package_in_two_calls(store: Store, client: Counted) -> None:
    # When Ann registers the first version of a name
    asked = new(
        description="A base model", tags=["NLP", "base"], metadata={"license": "mit", "dropout": 0.1}, files=[FILE]
    )
    client.called.clear()
    made = register(asked, asker(), store)
    # Then there is a package of hers and the version, and it took one read and one write
    assert client.called == ["batch_get_item", "transact_write_items"]
    assert made.is_new
    stored = store.package("bert-base")
    assert stored == package(description="A base model", tags=("base", "nlp"), versions=1)
    assert store.version("bert-base", "1.0.0") == made.version
    assert made.version.metadata == {"license": "mit", "dropout": 0.1}
    assert (made.version.owner, made.version.state, made.version.total) == (ANN, State.INITIATED, 1)
    # And it is told by whom
    assert sorted(audited(client)) == [
        ("package.registered", ANN, "bert-base", ""),
        ("version.registered", ANN, "bert-base", "1.0.0"),
    ]


def test_the_largest_that_may_be_is_registered_in_two_calls_too(store: Store, client: Counted) -> None:
    # Given a thousand files, sixteen tags, more words than are kept, and as much of the rest as is taken
    files = [{"path": f"{number:04d}/" + "ä" * 40, "size": 5 * 2**40, "sha256": SHA} for number in range(1_000)]
    asked = new(
        name="a-b-c" + "d" * 100,
        description=" ".join(f"word{number:03d}" for number in range(240))[:2_000],
        tags=[f"tag{number:02d}" + "t" * 55 for number in range(16)],
        metadata={"card": "ü" * 8_000},
        files=files,
        allowed_groups=[f"group{number:02d}" + "g" * 50 for number in range(50)],
    )
    client.called.clear()
    made = register(asked, admin(), store)
    assert client.called == ["batch_get_item", "transact_write_items"]
    assert store.manifest(made.version) == made.manifest
    assert made.version.total == 1_000


def test_a_later_version_is_three_writes_of_one_transaction(store: Store, client: Counted) -> None:
    register(new(tags=["nlp"], description="A base model"), asker(), store)
    written: list[int] = []
    client.before = lambda operation, request: written.append(len(request.get("TransactItems", ())))
    client.called.clear()
    register(new("1.1.0"), asker(), store)
    assert client.called == ["batch_get_item", "transact_write_items"]
    assert written == [0, 3]
    stored = store.package("bert-base")
    assert stored is not None
    assert (stored.versions, stored.revision, stored.latest) == (2, 2, None)
    # And what a version is told to be, where nothing is said, is what its package is
    assert store.version("bert-base", "1.1.0").description == "A base model"  # type: ignore[union-attr]


def test_an_admin_adds_to_the_package_of_another_who_stays_its_owner(store: Store) -> None:
    register(new(), asker(), store)
    register(new("1.1.0"), admin(), store)
    assert store.package("bert-base").owner == ANN  # type: ignore[union-attr]


# ---- The same again, and other content ----


def test_the_same_content_again_is_answered_the_same_and_changes_nothing(store: Store, client: Counted) -> None:
    asked = new(description="A base model", tags=["a"], metadata={"a": [1, 2.5]}, files=[FILE])
    first = register(asked, asker(), store)
    before = everything(client)
    again = register(asked, asker(), store)
    assert (again.version, again.is_new) == (first.version, False)
    assert everything(client) == before


def test_files_in_another_order_are_the_same_content(store: Store) -> None:
    other = {**FILE, "path": "config.json"}
    register(new(files=[FILE, other]), asker(), store)
    assert not register(new(files=[other, FILE]), asker(), store).is_new


def test_what_is_left_out_is_as_it_was(store: Store) -> None:
    first = new(description="A base model", sensitivity="internal", tags=["a"], files=[FILE])
    register(first, asker(), store)
    assert not register(new(files=[FILE]), asker(), store).is_new


@pytest.mark.parametrize(
    "other",
    [
        {"files": [{**FILE, "sha256": "0" * 64}]},
        {"files": [{**FILE, "size": 5}]},
        {"files": [{**FILE, "path": "b"}]},
        {"files": [{**FILE, "content_type": "text/plain"}]},
        {"files": None},
        {"files": [FILE], "metadata": {"license": "mit"}},
        {"files": [FILE], "description": "Another"},
        {"files": [FILE], "sensitivity": "public"},
        {"files": [FILE], "tags": ["b"]},
        {"files": [FILE], "allowed_groups": ["research"]},
    ],
)
def test_other_content_is_refused_and_changes_nothing(store: Store, client: Counted, other: dict[str, Any]) -> None:
    register(new(files=[FILE]), asker(), store)
    before = everything(client)
    with pytest.raises(VersionExists):
        register(new(**other), asker(groups=("research",)), store)
    assert everything(client) == before


def test_versions_that_differ_in_build_metadata_alone_are_one(store: Store) -> None:
    register(new("1.0.0+linux"), asker(), store)
    with pytest.raises(VersionExists):
        register(new("1.0.0+macos"), asker(), store)
    assert not register(new("1.0.0+linux"), asker(), store).is_new


def test_a_later_version_may_not_say_other_than_the_package_is(store: Store) -> None:
    register(new(tags=["a"]), asker(), store)
    with pytest.raises(VersionExists, match="PATCH") as refused:
        register(new("1.1.0", tags=["b"], sensitivity="public"), asker(), store)
    assert refused.value.members == {"fields": ["sensitivity", "tags"]}
    assert store.version("bert-base", "1.1.0") is None


def test_the_same_once_more_holds_after_the_packages_description_was_changed(store: Store) -> None:
    # Given a version, and a package that is described otherwise since
    asked = new(description="As it was")
    register(asked, asker(), store)
    put(store, package(description="As it is", versions=1))
    # When the client that missed the answer sends it once more / Then it is the same
    assert not register(asked, asker(), store).is_new


def test_the_number_of_a_deleted_version_is_not_used_again(store: Store) -> None:
    # Given a version that was deleted: nothing is left of what it was told to be
    put(store, package(description="As it was"), version(state=State.REJECTED))
    # When it is registered once more, as it was or not / Then that is what is told
    for fields in ({}, {"description": "As it was"}, {"description": "Other"}):
        with pytest.raises(VersionExists, match="deleted"):
            register(new(**fields), asker(), store)
        with pytest.raises(VersionExists, match="deleted"):
            check(new(**fields), asker().principal, store)


# ---- Whose name it is ----


@pytest.mark.parametrize("name", ["bert-base", "BERT_Base", "bert.base"])
def test_another_users_package_is_not_added_to(store: Store, name: str) -> None:
    put(store, package())
    with pytest.raises(NotTheOwner):
        register(new("2.0.0", name), asker(BOB), store)


def test_a_package_that_the_caller_may_not_see_is_not_there_for_them(store: Store) -> None:
    put(store, package(sensitivity="restricted", allowed_groups=("research",)), served())
    with pytest.raises(PackageNotFound, match="There is no package 'bert-base'"):
        register(new("1.0.0"), asker(BOB), store)


@pytest.mark.parametrize("name", ["bertbase", "b-e-r-t-base", "BERTBASE"])
def test_no_name_that_looks_like_one_that_is_there(store: Store, client: Counted, name: str) -> None:
    register(new(), asker(), store)
    before = everything(client)
    with pytest.raises(NameTaken, match="looks like 'bert-base'"):
        register(new(name=name), asker(BOB), store)
    assert everything(client) == before


def test_who_may_not_see_the_other_package_does_not_learn_its_name(store: Store) -> None:
    put(store, package("llama", sensitivity="restricted", allowed_groups=("research",)))
    with pytest.raises(NameTaken) as refused:
        register(new(name="1iama"), asker(BOB), store)
    assert "llama" not in refused.value.detail


def test_who_may_see_it_is_a_group_that_the_caller_is_in(store: Store, client: Counted) -> None:
    with pytest.raises(Forbidden, match="not secret"):
        register(new(allowed_groups=["research", "secret"]), asker(groups=("research",)), store)
    with pytest.raises(Invalid) as refused:
        register(new(sensitivity="restricted"), asker(), store)
    assert [one.field for one in refused.value.errors] == ["allowed_groups"]
    assert everything(client) == []
    register(new(sensitivity="restricted", allowed_groups=["research"]), asker(groups=("research",)), store)
    # And an admin names any
    register(new(name="other", sensitivity="restricted", allowed_groups=["secret"]), admin(), store)


# ---- Races ----


def test_the_same_twice_at_once_makes_one_version_and_one_answer(store: Store, client: Counted) -> None:
    # Given that between read and write of one request another does the same
    asked = new(files=[FILE])
    Meanwhile(client, "transact_write_items", lambda: register(asked, asker(), store))
    # When it goes on / Then it finds the version, and answers the same
    assert not register(asked, asker(), store).is_new
    assert len([item for item in everything(client, "PKG#") if item["sk"].startswith("V#")]) == 1
    assert store.package("bert-base").versions == 1  # type: ignore[union-attr]
    assert whats(client) == ["package.registered", "version.registered"]


def test_other_content_at_once_leaves_one_of_both(store: Store, client: Counted) -> None:
    Meanwhile(client, "transact_write_items", lambda: register(new(files=[FILE]), asker(), store))
    with pytest.raises(VersionExists):
        register(new(metadata={"other": True}), asker(), store)
    stored = store.version("bert-base", "1.0.0")
    assert stored is not None
    assert (stored.total, stored.metadata) == (1, {})


def test_names_that_look_alike_at_once_leave_one(store: Store, client: Counted) -> None:
    Meanwhile(client, "transact_write_items", lambda: register(new(name="llama"), asker(), store))
    with pytest.raises(NameTaken):
        register(new(name="1lama"), asker(BOB), store)
    assert [item["name"] for item in everything(client, "PKG#") if item["sk"] == "PKG"] == ["llama"]


def test_a_package_that_becomes_invisible_meanwhile_is_not_added_to(store: Store, client: Counted) -> None:
    # Given a package that is somebody else's when the write comes
    put(store, package(owner=ANN))
    Meanwhile(client, "transact_write_items", lambda: put(store, package(owner=BOB, revision=2)))
    with pytest.raises(NotTheOwner):
        register(new(), asker(), store)
    assert store.version("bert-base", "1.0.0") is None


@pytest.mark.parametrize("same", [True, False])
def test_eight_at_once_make_one_row(store: Store, client: Counted, same: bool) -> None:
    # Given eight requests that all have read that there is nothing
    ready = threading.Barrier(8)
    first = threading.local()

    def together(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items" and not hasattr(first, "over"):
            first.over = True
            ready.wait(10)

    client.before = together
    told: list[Any] = []

    def one(number: int) -> None:
        asked = new(metadata={} if same else {"number": number})
        try:
            told.append(register(asked, asker(), store).is_new)
        except VersionExists:
            told.append("refused")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # When all write / Then one has made it, and the others are told the same, or that it is there
    assert sorted(map(str, told)) == (["False"] * 7 + ["True"] if same else ["True"] + ["refused"] * 7)
    assert len([item for item in everything(client, "PKG#") if item["sk"].startswith("V#")]) == 1
    assert store.package("bert-base").versions == 1  # type: ignore[union-attr]


def test_different_versions_at_once_are_all_counted(store: Store, client: Counted) -> None:
    register(new(), asker(), store)
    Meanwhile(client, "transact_write_items", lambda: register(new("1.1.0"), asker(), store))
    register(new("1.2.0"), asker(), store)
    stored = store.package("bert-base")
    assert stored is not None
    assert stored.versions == 3


def test_an_answer_that_was_lost_is_asked_for_again_without_harm(store: Store, client: Counted) -> None:
    client.twice = "transact_write_items"
    made = register(new(files=[FILE]), asker(), store)
    assert store.version("bert-base", "1.0.0") == made.version
    assert store.package("bert-base").versions == 1  # type: ignore[union-attr]
    assert whats(client) == ["package.registered", "version.registered"]


def test_who_is_in_the_way_all_the_time_is_told_of(store: Store, client: Counted) -> None:
    put(store, package())
    beaten: list[int] = []

    def another(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items":
            beaten.append(1)
            put(store, package(revision=len(beaten) + 1))

    client.before = another
    with pytest.raises(Crowded) as refused:
        register(new(), asker(), store)
    assert (refused.value.status, refused.value.retry_after, len(beaten)) == (503, 1, TRIES)
    assert store.version("bert-base", "1.0.0") is None


# ---- What can't be accepted ----


def refusals(**fields: Any) -> list[tuple[str, str]]:
    """The fields that are not accepted, and why."""
    with pytest.raises(ValidationError) as refused:
        new(**fields)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in refused.value.errors()]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "-a"}, "name"),
        ({"name": "Public_Keys"}, "name"),
        ({"version": "1.0"}, "version"),
        ({"version": "latest"}, "version"),
        ({"description": "x" * 2_001}, "description"),
        ({"description": "\ud800"}, "description"),
        ({"sensitivity": "secret"}, "sensitivity"),
        ({"tags": ["a b"]}, "tags.0"),
        ({"tags": [f"t{number}" for number in range(17)]}, "tags"),
        ({"allowed_groups": [""]}, "allowed_groups.0"),
        ({"metadata": {"card": "x" * 16_384}}, "metadata"),
        ({"metadata": {"loss": float("inf")}}, "metadata"),
        ({"metadata": {"half": "\ud800"}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"files": []}, "files"),
        ({"files": [{**FILE, "path": "../a"}]}, "files.0.path"),
        ({"files": [{**FILE, "path": "/a"}]}, "files.0.path"),
        ({"files": [{**FILE, "size": -1}]}, "files.0.size"),
        ({"files": [{**FILE, "size": 5 * 2**40 + 1}]}, "files.0.size"),
        ({"files": [{**FILE, "size": True}]}, "files.0.size"),
        ({"files": [{**FILE, "size": "4"}]}, "files.0.size"),
        ({"files": [{**FILE, "sha256": SHA.upper()}]}, "files.0.sha256"),
        ({"files": [{**FILE, "content_type": "text/plain\r\nX: y"}]}, "files.0.content_type"),
        ({"files": [FILE] * 1_001}, "files"),
        ({"owner": BOB}, "owner"),
    ],
)
def test_a_field_that_can_not_be_accepted_is_named(fields: dict[str, Any], told: str) -> None:
    assert [field for field, _ in refusals(**fields)] == [told]


def test_metadata_that_is_nested_absurdly_is_refused() -> None:
    nested: dict[str, Any] = {}
    for _ in range(2_000):
        nested = {"a": nested}
    ((field, why),) = refusals(metadata=nested)
    assert (field, "deeper than 32" in why) == ("metadata", True)


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["a", "a"], "is there twice"),
        (["README.md", "readme.md"], "is there twice"),
        (["a", "a/b"], "is a file and"),
        (["A/b", "a"], "is a file and"),
    ],
)
def test_files_that_no_disk_could_hold_together_are_refused(paths: list[str], told: str) -> None:
    ((field, why),) = refusals(files=[{**FILE, "path": path} for path in paths])
    assert (field, told in why) == ("files", True)


def test_a_manifest_that_no_item_could_hold_is_refused() -> None:
    files = [{**FILE, "path": f"{number:04d}/" + "x" * 250} for number in range(1_000)]
    ((field, why),) = refusals(files=files)
    assert (field, "300,000 bytes" in why) == ("files", True)


def test_an_empty_file_is_one() -> None:
    made = NewVersion(name="a", version="1.0.0", files=[{**FILE, "size": 0}])  # type: ignore[list-item]
    assert made.files is not None
    assert made.files[0].size == 0


def test_times_are_the_clocks(store: Store) -> None:
    assert register(new(), asker(), store).version.created_at == NOON
