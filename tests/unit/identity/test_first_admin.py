"""The first admin: made once, whatever CloudFormation asks and however often; and its stack is always answered."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.error import URLError
from urllib.request import Request

import pytest

from tests.unit.identity.accounts import NOON, Recorded, Time, audited, dynamodb, stored, user
from weir.identity import custom_resource
from weir.identity.errors import NameTaken
from weir.identity.first_admin import FirstAdmin, make_first_admin
from weir.identity.user_store import Users
from weir.runtime.dynamodb import Table
from weir.runtime.errors import Invalid

PASSWORD = "correct horse battery staple"
SECRET = json.dumps({"username": "Admin", "password": PASSWORD})


@pytest.fixture
def client() -> Iterator[Recorded]:
    with dynamodb() as made_for_test:
        yield made_for_test


@pytest.fixture
def users(client: Recorded) -> Users:
    return Users(Table(client, "identity"))


def make(users: Users, secret: str = SECRET, must_change: bool = True) -> FirstAdmin:
    return make_first_admin(
        users, lambda: secret, lambda text: f"hash of {len(text)}", NOON, must_change_password=must_change
    )


def test_the_first_admin_is_made(users: Users, client: Recorded) -> None:
    assert make(users) == FirstAdmin(made=True, username="admin")
    admin = users.by_name("admin")
    assert admin is not None
    assert (admin.roles, admin.must_change_password, admin.password_hash) == (("admin",), True, "hash of 28")

    # And the audit tells so, but of no password
    (entry,) = audited(client)
    assert (entry["what"], entry["who"], entry["subject"]) == ("user.created", "system", admin.user_id)
    assert PASSWORD not in stored(client)


def test_a_password_need_not_be_changed_where_the_stack_says_so(users: Users) -> None:
    make(users, must_change=False)
    admin = users.by_name("admin")
    assert admin is not None
    assert not admin.must_change_password


def test_it_is_made_once_in_the_life_of_a_stack(users: Users) -> None:
    # Given a first admin who has left, after another one came
    make(users)
    other = user(username="zoe", roles=("admin",))
    users.create(other)
    admin = users.by_name("admin")
    assert admin is not None
    users.delete(admin, NOON)

    # When the stack is updated, with the secret as it was / Then it stays so
    assert make(users) == FirstAdmin(made=False)
    assert users.by_name("admin") is None


def test_an_event_that_comes_twice_at_once_makes_one_admin(users: Users, client: Recorded) -> None:
    # Given the same event, handled between another's look and write
    twins: list[Any] = []

    def overtake(operation: str, request: dict[str, Any]) -> None:
        if operation == "transact_write_items" and not twins:
            twins.append("on its way")
            twins.append(make(users, json.dumps({"username": "root", "password": PASSWORD})))

    client.before = overtake

    # Then one of the two makes the admin, and the other finds it made
    assert make(users) == FirstAdmin(made=False)
    assert twins[1] == FirstAdmin(made=True, username="root")
    assert [one.username for one in map(users.by_name, ("root", "admin")) if one] == ["root"]


def test_a_user_of_that_name_is_not_made_an_admin(users: Users) -> None:
    users.create(user(username="admin", roles=("member",)))
    with pytest.raises(NameTaken):
        make(users)
    admin = users.by_name("admin")
    assert admin is not None
    assert admin.roles == ("member",)


@pytest.mark.parametrize(
    "secret",
    [
        "no json",
        "[]",
        '"text"',
        "{}",
        '{"username": "admin"}',
        '{"username": "admin", "password": 7}',
        '{"username": "admin", "password": "too short"}',
        '{"username": "\u0430dmin", "password": "correct horse battery staple"}',  # a Cyrillic letter
        '{"username": 7, "password": "correct horse battery staple"}',
    ],
)
def test_a_secret_of_another_form_is_refused_without_telling_it(users: Users, client: Recorded, secret: str) -> None:
    with pytest.raises(Invalid, match="not of the form") as refused:
        make(users, secret)
    assert "horse" not in refused.value.detail
    assert stored(client) == "[]"


EVENT = {
    "RequestType": "Create",
    "RequestId": "unique id for this create request",
    "ResponseURL": "https://cloudformation-custom-resource-response.s3.amazonaws.com/arn?X-Amz-Signature=5ec2e7",
    "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/weir/6a91e7f0",
    "LogicalResourceId": "FirstAdmin",
}


def test_an_answer_repeats_what_it_answers() -> None:
    answer = custom_resource.succeeded(EVENT, "first-admin", {"Made": "true"})
    assert answer == {
        "Status": "SUCCESS",
        "StackId": EVENT["StackId"],
        "RequestId": EVENT["RequestId"],
        "LogicalResourceId": "FirstAdmin",
        "PhysicalResourceId": "first-admin",
        "Data": {"Made": "true"},
    }


def test_an_update_keeps_its_physical_id() -> None:
    # For CloudFormation deletes the resource of an id that an update no longer names
    answer = custom_resource.failed({**EVENT, "PhysicalResourceId": "of old"}, "first-admin", "r" * 9_999)
    assert answer["PhysicalResourceId"] == "of old"
    assert (answer["Status"], len(answer["Reason"])) == ("FAILED", custom_resource.MOST_REASON)


def test_an_answer_that_is_lost_is_sent_again() -> None:
    # Given a network that fails twice
    sent: list[tuple[str, Any]] = []
    time = Time()

    def send(url: str, body: bytes) -> None:
        sent.append((url, json.loads(body)))
        if len(sent) < 3:
            raise URLError("reset")

    # When an answer is sent / Then it arrives, to the very address
    custom_resource.respond(EVENT, {"Status": "SUCCESS"}, time.clock, send)
    assert sent == [(EVENT["ResponseURL"], {"Status": "SUCCESS"})] * 3
    assert time.slept == sorted(time.slept)


def test_an_answer_that_can_not_be_sent_is_an_error_of_the_function() -> None:
    tries: list[str] = []

    def send(url: str, body: bytes) -> None:
        tries.append(url)
        raise URLError("reset")

    with pytest.raises(URLError):
        custom_resource.respond(EVENT, {}, Time().clock, send)
    assert len(tries) == custom_resource.TRIES


def test_an_answer_is_put_as_its_presigned_address_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the web
    sent: list[tuple[str, str, Any, Any]] = []

    def urlopen(request: Request, timeout: float) -> BytesIO:
        sent.append((request.full_url, request.get_method(), request.data, request.get_header("Content-type")))
        return BytesIO()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)

    # When an answer is put / Then it is so without a content type, which the signature does not hold
    custom_resource.put(EVENT["ResponseURL"], b"{}")
    assert sent == [(EVENT["ResponseURL"], "PUT", b"{}", "")]


def test_an_answer_goes_nowhere_but_over_the_web() -> None:
    with pytest.raises(ValueError, match="web address"):
        custom_resource.put("file:///etc/passwd", b"{}")
