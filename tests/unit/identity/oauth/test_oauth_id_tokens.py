"""Attacks by ID tokens and codes of others: each is refused, and nobody is in."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from tests.unit.identity.oauth.provider import Json, jwk, private_key, signed
from tests.unit.identity.oauth.world import Browser, World, header, problem, query_of

pytestmark = pytest.mark.usefixtures("ann")


def unsigned(claims: Json) -> str:
    return jwt.encode(claims, "", "none")


def with_the_public_key(claims: Json) -> str:
    """HS256, keyed with what everybody can read: PyJWT would not make one, so by hand."""
    pem = (
        private_key("RS256", 0)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    def text(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    begun = f"{text(json.dumps({'alg': 'HS256', 'kid': 'one'}).encode())}.{text(json.dumps(claims).encode())}"
    return f"{begun}.{text(hmac.digest(pem, begun.encode(), hashlib.sha256))}"


def with_own_key(claims: Json) -> str:
    """Signed with another key, which the token itself brings along."""
    return jwt.encode(claims, private_key("RS256", 1), "RS256", headers={"kid": "one", "jwk": jwk("RS256", "one", 1)})


def cut_off(claims: Json) -> str:
    return signed(claims)[:-8]


def with_another_payload(claims: Json) -> str:
    first, _, last = signed(claims).split(".")
    return f"{first}.{signed({**claims, 'sub': 'somebody else'}).split('.')[1]}.{last}"


@pytest.mark.parametrize(
    "forge",
    [
        unsigned,
        with_the_public_key,
        with_own_key,
        cut_off,
        with_another_payload,
        lambda claims: signed(claims, kid="another"),
        lambda claims: signed(claims, "ES256"),
        lambda claims: signed({**claims, "filler": "x" * 20_000}),
        lambda claims: "no token",
        lambda claims: "",
        lambda claims: f"{signed(claims)}.{signed(claims)}",
    ],
    ids=lambda forge: forge.__name__,
)
def test_an_id_token_that_is_not_signed_by_the_provider_proves_nothing(
    world: World, forge: Callable[[Json], str]
) -> None:
    world.corp.sign = forge
    assert problem(world.logged_in("corp")) == (401, "provider-refused")
    assert world.nobody_is_in()


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": ["weir at corp", "another client"]},
        {"aud": None},
        {"azp": "another client"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"nonce": "x" * 43},
        {"nonce": 7},
        {"nonce": "\ud800"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "\ud800"},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": None},
        {"iat": None},
    ],
    ids=str,
)
def test_an_id_token_for_somebody_or_something_else_proves_nothing(world: World, claims: Json) -> None:
    world.corp.claims = claims
    assert problem(world.logged_in("corp")) == (401, "provider-refused")
    assert world.nobody_is_in()


@pytest.mark.parametrize(
    ("name", "seconds", "holds"),
    [
        ("exp", 0, False),
        ("exp", -1, False),
        ("exp", 1, True),
        ("iat", 31, False),
        ("iat", 30, True),
        ("nbf", 31, False),
        ("nbf", 30, True),
    ],
)
def test_an_id_token_holds_in_its_time_alone(world: World, name: str, seconds: int, holds: bool) -> None:
    world.corp.claims = {name: int(world.time.clock.epoch()) + seconds}
    assert world.logged_in("corp")["statusCode"] == (302 if holds else 401)


def test_an_audience_of_us_alone_may_be_a_list_and_azp_ours(world: World) -> None:
    world.corp.claims = {"aud": ["weir at corp"], "azp": "weir at corp"}
    assert world.logged_in("corp")["statusCode"] == 302


def test_a_code_of_another_log_in_is_refused_by_nonce_where_the_provider_checks_no_pkce(
    world: World, browser: Browser
) -> None:
    # Given a code that an attacker got for their own log-in, at a provider that does not check PKCE
    attacker = Browser()
    theirs = world.approved("corp", attacker)
    mine = world.approved("corp", browser)
    world.corp.redeem = lambda sent: world.corp.codes.pop(sent.fields["code"])  # type: ignore[method-assign]

    # When it is put into the victim's way back, Then the nonce tells
    answer = browser.come_back("corp", code=theirs["code"], state=mine["state"])
    assert problem(answer) == (401, "provider-refused")
    assert world.nobody_is_in()


def test_a_code_of_another_log_in_is_refused_by_the_provider_by_pkce(world: World, browser: Browser) -> None:
    theirs, mine = world.approved("github", Browser()), world.approved("github", browser)
    assert problem(browser.come_back("github", code=theirs["code"], state=mine["state"])) == (401, "provider-refused")
    assert world.nobody_is_in()


@pytest.mark.parametrize("code", ["", "x", "x" * 10_000, "a b\n&grant_type=x"])
def test_a_code_that_the_provider_never_gave_is_refused(world: World, browser: Browser, code: str) -> None:
    state = world.approved("corp", browser)["state"]
    answer = browser.come_back("corp", state=state, code=code)
    if code:
        assert problem(answer) == (401, "provider-refused")
    else:
        assert query_of(header(answer, "Location"))["error"] == "server_error"
    assert world.nobody_is_in()


def test_userinfo_of_another_subject_is_not_believed(world: World) -> None:
    world.corp.userinfo = {"sub": "corp-8", "email": "ann@corp.example", "email_verified": True}
    assert problem(world.logged_in("corp")) == (401, "provider-refused")
    assert world.nobody_is_in()
