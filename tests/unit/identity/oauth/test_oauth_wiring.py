"""What the function is put together of, and what it writes into its log."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tests.unit.identity.accounts import ANN, user
from tests.unit.identity.oauth.provider import CLIENT_SECRET
from tests.unit.identity.oauth.world import (
    CLI,
    ENVIRONMENT,
    VERIFIER,
    Browser,
    World,
    call,
    exchange,
    header,
    problem,
    query_of,
)
from weir.identity import oauth_wiring, wiring
from weir.identity.providers import Providers
from weir.runtime import observability, secrets, settings
from weir.runtime.settings import SettingsError


@pytest.fixture
def log(world: World) -> Iterator[io.StringIO]:
    """All that is logged."""
    written = io.StringIO()
    (handler,) = (one for one in observability.logger().handlers if isinstance(one, logging.StreamHandler))
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


def test_the_log_tells_why_and_no_secret(world: World, browser: Browser, log: io.StringIO) -> None:
    # Given log-ins that succeed, and that fail in each of the ways that are logged
    world.users.create(user(ANN, "ann", email="ann@corp.example"))
    came = world.approved("corp", browser)
    cookie = browser.cookies["__Host-weir-oauth"]
    done = query_of(header(browser.come_back("corp", **came), "Location"))
    browser.come_back("corp", **came)
    exchange(done["code"], redirect_uri=CLI)
    given = exchange(done["code"])["json"]
    world.corp.claims = {"nonce": "forged-nonce"}
    world.logged_in("corp")
    world.corp.claims, world.corp.person = {}, {"sub": "nobody-here", "email": "nobody@corp.example"}
    world.logged_in("corp")
    world.corp.answers["/token"] = 500, b"corp-access"
    world.logged_in("corp")

    # Then the log tells the reasons
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["reason"] for line in lines if "reason" in line] == [
        "no state, or no cookie of ours",
        "invalid_grant",
        "the ID token answers another log-in",
        "nobody has this account or its e-mail address",
    ]
    assert [line["message"] for line in lines if line["level"] == "ERROR"] == ["answered provider-failed"]

    # And nothing with which anybody could log in
    sent = world.corp.of("/token")[0].fields
    hidden = [came["code"], came["state"], cookie, done["code"], sent["code_verifier"], VERIFIER, "corp-access"]
    hidden += [
        CLIENT_SECRET,
        "forged-nonce",
        given["access_token"],
        given["refresh_token"],
        "nobody-here",
        "nobody@corp.example",
    ]
    assert [one for one in hidden if one in log.getvalue()] == []


def test_the_function_is_put_together_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given the settings of a function, and its secrets
    for name, value in {**ENVIRONMENT, "OAUTH_CLIENTS": "console=https://console.example/callback"}.items():
        monkeypatch.setenv(f"WEIR_{name}", value)
    told = {("arn:providers", "AWSCURRENT"): '{"google": {"client_id": "i", "client_secret": "s"}}'}
    monkeypatch.setattr(secrets, "version", lambda arn, stage: told.get((arn, stage)))
    for cached in (oauth_wiring.oauth, wiring.deps):
        cached.cache_clear()
    settings.forget()

    # When it is put together, Then clients and providers are those
    made = oauth_wiring.oauth()
    assert made.clients == {"console": {"https://console.example/callback"}}
    assert list(made.providers.all()) == ["google"]
    assert set(made.speaks) == {"oidc", "github"}

    # And where nobody has written the secret, there are no providers
    told.clear()
    oauth_wiring.oauth.cache_clear()
    assert oauth_wiring.oauth().providers.all() == {}

    # And a client that can't be used stops the function
    oauth_wiring.oauth.cache_clear()
    wiring.deps.cache_clear()
    monkeypatch.setenv("WEIR_OAUTH_CLIENTS", "console=http://console.example/")
    settings.forget()
    with pytest.raises(SettingsError, match="WEIR_OAUTH_CLIENTS"):
        oauth_wiring.oauth()
    wiring.deps.cache_clear()
    settings.forget()


def test_providers_that_are_set_up_wrongly_are_told_to_the_log_alone(world: World, log: io.StringIO) -> None:
    # Given a secret with a mistake in one of its entries
    pair = {"client_id": "i", "client_secret": CLIENT_SECRET}
    wrong = json.dumps({"corp": {"issuer": "http://corp.example", **pair}, "google": pair})
    object.__setattr__(world.oauth, "providers", Providers(lambda: wrong, world.time.clock.monotonic))

    # Then whoever asks is told the others, and the operator what to mend
    assert [one["name"] for one in call("providers")["json"]] == ["google"]
    assert problem(Browser().begin("corp")) == (404, "unknown-provider")
    assert "The provider corp in the providers' secret can't be used: issuer is no https address" in log.getvalue()
    assert CLIENT_SECRET not in log.getvalue()


def test_a_providers_secret_that_is_no_json_is_told_to_the_log_alone(world: World, log: io.StringIO) -> None:
    # Given a secret that holds a text
    object.__setattr__(world.oauth, "providers", Providers(lambda: CLIENT_SECRET, world.time.clock.monotonic))

    # Then whoever asks learns nothing of it, and the operator what to mend
    answer = call("providers")
    assert problem(answer) == (500, "bad-providers")
    assert "JSON" not in answer["json"]["detail"]
    assert "The providers' secret is no JSON" in log.getvalue()
    assert CLIENT_SECRET not in log.getvalue()
