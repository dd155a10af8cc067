"""Attacks on POST /auth/token: a code of ours is good once, soon, and with all that belongs to it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.unit.identity.accounts import ANN, ORIGIN
from tests.unit.identity.oauth import world as calls
from tests.unit.identity.oauth.provider import Json
from tests.unit.identity.oauth.world import (
    CHALLENGE,
    CLI,
    CONSOLE,
    VERIFIER,
    Answer,
    Browser,
    World,
    exchange,
    header,
    problem,
)
from weir.identity.contract_oauth import TokenRequest
from weir.identity.oauth import tokens_for
from weir.identity.oauth_errors import GrantRefused

pytestmark = pytest.mark.usefixtures("ann")
ASKED = {
    "grant_type": "authorization_code",
    "client_id": "console",
    "redirect_uri": CONSOLE,
    "code_verifier": VERIFIER,
    "refresh_token": None,
}


def grant_error(answer: Answer) -> tuple[int, str]:
    """Status and OAuth's error of a refusal, which is a problem too."""
    assert problem(answer)[1] == "grant-refused"
    assert header(answer, "Cache-Control") in {"", "no-store"}
    return answer["statusCode"], answer["json"]["error"]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client_id": "cli"}, "invalid_grant"),
        ({"client_id": "cli", "redirect_uri": CLI}, "invalid_grant"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": None}, "invalid_request"),
        ({"redirect_uri": "https://console.example/other?tab=1"}, "invalid_grant"),
        ({"redirect_uri": "https://evil.example/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": VERIFIER[:-1]}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": VERIFIER + "\n"}, "invalid_request"),
        ({"code_verifier": "ą" * 43}, "invalid_request"),
        ({"code": "x" * 43}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
    ],
    ids=str,
)
def test_a_code_is_good_only_with_all_that_belongs_to_it(world: World, changed: Json, error: str) -> None:
    # Given somebody who has got hold of a code, and not of what belongs to it
    code = world.code()
    assert grant_error(exchange(**{"code": code, **changed})) == (400, error)
    assert world.given == []

    # Then it is still good for whom it was given to
    assert exchange(code)["statusCode"] == 200


def test_a_code_or_state_that_a_newer_version_has_written_opens_nothing(world: World) -> None:
    # Given a code, and a log-in under way, in a shape that this version can't know
    code, browser = world.code(), Browser()
    came = world.approved("corp", browser)
    for item in world.client.scan(TableName="identity")["Items"]:
        if item["sk"]["S"] in {"CODE", "STATE"}:
            world.client.put_item(TableName="identity", Item={**item, "schema": {"N": "99"}})
    # When they come / Then they are refused, and not taken for what they may no longer be
    assert problem(exchange(code)) == (500, "shape-unknown")
    assert problem(browser.come_back("corp", **came)) == (500, "shape-unknown")
    assert world.given == []


@pytest.mark.parametrize("field", ["grant_type", "client_id", "code", "redirect_uri", "code_verifier"])
def test_half_a_surrogate_pair_is_refused_and_the_code_stays_good(world: World, field: str) -> None:
    # Given a code, and a request with what is no text, which DynamoDB could not be told
    code = world.code()
    assert problem(exchange(**{"code": code, field: CONSOLE + "\ud800"})) == (422, "invalid")
    with pytest.raises(GrantRefused):
        tokens_for(TokenRequest.model_construct(**{**ASKED, "code": code, field: "\ud800"}), ORIGIN, world.oauth)

    # Then it is still good
    assert exchange(code)["statusCode"] == 200


def test_a_code_for_an_address_that_the_operator_took_out_is_refused(world: World) -> None:
    code = world.code()
    object.__setattr__(world.oauth, "clients", {"console": frozenset({"https://console.example/other?tab=1"})})
    assert grant_error(exchange(code)) == (400, "invalid_grant")


def test_a_code_is_good_once(world: World) -> None:
    code = world.code()
    assert exchange(code)["statusCode"] == 200
    assert grant_error(exchange(code)) == (400, "invalid_grant")
    assert len(world.given) == 1


def test_a_code_that_is_changed_many_times_at_once_is_good_once(world: World) -> None:
    asked = TokenRequest(
        grant_type="authorization_code",
        client_id="console",
        code=world.code(),
        redirect_uri=CONSOLE,
        code_verifier=VERIFIER,
    )

    def change(_: int) -> bool:
        try:
            return bool(tokens_for(asked, ORIGIN, world.oauth).access_token)
        except GrantRefused:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(change, range(6))) == [False] * 5 + [True]
    assert len(world.given) == 1


def test_a_code_is_over_after_a_minute(world: World) -> None:
    code = world.code()
    world.time.pass_by(60)
    assert grant_error(exchange(code)) == (400, "invalid_grant")


@pytest.mark.parametrize("what", ["disabled", "gone"])
def test_a_code_of_a_user_who_may_not_log_in_any_more_is_refused(world: World, what: str) -> None:
    code = world.code()
    ann = world.users.get(ANN)
    assert ann is not None
    if what == "gone":
        world.users.delete(ann, world.time.clock.now())
    else:
        world.users.change(ann, replace(ann, disabled=True))
    assert grant_error(exchange(code)) == (400, "invalid_grant")
    assert world.given == []


@pytest.mark.parametrize("field", ["code", "code_verifier", "refresh_token", "client_id", "redirect_uri"])
def test_what_is_absurdly_long_is_refused_and_not_repeated(world: World, field: str) -> None:
    answer = exchange(**{"code": "x" * 43, field: "secretsecret" * 1000})
    assert problem(answer) == (422, "invalid")
    assert "secretsecret" not in answer["body"]


def test_a_form_is_refused_for_the_body_is_json(world: World) -> None:
    event = json.loads((calls.ROOT / "events/oauth-token.json").read_text())
    event["headers"]["Content-Type"] = "application/x-www-form-urlencoded"
    event["body"] = "grant_type=authorization_code&code=x"
    assert calls.handler().handler(event, calls.Context())["statusCode"] == 415
