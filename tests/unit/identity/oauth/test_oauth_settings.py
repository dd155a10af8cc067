"""What the operator writes: clients, providers. What can't be used is told by its place, and never by its value."""

import json
import re
from typing import Any

import pytest

from weir.identity import oauth_clients, providers
from weir.identity.oauth_errors import BadProviders, UnknownClient, UnknownProvider
from weir.identity.providers import Provider, Providers
from weir.runtime.errors import Unavailable
from weir.runtime.settings import SettingsError

PAIR = {"client_id": "id", "client_secret": "the-secret"}


def test_clients_are_read_with_all_their_addresses() -> None:
    clients = oauth_clients.read(
        " console=https://c.example/callback cli=http://127.0.0.1:8753/callback\n"
        "console=http://[::1]:3000/?a=b  console=https://c.example/callback"
    )
    assert clients == {
        "console": {"https://c.example/callback", "http://[::1]:3000/?a=b"},
        "cli": {"http://127.0.0.1:8753/callback"},
    }
    assert oauth_clients.read("") == {}


@pytest.mark.parametrize(
    "entry",
    [
        "console",
        "console=",
        "=https://c.example/",
        "con/sole=https://c.example/",
        "c=http://c.example/callback",
        "c=http://localhost:3000/callback",
        "c=http://127.0.0.1.evil.example/",
        "c=http://127.1/",
        "c=https://user@c.example/",
        "c=https://c.example/#fragment",
        "c=https://c.example:port/",
        "c=https:///callback",
        "c=//c.example/",
        "c=javascript:alert(1)",
        "c=myapp://callback",
        "c=https://ć.example/",
    ],
)
def test_a_client_that_could_leak_codes_stops_the_function(entry: str) -> None:
    with pytest.raises(SettingsError, match="WEIR_OAUTH_CLIENTS"):
        oauth_clients.read(f"good=https://c.example/ {entry}")


def test_every_wrong_client_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as wrong:
        oauth_clients.read("a b=http://c.example c=https://c.example")
    assert len(str(wrong.value).splitlines()) == 3


def test_a_pair_of_client_and_address_is_compared_letter_by_letter() -> None:
    clients = oauth_clients.read("a=https://a.example/ b=https://b.example/")
    assert oauth_clients.check(clients, "a", "https://a.example/") == ("a", "https://a.example/")
    for client_id, uri in [("a", "https://b.example/"), ("a", "https://a.example"), ("A", "https://a.example/")]:
        with pytest.raises(UnknownClient):
            oauth_clients.check(clients, client_id, uri)


def test_google_and_github_need_a_client_alone() -> None:
    known, wrong = providers.read(json.dumps({"google": PAIR, "github": PAIR}))
    assert wrong == ()
    assert known == {
        "google": Provider(
            "google", "oidc", "id", "the-secret", ("openid", "email", "profile"), issuer="https://accounts.google.com"
        ),
        "github": Provider(
            "github",
            "github",
            "id",
            "the-secret",
            ("read:user", "user:email"),
            base_url="https://github.com",
            api_url="https://api.github.com",
        ),
    }


def test_any_issuer_and_any_github_server_will_do() -> None:
    known, _ = providers.read(
        json.dumps(
            {
                "corp": {**PAIR, "issuer": "https://login.example/realms/corp/", "scopes": ["openid", "email"]},
                "ghes": {**PAIR, "kind": "github", "base_url": "https://git.example/"},
                "test": {**PAIR, "issuer": "http://127.0.0.1:9999"},
            }
        )
    )
    assert (known["corp"].issuer, known["corp"].scopes) == ("https://login.example/realms/corp/", ("openid", "email"))
    assert (known["ghes"].base_url, known["ghes"].api_url) == ("https://git.example", "https://git.example/api/v3")
    assert known["test"].issuer == "http://127.0.0.1:9999"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("the-secret", "no JSON"),
        ('["the-secret"]', "no JSON object"),
        ({"Corp": PAIR}, "a-z"),
        ({"a#b": PAIR}, "a-z"),
        ({"corp": "the-secret"}, "corp .* is no object"),
        ({"corp": PAIR}, "issuer is no https address"),
        ({"corp": {**PAIR, "issuer": "http://login.example"}}, "issuer is no https address"),
        ({"corp": {**PAIR, "issuer": "http://localhost:9999"}}, "issuer is no https address"),
        ({"corp": {**PAIR, "issuer": "http://169.254.169.254"}}, "issuer is no https address"),
        ({"corp": {**PAIR, "issuer": "https://login.example/?tenant=a"}}, "issuer is no https address"),
        ({"corp": {**PAIR, "issuer": 7}}, "issuer is no https address"),
        ({"google": {"client_id": "id"}}, "client_secret is missing"),
        ({"google": {"client_secret": "the-secret"}}, "client_id is missing"),
        ({"google": {**PAIR, "client_id": 7}}, "client_id is missing"),
        ({"google": {**PAIR, "kind": "saml"}}, "neither oidc nor github"),
        ({"google": {**PAIR, "kind": ["the-secret"]}}, "neither oidc nor github"),
        ({"google": {**PAIR, "secret": "the-secret"}}, "no field secret"),
        ({"google": {**PAIR, "scopes": ["email"]}}, "lacks openid"),
        ({"google": {**PAIR, "scopes": "openid"}}, "no list"),
        ({"github": {**PAIR, "base_url": "http://git.example"}}, "base_url is no https address"),
        ({"github": {**PAIR, "api_url": "http://git.example"}}, "api_url is no https address"),
    ],
)
def test_what_can_not_be_used_is_told_by_its_place_and_no_value(document: Any, told: str) -> None:
    if isinstance(document, str):
        with pytest.raises(BadProviders) as raised:
            providers.read(document)
        wrong = raised.value
    else:
        known, (wrong,) = providers.read(json.dumps(document))
        assert known == {}
    assert re.search(told, str(wrong))
    assert "the-secret" not in str(wrong)
    assert wrong.__cause__ is None


def test_an_entry_that_can_not_be_used_leaves_out_that_provider_alone() -> None:
    known, wrong = providers.read(json.dumps({"corp": PAIR, "google": PAIR, "the-secret" * 9: PAIR}))
    assert list(known) == ["google"]
    assert [one.reason.split(" in the")[0] for one in wrong] == ["The provider corp", "A name"]


def test_a_provider_shows_no_secret() -> None:
    assert "the-secret" not in repr(providers.read(json.dumps({"google": PAIR})))


class Secret:
    """The providers' secret, with a clock that stands still: what is read, or raised."""

    def __init__(self, text: str) -> None:
        self.text, self.failure = text, False
        self.reads, self.moment = 0, 0.0
        self.providers = Providers(self.read, lambda: self.moment)

    def read(self) -> str:
        self.reads += 1
        if self.failure:
            raise Unavailable("Secrets Manager does not answer", retry_after=1)
        return self.text


def test_known_providers_outlast_a_secret_that_can_not_be_read() -> None:
    # Given a known provider, and a Secrets Manager that does not answer when it is due to be read again
    secret = Secret(json.dumps({"google": PAIR}))
    secret.providers.all()
    secret.failure = True

    # When everybody asks all the time, Then it serves on, and Secrets Manager is asked twice a minute at most
    for second in range(300, 360):
        secret.moment = float(second)
        assert secret.providers.named("google").client_id == "id"
        with pytest.raises(UnknownProvider):
            secret.providers.named("nobody")
    assert secret.reads == 1 + 2

    # But not for ever
    secret.moment = 3_600.0
    with pytest.raises(Unavailable):
        secret.providers.all()


@pytest.mark.parametrize("broken", ["a failure", "no JSON"])
def test_a_secret_that_was_never_read_is_tried_twice_a_minute_at_most(broken: str) -> None:
    # Given a process that has known no provider yet, and a secret that it can't use
    secret = Secret("no JSON")
    secret.failure = broken == "a failure"

    # When everybody asks, Then each is told, and Secrets Manager is asked now and then
    for second in range(60):
        secret.moment = float(second)
        with pytest.raises(Unavailable if secret.failure else BadProviders):
            secret.providers.named("google")
    assert secret.reads == 2

    # And when it is mended, it is known half a minute later
    secret.failure, secret.text, secret.moment = False, json.dumps({"google": PAIR}), 60.0
    assert secret.providers.named("google").client_id == "id"


def test_providers_are_read_anew_after_five_minutes() -> None:
    # Given an empty secret
    texts, now = ["{}", json.dumps({"google": PAIR})], [0.0]
    known = Providers(lambda: texts.pop(0), lambda: now[0])

    # Then nobody is known, for five minutes
    assert known.all() == {}
    now[0] = 299
    assert known.all() == {}
    now[0] = 300
    assert list(known.all()) == ["google"]


def test_a_provider_that_is_not_known_is_looked_for_twice_a_minute_at_most() -> None:
    # Given an operator who has just written a provider
    reads, now = [0], [0.0]

    def secret() -> str:
        reads[0] += 1
        return "{}" if reads[0] == 1 else json.dumps({"google": PAIR})

    known = Providers(secret, lambda: now[0])
    assert known.all() == {}

    # When it is asked for, Then it is found after half a minute, and not looked for in between
    for moment in (1.0, 15.0, 29.9):
        now[0] = moment
        with pytest.raises(UnknownProvider):
            known.named("google")
    assert reads == [1]
    now[0] = 30.0
    assert known.named("google").client_id == "id"
    now[0] = 300.0
    assert known.named("google").client_id == "id"
    assert reads == [2]
