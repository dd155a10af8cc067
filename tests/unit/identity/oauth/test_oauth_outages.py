"""Providers that are down, answer nonsense, or lead elsewhere: a 502 or 504, never a redirect, and nobody is in."""

import json
from typing import Any

import pytest

from tests.unit.identity.oauth.provider import Json
from tests.unit.identity.oauth.world import Browser, World, problem
from weir.identity import outbound

pytestmark = pytest.mark.usefixtures("ann")


BROKEN: list[tuple[int, bytes]] = [
    (500, b"{}"),
    (503, b"<html>"),
    (200, b"<html>"),
    (200, b"[]"),
    (200, b"null"),
    (200, b"[" * 100_000),
    (404, b"{}"),
    (200, b"{" + b" " * outbound.MOST_BYTES + b"}"),
    (302, b"https://evil.example/"),
]


@pytest.mark.parametrize("answer", BROKEN, ids=lambda answer: f"{answer[0]} {answer[1][:6]!r}")
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
def test_a_provider_that_answers_nonsense_is_a_502(
    world: World, browser: Browser, path: str, answer: tuple[int, bytes]
) -> None:
    # Given a provider, one of whose answers is none
    world.corp.answers[path] = answer
    if path == "/userinfo":
        world.corp.userinfo = {}

    # Then it is a problem, not a redirect, wherever the log-in stands
    done = browser.begin("corp") if path.startswith("/.well") else world.logged_in("corp", browser)
    assert problem(done) == (502, "provider-failed")
    assert world.nobody_is_in()


@pytest.mark.parametrize("path", ["/login/oauth/access_token", "/api/user", "/api/user/emails"])
@pytest.mark.parametrize("answer", [(500, b"{}"), (403, b'{"message": "rate limit"}'), (200, b"<html>")])
def test_a_github_that_answers_nonsense_is_a_502(world: World, path: str, answer: tuple[int, bytes]) -> None:
    world.hub.answers[path] = answer
    assert problem(world.logged_in("github")) == (502, "provider-failed")
    assert world.nobody_is_in()


@pytest.mark.parametrize(
    "said", [{"id": "583231"}, {"id": True}, {"id": None}, {"id": 5.0}, {"login": "octocat"}, []], ids=str
)
def test_githubs_user_is_a_number(world: World, said: Any) -> None:
    world.hub.answers["/api/user"] = 200, json.dumps(said).encode()
    assert problem(world.logged_in("github")) == (502, "provider-failed")


@pytest.mark.parametrize("token", [None, 7, "", "two\r\nlines", "ą"])
def test_githubs_token_is_one_that_a_header_can_take(world: World, token: Any) -> None:
    world.hub.answers["/login/oauth/access_token"] = 200, json.dumps({"access_token": token}).encode()
    assert problem(world.logged_in("github")) == (502, "provider-failed")
    assert world.hub.of("/api/user") == []


def test_a_provider_that_no_longer_knows_our_client_is_a_502_that_tells_no_secret(world: World) -> None:
    world.corp.answers["/token"] = 401, b'{"error": "invalid_client", "error_description": "a secret: with & and %"}'
    answer = world.logged_in("corp")
    assert problem(answer) == (502, "provider-failed")
    assert "secret" not in answer["body"]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks"])
def test_a_provider_that_says_nothing_is_a_504(
    world: World, browser: Browser, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "READ_SECONDS", 0.5)
    world.corp.answers[path] = None
    done = browser.begin("corp") if path.startswith("/.well") else world.logged_in("corp", browser)
    assert problem(done) == (504, "provider-timeout")
    assert world.nobody_is_in()


def test_a_provider_that_can_not_be_reached_is_a_502(world: World, browser: Browser) -> None:
    came = world.approved("corp", browser)
    world.corp.stop()
    assert problem(browser.come_back("corp", **came)) == (502, "provider-failed")
    assert world.nobody_is_in()


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://login.example/token"},
        {"token_endpoint": "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "https://login.example@evil.example/"},
    ],
    ids=str,
)
def test_a_discovery_document_that_leads_elsewhere_is_refused(world: World, browser: Browser, document: Json) -> None:
    world.corp.discovery = document
    assert problem(browser.begin("corp")) == (502, "provider-failed")
    assert len(world.corp.seen) == len(world.corp.of("/.well-known/openid-configuration"))


@pytest.mark.parametrize(("answer", "kind"), [((503, b"{}"), "provider-failed"), (None, "provider-timeout")], ids=str)
def test_a_provider_that_is_down_is_asked_every_fifteen_seconds_whoever_comes(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes] | None, kind: str
) -> None:
    # Given a provider whose discovery fails, or hangs
    monkeypatch.setattr(outbound, "READ_SECONDS", 0.5)
    world.corp.answers["/.well-known/openid-configuration"] = answer
    first = problem(browser.begin("corp"))
    asked = len(world.corp.seen)

    # When anybody begins a log-in, Then they are told the same, and it is not asked
    for _ in range(5):
        world.time.pass_by(2.5)
        assert problem(browser.begin("corp")) == first
    assert first[1] == kind
    assert len(world.corp.seen) == asked

    # And another provider is, and this one again when fifteen seconds are over
    assert browser.begin("github")["statusCode"] == 302
    del world.corp.answers["/.well-known/openid-configuration"]
    world.time.pass_by(2.5)
    assert browser.begin("corp")["statusCode"] == 302


@pytest.mark.parametrize("subject", ["\ud800", "seven\0", "se\nven"])
def test_a_subject_that_is_no_text_is_nobodys(world: World, subject: str) -> None:
    world.corp.claims = {"sub": subject}
    assert problem(world.logged_in("corp")) == (401, "provider-refused")
    assert world.nobody_is_in()
